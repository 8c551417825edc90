"""Accuracy against context similarity (the paper's Figure 3): rows task × test set × composition, columns models."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_context.config.strategies import PLANE
from contrastive_context.contexts.series import SAME_TARGETS
from contrastive_context.figures.page import MAX_COLUMNS, Pages, Row, empty_figure, in_rows
from contrastive_context.figures.panels import draw_points, label_scores, remark, say
from contrastive_context.figures.style import LineStyle, line_styles, points, styled
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.cells import NOT_RUN
from contrastive_context.tables.selection import models_of, ordered, systems
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import (
    SERIES,
    ablation_title,
    bucket_labels,
    composition_description,
    composition_title,
)
from contrastive_context.tables.wording import intervals, missing_cells, training_runs

_NO_CONTEXT_X = -1.15


class _Panel(NamedTuple):
    """What a panel shows."""

    task: str
    test_set: str
    metric: str
    series: str
    composition: str
    model: str
    systems: tuple[str, ...]


@styled
def draw(cells: pd.DataFrame, settings: PresentationSettings) -> list[Figure]:
    """Draw the similarity grid at each strategy's last step.

    In each panel: the buckets with points, intervals and lines; to their left, unjoined, the same targets' score
    without any example, which says how easy they are. What is missing is said in words.

    Args:
        cells: from :func:`~contrastive_context.tables.cells.grid_cells`.
        settings: titles, orders, edges.

    Returns:
        One figure per page.
    """
    measured = cells.loc[cells["missing"] == ""]
    if not len(measured):
        return [empty_figure("No scores were computed in this run.")]
    styles = line_styles(systems(cells, settings), settings)
    layout = _layout(cells, settings)
    runs = training_runs(measured)
    # Beside the headline each bucket has targets of its own, and a zero-shot score of its own.
    dashes = ", or a dash in a bucket" if (measured["series"] != SAME_TARGETS).any() else ""
    note = (
        f"last training step{', ' + runs if runs else ''}; bars: {intervals(measured, settings.confidence)}\n"
        f"zero-shot{dashes}: the same targets without any example (how easy they are)"
    )
    pages = Pages([row for row, _ in layout], styles, note)
    for axes, (_, panels) in zip(pages.axes, layout, strict=True):
        first = panels[0]
        of_set = cells.loc[
            (cells["task"] == first.task) & (cells["test_set"] == first.test_set) & (cells["metric"] == first.metric)
        ]
        of_series = of_set.loc[of_set["series"] == first.series]
        for ax, panel in zip(axes, panels, strict=True):
            here = of_series.loc[
                of_series["composition"].isin([panel.composition, "zero_context"])
                & of_series["model"].isin([panel.model, "none"])
                & of_series["strategy"].isin(panel.systems)
            ]
            _draw_panel(ax, here, panel, styles, settings)
            ax.set_xlabel("max. similarity to context", fontsize=points(6.5), labelpad=2)
        # One range for all rows of a test set, so that compositions and series compare.
        label_scores(axes, first.metric, of_set)
    return pages.figures


def _layout(cells: pd.DataFrame, settings: PresentationSettings) -> list[tuple[Row, list[_Panel]]]:
    """Lay out the panels: a row per task, test set, metric and composition; ablations in rows of their own.

    Compositions stand side by side where they fit. Where they don't, all rows of the first composition come before
    those of the second, so that each is a figure of its own.
    """
    rows: list[tuple[int, Row, list[_Panel]]] = []
    many = cells.groupby("task")["metric"].nunique().max() > 1
    main = tuple(sorted(set(cells["strategy"]) - set(settings.ablations())))
    for task in ordered(cells["task"], settings.order("tasks")):
        of_task = cells.loc[cells["task"] == task]
        models = models_of(cells, task, settings)
        for test_set in ordered(of_task["test_set"], settings.order("test_sets")):
            of_set = of_task.loc[of_task["test_set"] == test_set]
            for series in [name for name in (SAME_TARGETS, *SERIES) if name in set(of_set["series"])]:
                of_series = of_set.loc[of_set["series"] == series]
                compositions = ordered(set(of_series["composition"]) - {"zero_context"}, settings.compositions)
                for metric in ordered(of_series["metric"], [settings.headline.get(task, "")]):
                    header = f"{settings.title('tasks', task)} · {settings.title('test_sets', test_set)}"
                    header += f" · {get_metric(metric).title}" if many else ""
                    header += f" · {SERIES[series]}" if series in SERIES else ""
                    where = (task, test_set, metric, series)
                    rows += _main_rows(header, where, compositions, models, main, settings)
                    here = of_series.loc[of_series["metric"] == metric]
                    for model in models:
                        names = set(here.loc[here["model"] == model, "strategy"])
                        rows += _ablation_rows(header, where, compositions, model, names, settings)
    return [(row, panels) for _, row, panels in sorted(rows, key=lambda entry: entry[0])]


def _main_rows(
    header: str,
    where: tuple[str, str, str, str],
    compositions: list[str],
    models: list[str],
    main: tuple[str, ...],
    settings: PresentationSettings,
) -> list[tuple[int, Row, list[_Panel]]]:
    """Return the rows of one task, test set, metric and series, each after its composition's number."""
    if len(compositions) > 1 and len(compositions) * len(models) <= MAX_COLUMNS:
        panels = [_Panel(*where, name, model, main) for model in models for name in compositions]
        titles = [f"{settings.title('models', p.model)}: {composition_title(p.composition)}" for p in panels]
        return [(0, Row(header, titles), panels)]
    return [
        (
            number,
            Row(
                f"{header} · {composition_description(composition)}",
                [settings.title("models", model) for model in names],
            ),
            [_Panel(*where, composition, model, main) for model in names],
        )
        for number, composition in enumerate(compositions)
        for names in in_rows(models)
    ]


def _ablation_rows(
    header: str,
    where: tuple[str, str, str, str],
    compositions: list[str],
    model: str,
    names: set[str],
    settings: PresentationSettings,
) -> list[tuple[int, Row, list[_Panel]]]:
    """Return rows of one model's ablations, a panel per factor with the strategy that it is varied of."""
    factors: dict[tuple[str, str], list[str]] = {}
    for name, ablation in settings.ablations().items():
        if name in names and ablation.factor != PLANE:
            factors.setdefault((ablation.of, ablation.factor), [ablation.of]).append(name)
    return [
        (
            number,
            Row(
                f"{header} · {settings.title('models', model)} · {composition_description(composition)}",
                [ablation_title(settings.title("strategies", of), factor) for of, factor in varied],
            ),
            [_Panel(*where, composition, model, tuple(factors[of, factor])) for of, factor in varied],
        )
        for number, composition in enumerate(compositions)
        for varied in in_rows(list(factors))
    ]


def _draw_panel(
    ax: Axes, cells: pd.DataFrame, panel: _Panel, styles: Mapping[str, LineStyle], settings: PresentationSettings
) -> None:
    buckets = settings.bucket_names()
    measured = cells.loc[cells["missing"] == ""]
    if not (measured["model"] == panel.model).any():
        say(ax, NOT_RUN)
        return
    ax.set_xlim(_NO_CONTEXT_X - 0.42, len(buckets) - 0.5)
    ax.set_xticks([_NO_CONTEXT_X, *range(len(buckets))], ["zero-\nshot", *bucket_labels(settings.buckets)])
    ax.axvline(_NO_CONTEXT_X / 2, color="#bbbbbb", linewidth=0.5)
    graded = cells.loc[cells["composition"] == panel.composition]
    present = [name for name in styles if name in set(measured["strategy"])]
    for index, name in enumerate(present):
        offset = min(0.09, 0.6 / len(present)) * (index - (len(present) - 1) / 2)
        rows = graded.loc[graded["strategy"] == name].set_index("bucket").reindex(buckets)
        draw_points(ax, [x + offset for x in range(len(buckets))], rows, styles[name])
        bare = cells.loc[(cells["strategy"] == name) & (cells["composition"] == "zero_context")]
        if panel.series == SAME_TARGETS:
            draw_points(ax, [_NO_CONTEXT_X + offset] * len(bare), bare, styles[name], join=False)
        else:
            xs = [buckets.index(bucket) + offset for bucket in bare["bucket"]]
            bare = bare.assign(ci_low=float("nan"), ci_high=float("nan"))
            draw_points(ax, xs, bare, styles[name]._replace(marker="_"), join=False)
    counts = graded["n"].dropna().astype(int).tolist()
    labels = {name: style.label for name, style in styles.items()}
    # On the left: high similarity is where the points are high.
    remark(ax, counts, missing_cells(graded, labels, buckets), x=0.26, side="left")
