"""Accuracy against context similarity (the paper's Figure 3): rows task × test set × composition, columns models."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from contrastive_context.contexts.series import ALL_TARGETS, SAME_TARGETS, STAND_INS
from contrastive_context.figures import style
from contrastive_context.figures.cells import NOT_RUN, appendix_cells, missing_in_words, score_cells
from contrastive_context.figures.style import FigureSettings
from contrastive_context.scoring.metrics import get_metric

COMPOSITIONS = {
    "one_graded": "one graded example among random ones",
    "top_k": "the k nearest of a thinned pool",
}
#: In the appendix alone.
_APPENDIX = {
    ALL_TARGETS: "all targets, each in the buckets that it fills",
    STAND_INS: "paraphrases of the targets stand in",
}
_SHORT = {"one_graded": "one graded", "top_k": "k nearest"}
_NO_CONTEXT_X = -1.15


def bucket_labels(buckets: Mapping[str, float]) -> list[str]:
    """Return tick labels with ranges, e.g. "low" over "0–.33"; the last range is closed at 1."""
    names, edges = list(buckets), [*buckets.values(), 1.0]
    return [f"{name}\n{_edge(edges[i])}–{_edge(edges[i + 1])}" for i, name in enumerate(names)]


def _edge(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text[1:] if text.startswith("0.") else text


def select(scores: "Any", settings: FigureSettings, *, everything: bool = False) -> "Any":
    """Return the cells that :func:`draw` draws (see :func:`cells.score_cells`); they are written beside the figure.

    Args:
        scores: R/tables/scores.
        settings: what is expected, headline metrics.
        everything: also other metrics, ablations, and the series beside the headline's.
    """
    import pandas as pd

    cells = score_cells(scores, settings, everything=everything)
    more = [appendix_cells(scores, settings, series) for series in _APPENDIX] if everything and len(scores) else []
    return pd.concat([cells, *(part for part in more if len(part))], ignore_index=True)


def draw(cells: "Any", settings: FigureSettings) -> list["Any"]:
    """Draw the similarity grid at each strategy's last step.

    In each panel: the buckets with points, intervals and lines; to their left, unjoined, the same targets' score
    without any example, which says how easy they are. What is missing is said in words.

    Args:
        cells: from :func:`select`.
        settings: titles, orders, edges.

    Returns:
        Matplotlib figures, one per page.
    """
    import matplotlib

    with matplotlib.rc_context(style.rc(settings.style)):
        return _draw(cells, settings)


def _draw(cells: "Any", settings: FigureSettings) -> list["Any"]:
    measured = cells.loc[cells["missing"] == ""]
    if not len(measured):
        return [style.empty_figure("No scores were computed in this run.")]
    marks = style.marks(style.systems(cells, settings), settings)
    plan = _plan(cells, settings)
    runs = style.seeds_in_words(measured)
    # Beside the headline each bucket has targets of its own, and a zero-shot score of its own.
    dashes = ", or a dash in a bucket" if (measured["series"] != SAME_TARGETS).any() else ""
    note = (
        f"last training step{', ' + runs if runs else ''}; "
        f"bars: {style.bars_in_words(measured, settings.confidence)}\n"
        f"zero-shot{dashes}: the same targets without any example (how easy they are)"
    )
    pages = style.Pages([row for row, _ in plan], marks, note)
    for axes, (_, panels) in zip(pages.axes, plan, strict=True):
        place = panels[0]
        here = cells.loc[
            (cells["task"] == place.task) & (cells["test_set"] == place.test_set) & (cells["metric"] == place.metric)
        ]
        of_all = here
        here = here.loc[here["series"] == place.series]
        for ax, panel in zip(axes, panels, strict=True):
            rows = here.loc[
                here["composition"].isin([panel.composition, "zero_context"])
                & here["model"].isin([panel.model, "none"])
            ]
            _panel(ax, rows, panel, marks, settings)
            if ax is not axes[0]:
                ax.tick_params(labelleft=False)
            ax.set_xlabel("max. similarity to context", fontsize=style.points(6.5), labelpad=2)
        info = get_metric(place.metric)
        # One range for all rows of a test set, so that compositions and series compare.
        if limits := style.extent(of_all):
            style.limits(axes, *limits, info.maximum)
        style.value_label(axes[0], info.title, f"0–{info.maximum:g}")
    return pages.figures


class _Place(NamedTuple):
    task: str
    test_set: str
    metric: str
    series: str
    composition: str
    model: str
    systems: tuple[str, ...]


def _plan(cells: "Any", settings: FigureSettings) -> list[tuple[style.Row, list[_Place]]]:
    """Lay out the panels: a row per task, test set, metric and composition; ablations in rows of their own.

    Compositions stand side by side where they fit. Where they don't, all rows of the first composition come before
    those of the second, so that each is a figure of its own.
    """
    beside: list[tuple[int, style.Row, list[_Place]]] = []
    many = cells.groupby("task")["metric"].nunique().max() > 1
    main = tuple(sorted(set(cells["strategy"]) - set(settings.ablations())))
    for task in style.ordered(list(cells["task"].unique()), settings.order("tasks")):
        of_task = cells.loc[cells["task"] == task]
        models = style.models_of(cells, task, settings)
        for test_set in style.ordered(list(of_task["test_set"].unique()), settings.order("test_sets")):
            of_set = of_task.loc[of_task["test_set"] == test_set]
            for series in [name for name in (SAME_TARGETS, *_APPENDIX) if name in set(of_set["series"])]:
                of_series = of_set.loc[of_set["series"] == series]
                graded = [name for name in of_series["composition"].unique() if name != "zero_context"]
                compositions = style.ordered(graded, settings.compositions)
                for metric in style.ordered(list(of_series["metric"].unique()), [settings.headline.get(task, "")]):
                    header = f"{settings.title('tasks', task)} · {settings.title('test_sets', test_set)}"
                    header += f" · {get_metric(metric).title}" if many else ""
                    header += f" · {_APPENDIX[series]}" if series in _APPENDIX else ""
                    where = (task, test_set, metric, series)
                    beside += _rows(header, where, compositions, models, main, settings)
                    here = of_series.loc[of_series["metric"] == metric]
                    for model in models:
                        names = set(here.loc[here["model"] == model, "strategy"])
                        beside += _ablation_rows(header, where, compositions, model, names, settings)
    return [(row, places) for _, row, places in sorted(beside, key=lambda entry: entry[0])]


def _rows(
    header: str,
    where: tuple[str, str, str, str],
    compositions: list[str],
    models: list[str],
    systems: tuple[str, ...],
    settings: FigureSettings,
) -> list[tuple[int, style.Row, list[_Place]]]:
    """Return the rows of one task, test set, metric and series, each with its place in the order of compositions."""
    if len(compositions) > 1 and len(compositions) * len(models) <= style.MAX_COLUMNS:
        places = [_Place(*where, name, model, systems) for model in models for name in compositions]
        titles = [
            f"{settings.title('models', place.model)}: {_SHORT.get(place.composition, place.composition)}"
            for place in places
        ]
        return [(0, style.Row(header, titles), places)]
    rows = []
    for order, composition in enumerate(compositions):
        title = COMPOSITIONS.get(composition, composition.replace("_", " "))
        for start in range(0, len(models), style.MAX_COLUMNS):
            chunk = models[start : start + style.MAX_COLUMNS]
            places = [_Place(*where, composition, model, systems) for model in chunk]
            row = style.Row(f"{header} · {title}", [settings.title("models", model) for model in chunk])
            rows.append((order, row, places))
    return rows


def _ablation_rows(
    header: str,
    where: tuple[str, str, str, str],
    compositions: list[str],
    model: str,
    names: set[str],
    settings: FigureSettings,
) -> list[tuple[int, style.Row, list[_Place]]]:
    """Return rows of one model's ablations, a panel per factor with the strategy that it is varied of."""
    factors: dict[tuple[str, str], list[str]] = {}
    for name, ablation in settings.ablations().items():
        if name in names:
            factors.setdefault((ablation.of, ablation.factor), [ablation.of]).append(name)
    rows = []
    for order, composition in enumerate(compositions):
        title = COMPOSITIONS.get(composition, composition.replace("_", " "))
        for start in range(0, len(factors), style.MAX_COLUMNS):
            chunk = list(factors)[start : start + style.MAX_COLUMNS]
            places = [_Place(*where, composition, model, tuple(factors[factor])) for factor in chunk]
            titles = [f"{settings.title('strategies', of)}: {style.factor_title(factor)}" for of, factor in chunk]
            rows.append((order, style.Row(f"{header} · {settings.title('models', model)} · {title}", titles), places))
    return rows


def _panel(ax: "Any", panel: "Any", place: _Place, marks: Mapping[str, style.Mark], settings: FigureSettings) -> None:
    buckets = settings.bucket_names()
    positions = {name: float(index) for index, name in enumerate(buckets)}
    panel = panel.loc[panel["strategy"].isin(place.systems)]
    if not (panel.loc[panel["missing"] == "", "model"] == place.model).any():
        style.say(ax, NOT_RUN)
        return
    ax.set_xlim(_NO_CONTEXT_X - 0.42, len(buckets) - 0.5)
    ax.set_xticks(
        [_NO_CONTEXT_X, *positions.values()],
        ["zero-\nshot", *bucket_labels({name: settings.buckets[name] for name in buckets})],
    )
    ax.axvline(_NO_CONTEXT_X / 2, color="#bbbbbb", linewidth=0.5)
    graded = panel.loc[panel["composition"] == place.composition]
    present = [name for name in marks if name in set(panel.loc[panel["missing"] == "", "strategy"])]
    for index, name in enumerate(present):
        offset = min(0.09, 0.6 / len(present)) * (index - (len(present) - 1) / 2)
        rows = graded.loc[graded["strategy"] == name].set_index("bucket").reindex(buckets)
        style.draw_points(ax, [positions[b] + offset for b in buckets], rows, marks[name])
        bare = panel.loc[(panel["strategy"] == name) & (panel["composition"] == "zero_context")]
        if place.series == SAME_TARGETS:
            style.draw_points(ax, [_NO_CONTEXT_X + offset] * len(bare), bare, marks[name], join=False)
        else:
            xs = [positions[bucket] + offset for bucket in bare["bucket"]]
            bare = bare.assign(ci_low=float("nan"), ci_high=float("nan"))
            style.draw_points(ax, xs, bare, dataclasses.replace(marks[name], marker="_"), join=False)
    counts = graded["n"].dropna().astype(int).tolist()
    # On the left: high similarity is where the points are high.
    style.remark(ax, counts, missing_in_words(graded, marks, buckets), x=0.26, side="left")
