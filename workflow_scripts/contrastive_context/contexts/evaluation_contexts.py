"""Frozen evaluation contexts: how similar the most similar example is, with all else equal.

Compositions [ours]: *one_graded*, one example from the bucket among random ones from below it, as in contrastive
training; *top_k*, the nearest of the arrivals below the bucket's upper edge, as retrieval would deliver them; and
*zero_context*. For the headline a target is used only if it fills all buckets of all compositions; a bucket that too
few targets fill is left out, and the coverage says so. A target's random examples and the order of slots are the same
in all buckets as far as the bounds allow, so that comparisons of buckets are paired. Two more series
(:mod:`contrastive_context.contexts.series`) are for the appendix: a sample of all targets, each in the buckets that it
fills, and targets that no arrival is similar enough to, with a paraphrase of themselves as stand-in.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from contrastive_context.contexts.candidates import Candidates, Examples, iter_candidates
from contrastive_context.contexts.series import ALL_TARGETS, SAME_TARGETS, SERIES, STAND_INS
from contrastive_context.contexts.settings import FreezeEvalContextsSettings
from contrastive_context.contexts.stand_ins import StandIn
from contrastive_context.core.buckets import NO_BUCKET, bounds_of, bucket_of
from contrastive_context.core.errors import UserError
from contrastive_context.core.randomness import id_bits, ranking, shuffled, stream
from contrastive_context.retrieval.similarity import Vectors, similarity_between

log = logging.getLogger(__name__)


def _one_graded(
    candidates: Candidates, k: int, low: float, high: float, lowest: bool, middle: bool
) -> list[int] | None:
    if lowest:
        # The last one takes the graded one's slot; the others are those of the other buckets.
        rows = candidates.take(k, low, high)
        rows = rows[-1:] + rows[:-1]
    else:
        around = (low + min(high, 1.0)) / 2 if middle else None
        rows = candidates.take(1, low, high, around=around) + candidates.take(k - 1, 0.0, low)
    return rows if len(rows) == k else None


def _top_k(candidates: Candidates, k: int, low: float, high: float, lowest: bool, middle: bool) -> list[int] | None:
    rows = candidates.take(k, 0.0, high, nearest=True)
    return rows if len(rows) == k and candidates.similarities[rows[0]] >= low else None


COMPOSITIONS = {"one_graded": _one_graded, "top_k": _top_k}


def _beside_one_graded(candidates: Candidates, k: int, low: float, high: float) -> list[int]:
    return candidates.take(k - 1, 0.0, low)


def _beside_top_k(candidates: Candidates, k: int, low: float, high: float) -> list[int]:
    return candidates.take(k - 1, 0.0, high, nearest=True)


#: What stands beside a stand-in.
BESIDE_STAND_INS = {"one_graded": _beside_one_graded, "top_k": _beside_top_k}


class _Context(NamedTuple):
    """Examples, the graded one first, and their similarities to the target."""

    ids: list[str]
    similarities: list[float]


def freeze_contexts(
    test: Examples,
    arrivals: Examples,
    train_embeddings: Vectors,
    settings: FreezeEvalContextsSettings,
    test_set: str = "test",
    stand_ins: Mapping[int, StandIn] | None = None,
) -> tuple[pa.Table, dict]:
    """Choose targets and build their contexts in every composition and bucket.

    Args:
        test: the targets to choose from.
        arrivals: the examples to choose from.
        train_embeddings: vectors of the training set, for ``max_similarity_to_train``.
        settings: k, seed, number of targets, compositions, buckets, and when an example gives gold away.
        test_set: the test set's name.
        stand_ins: rows of ``test`` → their usable paraphrase; None for no series of stand-ins.

    Returns:
        The table, a row per prompt, ordered by target id, composition and bucket (columns: prompt_id, target_id,
        test_set, cluster, series, composition, bucket, example_ids, similarities, max_similarity,
        max_similarity_to_train, seed), and the coverage: how many targets could fill each bucket, and which buckets are
        missing and why.

    Raises:
        UserError: no bucket has enough targets.
    """
    evaluation, bounds = settings.evaluation, bounds_of(settings.buckets)
    cells: list[tuple[str, str]] = [
        (composition, bucket) for composition in evaluation.compositions for bucket in bounds
    ]
    lowest = next(iter(bounds))
    middle = evaluation.graded == "middle"
    key = stream("evaluation", evaluation.seed, settings.task)
    filled = np.zeros((len(test.ids), len(cells)), dtype=bool)
    found: list[list[_Context | None]] = []
    replaced: dict[int, tuple[str, list[_Context]]] = {}
    for row, candidates in enumerate(
        iter_candidates(test, arrivals, key, settings.agreement, evaluation.max_agreement)
    ):
        chosen = [
            COMPOSITIONS[composition](candidates, settings.k, *bounds[bucket], bucket == lowest, middle)
            for composition, bucket in cells
        ]
        filled[row] = [rows is not None for rows in chosen]
        found.append([None if rows is None else _real(arrivals, candidates, rows) for rows in chosen])
        if stand_ins and row in stand_ins:
            bucket = str(bucket_of(stand_ins[row].similarity, settings.buckets))
            if contexts := _replacements(stand_ins[row], candidates, arrivals, settings, bounds[bucket]):
                replaced[row] = bucket, contexts

    at_least = min(evaluation.min_targets, evaluation.targets)
    compared, missing = compared_cells(filled, at_least)
    fills_all = np.logical_and(filled[:, compared].all(axis=1), bool(compared))
    bits = id_bits(test.ids)
    order = ranking(stream("evaluation targets", evaluation.seed, settings.task), bits).tolist()
    same = [row for row in order if fills_all[row]][: evaluation.targets]
    replaced, too_few = _enough(replaced, order, evaluation.targets, at_least)
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
        "fillable_all": int(fills_all.sum()),
        "used": len(same),
    }
    _check(coverage, settings, test_set)

    # Row of the target → its prompts: composition, bucket and context, with the series that each counts in.
    prompts: dict[int, dict[tuple[str, str], tuple[_Context, list[str]]]] = {}
    for row in same:
        prompts[row] = {cells[cell]: (found[row][cell], [SAME_TARGETS]) for cell in compared}
    sampled = 0
    for row in order[: evaluation.all_targets]:
        # Compositions are compared on the same targets here too.
        of_bucket = {bucket: [cell for cell in compared if cells[cell][1] == bucket] for bucket in bounds}
        full = [cell for group in of_bucket.values() if filled[row, group].all() for cell in group]
        sampled += bool(full)
        for cell in full:
            _, series = prompts.setdefault(row, {}).setdefault(cells[cell], (found[row][cell], []))
            series.append(ALL_TARGETS)
    for row, (bucket, contexts) in replaced.items():
        for composition, context in zip(evaluation.compositions, contexts, strict=True):
            prompts.setdefault(row, {})[composition, bucket] = context, [STAND_INS]
    if evaluation.all_targets:
        coverage["all_targets"] = {"drawn": min(evaluation.all_targets, len(order)), "used": sampled}
    if stand_ins is not None:
        used = Counter(bucket for bucket, _ in replaced.values())
        coverage["stand_ins"] = {"used": {bucket: used[bucket] for bucket in bounds}, "missing": too_few}

    rows = sorted(prompts)
    slots = shuffled(stream("evaluation slots", evaluation.seed, settings.task), bits[rows], settings.k)
    nearest = (
        similarity_between(test.embeddings, train_embeddings)
        .top_k(1, rows=np.array(rows), duplicates=True)
        .similarities[:, 0]
    )
    records = []
    for row, slot, to_train in zip(rows, slots.tolist(), nearest.tolist(), strict=True):
        common = {
            "target_id": test.ids[row],
            "test_set": test_set,
            "cluster": test.clusters[row],
            "max_similarity_to_train": to_train,
            "seed": evaluation.seed,
        }
        for at in sorted(prompts[row], key=cells.index):
            (shown, bucket), (context, series) = at, prompts[row][at]
            records.append(
                {
                    **common,
                    "prompt_id": f"{test.ids[row]}.{shown}.{bucket}" + ".stand_in" * (series == [STAND_INS]),
                    "series": series,
                    "composition": shown,
                    "bucket": bucket,
                    "example_ids": [context.ids[i] for i in slot],
                    "similarities": [context.similarities[i] for i in slot],
                    "max_similarity": max(context.similarities),
                }
            )
        counted = {name for _, series in prompts[row].values() for name in series}
        records.append(
            {
                **common,
                "prompt_id": f"{test.ids[row]}.zero_context.{NO_BUCKET}",
                "series": [name for name in SERIES if name in counted],
                "composition": "zero_context",
                "bucket": NO_BUCKET,
                "example_ids": [],
                "similarities": [],
            }
        )
    return pa.Table.from_pylist(records, schema=_schema(test.clusters.type)), coverage


def _real(arrivals: Examples, candidates: Candidates, rows: list[int]) -> _Context:
    return _Context([arrivals.ids[row] for row in rows], candidates.similarities[rows].tolist())


def _replacements(
    stand_in: StandIn,
    candidates: Candidates,
    arrivals: Examples,
    settings: FreezeEvalContextsSettings,
    bounds: tuple[float, float],
) -> list[_Context]:
    """Return a target's contexts with the stand-in, one per composition; none where an arrival is similar enough."""
    if candidates.take(1, bounds[0], float("inf")):
        return []
    contexts = []
    for composition in settings.evaluation.compositions:
        rows = BESIDE_STAND_INS[composition](candidates, settings.k, *bounds)
        if len(rows) < settings.k - 1:
            return []
        ids, similarities = _real(arrivals, candidates, rows)
        contexts.append(_Context([stand_in.id, *ids], [stand_in.similarity, *similarities]))
    return contexts


def _enough(
    replaced: Mapping[int, tuple[str, list[_Context]]], order: list[int], targets: int, at_least: int
) -> tuple[dict[int, tuple[str, list[_Context]]], list[dict]]:
    """Keep the first targets of each bucket that have a stand-in, and say which buckets have too few of them."""
    by_bucket: dict[str, list[int]] = {}
    for row in order:
        if row in replaced:
            by_bucket.setdefault(replaced[row][0], []).append(row)
    kept = {row: replaced[row] for rows in by_bucket.values() if len(rows) >= at_least for row in rows[:targets]}
    missing = [
        {"bucket": bucket, "reason": f"{len(rows)} targets need and have a stand-in, fewer than {at_least}"}
        for bucket, rows in by_bucket.items()
        if len(rows) < at_least
    ]
    return kept, missing


def _schema(cluster: pa.DataType) -> pa.Schema:
    return pa.schema(
        [
            ("prompt_id", pa.string()),
            ("target_id", pa.string()),
            ("test_set", pa.string()),
            ("cluster", cluster),
            ("series", pa.list_(pa.string())),
            ("composition", pa.string()),
            ("bucket", pa.string()),
            ("example_ids", pa.list_(pa.string())),
            ("similarities", pa.list_(pa.float64())),
            ("max_similarity", pa.float64()),
            ("max_similarity_to_train", pa.float64()),
            ("seed", pa.int64()),
        ]
    )


def compared_cells(filled: np.ndarray, at_least: int) -> tuple[list[int], list[tuple[int, str]]]:
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


def _check(coverage: Mapping, settings: FreezeEvalContextsSettings, test_set: str) -> None:
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
