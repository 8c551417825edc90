"""What the synthetic corpora share: labels by hashing, the division of held-out clusters, and texts of numbered words.

Labels are hashes of (seed, purpose, cluster, word) rather than draws from a stream, so that a paraphrase can be
labelled from the corpus seed and the cluster's name alone.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from contrastive_context.errors import UserError

ARRIVALS_SHARE = 0.6


def mix(*parts: int | np.ndarray) -> np.ndarray:
    """Mix integers (arrays broadcast) to int64 ≥ 0 by rounds of SplitMix64's finaliser (Steele et al., 2014)."""
    state = np.zeros(1, np.uint64)
    for part in parts:
        state = state ^ np.asarray(part).astype(np.uint64)
        state = state + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(1)).astype(np.int64)


def uniform(*parts: int | np.ndarray) -> np.ndarray:
    """Mix integers to float64 in [0, 1)."""
    return (mix(*parts) >> 10) * 2.0**-53


def divide(rng: np.random.Generator, cluster: np.ndarray) -> np.ndarray:
    """Return which rows are arrivals, bool [rows]: 60 % of each cluster's, rounded up, at random within it."""
    order = np.lexsort((rng.random(len(cluster)), cluster))
    _, first, count = np.unique(cluster[order], return_index=True, return_counts=True)
    rank = np.arange(len(cluster)) - np.repeat(first, count)
    result = np.empty(len(cluster), bool)
    result[order] = rank < np.ceil(ARRIVALS_SHARE * np.repeat(count, count))
    return result


def identity_bits(ids: Iterable[str]) -> np.ndarray:
    """Return the lower 64 bits of hexadecimal row ids, uint64 [ids]."""
    return np.array([int(value, 16) & 0xFFFFFFFFFFFFFFFF for value in ids], np.uint64)


def join(indices: np.ndarray, words: Sequence[str]) -> list[str]:
    """Turn word indices [rows, words] into one text per row."""
    return [" ".join(row) for row in np.array(words, dtype=object)[indices]]


def parse(texts: Iterable[str], words: Sequence[str], length: int, who: str, task: str) -> np.ndarray:
    """Turn texts into word indices, int64 [texts, length].

    Args:
        texts: sentences of this task.
        words: its vocabulary.
        length: words per sentence.
        who: who reads them, for messages.
        task: the task's kind, for messages.

    Raises:
        UserError: a word is none of the vocabulary, or a sentence has another length.
    """
    number = {word: index for index, word in enumerate(words)}
    rows = []
    for text in texts:
        try:
            row = [number[word] for word in text.split()]
        except KeyError as error:
            raise UserError(f"{who}: {text!r} holds {error}, which is no word of the {task} task") from None
        if len(row) != length:
            raise UserError(f"{who}: {text!r} has {len(row)} words, not {length}; is it a {task} corpus?")
        rows.append(row)
    return np.array(rows, np.int64).reshape(-1, length)


def cluster_names(numbers: np.ndarray) -> list[str]:
    """Return the names of numbered clusters."""
    return [f"c{number:05d}" for number in numbers]


def cluster_numbers(names: Iterable[str], who: str, task: str) -> np.ndarray:
    """Return the numbers of clusters by name, int64; the other way round than :func:`cluster_names`.

    Raises:
        UserError: a name is none of a synthetic corpus.
    """
    numbers = []
    for name in names:
        if not re.fullmatch(r"c\d{5,}", name):
            raise UserError(f"{who}: cluster {name!r} is not one of a {task} corpus (c00000, c00001, …)")
        numbers.append(int(name[1:]))
    return np.array(numbers, np.int64)
