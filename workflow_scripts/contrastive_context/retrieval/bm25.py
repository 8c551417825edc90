"""BM25 as vectors: what a word weighs in a query, what it weighs in a document, with frequencies of the training split.

The weights are those of Lucene's variant, whose inverse document frequency is never negative (Kamphuis et al., "Which
BM25 Do You Mean?", 2020). A text has a row in both roles: as a query, how often each word occurs in it, divided by its
score for itself; as a document, the words' scores. The dot product of the two is BM25 as a share of the query's score
for itself.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from contrastive_context.config.sources import BM25Encoder
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.retrieval.similarity import LEXICAL, LexicalVectors
from contrastive_context.text.words import search_terms


@dataclass(frozen=True)
class Statistics:
    """What BM25 knows of the training split.

    Attributes:
        documents: its texts.
        mean_length: words per text.
        frequencies: word → texts that have it. A word's index here is its term in the vectors; words of the other
            splits stand among them with 0, so that they can be matched.
    """

    documents: int
    mean_length: float
    frequencies: dict[str, int]

    @classmethod
    def of(cls, train: Iterable[str], others: Iterable[str] = ()) -> "Statistics":
        """Count the words of the training split; note those of other texts.

        Raises:
            UserError: the training split has no rows.
        """
        documents, length, counts = 0, 0, Counter[str]()
        for text in train:
            found = search_terms(text)
            documents, length = documents + 1, length + len(found)
            counts.update(set(found))
        if not documents:
            raise UserError("nothing to embed: the corpus has no rows")
        for text in others:
            counts.update(dict.fromkeys(search_terms(text), 0))
        return cls(documents, length / documents, dict(sorted(counts.items())))

    @classmethod
    def read(cls, path: str | Path) -> "Statistics":
        """Read what :meth:`write` has written.

        Raises:
            UserError: the file can't be read or holds something else.
        """
        record = artifacts.read_json(path)
        if not isinstance(record, Mapping) or record.get("kind") != "bm25":
            raise UserError(f"{path}: holds no frequencies of words; delete it and run again")
        return cls(**{name: record[name] for name in ("documents", "mean_length", "frequencies")})

    def write(self, path: str | Path) -> None:
        """Write the statistics as JSON."""
        artifacts.write_json(path, {"kind": "bm25", **asdict(self)})


class BM25:
    """Turns texts into lexical vectors.

    Args:
        settings: k1 and b.
        statistics: of the training split; never changed by what is encoded.
    """

    def __init__(self, settings: BM25Encoder, statistics: Statistics) -> None:
        self._settings = settings
        self._statistics = statistics
        self._terms = {word: term for term, word in enumerate(statistics.frequencies)}
        # A word that no split has weighs in a query's score for itself, and matches nothing.
        frequencies = [*statistics.frequencies.values(), 0]
        n = statistics.documents
        self._idf = np.array([math.log(1 + (n - count + 0.5) / (count + 0.5)) for count in frequencies])

    @classmethod
    def fit(cls, train: Iterable[str], others: Iterable[str] = (), **parameters: float) -> "BM25":
        """Return an encoder that has counted the words of texts.

        Args:
            train: the texts that frequencies and the mean length are taken from.
            others: texts whose words can be matched, too.
            parameters: k1 and b, where they are not the defaults of :class:`BM25Encoder`.

        Raises:
            UserError: there are no training texts.
        """
        return cls(BM25Encoder(kind="bm25", **parameters), Statistics.of(train, others))

    def __call__(self, texts: Sequence[str]) -> LexicalVectors:
        """Return the vectors of texts; those of a text without words are zero."""
        unknown = len(self._terms)
        rows, terms, counts, lengths = [], [], [], []
        for number, text in enumerate(texts):
            found = search_terms(text)
            for word, times in Counter(found).items():
                rows.append(number)
                terms.append(self._terms.get(word, unknown))
                counts.append(times)
                lengths.append(len(found))
        row, term = np.array(rows, dtype=np.int32), np.array(terms, dtype=np.int32)
        count, length = np.array(counts, dtype=np.float64), np.array(lengths, dtype=np.float64)
        mean = self._statistics.mean_length or 1.0
        k1, b = self._settings.k1, self._settings.b
        weight = self._idf[term] * (count / (k1 * ((1 - b) + b * length / mean) + count))
        # Added up in the order of terms, unknown ones last, which doesn't depend on the order of the words.
        order = np.lexsort((weight, term, row))
        own = np.bincount(row[order], weights=(count * weight)[order], minlength=len(texts))
        order = order[term[order] < unknown]
        wordless = np.setdiff1d(np.arange(len(texts)), row[order])
        stored = np.zeros(len(order) + len(wordless), dtype=LEXICAL)
        stored["row"] = np.concatenate([row[order], wordless])
        stored["term"][: len(order)] = term[order]
        stored["query"][: len(order)] = count[order] / own[row[order]]
        stored["document"][: len(order)] = weight[order]
        return LexicalVectors(stored[np.argsort(stored["row"], kind="stable")])
