"""How similar an example is to a target, for every kind of encoder.

Two kinds of vectors, one interface. Dense ones (float32 [n, dim], unit norm) have a cosine. Lexical ones
(:class:`LexicalVectors`) have one sparse row per role, as BM25 is not symmetric: the target is the query, its weights
divided by its score for itself, the example the document. Either way similarity is a dot product, clipped to [0, 1] and
rounded to 6 decimals, so that ties are ties; they are broken by row, which is by id where rows are in id order.

Products of single precision only preselect: every similarity that is returned is computed in double precision from the
two vectors alone, so that it does not depend on blocks or row order.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: From here on an example counts as the target itself.
DUPLICATE = 0.999999
_DECIMALS = 6
_CHUNK = 64  # columns whose maximum is taken before selection
_SPARE = 8  # candidates beyond k that are scored exactly: room for rounding differences
_BLOCK_BYTES = 1 << 26
_TILE = 1 << 16  # examples scored at a time: enough targets fit beside them for a product to be fast
_ABSENT = -4.0  # stands for a score where there is no candidate

#: One stored weight of a lexical vector: a row, a term, and the term's weight in each role.
LEXICAL = np.dtype([("row", "<i4"), ("term", "<i4"), ("query", "<f8"), ("document", "<f8")])


class LexicalVectors:
    """Sparse vectors of texts, one per role, aligned with a corpus.

    Args:
        weights: ``LEXICAL`` [stored], in order of row and term; each row has at least one entry (zero if need be), so
            that their number is known.
    """

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def __len__(self) -> int:
        """Return the number of texts."""
        return int(self.weights["row"][-1]) + 1 if len(self.weights) else 0

    def __getitem__(self, rows: "slice | np.ndarray | list[int]") -> "LexicalVectors":
        """Return the vectors of some rows, in the order given."""
        wanted = np.arange(len(self))[rows]
        first = np.searchsorted(self.weights["row"], np.arange(len(self) + 1))
        counts = np.diff(first)[wanted]
        starts = np.repeat(first[wanted] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        chosen = self.weights[starts + np.arange(counts.sum())]
        chosen["row"] = np.repeat(np.arange(len(wanted)), counts)
        return LexicalVectors(chosen)

    @property
    def terms(self) -> int:
        """The number of terms up to the last that occurs."""
        return int(self.weights["term"].max(initial=-1)) + 1

    def matrix(self, role: str, terms: int) -> "csr_array":
        """Return float64 [texts, terms], the weights in the role "query" or "document"."""
        from scipy.sparse import csr_array

        first = np.searchsorted(self.weights["row"], np.arange(len(self) + 1))
        weights = np.ascontiguousarray(self.weights[role])
        matrix = csr_array((weights, np.ascontiguousarray(self.weights["term"]), first), shape=(len(self), terms))
        matrix.eliminate_zeros()
        return matrix


Vectors = np.ndarray | LexicalVectors
"""What an encoder makes of texts: float32 [n, dim] of unit norm, or lexical vectors."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of each row.

    Attributes:
        rows: int64 [n, depth], nearest first; −1 where there are fewer.
        similarities: float64 [n, depth]; NaN where there are fewer.
    """

    rows: np.ndarray
    similarities: np.ndarray

    @classmethod
    def empty(cls, count: int, depth: int) -> "Neighbours":
        """Return ``count`` rows without neighbours."""
        return cls(np.full((count, depth), -1, dtype=np.int64), np.full((count, depth), np.nan))


class Similarity(ABC):
    """Similarity of a pool of examples to targets.

    Args:
        targets: the targets' vectors, of m rows.
        pool: the examples' vectors, of n rows, by the same encoder.
    """

    def __init__(self, targets: Vectors, pool: Vectors) -> None:
        self.targets = targets
        self.pool = pool

    @abstractmethod
    def pairs(self, target_rows: np.ndarray, pool_rows: np.ndarray) -> np.ndarray:
        """Return the similarities of pairs of rows, float64 of the shape of the rows (equal)."""

    @abstractmethod
    def _exact(self, start: int, stop: int) -> np.ndarray:
        """Return float64 [stop − start, n], unrounded."""

    @abstractmethod
    def _fast(self, target_rows: np.ndarray, tile: slice, out: np.ndarray) -> None:
        """Put about the scores of some targets and a tile of the pool into ``out``, float32 [targets, tile].

        A tile begins at a multiple of ``_TILE`` and has that many rows, or what is left.
        """

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first target, similarities [targets, n] in float64) for consecutive blocks of targets."""
        step = max(32, _BLOCK_BYTES // (8 * max(1, len(self.pool))))
        for start in range(0, len(self.targets), step):
            yield start, _rounded(self._exact(start, min(start + step, len(self.targets))))

    def top_k(
        self,
        k: int,
        *,
        rows: np.ndarray | None = None,
        own_rows: np.ndarray | None = None,
        duplicates: bool = False,
    ) -> Neighbours:
        """Find the k nearest examples of each target, exactly.

        Per block of targets and tile of the pool one product, of which the ``k`` largest and some to spare are kept,
        ties towards the lower row; those of all tiles hold the ones of the whole pool. Only they are scored exactly.

        Args:
            k: how many.
            rows: int [m], the targets to search for; all if None.
            own_rows: int [m], the row of the pool that is the target itself and does not count.
            duplicates: whether rows at or above ``DUPLICATE`` count.

        Returns:
            Neighbours, [m, min(k, n)].
        """
        rows = np.arange(len(self.targets)) if rows is None else rows
        n = len(self.pool)
        depth = min(k, n)
        width = min(_TILE, -(-n // _CHUNK) * _CHUNK)
        step = max(1, min(1024, _BLOCK_BYTES // (4 * width)))
        buffer = np.empty((step, width), dtype=np.float32)
        found = Neighbours.empty(len(rows), depth)
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            here = np.arange(len(block))
            parts = []
            for first in range(0, n, width):
                tile = slice(first, min(n, first + width))
                scores = buffer[: len(block)]
                scores[:, tile.stop - first :] = _ABSENT
                self._fast(block, tile, scores[:, : tile.stop - first])
                if own_rows is not None:
                    own = own_rows[start : start + step]
                    inside = (own >= first) & (own < tile.stop)
                    scores[here[inside], own[inside] - first] = _ABSENT
                values, columns = _likeliest(scores, depth + _SPARE, duplicates)
                parts.append((values, columns + first))
            values, columns = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
            best = _largest(values, columns, min(depth + _SPARE, columns.shape[1]))
            values, columns = np.take_along_axis(values, best, axis=1), np.take_along_axis(columns, best, axis=1)
            candidates = np.where(values > _ABSENT / 2, columns, -1)
            self.rank(block, candidates, found, here + start, duplicates=duplicates)
        return found

    def rank(
        self,
        rows: np.ndarray,
        candidates: np.ndarray,
        found: Neighbours,
        where: np.ndarray,
        *,
        duplicates: bool = False,
    ) -> None:
        """Score candidates exactly and put the nearest into ``found``.

        Args:
            rows: int [m], targets.
            candidates: int [m, c], rows of the pool; −1 for none.
            found: what to fill.
            where: int [m], its rows to fill.
            duplicates: whether candidates at or above ``DUPLICATE`` count.
        """
        scores = self.pairs(np.broadcast_to(rows[:, None], candidates.shape), np.maximum(candidates, 0))
        out = candidates < 0 if duplicates else (candidates < 0) | (scores >= DUPLICATE)
        scores = np.where(out, np.nan, scores)
        candidates = np.where(out, -1, candidates)
        order = np.lexsort((candidates, -np.where(out, -1, scores)), axis=1)[:, : found.rows.shape[1]]
        width = order.shape[1]
        found.rows[where, :width] = np.take_along_axis(candidates, order, axis=1)
        found.similarities[where, :width] = np.take_along_axis(scores, order, axis=1)


class Cosine(Similarity):
    """The cosine of unit vectors."""

    targets: np.ndarray
    pool: np.ndarray

    def pairs(self, target_rows: np.ndarray, pool_rows: np.ndarray) -> np.ndarray:
        """Return the similarities of pairs of rows, float64 of the shape of the rows (equal)."""
        left, right = target_rows.ravel(), pool_rows.ravel()
        result = np.empty(len(left))
        step = max(1, (1 << 18) // max(1, self.pool.shape[1]))  # both factors stay in the cache
        for start in range(0, len(result), step):
            part = slice(start, start + step)
            result[part] = np.einsum(
                "ij,ij->i", self.targets[left[part]].astype(np.float64), self.pool[right[part]].astype(np.float64)
            )
        return _rounded(result).reshape(target_rows.shape)

    def _exact(self, start: int, stop: int) -> np.ndarray:
        n = len(self.pool)
        columns = max(1, _BLOCK_BYTES // (8 * max(1, self.pool.shape[1])))
        block = np.asarray(self.targets[start:stop], dtype=np.float64)
        product = np.empty((len(block), n))
        for first in range(0, n, columns):
            part = slice(first, first + columns)
            product[:, part] = block @ np.asarray(self.pool[part], dtype=np.float64).T
        return product

    def _fast(self, target_rows: np.ndarray, tile: slice, out: np.ndarray) -> None:
        np.matmul(np.asarray(self.targets[target_rows], dtype=np.float32), self.pool[tile].T, out=out)


class Lexical(Similarity):
    """The score of a document for a query, as a share of the query's score for itself."""

    targets: LexicalVectors
    pool: LexicalVectors

    @cached_property
    def _terms(self) -> int:
        return max(self.targets.terms, self.pool.terms)

    @cached_property
    def _queries(self) -> "csr_array":
        return self.targets.matrix("query", self._terms)

    @cached_property
    def _documents(self) -> "csr_array":
        return self.pool.matrix("document", self._terms)

    @cached_property
    def _postings(self) -> "csr_array":
        return self._documents.T.tocsr()

    @cached_property
    def _tiles(self) -> "list[csr_array]":
        """Postings of ``_TILE`` documents each."""
        return [self._documents[first : first + _TILE].T.tocsr() for first in range(0, len(self.pool), _TILE)]

    def pairs(self, target_rows: np.ndarray, pool_rows: np.ndarray) -> np.ndarray:
        """Return the similarities of pairs of rows, float64 of the shape of the rows (equal)."""
        left, right = target_rows.ravel(), pool_rows.ravel()
        result = np.empty(len(left))
        step = 1 << 16
        for start in range(0, len(result), step):
            part = slice(start, start + step)
            # A product with ones adds up a row's terms in their order, as the product of matrices in _exact does.
            shared = self._queries[left[part]].multiply(self._documents[right[part]]).tocsr()
            result[part] = shared @ np.ones(self._terms)
        return _rounded(result).reshape(target_rows.shape)

    def _exact(self, start: int, stop: int) -> np.ndarray:
        return (self._queries[start:stop] @ self._postings).toarray()

    def _fast(self, target_rows: np.ndarray, tile: slice, out: np.ndarray) -> None:
        # Clipped, as all documents that say a query's words as often as it does or more are equally similar to it.
        out[...] = np.minimum((self._queries[target_rows] @ self._tiles[tile.start // _TILE]).toarray(), 1)


def similarity_between(targets: Vectors, pool: Vectors) -> Similarity:
    """Return the similarity of a pool to targets, by the kind of their vectors."""
    lexical = isinstance(targets, LexicalVectors)
    if lexical != isinstance(pool, LexicalVectors):
        raise TypeError("targets and pool have vectors of different kinds")
    return Lexical(targets, pool) if lexical else Cosine(targets, pool)


def _rounded(scores: np.ndarray) -> np.ndarray:
    return np.round(np.clip(scores, 0, 1), _DECIMALS)


def _likeliest(scores: np.ndarray, count: int, duplicates: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest scores of each row and their columns, in no order; ties towards the lower column.

    The ``count`` chunks of columns with the largest maxima hold them; only these are looked through.

    Args:
        scores: float32 [m, width], the width a multiple of ``_CHUNK``; overwritten.
        count: how many of a row.
        duplicates: whether scores of about ``DUPLICATE`` and above count.
    """
    folded = scores.reshape(len(scores), -1, _CHUNK)
    maxima = folded.max(axis=2)
    if not duplicates:
        row, chunk = np.nonzero(maxima >= DUPLICATE - 5e-7)
        values = folded[row, chunk]
        values[values >= DUPLICATE - 5e-7] = _ABSENT
        folded[row, chunk] = values
        maxima[row, chunk] = values.max(axis=1)
    chunks = maxima.shape[1]
    chosen = _largest(maxima, np.arange(chunks)[None, :], min(chunks, count))
    columns = (chosen[:, :, None] * _CHUNK + np.arange(_CHUNK)).reshape(len(scores), -1)
    values = folded[np.arange(len(scores))[:, None], chosen].reshape(len(scores), -1)
    best = _largest(values, columns, min(count, columns.shape[1]))
    return np.take_along_axis(values, best, axis=1), np.take_along_axis(columns, best, axis=1)


def _largest(values: np.ndarray, positions: np.ndarray, k: int) -> np.ndarray:
    """Return the indices of the k largest per row, in no order; ties (after rounding) go to the lowest position."""
    quanta = np.rint(np.maximum(values, 0).astype(np.float64) * 10**_DECIMALS)
    # Exact in float64: at most 1e6 · 1e9 < 2⁵³.
    keys = np.where(values > _ABSENT / 2, quanta, -1) * (int(positions.max()) + 1) - positions
    if k >= keys.shape[1]:
        return np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    return np.argpartition(-keys, k - 1, axis=1)[:, :k]
