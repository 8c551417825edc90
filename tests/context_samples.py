"""Small corpora for the tests of retrieval, sampling and frozen contexts."""

import numpy as np

from contrastive_context.contexts.candidates import Examples
from contrastive_context.corpora.rows import row_id

EDGES = {"low": 0.0, "medium": 0.33, "high": 0.67}
WORDS = 6
VOCABULARY = 12


def sentences(seed, count, near=0):
    """Distinct sentences of six words; the first ``near`` differ from another one in one word."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, VOCABULARY, (count, WORDS))
    for i in range(min(near, count // 2)):
        words[i] = words[count // 2 + i]
        words[i, i % WORDS] = (words[i, i % WORDS] + 1 + i % 3) % VOCABULARY
    return list(dict.fromkeys(" ".join(f"s{word:02d}" for word in row) for row in words))


def embed(sources):
    """One-hot per position: the cosine is the share of equal words at equal places."""
    result = np.zeros((len(sources), WORDS * VOCABULARY), dtype=np.float32)
    for row, source in enumerate(sources):
        for place, word in enumerate(source.split()):
            result[row, place * VOCABULARY + int(word[1:])] = 1 / np.sqrt(WORDS)
    return result


def label(source):
    return " ".join(word.replace("s", "t") for word in source.split())


def examples(sources, labels=None):
    labels = [label(source) for source in sources] if labels is None else labels
    ids = [row_id(source, target) for source, target in zip(sources, labels, strict=True)]
    return Examples.build(ids, sources, labels, embed(sources), [f"c{len(source) % 5}" for source in sources])


def random_ids(count, seed=0):
    bits = np.random.default_rng(seed).integers(0, 2**63, count)
    return [f"{value:016x}" for value in bits]


def gaussian(count, dimensions, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
