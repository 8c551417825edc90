"""Training contexts: which examples stand before a target, under each strategy.

Strategies [paper]: zero, random, similar, contrastive (one graded example among random ones); mixed is our control. A
context depends on (seed, task, strategy name, draw, target id) and on the candidates, whatever their row order.
Everything runs on arrays over chunks of targets; a million contexts of five examples take seconds, not minutes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from contrastive_context.config.strategies import Strategy
from contrastive_context.core.buckets import DEFAULT_BUCKETS, bounds_of, bucket_of
from contrastive_context.core.columnar import list_column
from contrastive_context.core.errors import UserError
from contrastive_context.core.randomness import below, id_bits, numbers, shuffled, states, stream, uniform
from contrastive_context.retrieval.similarity import DUPLICATE, Neighbours, Similarity, Vectors, similarity_between
from contrastive_context.text.normalising import normalised_codes

if TYPE_CHECKING:
    import pandas as pd

#: Names of grades, in the order of their codes.
GRADES = ("none", "random", "similar", "paraphrase")
_NONE, _RANDOM, _SIMILAR, _PARAPHRASE = range(len(GRADES))
_OPEN = -1  # a slot that a random example will fill; also the position of a neighbour that doesn't exist


@dataclass(frozen=True)
class _Pool:
    """The candidates in id order; "position" is one in that order, the paraphrases' positions come after them."""

    bits: np.ndarray  # uint64 [n], ascending
    rows: np.ndarray  # int64 [n], position → row of the similarity
    names: pa.Array  # [n + paraphrases], position → id
    similarity: Similarity
    codes: np.ndarray | None  # int32 [n], equal where the normalised sources are; None if all differ
    nearest: np.ndarray  # int64 [n, depth], positions of the neighbours, −1 where there are fewer
    first_paraphrase: np.ndarray  # int64 [n + 1], the paraphrases of position i are [first[i], first[i + 1])
    paraphrase_similarities: np.ndarray
    removed: tuple[tuple[float, float], ...]  # [from, to) of the similarities that no example may have

    def similarities(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return self.similarity.pairs(self.rows[left], self.rows[right])

    def unwanted(self, left: np.ndarray, right: np.ndarray, similarities: np.ndarray) -> np.ndarray:
        """Duplicates of the target, and examples in a removed bucket."""
        out = (similarities >= DUPLICATE) | _within(similarities, self.removed)
        return out if self.codes is None else out | (self.codes[left] == self.codes[right])


@dataclass(frozen=True)
class _Choice:
    """What a strategy decides for a chunk of targets: positions for some slots, ``_OPEN`` for others, and grades."""

    positions: np.ndarray  # int64 [m, k]
    intended: np.ndarray  # int8 [m]
    actual: np.ndarray  # int8 [m]


def _within(similarities: np.ndarray, ranges: Iterable[tuple[float, float]]) -> np.ndarray:
    inside = np.zeros(similarities.shape, dtype=bool)
    for lower, upper in ranges:
        inside |= (similarities >= lower) & (similarities < upper)
    return inside


def _zero(pool: _Pool, targets: np.ndarray, state: np.ndarray, strategy: Strategy, k: int) -> _Choice:
    grade = np.full(len(targets), _NONE, dtype=np.int8)
    return _Choice(np.empty((len(targets), 0), dtype=np.int64), grade, grade)


def _random(pool: _Pool, targets: np.ndarray, state: np.ndarray, strategy: Strategy, k: int) -> _Choice:
    grade = np.full(len(targets), _RANDOM, dtype=np.int8)
    return _Choice(np.full((len(targets), k), _OPEN), grade, grade)


def _similar(pool: _Pool, targets: np.ndarray, state: np.ndarray, strategy: Strategy, k: int) -> _Choice:
    intended = np.full(len(targets), _SIMILAR, dtype=np.int8)
    return _Choice(pool.nearest[targets], intended, _if_any(pool.nearest[targets], intended))


def _mixed(pool: _Pool, targets: np.ndarray, state: np.ndarray, strategy: Strategy, k: int) -> _Choice:
    similar = uniform(numbers(state, 0)) < strategy.p
    intended = np.where(similar, _SIMILAR, _RANDOM).astype(np.int8)
    positions = np.where(similar[:, None], pool.nearest[targets], _OPEN)
    return _Choice(positions, intended, _if_any(positions, intended))


def _if_any(positions: np.ndarray, intended: np.ndarray) -> np.ndarray:
    """Where buckets are removed a target may have no neighbour left: its context is random then."""
    return np.where((positions >= 0).any(axis=1), intended, _RANDOM).astype(np.int8)


def _contrastive(pool: _Pool, targets: np.ndarray, state: np.ndarray, strategy: Strategy, k: int) -> _Choice:
    """Grade one slot: the nearest neighbour with probability p, a paraphrase with ε, else a random example."""
    drawn = uniform(numbers(state, 0))
    similar = drawn < strategy.p
    paraphrase = ~similar & (drawn < strategy.p + strategy.epsilon)
    intended = np.select([similar, paraphrase], [_SIMILAR, _PARAPHRASE], _RANDOM).astype(np.int8)
    first = pool.first_paraphrase[targets]
    available = pool.first_paraphrase[targets + 1] - first
    fallback = (paraphrase & (available == 0)) | (similar & (pool.nearest[targets, 0] < 0))
    paraphrase &= ~fallback
    positions = np.full((len(targets), k), _OPEN)
    positions[similar, 0] = pool.nearest[targets[similar], 0]
    positions[paraphrase, 0] = (first + below(numbers(state, 1), np.maximum(available, 1)))[paraphrase]
    return _Choice(positions, intended, np.where(fallback, _RANDOM, intended).astype(np.int8))


CHOICES: dict[str, Callable[[_Pool, np.ndarray, np.ndarray, Strategy, int], _Choice]] = {
    "zero": _zero,
    "random": _random,
    "similar": _similar,
    "contrastive": _contrastive,
    "mixed": _mixed,
}


def sample_contexts(ids: Sequence[str], embeddings: Vectors, strategy: Strategy, *, k: int, **options: Any) -> pa.Table:
    """Sample the training contexts of a strategy at once; arguments, columns and errors as in :func:`iter_contexts`."""
    return pa.concat_tables(iter_contexts(ids, embeddings, strategy, k=k, **options))


def iter_contexts(
    ids: Sequence[str],
    embeddings: Vectors,
    strategy: Strategy,
    *,
    k: int,
    neighbours: Neighbours | None = None,
    paraphrases: "pa.Table | pd.DataFrame | None" = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    draws: int = 1,
    seed: int = 0,
    task: str = "",
    name: str | None = None,
    edges: Mapping[str, float] = DEFAULT_BUCKETS,
    chunk: int = 16_384,
) -> Iterator[pa.Table]:
    """Yield training contexts in tables of at most ``chunk`` rows; the chunk size changes no context.

    Args:
        ids: the candidates, 16 hexadecimal digits each, in any order.
        embeddings: vectors aligned with ``ids``: float32 [n, dim] of unit norm, or lexical ones.
        strategy: kind and probabilities.
        k: examples per context (zero: none).
        neighbours: nearest neighbours aligned with ``ids``, at least k per row for similar and mixed, one for
            contrastive; not needed otherwise.
        paraphrases: table or frame with id, parent_id, similarity and accepted; where epsilon or augmentation is
            above 0.
        sources: texts aligned with ``ids``; those equal after normalisation are duplicates.
        targets: ids to sample contexts for; all if None.
        draws: contexts per target.
        seed: seed of all random decisions.
        task: name of the task, part of the seed.
        name: name of the strategy, part of the seed; its kind if None.
        edges: similarity buckets, name → lower edge.
        chunk: targets handled at a time.

    Yields:
        Tables with target_id, draw, trained_id (the target, or the paraphrase trained on in its place), intended_grade,
        actual_grade, example_ids, similarities to the target (lists in prompt order), max_similarity (null without
        examples), bucket, composition (the strategy's name), seed.

    Raises:
        UserError: too few candidates or neighbours for k, or a strategy that can't be.
    """
    name = name or strategy.kind
    _check(strategy, k, task, name, len(ids), neighbours, paraphrases, edges)
    removed = tuple(bounds_of(edges)[bucket] for bucket in strategy.without)
    pool = _pool(ids, embeddings, strategy, k, neighbours, paraphrases, sources, name, removed)
    wanted = pool.bits if targets is None else np.sort(id_bits(targets))
    where = np.searchsorted(pool.bits, wanted)
    for draw in range(draws):
        for start in range(0, len(where), chunk):
            yield _contexts(pool, where[start : start + chunk], strategy, k, draw, seed, task, name, edges)


def _check(
    strategy: Strategy,
    k: int,
    task: str,
    name: str,
    n: int,
    neighbours: Neighbours | None,
    paraphrases: "pa.Table | pd.DataFrame | None",
    edges: Mapping[str, float],
) -> None:
    if strategy.shows_examples and k >= n:
        raise UserError(f"tasks.{task}.k is {k}, but there are only {n} training examples; lower k or add examples")
    if problem := next(strategy.problems(list(edges)), None):
        raise UserError(f"strategies.{name}: {problem}")
    if strategy.needs_neighbours and neighbours is None:
        raise UserError(f"strategies.{name}: kind {strategy.kind} needs the neighbour table")
    if strategy.needs_paraphrases and paraphrases is None:
        raise UserError(
            f"strategies.{name}.paraphrasers: epsilon or augmentation is above 0, but {task} has no paraphraser there"
        )


def _pool(
    ids: Sequence[str],
    embeddings: Vectors,
    strategy: Strategy,
    k: int,
    neighbours: Neighbours | None,
    paraphrases: "pa.Table | pd.DataFrame | None",
    sources: Sequence[str] | None,
    name: str,
    removed: tuple[tuple[float, float], ...],
) -> _Pool:
    bits = id_bits(ids)
    rows = np.argsort(bits, kind="stable")
    bits, n = bits[rows], len(bits)
    codes = None if sources is None or not strategy.shows_examples else normalised_codes(sources)[0][rows]
    if codes is not None and codes.max(initial=-1) == n - 1:
        codes = None
    nearest = np.empty((n, 0), dtype=np.int64)
    if strategy.needs_neighbours:
        assert neighbours is not None
        nearest = _nearest(neighbours, rows, codes, strategy.neighbours(k), removed)
        short = int(np.sum(nearest[:, -1] < 0))
        if short and not removed:
            raise UserError(
                f"strategies.{name}: {short} targets have fewer than {nearest.shape[1]} neighbours that are not "
                "duplicates; raise the task's index.neighbours"
            )
    names, first, similarities = pa.array(ids, pa.string()).take(pa.array(rows)), np.full(n + 1, n), np.empty(0)
    if strategy.needs_paraphrases:
        added, parents, similarities = _usable(paraphrases, bits, removed)
        names = pa.concat_arrays([names, added])
        first = n + np.searchsorted(parents, np.arange(n + 1))
    return _Pool(
        bits, rows, names, similarity_between(embeddings, embeddings), codes, nearest, first, similarities, removed
    )


def _nearest(
    neighbours: Neighbours,
    rows: np.ndarray,
    codes: np.ndarray | None,
    depth: int,
    removed: tuple[tuple[float, float], ...],
) -> np.ndarray:
    """Return the positions of the ``depth`` nearest neighbours that may be shown, in id order of the targets."""
    position = np.empty(len(rows) + 1, dtype=np.int64)
    position[rows], position[-1] = np.arange(len(rows)), -1  # row −1, no neighbour, is position −1
    nearest = position[neighbours.rows[rows, : None if codes is not None or removed else depth]]
    if codes is not None:
        nearest = np.where((nearest >= 0) & (codes[nearest] != codes[:, None]), nearest, -1)
    if removed:
        nearest = np.where(_within(neighbours.similarities[rows], removed), -1, nearest)
    if codes is not None or removed:
        nearest = np.take_along_axis(nearest, np.argsort(nearest < 0, axis=1, kind="stable"), axis=1)[:, :depth]
    if nearest.shape[1] < depth:
        nearest = np.pad(nearest, ((0, 0), (0, depth - nearest.shape[1])), constant_values=-1)
    return nearest


def _usable(
    paraphrases: "pa.Table | pd.DataFrame | None", bits: np.ndarray, removed: tuple[tuple[float, float], ...]
) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Return ids, parents' positions (ascending) and similarities of the accepted paraphrases of the candidates."""
    table = paraphrases if isinstance(paraphrases, pa.Table) else pa.Table.from_pandas(paraphrases)
    table = table.select(["id", "parent_id", "similarity", "accepted"]).combine_chunks()
    similarities = table["similarity"].to_numpy()
    usable = (similarities < DUPLICATE) & ~_within(similarities, removed)
    kept = np.flatnonzero(table["accepted"].to_numpy().astype(bool) & usable)
    wanted = id_bits(table["parent_id"])[kept]
    parents = np.minimum(np.searchsorted(bits, wanted), len(bits) - 1)
    known = bits[parents] == wanted
    kept, parents = kept[known], parents[known]
    order = np.lexsort((id_bits(table["id"])[kept], parents))
    ids = table["id"].combine_chunks().cast(pa.string()).take(pa.array(kept[order]))
    return ids, parents[order], np.round(similarities[kept[order]].astype(np.float64), 6)


def _contexts(
    pool: _Pool,
    targets: np.ndarray,
    strategy: Strategy,
    k: int,
    draw: int,
    seed: int,
    task: str,
    name: str,
    edges: Mapping[str, float],
) -> pa.Table:
    bits = pool.bits[targets]
    state = states(stream("grade", seed, task, name, draw), bits)
    choice = CHOICES[strategy.kind](pool, targets, state, strategy, k)
    positions, width = choice.positions.copy(), choice.positions.shape[1]
    n = len(pool.bits)
    similarities = np.empty(positions.shape)
    chosen = np.nonzero((positions >= 0) & (positions < n))
    similarities[chosen] = pool.similarities(targets[chosen[0]], positions[chosen])
    similarities[positions >= n] = pool.paraphrase_similarities[positions[positions >= n] - n]
    _fill_random(pool, targets, positions, similarities, states(stream("examples", seed, task, name, draw), bits), task)

    # Without the strategy's name: all strategies share the order of slots.
    order = shuffled(stream("slots", seed, task, draw), bits, width)
    positions = np.take_along_axis(positions, order, axis=1)
    similarities = np.take_along_axis(similarities, order, axis=1)
    largest = similarities.max(axis=1) if width else np.full(len(targets), np.nan)
    count = len(targets)
    grades = pa.array(GRADES)
    return pa.table(
        {
            "target_id": pool.names.take(pa.array(targets)),
            "draw": pa.array(np.full(count, draw, dtype=np.int32)),
            "trained_id": pool.names.take(pa.array(_trained(pool, targets, strategy, draw, seed, task))),
            "intended_grade": grades.take(pa.array(choice.intended)),
            "actual_grade": grades.take(pa.array(choice.actual)),
            "example_ids": list_column(pool.names.take(pa.array(positions.ravel())), count),
            "similarities": list_column(pa.array(similarities.ravel(), pa.float64()), count),
            "max_similarity": pa.array(largest, mask=np.isnan(largest)),
            "bucket": pa.array(bucket_of(largest, edges), pa.string()),
            "composition": pa.repeat(name, count),
            "seed": pa.array(np.full(count, seed, dtype=np.int64)),
        }
    )


def _trained(pool: _Pool, targets: np.ndarray, strategy: Strategy, draw: int, seed: int, task: str) -> np.ndarray:
    """Return the positions of what is trained on: the targets, or (augmentation) paraphrases of some.

    They are the same for all strategies.
    """
    if strategy.augmentation == 0:
        return targets
    state = states(stream("augmentation", seed, task, draw), pool.bits[targets])
    first = pool.first_paraphrase[targets]
    available = pool.first_paraphrase[targets + 1] - first
    paraphrase = first + below(numbers(state, 1), np.maximum(available, 1))
    replaced = (uniform(numbers(state, 0)) < strategy.augmentation) & (available > 0)
    return np.where(replaced, paraphrase, targets)


def _fill_random(
    pool: _Pool, targets: np.ndarray, positions: np.ndarray, similarities: np.ndarray, state: np.ndarray, task: str
) -> None:
    """Fill the open slots with candidates drawn uniformly without replacement, in place.

    Skip method: with e positions taken (self, the context so far), draw x from n − e and step over each taken position
    ≤ x, in ascending order. Duplicates of the target (and removed similarities) are found once drawn; they join the
    taken positions and the slot is drawn again, which leaves the others uniform. So no search for duplicates is needed
    beforehand.
    """
    n, k = len(pool.bits), positions.shape[1]
    # n stands for "nothing": no draw reaches it.
    taken = np.sort(np.column_stack([targets, np.where((positions < 0) | (positions >= n), n, positions)]), axis=1)
    for slot in range(k):
        rows, attempt = np.flatnonzero(positions[:, slot] == _OPEN), 0
        while rows.size:
            mine = taken[rows]
            free = n - (mine < n).sum(axis=1)
            if free.min() < 1:
                raise UserError(
                    f"tasks.{task}.k is {k}, but some training examples have fewer candidates that are neither "
                    "duplicates of them nor in a removed bucket; lower k or remove duplicates from the corpus"
                )
            drawn = below(numbers(state[rows], slot + k * attempt), free)
            for column in mine.T:
                drawn += drawn >= column
            scores = pool.similarities(targets[rows], drawn)
            positions[rows, slot], similarities[rows, slot] = drawn, scores
            added = np.full((len(taken), 1), n)
            added[rows, 0] = drawn
            taken = np.sort(np.hstack([taken, added]), axis=1)
            if (taken[:, -1] == n).all():
                taken = taken[:, :-1]
            rows, attempt = rows[pool.unwanted(targets[rows], drawn, scores)], attempt + 1
