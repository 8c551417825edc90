"""What the synthetic corpora share: labels by hashing, the division of held-out clusters, and texts of numbered words.

Labels are hashes of (seed, purpose, cluster, word) rather than draws from a stream, so that a paraphrase can be
labelled from the corpus seed and the cluster's name alone.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from contrastive_context.config.sources import IdiomCorpus, LexiconCorpus
from contrastive_context.core.errors import UserError

ALTERNATIVES = 2
"""Words that a slot of a cluster may hold besides its main one."""
ARRIVALS_SHARE = 0.6
SPLITS = ("train", "dev", "arrivals", "test.in_domain")

_DEV_SHARE = 0.05
# A held-out cluster is divided in two, so it needs more members than one that is all for training.
_HELDOUT_MEMBERS_FACTOR = 2


class Members(NamedTuple):
    """Sentences drawn from clusters, one per row."""

    source: np.ndarray
    """Word indices, int64 [rows, words]."""
    cluster: np.ndarray
    """Cluster numbers, int64 [rows]."""
    split: np.ndarray
    """Index into ``SPLITS``, int64 [rows]; −1 for a repeated sentence of a held-out cluster."""


def cluster_count(settings: LexiconCorpus | IdiomCorpus) -> int:
    """Return how many clusters there are: those of training, of dev (5 % as many) and held-out ones."""
    return _first_heldout(settings) + settings.heldout_clusters


def draw_members(rng: np.random.Generator, settings: LexiconCorpus | IdiomCorpus, options: np.ndarray) -> Members:
    """Draw each cluster's members and divide them among the splits.

    Clusters are numbered: training clusters first, then dev clusters, then held-out ones. A held-out cluster has twice
    the members; its distinct members are divided between arrivals (60 %) and test.

    Args:
        rng: where draws come from.
        settings: clusters, members per cluster, and the probability that a slot holds an alternative.
        options: per cluster and slot its main word, then the alternatives; indices [clusters, words, 3].
    """
    clusters, words, _ = options.shape
    first_heldout = _first_heldout(settings)
    members = np.full(clusters, settings.members)
    members[first_heldout:] *= _HELDOUT_MEMBERS_FACTOR
    cluster = np.repeat(np.arange(clusters), members)
    alternative = rng.random((len(cluster), words)) < settings.alternative_probability
    choice = np.where(alternative, rng.integers(1, 1 + ALTERNATIVES, alternative.shape), 0)
    source = options[cluster[:, None], np.arange(words), choice]

    split = np.where(cluster < settings.train_clusters, 0, 1)
    heldout = np.flatnonzero(cluster >= first_heldout)
    distinct = heldout[np.sort(np.unique(np.c_[cluster, source][heldout], axis=0, return_index=True)[1])]
    split[heldout] = -1
    split[distinct] = np.where(divide(rng, cluster[distinct]), 2, 3)
    return Members(source, cluster, split)


def _first_heldout(settings: LexiconCorpus | IdiomCorpus) -> int:
    return settings.train_clusters + max(1, round(_DEV_SHARE * settings.train_clusters))


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
