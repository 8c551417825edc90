"""One-hot vectors of the synthetic tasks' words, whose cosine is the share of words that two sentences have in common.

The column of a word depends on nothing but the task's fixed vocabulary, so all splits, and texts embedded later, share
one space.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contrastive_context.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def positional_words(texts: Sequence[str]) -> "np.ndarray":
    """Word per position, for the task "lexicon": the cosine of two sentences is the share of equal positions.

    Returns:
        float32 [texts, 6 · 160], rows of unit norm; the column of a word is position · 160 + its index in
        ``lexicon.SOURCE_WORDS``.

    Raises:
        UserError: a text isn't one to six words of the task.
    """
    import numpy as np

    from contrastive_context.corpora import lexicon

    vectors = np.zeros((len(texts), lexicon.WORDS, lexicon.SOURCES), dtype=np.float32)
    vocabulary = lexicon.SOURCE_WORDS[: lexicon.SOURCES]
    for row, words in enumerate(_numbers(texts, vocabulary, lexicon.WORDS, "positional_words", "lexicon")):
        vectors[row, range(len(words)), words] = len(words) ** -0.5
    return vectors.reshape(len(texts), lexicon.WORDS * lexicon.SOURCES)


def word_set(texts: Sequence[str]) -> "np.ndarray":
    """Set of words, for the task "idiom": the cosine of two sentences of n different words is the share in common.

    Returns:
        float32 [texts, 120], rows of unit norm; the column of a word is its index in ``idiom.SOURCE_WORDS``.

    Raises:
        UserError: a text isn't one to six words of the task.
    """
    import numpy as np

    from contrastive_context.corpora import idiom

    vectors = np.zeros((len(texts), idiom.SOURCES), dtype=np.float32)
    vocabulary = idiom.SOURCE_WORDS[: idiom.SOURCES]
    for row, words in enumerate(_numbers(texts, vocabulary, idiom.WORDS, "word_set", "idiom")):
        vectors[row, words] = len(set(words)) ** -0.5
    return vectors


def _numbers(texts: Sequence[str], vocabulary: Sequence[str], most: int, kind: str, task: str) -> list[list[int]]:
    columns = {word: index for index, word in enumerate(vocabulary)}
    result = []
    for text in texts:
        words = text.split()
        unknown = [word for word in words if word not in columns]
        if unknown or not 0 < len(words) <= most:
            problem = f"unknown word {unknown[0]!r}" if unknown else f"{len(words)} words"
            raise UserError(f"encoder {kind}: {problem} in {text!r}; it is for {task} corpora only")
        result.append([columns[word] for word in words])
    return result
