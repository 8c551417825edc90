"""Summary (the paper's Figure 1): score against target–context similarity, averaged over the grid's cells.

A cell is one model on one test set of one task. Scores are averaged as they are, with equal weights, and only over
tasks with the same headline metric: each metric has a row of its own. A mean is over those cells in which every system
drawn has every bucket, so that systems and buckets compare the same cells; the cells themselves are drawn as points.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_context.figures.page import Pages, Row, empty_figure
from contrastive_context.figures.panels import REMARK, draw_points, label_scores, remark, say
from contrastive_context.figures.style import MUTED, LineStyle, line_styles, points, styled
from contrastive_context.tables.selection import ordered, systems
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import bucket_labels, composition_description

_REGIONS = {0: ("#f3e9d2", "IWL region:\nnothing relevant"), -1: ("#dfeaf4", "ICL region:\na near example")}


@styled
def draw(cells: pd.DataFrame, settings: PresentationSettings) -> list[Figure]:
    """Draw the summary: a row per metric, a panel per composition.

    Args:
        cells: from :func:`~contrastive_context.tables.cells.summary_cells`.
        settings: titles, orders, edges.

    Returns:
        One figure per page.
    """
    if not cells["value"].notna().any():
        return [empty_figure("No scores to average: no cell of the grid is complete.")]
    styles = line_styles(systems(cells, settings), settings)
    rows, contents = [], []
    for metric in cells["metric"].unique():
        here = cells.loc[cells["metric"] == metric]
        compositions = ordered(here["composition"], settings.compositions)
        tasks = ordered(here["task"].dropna(), settings.order("tasks"))
        header = ", ".join(settings.title("tasks", task) for task in tasks)
        rows.append(Row(header, [composition_description(name) for name in compositions]))
        contents.append((metric, [here.loc[here["composition"] == name] for name in compositions]))
    note = (
        "lines: unweighted mean over cells (model × test set) at the last training step; small points: the cells\n"
        "bars, where there is one cell only: "
        f"{settings.confidence:.0%} cluster bootstrap; tasks with different metrics are never averaged"
    )
    if left_out := _left_out(cells, settings):
        note += f"\nnot in every cell, so not averaged: {', '.join(left_out)}"
    pages = Pages(rows, styles, note)
    for axes, (metric, panels) in zip(pages.axes, contents, strict=True):
        for ax, panel in zip(axes, panels, strict=True):
            _draw_panel(ax, panel, styles, settings)
            ax.set_xlabel("max. similarity to context", fontsize=points(6.5), labelpad=2)
        label_scores(axes, metric, cells.loc[cells["metric"] == metric])
    return pages.figures


def _left_out(cells: pd.DataFrame, settings: PresentationSettings) -> list[str]:
    """Return the titles of main strategies that the grid has but no row averages."""
    drawn = set(cells["strategy"]) | set(settings.ablations())
    return [settings.title("strategies", name) for name in settings.order("strategies") if name not in drawn]


def _draw_panel(ax: Axes, panel: pd.DataFrame, styles: dict[str, LineStyle], settings: PresentationSettings) -> None:
    buckets = settings.bucket_names()
    means, cells = panel.loc[panel["task"].isna()], panel.loc[panel["task"].notna()]
    count, of = int(means["cells"].max()), int(means["of_cells"].max())
    if not count:
        say(ax, "; ".join(sorted(set(means["missing"]))))
        return
    ax.set_xlim(-0.5, len(buckets) - 0.5)
    ax.set_xticks(range(len(buckets)), bucket_labels(settings.buckets))
    for index, (color, text) in _REGIONS.items():
        middle = range(len(buckets))[index]
        ax.axvspan(middle - 0.5, middle + 0.5, color=color, alpha=0.6, linewidth=0, zorder=0)
        ax.text(middle, 0.985, text, transform=ax.get_xaxis_transform(), ha="center", va="top",
                fontsize=points(5.8), color=MUTED, linespacing=1.1, gid=REMARK)  # fmt: skip
    present = [name for name in styles if name in set(means["strategy"])]
    width = min(0.1, 0.7 / len(present))
    for index, name in enumerate(present):
        offset = width * (index - (len(present) - 1) / 2)
        for x, bucket in enumerate(buckets):
            here = cells.loc[(cells["strategy"] == name) & (cells["bucket"] == bucket), "value"]
            if count > 1:
                ax.plot([x + offset + width / 2] * len(here), here, ".", color=styles[name].color, markersize=2.4,
                        markeredgewidth=0, zorder=1)  # fmt: skip
        rows = means.loc[means["strategy"] == name].set_index("bucket").reindex(buckets)
        draw_points(ax, [x + offset for x in range(len(buckets))], rows, styles[name])
    words = ["1 cell" if count == 1 else f"mean of {count} cells"]
    words += [f"({of - count} incomplete)"] if of > count else []
    remark(ax, [], words, x=0.5, side="center")
