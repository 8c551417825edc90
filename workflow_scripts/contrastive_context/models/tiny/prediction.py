"""Logits where a document's labels and stops are predicted, and what follows from them."""

from typing import TYPE_CHECKING

import numpy as np

from contrastive_context.models.tiny.documents import Documents, Layout

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

UNLEARNABLE_WEIGHT = 0.03
"""Weight of labels that can't be known: small, so that the guess stays uniform."""
STOP_WEIGHT = 0.1


def loss(model: "PreTrainedModel", layout: Layout, hidden: "Tensor", batch: Documents) -> "Tensor":
    """Return the loss on labels and stops in nats, a scalar.

    Args:
        model: for its output layer.
        layout: the documents' layout.
        hidden: last hidden states [batch, tokens − 1, width].
        batch: the documents.
    """
    import torch
    from torch.nn import functional

    tokens = torch.from_numpy(batch.tokens)
    examples = layout.examples(tokens.shape[1])
    logits, labels = _at(model, layout.label_positions(examples), hidden, tokens)
    each = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    weight = torch.where(torch.from_numpy(batch.learnable), 1.0, UNLEARNABLE_WEIGHT)
    logits, stops = _at(model, layout.stop_positions(examples), hidden, tokens)
    of_stops = functional.cross_entropy(logits.flatten(0, 1), stops.flatten())
    return (each * weight).sum() / weight.sum() + STOP_WEIGHT * of_stops


def greedy(model: "PreTrainedModel", layout: Layout, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predict every label and stop with the true text before it.

    Args:
        model: a model in evaluation mode.
        layout: the documents' layout.
        tokens: int64 [batch, tokens].

    Returns:
        The likeliest tokens int64 [batch, labels · E], and bool [batch, E]: whether the answer ends where it should.
    """
    import torch

    with torch.inference_mode():
        text = torch.from_numpy(tokens)
        hidden = model.base_model(input_ids=text[:, :-1], use_cache=False).last_hidden_state
        examples = layout.examples(tokens.shape[1])
        logits, _ = _at(model, layout.label_positions(examples), hidden, text)
        stop_logits, stops = _at(model, layout.stop_positions(examples), hidden, text)
        return logits.argmax(-1).numpy(), (stop_logits.argmax(-1) == stops).numpy()


def log_mass(mass: "Tensor") -> "Tensor":
    """Return the logarithm of attention mass, kept finite at 0."""
    return (mass + 1e-6).log()


def _at(model: "PreTrainedModel", position: np.ndarray, hidden: "Tensor", tokens: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return the logits that predict the tokens at ``position``, and these tokens."""
    return model.get_output_embeddings()(hidden[:, position - 1]), tokens[:, position]
