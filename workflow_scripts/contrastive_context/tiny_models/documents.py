"""Pre-training documents: examples of one lexicon each, in exactly the prompt format of the task "lexicon"."""

from dataclasses import dataclass

import numpy as np

from contrastive_context.corpora.lexicon import SOURCE_WORDS, SOURCES, TARGET_WORDS, WORDS, general_lexicon
from contrastive_context.tiny_models.tokenizer import ARROW, BOS, FIRST_SOURCE, FIRST_TARGET, STOP

EXAMPLE_LENGTH = 2 * WORDS + 2
"""Tokens of one example: six words, ``=>``, six labels, ``;``."""


@dataclass(frozen=True)
class Documents:
    """A batch of documents with ``E`` examples each.

    Attributes:
        tokens: int64 [batch, 1 + 14·E], ``<bos>`` first.
        general: bool [batch], whether the document uses the general lexicon.
        source: int64 [batch, 6·E], source word indices.
        seen: bool [batch, 6·E], whether the word stands in an *earlier* example of the document too.
    """

    tokens: np.ndarray
    general: np.ndarray
    source: np.ndarray
    seen: np.ndarray


def draw(
    rng: np.random.Generator, count: int, examples: int, words: tuple[int, int], general_share: float
) -> Documents:
    """Draw documents.

    A document's words come from a vocabulary of its own, whose size is log-uniform in ``words`` = (smallest, largest).
    With probability ``general_share`` it is drawn from the task's words and translated by the general lexicon;
    otherwise from all words, reserved nonces included, and translated by a lexicon made for this document.
    """
    general = rng.random(count) < general_share
    lexicon = rng.integers(0, len(TARGET_WORDS), (count, len(SOURCE_WORDS)))
    order = rng.random((count, len(SOURCE_WORDS)))
    # Nonces sort last in documents of the general lexicon, which has no translation for them.
    order[:, SOURCES:] += general[:, None]
    lexicon[:, :SOURCES] = np.where(general[:, None], general_lexicon(), lexicon[:, :SOURCES])
    size = np.exp(rng.uniform(*np.log(words), count)).astype(int)
    choice = (rng.random((count, examples * WORDS)) * size[:, None]).astype(int)
    source = np.take_along_axis(order.argsort(1), choice, 1)
    target = np.take_along_axis(lexicon, source, 1)
    return Documents(render(source, target), general, source, _seen(source))


def render(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Turn word indices [batch, 6·E] and labels of the same shape into token ids [batch, 1 + 14·E]."""
    count = len(source)
    tokens = np.empty((count, source.shape[1] // WORDS, EXAMPLE_LENGTH), np.int64)
    tokens[:, :, :WORDS] = source.reshape(count, -1, WORDS) + FIRST_SOURCE
    tokens[:, :, WORDS] = ARROW
    tokens[:, :, WORDS + 1 : -1] = target.reshape(count, -1, WORDS) + FIRST_TARGET
    tokens[:, :, -1] = STOP
    return np.concatenate([np.full((count, 1), BOS), tokens.reshape(count, -1)], axis=1)


def word_positions(examples: int) -> np.ndarray:
    """Return the positions of the source words in a document, int64 [6·E]; a word's label stands 7 tokens later."""
    return (1 + EXAMPLE_LENGTH * np.arange(examples)[:, None] + np.arange(WORDS)).ravel()


def earlier(examples: int) -> np.ndarray:
    """Return bool [6·E, 6·E]: whether word j belongs to an earlier example than word i."""
    number = np.arange(examples * WORDS) // WORDS
    return number[:, None] > number[None, :]


def _seen(source: np.ndarray) -> np.ndarray:
    same = source[:, :, None] == source[:, None, :]
    return (same & earlier(source.shape[1] // WORDS)).any(-1)
