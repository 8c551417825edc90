"""Tables of nearest neighbours: by exact search, or by hnswlib with exact scores."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contrastive_context.config.tasks import Index
from contrastive_context.core.errors import UserError
from contrastive_context.core.randomness import id_bits, numbers, stream
from contrastive_context.retrieval.similarity import Cosine, LexicalVectors, Neighbours, Vectors, similarity_between

if TYPE_CHECKING:
    import hnswlib

log = logging.getLogger(__name__)

_SPARE = 8  # candidates beyond k that are scored exactly: room for rounding differences
_SEED = 100  # hnswlib's level generator


def build_hnsw(embeddings: np.ndarray, settings: Index) -> "hnswlib.Index":
    """Build an hnswlib index (inner product) with one thread and a fixed seed: threaded builds differ between runs."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=embeddings.shape[1])
    index.init_index(len(embeddings), M=settings.m, ef_construction=settings.ef_construction, random_seed=_SEED)
    index.set_num_threads(1)
    for start in range(0, len(embeddings), 10_000):
        index.add_items(np.asarray(embeddings[start : start + 10_000], dtype=np.float32), num_threads=1)
    return index


def hnsw_search(embeddings: np.ndarray, index: "hnswlib.Index", k: int, ef: int, *, block: int = 4096) -> Neighbours:
    """Find the k nearest rows of each row of ``embeddings`` through its hnswlib index, scored exactly.

    Where self and duplicates leave fewer than k, the search goes four times deeper, and in the end is exact.

    Returns:
        Neighbours, [n, min(k, n)].
    """
    n = len(embeddings)
    depth = min(k, n)
    similarity = Cosine(embeddings, embeddings)
    found = Neighbours.empty(n, depth)
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
            similarity.rank(rows, np.where(labels == rows[:, None], -1, labels), found, rows)
        todo = todo[found.rows[todo, -1] < 0]
        width *= 4
    if todo.size:
        rest = similarity.top_k(depth, rows=todo, own_rows=todo)
        found.rows[todo], found.similarities[todo] = rest.rows, rest.similarities
    return found


def measure_recall(embeddings: np.ndarray, found: Neighbours, k: int, sample: int) -> float:
    """Return recall@k of ``found`` against the exact search on a seeded sample of rows.

    A neighbour counts if it is at least as similar as the k-th exact one: among ties any is right.
    """
    n = len(embeddings)
    keys = numbers(np.full(n, stream("recall")) ^ np.arange(n, dtype=np.uint64), 0)
    rows = np.sort(np.argsort(keys, kind="stable")[:sample])
    exact = Cosine(embeddings, embeddings).top_k(k, rows=rows, own_rows=rows).similarities
    threshold = np.nanmin(exact, axis=1, keepdims=True)
    return float((found.similarities[rows, :k] >= threshold).sum() / np.isfinite(exact).sum())


def find_neighbours(
    ids: Sequence[str],
    embeddings: Vectors,
    settings: Index,
    k: int,
    *,
    task: str = "",
) -> tuple[Neighbours, dict]:
    """Find the neighbours of each row among the others, self and duplicates excluded.

    Args:
        ids: 16 hexadecimal digits each; they break ties.
        embeddings: vectors aligned with ``ids``.
        settings: kind of index, its parameters, and ``neighbours``, the rows wanted per example (at least k). For
            lexical vectors the search is exact, whatever the kind.
        k: fewest neighbours that will do, and the k of recall@k.
        task: name of the task, for messages.

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
        found, record = find_neighbours([ids[row] for row in order], embeddings[order], settings, k, task=task)
        rows, similarities = np.empty_like(found.rows), np.empty_like(found.similarities)
        rows[order] = np.where(found.rows < 0, -1, order[found.rows])
        similarities[order] = found.similarities
        return Neighbours(rows, similarities), record

    depth = min(max(settings.neighbours, k), n - 1)
    kind = settings.kind
    if kind == "auto":
        kind = "exact" if n <= settings.exact_up_to else "hnswlib"
    sample = min(settings.recall_sample, n)
    if kind == "exact" or isinstance(embeddings, LexicalVectors):
        kind = "exact"
        found, recall = similarity_between(embeddings, embeddings).top_k(depth, own_rows=np.arange(n)), 1.0
    else:
        found = hnsw_search(embeddings, build_hnsw(embeddings, settings), depth, settings.ef)
        recall = measure_recall(embeddings, found, k, sample)
        log.info("hnswlib: recall@%d %.4f on %d rows", k, recall, sample)
        if recall < settings.min_recall:
            raise UserError(
                f"tasks.{task}.index: recall@{k} is {recall:.4f}, below min_recall {settings.min_recall}; "
                "raise ef, ef_construction or m, or use kind: exact"
            )
    _check_similar(found, task)
    short = int(np.sum(found.rows[:, k - 1] < 0))
    if short:
        raise UserError(
            f"tasks.{task}.k is {k}, but {short} training examples have fewer neighbours that are not duplicates; "
            "lower k or remove duplicates from the corpus"
        )
    return found, {"kind": kind, "k": k, "sample": sample, "recall": recall}


def _check_similar(found: Neighbours, task: str) -> None:
    """Say how many rows resemble none: their neighbours are ties, which are broken by id, and so the same for all."""
    n, alone = len(found.rows), int(np.sum(found.similarities[:, 0] == 0))
    told = f"tasks.{task}.encoder: {alone} of {n} training examples have similarity 0 to every other"
    if alone > n / 2:
        raise UserError(f"{told}; it can't tell which of them are alike. Choose an encoder that knows their language")
    if alone:
        log.warning("%s; those with the lowest ids stand for their nearest ones", told)


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
    found = Neighbours.empty(len(ids), depth)

    def rows_of(column: pa.Array) -> np.ndarray:
        wanted = id_bits(column)
        positions = np.minimum(np.searchsorted(bits, wanted), len(bits) - 1)
        if np.any(bits[positions] != wanted):
            raise UserError(f"{path}: holds ids that are not in the corpus; delete it and run again")
        return order[positions]

    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=1 << 18):
            batch = batch.filter(pc.less(batch["rank"], depth))
            rank = batch["rank"].to_numpy()
            row = rows_of(batch["id"])
            found.rows[row, rank] = rows_of(batch["neighbour_id"])
            found.similarities[row, rank] = batch["similarity"].to_numpy()
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path}: can't be read as a neighbour table ({error}); delete it and run again") from error
    return found
