"""Frozen evaluation contexts: how similar the most similar example is, with all else equal.

Compositions [ours]: *one_graded*, one example from the bucket among random ones from below it, as in contrastive
training; *top_k*, the nearest of the arrivals below the bucket's upper edge, as retrieval would deliver them; and
*zero_context*. A target is used only if it fills all buckets of all compositions; a bucket that too few targets fill is
left out, and the coverage says so. A target's random examples and the order of slots are the same in all buckets as far
as the bounds allow, so that comparisons of buckets are paired.
"""

import logging
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from contrastive_context.config.base import Model
from contrastive_context.config.tasks import Agreement, TaskEvaluation
from contrastive_context.contexts.buckets import NO_BUCKET, bounds_of
from contrastive_context.contexts.candidates import Candidates, Examples, iter_candidates
from contrastive_context.errors import UserError
from contrastive_context.randomness import id_bits, ranking, shuffled, stream
from contrastive_context.retrieval.similarity import Vectors, between

log = logging.getLogger(__name__)


class Settings(Model):
    """Settings of freeze_eval_contexts."""

    task: str
    k: int
    agreement: Agreement
    evaluation: TaskEvaluation
    buckets: dict[str, float]


def _one_graded(candidates: Candidates, k: int, low: float, high: float, lowest: bool) -> list[int] | None:
    if lowest:
        # The last one takes the graded one's slot; the others are those of the other buckets.
        rows = candidates.take(k, low, high)
        rows = rows[-1:] + rows[:-1]
    else:
        rows = candidates.take(1, low, high) + candidates.take(k - 1, 0.0, low)
    return rows if len(rows) == k else None


def _top_k(candidates: Candidates, k: int, low: float, high: float, lowest: bool) -> list[int] | None:
    rows = candidates.take(k, 0.0, high, nearest=True)
    return rows if len(rows) == k and candidates.similarities[rows[0]] >= low else None


_REGISTRY = {"one_graded": _one_graded, "top_k": _top_k}


def freeze_contexts(
    test: Examples, arrivals: Examples, train_embeddings: Vectors, settings: Settings, test_set: str = "test"
) -> tuple[pa.Table, dict]:
    """Choose targets and build their contexts in every composition and bucket.

    Args:
        test: the targets to choose from.
        arrivals: the examples to choose from.
        train_embeddings: vectors of the training set, for ``max_similarity_to_train``.
        settings: k, seed, number of targets, compositions, buckets, and when an example gives gold away.
        test_set: the test set's name.

    Returns:
        The table, a row per prompt, ordered by target id, composition and bucket (columns: prompt_id, target_id,
        test_set, cluster, composition, bucket, example_ids, similarities, max_similarity, max_similarity_to_train,
        seed), and the coverage: how many targets could fill each bucket, and which buckets are missing and why.

    Raises:
        UserError: no bucket has enough targets.
    """
    evaluation, bounds = settings.evaluation, bounds_of(settings.buckets)
    cells = [(composition, bucket) for composition in evaluation.compositions for bucket in bounds]
    lowest = next(iter(bounds))
    key = stream("evaluation", evaluation.seed, settings.task)
    filled = np.zeros((len(test.ids), len(cells)), dtype=bool)
    found: list[list[tuple[list[int], np.ndarray] | None]] = []
    for row, candidates in enumerate(
        iter_candidates(test, arrivals, key, settings.agreement, evaluation.max_agreement)
    ):
        chosen = [
            _REGISTRY[composition](candidates, settings.k, *bounds[bucket], bucket == lowest)
            for composition, bucket in cells
        ]
        filled[row] = [rows is not None for rows in chosen]
        found.append([None if rows is None else (rows, candidates.similarities[rows]) for rows in chosen])

    compared, missing = _compared(filled, min(evaluation.min_targets, evaluation.targets))
    fills_all = filled[:, compared].all(axis=1) & bool(compared)
    contexts = {row: [found[row][cell] for cell in compared] for row in np.flatnonzero(fills_all).tolist()}
    bits = id_bits(test.ids)
    order = ranking(stream("evaluation targets", evaluation.seed, settings.task), bits)
    used = sorted([row for row in order.tolist() if row in contexts][: evaluation.targets])
    coverage = {
        "targets": len(test.ids),
        "asked": evaluation.targets,
        "fillable": {
            composition: {bucket: int(filled[:, cells.index((composition, bucket))].sum()) for bucket in bounds}
            for composition in evaluation.compositions
        },
        "missing": [
            {"composition": cells[cell][0], "bucket": cells[cell][1], "reason": reason} for cell, reason in missing
        ],
        "fillable_all": len(contexts),
        "used": len(used),
    }
    _check(coverage, settings, test_set)
    slots = shuffled(stream("evaluation slots", evaluation.seed, settings.task), bits[used], settings.k)
    nearest = (
        between(test.embeddings, train_embeddings).top_k(1, rows=np.array(used), duplicates=True).similarities[:, 0]
    )
    records = []
    for row, slot, to_train in zip(used, slots, nearest.tolist(), strict=True):
        common = {
            "target_id": test.ids[row],
            "test_set": test_set,
            "cluster": test.clusters[row],
            "max_similarity_to_train": to_train,
            "seed": evaluation.seed,
        }
        for (composition, bucket), (rows, similarities) in zip(
            (cells[cell] for cell in compared), contexts[row], strict=True
        ):
            records.append(
                {
                    **common,
                    "composition": composition,
                    "bucket": bucket,
                    "example_ids": [arrivals.ids[rows[i]] for i in slot],
                    "similarities": similarities[slot],
                    "max_similarity": similarities.max(),
                }
            )
        records.append(
            {**common, "composition": "zero_context", "bucket": NO_BUCKET, "example_ids": [], "similarities": []}
        )
    for record in records:
        record["prompt_id"] = f"{record['target_id']}.{record['composition']}.{record['bucket']}"
    return pa.Table.from_pylist(records, schema=_schema(test.clusters.type)), coverage


def _schema(cluster: pa.DataType) -> pa.Schema:
    return pa.schema(
        [
            ("prompt_id", pa.string()),
            ("target_id", pa.string()),
            ("test_set", pa.string()),
            ("cluster", cluster),
            ("composition", pa.string()),
            ("bucket", pa.string()),
            ("example_ids", pa.list_(pa.string())),
            ("similarities", pa.list_(pa.float64())),
            ("max_similarity", pa.float64()),
            ("max_similarity_to_train", pa.float64()),
            ("seed", pa.int64()),
        ]
    )


def _compared(filled: np.ndarray, at_least: int) -> tuple[list[int], list[tuple[int, str]]]:
    """Choose the cells that are compared on the same targets.

    A cell that too few targets fill is left out. If too few targets fill all others together, the one that fewest fill
    is left out too, and so on.

    Args:
        filled: which target fills which cell, bool [targets, cells].
        at_least: targets that are enough.

    Returns:
        The cells compared; and those left out, with the reason.
    """
    compared, missing = list(range(filled.shape[1])), []
    for cell in list(compared):
        if (count := int(filled[:, cell].sum())) < at_least:
            compared.remove(cell)
            missing.append((cell, f"{count} targets fill it, fewer than {at_least}"))
    while compared and (together := int(filled[:, compared].all(axis=1).sum())) < at_least:
        cell = min(compared, key=lambda cell: filled[:, cell].sum())
        compared.remove(cell)
        missing.append((cell, f"with it only {together} targets fill all that is compared, fewer than {at_least}"))
    return compared, missing


def _check(coverage: Mapping, settings: Settings, test_set: str) -> None:
    where = f"tasks.{settings.task}.evaluation ({test_set})"
    for cell in coverage["missing"]:
        log.warning("%s: no %s in bucket %r: %s", where, cell["composition"], cell["bucket"], cell["reason"])
    if not coverage["used"]:
        reasons = "; ".join(
            f"{cell['composition']}, {cell['bucket']}: {cell['reason']}" for cell in coverage["missing"]
        )
        raise UserError(
            f"{where}: no bucket has enough targets with {settings.k} examples ({reasons}); add arrivals, lower k or "
            "min_targets, or move the edges in buckets"
        )
    if coverage["used"] < coverage["asked"]:
        log.warning("%s: %d targets asked for, %d fill all buckets", where, coverage["asked"], coverage["used"])
