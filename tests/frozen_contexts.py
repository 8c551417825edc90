"""What must hold of the frozen contexts and probe prompts of every built task, by their files alone."""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import pandas as pd

from contrastive_context.contexts.series import SAME_TARGETS, STAND_INS
from contrastive_context.core.artifacts import read_json
from contrastive_context.corpora.rows import row_id
from contrastive_context.retrieval.similarity import DUPLICATE
from contrastive_context.text.agreement import get_agreement
from contrastive_context.text.normalising import normalise

UNEDITED = {"irrelevant", "other_irrelevant", "relevant"}


class Texts:
    """The texts of a task: its corpus and its paraphrases, by id."""

    def __init__(self, results: Path, task: str) -> None:
        self.corpus = {
            split: pd.read_parquet(results / f"corpus/{task}/{split}.parquet").set_index("id")
            for split in ("train", "arrivals", "test")
        }
        self.paraphrases = {
            split: pd.concat(
                [pd.DataFrame(columns=["id", "source", "target", "parent_id", "accepted"])]
                + [
                    pd.read_parquet(path)
                    for path in sorted((results / f"paraphrases/{task}/{split}").glob("*.parquet"))
                ]
            ).set_index("id")
            for split in ("train", "test")
        }

    @cached_property
    def used_elsewhere(self) -> set[str]:
        """Ids of what no example may be: test targets, training pairs and their paraphrases."""
        return {*self.corpus["test"].index, *self.corpus["train"].index, *self.paraphrases["train"].index}

    @cached_property
    def sources_elsewhere(self) -> set[str]:
        """Normalised sources of the same, paraphrases only if they were accepted."""
        paraphrases = self.paraphrases["train"]
        accepted = paraphrases.loc[paraphrases["accepted"].astype(bool), "source"]
        return {normalise(text) for part in (self.corpus["test"]["source"], self.corpus["train"]["source"], accepted)
                for text in part}  # fmt: skip


def check_task(results: Path, task: str) -> int:
    """Check a task's frozen evaluation contexts, its paraphrases and, where they are built, its probe prompts.

    No context holds a test target, a duplicate of one, a training pair or its paraphrase, or an example whose label
    agrees with gold by ``max_agreement`` (.9) or more; stand-ins are in their own series alone; and training and
    evaluation share neither a paraphrase nor a pair that was paraphrased.

    Returns:
        How many examples of evaluation contexts were looked at.
    """
    texts = Texts(results, task)
    if (results / f"contexts/{task}/probes.parquet").exists():
        check_probes(results, task, texts)
    settings = read_json(results / f"contexts/{task}/eval.parquet.provenance.json")["settings"]
    agree, limit = get_agreement(settings["agreement"]), settings["evaluation"]["max_agreement"]
    assert limit <= 0.9
    seen = 0
    for row in pd.read_parquet(results / f"contexts/{task}/eval.parquet").itertuples():
        gold = texts.corpus["test"].loc[row.target_id, "target"]
        series = list(getattr(row, "series", [SAME_TARGETS]))
        replaced = [name for name in row.example_ids if name in texts.paraphrases["test"].index]
        assert len(replaced) == (series == [STAND_INS] and row.composition != "zero_context")
        for name, similarity in zip(row.example_ids, row.similarities, strict=True):
            seen += 1
            assert name not in texts.used_elsewhere
            stand_in = name in replaced
            example = (texts.paraphrases["test"] if stand_in else texts.corpus["arrivals"]).loc[name]
            assert normalise(example["source"]) not in texts.sources_elsewhere
            assert similarity < DUPLICATE and agree(example["target"], gold) < limit
            if stand_in:
                assert similarity == row.max_similarity
                assert example["accepted"] and example["parent_id"] == row.target_id
    assert not set(texts.paraphrases["train"]["parent_id"]) & set(texts.paraphrases["test"]["parent_id"])
    return seen


def check_probes(results: Path, task: str, texts: Texts) -> None:
    """Check a task's frozen probe prompts: the same holds of every example, as it was before its spans were edited."""
    settings = read_json(results / f"contexts/{task}/probes.parquet.provenance.json")["settings"]
    agree, limit = get_agreement(settings["agreement"]), settings["max_agreement"]
    assert limit <= 0.9
    arrivals = list(zip(texts.corpus["arrivals"]["source"], texts.corpus["arrivals"]["target"], strict=True))
    known, nonces = set(arrivals), settings["probes"]["source_nonces"]
    for row in pd.read_parquet(results / f"contexts/{task}/probes.parquet").itertuples():
        gold = texts.corpus["test"].loc[row.target_id, "target"]
        pairs = list(zip(row.example_sources, row.example_targets, strict=True))
        assert sum(pair not in known for pair in pairs) <= (row.role not in UNEDITED)
        for pair in pairs:
            before = [pair] if pair in known else _before_edit(pair, nonces, row.label, arrivals)
            assert any(
                row_id(source, target) not in texts.used_elsewhere
                and normalise(source) not in texts.sources_elsewhere
                and agree(target, gold) < limit
                for source, target in before
            )
            assert normalise(pair[0]) not in texts.sources_elsewhere


def _before_edit(
    pair: tuple[str, str], nonces: Iterable[str], label: str, arrivals: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield the arrivals that an edited example may have been made from."""

    def pattern(text: str, edits: Iterable[str]) -> re.Pattern[str]:
        return re.compile(".+".join(map(re.escape, re.split("|".join(map(re.escape, edits)), text))), re.DOTALL)

    source, target = pattern(pair[0], nonces), pattern(pair[1], [label])
    return (pair for pair in arrivals if source.fullmatch(pair[0]) and target.fullmatch(pair[1]))
