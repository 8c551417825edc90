"""What must hold of the contexts of every built task, by their files alone."""

from pathlib import Path

import pandas as pd

from contrastive_context.artifacts import read_json
from contrastive_context.contexts.series import SAME_TARGETS, STAND_INS
from contrastive_context.corpora.rows import normalise
from contrastive_context.evaluation.agreement import get_agreement
from contrastive_context.retrieval.similarity import DUPLICATE


def check_task(results: Path, task: str) -> int:
    """Check a task's frozen evaluation contexts and its paraphrases; return how many examples were looked at.

    No context holds a test target, a duplicate of its target or a graded example whose label agrees with gold by
    ``max_agreement`` (.9) or more; stand-ins are in their own series alone; and training and evaluation share neither a
    paraphrase nor a pair that was paraphrased.
    """
    corpus = {
        split: pd.read_parquet(results / f"corpus/{task}/{split}.parquet").set_index("id")
        for split in ("train", "arrivals", "test")
    }
    settings = read_json(results / f"contexts/{task}/eval.parquet.provenance.json")["settings"]
    agree, limit = get_agreement(settings["agreement"]), settings["evaluation"]["max_agreement"]
    assert limit <= 0.9
    paraphrases = {
        split: pd.concat(
            [pd.DataFrame(columns=["id", "source", "target", "parent_id", "accepted"])]
            + [pd.read_parquet(path) for path in sorted((results / f"paraphrases/{task}/{split}").glob("*.parquet"))]
        ).set_index("id")
        for split in ("train", "test")
    }
    targets, sources = set(corpus["test"].index), set(map(normalise, corpus["test"]["source"]))
    trained = set(corpus["train"].index) | set(paraphrases["train"].index)
    seen = 0
    shown: set[str] = set()
    for row in pd.read_parquet(results / f"contexts/{task}/eval.parquet").itertuples():
        gold = corpus["test"].loc[row.target_id, "target"]
        series = list(getattr(row, "series", [SAME_TARGETS]))
        replaced = [name for name in row.example_ids if name in paraphrases["test"].index]
        assert len(replaced) == (series == [STAND_INS] and row.composition != "zero_context")
        for name, similarity in zip(row.example_ids, row.similarities, strict=True):
            seen += 1
            assert name not in targets and name not in trained
            stand_in = name in replaced
            example = (paraphrases["test"] if stand_in else corpus["arrivals"]).loc[name]
            assert similarity < DUPLICATE and normalise(example["source"]) not in sources
            assert agree(example["target"], gold) < limit
            if stand_in:
                assert similarity == row.max_similarity
                assert example["accepted"] and example["parent_id"] == row.target_id
                shown.add(normalise(example["source"]))
    parents = {split: set(frame["parent_id"]) for split, frame in paraphrases.items()}
    accepted = paraphrases["train"].loc[paraphrases["train"]["accepted"].astype(bool), "source"]
    assert not parents["train"] & parents["test"]
    assert not shown & set(map(normalise, accepted))
    return seen
