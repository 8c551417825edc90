"""The series beside the headline, from contexts to the figure; and what must hold of the contexts of built tasks."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from contrastive_context.core.artifacts import read_json
from frozen_contexts import check_task
from runner import make_checkout, run

REPOSITORY = Path(__file__).resolve().parents[2]
BUILT = sorted(REPOSITORY.glob("results/*/contexts/*/eval.parquet"))
TASKS = ["words", "lexicon", "idiom"]
TARGETS = [
    *(f"results/series/contexts/{task}/{kind}.parquet" for task in TASKS for kind in ("eval", "probes")),
    *(f"results/series/paraphrases/{task}/train/{task}.parquet" for task in ("lexicon", "idiom")),
    "results/series/rebucketed/words/bm25/scores.csv",
    "results/series/examples/words/tiny-llama.parquet",
    "fig3",
]


@pytest.fixture(scope="module")
def results(repository, tmp_path_factory) -> Path:
    """The results of a small grid, without the steps that don't know of series."""
    folder = make_checkout(
        repository, tmp_path_factory.mktemp("series") / "checkout", repository / "tests/e2e/series.yaml"
    )
    run(folder, "--", *TARGETS)
    return folder / "results/series"


@pytest.fixture(scope="module")
def scores(results) -> pd.DataFrame:
    return pd.read_parquet(results / "tables/scores.parquet")


@pytest.mark.parametrize("task", TASKS)
def test_no_context_gives_its_target_away(results, task):
    assert check_task(results, task) > 500


@pytest.mark.parametrize("fault", ["target", "gold", "headline", "trained"])
def test_a_context_that_does_is_found(results, tmp_path, fault):
    shutil.copytree(results / "contexts/words", tmp_path / "contexts/words")
    for name in ("corpus", "paraphrases"):
        shutil.copytree(results / name, tmp_path / name)
    path = tmp_path / "contexts/words/eval.parquet"
    frame = pd.read_parquet(path)
    graded = frame["example_ids"].map(len) > 0
    first = frame.index[graded & frame["series"].map(lambda names: "same_targets" in names)][0]
    replaced = frame.index[graded & frame["series"].map(lambda names: "stand_ins" in names)][0]
    ids = list(frame.loc[first, "example_ids"])
    if fault == "target":
        frame.at[first, "example_ids"] = [frame.loc[replaced, "target_id"], *ids[1:]]
    elif fault == "gold":
        arrivals = pd.read_parquet(tmp_path / "corpus/words/arrivals.parquet").set_index("id")
        test = pd.read_parquet(tmp_path / "corpus/words/test.parquet").set_index("id")
        arrivals.loc[ids[0], "target"] = test.loc[frame.loc[first, "target_id"], "target"]
        arrivals.reset_index().to_parquet(tmp_path / "corpus/words/arrivals.parquet")
    elif fault == "headline":
        frame.at[replaced, "series"] = ["same_targets"]
    else:
        (tmp_path / "paraphrases/words/train").mkdir()
        shutil.copy(tmp_path / "paraphrases/words/test/lexicon.parquet", tmp_path / "paraphrases/words/train")
    frame.to_parquet(path)
    with pytest.raises(AssertionError):
        check_task(tmp_path, "words")


@pytest.mark.skipif(not BUILT, reason="this checkout has no results")
@pytest.mark.parametrize("contexts", BUILT, ids=lambda path: f"{path.parents[2].name}-{path.parent.name}")
def test_no_context_of_this_checkouts_results_gives_its_target_away(contexts):
    assert check_task(contexts.parents[2], contexts.parent.name) > 0


@pytest.mark.parametrize("role", ["irrelevant", "icl_relevant"])
@pytest.mark.parametrize("fault", ["target", "gold", "foreign"])
def test_a_probe_prompt_that_does_is_found(results, tmp_path, role, fault):
    for name in ("contexts/lexicon", "corpus/lexicon", "paraphrases/lexicon"):
        shutil.copytree(results / name, tmp_path / name)
    path = tmp_path / "contexts/lexicon/probes.parquet"
    frame = pd.read_parquet(path)
    at = frame.index[frame["role"] == role][0]
    test = pd.read_parquet(tmp_path / "corpus/lexicon/test.parquet").set_index("id")
    if fault == "gold":
        arrivals = pd.read_parquet(tmp_path / "corpus/lexicon/arrivals.parquet")
        shown = next(text for text in frame.loc[at, "example_sources"] if text in set(arrivals["source"]))
        gold = test.loc[frame.loc[at, "target_id"], "target"]
        arrivals.loc[arrivals["source"] == shown, "target"] = gold
        arrivals.to_parquet(tmp_path / "corpus/lexicon/arrivals.parquet")
        frame.at[at, "example_targets"] = [
            gold if source == shown else target
            for source, target in zip(frame.loc[at, "example_sources"], frame.loc[at, "example_targets"], strict=True)
        ]
    else:
        source = test.loc[frame.loc[at, "target_id"], "source"] if fault == "target" else "s001 s002"
        frame.at[at, "example_sources"] = [source, *frame.loc[at, "example_sources"][1:]]
    frame.to_parquet(path)
    with pytest.raises(AssertionError):
        check_task(tmp_path, "lexicon")


def test_stand_ins_are_answered_scored_and_drawn_as_a_series_of_their_own(results, scores):
    used = read_json(results / "contexts/words/eval.coverage.json")["in_domain"]["stand_ins"]["used"]
    assert used["high"] >= 3 and used["low"] == 0
    stand_ins = scores[scores["series"] == "stand_ins"]
    assert set(stand_ins["strategy"]) == {"base", "zero", "nearest_label"}
    assert set(stand_ins["composition"]) == {"one_graded", "top_k", "zero_context"}
    assert set(stand_ins["bucket"]) == {"high"} and set(stand_ins["n"]) == {used["high"]}
    drawn = pd.read_csv(results / "figures/fig3_appendix.csv")
    assert set(drawn["series"]) == {"same_targets", "all_targets", "stand_ins"}
    examples = pd.read_parquet(results / "examples/words/tiny-llama.parquet")
    assert examples["series"].map(lambda names: "stand_ins" in names).any()


def test_the_headline_has_the_same_targets_and_nothing_else(results, scores):
    headline = scores[scores["series"] == "same_targets"]
    assert set(headline["n"]) == {12}
    drawn = pd.read_csv(results / "figures/fig3_similarity_grid.csv")
    assert set(drawn["series"]) == {"same_targets"} and drawn["n"].dropna().eq(12).all()


def test_each_bucket_of_all_targets_has_its_own_score_without_examples(scores):
    every = scores[(scores["series"] == "all_targets") & (scores["strategy"] == "base")]
    counts = every.pivot(index="bucket", columns="composition", values="n")
    assert counts.loc["high"].max() < counts.loc["low"].max() == 20
    assert (counts["zero_context"] == counts["one_graded"]).all() and (counts["top_k"] == counts["one_graded"]).all()


def test_answers_are_rebucketed_without_a_model(results, scores):
    moved = pd.read_csv(results / "rebucketed/words/bm25/scores.csv")
    assert set(moved["strategy"]) == set(scores["strategy"]) and "stand_ins" not in set(moved["series"])
    answers = moved[(moved["series"] == "all_targets") & (moved["composition"] == "one_graded")]
    # As many answers as there were; only buckets have changed.
    contexts = pd.read_parquet(results / "contexts/words/eval.parquet")
    real = contexts[(contexts["composition"] == "one_graded") & contexts["series"].map(lambda s: "stand_ins" not in s)]
    assert answers[answers["strategy"] == "base"]["n"].sum() == len(real)
