"""Intervals on simulated data whose truth is known: clusters of unequal size, several training runs."""

import os

import numpy as np
import pandas as pd
import pytest

from contrastive_context.config.statistics import Statistics
from contrastive_context.tables import findings, tidy
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.tables.tidy import over_runs
from simulated_studies import cells, scores, segments

TRIALS = int(os.environ.get("SIMULATIONS", "1000"))

pytestmark = pytest.mark.slow


def coverage(clusters, runs=1, **effects):
    """Return the share of intervals that hold the true mean, 0."""
    rng = np.random.default_rng([clusters, runs])
    inside = 0
    for _ in range(TRIALS):
        cluster = segments(rng, clusters)
        low, high = over_runs([cells(rng, cluster, scores(rng, cluster, runs=runs, **effects))]).interval(0.95)
        inside += low <= 0 <= high
    return inside / TRIALS


@pytest.mark.parametrize("clusters", [40, 100])
def test_of_one_run_the_interval_covers_the_truth_in_93_to_97_percent(clusters):
    assert 0.93 <= coverage(clusters) <= 0.97


@pytest.mark.parametrize(("clusters", "least"), [(10, 0.9), (20, 0.92)])
def test_of_few_clusters_of_unequal_size_it_covers_it_in_hardly_93_percent(clusters, least):
    assert least <= coverage(clusters) <= 0.97


@pytest.mark.parametrize(
    ("clusters", "runs", "effects"),
    [
        (60, 3, {"run": 2.0, "shared": 0.5}),  # the runs vary most
        (60, 5, {"run": 2.0, "shared": 0.5}),
        (60, 3, {"run": 0.0, "shared": 0.0}),  # the clusters have nothing in common over the runs
        (60, 5, {"run": 0.0}),  # the runs vary hardly
        (60, 5, {"run": 0.2}),
    ],
)
def test_over_runs_it_covers_it_in_93_to_97_percent(clusters, runs, effects):
    assert 0.93 <= coverage(clusters, runs, **effects) <= 0.975


@pytest.mark.parametrize("clusters", [10, 20, 60])
@pytest.mark.parametrize("run", [0.0, 0.1, 0.5])
def test_over_three_runs_with_both_sources_alike_it_errs_on_the_wide_side(clusters, run):
    # Each part has its own quantile, and that of three runs is wide: a deviation that is known and bounded.
    assert 0.93 <= coverage(clusters, 3, run=run) <= 0.985


@pytest.mark.parametrize("runs", [2, 3])
def test_runs_that_agree_to_the_digit_by_chance_dont_make_it_narrow(runs):
    # Right or wrong, with 24 clusters of one segment: both runs are often the same.
    rng, cluster, inside = np.random.default_rng(runs), np.arange(24), 0
    for _ in range(TRIALS):
        values = rng.binomial(1, 0.2, (runs, 24)) - rng.binomial(1, 0.2, (runs, 24))
        low, high = over_runs([cells(rng, cluster, values)]).interval(0.95)
        inside += low <= 1e-12 and high >= -1e-12
    assert inside / TRIALS >= 0.95


def test_differences_in_the_findings_are_covered_too(monkeypatch):
    # From segment scores to findings; each trial is a test set of its own, with its own draws.
    monkeypatch.setattr(
        findings, "CLAIMS", [claim for claim in findings.CLAIMS if claim.name == "zero_below_base_high"]
    )
    rng = np.random.default_rng(0)
    parts = []
    for trial in range(TRIALS):
        cluster = segments(rng, 30)
        for strategy, mean, runs in (("base", 0.2, {None: 0.0}), ("zero", 0.0, dict.fromkeys(range(3), 0.1))):
            by_run = scores(rng, cluster, mean, len(runs), run=max(runs.values()))
            for seed, values in zip(runs, by_run, strict=True):
                parts.append(
                    {"test_set": str(trial), "strategy": strategy, "seed": seed, "value": values, "cluster": cluster}
                )
    frame = pd.DataFrame(parts).explode(["value", "cluster"], ignore_index=True).astype({"seed": "Int64"})
    frame = frame.assign(task="lexicon", model="llama", step=0, composition="top_k", bucket="high",
                         metric="token_accuracy", stats=None)  # fmt: skip
    settings = BuildTablesSettings(statistics=Statistics(resamples=400))
    table = findings.build(tidy.score_cells(frame, settings.statistics), tidy.Cells(), settings)
    rows = table[table["model"] != "all"]
    assert len(rows) == TRIALS
    assert 0.93 <= rows["ci_low"].le(0.2).mul(rows["ci_high"].ge(0.2)).mean() <= 0.985
