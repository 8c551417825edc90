"""Summary (the paper's Figure 1): score against target–context similarity, averaged over the grid's cells.

A cell is one model on one test set of one task. Scores are averaged as they are, with equal weights, and only over
tasks with the same headline metric: each metric has a row of its own. A mean is over those cells in which every system
drawn has every bucket, so that systems and buckets compare the same cells; the cells themselves are drawn as points.
"""

from typing import Any

from contrastive_context.figures import style
from contrastive_context.figures.cells import score_cells, strategies_by_model
from contrastive_context.figures.similarity_grid import COMPOSITIONS, bucket_labels
from contrastive_context.figures.style import FigureSettings
from contrastive_context.scoring.metrics import get_metric

COLUMNS = (
    "metric", "composition", "strategy", "bucket", "cells", "of_cells", "task", "test_set", "model", "value",
    "ci_low", "ci_high", "n", "missing",
)  # fmt: skip
_REGIONS = {0: ("#f3e9d2", "IWL region:\nnothing relevant"), -1: ("#dfeaf4", "ICL region:\na near example")}


def select(scores: "Any", settings: FigureSettings) -> "Any":
    """Return what :func:`draw` draws.

    Rows that name no task are means over ``cells`` of the ``of_cells`` cells that the grid has (with one cell, its
    value and interval); rows that name a task are the cells. A mean over several cells has no interval: the cells share
    targets, and the table doesn't say how they vary together. Where there is no complete cell, the mean is NA and
    ``missing`` says so.

    Args:
        scores: R/tables/scores.
        settings: what is expected, headline metrics.

    Returns:
        A frame with ``COLUMNS``.
    """
    import pandas as pd

    cells = score_cells(scores, settings)
    cells = cells.loc[cells["bucket"].isin(settings.bucket_names())]
    rows: list[dict[str, Any]] = []
    for (metric, composition), here in cells.groupby(["metric", "composition"], sort=False):
        places = _places(here, settings)
        systems = _systems_of_all(places)
        complete = {
            place: frame for place, frame in places.items() if not _gaps(frame, systems, settings.bucket_names())
        }
        for name in systems:
            for bucket in settings.bucket_names():
                found = []
                for (task, test_set, model), frame in complete.items():
                    cell = frame.loc[(frame["strategy"] == name) & (frame["bucket"] == bucket)].iloc[0]
                    found.append(cell)
                    rows.append(
                        {"task": task, "test_set": test_set, "model": model}
                        | {key: cell[key] for key in ("value", "ci_low", "ci_high", "n")}
                    )
                    rows[-1] |= {"metric": metric, "composition": composition, "strategy": name, "bucket": bucket}
                mean = {"metric": metric, "composition": composition, "strategy": name, "bucket": bucket}
                if len(found) == 1:
                    mean |= {key: found[0][key] for key in ("value", "ci_low", "ci_high", "n")}
                elif found:
                    mean["value"] = sum(cell["value"] for cell in found) / len(found)
                missing = "" if found else f"none of {len(places)} cells is complete"
                rows.append(mean | {"cells": len(found), "of_cells": len(places), "missing": missing})
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.assign(missing=frame["missing"].fillna(""))


def _places(cells: "Any", settings: FigureSettings) -> dict[tuple[str, str, str], "Any"]:
    """Return the rows of each (task, test set, model), the nearest label's among them."""
    places = {}
    for (task, test_set), here in cells.groupby(["task", "test_set"], sort=False):
        for model in strategies_by_model(here, task, settings):
            places[task, test_set, model] = here.loc[here["model"].isin([model, "none"])]
    return places


def _systems_of_all(places: dict[tuple[str, str, str], "Any"]) -> list[str]:
    """Return the systems that every cell has or should have: the others can't be averaged over the same cells."""
    shared = [set(frame["strategy"]) for frame in places.values()]
    return sorted(set.intersection(*shared)) if shared else []


def _gaps(frame: "Any", systems: list[str], buckets: list[str]) -> bool:
    measured = frame.loc[frame["missing"] == ""]
    have = set(zip(measured["strategy"], measured["bucket"], strict=True))
    return any((name, bucket) not in have for name in systems for bucket in buckets)


def draw(points: "Any", settings: FigureSettings) -> list["Any"]:
    """Draw the summary: a row per metric, a panel per composition.

    Args:
        points: from :func:`select`.
        settings: titles, orders, edges.

    Returns:
        Matplotlib figures, one per page.
    """
    import matplotlib

    with matplotlib.rc_context(style.rc(settings.style)):
        return _draw(points, settings)


def _draw(points: "Any", settings: FigureSettings) -> list["Any"]:
    if not points["value"].notna().any():
        return [style.empty_figure("No scores to average: no cell of the grid is complete.")]
    marks = style.marks(style.systems(points, settings), settings)
    metrics = list(points["metric"].unique())
    rows, plan = [], []
    for metric in metrics:
        here = points.loc[points["metric"] == metric]
        compositions = style.ordered(list(here["composition"].unique()), settings.compositions)
        tasks = style.ordered(list(here["task"].dropna().unique()), settings.order("tasks"))
        header = ", ".join(settings.title("tasks", task) for task in tasks)
        rows.append(style.Row(header, [COMPOSITIONS.get(name, name.replace("_", " ")) for name in compositions]))
        plan.append([here.loc[here["composition"] == name] for name in compositions])
    note = (
        "lines: unweighted mean over cells (model × test set) at the last training step; small points: the cells\n"
        "bars, where there is one cell only: "
        f"{settings.confidence:.0%} cluster bootstrap; tasks with different metrics are never averaged"
    )
    if left_out := _left_out(points, settings):
        note += f"\nnot in every cell, so not averaged: {', '.join(left_out)}"
    pages = style.Pages(rows, marks, note)
    for metric, axes, panels in zip(metrics, pages.axes, plan, strict=True):
        for ax, panel in zip(axes, panels, strict=True):
            _panel(ax, panel, marks, settings)
            if ax is not axes[0]:
                ax.tick_params(labelleft=False)
        info = get_metric(metric)
        if limits := style.extent(points.loc[points["metric"] == metric]):
            style.limits(axes, *limits, info.maximum)
        style.value_label(axes[0], info.title, f"0–{info.maximum:g}")
        for ax in axes:
            ax.set_xlabel("max. similarity to context", fontsize=style.points(6.5), labelpad=2)
    return pages.figures


def _left_out(points: "Any", settings: FigureSettings) -> list[str]:
    """Return the titles of main strategies that the grid has but no row averages."""
    drawn = set(points["strategy"]) | set(settings.ablations())
    return [settings.title("strategies", name) for name in settings.order("strategies") if name not in drawn]


def _panel(ax: "Any", panel: "Any", marks: dict[str, style.Mark], settings: FigureSettings) -> None:
    buckets = settings.bucket_names()
    means, cells = panel.loc[panel["task"].isna()], panel.loc[panel["task"].notna()]
    count, of = int(means["cells"].max()), int(means["of_cells"].max())
    if not count:
        style.say(ax, "; ".join(sorted(set(means["missing"]))))
        return
    ax.set_xlim(-0.5, len(buckets) - 0.5)
    ax.set_xticks(range(len(buckets)), bucket_labels({name: settings.buckets[name] for name in buckets}))
    for place, (color, text) in _REGIONS.items():
        middle = range(len(buckets))[place]
        ax.axvspan(middle - 0.5, middle + 0.5, color=color, alpha=0.6, linewidth=0, zorder=0)
        ax.text(middle, 0.985, text, transform=ax.get_xaxis_transform(), ha="center", va="top",
                fontsize=style.points(5.8), color=style.MUTED, linespacing=1.1, gid=style.REMARK)  # fmt: skip
    present = [name for name in marks if name in set(means["strategy"])]
    width = min(0.1, 0.7 / len(present))
    for index, name in enumerate(present):
        offset = width * (index - (len(present) - 1) / 2)
        for place, bucket in enumerate(buckets):
            here = cells.loc[(cells["strategy"] == name) & (cells["bucket"] == bucket), "value"]
            if count > 1:
                ax.plot([place + offset + width / 2] * len(here), here, ".", color=marks[name].color, markersize=2.4,
                        markeredgewidth=0, zorder=1)  # fmt: skip
        rows = means.loc[means["strategy"] == name].set_index("bucket").reindex(buckets)
        style.draw_points(ax, [place + offset for place in range(len(buckets))], rows, marks[name])
    words = ["1 cell" if count == 1 else f"mean of {count} cells"]
    words += [f"({of - count} incomplete)"] if of > count else []
    style.remark(ax, [], words, x=0.5, side="center")
