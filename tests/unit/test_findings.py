import numpy as np
import pandas as pd
import pytest

from contrastive_context.config.statistics import Statistics
from contrastive_context.evaluation import findings, tables
from synthetic_results import MEANS, scores_frame, write_probes

STATISTICS = Statistics(resamples=200)
SETTINGS = tables.Settings(statistics=STATISTICS)
NO_PROBES = tables.Cells()


def _build(frame, probes=NO_PROBES, settings=SETTINGS):
    return findings.build(tables.score_cells(frame, settings.statistics), probes, settings)


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
    settings = tables.Settings(
        statistics=STATISTICS, strategies={"ours": "contrastive", "plain": "zero", "random": "random"}
    )
    table = _build(frame, settings=settings)
    assert set(_rows(table, "contrastive_best_high")["verdict"]) == {"shows"}


def test_buckets_are_taken_by_their_edges():
    frame = scores_frame()
    frame["bucket"] = frame["bucket"].replace({"low": "far", "medium": "mid", "high": "close"})
    settings = tables.Settings(statistics=STATISTICS, buckets={"close": 0.7, "far": 0.0, "mid": 0.3})
    table = _build(frame, settings=settings)
    assert set(_rows(table, "contrastive_best_high")["verdict"]) == {"shows"}
    assert set(_rows(table, "contrastive_best_medium")["verdict"]) == {"shows"}
    settings = tables.Settings(statistics=STATISTICS, buckets={"close": 0.5, "far": 0.0})
    claims = set(_build(frame, settings=settings)["claim"])
    assert "contrastive_best_high" in claims and "contrastive_best_medium" not in claims


def test_headline_metric_and_its_scale():
    frame = scores_frame()
    percent = frame.assign(metric="bleu", value=frame["value"] * 100)
    # Statistics of BLEU: four orders with equal precision, so that the corpus value follows the mean.
    percent["stats"] = [[10, 10, *([v / 10] * 4), *([10] * 4)] for v in percent["value"]]
    settings = tables.Settings(statistics=STATISTICS, headline={"lexicon": "bleu"})
    table = _build(percent, settings=settings)
    near = _rows(table, "contrastive_near_random_low").iloc[0]
    assert near["threshold"] == -5 and near["metric"] == "bleu"
    assert _rows(table, "similar_far_below_zero_low").iloc[0]["threshold"] == pytest.approx(10)
    assert _rows(table, "zero_below_base_high").iloc[0]["difference"] > 20


def test_probe_claims(tmp_path):
    probes = tables.probe_cells(tables.read_probes(write_probes(tmp_path, models=("llama", "qwen3"))), STATISTICS)
    table = _build(scores_frame(models=("llama", "qwen3")), probes)
    for claim in ("similar_lowest_iwl", "random_loses_icl", "random_loses_icl_valid", "similar_highest_copy"):
        assert _rows(table, claim, "all")["verdict"].tolist() == ["2 of 2 models"], claim
    assert set(_rows(table, "contrastive_keeps_icl")["threshold"]) == {-0.1}


def test_likelihoods_stand_in_where_nothing_was_generated(tmp_path):
    frame = tables.read_probes(write_probes(tmp_path))
    frame = frame[frame["measure"] == "likelihood"].assign(value=lambda rows: -rows["value"])
    table = _build(scores_frame(), tables.probe_cells(frame, STATISTICS))
    rows = _rows(table, "random_loses_icl")
    assert set(rows["metric"]) == {"likelihood"} and rows["quantity"].str.contains("nats per label token").all()
    assert set(rows["verdict"]) == {"shows"}
    assert set(_rows(table, "contrastive_keeps_icl")["threshold"]) == {-0.1}


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.10, 0.05, 0.15, 0.001, 0.02, 50), "shows"),
        ((0.10, 0.05, 0.15, 0.200, 0.02, 50), "can't tell"),  # lost to Holm
        ((0.10, -0.01, 0.2, 0.001, 0.02, 50), "can't tell"),
        ((0.01, 0.005, 0.015, 0.001, 0.02, 50), "shows, but small"),  # real but below the minimum
        ((0.01, 0.005, 0.030, 0.001, 0.02, 50), "shows, but small"),
        ((0.01, 0.005, 0.015, 0.200, 0.02, 50), "can't tell"),  # positive before Holm, not after
        ((0.01, -0.002, 0.018, 0.100, 0.02, 50), "does not show"),  # nothing as large as the minimum, maybe nothing
        ((0.01, -0.002, 0.022, 0.100, 0.02, 50), "can't tell"),
        ((-0.1, -0.2, -0.01, 0.001, 0.0, 50), "does not show"),
        ((0.0, 0.0, 0.0, 1.0, 0.0, 50), "does not show"),
        ((0.10, 0.05, 0.15, 0.001, 0.02, 9), "can't tell"),
        ((float("nan"), 0.05, 0.15, 0.001, 0.02, 50), "can't tell"),
        ((-0.02, -0.04, 0.0, 0.001, -0.05, 50), "shows"),  # level within the margin
        ((-0.10, -0.14, -0.06, 0.001, -0.05, 50), "does not show"),
        ((-0.04, -0.07, -0.01, 0.3, -0.05, 50), "can't tell"),
    ],
)
def test_verdict_rules(numbers, expected):
    *values, clusters = numbers
    assert findings.verdict(*values, clusters, STATISTICS) == expected


def test_a_claim_about_the_size_isnt_shown_by_a_smaller_effect():
    assert findings.verdict(0.05, 0.03, 0.07, 0.001, 0.1, 50, STATISTICS, size=True) == "does not show"
    assert findings.verdict(0.09, 0.07, 0.11, 0.001, 0.1, 50, STATISTICS, size=True) == "can't tell"
    assert findings.verdict(0.12, 0.09, 0.15, 0.001, 0.1, 50, STATISTICS, size=True) == "shows"


def test_small_effects_are_counted_on_their_own():
    settings = tables.Settings(statistics=Statistics(resamples=200, min_effects={"token_accuracy": 0.9}))
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
    probes = tables.probe_cells(tables.read_probes(write_probes(tmp_path)), STATISTICS)
    table = _build(scores_frame(strategies=(*MEANS,)), probes)
    for claim in findings.CLAIMS:
        row = table[table["claim"] == claim.name].iloc[0]
        assert row["source"].startswith(("paper, ", "ours")) and "our reading" not in row["source"]
        if not claim.large:
            for role in (*claim.higher, *claim.lower):
                name = {"iwl": "Similar"}.get(claim.place, findings._NAMES[role])
                assert name in row["text"], (claim.name, role)
    assert set(_rows(table, "contrastive_above_mixed_high")["verdict"]) == {"shows"}
    assert set(_rows(table, "contrastive_above_mixed_high")["source"]) == {"ours"}
    assert "contrastive_above_mixed_high" not in set(_build(scores_frame())["claim"])


def test_equal_systems_are_rarely_called_different():
    rng = np.random.default_rng(0)
    wrong = 0
    for trial in range(15):
        frame = scores_frame(strategies=("base", "zero"), targets=60, clusters=30, rng=trial)
        frame["value"] = rng.normal(0.5, 0.1, len(frame))
        settings = tables.Settings(statistics=Statistics(resamples=100, min_effects={"token_accuracy": 0.0}))
        wrong += (_rows(_build(frame, settings=settings), "zero_below_base_high")["verdict"] == "shows").any()
    assert wrong <= 2
