"""The synthetic task "lexicon": six words translated one by one, half of them as only the cluster's other members tell.

The task and its sizes are ours: a cluster stands for a document or template, an ambiguous word's sense for its
terminology.
"""

import json
from typing import TYPE_CHECKING

import numpy as np

from contrastive_context.config.sources import LexiconCorpus
from contrastive_context.corpora.synthetic import (
    ALTERNATIVES,
    SPLITS,
    cluster_count,
    cluster_names,
    cluster_numbers,
    draw_members,
    identity_bits,
    join,
    mix,
    parse,
)

if TYPE_CHECKING:
    import pandas as pd

WORDS = 6
"""Words per sentence, and labels per target."""
AMBIGUOUS_SLOTS = 3
PLAIN = 96
AMBIGUOUS = 64
SOURCES = PLAIN + AMBIGUOUS
"""Source words of the task: the plain ones first, then the ambiguous ones."""
SOURCE_NONCES = 16
TARGETS = 128
LABEL_NONCES = 8
KNOWN_PLAIN = 48
"""The first plain words keep the translation of the general lexicon, which pre-training has seen."""

SOURCE_WORDS = tuple(f"s{index:03d}" for index in range(SOURCES + SOURCE_NONCES))
TARGET_WORDS = tuple(f"t{index:03d}" for index in range(TARGETS + LABEL_NONCES))
SOURCE_NONCE_WORDS = SOURCE_WORDS[SOURCES:]
"""Reserved source words: they occur in pre-training documents, never in the task."""
LABEL_NONCE_WORDS = TARGET_WORDS[TARGETS:]
"""Reserved target words: they occur in pre-training documents, never in the task."""

# Purposes keep the hashes of different quantities apart.
_GENERAL, _PLAIN_LABEL, _SENSE, _PARAPHRASE_SLOT, _PARAPHRASE_WORD = range(1, 6)


def general_lexicon() -> np.ndarray:
    """Return the general lexicon G0 as target indices, int64 [160]: fixed, the same for every model and corpus."""
    return mix(_GENERAL, np.arange(SOURCES)) % TARGETS


def label(settings: LexiconCorpus, cluster: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the target indices of source words: plain words by the task's lexicon, ambiguous ones by cluster.

    Args:
        settings: the corpus; only its seed matters.
        cluster: cluster numbers, an integer array that broadcasts against ``source``.
        source: indices of task source words, below 160.
    """
    renewed = mix(_PLAIN_LABEL, settings.seed, source) % TARGETS
    plain = np.where(source < KNOWN_PLAIN, general_lexicon()[source], renewed)
    return np.where(source < PLAIN, plain, mix(_SENSE, settings.seed, cluster, source) % TARGETS)


def build(settings: LexiconCorpus) -> "dict[str, pd.DataFrame]":
    """Generate the corpus.

    Clusters, members and splits are as :func:`~contrastive_context.corpora.synthetic.draw_members` says.

    Returns:
        split ("train", "dev", "arrivals", "test.in_domain") → rows with the columns source, target, cluster, domain
        ("in") and meta (JSON text: ``ambiguous``, the slots 0–5 of ambiguous words). Train and dev rows may repeat;
        deduplication is the caller's.
    """
    clusters = cluster_count(settings)
    rng = np.random.default_rng([settings.seed, 1])

    ambiguous = np.zeros((clusters, WORDS), bool)
    np.put_along_axis(ambiguous, rng.random((clusters, WORDS)).argsort(1)[:, :AMBIGUOUS_SLOTS], True, axis=1)
    shape = (clusters, WORDS, 1 + ALTERNATIVES)
    # One main word and two alternatives per slot, all of the slot's kind.
    options = np.where(ambiguous[:, :, None], PLAIN + rng.integers(0, AMBIGUOUS, shape), rng.integers(0, PLAIN, shape))

    source, cluster, split = draw_members(rng, settings, options)
    target = label(settings, cluster[:, None], source)
    return {
        name: _frame(source[rows], target[rows], cluster[rows], ambiguous[cluster[rows]])
        for number, name in enumerate(SPLITS)
        for rows in [np.flatnonzero(split == number)]
    }


def paraphrase(rows: "pd.DataFrame", settings: LexiconCorpus, seed: int) -> list[tuple[str, str]]:
    """Replace one word of each row by another of the same kind, and label the result by the row's cluster.

    The slot and the new word depend on ``seed`` and the row's id alone, so row order and selection change nothing.

    Args:
        rows: corpus rows of this task; the columns id (hexadecimal), source and cluster are read.
        settings: the corpus that ``rows`` come from.
        seed: the paraphraser's seed.

    Returns:
        One pair (source, target) per row, in the order of ``rows``.

    Raises:
        UserError: a source isn't six task words, or a cluster isn't one of this corpus.
    """
    if not len(rows):
        return []
    source = parse(rows["source"], SOURCE_WORDS[:SOURCES], WORDS, "lexicon paraphraser", "lexicon")
    cluster = cluster_numbers(rows["cluster"], "lexicon paraphraser", "lexicon")
    identity = identity_bits(rows["id"])
    line = np.arange(len(rows))
    slot = mix(_PARAPHRASE_SLOT, seed, identity) % WORDS
    old = source[line, slot]
    first, size = np.where(old < PLAIN, 0, PLAIN), np.where(old < PLAIN, PLAIN, AMBIGUOUS)
    # A shift by 1..size-1 within the kind is uniform over all words but the old one.
    shift = 1 + mix(_PARAPHRASE_WORD, seed, identity) % (size - 1)
    source[line, slot] = first + (old - first + shift) % size
    target = label(settings, cluster[:, None], source)
    return list(zip(join(source, SOURCE_WORDS), join(target, TARGET_WORDS), strict=True))


def _frame(source: np.ndarray, target: np.ndarray, cluster: np.ndarray, ambiguous: np.ndarray) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "source": join(source, SOURCE_WORDS),
            "target": join(target, TARGET_WORDS),
            "cluster": cluster_names(cluster),
            "domain": "in",
            "meta": [json.dumps({"ambiguous": np.flatnonzero(row).tolist()}) for row in ambiguous],
        }
    )
