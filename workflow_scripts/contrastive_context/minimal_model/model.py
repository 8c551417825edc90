"""The model: layer 1 hands layer 2 the examples' similarities and labels and the in-weights answer; layer 2 mixes.

The paper's equations are not available to us; this is our own model of the idea that its abstract describes. All
functions are vectorised over leading axes: ``theta`` is [seeds, 3], targets are [seeds, n], examples [seeds, n, k].
"""

from typing import NamedTuple

import numpy as np

from contrastive_context.config.minimal_model import Variant


class Mixture(NamedTuple):
    """What layer 2 returns.

    Attributes:
        answer: ŷ [seeds, n].
        on_context: weight on each example's label [seeds, n, k].
        on_weights: weight on the in-weights answer [seeds, n]; with ``on_context`` it sums to 1.
        gradient: ∂ŷ/∂θ [seeds, n, 3].
    """

    answer: np.ndarray
    on_context: np.ndarray
    on_weights: np.ndarray
    gradient: np.ndarray


def in_weights(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return f̂(x) = w₀ + √d·w·x [seeds, n] for weights [seeds, 1 + d] and targets [seeds, n, d]."""
    return weights[:, :1] + np.sqrt(x.shape[-1]) * np.einsum("snd,sd->sn", x, weights[:, 1:])


def mix(variant: Variant, theta: np.ndarray, own: np.ndarray, similarity: np.ndarray, label: np.ndarray) -> Mixture:
    """Mix the in-weights answer with the context's labels.

    gate: α = softmax(θ₁s), R = Σαs, c = Σαy, G = σ(θ₂R + θ₃), ŷ = G·c + (1 − G)·f̂.
    softmax: one attention head over the examples, logits θ₁s + θ₃, and the target itself, logit θ₂ and value f̂.

    Args:
        variant: which of the two.
        theta: [seeds, 3].
        own: the in-weights answers f̂ [seeds, n].
        similarity: of the examples to the target [seeds, n, k].
        label: the examples' labels [seeds, n, k].
    """
    return (_gate if variant == "gate" else _attention)(theta[:, None], own, similarity, label)


def _gate(theta: np.ndarray, own: np.ndarray, similarity: np.ndarray, label: np.ndarray) -> Mixture:
    attention = _softmax(theta[..., :1] * similarity)
    relevance = (attention * similarity).sum(-1)
    copied = (attention * label).sum(-1)
    gate = 1 / (1 + np.exp(-np.clip(theta[..., 1] * relevance + theta[..., 2], -40, 40)))
    slope = (copied - own) * gate * (1 - gate)  # of ŷ in the gate's logit
    d_copied = (attention * similarity * (label - copied[..., None])).sum(-1)
    d_relevance = (attention * (similarity - relevance[..., None]) ** 2).sum(-1)
    gradient = np.stack([gate * d_copied + slope * theta[..., 1] * d_relevance, slope * relevance, slope], axis=-1)
    return Mixture(gate * copied + (1 - gate) * own, gate[..., None] * attention, 1 - gate, gradient)


def _attention(theta: np.ndarray, own: np.ndarray, similarity: np.ndarray, label: np.ndarray) -> Mixture:
    itself = np.broadcast_to(theta[..., 1], own.shape)[..., None]
    weights = _softmax(np.concatenate([itself, theta[..., :1] * similarity + theta[..., 2:]], axis=-1))
    on_weights, on_context = weights[..., 0], weights[..., 1:]
    answer = on_weights * own + (on_context * label).sum(-1)
    pull = on_context * (label - answer[..., None])  # of each example's logit on ŷ
    gradient = np.stack([(pull * similarity).sum(-1), on_weights * (own - answer), pull.sum(-1)], axis=-1)
    return Mixture(answer, on_context, on_weights, gradient)


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def best_weight(
    correlation: np.ndarray, similarity: float | np.ndarray, learnable: float, unlearnable: float, noise: float
) -> np.ndarray:
    """Return a*(s), the error-minimising weight on the label of one relevant example when f̂ = g.

    a*(s) = σ_h²κ(s) / (σ_h² + σ² + 2σ_g²(1 − s)).

    Args:
        correlation: κ(s) = corr(h(x), h(x')) for neighbours at similarity s.
        similarity: s.
        learnable: σ_g².
        unlearnable: σ_h².
        noise: σ².
    """
    return unlearnable * correlation / (unlearnable + noise + 2 * learnable * (1 - similarity))
