import dataclasses

import numpy as np
import pandas as pd
import pytest

from contrastive_context.config.statistics import Statistics
from contrastive_context.tables import findings, tidy
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.tables.vocabulary import ROLES
from simulated_studies import study
from synthetic_results import MEANS, scores_frame, write_probes

STATISTICS = Statistics(resamples=200)
SETTINGS = BuildTablesSettings(statistics=STATISTICS)
NO_PROBES = tidy.Cells()


def _build(frame, probes=NO_PROBES, settings=SETTINGS):
    return findings.build(tidy.score_cells(frame, settings.statistics), probes, settings)


def _rows(table, claim, model=None):
    rows = table[table["claim"] == claim]
    return rows[rows["model"] != "all"] if model is None else rows[rows["model"] == model]


def test_verdicts_on_data_of_known_shape():
    table = _build(scores_frame(models=("llama", "qwen3"), targets=600, clusters=100))
    for claim in ("zero_below_base_high", "random_below_base_high", "similar_below_zero_low", "contrastive_best_high",
                  "contrastive_best_medium", "contrastive_near_random_low", "similar_far_below_zero_low"):  # fmt: skip
        assert set(_rows(table, claim)["verdict"]) == {"shows"}, claim
        assert _rows(table, claim, "all")["verdict"].tolist() == ["2 of 2 models"]
    # Here Random is better than Zero at high, the opposite of the claim.
    assert set(_rows(table, "random_below_zero_high")["verdict"]) == {"does not show"}
    assert _rows(table, "random_below_zero_high", "all")["verdict"].tolist() == ["0 of 2 models"]


def test_differences_are_those_of_the_means_and_support_is_positive():
    frame = scores_frame()
    row = _rows(_build(frame), "zero_below_base_high").iloc[0]
    means = frame[(frame["bucket"] == "high") & (frame["composition"] == row["composition"])]
    means = means.groupby("strategy")["value"].mean()
    assert row["difference"] == pytest.approx(means["base"] - means["zero"])
    assert row["ci_low"] < row["difference"] < row["ci_high"]
    assert row["scope"] == "for this training run" and row["seed"] == 0


def test_best_names_the_closest_rival():
    row = _rows(_build(scores_frame()), "contrastive_best_high").iloc[0]
    assert row["quantity"].startswith("Contrastive − Similar") or row["quantity"].startswith("Contrastive − base")


def test_a_claim_must_hold_in_every_composition():
    frame = scores_frame()
    swap = (frame["strategy"] == "zero") & (frame["bucket"] == "high") & (frame["composition"] == "top_k")
    frame.loc[swap, "value"] = 1.0
    table = _build(frame)
    assert sorted(_rows(table, "zero_below_base_high")["verdict"]) == ["does not show", "shows"]
    assert _rows(table, "zero_below_base_high", "all")["verdict"].tolist() == ["0 of 1 model"]


def test_a_claim_measured_in_one_of_two_compositions_cannot_be_told():
    frame = scores_frame(models=("llama", "qwen3"))
    settings = BuildTablesSettings(statistics=STATISTICS, compositions={"lexicon": ["one_graded", "top_k"]})
    gone = (frame["composition"] == "top_k") & (frame["bucket"] == "high")
    total = _rows(_build(frame[~gone], settings=settings), "zero_below_base_high", "all").iloc[0]
    assert total["verdict"] == "0 of 2 models"
    assert total["quantity"] == "0 show, 0 do not, 2 can't tell"
    assert total["scope"] == "for this training run, measured in one composition only"
    total = _rows(
        _build(frame[~(gone & (frame["model"] == "qwen3"))], settings=settings), "zero_below_base_high", "all"
    )
    assert total["verdict"].tolist() == ["1 of 2 models"]
    assert total["scope"].tolist() == ["for this training run, measured in one composition only (1 of 2 models)"]
    # Elsewhere both were measured.
    whole = _rows(_build(frame[~gone], settings=settings), "similar_below_random_low", "all").iloc[0]
    assert (whole["verdict"], whole["scope"]) == ("2 of 2 models", "for this training run")


def test_a_task_of_one_composition_says_so():
    frame = scores_frame()
    settings = BuildTablesSettings(statistics=STATISTICS, compositions={"lexicon": ["one_graded"]})
    table = _build(frame[frame["composition"] != "top_k"], settings=settings)
    total = _rows(table, "zero_below_base_high", "all").iloc[0]
    assert (total["verdict"], total["scope"]) == ("1 of 1 model", "for this training run, in one composition")


def test_several_seeds():
    row = _rows(_build(scores_frame(seeds=(0, 1, 2))), "similar_below_random_low").iloc[0]
    assert row["scope"] == "over 3 training runs" and pd.isna(row["seed"])
    assert row["verdict"] == "shows"


def test_two_runs_that_disagree_cannot_tell():
    frame = scores_frame(seeds=(0, 1), strategies=("base", "zero"), targets=600)
    high = (frame["bucket"] == "high") & (frame["strategy"] == "zero")
    # The runs' differences to the base are 0.1 and 0.3: each is far above the noise of the targets.
    frame.loc[frame["bucket"] == "high", "value"] = 0.7
    frame.loc[high, "value"] = 0.5 + np.where(frame.loc[high, "seed"] == 0, 0.1, -0.1)
    rows = _rows(_build(frame), "zero_below_base_high")
    assert rows["difference"].tolist() == pytest.approx([0.2, 0.2])
    assert set(rows["verdict"]) == {"can't tell"} and (rows["ci_low"] < 0).all()
    one = _rows(_build(frame[frame["seed"].isna() | (frame["seed"] == 0)]), "zero_below_base_high")
    assert set(one["verdict"]) == {"shows"} and set(one["scope"]) == {"for this training run"}


def test_missing_system_cannot_tell_and_absent_strategy_is_left_out():
    frame = scores_frame(models=("llama", "qwen3"))
    table = _build(frame[~((frame["model"] == "qwen3") & (frame["strategy"] == "zero"))])
    rows = _rows(table, "zero_below_base_high", "qwen3")
    assert set(rows["verdict"]) == {"can't tell"} and rows["difference"].isna().all()
    assert _rows(table, "zero_below_base_high", "all")["verdict"].tolist() == ["1 of 2 models"]
    table = _build(scores_frame(strategies=("base", "random", "contrastive")))
    assert "zero_below_base_high" not in set(table["claim"])
    assert "random_below_base_high" in set(table["claim"])


def test_too_few_clusters_cannot_tell():
    table = _build(scores_frame(clusters=5))
    assert set(table.loc[table["model"] != "all", "verdict"]) == {"can't tell"}


def test_strategies_may_have_other_names():
    frame = scores_frame()
    frame["strategy"] = frame["strategy"].replace({"contrastive": "ours", "zero": "plain"})
    settings = BuildTablesSettings(
        statistics=STATISTICS, strategies={"ours": "contrastive", "plain": "zero", "random": "random"}
    )
    table = _build(frame, settings=settings)
    assert set(_rows(table, "contrastive_best_high")["verdict"]) == {"shows"}


def test_buckets_are_taken_by_their_edges():
    frame = scores_frame()
    frame["bucket"] = frame["bucket"].replace({"low": "far", "medium": "mid", "high": "close"})
    settings = BuildTablesSettings(statistics=STATISTICS, buckets={"close": 0.7, "far": 0.0, "mid": 0.3})
    table = _build(frame, settings=settings)
    assert set(_rows(table, "contrastive_best_high")["verdict"]) == {"shows"}
    assert set(_rows(table, "contrastive_best_medium")["verdict"]) == {"shows"}
    settings = BuildTablesSettings(statistics=STATISTICS, buckets={"close": 0.5, "far": 0.0})
    claims = set(_build(frame, settings=settings)["claim"])
    assert "contrastive_best_high" in claims and "contrastive_best_medium" not in claims


def test_headline_metric_and_its_scale():
    frame = scores_frame()
    percent = frame.assign(metric="bleu", value=frame["value"] * 100)
    # Statistics of BLEU: four orders with equal precision, so that the corpus value follows the mean.
    percent["stats"] = [[10, 10, *([v / 10] * 4), *([10] * 4)] for v in percent["value"]]
    settings = BuildTablesSettings(statistics=STATISTICS, headline={"lexicon": "bleu"})
    table = _build(percent, settings=settings)
    near = _rows(table, "contrastive_near_random_low").iloc[0]
    assert near["threshold"] == -5 and near["metric"] == "bleu"
    assert _rows(table, "similar_far_below_zero_low").iloc[0]["threshold"] == pytest.approx(10)
    assert _rows(table, "zero_below_base_high").iloc[0]["difference"] > 20


def test_probe_claims(tmp_path):
    probes = tidy.probe_cells(tidy.read_probes(write_probes(tmp_path, models=("llama", "qwen3"))), STATISTICS)
    table = _build(scores_frame(models=("llama", "qwen3")), probes)
    for claim in ("similar_lowest_iwl", "random_loses_icl", "random_loses_icl_valid", "similar_highest_copy"):
        assert _rows(table, claim, "all")["verdict"].tolist() == ["2 of 2 models"], claim
    assert set(_rows(table, "contrastive_keeps_icl")["threshold"]) == {-0.1}


def test_likelihoods_stand_in_where_nothing_was_generated(tmp_path):
    frame = tidy.read_probes(write_probes(tmp_path))
    frame = frame[frame["measure"] == "likelihood"].assign(value=lambda rows: -rows["value"])
    table = _build(scores_frame(), tidy.probe_cells(frame, STATISTICS))
    rows = _rows(table, "random_loses_icl")
    assert set(rows["metric"]) == {"likelihood"} and rows["quantity"].str.contains("nats per label token").all()
    assert set(rows["verdict"]) == {"shows"}
    assert set(_rows(table, "contrastive_keeps_icl")["threshold"]) == {-0.1}


EFFECT, MARGIN, LARGE = findings.Bar(0.0, 0.02), findings.Bar(-0.05, -0.05), findings.Bar(0.1, 0.1)
NAN = float("nan")


@pytest.mark.parametrize(
    ("interval", "p_shown", "p_refuted", "bar", "expected"),
    [
        ((0.10, 0.05, 0.15), 0.001, 0.001, EFFECT, "shows"),
        ((0.10, 0.05, 0.15), 0.200, 0.001, EFFECT, "can't tell"),  # lost to Holm
        ((0.10, -0.01, 0.2), 0.001, 0.2, EFFECT, "can't tell"),
        ((0.01, 0.005, 0.015), 0.001, 0.001, EFFECT, "shows, but small"),  # real but below the minimum
        ((0.01, 0.005, 0.030), 0.001, 0.2, EFFECT, "shows, but small"),
        ((0.01, 0.005, 0.015), 0.200, 0.001, EFFECT, "can't tell"),  # positive before Holm, not after
        ((0.01, -0.002, 0.018), 0.1, 0.001, EFFECT, "does not show"),  # nothing as large as the minimum, maybe nothing
        ((0.01, -0.002, 0.018), 0.1, 0.2, EFFECT, "can't tell"),  # lost to Holm
        ((0.01, -0.002, 0.022), 0.1, 0.06, EFFECT, "can't tell"),
        ((-0.1, -0.2, -0.01), 0.001, 0.001, EFFECT, "does not show"),
        ((-0.1, -0.2, -0.01), 0.001, 0.2, EFFECT, "can't tell"),
        ((0.0, 0.0, 0.0), 1.0, 0.0, EFFECT, "does not show"),
        ((NAN, 0.05, 0.15), 0.001, 0.001, EFFECT, "can't tell"),
        ((-0.02, -0.04, 0.0), 0.001, 0.001, MARGIN, "shows"),  # level within the margin
        ((-0.10, -0.14, -0.06), 0.001, 0.001, MARGIN, "does not show"),
        ((-0.04, -0.07, -0.01), 0.3, 0.3, MARGIN, "can't tell"),
        ((0.12, 0.105, 0.135), 0.001, 0.001, LARGE, "shows"),
        ((0.12, 0.09, 0.15), 0.2, 0.2, LARGE, "can't tell"),  # above 0 for certain, above .1 not
        ((0.09, 0.07, 0.11), 0.2, 0.2, LARGE, "can't tell"),
        ((0.05, 0.03, 0.07), 0.001, 0.001, LARGE, "does not show"),
    ],
)
def test_verdict_rules(interval, p_shown, p_refuted, bar, expected):
    for clusters, verdict in ((50, expected), (9, "can't tell")):
        pair = findings.Pair(*interval, p_above=NAN, p_below=NAN, clusters=clusters)
        assert findings.verdict(pair, p_shown, p_refuted, bar, STATISTICS) == verdict


def test_small_effects_are_counted_on_their_own():
    settings = BuildTablesSettings(statistics=Statistics(resamples=200, min_effects={"token_accuracy": 0.9}))
    table = _build(scores_frame(models=("llama", "qwen3"), targets=600, clusters=100), settings=settings)
    assert set(_rows(table, "zero_below_base_high")["verdict"]) == {"shows, but small"}
    total = _rows(table, "zero_below_base_high", "all").iloc[0]
    assert total["verdict"] == "0 of 2 models"
    assert total["quantity"] == "0 show, 2 show but small, 0 do not, 0 can't tell"


def test_harder_thresholds_arent_counted_again():
    table = _build(scores_frame())
    assert set(table.loc[~table["counted"], "claim"]) == {"similar_far_below_zero_low", "similar_far_below_random_low"}
    claims = list(dict.fromkeys(table["claim"]))
    for name in ("zero", "random"):  # right under the row they repeat
        assert claims.index(f"similar_far_below_{name}_low") == claims.index(f"similar_below_{name}_low") + 1


def test_claims_say_whom_they_compare_and_who_makes_them(tmp_path):
    probes = tidy.probe_cells(tidy.read_probes(write_probes(tmp_path)), STATISTICS)
    table = _build(scores_frame(strategies=(*MEANS,)), probes)
    for claim in findings.CLAIMS:
        row = table[table["claim"] == claim.name].iloc[0]
        assert row["source"].startswith(("paper, ", "ours")) and "our reading" not in row["source"]
        if not claim.large:
            for role in (*claim.higher, *claim.lower):
                name = {"iwl": "Similar"}.get(claim.bucket_or_probe, ROLES[role])
                assert name in row["text"], (claim.name, role)
    assert set(_rows(table, "contrastive_above_mixed_high")["verdict"]) == {"shows"}
    assert set(_rows(table, "contrastive_above_mixed_high")["source"]) == {"ours"}
    assert "contrastive_above_mixed_high" not in set(_build(scores_frame())["claim"])


@pytest.fixture
def share_of(monkeypatch):
    """Build many simulated studies; return the share of them in which a claim gets one of some verdicts."""

    def share(claim, verdicts, means, clusters, min_effect=0.0, trials=200, **options):
        monkeypatch.setattr(findings, "CLAIMS", [entry for entry in findings.CLAIMS if entry.name == claim])
        settings = BuildTablesSettings(statistics=Statistics(min_effects={"token_accuracy": min_effect}))
        found = 0
        for trial in range(trials):
            table = findings.build(study(np.random.default_rng([trial, 7]), means, clusters, **options), NO_PROBES,
                                   settings)  # fmt: skip
            found += table["verdict"].isin(verdicts).any()
        return found / trials

    return share


@pytest.mark.parametrize(("clusters", "runs"), [(10, 1), (40, 1), (40, 3)])
def test_where_nothing_differs_at_most_5_percent_of_studies_show_a_claim(share_of, clusters, runs):
    means = {"base": 0.5, "zero": 0.5}
    options = {"models": ("llama", "qwen3"), "runs": runs}
    assert share_of("zero_below_base_high", ("shows", "shows, but small"), means, clusters, **options) <= 0.05


@pytest.mark.parametrize("runs", [1, 3])
def test_an_effect_that_counts_is_refuted_in_at_most_5_percent_of_studies(share_of, runs):
    # Four rivals in two compositions: eight chances to be refuted, at an effect that just counts.
    means = {"base": 0.5, "zero": 0.5, "random": 0.5, "similar": 0.5, "contrastive": 0.52}
    refuted = share_of("contrastive_best_high", ("does not show",), means, 60, 0.02, runs=runs, scale=0.05)
    assert refuted <= 0.05


def test_a_system_that_is_worse_is_refuted(share_of):
    means = {"base": 0.5, "zero": 0.5, "random": 0.5, "similar": 0.5, "contrastive": 0.45}
    assert share_of("contrastive_best_high", ("does not show",), means, 60, 0.02, trials=20, scale=0.05) == 1


def test_an_effect_a_little_below_a_tenth_is_rarely_called_larger(share_of, monkeypatch):
    # As the claim has it, only at high similarity.
    claim = next(claim for claim in findings.CLAIMS if claim.name == "similar_far_below_zero_low")
    monkeypatch.setattr(findings, "CLAIMS", [dataclasses.replace(claim, bucket_or_probe="high")])
    means = {"zero": 0.59, "similar": 0.5}
    assert share_of(claim.name, ("shows",), means, 60, scale=0.05) <= 0.05
