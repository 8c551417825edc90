"""The table of prompts with their answers, and the sample of it that the report shows."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from context_samples import random_ids
from contrastive_context.core.errors import UserError
from contrastive_context.report.browser import browser
from contrastive_context.tables.examples import collect
from contrastive_context.tables.settings import CollectExamplesSettings

HOSTILE = '</script><script>alert("x")</script> & \u2028 שלום 😀'
TITLES = {"tasks": {}, "models": {}, "strategies": {}}


@pytest.fixture
def files(tmp_path):
    """Two targets with one example each and one without, answered by two systems."""
    targets, arrivals = random_ids(2, 1), random_ids(2, 2)
    corpus = pd.DataFrame({"id": targets, "source": ["s0", HOSTILE], "target": ["g0", "g1"]})
    corpus.to_parquet(tmp_path / "test.parquet")
    corpus.assign(id=arrivals, source=["a0", "a1"]).to_parquet(tmp_path / "arrivals.parquet")
    prompts = [(f"{target}.{bucket}", target, bucket) for target in targets for bucket in ("none", "high")]
    common = {"test_set": "in_domain", "composition": "top_k"}
    contexts = [
        {"prompt_id": prompt, "target_id": target, "bucket": bucket, **common,
         "example_ids": arrivals[:1] if bucket == "high" else [], "similarities": [0.8] if bucket == "high" else []}
        for prompt, target, bucket in prompts
    ]  # fmt: skip
    pd.DataFrame(contexts).to_parquet(tmp_path / "eval.parquet")
    scores = []
    for system, strategy, seed in (("base", "base", None), ("zero-seed3", "zero", 3)):
        lines = [
            {"prompt_id": prompt, "target_id": target, "bucket": bucket, **common, "step": 0, "stop_reason": "stop",
             "output": f"{system} on {bucket}", "examples": 1, "dropped_examples": 0}
            for prompt, target, bucket in prompts
        ]  # fmt: skip
        (tmp_path / f"{system}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for metric, value in (("chrf++", 50.0), ("exact_match", 0.0)):
            scores += [
                {"strategy": strategy, "seed": seed, "prompt_id": line["prompt_id"], "metric": metric, "value": value}
                for line in lines
            ]
    frame = pd.DataFrame(scores)
    frame.astype({"seed": "Int64"}).to_parquet(tmp_path / "scores.parquet")
    return tmp_path


def table(folder, systems=("base", "zero-seed3"), paraphrases=None):
    return collect(
        CollectExamplesSettings(
            task="toy", model_name="small", metric="chrf++", buckets={"high": 0.67, "low": 0.0, "medium": 0.33}
        ),
        [folder / f"{system}.jsonl" for system in systems],
        *(folder / f"{name}.parquet" for name in ("scores", "eval", "arrivals", "test")),
        paraphrases,
    )


def test_a_row_holds_what_belongs_to_a_prompt(files):
    rows = table(files).to_pylist()
    assert [row["bucket"] for row in rows] == ["none", "high"] * 2
    assert rows[0]["context"] == [] and rows[0]["gold"] == "g0"
    assert rows[3]["source"] == HOSTILE
    assert rows[3]["context"] == [{"source": "a0", "target": "g0", "similarity": 0.8, "grade": "high"}]
    assert [
        (answer["strategy"], answer["seed"], answer["output"], answer["score"]) for answer in rows[1]["answers"]
    ] == [
        ("base", None, "base on high", 50.0),
        ("zero", 3, "zero-seed3 on high", 50.0),
    ]


def test_an_example_has_the_grade_of_its_own_similarity_and_a_paraphrase_is_a_stand_in(files):
    contexts = pd.read_parquet(files / "eval.parquet")
    arrivals = pd.read_parquet(files / "arrivals.parquet")
    (stand_in,) = random_ids(1, 3)
    arrivals[:1].assign(id=stand_in, source="rephrased").to_parquet(files / "paraphrases.parquet")
    place = contexts.index[contexts["bucket"] == "high"][0]
    contexts.at[place, "example_ids"] = [*arrivals["id"], arrivals["id"][0], stand_in]
    contexts.at[place, "similarities"] = [0.1, 0.33, 0.8, 0.9]
    contexts.to_parquet(files / "eval.parquet")
    context = table(files, paraphrases=files / "paraphrases.parquet").to_pylist()[place]["context"]
    assert [example["grade"] for example in context] == ["low", "medium", "high", "stand-in"]
    assert context[-1]["source"] == "rephrased"


def test_what_does_not_fit_is_named(files):
    scores = pd.read_parquet(files / "scores.parquet")
    scores[scores["strategy"] == "base"].to_parquet(files / "scores.parquet")
    with pytest.raises(UserError, match=r"scores\.parquet: no chrf\+\+ of prompt .* by zero-seed3"):
        table(files)
    corpus = pd.read_parquet(files / "arrivals.parquet")
    corpus[1:].to_parquet(files / "arrivals.parquet")
    with pytest.raises(UserError, match=r"eval\.parquet: id \w+ is in neither"):
        table(files, ["base"])


def test_data_can_neither_end_its_block_nor_open_a_tag(files):
    pq.write_table(table(files), files / "examples.parquet")
    made = browser([files / "examples.parquet"], TITLES)
    assert made.shown == made.total == 4
    assert not set("<>&\u2028") & set(made.data)
    assert json.loads(made.data)["prompts"][3]["source"] == HOSTILE


def test_the_sample_is_bounded_and_of_whole_targets(files, monkeypatch):
    monkeypatch.setattr("contrastive_context.report.browser.LIMIT", 2)
    pq.write_table(table(files), files / "examples.parquet")
    made = browser([files / "examples.parquet"], TITLES)
    prompts = json.loads(made.data)["prompts"]
    assert (made.shown, made.total) == (2, 4)
    assert len({prompt["target_id"] for prompt in prompts}) == 1


def test_long_texts_are_cut_and_say_so(files):
    corpus = pd.read_parquet(files / "test.parquet").assign(target="x" * 10_000)
    corpus.to_parquet(files / "test.parquet")
    pq.write_table(table(files), files / "examples.parquet")
    gold = json.loads(browser([files / "examples.parquet"], TITLES).data)["prompts"][0]["gold"]
    assert gold == "x" * 4000 + "… (6000 more characters)"
