"""Verdicts: one per claim and task, on data where it holds, fails, is small, can't be told or can't be judged."""

import dataclasses
import math
import os

import numpy as np
import pandas as pd
import pytest

from contrastive_context.config.claims import CLAIMS, OF_PROBES, TaskClaims
from contrastive_context.config.statistics import Statistics
from contrastive_context.tables import findings, tidy
from contrastive_context.tables.bootstrap import ModelRuns, Runs
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.tables.vocabulary import PROBES, ROLES
from simulated_studies import study
from synthetic_results import MEANS, PROBE_MEANS, scores_frame, write_probes

STATISTICS = Statistics(resamples=200)
SETTINGS = BuildTablesSettings(statistics=STATISTICS)
NO_PROBES = tidy.Cells()
MODELS = ("llama", "qwen3")


def _build(frame, probes=NO_PROBES, settings=SETTINGS):
    return findings.build(tidy.score_cells(frame, settings.statistics), probes, settings)


def _probes(folder, statistics=STATISTICS, change=lambda frame: frame, **options):
    return tidy.probe_cells(change(tidy.read_probes(write_probes(folder, **options))), statistics)


def _all(table, claim):
    (row,) = table[(table["claim"] == claim) & (table["model"] == "all")].to_dict("records")
    return row


def _verdicts(table):
    pooled = table[table["model"] == "all"]
    return dict(zip(pooled["claim"], pooled["verdict"], strict=True))


def test_verdicts_on_data_of_known_shape(tmp_path):
    options = {"models": MODELS, "seeds": (0, 1, 2)}
    table = _build(scores_frame(targets=300, clusters=100, strategies=(*MEANS,), **options),
                   _probes(tmp_path, **options))  # fmt: skip
    # Here Random is better than Zero at high, the opposite of the claim.
    expected = dict.fromkeys((claim.name for claim in CLAIMS), "shows") | {"random_below_zero_high": "does not show"}
    assert _verdicts(table) == expected
    assert set(table.loc[table["model"] != "all", "verdict"]) == {""}
    row = _all(table, "contrastive_among_best")
    assert row["threshold"] == -0.05 and row["quantity"] == "Contrastive − Random, low similarity (closest of 24)"
    assert (row["positive"], row["models"], row["runs"]) == (2, 2, "3 each")
    # Any such model: two of them say little.
    assert row["family_high"] - row["family_low"] > row["ci_high"] - row["ci_low"]


def test_the_mean_over_models_is_that_of_their_means_and_positive_supports():
    frame = scores_frame(models=MODELS, seeds=(0, 1))
    table = _build(frame)
    row = _all(table, "zero_below_base_high")
    cell = frame[(frame["bucket"] == "high") & (frame["composition"] == row["composition"])]
    means = cell.groupby(["model", "strategy"])["value"].mean()
    differences = {model: means[model, "base"] - means[model, "zero"] for model in MODELS}
    assert row["difference"] == pytest.approx(np.mean([*differences.values()]))
    assert row["ci_low"] < row["difference"] < row["ci_high"]
    single = table[(table["claim"] == "zero_below_base_high") & (table["model"] != "all")]
    closest = single[single["composition"] == row["composition"]]
    for model, difference in zip(closest["model"], closest["difference"], strict=True):
        assert difference == pytest.approx(differences[model])


def test_the_mean_over_buckets_and_the_retention_are_what_their_formulas_say(tmp_path):
    frame = scores_frame(seeds=(0, 1))
    probes = tidy.read_probes(write_probes(tmp_path, seeds=(0, 1)))
    table = _build(frame, tidy.probe_cells(probes, STATISTICS))
    row = _all(table, "contrastive_best_mean")
    cell = frame[frame["composition"] == row["composition"]]
    means = cell.groupby(["strategy", "bucket"])["value"].mean().groupby("strategy").mean()
    assert row["difference"] == pytest.approx(means["contrastive"] - means.drop(["contrastive", "nearest_label"]).max())
    last = probes[(probes["measure"] == "generation") & ((probes["step"] == 200) | (probes["strategy"] == "base"))]
    value = last.assign(seed=last["seed"].fillna(-1)).groupby(["strategy", "seed", "probe"])["value"].mean()
    base = {probe: value["base", -1, probe] for probe in ("icl", "iwl")}
    best = max(value[name, :, "iwl"].mean() for name in PROBE_MEANS if name != "base")

    def retention(strategy, seed):
        kept = value[strategy, seed, "icl"] / base["icl"]
        gained = (value[strategy, seed, "iwl"] - base["iwl"]) / (best - base["iwl"])
        return min(max(0, min(1, kept)), max(0, min(1, gained)))

    differences = [
        np.mean([retention("contrastive", seed) - retention(rival, seed) for seed in (0, 1)])
        for rival in ("random", "similar")
    ]
    assert _all(table, "contrastive_retains_both")["difference"] == pytest.approx(min(differences))


def test_an_early_loss_is_looked_for_after_a_quarter_of_the_steps(tmp_path):
    table = _build(scores_frame(), _probes(tmp_path))
    probes = tidy.read_probes(write_probes(tmp_path))
    value = probes[probes["measure"] == "generation"].groupby(["strategy", "step", "probe"])["value"].mean()
    expected = value["base", 0, "icl"] / 2 - value["random", 50, "icl"]
    assert _all(table, "random_loses_icl_early")["difference"] == pytest.approx(expected)
    late = _probes(tmp_path, change=lambda frame: frame[frame["step"] != 50])
    row = _all(_build(scores_frame(), late), "random_loses_icl_early")
    assert row["verdict"] == "can't tell"
    assert row["reason"] == "the ICL-score of random was not measured at step 50 or somewhat before"


def test_a_claim_must_hold_in_every_composition_and_for_every_rival():
    frame = scores_frame(targets=300)
    assert _all(_build(frame), "zero_below_base_high")["verdict"] == "shows"
    swap = (frame["strategy"] == "zero") & (frame["bucket"] == "high") & (frame["composition"] == "top_k")
    frame.loc[swap, "value"] = 1.0
    row = _all(_build(frame), "zero_below_base_high")
    assert (row["verdict"], row["composition"]) == ("does not show", "top_k")
    frame = scores_frame(targets=300)
    frame.loc[(frame["strategy"] == "similar") & (frame["bucket"] == "low"), "value"] = 0.9
    row = _all(_build(frame), "contrastive_among_best")
    assert row["verdict"] == "does not show" and row["quantity"].startswith("Contrastive − Similar, low similarity")


def test_a_composition_that_was_not_measured_leaves_the_claim_open():
    frame = scores_frame(targets=300)
    gone = (frame["composition"] == "top_k") & (frame["bucket"] == "high")
    settings = BuildTablesSettings(statistics=STATISTICS, compositions={"lexicon": ["one_graded", "top_k"]})
    table = _build(frame[~gone], settings=settings)
    row = _all(table, "zero_below_base_high")
    assert (row["verdict"], row["reason"]) == ("can't tell", "scores of base at high similarity is missing")
    assert _all(table, "similar_below_random_low")["verdict"] == "shows"
    one = BuildTablesSettings(statistics=STATISTICS, compositions={"lexicon": ["one_graded"]})
    assert (
        _all(_build(frame[frame["composition"] != "top_k"], settings=one), "zero_below_base_high")["verdict"] == "shows"
    )


def test_a_model_that_lacks_a_system_is_left_out_of_the_mean():
    frame = scores_frame(models=MODELS, targets=300)
    table = _build(frame[~((frame["model"] == "qwen3") & (frame["strategy"] == "zero"))])
    row = _all(table, "zero_below_base_high")
    assert (row["verdict"], row["models"]) == ("shows", 1) and math.isnan(row["family_low"])
    assert _all(table, "similar_below_random_low")["models"] == 2


def test_a_strategy_that_a_task_does_not_have_is_in_no_claim():
    table = _build(scores_frame(strategies=("base", "random", "contrastive")))
    assert "zero_below_base_high" not in set(table["claim"])
    assert "random_below_base_high" in set(table["claim"])


def test_runs_that_disagree_leave_it_open_and_one_run_speaks_of_itself():
    frame = scores_frame(seeds=(0, 1), strategies=("base", "zero"), targets=600)
    high = (frame["bucket"] == "high") & (frame["strategy"] == "zero")
    # The runs' differences to the base are 0.1 and 0.3: each is far above the noise of the targets.
    frame.loc[frame["bucket"] == "high", "value"] = 0.7
    frame.loc[high, "value"] = 0.5 + np.where(frame.loc[high, "seed"] == 0, 0.1, -0.1)
    row = _all(_build(frame), "zero_below_base_high")
    assert row["difference"] == pytest.approx(0.2) and row["ci_low"] < 0 and row["verdict"] == "can't tell"
    row = _all(_build(frame[frame["seed"].isna() | (frame["seed"] == 0)]), "zero_below_base_high")
    assert (row["verdict"], row["runs"]) == ("shows", "1")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"targets": 40}, "40 targets; 50 are needed"),
        ({"clusters": 5}, "targets of 5 clusters; 10 are needed"),
    ],
)
def test_too_few_targets_or_clusters_cannot_tell(options, reason):
    table = _build(scores_frame(**options))
    assert set(_verdicts(table).values()) == {"can't tell"}
    assert set(table.loc[table["model"] == "all", "reason"]) == {reason}


def test_training_that_taught_nothing_is_not_judged(tmp_path):
    def short(frame):
        little = (frame["probe"] == "iwl") & (frame["strategy"] != "base")
        base = frame.loc[(frame["probe"] == "iwl") & (frame["strategy"] == "base") & (frame["measure"] == "generation")]
        return frame.assign(value=frame["value"].mask(little, base["value"].mean() + 0.03))

    table = _build(scores_frame(targets=300), _probes(tmp_path, change=short))
    assert set(_verdicts(table).values()) == {"trained too short to judge"}
    reason = "the best strategy's score without relevant examples is 0.030 above the base's; 0.05 are needed"
    assert set(table.loc[table["model"] == "all", "reason"]) == {reason}
    assert table.loc[table["model"] == "all", "difference"].notna().all()  # the numbers are there all the same
    # Without probes low similarity stands in.
    frame = scores_frame(targets=300)
    frame.loc[(frame["bucket"] == "low") & (frame["strategy"] != "base"), "value"] = 0.2
    assert set(_verdicts(_build(frame)).values()) == {"trained too short to judge"}


def test_what_the_base_cannot_do_cannot_be_kept_or_lost(tmp_path):
    none = _probes(tmp_path, change=lambda f: f.assign(value=f["value"].mask((f["probe"] == "icl"), f["value"] * 0.01)))
    table = _build(scores_frame(targets=300), none)
    for claim in ("contrastive_retains_both", "random_loses_icl_early"):
        row = _all(table, claim)
        assert row["verdict"] == "can't tell" and row["reason"].endswith("there is none to keep or lose")
    assert _all(table, "similar_lowest_iwl")["verdict"] == "shows"


def test_a_claim_that_is_left_out_says_why_and_is_no_test():
    settings = BuildTablesSettings(
        statistics=STATISTICS, claims={"lexicon": TaskClaims(left_out={"zero_below_base_high": "because"})}
    )
    table = _build(scores_frame(), settings=settings)
    row = _all(table, "zero_below_base_high")
    assert (row["verdict"], row["reason"]) == ("not asked", "because") and math.isnan(row["p_holm"])
    other = "similar_below_zero_low"
    assert _all(table, other)["p_holm"] <= _all(_build(scores_frame()), other)["p_holm"]
    with pytest.raises(ValueError, match="no such claim: zero_below; there are zero_below_base_high"):
        TaskClaims(left_out={"zero_below": "because"})


def test_holms_family_are_the_claims_of_one_task():
    frame = scores_frame(models=MODELS, targets=300)
    alone = _build(frame)
    both = _build(pd.concat([frame, frame.assign(task="idiom")]))
    same = both[both["task"] == "lexicon"].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, alone)


def test_strategies_may_have_other_names():
    frame = scores_frame(targets=300)
    frame["strategy"] = frame["strategy"].replace({"contrastive": "ours", "zero": "plain"})
    settings = BuildTablesSettings(
        statistics=STATISTICS, strategies={"ours": "contrastive", "plain": "zero", "random": "random"}
    )
    assert _all(_build(frame, settings=settings), "contrastive_best_mean")["verdict"] == "shows"


def test_buckets_are_taken_by_their_edges_however_many_there_are():
    frame = scores_frame(targets=300)
    frame["bucket"] = frame["bucket"].replace({"low": "far", "medium": "mid", "high": "close"})
    for edges in ({"close": 0.7, "far": 0.0, "mid": 0.3}, {"close": 0.5, "far": 0.0}):
        table = _build(frame, settings=BuildTablesSettings(statistics=STATISTICS, buckets=edges))
        for claim in ("zero_below_base_high", "similar_below_random_low", "contrastive_among_best"):
            assert _all(table, claim)["verdict"] == "shows"


def test_the_scale_of_the_headline_metric(tmp_path):
    frame = scores_frame(targets=300)
    percent = frame.assign(metric="bleu", value=frame["value"] * 100)
    # Statistics of BLEU: four orders with equal precision, so that the corpus value follows the mean.
    percent["stats"] = [[10, 10, *([v / 10] * 4), *([10] * 4)] for v in percent["value"]]
    settings = BuildTablesSettings(statistics=STATISTICS, headline={"lexicon": "bleu"})
    table = _build(percent, settings=settings)
    row = _all(table, "contrastive_among_best")
    assert row["threshold"] == -5 and row["metric"] == "bleu"
    assert _all(table, "zero_below_base_high")["difference"] > 20
    own = settings.model_copy(update={"claims": {"lexicon": TaskClaims(level_margin=0.02)}})
    assert _all(_build(percent, settings=own), "contrastive_among_best")["threshold"] == -2


def test_near_the_top_a_tenth_of_what_is_missing_counts():
    frame = scores_frame(targets=300)
    assert _all(_build(frame), "zero_below_base_high")["threshold"] == 0.02
    frame.loc[(frame["bucket"] == "high") & (frame["strategy"] == "zero"), "value"] = 0.95
    frame.loc[(frame["bucket"] == "high") & (frame["strategy"] == "base"), "value"] = 0.96
    row = _all(_build(frame), "zero_below_base_high")
    assert row["threshold"] == pytest.approx(0.005) and row["verdict"] == "shows"


def test_likelihoods_stand_in_where_nothing_was_generated(tmp_path):
    def likelihood(frame):
        frame = frame[frame["measure"] == "likelihood"]
        return frame.assign(value=-frame["value"])

    table = _build(scores_frame(), _probes(tmp_path, change=likelihood))
    row = _all(table, "random_loses_icl_early")
    assert row["metric"] == "likelihood" and row["quantity"].endswith("ICL-score (nats per label token)")
    assert row["threshold"] == 0.02


NAN = float("nan")
EFFECT, MARGIN = findings.Bar(0.0, 0.02), findings.Bar(-0.05, -0.05)


@pytest.mark.parametrize(
    ("value", "half", "p_shown", "p_refuted", "bar", "expected"),
    [
        (0.10, 0.05, 0.001, 0.001, EFFECT, "shows"),
        (0.10, 0.05, 0.200, 0.001, EFFECT, "can't tell"),  # lost to Holm
        (0.10, 0.11, 0.001, 0.200, EFFECT, "can't tell"),
        (0.01, 0.005, 0.001, 0.001, EFFECT, "shows, but small"),  # real but below the minimum
        (0.01, 0.009, 0.001, 0.200, EFFECT, "shows, but small"),
        (0.01, 0.005, 0.200, 0.001, EFFECT, "can't tell"),  # positive before Holm, not after
        (0.008, 0.010, 0.100, 0.001, EFFECT, "does not show"),  # nothing as large as the minimum, maybe nothing
        (0.008, 0.010, 0.100, 0.200, EFFECT, "can't tell"),  # lost to Holm
        (0.010, 0.012, 0.100, 0.060, EFFECT, "can't tell"),
        (-0.10, 0.09, 0.001, 0.001, EFFECT, "does not show"),
        (-0.10, 0.09, 0.001, 0.200, EFFECT, "can't tell"),
        (NAN, 0.05, 0.001, 0.001, EFFECT, "can't tell"),
        (-0.02, 0.02, 0.001, 0.001, MARGIN, "shows"),  # level within the margin
        (-0.10, 0.04, 0.001, 0.001, MARGIN, "does not show"),
        (-0.04, 0.03, 0.300, 0.300, MARGIN, "can't tell"),
    ],
)
def test_verdict_rules(value, half, p_shown, p_refuted, bar, expected):
    # Two runs without noise of clusters: the half-width is Student's.
    spread = half / 12.7062 * math.sqrt(2)
    cell = tidy.Cell(value, np.full(100, value), 100, 50, Runs((ModelRuns(2, spread, 0.0),), 1.0))
    assert findings.verdict(cell, p_shown, p_refuted, bar, 0.95) == expected


def test_claims_say_whom_they_compare_and_who_makes_them():
    for claim in CLAIMS:
        assert claim.source.startswith(("paper, ", "ours"))
        for role in (*claim.higher, *claim.lower):
            assert ROLES[role] in claim.text, (claim.name, role)
        assert claim.quantity not in PROBES or PROBES[claim.quantity].score in claim.text
        assert claim.quantity in OF_PROBES or any(word in claim.text for word in ("similarity", "bucket"))


#: Studies per case; `make test-simulations` takes more.
SIMULATIONS = int(os.environ.get("SIMULATIONS", "200"))


@pytest.fixture
def share_of(monkeypatch):
    """Build many simulated studies; return the share of them in which a claim gets one of some verdicts."""

    def share(claim, verdicts, means, clusters, min_effect=0.0, trials=SIMULATIONS, **options):
        (wanted,) = (entry for entry in CLAIMS if entry.name == claim)
        # The simulated studies have one bucket.
        monkeypatch.setattr(findings, "CLAIMS", [dataclasses.replace(wanted, quantity="high")])
        statistics = Statistics(min_effects={"token_accuracy": min_effect}, min_targets=1)
        settings = BuildTablesSettings(statistics=statistics, buckets={"high": 0.0})
        found = 0
        for trial in range(trials):
            # Mixed, which no claim here names, has learned a lot: all are judged.
            simulated = study(np.random.default_rng([trial, 7]), means | {"mixed": 9.0}, clusters, **options)
            table = findings.build(simulated, NO_PROBES, settings)
            found += table["verdict"].isin(verdicts).any()
        return found / trials

    return share


SHOWN = ("shows", "shows, but small")


@pytest.mark.parametrize(
    "options",
    [
        {"clusters": 10},
        {"clusters": 40},
        {"clusters": 40, "runs": 3},
        {"clusters": 40, "runs": 5, "run": [0.1, 0.1, 0.1, 0.8], "models": ("a", "b", "c", "d")},
        {"clusters": 40, "runs": 3, "run": [0.2, 1.6], "models": ("a", "b")},
    ],
    ids=["ten clusters", "one run", "three runs", "one of four models varies eight times as much", "one of two"],
)
def test_where_nothing_differs_at_most_5_percent_of_studies_show_a_claim(share_of, options):
    assert share_of("zero_below_base_high", SHOWN, {"base": 0.5, "zero": 0.5}, **options) <= 0.05


@pytest.mark.parametrize("runs", [1, 3])
def test_an_effect_that_counts_is_refuted_in_at_most_5_percent_of_studies(share_of, runs):
    # Four rivals in two compositions: eight chances to be refuted, at an effect that just counts.
    means = {"base": 0.5, "zero": 0.5, "random": 0.5, "similar": 0.5, "contrastive": 0.52}
    assert share_of("contrastive_best_mean", ("does not show",), means, 60, 0.02, runs=runs, scale=0.05) <= 0.05


def test_a_system_that_is_worse_is_refuted(share_of):
    means = {"base": 0.5, "zero": 0.5, "random": 0.5, "similar": 0.5, "contrastive": 0.45}
    assert share_of("contrastive_best_mean", ("does not show",), means, 60, 0.02, trials=20, scale=0.05) == 1


def test_a_deficit_of_the_margin_is_called_level_in_at_most_5_percent_of_studies(share_of):
    means = {"base": 0.1, "zero": 0.1, "random": 0.55, "similar": 0.1, "contrastive": 0.5}
    assert share_of("contrastive_among_best", SHOWN, means, 60, runs=3, scale=0.05) <= 0.05
    assert share_of("contrastive_among_best", SHOWN, means | {"random": 0.5}, 60, runs=3, scale=0.02, trials=20) == 1
