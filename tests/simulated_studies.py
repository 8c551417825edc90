"""Studies whose truth is known, as cells made by the bootstrap itself; for tests only."""

import numpy as np

from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.bootstrap import Bootstrap
from contrastive_context.tables.tidy import Cell, CellKey, Cells

METRIC = get_metric("token_accuracy")
RESAMPLES = 400


def segments(rng, clusters):
    """Return the cluster's number of each segment; clusters have 1 to 6 segments."""
    return np.repeat(np.arange(clusters), rng.integers(1, 7, clusters))


def scores(rng, cluster, mean=0.0, runs=1, run=0.0, shared=1.0, own=0.5):
    """Return scores of one system, [runs, segments].

    A score is an effect of the training run, of the cluster (shared by the runs), of both, and of the segment.
    """
    clusters = cluster.max() + 1
    by_cluster = rng.normal(0, shared, clusters) + rng.normal(0, own, (runs, clusters))
    return mean + rng.normal(0, run, (runs, 1)) + by_cluster[:, cluster] + rng.normal(0, 1, (runs, len(cluster)))


def cells(rng, cluster, values):
    """Return one cell per run of ``values`` [runs, segments], all with the bootstrap's draws of ``rng``."""
    names = [str(name) for name in cluster]
    boot = Bootstrap(names, RESAMPLES, rng)
    return [
        Cell(
            value=METRIC.aggregate(row, []),
            replicates=boot.replicates(names, METRIC.matrix(row, []), METRIC.from_sums),
            n=len(row),
            clusters=len(set(names)),
        )
        for row in values
    ]


def study(rng, means, clusters, *, models=("llama",), runs=1, run=0.1, scale=1.0):
    """Return scores at high similarity in both compositions, of systems that differ by their means and by chance.

    Args:
        rng: a generator.
        means: strategy → its true mean; ``base`` is of no training run.
        clusters: number of clusters.
        models: names of the models.
        runs: training runs of each strategy; one run speaks of itself only, so it has no effect of chance.
        run: size of the runs' effect, relative to the others'; of each model, or the same of all.
        scale: size of all effects of chance.
    """
    cluster = segments(rng, clusters)
    keys, values = [], []
    sizes = run if isinstance(run, list) else [run] * len(models)
    for model, size in zip(models, sizes, strict=True):
        for strategy, mean in means.items():
            for composition in ("one_graded", "top_k"):
                seeds = (None,) if strategy == "base" else range(runs)
                by_run = scores(rng, cluster, runs=len(seeds), run=size if len(seeds) > 1 else 0.0)
                keys += [(model, strategy, composition, seed) for seed in seeds]
                values += list(mean + scale * by_run)
    result = Cells(headline={"lexicon": METRIC.name})
    for (model, strategy, composition, seed), cell in zip(keys, cells(rng, cluster, values), strict=True):
        key = CellKey("lexicon", "in_domain", model, strategy, composition, "high", METRIC.name)
        result.cells.setdefault(key, {}).setdefault(0, {})[seed] = cell
    return result
