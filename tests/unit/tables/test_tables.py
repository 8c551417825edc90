import numpy as np
import pandas as pd
import pytest

from contrastive_context.config.statistics import Statistics
from contrastive_context.core.errors import UserError
from contrastive_context.tables import tidy
from synthetic_results import probes_frame, scores_frame, write_probes, write_scores

STATISTICS = Statistics(resamples=200)


def _score_table(frame):
    return tidy.table(tidy.score_cells(frame, STATISTICS), STATISTICS, "bucket")


def test_one_row_per_cell_with_mean_and_interval():
    frame = scores_frame()
    table = _score_table(frame)
    keys = ["task", "test_set", "model", "strategy", "seed", "seeds", "step", "composition", "bucket", "metric"]
    assert not table.duplicated(keys).any()
    expected = frame.groupby(["strategy", "composition", "bucket"])["value"].mean()
    for row in table.itertuples():
        assert row.value == pytest.approx(expected[row.strategy, row.composition, row.bucket])
        assert row.ci_low <= row.value <= row.ci_high and row.n == 120 and row.clusters == 40


def test_base_and_nearest_label_have_no_seed():
    table = _score_table(scores_frame(seeds=(0, 1)))
    untrained = table[table["strategy"].isin(["base", "nearest_label"])]
    assert untrained["seed"].isna().all() and (untrained["seeds"] == 0).all()
    assert set(table.loc[table["strategy"] == "nearest_label", "model"]) == {"none"}


def test_several_seeds_get_a_pooled_row():
    table = _score_table(scores_frame(seeds=(0, 1, 2)))
    zero = table[(table["strategy"] == "zero") & (table["composition"] == "top_k") & (table["bucket"] == "low")]
    assert zero["seeds"].tolist() == [3, 1, 1, 1]
    assert zero["value"].iloc[0] == pytest.approx(zero["value"].iloc[1:].mean())


def test_intervals_over_few_runs_are_wide_but_end_with_the_scale():
    frame = scores_frame(seeds=(0, 1))
    shifted = (frame["strategy"] == "zero") & (frame["seed"] == 1)
    frame.loc[shifted, "value"] = (frame.loc[shifted, "value"] + 0.2).clip(0, 1)
    table = _score_table(frame)
    zero = table[(table["strategy"] == "zero") & (table["composition"] == "top_k") & (table["bucket"] == "low")]
    assert zero["seeds"].tolist() == [2, 1, 1]
    pooled, *single = (zero["ci_high"] - zero["ci_low"]).tolist()
    assert pooled == pytest.approx(1.0) and max(single) < 0.1
    assert table["ci_low"].min() >= 0 and table["ci_high"].max() <= 1


def test_missing_cells_stay_missing():
    frame = scores_frame()
    gone = (frame["strategy"] == "zero") & (frame["bucket"] == "high")
    table = _score_table(frame[~gone])
    assert not ((table["strategy"] == "zero") & (table["bucket"] == "high")).any()
    frame.loc[gone, "value"] = np.nan
    table = _score_table(frame)
    assert not ((table["strategy"] == "zero") & (table["bucket"] == "high")).any()
    assert table["value"].notna().all()


def test_one_cluster_has_no_interval():
    table = _score_table(scores_frame(clusters=1))
    assert table[["ci_low", "ci_high"]].isna().all().all() and table["value"].notna().all()


def test_results_do_not_depend_on_what_else_is_in_the_study():
    alone = _score_table(scores_frame(models=("llama",)))
    both = pd.concat([scores_frame(models=("llama",)), scores_frame(task="other", models=("x",), rng=5)])
    merged = _score_table(both)
    pd.testing.assert_frame_equal(alone, merged[merged["task"] == "lexicon"].reset_index(drop=True))


def test_probe_tables_take_names_from_paths(tmp_path):
    paths = write_probes(tmp_path, seeds=(4,))
    frame = tidy.read_probes(paths)
    assert set(frame["task"]) == {"lexicon"} and set(frame["model"]) == {"llama"}
    assert set(frame["seed"].dropna()) == {4}
    table = tidy.table(tidy.probe_cells(frame, STATISTICS), STATISTICS, "probe")
    assert set(table["probe"]) == {"iwl", "icl", "icl_valid", "copy"} and set(table["composition"]) == {"none"}
    assert set(table.loc[table["strategy"] == "base", "step"]) == {0}
    wrong = tmp_path / "lexicon" / "llama" / "nonsense.parquet"
    probes_frame("base").to_parquet(wrong)
    with pytest.raises(UserError, match="system 'nonsense'"):
        tidy.read_probes([wrong])


def test_no_probes_is_an_empty_table():
    table = tidy.table(tidy.probe_cells(tidy.read_probes([]), STATISTICS), STATISTICS, "probe")
    assert len(table) == 0 and "probe" in table.columns


def in_series(frame, series):
    return frame.assign(series=[[series]] * len(frame), prompt_id=frame["prompt_id"] + series)


def test_every_series_has_its_rows_and_the_headline_knows_nothing_of_the_others():
    frame = scores_frame(targets=30)
    # In the sample of all targets ten targets have no prompt of high similarity.
    few = frame["target_id"].isin([f"t{i}" for i in range(10)])
    every = in_series(frame[~(few & (frame["bucket"] == "high"))], "all_targets")
    table = tidy.score_table(pd.concat([in_series(frame, "same_targets"), every]), STATISTICS)
    headline = table[table["series"] == "same_targets"].drop(columns="series")
    pd.testing.assert_frame_equal(headline.reset_index(drop=True), _score_table(frame))
    base = table[(table["series"] == "all_targets") & (table["strategy"] == "base")].set_index(
        ["composition", "bucket"]
    )
    assert base["n"].to_dict() == {
        (composition, bucket): 20 if bucket == "high" else 30
        for composition in ("one_graded", "top_k", "zero_context")
        for bucket in ("low", "medium", "high")
    }
    # Easier targets in a bucket show in its own score without any example.
    bare = frame[(frame["strategy"] == "base") & (frame["composition"] == "zero_context")]
    assert base.loc[("zero_context", "high"), "value"] == pytest.approx(bare[~few]["value"].mean())
    assert base.loc[("zero_context", "low"), "value"] == pytest.approx(bare["value"].mean())


def test_scores_without_series_are_the_headlines():
    table = tidy.score_table(scores_frame(), STATISTICS)
    assert set(table["series"]) == {"same_targets"}
    pd.testing.assert_frame_equal(table.drop(columns="series"), _score_table(scores_frame()))


def test_same_task_and_model_twice_is_refused(tmp_path):
    paths = write_scores(tmp_path / "a") + write_scores(tmp_path / "b")
    with pytest.raises(UserError, match="give each once"):
        tidy.read_scores(paths)


def test_written_table_reads_back(tmp_path):
    table = _score_table(scores_frame())
    parquet, csv = tidy.write_table(table, tmp_path, "scores")
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), table)
    assert len(pd.read_csv(csv)) == len(table)
