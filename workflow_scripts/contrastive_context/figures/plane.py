"""The plane of p and epsilon (our choice): heat maps of each bucket's accuracy and of the probes after training."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from contrastive_context.core.frames import FrameRow
from contrastive_context.figures.page import Pages, Row, empty_figure
from contrastive_context.figures.panels import say
from contrastive_context.figures.style import MUTED, points, styled
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.cells import NOT_RUN
from contrastive_context.tables.selection import ordered
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import PROBES, composition_description
from contrastive_context.tables.wording import intervals, sample_sizes, training_runs

_DRAWN_PROBES = ("iwl", "icl", "copy")
_COLORS = "Blues"
#: Share of a panel's range above which its colour is so dark that numbers on it are white.
_DARK = 0.6
_LEAST_RANGE = 0.1


class _Map(NamedTuple):
    """One row of panels: where its values are from, and its quantities."""

    of: str
    task: str
    test_set: str
    model: str
    composition: str
    quantities: list[str]


@styled
def draw(cells: pd.DataFrame, settings: PresentationSettings) -> list[Figure]:
    """Draw the planes: a row per task, test set, model and composition with a panel per bucket, and one of the probes.

    Each panel has colours of its own range; the number in a cell is its value.

    Args:
        cells: from :func:`~contrastive_context.tables.cells.plane_cells`.
        settings: titles, orders, edges, the strategy whose plane it is.

    Returns:
        One figure per page.
    """
    measured = cells.loc[cells["missing"] == ""]
    if not len(measured):
        return [empty_figure("No plane in this run: no strategy of its grid varies both p and epsilon.")]
    layout = _layout(measured, settings)
    rows = [Row(_header(each, cells, settings), [_title(name) for name in each.quantities]) for each in layout]
    runs = training_runs(measured)
    note = (
        f"last training step{', ' + runs if runs else ''}; ±: half of the interval, "
        f"{intervals(measured, settings.confidence)}; "
        f"{sample_sizes(measured['n'].astype(int).tolist())}\n"
        "colours span each panel's own range, .1 at least; framed: the strategy itself; grey: not run"
    )
    pages = Pages(rows, {}, note)
    for axes, each in zip(pages.axes, layout, strict=True):
        here = _rows(measured, each)
        for ax, quantity in zip(axes, each.quantities, strict=True):
            _draw_panel(ax, here.loc[here["quantity"] == quantity], settings.planes[each.of], each.of)
        axes[0].set_ylabel("ε of a paraphrase", fontsize=points(6.5))
        for ax in axes[1:]:
            ax.tick_params(labelleft=False)
    return pages.figures


def _layout(measured: pd.DataFrame, settings: PresentationSettings) -> list[_Map]:
    layout = []
    for of in ordered(measured["of"], settings.order("strategies")):
        for task in ordered(measured["task"], settings.order("tasks")):
            for model in ordered(measured["model"], settings.order("models")):
                here = measured.loc[(measured["of"] == of) & (measured["task"] == task) & (measured["model"] == model)]
                scored = here.loc[here["composition"] != "none"]
                for test_set in ordered(scored["test_set"], settings.order("test_sets")):
                    for composition in ordered(scored["composition"], settings.compositions):
                        layout.append(_Map(of, task, test_set, model, composition, settings.bucket_names()))
                if probes := [name for name in _DRAWN_PROBES if name in set(here["quantity"])]:
                    layout.append(_Map(of, task, "", model, "none", probes))
    return layout


def _rows(cells: pd.DataFrame, each: _Map) -> pd.DataFrame:
    wanted = (cells["of"] == each.of) & (cells["task"] == each.task) & (cells["model"] == each.model)
    wanted &= cells["composition"] == each.composition
    return cells.loc[wanted & ((cells["test_set"] == each.test_set) | (each.composition == "none"))]


def _header(each: _Map, cells: pd.DataFrame, settings: PresentationSettings) -> str:
    parts = [settings.title("tasks", each.task), settings.title("models", each.model)]
    if each.composition == "none":
        return " · ".join([*parts, "probes by generation"])
    metric = get_metric(_rows(cells, each)["metric"].iloc[0]).title
    parts.insert(1, settings.title("test_sets", each.test_set))
    return " · ".join([*parts, composition_description(each.composition), metric])


def _title(quantity: str) -> str:
    return PROBES[quantity].score if quantity in PROBES else f"{quantity} similarity"


def _draw_panel(ax: Axes, rows: pd.DataFrame, plane: dict[str, tuple[float, float]], of: str) -> None:
    if not len(rows):
        say(ax, NOT_RUN)
        return
    ps, epsilons = (sorted({point[axis] for point in plane.values()}) for axis in (0, 1))
    values = np.full((len(epsilons), len(ps)), np.nan)
    points_of = list(cast("Iterable[FrameRow]", rows.itertuples(index=False)))
    for row in points_of:
        values[epsilons.index(row.epsilon), ps.index(row.p)] = row.value
    low, high = np.nanmin(values), np.nanmax(values)
    high = max(high, low + _LEAST_RANGE)  # noise would look like a finding
    colors = matplotlib.colormaps[_COLORS].with_extremes(bad="#dddddd")
    # The lightest colours are for values, too: white is the page's.
    ax.imshow(values, cmap=colors, aspect="auto", origin="lower", vmin=low - 0.15 * (high - low), vmax=high)
    for row in points_of:
        place = ps.index(row.p), epsilons.index(row.epsilon)
        share = (row.value - low) / (high - low)
        half = (row.ci_high - row.ci_low) / 2
        text = f"{round(row.value, 2) + 0.0:.2f}".replace("-", "−") + (f"\n±{half:.2f}" if np.isfinite(half) else "")
        color = "white" if share > _DARK else "black"
        ax.text(*place, text, ha="center", va="center", fontsize=points(5.8), color=color, linespacing=1.05)
    x, y = (edge.index(value) for edge, value in zip((ps, epsilons), plane[of], strict=True))
    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=1.2, clip_on=False))
    _ticks(ax, ps, epsilons)


def _ticks(ax: Axes, ps: Sequence[float], epsilons: Sequence[float]) -> None:
    ax.set_xticks(range(len(ps)), [f"{value:g}" for value in ps])
    ax.set_yticks(range(len(epsilons)), [f"{value:g}" for value in epsilons])
    ax.set_xlabel("p of the nearest neighbour", fontsize=points(6.5), labelpad=2)
    ax.grid(False)
    ax.tick_params(length=0, labelcolor=MUTED)
    for side in ax.spines.values():
        side.set_visible(False)
