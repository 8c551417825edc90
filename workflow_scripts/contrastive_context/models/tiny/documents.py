"""The form of pre-training documents: examples in exactly the prompt format of a synthetic task."""

from dataclasses import dataclass

import numpy as np

from contrastive_context.models.tiny.tokenizer import ARROW, BOS, STOP


@dataclass(frozen=True)
class Layout:
    """Where things stand in a document of ``<bos>`` and examples ``words => labels ;``.

    Attributes:
        words: words per example.
        labels: labels per example.
    """

    words: int
    labels: int

    @property
    def length(self) -> int:
        """Tokens per example."""
        return self.words + self.labels + 2

    def examples(self, tokens: int) -> int:
        """Return how many examples a document of this many tokens has."""
        return (tokens - 1) // self.length

    def word_positions(self, examples: int) -> np.ndarray:
        """Return the positions of the source words in a document, int64 [words · examples]."""
        return self._positions(examples, 0, self.words)

    def label_positions(self, examples: int) -> np.ndarray:
        """Return the positions of the labels in a document, int64 [labels · examples]."""
        return self._positions(examples, self.words + 1, self.labels)

    def stop_positions(self, examples: int) -> np.ndarray:
        """Return the positions of the stops in a document, int64 [examples]."""
        return self._positions(examples, self.length - 1, 1)

    def _positions(self, examples: int, offset: int, count: int) -> np.ndarray:
        return (1 + offset + self.length * np.arange(examples)[:, None] + np.arange(count)).ravel()

    def render(self, words: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Put token ids together: words [batch, words · E] and labels [batch, labels · E] → int64 [batch, tokens]."""
        examples = words.shape[1] // self.words
        tokens = np.full((len(words), 1 + examples * self.length), ARROW, np.int64)
        tokens[:, 0] = BOS
        tokens[:, self.word_positions(examples)] = words
        tokens[:, self.label_positions(examples)] = labels
        tokens[:, self.stop_positions(examples)] = STOP
        return tokens


@dataclass(frozen=True)
class Documents:
    """A batch of documents with E examples each.

    Attributes:
        tokens: int64 [batch, tokens], ``<bos>`` first.
        learnable: bool [batch, labels · E], which labels can be known from the weights or from earlier examples.
    """

    tokens: np.ndarray
    learnable: np.ndarray


@dataclass(frozen=True)
class Stage:
    """One stage of a curriculum, up to the fraction ``until`` of the steps.

    Attributes:
        until: where it ends.
        examples: examples per document.
        batch: documents per step.
    """

    until: float
    examples: int
    batch: int
