"""Power of a study's claims: how often a true effect of the smallest size that counts would show, and which does.

From a finished run come, for each claim and task, how much the training runs of each model vary and how much targets
do. With those, studies of other sizes are simulated with the intervals of :mod:`contrastive_context.tables.bootstrap`.
Of a claim about several pairs, the one that is measured worst has the smallest effect, the others a clear one. Holm's
correction is taken at its hardest, as for the first of the task's claims. "Level" is looked for at no difference.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from contrastive_context.config.statistics import Statistics
from contrastive_context.tables.bootstrap import Runs, half_width
from contrastive_context.tables.findings import Pair, by_task
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.tables.tidy import Cells

COLUMNS = [
    "task", "test_set", "claim", "effect", "run_sd", "target_se", "runs", "times", "targets", "power", "detectable",
]  # fmt: skip
ENOUGH = 0.8
"""Power that is usually planned for."""
_TRIALS = 4000


def table(
    scores: Cells, probes: Cells, settings: BuildTablesSettings, runs: Sequence[int], times: Sequence[float]
) -> pd.DataFrame:
    """Return the power of every claim that was judged, for studies of some sizes.

    Args:
        scores: cells of the run's scores.
        probes: cells of its probes.
        settings: of its tables.
        runs: numbers of training runs per model and strategy, two or more.
        times: how many times the run's targets, or probe items.

    Returns:
        ``effect``: the true difference less what it is held against; ``run_sd``: root mean square over models of the
        runs' standard deviation, without the targets' part; ``target_se``: standard error from the targets, at the
        run's own number; ``detectable``: the true difference, less the same, that shows with a power of ``ENOUGH``;
        a row per claim and size. Claims without several runs of each model are left out.
    """
    rows = []
    for drafts in by_task(scores, probes, settings):
        judged = [draft for draft in drafts if draft.judged]
        for draft in judged:
            pairs = [pair for pair in draft.pairs if pair.pooled().runs is not None]
            for count in runs if pairs else ():
                for factor in times:
                    # Deterministic, and the same draws for every claim.
                    rng = np.random.default_rng(settings.statistics.seed)
                    needed = [_needed(pair, count, factor, len(judged), settings.statistics, rng) for pair in pairs]
                    powers = [float((_effect(pair) > each).mean()) for pair, each in zip(pairs, needed, strict=True)]
                    index = int(np.argmin(powers))
                    worst = pairs[index]
                    spread, error = _noise(worst)
                    targets = round(worst.pooled().n * factor)
                    where = draft.task, draft.test_set, draft.claim.name
                    size = count, factor, targets
                    detectable = float(np.quantile(needed[index], ENOUGH))
                    rows.append((*where, _effect(worst), spread, error, *size, powers[index], detectable))
    return pd.DataFrame(rows, columns=COLUMNS)


def _effect(pair: Pair) -> float:
    return -pair.bar.above if pair.bar.above < 0 else pair.bar.threshold


def _noise(pair: Pair) -> tuple[float, float]:
    cell = pair.pooled()
    assert cell.runs is not None
    variances = [max(0.0, model.spread**2 - model.own) for model in cell.runs.models]
    return float(np.sqrt(np.mean(variances))), _shared(cell.replicates, cell.runs)


def _shared(replicates: np.ndarray, runs: Runs) -> float:
    return float(np.nanstd(replicates, ddof=1)) * runs.share


def _needed(
    pair: Pair, count: int, factor: float, claims: int, statistics: Statistics, rng: np.random.Generator
) -> np.ndarray:
    """Return the true effect above which each simulated study shows it, float [trials]."""
    cell = pair.pooled()
    assert cell.runs is not None
    models = cell.runs.models
    clusters = max(2, round(cell.clusters * factor))
    # What a run's targets give it for itself shrinks with their number, what its seed gives it does not.
    own = np.array([model.own / factor for model in models])
    seeds = np.array([max(0.0, model.spread**2 - model.own) for model in models])
    within = _shared(cell.replicates, cell.runs) / np.sqrt(factor)
    draws = rng.standard_normal((_TRIALS, len(models), count)) * np.sqrt(own + seeds)[:, None]
    noise = draws.mean(axis=(1, 2)) + within * rng.standard_normal(_TRIALS)
    parts = draws.var(axis=2, ddof=1) / count
    between = np.sqrt(parts.sum(axis=1)) / len(models)
    below = (parts**2 / (count - 1)).sum(axis=1)
    freedom = np.divide(parts.sum(axis=1) ** 2, below, out=np.full(_TRIALS, float(count - 1)), where=below > 0)
    tail = (1 - statistics.confidence) / 2 / claims
    return half_width(tail, within, clusters, between, freedom) - noise
