"""Simulated training of the minimal model, vectorised over seeds, with probes along the way."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from contrastive_context.config.minimal_model import Condition, MinimalModel, Variant
from contrastive_context.core.buckets import DEFAULT_BUCKETS, bounds_of
from contrastive_context.minimal_model.model import best_weight, in_weights, mix
from contrastive_context.minimal_model.task import (
    CONTEXTS,
    PAIRS,
    PROBES,
    TARGETS,
    Generators,
    Task,
    graded_contexts,
    sample_contexts,
)

#: Similarities at which the weight on one relevant example is measured at the last step.
WEIGHT_GRID = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_BUCKETS = bounds_of(DEFAULT_BUCKETS, top=1.0)
#: The similarity at which the ICL probe asks for the weight on the relevant example.
ICL_SIMILARITY = 0.95
_CHUNK = 200  # steps whose samples are drawn at once


@dataclass(frozen=True)
class Samples:
    """Targets with their contexts: x [seeds, n, d], y [seeds, n], similarity and label [seeds, n, k]."""

    x: np.ndarray
    y: np.ndarray
    similarity: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, task: Task, x: np.ndarray, y: np.ndarray, examples: np.ndarray, draws: Generators) -> "Samples":
        """Label some examples [seeds, n, k, d]; their labels carry noise."""
        return cls(x, y, np.einsum("snd,snkd->snk", x, examples), task.labels(examples, draws))


class Learner:
    """The parameters under training: ``theta`` [seeds, 3], and ``weights`` [seeds, 1 + d] of f̂, which start at 0."""

    def __init__(self, settings: MinimalModel, variant: Variant, condition: Condition) -> None:
        seeds = len(settings.seeds)
        self._settings, self.variant = settings, variant
        start = condition.starts.get(variant, settings.starts[variant])
        self.theta = np.tile(np.asarray(start, dtype=np.float64), (seeds, 1))
        self.weights = np.zeros((seeds, 1 + settings.dimensions))

    def step(self, x: np.ndarray, y: np.ndarray, similarity: np.ndarray | None, label: np.ndarray | None) -> None:
        """Take one step of gradient descent on the mean of ½(ŷ − y)²; without a context the answer is f̂ alone."""
        own = in_weights(self.weights, x)
        if similarity is None or label is None:
            error, through = own - y, np.ones_like(own)
        else:
            mixed = mix(self.variant, self.theta, own, similarity, label)
            error, through = mixed.answer - y, mixed.on_weights
            slope = np.einsum("sn,snp->sp", error, mixed.gradient) / error.shape[1]
            limit = self._settings.theta_gradient_limit
            self.theta -= self._settings.learning_rate_theta * np.clip(slope, -limit, limit)
        pull = error * through / error.shape[1]
        slope = np.concatenate(
            [pull.sum(1, keepdims=True), np.sqrt(x.shape[-1]) * np.einsum("sn,snd->sd", pull, x)], axis=1
        )
        self.weights -= self._settings.learning_rate_weights * slope


class Probes:
    """Frozen test points and what is measured on them; y is free of noise, the examples' labels are not."""

    def __init__(self, settings: MinimalModel, task: Task, k: int) -> None:
        n, d = settings.probe_targets, settings.dimensions
        # Test points are drawn first: they are the same whatever k is.
        draws = Generators(settings.seeds, PROBES)
        x = draws.sphere(n, d)
        y = task.values(x)

        def samples(examples: np.ndarray) -> Samples:
            return Samples.of(task, x, y, examples, draws)

        self._x, self._y = x, y
        self._irrelevant = samples(draws.sphere(n, k, d))
        edge = _BUCKETS["low"][1]
        self._buckets = {
            name: samples(graded_contexts(x, low, high, max(low, edge), k, draws))
            for name, (low, high) in _BUCKETS.items()
        }
        self._relevant = {
            s: samples(graded_contexts(x, s, s, edge, k, draws)) for s in dict.fromkeys((ICL_SIMILARITY, *WEIGHT_GRID))
        }

    def measure(self, learner: Learner) -> dict[str, np.ndarray]:
        """Return the probes, one value per seed.

        iwl: 1 − MSE/Var with an irrelevant context. in_weights_r2: the same of f̂ alone. icl: ∂ŷ/∂y of one example at
        similarity .95 among k − 1 irrelevant ones. copy: ∂ŷ/∂(a shift of all labels) with an irrelevant context.
        mse_low, mse_medium, mse_high: test error by the context's maximum similarity. theta1 to theta3: θ.
        """
        own = in_weights(learner.weights, self._x)
        variance = self._y.var(axis=1)

        def error(samples: Samples) -> np.ndarray:
            answer = mix(learner.variant, learner.theta, own, samples.similarity, samples.label).answer
            return ((answer - self._y) ** 2).mean(1)

        irrelevant = self._irrelevant
        mixed = mix(learner.variant, learner.theta, own, irrelevant.similarity, irrelevant.label)
        result = {
            "iwl": 1 - error(irrelevant) / variance,
            "in_weights_r2": 1 - ((own - self._y) ** 2).mean(1) / variance,
            "icl": self.weight(learner, ICL_SIMILARITY),
            "copy": mixed.on_context.sum(-1).mean(1),
        }
        result |= {f"mse_{name}": error(samples) for name, samples in self._buckets.items()}
        return result | {f"theta{index + 1}": learner.theta[:, index].copy() for index in range(3)}

    def weight(self, learner: Learner, similarity: float) -> np.ndarray:
        """Return ∂ŷ/∂y of one example at a similarity of ``WEIGHT_GRID`` among irrelevant ones, mean per seed."""
        samples = self._relevant[similarity]
        own = in_weights(learner.weights, self._x)
        mixed = mix(learner.variant, learner.theta, own, samples.similarity, samples.label)
        return mixed.on_context[:, :, 0].mean(1)


@dataclass(frozen=True)
class Trajectory:
    """One condition's training with one variant.

    Attributes:
        steps: the steps probed, the first is 0.
        values: probe → value [steps, seeds].
        weights: similarity → weight on one relevant example at the last step [seeds].
    """

    steps: list[int]
    values: dict[str, np.ndarray]
    weights: dict[float, np.ndarray]


def train(
    settings: MinimalModel, task: Task, condition: Condition, probes: Probes | None = None
) -> dict[Variant, Trajectory]:
    """Simulate the training of one condition, all seeds at once; the variants see the same samples.

    Args:
        settings: task, model, training.
        task: one task per seed.
        condition: what contexts look like.
        probes: made for the condition's k; absent: they are drawn here.
    """
    k = condition.k or settings.k
    probes = probes or Probes(settings, task, k)
    learners = [Learner(settings, variant, condition) for variant in settings.variants]
    steps = [step for step in range(settings.steps + 1) if step % settings.probe_every == 0 or step == settings.steps]
    history: dict[Variant, list[dict[str, np.ndarray]]] = {variant: [] for variant in settings.variants}
    batches = _batches(settings, task, condition, k)
    for step in range(settings.steps + 1):
        if step in steps:
            for learner in learners:
                history[learner.variant].append(probes.measure(learner))
        if step < settings.steps:
            batch = next(batches)
            for learner in learners:
                learner.step(*batch)
    return {
        learner.variant: Trajectory(
            steps,
            {
                name: np.stack([entry[name] for entry in history[learner.variant]])
                for name in history[learner.variant][0]
            },
            {s: probes.weight(learner, s) for s in WEIGHT_GRID},
        )
        for learner in learners
    }


def _batches(settings: MinimalModel, task: Task, condition: Condition, k: int) -> Iterator[tuple]:
    """Yield x, y, similarities and labels of one step after the other; targets are the same under every condition."""
    targets, contexts = Generators(settings.seeds, TARGETS), Generators(settings.seeds, CONTEXTS)
    seeds, size, d = len(settings.seeds), settings.batch, settings.dimensions
    while True:
        x = targets.sphere(_CHUNK * size, d)
        y = task.labels(x, targets)
        similarity = label = None
        if (examples := sample_contexts(x, condition, k, contexts)) is not None:
            samples = Samples.of(task, x, y, examples, contexts)
            similarity = samples.similarity.reshape(seeds, _CHUNK, size, k)
            label = samples.label.reshape(seeds, _CHUNK, size, k)
        x, y = x.reshape(seeds, _CHUNK, size, d), y.reshape(seeds, _CHUNK, size)
        for step in range(_CHUNK):
            here = (slice(None), step)
            yield (
                x[here],
                y[here],
                None if similarity is None else similarity[here],
                None if label is None else label[here],
            )


def best_weights(settings: MinimalModel, task: Task) -> dict[float, np.ndarray]:
    """Return a*(s) on ``WEIGHT_GRID``, one value per seed, with κ(s) estimated from 20,000 pairs."""
    draws = Generators(settings.seeds, PAIRS)
    x = draws.sphere(20_000, settings.dimensions)
    h = task.unlearnable(x)
    variances = settings.learnable_variance, settings.unlearnable_variance, settings.noise_variance
    result = {}
    for s in WEIGHT_GRID:
        near = task.unlearnable(draws.neighbours(x, np.full(x.shape[:-1], s)))
        correlation = (h * near).mean(1) / np.sqrt((h**2).mean(1) * (near**2).mean(1))
        result[s] = best_weight(correlation, s, *variances)
    return result
