"""The regression task of the minimal model: a part that weights can learn and a part only a neighbour can supply.

Everything is vectorised over seeds: the first axis of each array is the seed. What is drawn for a seed does not depend
on which other seeds are simulated.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.special import betainc, betaincinv, gammaln, jv

from contrastive_context.config.minimal_model import Condition, MinimalModel

# Purposes of random streams.
_TASK, TARGETS, CONTEXTS, PROBES, PAIRS = range(5)
_BLOCK = 1024  # points whose features fit into the processor's cache


class Generators:
    """One random generator per seed for one purpose; draws are stacked along a first axis of seeds."""

    def __init__(self, seeds: Sequence[int], purpose: int) -> None:
        self._each = [np.random.default_rng([purpose, seed]) for seed in seeds]

    def normal(self, *shape: int) -> np.ndarray:
        """Return standard normal numbers, float32 [seeds, *shape]."""
        return np.stack([each.standard_normal(shape, dtype=np.float32) for each in self._each])

    def uniform(self, *shape: int) -> np.ndarray:
        """Return uniform numbers from [0, 1), float32 [seeds, *shape]."""
        return np.stack([each.random(shape, dtype=np.float32) for each in self._each])

    def sphere(self, *shape: int) -> np.ndarray:
        """Return points on the unit sphere, float32 [seeds, *shape]; the last axis holds the coordinates."""
        return _unit(self.normal(*shape))

    def neighbours(self, x: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Return neighbours x' = s·x + √(1 − s²)·z, z a random unit vector orthogonal to x.

        Args:
            x: points [seeds, …, d].
            similarity: s = x·x' [seeds, …].
        """
        z = self.normal(*x.shape[1:])
        z = _unit(z - np.einsum("...d,...d->...", z, x)[..., None] * x)
        similarity = similarity[..., None].astype(np.float32)
        return similarity * x + np.sqrt(np.maximum(0, 1 - similarity**2)) * z


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]


class Task:
    """y = g(x) + h(x) + noise for x uniform on the unit sphere in R^d, one task per seed.

    g(x) = √d·w·x is linear. h is a sum of random Fourier features cos(ω·x + φ), less its constant and linear part; what
    these are, and the variance of the rest, follows in closed form from the characteristic function of the uniform
    distribution on the sphere, E[exp(iω·x)] = Γ(d/2)·(2/|ω|)^(d/2−1)·J_{d/2−1}(|ω|).

    Attributes:
        slope: w [seeds, d], with E[g²] = |w|² the learnable variance.
    """

    def __init__(self, settings: MinimalModel) -> None:
        d, draws = settings.dimensions, Generators(settings.seeds, _TASK)
        self._noise = np.sqrt(settings.noise_variance)
        self._root = np.sqrt(d)
        self.slope = np.sqrt(settings.learnable_variance) * draws.sphere(d)
        frequency = draws.normal(d, settings.features) / np.sqrt(settings.length_scale_squared)
        phase = 2 * np.pi * draws.uniform(settings.features)
        norm = np.linalg.norm(frequency, axis=1)
        constant = (np.cos(phase) * _characteristic(norm, d)).sum(-1)
        # E[x·cos(ω·x + φ)] is sin φ times the gradient of the characteristic function; E[x xᵀ] = I/d.
        linear = d * np.einsum("sdm,sm->sd", frequency, np.sin(phase) * _derivative(norm, d) / norm)
        # cos a · cos b = ½ cos(a − b) + ½ cos(a + b)
        variance = -(constant**2) - (linear**2).sum(-1) / d
        for sign in (1, -1):
            pairs = frequency[:, :, :, None] + sign * frequency[:, :, None, :]
            angle = phase[:, :, None] + sign * phase[:, None, :]
            variance += 0.5 * (np.cos(angle) * _characteristic(np.linalg.norm(pairs, axis=1), d)).sum((1, 2))
        self._frequency, self._phase = frequency.astype(np.float32), phase.astype(np.float32)
        self._constant, self._linear = constant.astype(np.float32), linear.astype(np.float32)
        self._scale = np.sqrt(settings.unlearnable_variance / variance).astype(np.float32)

    def learnable(self, x: np.ndarray) -> np.ndarray:
        """Return g(x) [seeds, …] of points x [seeds, …, d]."""
        return self._root * _dot(x, self.slope)

    def unlearnable(self, x: np.ndarray) -> np.ndarray:
        """Return h(x) [seeds, …] of points x [seeds, …, d]."""
        flat = x.reshape(len(x), -1, x.shape[-1])
        waves = np.empty(flat.shape[:2], dtype=np.float32)
        for start in range(0, flat.shape[1], _BLOCK):
            angle = flat[:, start : start + _BLOCK] @ self._frequency
            angle += self._phase[:, None]
            waves[:, start : start + _BLOCK] = np.cos(angle, out=angle).sum(-1)
        waves -= self._constant[:, None] + _dot(flat, self._linear)
        return (waves * self._scale[:, None]).reshape(x.shape[:-1])

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return g(x) + h(x) [seeds, …]."""
        return self.learnable(x) + self.unlearnable(x)

    def labels(self, x: np.ndarray, draws: Generators) -> np.ndarray:
        """Return noisy labels [seeds, …]."""
        return self.values(x) + self._noise * draws.normal(*x.shape[1:-1])


def _dot(x: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return np.einsum("s...d,sd->s...", x, vector)


def _characteristic(norm: np.ndarray, d: int) -> np.ndarray:
    """Return E[cos(ω·x)] for x uniform on the unit sphere in R^d and |ω| = ``norm``."""
    norm = np.maximum(norm, 1e-6).astype(np.float64)  # its value at 0 is 1
    return np.exp(gammaln(d / 2) + (d / 2 - 1) * np.log(2 / norm)) * jv(d / 2 - 1, norm)


def _derivative(norm: np.ndarray, d: int) -> np.ndarray:
    """Return the derivative of ``_characteristic`` in ``norm``, from d/dz (J_ν(z)/z^ν) = −J_{ν+1}(z)/z^ν."""
    norm = np.maximum(norm, 1e-6).astype(np.float64)
    return -np.exp(gammaln(d / 2) + (d / 2 - 1) * np.log(2 / norm)) * jv(d / 2, norm)


def sample_contexts(x: np.ndarray, condition: Condition, k: int, draws: Generators) -> np.ndarray | None:
    """Draw a training context for each target.

    Args:
        x: targets [seeds, n, d].
        condition: what contexts look like.
        k: examples per context.
        draws: where randomness comes from.

    Returns:
        Examples [seeds, n, k, d]; None where there are none.
    """
    return KINDS[condition.kind](x, condition, k, draws)


def _similar(x: np.ndarray, condition: Condition, k: int, draws: Generators) -> np.ndarray:
    return draws.neighbours(_repeat(x, k), _between(condition.grade_range(), draws.uniform(x.shape[1], k)))


def _random(x: np.ndarray, condition: Condition, k: int, draws: Generators) -> np.ndarray:
    return draws.sphere(x.shape[1], k, x.shape[2])


def _mixed(x: np.ndarray, condition: Condition, k: int, draws: Generators, slots: int | None = None) -> np.ndarray:
    """In some contexts the first ``slots`` examples, all if None, are neighbours of one similarity."""
    n, slots = x.shape[1], slots or k
    examples = _random(x, condition, k, draws)
    real = _between(condition.grade_range(), draws.uniform(n))
    paraphrase = _between(condition.paraphrase_grades, draws.uniform(n))
    grade = np.where(draws.uniform(n) < 0.5, real, paraphrase)
    near = draws.neighbours(_repeat(x, slots), np.repeat(grade[:, :, None], slots, axis=2))
    chosen = (draws.uniform(n) < condition.p)[:, :, None, None]
    examples[:, :, :slots] = np.where(chosen, near, examples[:, :, :slots])
    return examples


#: Kind of condition → what draws its contexts.
KINDS: dict[str, Callable[[np.ndarray, Condition, int, Generators], np.ndarray | None]] = {
    "zero": lambda *_: None,
    "random": _random,
    "similar": _similar,
    "contrastive": partial(_mixed, slots=1),
    "mixed": _mixed,
}


def _between(ends: tuple[float, float], uniform: np.ndarray) -> np.ndarray:
    return ends[0] + (ends[1] - ends[0]) * uniform


def _repeat(x: np.ndarray, k: int) -> np.ndarray:
    return np.repeat(x[:, :, None], k, axis=2)


def graded_contexts(x: np.ndarray, low: float, high: float, ceiling: float, k: int, draws: Generators) -> np.ndarray:
    """Draw contexts of one example with a similarity from [low, high] and k − 1 random ones below ``ceiling``.

    Returns:
        Examples [seeds, n, k, d].
    """
    n, d = x.shape[1:]
    # The cosine c of two uniform points on the sphere: (1 + c)/2 has this beta distribution, cut at the ceiling.
    shape = (d - 1) / 2
    similarity = 2 * betaincinv(shape, shape, draws.uniform(n, k) * betainc(shape, shape, (1 + ceiling) / 2)) - 1
    similarity[:, :, 0] = _between((low, high), draws.uniform(n))
    return draws.neighbours(_repeat(x, k), similarity)
