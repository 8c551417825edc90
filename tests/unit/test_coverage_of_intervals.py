"""Intervals and verdicts on simulated data whose truth is known: clusters of unequal size, several training runs."""

import numpy as np
import pytest

from contrastive_context.config.statistics import Statistics
from contrastive_context.evaluation.bootstrap import interval, p_value
from contrastive_context.evaluation.findings import SHOWS, SMALL, verdict

TRIALS, RESAMPLES = 1000, 400


def simulate(clusters, seeds=1, run=0.0, shared=1.0, own=0.5, seed=0):
    """Yield (mean, its replicates, means of the runs) of scores whose true mean is 0, one per trial.

    A score is an effect of the training run, of the cluster (shared by the runs), of both, and of the segment; clusters
    have 1 to 6 segments. As in the tables, a resample draws clusters and takes the ratio of summed scores and counts.
    """
    rng = np.random.default_rng([clusters, seeds, seed])
    weights = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=RESAMPLES).astype(float)
    for _ in range(TRIALS):
        sizes = rng.integers(1, 7, clusters)
        means = (
            rng.normal(0, run, (seeds, 1))
            + rng.normal(0, shared, (1, clusters))
            + rng.normal(0, own, (seeds, clusters))
            + rng.normal(0, 1, (seeds, clusters)) / np.sqrt(sizes)
        )
        sums = means * sizes
        by_seed = sums.sum(axis=1) / sizes.sum()
        replicates = ((weights @ sums.T) / (weights @ sizes)[:, None]).mean(axis=1)
        yield by_seed.mean(), replicates, by_seed


def coverage(*args, **kwargs):
    clusters = args[0]
    inside = 0
    for value, replicates, by_seed in simulate(*args, **kwargs):
        low, high = interval(value, replicates, 0.95, clusters, by_seed)
        inside += low <= 0 <= high
    return inside / TRIALS


@pytest.mark.parametrize("clusters", [40, 100])
def test_of_one_run_the_interval_covers_the_truth_in_93_to_97_percent(clusters):
    assert 0.93 <= coverage(clusters) <= 0.97


def test_of_20_clusters_of_unequal_size_it_covers_it_in_hardly_93_percent():
    assert 0.92 <= coverage(20) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5])
def test_where_the_runs_vary_most_the_interval_over_runs_covers_it_in_93_to_97_percent(seeds):
    assert 0.93 <= coverage(60, seeds, run=2.0, shared=0.5) <= 0.97


@pytest.mark.parametrize(("seeds", "run"), [(3, 0.0), (3, 0.1), (5, 0.0), (5, 0.2)])
def test_over_few_runs_it_errs_on_the_wide_side(seeds, run):
    # The runs' spread holds part of the clusters' noise, which so counts twice: wider than need be, never narrower.
    assert coverage(60, seeds, run=run) >= 0.935


@pytest.mark.parametrize(("clusters", "seeds", "run"), [(20, 1, 0.0), (60, 1, 0.0), (60, 3, 0.0), (60, 3, 0.5)])
def test_without_an_effect_fewer_than_5_percent_of_verdicts_show_one(clusters, seeds, run):
    statistics, wrong = Statistics(), 0
    for value, replicates, by_seed in simulate(clusters, seeds, run, seed=1):
        low, high = interval(value, replicates, 0.95, clusters, by_seed)
        p = p_value(value, replicates, clusters, by_seed)
        wrong += verdict(value, low, high, p, 0.0, clusters, statistics) in (SHOWS, SMALL)
    assert wrong / TRIALS < 0.05
