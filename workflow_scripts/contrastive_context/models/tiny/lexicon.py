"""The language of the task "lexicon": documents of one lexicon each, and where attention is guided to."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contrastive_context.corpora.lexicon import (
    LABEL_NONCES,
    SOURCE_WORDS,
    SOURCES,
    TARGET_WORDS,
    TARGETS,
    WORDS,
    general_lexicon,
)
from contrastive_context.models.tiny import documents, prediction
from contrastive_context.models.tiny.documents import Layout
from contrastive_context.models.tiny.tokenizer import SPECIALS

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

LAYOUT = Layout(WORDS, WORDS)
TOKENS = (*SPECIALS, *SOURCE_WORDS, *TARGET_WORDS)
"""Token strings by id."""
FIRST_SOURCE = len(SPECIALS)
FIRST_TARGET = FIRST_SOURCE + len(SOURCE_WORDS)
MIN_ACCURACY = 0.99
"""The gate: every value of :func:`in_context_accuracy` has to reach this."""
GUIDANCE_WEIGHT = 0.5

_GENERAL_SHARE = 0.3
# Training draws from [model seed, 2], so no model is trained on the gate's documents.
_GATE_SEED = [0, 3]


@dataclass(frozen=True)
class Stage(documents.Stage):
    """A stage whose documents have a vocabulary of log-uniform size in ``words`` = (smallest, largest)."""

    words: tuple[int, int]


CURRICULUM = (
    Stage(0.4, examples=2, batch=64, words=(6, 9)),
    Stage(0.6, examples=3, batch=32, words=(6, 30)),
    Stage(1.0, examples=5, batch=32, words=(6, 60)),
)


@dataclass(frozen=True)
class Documents(documents.Documents):
    """Documents of one lexicon each.

    Attributes:
        general: bool [batch], whether the document uses the general lexicon.
        source: int64 [batch, 6·E], source word indices.
        seen: bool [batch, 6·E], whether the word stands in an *earlier* example of the document too.
    """

    general: np.ndarray
    source: np.ndarray
    seen: np.ndarray


def draw(rng: np.random.Generator, stage: Stage) -> Documents:
    """Draw the documents of one step."""
    return draw_documents(rng, stage.batch, stage.examples, stage.words, _GENERAL_SHARE)


def draw_documents(
    rng: np.random.Generator, count: int, examples: int, words: tuple[float, float], general_share: float
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
    size = np.exp(rng.uniform(np.log(words[0]), np.log(words[1]), count)).astype(int)
    choice = (rng.random((count, examples * WORDS)) * size[:, None]).astype(int)
    source = np.take_along_axis(order.argsort(1), choice, 1)
    target = np.take_along_axis(lexicon, source, 1)
    seen = ((source[:, :, None] == source[:, None, :]) & earlier(examples)).any(-1)
    tokens = LAYOUT.render(source + FIRST_SOURCE, target + FIRST_TARGET)
    # A new lexicon's words can't be known at first sight.
    return Documents(tokens, seen | general[:, None], general, source, seen)


def earlier(examples: int) -> np.ndarray:
    """Return bool [6·E, 6·E]: whether word j belongs to an earlier example than word i."""
    number = np.arange(examples * WORDS) // WORDS
    return number[:, None] > number[None, :]


def guidance(attentions: "tuple[Tensor, ...]", batch: Documents) -> "Tensor":
    """Mean −log of the attention mass that lies where it should, summed over three kinds of positions.

    Lower layer: head 0 looks from the position that predicts a label to its word, head 1 from a label to its word.
    Upper layer: heads 0 and 1 look from the predicting position to the labels of the same word in earlier examples.
    """
    import torch

    examples = batch.source.shape[1] // WORDS
    word = torch.from_numpy(LAYOUT.word_positions(examples))
    label = torch.from_numpy(LAYOUT.label_positions(examples))
    predicting = label - 1
    lower, upper = attentions[0], attentions[1]
    log = prediction.log_mass
    result = -log(lower[:, 0, predicting, word]).mean() - log(lower[:, 1, label, word]).mean()
    source = torch.from_numpy(batch.source)
    same = (source[:, :, None] == source[:, None, :]) & torch.from_numpy(earlier(examples))
    mass = (upper[:, :2, predicting[:, None], label[None, :]] * same[:, None]).sum(-1)
    seen = torch.from_numpy(batch.seen)[:, None].expand_as(mass)
    return result - log(mass[seen]).mean() if bool(seen.any()) else result


def in_context_accuracy(model: "PreTrainedModel", documents_per_kind: int = 512) -> dict[str, float]:
    """Measure how often the label of a word seen earlier in the document is right, under new random lexicons.

    The last of five examples is judged, each label by arg max over the whole vocabulary with the true text before it.

    Returns:
        Shares in [0, 1]: ``small_vocabulary`` (documents of 8 words), ``large_vocabulary`` (40 words),
        ``source_nonces`` and ``label_nonces`` (both kinds of documents; only reserved words, or labels), and ``stop``:
        how often the answer ends where it should.
    """
    rng = np.random.default_rng(_GATE_SEED)
    right, sources, targets, ends = [], [], [], []
    for words in (8, 40):
        batch = draw_documents(rng, documents_per_kind, 5, (words, words + 0.5), general_share=0.0)
        guess, stop = prediction.greedy(model, LAYOUT, batch.tokens)
        labels = batch.tokens[:, LAYOUT.label_positions(5)[-WORDS:]]
        seen = batch.seen[:, -WORDS:]
        ends.append(stop[:, -1])
        right.append((guess[:, -WORDS:] == labels)[seen])
        sources.append(batch.source[:, -WORDS:][seen])
        targets.append(labels[seen] - FIRST_TARGET)
    every, source, target = np.concatenate(right), np.concatenate(sources), np.concatenate(targets)
    kinds = {
        "small_vocabulary": right[0],
        "large_vocabulary": right[1],
        "source_nonces": every[source >= SOURCES],
        "label_nonces": every[(target >= TARGETS) & (target < TARGETS + LABEL_NONCES)],
        "stop": np.concatenate(ends),
    }
    return {name: round(float(values.mean()), 4) for name, values in kinds.items()}
