"""The simulation's results as a tidy table."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from contrastive_context.config.minimal_model import Condition, MinimalModel
from contrastive_context.minimal_model.task import Task
from contrastive_context.minimal_model.training import ICL_SIMILARITY, Probes, best_weights, train

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "variant", "condition", "seed", "seeds", "step", "probe", "similarity", "value", "ci_low", "ci_high", "n",
)  # fmt: skip
CONFIDENCE = 0.95


def simulate(settings: MinimalModel, conditions: Iterable[tuple[str, Condition]]) -> "pd.DataFrame":
    """Train under every condition and return the table.

    One row per variant, condition, seed, probed step and probe; where there are several seeds, one more row with seed
    NA holds their mean and its interval (Student's t over seeds). The probe "weight" is the mean weight on one example
    at ``similarity``, among irrelevant ones, at the last step; of the condition "optimum" it is a*(s).

    Args:
        settings: the minimal model.
        conditions: (name, condition) pairs; an iterable, so that a progress bar can be put round it.

    Returns:
        A pandas frame with ``COLUMNS``; ``n`` is the number of test points per seed.
    """
    import pandas as pd

    task = Task(settings)
    rows: list[tuple] = []
    last = settings.steps
    for s, values in best_weights(settings, task).items():
        rows += _rows(settings, "none", "optimum", last, "weight", s, values)
    probes: dict[int, Probes] = {}
    for name, condition in conditions:
        k = condition.k or settings.k
        if k not in probes:
            probes[k] = Probes(settings, task, k)
        for variant, path in train(settings, task, condition, probes[k]).items():
            for probe, history in path.values.items():
                similarity = ICL_SIMILARITY if probe == "icl" else None
                for step, values in zip(path.steps, history, strict=True):
                    rows += _rows(settings, variant, name, step, probe, similarity, values)
            for s, values in path.weights.items():
                rows += _rows(settings, variant, name, last, "weight", s, values)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["seed"] = frame["seed"].astype("Int64")
    return frame


def _rows(
    settings: MinimalModel,
    variant: str,
    condition: str,
    step: int,
    probe: str,
    similarity: float | None,
    values: np.ndarray,
) -> Iterator[tuple]:
    from scipy.stats import t

    nan, n, count = float("nan"), settings.probe_targets, len(values)
    key = (step, probe, nan if similarity is None else similarity)
    for seed, value in zip(settings.seeds, values, strict=True):
        yield (variant, condition, seed, 1, *key, float(value), nan, nan, n)
    if count > 1:
        mean = float(values.mean())
        half = float(t.ppf(0.5 + CONFIDENCE / 2, count - 1) * values.std(ddof=1) / np.sqrt(count))
        yield (variant, condition, None, count, *key, mean, mean - half, mean + half, n)
