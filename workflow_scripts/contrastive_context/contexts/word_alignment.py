"""Which word of a target a word of its source stands for, by how words go together in the corpus.

IBM model 1 (Brown et al. 1993, https://aclanthology.org/J93-2003) in both directions, over the sets of words of each
pair: nothing of the languages or scripts is needed but words (letters, in scripts without blanks). Two words are
aligned if each is the other's likeliest in their pair, by more than all others together [ours].
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from contrastive_context.core.randomness import ranking, stream
from contrastive_context.text.words import Span, spans

MAX_LINKS = 6_000_000
"""Pairs of words that the model is estimated from; of a larger corpus a sample is taken, pair by pair [ours]."""
MAX_WORDS = 80
"""Pairs with a longer side are left out of the estimate [ours]."""

_ITERATIONS = 6
_MIN_PAIRS = 3  # pairs in which both words stand: fewer say too little
_MIN_POSTERIOR = 0.5  # in both directions
_MIN_PROBABILITY = 0.1  # of the one word given the other, in both directions
_NOTHING = 0  # stands in every text: what has no counterpart is explained by it


class Word(NamedTuple):
    """A word as it is compared, and its characters in the text."""

    text: str
    span: Span


class Link(NamedTuple):
    """A word of the source and the word of the target that stands for it."""

    source: Word
    target: Word


def words(text: str) -> list[Word]:
    """Split a text into words, case folded."""
    return [Word(text[start:end].casefold(), (start, end)) for start, end in spans(text)]


class WordAlignment:
    """The model of one corpus.

    Args:
        sources: one side of the pairs.
        targets: the other side.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        left, right = ([{word.text for word in words(text)} for text in texts] for texts in (sources, targets))
        pairs = list(zip(left, right, strict=True))
        self._frequency = Counter(word for source, _ in pairs for word in source)
        self._pairs = len(pairs)
        self._sources = _numbers(source for source, _ in pairs)
        self._targets = _numbers(target for _, target in pairs)
        self._width = len(self._targets) + 1
        source, target, source_position, target_position = self._links(pairs)
        keys, link = np.unique(source.astype(np.int64) * self._width + target, return_inverse=True)
        sides = keys // self._width, keys % self._width
        # The last value, which −1 leads to, is of combinations that no pair has.
        self._count = np.append(np.bincount(link, minlength=len(keys)), 0)
        self._forward = np.append(_estimate(link, target_position, *sides), 0)
        self._backward = np.append(_estimate(link, source_position, *reversed(sides)), 0)
        self._index = dict(zip(keys.tolist(), range(len(keys)), strict=True))

    def _links(self, pairs: Sequence[tuple[set[str], set[str]]]) -> list[np.ndarray]:
        """Return for every combination of words in a pair: both words, and their positions in the corpus."""
        offsets = [0, 0]  # positions of the pairs before, per side
        columns: list[list[np.ndarray]] = [[], [], [], []]
        left = MAX_LINKS
        for row in ranking(stream("word alignment"), np.arange(len(pairs), dtype=np.uint64)):
            if max(map(len, pairs[row])) > MAX_WORDS:
                continue
            sides = [
                np.array([_NOTHING, *sorted(known[word] for word in side if word in known)], dtype=np.int32)
                for side, known in zip(pairs[row], (self._sources, self._targets), strict=True)
            ]
            (source, target), (rows, across) = sides, map(len, sides)
            columns[0].append(np.repeat(source, across))
            columns[1].append(np.tile(target, rows))
            columns[2].append(np.repeat(np.arange(rows, dtype=np.int32) + offsets[0], across))
            columns[3].append(np.tile(np.arange(across, dtype=np.int32) + offsets[1], rows))
            offsets[0] += rows
            offsets[1] += across
            left -= rows * across
            if left < 0:
                break
        return [np.concatenate(column) if column else np.zeros(0, np.int32) for column in columns]

    def share(self, word: str) -> float:
        """Return the share of pairs whose source has a word."""
        return self._frequency[word] / max(1, self._pairs)

    def links(self, source: str, target: str) -> list[Link]:
        """Align a pair; words that stand twice on their side are left out."""
        left, right = words(source), words(target)
        rows = [_NOTHING, *(self._sources.get(word.text, -1) for word in left)]
        columns = [_NOTHING, *(self._targets.get(word.text, -1) for word in right)]
        index = np.array([[self._at(row, column) for column in columns] for row in rows])
        forward, backward = self._forward[index], self._backward[index]
        sure = (
            (forward >= _MIN_POSTERIOR * forward.sum(axis=0))
            & (backward >= _MIN_POSTERIOR * backward.sum(axis=1, keepdims=True))
            & (np.minimum(forward, backward) >= _MIN_PROBABILITY)
            & (self._count[index] >= _MIN_PAIRS)
        )
        once = [Counter(word.text for word in side) for side in (left, right)]
        return [
            Link(left[row], right[column])
            for row, column in np.argwhere(sure[1:, 1:]).tolist()
            if once[0][left[row].text] == 1 and once[1][right[column].text] == 1
        ]

    def _at(self, source: int, target: int) -> int:
        return -1 if source < 0 or target < 0 else self._index.get(source * self._width + target, -1)


def _numbers(texts: Iterable[set[str]]) -> dict[str, int]:
    """Number the words that stand in as many texts as an alignment needs; 0 is no word."""
    counts = Counter(word for text in texts for word in text)
    frequent = sorted(word for word, count in counts.items() if count >= _MIN_PAIRS)
    return {word: number for number, word in enumerate(frequent, start=_NOTHING + 1)}


def _estimate(link: np.ndarray, position: np.ndarray, given: np.ndarray, explained: np.ndarray) -> np.ndarray:
    """Estimate p(explained word | given word) by expectation maximisation.

    Args:
        link: combination of words at each link of the corpus, int [links].
        position: of the word that each link explains, in the corpus, int [links].
        given: one word of each combination, int [combinations].
        explained: the other word, int [combinations].

    Returns:
        float64 [combinations].
    """
    probability = (explained != _NOTHING).astype(np.float64)
    for _ in range(_ITERATIONS):
        weight = probability[link]
        expected = np.bincount(link, _shares(weight, position), minlength=len(given))
        probability = _shares(expected, given)
    return probability


def _shares(weight: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Divide weights by the sum of their group; a group without any stays without."""
    total = np.bincount(group, weight)
    return weight / np.where(total > 0, total, 1)[group]
