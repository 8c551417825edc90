"""Nearest neighbours by cosine: exact in blocks, or approximate by hnswlib with exact scores.

Similarity is the cosine of unit vectors, clipped to [0, 1] and rounded to 6 decimals, so that ties are ties; they are
broken by id. Products of single precision only preselect: every similarity that is returned is computed in double
precision from the two vectors alone, so that it does not depend on blocks or row order.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contrastive_context.config.base import Model
from contrastive_context.config.tasks import Index
from contrastive_context.errors import UserError
from contrastive_context.randomness import id_bits, numbers, stream

log = logging.getLogger(__name__)

#: From here on an example counts as the target itself.
DUPLICATE = 0.999999
_DECIMALS = 6
_CHUNK = 64  # columns whose maximum is taken before selection
_SPARE = 8  # candidates beyond k that are scored exactly: room for rounding differences
_BLOCK_BYTES = 1 << 26
_ABSENT = -4.0  # stands for a cosine where there is no candidate
_SEED = 100  # hnswlib's level generator


class Settings(Model):
    """Settings of find_neighbours."""

    task: str
    index: Index
    k: int


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of each row.

    Attributes:
        rows: int64 [n, depth], nearest first; −1 where there are fewer.
        similarities: float64 [n, depth]; NaN where there are fewer.
    """

    rows: np.ndarray
    similarities: np.ndarray


def round_similarity(cosines: np.ndarray) -> np.ndarray:
    """Clip cosines to [0, 1] and round them to 6 decimals, as float64."""
    return np.round(np.clip(cosines.astype(np.float64, copy=False), 0, 1), _DECIMALS)


def pair_similarities(left: np.ndarray, right: np.ndarray, left_rows: np.ndarray, right_rows: np.ndarray) -> np.ndarray:
    """Return the similarities of row pairs of two embedding matrices, float64 of the shape of the rows (equal)."""
    flat_left, flat_right = left_rows.ravel(), right_rows.ravel()
    result = np.empty(len(flat_left))
    step = max(1, (1 << 18) // max(1, left.shape[1]))  # both factors stay in the cache
    for start in range(0, len(result), step):
        part = slice(start, start + step)
        result[part] = np.einsum(
            "ij,ij->i", left[flat_left[part]].astype(np.float64), right[flat_right[part]].astype(np.float64)
        )
    return round_similarity(result).reshape(left_rows.shape)


def similarity_blocks(queries: np.ndarray, pool: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, similarities [rows, len(pool)] in float64) for consecutive blocks of queries."""
    step = max(32, _BLOCK_BYTES // (8 * max(1, len(pool))))
    columns = max(1, _BLOCK_BYTES // (8 * max(1, pool.shape[1])))
    for start in range(0, len(queries), step):
        block = np.asarray(queries[start : start + step], dtype=np.float64)
        product = np.empty((len(block), len(pool)))
        for first in range(0, len(pool), columns):
            part = slice(first, first + columns)
            product[:, part] = block @ np.asarray(pool[part], dtype=np.float64).T
        yield start, round_similarity(product)


def exact_search(
    queries: np.ndarray, pool: np.ndarray, k: int, *, own_rows: np.ndarray | None = None, duplicates: bool = False
) -> Neighbours:
    """Find the k nearest rows of ``pool`` for each query, exactly.

    Per block of queries one BLAS product; then the k chunks of columns with the largest maxima, which hold the k
    nearest, ties towards the lower row included; only they are sorted.

    Args:
        queries: float32 [m, dim], unit norm.
        pool: float32 [n, dim], unit norm.
        k: how many.
        own_rows: int [m], the row of the pool that is the query itself and does not count.
        duplicates: whether rows at or above ``DUPLICATE`` count.

    Returns:
        Neighbours, [m, min(k, n)].
    """
    queries = np.asarray(queries, dtype=np.float32)
    n = len(pool)
    depth = min(k, n)
    chunks = -(-n // _CHUNK)
    wanted = min(chunks, depth + _SPARE)
    step = max(1, min(1024, _BLOCK_BYTES // (4 * chunks * _CHUNK)))
    buffer = np.full((step, chunks * _CHUNK), _ABSENT, dtype=np.float32)
    found = Neighbours(np.full((len(queries), depth), -1, dtype=np.int64), np.full((len(queries), depth), np.nan))
    within = np.arange(_CHUNK)
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        here = np.arange(len(block))
        scores = buffer[: len(block)]
        np.matmul(block, pool.T, out=scores[:, :n])
        if own_rows is not None:
            scores[here, own_rows[start : start + step]] = _ABSENT
        folded = scores.reshape(len(block), chunks, _CHUNK)
        maxima = folded.max(axis=2)
        if not duplicates:
            row, chunk = np.nonzero(maxima >= DUPLICATE - 5e-7)
            values = folded[row, chunk]
            values[values >= DUPLICATE - 5e-7] = _ABSENT
            folded[row, chunk] = values
            maxima[row, chunk] = values.max(axis=1)
        chosen = _largest(maxima, np.arange(chunks)[None, :], wanted)
        columns = (chosen[:, :, None] * _CHUNK + within).reshape(len(block), -1)
        values = folded[here[:, None], chosen].reshape(len(block), -1)
        best = _largest(values, columns, min(depth + _SPARE, columns.shape[1]))
        values, columns = np.take_along_axis(values, best, axis=1), np.take_along_axis(columns, best, axis=1)
        _rescore(block, pool, np.where(values > _ABSENT / 2, columns, -1), duplicates, found, here + start)
    return found


def _largest(values: np.ndarray, positions: np.ndarray, k: int) -> np.ndarray:
    """Return the indices of the k largest per row, in no order; ties (after rounding) go to the lowest position."""
    quanta = np.rint(np.maximum(values, 0).astype(np.float64) * 10**_DECIMALS)
    # Exact in float64: at most 1e6 · 1e9 < 2⁵³.
    keys = np.where(values > _ABSENT / 2, quanta, -1) * (int(positions.max()) + 1) - positions
    if k >= keys.shape[1]:
        return np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    return np.argpartition(-keys, k - 1, axis=1)[:, :k]


def _rescore(
    block: np.ndarray, pool: np.ndarray, rows: np.ndarray, duplicates: bool, found: Neighbours, where: np.ndarray
) -> None:
    """Score candidate rows (−1: none) exactly and put the nearest into ``found`` at ``where``."""
    queries = np.broadcast_to(np.arange(len(block))[:, None], rows.shape)
    scores = pair_similarities(block, pool, queries, np.maximum(rows, 0))
    out = rows < 0 if duplicates else (rows < 0) | (scores >= DUPLICATE)
    scores = np.where(out, np.nan, scores)
    rows = np.where(out, -1, rows)
    order = np.lexsort((rows, -np.where(out, -1, scores)), axis=1)[:, : found.rows.shape[1]]
    width = order.shape[1]
    found.rows[where, :width] = np.take_along_axis(rows, order, axis=1)
    found.similarities[where, :width] = np.take_along_axis(scores, order, axis=1)


def build_hnsw(embeddings: np.ndarray, settings: Index) -> "object":
    """Build an hnswlib index (inner product) with one thread and a fixed seed: threaded builds differ between runs."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=embeddings.shape[1])
    index.init_index(len(embeddings), M=settings.m, ef_construction=settings.ef_construction, random_seed=_SEED)
    index.set_num_threads(1)
    for start in range(0, len(embeddings), 10_000):
        index.add_items(np.asarray(embeddings[start : start + 10_000], dtype=np.float32), num_threads=1)
    return index


def load_hnsw(path: str | Path, dim: int, ef: int) -> "object":
    """Load an index saved by ``save_index``; ``ef`` is not saved with it and is set here."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=dim)
    index.load_index(str(path))
    index.set_num_threads(1)
    index.set_ef(ef)
    return index


def hnsw_search(embeddings: np.ndarray, index: "object", k: int, ef: int, *, block: int = 4096) -> Neighbours:
    """Find the k nearest rows of each row of ``embeddings`` through its hnswlib index, scored exactly.

    Where self and duplicates leave fewer than k, the search goes four times deeper, and in the end is exact.

    Returns:
        Neighbours, [n, min(k, n)].
    """
    n = len(embeddings)
    depth = min(k, n)
    found = Neighbours(np.full((n, depth), -1, dtype=np.int64), np.full((n, depth), np.nan))
    todo, width = np.arange(n), depth + 1 + _SPARE
    while todo.size and 2 * width < n and width <= 1024:
        index.set_ef(max(ef, width))
        for start in range(0, len(todo), block):
            rows = todo[start : start + block]
            queries = np.asarray(embeddings[rows], dtype=np.float32)
            try:
                labels, _ = index.knn_query(queries, k=width, num_threads=1)
            except RuntimeError:  # a graph that is not connected delivers fewer; the exact search does it
                continue
            labels = labels.astype(np.int64)
            _rescore(queries, embeddings, np.where(labels == rows[:, None], -1, labels), False, found, rows)
        todo = todo[found.rows[todo, -1] < 0]
        width *= 4
    if todo.size:
        rest = exact_search(embeddings[todo], embeddings, depth, own_rows=todo)
        found.rows[todo], found.similarities[todo] = rest.rows, rest.similarities
    return found


def measure_recall(embeddings: np.ndarray, found: Neighbours, k: int, sample: int) -> float:
    """Return recall@k of ``found`` against the exact search on a seeded sample of rows.

    A neighbour counts if it is at least as similar as the k-th exact one: among ties any is right.
    """
    n = len(embeddings)
    keys = numbers(np.full(n, stream("recall")) ^ np.arange(n, dtype=np.uint64), 0)
    rows = np.sort(np.argsort(keys, kind="stable")[:sample])
    exact = exact_search(embeddings[rows], embeddings, k, own_rows=rows).similarities
    threshold = np.nanmin(exact, axis=1, keepdims=True)
    return float((found.similarities[rows, :k] >= threshold).sum() / np.isfinite(exact).sum())


def find_neighbours(
    ids: Sequence[str],
    embeddings: np.ndarray,
    settings: Index,
    k: int,
    *,
    task: str = "",
    index_path: str | Path | None = None,
) -> tuple[Neighbours, dict]:
    """Find the neighbours of each row among the others, self and duplicates excluded.

    Args:
        ids: 16 hexadecimal digits each; they break ties.
        embeddings: float32 [n, dim], unit norm, aligned with ``ids``.
        settings: kind of index, its parameters, and ``neighbours``, the rows wanted per example (at least k).
        k: fewest neighbours that will do, and the k of recall@k.
        task: name of the task, for messages.
        index_path: where an hnswlib index is saved, if one is built.

    Returns:
        The neighbours, and the recall record: kind, k, sample, recall.

    Raises:
        UserError: fewer than k neighbours for some row, or recall below the floor.
    """
    n = len(ids)
    if k >= n:
        raise UserError(f"tasks.{task}.k is {k}, but there are only {n} training examples; lower k or add examples")
    bits = id_bits(ids)
    if np.any(bits[1:] <= bits[:-1]):
        order = np.argsort(bits, kind="stable")
        found, record = find_neighbours(
            [ids[row] for row in order], embeddings[order], settings, k, task=task, index_path=index_path
        )
        rows, similarities = np.empty_like(found.rows), np.empty_like(found.similarities)
        rows[order] = np.where(found.rows < 0, -1, order[found.rows])
        similarities[order] = found.similarities
        return Neighbours(rows, similarities), record

    depth = min(max(settings.neighbours, k), n - 1)
    kind = settings.kind
    if kind == "auto":
        kind = "exact" if n <= settings.exact_up_to else "hnswlib"
    sample = min(settings.recall_sample, n)
    if kind == "exact":
        found, recall = exact_search(embeddings, embeddings, depth, own_rows=np.arange(n)), 1.0
    else:
        index = build_hnsw(embeddings, settings)
        if index_path is not None:
            from contrastive_context.artifacts import atomic_path

            with atomic_path(index_path) as temporary:
                index.save_index(str(temporary))
            index = load_hnsw(index_path, embeddings.shape[1], settings.ef)
        found = hnsw_search(embeddings, index, depth, settings.ef)
        recall = measure_recall(embeddings, found, k, sample)
        log.info("hnswlib: recall@%d %.4f on %d rows", k, recall, sample)
        if recall < settings.min_recall:
            raise UserError(
                f"tasks.{task}.index: recall@{k} is {recall:.4f}, below min_recall {settings.min_recall}; "
                "raise ef, ef_construction or m, or use kind: exact"
            )
    short = int(np.sum(found.rows[:, k - 1] < 0))
    if short:
        raise UserError(
            f"tasks.{task}.k is {k}, but {short} training examples have fewer neighbours that are not duplicates; "
            "lower k or remove duplicates from the corpus"
        )
    return found, {"kind": kind, "k": k, "sample": sample, "recall": recall}


def neighbour_tables(ids: Sequence[str], found: Neighbours, block: int = 65_536) -> Iterator[pa.Table]:
    """Yield the neighbour table in parts: id, rank (0 = nearest), neighbour_id, similarity; rows in id order."""
    names = pa.array(ids, pa.string())
    order = np.argsort(id_bits(ids), kind="stable")
    for start in range(0, len(order), block):
        part = order[start : start + block]
        rows, (row, rank) = found.rows[part], np.nonzero(found.rows[part] >= 0)
        yield pa.table(
            {
                "id": names.take(pa.array(part[row])),
                "rank": pa.array(rank, pa.int32()),
                "neighbour_id": names.take(pa.array(rows[row, rank])),
                "similarity": pa.array(found.similarities[part][row, rank]),
            }
        )


def read_neighbours(path: str | Path, ids: Sequence[str], depth: int) -> Neighbours:
    """Read a neighbour table back, the first ``depth`` ranks, aligned with ``ids``.

    Raises:
        UserError: the file can't be read, or names ids that are not among ``ids``.
    """
    bits = id_bits(ids)
    order = np.argsort(bits, kind="stable")
    bits = bits[order]
    found = Neighbours(np.full((len(ids), depth), -1, dtype=np.int64), np.full((len(ids), depth), np.nan))

    def rows_of(column: pa.Array) -> np.ndarray:
        wanted = id_bits(column)
        places = np.minimum(np.searchsorted(bits, wanted), len(bits) - 1)
        if np.any(bits[places] != wanted):
            raise UserError(f"{path}: holds ids that are not in the corpus; delete it and run again")
        return order[places]

    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=1 << 18):
            batch = batch.filter(pc.less(batch["rank"], depth))
            rank = batch["rank"].to_numpy()
            row = rows_of(batch["id"])
            found.rows[row, rank] = rows_of(batch["neighbour_id"])
            found.similarities[row, rank] = batch["similarity"].to_numpy()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(f"{path}: can't be read as a neighbour table ({error}); delete it and run again") from error
    return found
