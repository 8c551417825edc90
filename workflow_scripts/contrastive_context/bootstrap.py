"""Cluster bootstrap whose weights are shared by everything that is compared, so that differences are paired.

Segments of one cluster (template, document) are not independent, so whole clusters are drawn with replacement
(Davison & Hinkley 1997, section 3.8). All systems of a (task, test set) use the same draws.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return a generator that depends on the seed and the names alone, not on what else is computed."""
    digest = hashlib.sha256("\x1f".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


class Bootstrap:
    """Resampling weights over the clusters, and over the training seeds, of one (task, test set).

    Attributes:
        clusters: cluster → column.
        weights: how often each cluster is drawn, float64 [resamples, clusters].
        seed_weights: how often each training seed is drawn, float64 [resamples, seeds].
    """

    def __init__(
        self, clusters: Sequence[str], resamples: int, rng: np.random.Generator, seeds: Sequence[int] = ()
    ) -> None:
        """Draw the weights; the result depends on the *set* of clusters and seeds, not on their order."""
        names = sorted(set(clusters))
        self.clusters = {name: column for column, name in enumerate(names)}
        self.weights = _multinomial(rng, len(names), resamples)
        self.seeds = {seed: column for column, seed in enumerate(sorted(set(seeds)))}
        self.seed_weights = _multinomial(rng, len(self.seeds), resamples)

    def replicates(
        self, clusters: Sequence[str], matrix: np.ndarray, from_sums: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Return the corpus value in every resample, float64 [resamples]; NaN where no segment was drawn.

        Args:
            clusters: cluster of each segment.
            matrix: statistics of each segment, [segments, statistics].
            from_sums: corpus value of summed statistics, as in :class:`contrastive_context.metrics.Metric`.
        """
        columns = np.fromiter((self.clusters[name] for name in clusters), dtype=np.int64, count=len(clusters))
        sums = np.zeros((len(self.clusters), matrix.shape[1]))
        np.add.at(sums, columns, matrix)
        return from_sums(self.weights @ sums)

    def over_seeds(self, replicates: dict[int, np.ndarray]) -> np.ndarray:
        """Return replicates of the mean over training seeds, seeds being resampled too, [resamples].

        A resample that draws none of the given seeds is NaN.
        """
        weights = np.stack([self.seed_weights[:, self.seeds[seed]] for seed in replicates])
        values = np.stack(list(replicates.values()))
        total = weights.sum(axis=0)
        mean = (weights * values).sum(axis=0)
        return np.divide(mean, total, out=np.full_like(mean, np.nan), where=total > 0)


def _multinomial(rng: np.random.Generator, size: int, resamples: int) -> np.ndarray:
    if size == 0:
        return np.zeros((resamples, 0))
    return rng.multinomial(size, np.full(size, 1 / size), size=resamples).astype(np.float64)


def interval(replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of the replicates, ignoring NaN; (NaN, NaN) if nothing is left."""
    finite = replicates[np.isfinite(replicates)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def p_value(difference: float, replicates: np.ndarray) -> float:
    """Return the two-sided p of "no difference" from the bootstrap standard error (normal approximation).

    Percentile p-values stop at 2/resamples, too coarse for Holm's correction over a grid; the normal tail does not.
    """
    import math

    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 2 or not math.isfinite(difference):
        return float("nan")
    error = float(np.std(finite, ddof=1))
    if error < 1e-12:
        return 0.0 if abs(difference) > 1e-12 else 1.0
    return math.erfc(abs(difference) / error / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm-adjusted p-values (Holm 1979) in the order given; NaN stays NaN and doesn't count."""
    adjusted = [float("nan")] * len(p_values)
    ranked = sorted((p, place) for place, p in enumerate(p_values) if p == p)
    running = 0.0
    for rank, (p, place) in enumerate(ranked):
        running = max(running, min(1.0, (len(ranked) - rank) * p))
        adjusted[place] = running
    return adjusted
