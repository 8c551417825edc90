"""Tidy tables: one row per cell of the grid, with its cluster-bootstrap interval.

A cell that was not measured has no row; nothing is filled in.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from contrastive_context.config.statistics import Statistics
from contrastive_context.contexts.series import SAME_TARGETS, SERIES
from contrastive_context.core import artifacts
from contrastive_context.core.buckets import NO_BUCKET
from contrastive_context.core.errors import UserError
from contrastive_context.core.frames import groups_of
from contrastive_context.core.names import parse_system
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.bootstrap import Bootstrap, Runs, generator, interval

SCORE_COLUMNS = (
    "task", "model", "strategy", "seed", "step", "test_set", "composition", "bucket", "cluster", "metric", "value",
    "stats",
)  # fmt: skip
PROBE_COLUMNS = ("step", "cluster", "probe", "measure", "value")


class CellKey(NamedTuple):
    """What is held fixed in a cell. Of probes ``metric`` is the measure."""

    task: str
    test_set: str
    model: str
    strategy: str
    composition: str
    bucket_or_probe: str
    metric: str


@dataclass(frozen=True)
class Cell:
    """A corpus value, its replicates [resamples], and what it rests on; over several runs also how they vary."""

    value: float
    replicates: np.ndarray
    n: int
    clusters: int
    runs: Runs | None = None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the confidence interval; (NaN, NaN) where fewer than two clusters can't tell how much they vary."""
        return interval(self.value, self.replicates, confidence, self.clusters, self.runs)


@dataclass
class Cells:
    """All cells of some results.

    Attributes:
        cells: key → step → seed (None without training) → cell.
        headline: task → metric.
    """

    cells: dict[CellKey, dict[int, dict[int | None, Cell]]] = field(default_factory=dict)
    headline: dict[str, str] = field(default_factory=dict)


def read_scores(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read scores files into one frame.

    Raises:
        UserError: a file can't be read, or two files hold the same task and model.
    """
    frames = []
    seen: dict[tuple[str, str], str | Path] = {}
    for path in paths:
        frame = artifacts.read_parquet(path, SCORE_COLUMNS)
        for pair in set(zip(frame["task"], frame["model"], strict=True)):
            if pair in seen:
                raise UserError(f"{path}: task {pair[0]}, model {pair[1]} is also in {seen[pair]}; give each once")
            seen[pair] = path
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(SCORE_COLUMNS))


def read_probes(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read probe files; task, model and system come from the path ``…/<task>/<model>/<system>.parquet``.

    Raises:
        UserError: a file can't be read, or its path has not this form.
    """
    frames = []
    for path in map(Path, paths):
        if len(path.absolute().parts) < 4:
            raise UserError(f"{path}: expected <task>/<model>/<system>.parquet")
        frame = artifacts.read_parquet(path, PROBE_COLUMNS).copy()
        strategy, seed = parse_system(path.stem)
        parents = path.absolute().parents
        frame["task"], frame["model"] = parents[1].name, parents[0].name
        frame["strategy"], frame["seed"] = strategy, pd.array([seed] * len(frame), dtype="Int64")
        frames.append(frame)
    columns = [*PROBE_COLUMNS, "task", "model", "strategy", "seed"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def score_cells(frame: pd.DataFrame, statistics: Statistics, series: str = SAME_TARGETS) -> Cells:
    """Group segment scores (``read_scores``) into cells; prompts that lost all their examples are in none.

    Args:
        frame: segment scores; without a column ``series`` all are of the headline.
        statistics: resamples and seed.
        series: the series to take. In all but the headline's, buckets have targets of their own, so ``zero_context``
            has a cell per bucket: the same targets without any example.
    """
    result = Cells()
    frame = _of_series(frame[(frame["bucket"] != NO_BUCKET) | (frame["composition"] == "zero_context")], series)
    for (task,), rows in groups_of(frame, "task", sort=True):
        result.headline[task] = rows["metric"].iloc[0]
    for (task, test_set), rows in groups_of(frame, "task", "test_set", sort=True):
        boot = _bootstrap(rows, statistics, task, test_set)
        keys = ["model", "strategy", "composition", "bucket", "metric", "step", "seed"]
        for (model, strategy, composition, bucket, name, step, seed), cell in groups_of(
            rows, *keys, sort=True, dropna=False
        ):
            cell = cell[np.isfinite(cell["value"].to_numpy(dtype=float))]
            if len(cell) == 0:
                continue
            metric = get_metric(name)
            values, stats = cell["value"].to_numpy(dtype=float), cell["stats"].to_list()
            key = CellKey(task, test_set, model, strategy, composition, bucket, name)
            result.cells.setdefault(key, {}).setdefault(int(step), {})[_seed(seed)] = _cell(
                metric.aggregate(values, stats), boot, cell["cluster"], metric.matrix(values, stats), metric.from_sums
            )
    return result


def _of_series(frame: pd.DataFrame, series: str) -> pd.DataFrame:
    if "series" in frame:
        frame = frame[[series in names for names in frame["series"]]]
    elif series != SAME_TARGETS:
        return frame.iloc[:0]
    if series == SAME_TARGETS:
        return frame
    bare = frame["composition"] == "zero_context"
    target = ["task", "test_set", "target_id"]
    buckets = frame.loc[~bare, [*target, "bucket"]].drop_duplicates()
    return pd.concat([frame[~bare], frame[bare].drop(columns="bucket").merge(buckets, on=target)], ignore_index=True)


def score_table(frame: pd.DataFrame, statistics: Statistics) -> pd.DataFrame:
    """Return the tidy table of segment scores, all series one below the other, the headline's first."""
    parts = []
    for series in SERIES:
        part = table(score_cells(frame, statistics, series), statistics, "bucket")
        part.insert(list(part.columns).index("composition"), "series", series)
        if len(part) or series == SAME_TARGETS:
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def probe_cells(frame: pd.DataFrame, statistics: Statistics) -> Cells:
    """Group probe values per item (``read_probes``) into cells; test set and composition are "none"."""
    result = Cells()
    for (task,), rows in groups_of(frame, "task", sort=True):
        boot = _bootstrap(rows, statistics, task, "probes")
        keys = ["model", "strategy", "probe", "measure", "step", "seed"]
        for (model, strategy, probe, measure, step, seed), cell in groups_of(rows, *keys, sort=True, dropna=False):
            cell = cell[np.isfinite(cell["value"].to_numpy(dtype=float))]
            if len(cell) == 0:
                continue
            values = cell["value"].to_numpy(dtype=float)
            matrix = np.stack([values, np.ones_like(values)], axis=-1)
            key = CellKey(task, "none", model, strategy, "none", probe, measure)
            result.cells.setdefault(key, {}).setdefault(int(step), {})[_seed(seed)] = _cell(
                float(values.mean()), boot, cell["cluster"], matrix, _ratio
            )
    return result


def _ratio(sums: np.ndarray) -> np.ndarray:
    total, count = sums[..., 0], sums[..., 1]
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _seed(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def _bootstrap(rows: pd.DataFrame, statistics: Statistics, *names: str) -> Bootstrap:
    return Bootstrap(
        [str(name) for name in rows["cluster"].unique()],
        statistics.resamples,
        generator(statistics.seed, *names),
    )


def _cell(
    value: float,
    boot: Bootstrap,
    clusters: pd.DataFrame,
    matrix: np.ndarray,
    from_sums: Callable[[np.ndarray], np.ndarray],
) -> Cell:
    names = [str(name) for name in clusters]
    return Cell(value, boot.replicates(names, matrix, from_sums), len(names), len(set(names)))


def over_runs(models: Sequence[Sequence[Cell]]) -> Cell:
    """Return the mean over training runs as a cell; over several models, each with its runs, the mean of their means.

    Where a model has a single run, how runs vary isn't known: the result then speaks of these runs only.
    """
    means = [
        runs[0] if len(runs) == 1 else _mean(runs, [[cell.value for cell in runs]], [_replicates(runs)])
        for runs in models
    ]
    if len(means) == 1:
        return means[0]
    known = all(len(runs) > 1 for runs in models)
    values = [[cell.value for cell in runs] for runs in models]
    return _mean(means, *((values, list(map(_replicates, models))) if known else ([], [])))


def over_models(models: Sequence[Sequence[Cell]]) -> Cell | None:
    """Return the same mean with models, not runs, as what varies: it speaks of any such model. None for fewer than
    two."""
    means = [over_runs([runs]) for runs in models]
    return _mean(means, [[cell.value for cell in means]], [_replicates(means)]) if len(means) > 1 else None


def _mean(cells: Sequence[Cell], values: Sequence[Sequence[float]], replicates: Sequence[np.ndarray]) -> Cell:
    return Cell(
        value=float(np.mean([cell.value for cell in cells])),
        replicates=_replicates(cells).mean(axis=0),
        n=min(cell.n for cell in cells),
        clusters=min(cell.clusters for cell in cells),
        runs=Runs.of(values, replicates) if values else None,
    )


def _replicates(cells: Sequence[Cell]) -> np.ndarray:
    return np.stack([cell.replicates for cell in cells])


def table(cells: Cells, statistics: Statistics, column: str) -> pd.DataFrame:
    """Return the tidy table of some cells.

    One row per cell and training seed; where a strategy was trained with several seeds, one more row with seed NA and
    ``seeds`` > 1 holds the mean over them, its interval for clusters and seeds
    (:mod:`contrastive_context.tables.bootstrap`).
    Base and nearest_label have seed NA and ``seeds`` 0. A cell whose segments come from fewer than two clusters has no
    interval (NA). Intervals end where the metric's range does.

    Args:
        cells: from :func:`score_cells` or :func:`probe_cells`.
        statistics: the confidence.
        column: "bucket" or "probe".
    """
    rows = []
    for key, steps in cells.cells.items():
        for step, by_seed in steps.items():
            entries: list[tuple[int | None, int, Cell]] = [
                (seed, 0 if seed is None else 1, cell) for seed, cell in by_seed.items()
            ]
            if len(by_seed) > 1:
                entries.append((None, len(by_seed), over_runs([list(by_seed.values())])))
            for seed, seeds, cell in entries:
                low, high = np.clip(cell.interval(statistics.confidence), *_range(key))
                rows.append(
                    (
                        key.task, key.test_set, key.model, key.strategy, seed, seeds, step, key.composition,
                        key.bucket_or_probe, key.metric, cell.value, low, high, cell.n, cell.clusters,
                    )
                )  # fmt: skip
    rows.sort(key=lambda row: tuple(-1 if item is None else item for item in row[:10]))
    columns = [
        "task", "test_set", "model", "strategy", "seed", "seeds", "step", "composition", column, "metric", "value",
        "ci_low", "ci_high", "n", "clusters",
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    frame["seed"] = frame["seed"].astype("Int64")
    return frame


def _range(key: CellKey) -> tuple[float, float]:
    """Return the smallest and the largest possible value; probes have test set "none"."""
    if key.test_set != "none":
        return get_metric(key.metric).bounds
    if key.metric == "likelihood":
        return -math.inf, math.inf
    return (0.0 if key.bucket_or_probe == "iwl" else -1.0), 1.0


def write_table(frame: pd.DataFrame, folder: str | Path, name: str) -> Sequence[Path]:
    """Write ``<folder>/<name>.parquet`` and ``.csv`` and return both paths."""
    parquet, csv = Path(folder) / f"{name}.parquet", Path(folder) / f"{name}.csv"
    artifacts.write_parquet(parquet, frame)
    with artifacts.atomic_path(csv) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    return parquet, csv
