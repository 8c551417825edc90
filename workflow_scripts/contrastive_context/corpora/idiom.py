"""The synthetic task "idiom": a sentence of six words has two labels as a whole, so that blind copying can show.

Per label slot every word has a class and a strength, and the sentence's label is the token of the class with the
largest sum: a rule that weights can learn. In exceptional clusters the label of a slot is an arbitrary token instead,
which only another member of the cluster reveals. Rule and exception compete for the same token; were they apart,
copying would cost nothing and every strategy would copy. The task and its sizes are ours.
"""

import json
from typing import TYPE_CHECKING

import numpy as np

from contrastive_context.config.sources import IdiomCorpus
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
    uniform,
)

if TYPE_CHECKING:
    import pandas as pd

WORDS = 6
"""Words per sentence, all different."""
SLOTS = 2
"""Labels per target: one of ``A_WORDS``, then one of ``B_WORDS``."""
SOURCES = 120
SOURCE_NONCES = 16
A_LABELS = 16
B_LABELS = 32
LABEL_NONCES = 8
CLASSES = 8
"""Classes per slot; each has one label token under the rule."""
KNOWN = 60
"""The first source words keep their classes from the general rule, which pre-training has seen."""

SOURCE_WORDS = tuple(f"w{index:03d}" for index in range(SOURCES + SOURCE_NONCES))
A_WORDS = tuple(f"a{index:02d}" for index in range(A_LABELS))
B_WORDS = tuple(f"b{index:02d}" for index in range(B_LABELS + LABEL_NONCES))
SOURCE_NONCE_WORDS = SOURCE_WORDS[SOURCES:]
"""Reserved source words: they occur in pre-training documents, never in the task."""
LABEL_NONCE_WORDS = B_WORDS[B_LABELS:]
"""Reserved labels of the second slot: they occur in pre-training documents, never in the task."""

_LABELS = (A_LABELS, B_LABELS)

# Purposes keep the hashes of different quantities apart.
(
    _GENERAL_CLASS, _STRENGTH, _TOKEN, _RENEWED_CLASS, _EXCEPTIONAL, _EXCEPTION, _TOPIC, _PARAPHRASE_SLOT,
    _PARAPHRASE_WORD,
) = range(11, 20)  # fmt: skip


def general_label(source: np.ndarray) -> np.ndarray:
    """Return the labels of sentences under the general rule: fixed, the same for every model and corpus.

    Args:
        source: word indices [..., 6]; nonces have classes too.

    Returns:
        int64 [..., 2]: index into ``A_WORDS`` and index into ``B_WORDS``.
    """
    return _rule(source, _general_classes())


def task_label(settings: IdiomCorpus, source: np.ndarray) -> np.ndarray:
    """Return the labels of sentences under the task's rule, int64 [..., 2]; exceptions are left out of account."""
    return _rule(source, _task_classes(settings))


def label(settings: IdiomCorpus, cluster: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the labels of sentences, without noise.

    Args:
        settings: the corpus; only its seed and ``exceptional`` matter.
        cluster: cluster numbers, integers [rows].
        source: indices of task source words, below 120, [rows, 6].

    Returns:
        int64 [rows, 2].
    """
    slot = np.arange(SLOTS)
    exceptional = uniform(_EXCEPTIONAL, settings.seed, cluster[:, None], slot) < settings.exceptional
    arbitrary = mix(_EXCEPTION, settings.seed, cluster[:, None], slot) % np.array(_LABELS)
    return np.where(exceptional, arbitrary, task_label(settings, source))


def build(settings: IdiomCorpus) -> "dict[str, pd.DataFrame]":
    """Generate the corpus.

    Clusters, members and splits are as :func:`~contrastive_context.corpora.synthetic.draw_members` says. A cluster's
    words are all different, so that two of its sentences are the same set only if they are the same sentence. Noise is
    on the labels of training rows alone.

    Returns:
        split ("train", "dev", "arrivals", "test.in_domain") → rows with the columns source, target, cluster, domain
        ("in") and meta (JSON text: ``exceptional``, the slots whose label the cluster decides). Train and dev rows may
        repeat; deduplication is the caller's.
    """
    clusters = cluster_count(settings)
    rng = np.random.default_rng([settings.seed, 3])

    # One main word and two alternatives per slot. The last axis is shuffled: the likeliest words aren't all main ones.
    options = _cluster_words(rng, settings, clusters, WORDS * (1 + ALTERNATIVES))
    options = rng.permuted(options, axis=1).reshape(clusters, WORDS, 1 + ALTERNATIVES)

    source, cluster, split = draw_members(rng, settings, options)
    target = label(settings, cluster, source)
    noisy = (rng.random(target.shape) < settings.label_noise) & (split == 0)[:, None]
    target = np.where(noisy, rng.integers(0, _LABELS, target.shape), target)
    return {
        name: _frame(settings, source[rows], target[rows], cluster[rows])
        for number, name in enumerate(SPLITS)
        for rows in [np.flatnonzero(split == number)]
    }


def paraphrase(rows: "pd.DataFrame", settings: IdiomCorpus, seed: int) -> list[tuple[str, str]]:
    """Replace one word of each row by a task word that the row lacks, and label the result by the row's cluster.

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
    who = "idiom paraphraser"
    source = parse(rows["source"], SOURCE_WORDS[:SOURCES], WORDS, who, "idiom")
    cluster = cluster_numbers(rows["cluster"], who, "idiom")
    identity = identity_bits(rows["id"])
    new = mix(_PARAPHRASE_WORD, seed, identity) % (SOURCES - WORDS)
    for taken in np.sort(source, axis=1).T:  # the n-th of the words that the row lacks
        new += new >= taken
    source[np.arange(len(rows)), mix(_PARAPHRASE_SLOT, seed, identity) % WORDS] = new
    return list(zip(join(source, SOURCE_WORDS), as_text(label(settings, cluster, source)), strict=True))


def _rule(source: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Apply classes [2, words]: per slot the token of the class with the largest sum of strengths."""
    result = []
    for slot, count in enumerate(_LABELS):
        strength = 0.5 + uniform(_STRENGTH, slot, np.arange(len(SOURCE_WORDS)))[source]
        of_class = classes[slot, source][..., None] == np.arange(CLASSES)
        token = mix(_TOKEN, slot, np.arange(count)).argsort()[:CLASSES]
        result.append(token[(of_class * strength[..., None]).sum(-2).argmax(-1)])
    return np.stack(result, -1)


def _general_classes() -> np.ndarray:
    return mix(_GENERAL_CLASS, np.arange(SLOTS)[:, None], np.arange(len(SOURCE_WORDS))) % CLASSES


def _task_classes(settings: IdiomCorpus) -> np.ndarray:
    word = np.arange(len(SOURCE_WORDS))
    renewed = mix(_RENEWED_CLASS, settings.seed, np.arange(SLOTS)[:, None], word) % CLASSES
    return np.where((word < KNOWN) | (word >= SOURCES), _general_classes(), renewed)


def _cluster_words(rng: np.random.Generator, settings: IdiomCorpus, clusters: int, count: int) -> np.ndarray:
    """Draw ``count`` different words per cluster, int64 [clusters, count], likelier ones from its topics first.

    A cluster has one topic class per label slot. A word drawn first is of a given topic with probability about
    ``coherence`` (weighted sampling without replacement, Efraimidis & Spirakis, 2006).
    """
    word_class = _task_classes(settings)[:, :SOURCES]
    topic = mix(_TOPIC, settings.seed, np.arange(clusters)[:, None], np.arange(SLOTS)) % CLASSES
    weight = np.full((clusters, SOURCES), (1 - settings.coherence) / SOURCES)
    for slot in range(SLOTS):
        members = word_class[slot] == topic[:, [slot]]
        weight += settings.coherence / SLOTS * members / np.maximum(members.sum(1, keepdims=True), 1)
    return (rng.standard_exponential(weight.shape) / np.maximum(weight, 1e-12)).argsort(1)[:, :count]


def _frame(settings: IdiomCorpus, source: np.ndarray, target: np.ndarray, cluster: np.ndarray) -> "pd.DataFrame":
    import pandas as pd

    exceptional = uniform(_EXCEPTIONAL, settings.seed, cluster[:, None], np.arange(SLOTS)) < settings.exceptional
    return pd.DataFrame(
        {
            "source": join(source, SOURCE_WORDS),
            "target": as_text(target),
            "cluster": cluster_names(cluster),
            "domain": "in",
            "meta": [json.dumps({"exceptional": np.flatnonzero(row).tolist()}) for row in exceptional],
        }
    )


def as_text(target: np.ndarray) -> list[str]:
    """Write labels, [rows, 2], as targets."""
    return [f"{A_WORDS[a]} {B_WORDS[b]}" for a, b in target]
