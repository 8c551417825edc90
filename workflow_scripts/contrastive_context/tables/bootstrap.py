"""Cluster bootstrap whose weights are shared by everything that is compared, so that differences are paired.

Segments of one cluster (template, document) are not independent, so whole clusters are drawn with replacement
(Davison & Hinkley 1997, section 3.8). All systems of a (task, test set) use the same draws.

Two to five training runs are too few to be resampled: the bootstrap then sees half to four fifths of their variance
and knows nothing of how badly it is estimated. So runs are averaged in every resample of the clusters, and the
uncertainty from the runs comes from Student's t over the values of the single runs. Those values already hold the noise
that clusters cause in each run for itself; of the bootstrap's variance only what the runs have in common is added.
Squared half-widths of both parts add up (Zou & Donner 2008), each part with its own quantile; one common quantile with
Welch's degrees of freedom would call too many differences real when two runs happen to agree. Where both parts are of
like size that is wider than need be: of 95 % intervals over two to five runs 94 to 99 % cover the truth.

Over several models the estimate is the mean of their means. The runs of one may vary many times as much as another's,
so their variances are not pooled, and Satterthwaite's degrees of freedom say how well their sum is known.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return a generator that depends on the seed and the names alone, not on what else is computed."""
    digest = hashlib.sha256("\x1f".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


class Bootstrap:
    """Resampling weights over the clusters of one (task, test set).

    Attributes:
        clusters: cluster → column.
        weights: how often each cluster is drawn, float64 [resamples, clusters].
    """

    def __init__(self, clusters: Sequence[str], resamples: int, rng: np.random.Generator) -> None:
        """Draw the weights; the result depends on the *set* of clusters, not on their order."""
        names = sorted(set(clusters))
        self.clusters = {name: column for column, name in enumerate(names)}
        draws = rng.multinomial(len(names), np.full(len(names), 1 / max(1, len(names))), size=resamples)
        self.weights = draws.astype(np.float64)

    def replicates(
        self, clusters: Sequence[str], matrix: np.ndarray, from_sums: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Return the corpus value in every resample, float64 [resamples]; NaN where no segment was drawn.

        Args:
            clusters: cluster of each segment.
            matrix: statistics of each segment, [segments, statistics].
            from_sums: corpus value of summed statistics, as in :class:`contrastive_context.scoring.metrics.Metric`.
        """
        columns = np.fromiter((self.clusters[name] for name in clusters), dtype=np.int64, count=len(clusters))
        sums = np.zeros((len(self.clusters), matrix.shape[1]))
        np.add.at(sums, columns, matrix)
        return from_sums(self.weights @ sums)


@dataclass(frozen=True)
class ModelRuns:
    """How the training runs of one model vary.

    Attributes:
        count: number of runs, two or more.
        spread: standard deviation of their values.
        own: variance from the clusters that each run has for itself, ≥ 0.
    """

    count: int
    spread: float
    own: float

    def error_squared(self, clusters: int) -> float:
        """Return the squared standard error of the mean over the runs, with its part of the noise from ``clusters``.

        Where scores are coarse, runs can agree to the digit. So their spread is not taken to be smaller than what each
        one's own noise alone makes it in nine cases of ten.
        """
        from scipy.special import chdtri

        freedom = self.count - 1
        least = self.own * _few_clusters(clusters) ** 2 * float(chdtri(freedom, 0.9)) / freedom
        return max(self.spread**2, least) / self.count


@dataclass(frozen=True)
class Runs:
    """How the training runs behind a mean vary; of several models it is the mean of their means.

    Attributes:
        models: of each model.
        share: how much of the standard deviation of the mean's replicates is not the runs' own, 0 to 1: what clusters
            do to all of them, or to a base that those of one model are compared with.
    """

    models: tuple[ModelRuns, ...]
    share: float

    @classmethod
    def of(cls, values: Sequence[Sequence[float]], replicates: Sequence[np.ndarray]) -> "Runs":
        """Measure the values of each model's runs and their replicates [runs, resamples]; resamples with NaN are left
        out."""
        finite = np.isfinite(np.concatenate(replicates)).all(axis=0)
        if finite.sum() < 2:
            return cls(tuple(ModelRuns(len(of), float(np.std(of, ddof=1)), math.nan) for of in values), 1.0)
        models = []
        for of_model, drawn in zip(values, replicates, strict=True):
            count, covariance = len(of_model), np.cov(drawn[:, finite])
            variance = float(np.trace(covariance)) / count
            common = max(0.0, (float(covariance.sum()) / count - variance) / (count - 1))
            models.append(ModelRuns(count, float(np.std(of_model, ddof=1)), max(0.0, variance - common)))
        means = np.stack([drawn[:, finite].mean(axis=0) for drawn in replicates])
        total = float(means.mean(axis=0).var(ddof=1))
        own = sum(model.own / model.count for model in models) / len(models) ** 2
        return cls(tuple(models), math.sqrt(max(0.0, 1 - own / total)) if total > 0 else 1.0)

    def error(self, clusters: int) -> float:
        """Return the standard error of the mean over the runs; each model's own variance, none is pooled."""
        return math.sqrt(sum(model.error_squared(clusters) for model in self.models)) / len(self.models)

    def freedom(self, clusters: int) -> float:
        """Return its degrees of freedom (Satterthwaite 1946)."""
        parts = [(model.error_squared(clusters), model.count - 1) for model in self.models]
        below = sum(part**2 / freedom for part, freedom in parts)
        return sum(part for part, _ in parts) ** 2 / below if below > 0 else float(sum(freedom for _, freedom in parts))


def interval(
    value: float, replicates: np.ndarray, confidence: float, clusters: int, runs: Runs | None = None
) -> tuple[float, float]:
    """Return a confidence interval; (NaN, NaN) where it can't be told.

    The percentile interval of the replicates, stretched for few clusters (Hesterberg 2015: the bootstrap's variance is
    (c − 1)/c of what it should be, and the quantile Student's). With several training runs, each side is what they have
    in common of it, and its squared length grows by the squared half-width of Student's interval over the runs.

    Args:
        value: the estimate, over all training runs.
        replicates: the same in every resample of the clusters, [resamples]; NaN is ignored.
        confidence: between 0 and 1.
        clusters: number of clusters.
        runs: how several training runs vary; None for one run.
    """
    finite = replicates[np.isfinite(replicates)]
    if len(finite) == 0 or clusters < 2:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    stretch = _few_clusters(clusters) * _student(tail, clusters - 1) / _student(tail, math.inf)
    between = 0.0
    if runs is not None:
        stretch *= runs.share
        between = _student(tail, runs.freedom(clusters)) * runs.error(clusters)
    below, above = (math.hypot(max(0.0, side) * stretch, between) for side in (value - low, high - value))
    return float(value - below), float(value + above)


def p_value(difference: float, replicates: np.ndarray, clusters: int, runs: Runs | None = None) -> float:
    """Return the two-sided p of "no difference": where the interval, made from standard errors, would just touch 0.

    Percentile p-values stop at 2/resamples, too coarse for Holm's correction over a grid; Student's tail does not.

    Args:
        difference: the estimate, over all training runs.
        replicates: as in :func:`interval`.
        clusters: number of clusters.
        runs: as in :func:`interval`.
    """
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 2 or clusters < 2 or not math.isfinite(difference):
        return math.nan
    within = float(np.std(finite, ddof=1)) * _few_clusters(clusters) * (runs.share if runs else 1.0)
    between, freedom = (runs.error(clusters), runs.freedom(clusters)) if runs else (0.0, 1.0)
    if within < 1e-12 and between < 1e-12:
        return 0.0 if abs(difference) > 1e-12 else 1.0

    low, high = -300.0, math.log10(0.5)  # of the tail's logarithm
    for _ in range(50):
        middle = (low + high) / 2
        reached = half_width(10**middle, within, clusters, between, freedom) >= abs(difference)
        low, high = (middle, high) if reached else (low, middle)
    return 2 * 10**high


def half_width(tail: float, within: Any, clusters: int, between: Any, freedom: Any) -> Any:
    """Return half of an interval that leaves ``tail`` on each side.

    Args:
        tail: between 0 and .5.
        within: standard error from the clusters; a number, or an array for many studies, as the next ones.
        clusters: number of clusters.
        between: standard error from the training runs.
        freedom: its degrees of freedom.
    """
    return np.hypot(_student(tail, clusters - 1) * within, _student(tail, freedom) * between)


def _student(tail: float, freedom: Any) -> Any:
    """Return the quantile of Student's t that leaves ``tail`` above it."""
    from scipy.special import ndtri, stdtrit

    return -(ndtri(tail) if freedom is math.inf else stdtrit(freedom, tail))


def _few_clusters(clusters: int) -> float:
    return math.sqrt(clusters / (clusters - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm-adjusted p-values (Holm 1979) in the order given; NaN stays NaN and doesn't count."""
    adjusted = [float("nan")] * len(p_values)
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p == p)
    running = 0.0
    for rank, (p, index) in enumerate(ranked):
        running = max(running, min(1.0, (len(ranked) - rank) * p))
        adjusted[index] = running
    return adjusted
