"""Which arrivals may stand before a test target, in a random order of the target's own or nearest first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from contrastive_context.core.columnar import read_columns
from contrastive_context.core.randomness import id_bits, ranking, states
from contrastive_context.retrieval.embedding_files import read_embeddings
from contrastive_context.retrieval.similarity import DUPLICATE, Vectors, similarity_between
from contrastive_context.text.agreement import get_agreement
from contrastive_context.text.normalising import normalised_codes


@dataclass(frozen=True)
class Examples:
    """A corpus with its embeddings, in id order.

    Attributes:
        ids: 16 hexadecimal digits each, ascending.
        sources: texts.
        targets: texts.
        clusters: as in the corpus, for the bootstrap.
        embeddings: their vectors.
    """

    ids: list[str]
    sources: list[str]
    targets: list[str]
    clusters: pa.Array
    embeddings: Vectors

    @classmethod
    def build(
        cls,
        ids: Sequence[str],
        sources: Sequence[str],
        targets: Sequence[str],
        embeddings: Vectors,
        clusters: Sequence | pa.Array | None = None,
    ) -> "Examples":
        """Sort aligned columns by id; without ``clusters`` every example is its own."""
        order = np.argsort(id_bits(ids), kind="stable")
        if np.any(order[1:] < order[:-1]):
            embeddings = embeddings[order]
        own = pa.array(ids if clusters is None else clusters)
        texts = [[column[i] for i in order] for column in (ids, sources, targets)]
        return cls(texts[0], texts[1], texts[2], own.take(order), embeddings)

    @classmethod
    def read(cls, corpus: str | Path, embeddings: str | Path, test_set: str | None = None) -> "Examples":
        """Read a corpus file and its embeddings; of a file of test sets the rows of ``test_set`` alone.

        Raises:
            UserError: a file can't be read, or the two have different numbers of rows.
        """
        columns = ["id", "source", "target", "cluster"]
        table = read_columns(corpus, [*columns, "test_set"] if test_set else columns).combine_chunks()
        vectors = read_embeddings(embeddings, table.num_rows, corpus)
        if test_set:
            rows = np.flatnonzero(np.array(table["test_set"].to_pylist()) == test_set)
            table, vectors = table.take(rows), vectors[rows]
        ids, sources, targets = (table[name].to_pylist() for name in columns[:3])
        return cls.build(ids, sources, targets, vectors, table["cluster"].combine_chunks())


class Candidates:
    """The arrivals as seen from one target.

    Attributes:
        similarities: float64 [arrivals], of the target to each.
    """

    def __init__(self, similarities: np.ndarray, usable: np.ndarray, state: np.uint64, bits: np.ndarray) -> None:
        """Take the similarities, which arrivals are no duplicates and pass the checks, and the random state."""
        self.similarities = similarities
        self._usable = usable
        self._state, self._bits = state, bits
        self._random: np.ndarray | None = None
        self.refused: Callable[[int], bool] = lambda row: False

    def take(
        self,
        count: int,
        low: float,
        high: float,
        *,
        nearest: bool = False,
        around: float | None = None,
        exclude: Sequence[int] = (),
        accept: Callable[[int], bool] = lambda row: True,
    ) -> list[int]:
        """Return the first ``count`` candidates (rows; fewer if there are no more) with similarity in [low, high).

        Args:
            count: how many.
            low: lower bound, included.
            high: upper bound, excluded.
            nearest: by similarity, ties by id, instead of in the target's random order.
            around: by how near the similarity is to this, ties in the random order.
            exclude: rows that don't count.
            accept: a further condition on a row.
        """
        rows = self._between(low, high, nearest)
        if around is not None:
            rows = iter(sorted(rows, key=lambda row: abs(self.similarities[row] - around)))
        return list(
            islice((row for row in rows if row not in exclude and accept(row) and not self.refused(row)), count)
        )

    def take_distinct(self, count: int, low: float, high: float, labels: Sequence[str]) -> list[int]:
        """Return the first ``count`` candidates in the target's random order, each with a label of its own.

        Args:
            count: how many; fewer come back if there are fewer labels.
            low: lower bound of the similarity, included.
            high: upper bound, excluded.
            labels: of all arrivals.
        """
        first: dict[str, int] = {}
        for row in self._between(low, high):
            if len(first) == count:
                break
            if labels[row] not in first and not self.refused(row):
                first[labels[row]] = row
        return list(first.values())

    def _between(self, low: float, high: float, nearest: bool = False) -> Iterator[int]:
        """Yield rows in the order of :meth:`take`, those that will be refused among them."""
        inside = self._usable & (self.similarities >= low) & (self.similarities < high)
        if nearest:
            rows = np.flatnonzero(inside)
            rows = rows[np.argsort(-self.similarities[rows], kind="stable")]
        else:
            if self._random is None:
                self._random = ranking(self._state, self._bits)
            rows = self._random[inside[self._random]]
        yield from rows.tolist()


def iter_candidates(
    test: Examples, arrivals: Examples, key: np.uint64, agreement: str, max_agreement: float
) -> Iterator[Candidates]:
    """Yield the candidates of each test target, in id order.

    Never taken: the target itself, its duplicates (same normalised source, or similarity at or above
    ``retrieval.DUPLICATE``), and arrivals whose label agrees with gold by ``max_agreement`` or more: copying would win.

    Args:
        test: the targets.
        arrivals: the examples to choose from.
        key: stream of random numbers.
        agreement: name of the agreement function.
        max_agreement: from here on an arrival is refused. It is measured only for arrivals that are about to be taken.
    """
    agree = get_agreement(agreement)
    bits = id_bits(arrivals.ids)
    test_codes, codes = normalised_codes(test.sources, arrivals.sources)
    state = states(key, id_bits(test.ids))
    for start, block in similarity_between(test.embeddings, arrivals.embeddings).blocks():
        for offset, similarities in enumerate(block):
            row = start + offset
            usable = (
                (similarities < DUPLICATE) & (codes != test_codes[row]) & (bits != np.uint64(int(test.ids[row], 16)))
            )
            candidates = Candidates(similarities, usable, state[row], bits)
            candidates.refused = _Refusal(arrivals.targets, test.targets[row], agree, max_agreement)
            yield candidates


class _Refusal:
    """Whether an arrival's label gives gold away; each distinct label is judged once."""

    def __init__(self, labels: list[str], gold: str, agree: Callable[[str, str], float], max_agreement: float) -> None:
        self._labels, self._gold, self._agree, self._limit = labels, gold, agree, max_agreement
        self._known: dict[str, bool] = {}

    def __call__(self, row: int) -> bool:
        label = self._labels[row]
        if label not in self._known:
            self._known[label] = self._agree(label, self._gold) >= self._limit
        return self._known[label]
