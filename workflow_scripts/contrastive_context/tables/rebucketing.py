"""Existing answers in the buckets of another encoder: what similarity means changes, no model runs again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from contrastive_context.config.sources import BM25Encoder, Encoder
from contrastive_context.contexts.evaluation_contexts import compared_cells
from contrastive_context.contexts.series import ALL_TARGETS, SAME_TARGETS, STAND_INS, series_of
from contrastive_context.core.buckets import NO_BUCKET, bucket_of
from contrastive_context.core.errors import UserError
from contrastive_context.core.frames import groups_of, rows_of
from contrastive_context.retrieval.encoders import Encode, load_encoder
from contrastive_context.retrieval.similarity import Vectors, similarity_between


class Resimilarity(NamedTuple):
    """An evaluation context under two encoders, examples in prompt order.

    Attributes:
        before: similarities by which examples were chosen, and left out of prompts that were too long.
        after: similarities by the other encoder.
    """

    before: np.ndarray
    after: np.ndarray

    def largest(self, dropped: int) -> float:
        """Return the other encoder's maximum over the examples that the prompt kept, NaN where it kept none."""
        # As in PromptEncoder.encode: the least similar leave first, the earliest among equals.
        kept = np.argsort(self.before, kind="stable")[dropped:]
        return float(self.after[kept].max()) if len(kept) else float("nan")


def load_other(settings: Encoder, folder: str | Path, train: Sequence[str], others: Iterable[str]) -> Encode:
    """Return the other encoder; BM25 counts the words of the training split, and knows those of the other texts."""
    if not isinstance(settings, BM25Encoder):
        return load_encoder(settings, folder)
    from contrastive_context.retrieval.bm25 import BM25, Statistics

    return BM25(settings, Statistics.of(train, others))


def measure(
    contexts: pd.DataFrame, sources: Mapping[str, str], embed: Callable[[list[str]], Vectors]
) -> dict[str, Resimilarity]:
    """Measure the contexts of evaluation prompts with another encoder.

    Args:
        contexts: frame of frozen contexts, with prompt_id, target_id, example_ids and similarities.
        sources: text of every target and example by id.
        embed: the other encoder.

    Returns:
        Prompt with examples → its similarities.

    Raises:
        UserError: a text is missing.
    """
    graded = contexts[contexts["example_ids"].map(len) > 0]
    ids = sorted({*graded["target_id"], *(id_ for names in graded["example_ids"] for id_ in names)})
    if unknown := [id_ for id_ in ids if id_ not in sources]:
        raise UserError(f"example {unknown[0]} of the frozen contexts has no text; freeze them again")
    rows = {id_: row for row, id_ in enumerate(ids)}
    vectors = embed([sources[id_] for id_ in ids])
    similarity = similarity_between(vectors, vectors)
    result = {}
    for row in rows_of(graded):
        examples = np.array([rows[id_] for id_ in row.example_ids])
        after = similarity.pairs(np.full(len(examples), rows[row.target_id]), examples)
        result[row.prompt_id] = Resimilarity(np.asarray(row.similarities, dtype=np.float64), after)
    return result


def rebucket(
    scores: pd.DataFrame, measured: Mapping[str, Resimilarity], edges: Mapping[str, float], at_least: int
) -> pd.DataFrame:
    """Put segment scores into the buckets of another encoder.

    Series are formed anew from the prompts that there are: ``all_targets`` has every prompt in its new bucket,
    ``same_targets`` the targets that fill every compared bucket, by the rule by which contexts are frozen. A target may
    have two prompts in a bucket now; both count. Stand-ins are left out.

    Args:
        scores: segment scores, with prompt_id and dropped_examples.
        measured: from :func:`measure`.
        edges: buckets for the other encoder, name → lower edge.
        at_least: targets that a bucket needs to be compared.

    Returns:
        The scores with new ``bucket`` and ``series``.
    """
    if "series" in scores:
        scores = scores[[series_of({"series": names}) != [STAND_INS] for names in scores["series"]]]
    prompts = scores[["prompt_id", "dropped_examples"]].drop_duplicates()
    largest = [
        measured[name].largest(dropped) if name in measured else float("nan") for name, dropped in rows_of(prompts)
    ]
    prompts = prompts.assign(bucket=bucket_of(np.array(largest), edges))
    scores = scores.drop(columns="bucket").merge(prompts, on=["prompt_id", "dropped_examples"])
    parts = [_with_series(rows, edges, at_least) for _, rows in groups_of(scores, "task", "test_set", sort=True)]
    return pd.concat(parts, ignore_index=True)


def _with_series(rows: pd.DataFrame, edges: Mapping[str, float], at_least: int) -> pd.DataFrame:
    bare = rows["composition"] == "zero_context"
    placed = rows.loc[~bare & (rows["bucket"] != NO_BUCKET), ["target_id", "composition", "bucket"]].drop_duplicates()
    cells = [(composition, bucket) for composition in sorted(set(placed["composition"])) for bucket in edges]
    targets = {name: row for row, name in enumerate(sorted(set(rows["target_id"])))}
    filled = np.zeros((len(targets), len(cells)), dtype=bool)
    for target, composition, bucket in rows_of(placed):
        filled[targets[target], cells.index((composition, bucket))] = True
    compared, _ = compared_cells(filled, min(at_least, len(targets)))
    same = np.logical_and(filled[:, compared].all(axis=1), bool(compared))
    kept = {cells[cell] for cell in compared} | {("zero_context", NO_BUCKET)}
    series = [
        [ALL_TARGETS] + [SAME_TARGETS] * bool(same[targets[target]] and (composition, bucket) in kept)
        for target, composition, bucket in zip(rows["target_id"], rows["composition"], rows["bucket"], strict=True)
    ]
    return rows.assign(series=pd.Series(series, index=rows.index))
