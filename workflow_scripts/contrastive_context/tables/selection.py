"""Which rows of the tidy tables are shown, and in which order."""

from collections.abc import Iterable, Sequence

import pandas as pd

from contrastive_context.contexts.series import SAME_TARGETS
from contrastive_context.core.frames import groups_of
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import STRATEGIES


def ordered(present: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Return what is present: first in the wanted order, then the rest alphabetically."""
    names = set(present)
    return [name for name in wanted if name in names] + sorted(names - set(wanted))


def models_of(frame: pd.DataFrame, task: str, settings: PresentationSettings) -> list[str]:
    """Return a task's models in order: those with results and those that should have some."""
    present = [name for name in frame.loc[frame["task"] == task, "model"].unique() if name != "none"]
    return ordered([*present, *settings.expected.get(task, {})], settings.order("models")) or ["none"]


def systems(frame: pd.DataFrame, settings: PresentationSettings) -> list[str]:
    """Return the systems of a table in order: base, the strategies, nearest label."""
    names = ordered(frame["strategy"], settings.order("strategies") or list(STRATEGIES))
    middle = [name for name in names if name not in ("base", "nearest_label")]
    return [name for name in ("base",) if name in names] + middle + [n for n in ("nearest_label",) if n in names]


def in_order(frame: pd.DataFrame, settings: PresentationSettings) -> pd.DataFrame:
    """Sort the rows of a table by task, model and system."""
    orders = {
        "task": ordered(frame["task"], settings.order("tasks")),
        "model": ordered(frame["model"], settings.order("models")),
        "strategy": systems(frame, settings),
    }
    positions = pd.DataFrame({name: frame[name].map(order.index) for name, order in orders.items()})
    return frame.loc[positions.sort_values(list(orders), kind="stable").index]


def strategies_by_model(frame: pd.DataFrame, task: str, settings: PresentationSettings) -> dict[str, list[str]]:
    """Return, for each model of a task, the strategies that it has results of or should have."""
    result: dict[str, list[str]] = {}
    for model in models_of(frame, task, settings):
        here = frame.loc[(frame["task"] == task) & (frame["model"] == model), "strategy"].unique()
        names = {*here, *settings.expected.get(task, {}).get(model, [])} - {"base", "nearest_label"}
        result[model] = ordered(names, settings.order("strategies"))
    return result


def last_step(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of each strategy's last step: the headline, never a step chosen by its score."""
    keys = [name for name in ("task", "test_set", "model", "strategy") if name in frame.columns]
    return frame.loc[frame["step"] == frame.groupby(keys)["step"].transform("max")]


def headline_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep, per strategy and step, the row over all training seeds where there is one, else the single run's row."""
    keys = ("task", "test_set", "model", "strategy", "series", "composition", "bucket", "probe", "metric", "step")
    group = [name for name in keys if name in frame.columns]
    return frame.loc[frame["seeds"] == frame.groupby(group)["seeds"].transform("max")]


def with_series(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a scores table with its column ``series``; where there is none, all rows are of the headline."""
    return scores if "series" in scores else scores.assign(series=SAME_TARGETS)


def of_series(scores: pd.DataFrame, name: str = SAME_TARGETS) -> pd.DataFrame:
    """Keep the rows of one series."""
    return with_series(scores).loc[lambda rows: rows["series"] == name]


def headline_metrics(scores: pd.DataFrame, settings: PresentationSettings) -> dict[str, str]:
    """Return each task's headline metric: the first in the table where the settings name none."""
    return {task: rows["metric"].iloc[0] for (task,), rows in groups_of(scores, "task")} | settings.headline
