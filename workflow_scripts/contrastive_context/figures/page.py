"""The layout of a figure's pages: rows of panels with headers and titles, a legend and a note on top.

Sizes are inches of a two-column paper (text width about 7). Panels are placed by hand, so that a panel has the same
size in every figure and columns stay aligned whatever the tick labels are.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from contrastive_context.figures.style import MUTED, LineStyle, points
from contrastive_context.tables.wording import clipped

PANEL_HEIGHT = 1.25
_DENSE_PANEL_HEIGHT = 0.72  # where there are many rows: eight of them fit on a page
_MAX_ROWS = 4  # more than that are dense
MAX_COLUMNS = 4
PAGE_HEIGHT = 9.0
_LEFT, _RIGHT = 0.62, 0.1
_ROW_HEADER, _PANEL_TITLE, _ROW_FOOTER, _LEGEND_LINE, _NOTE_LINE = 0.17, 0.17, 0.46, 0.17, 0.13
_DENSE_FOOTER = 0.07
_TITLE_LETTER = 0.055
Item = TypeVar("Item")


@dataclass
class Row:
    """One row of panels: a header over it and a title over each panel (empty: none).

    Rows with the same titles and ``axis`` may share the tick labels of the lowest one.
    """

    header: str
    titles: list[str]
    axis: str = ""


class Grid:
    """One page: rows of equally large panels with headers and titles, and a legend on top.

    Attributes:
        figure: the matplotlib figure.
        axes: axes per row, as many as the row has titles.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        legend: Mapping[str, LineStyle],
        note: str = "",
        gap: float = 0.16,
        dense: bool = False,
    ) -> None:
        """Lay out ``rows``; ``note`` is one or more lines under the legend, ``gap`` (inches) lies between panels.

        Dense rows are lower; titles that repeat the row's above and tick labels that repeat in the row below are left
        out.
        """
        columns = max(len(row.titles) for row in rows)
        width = _width(columns)
        self.panel_width = (width - points(_LEFT) - _RIGHT - gap * (columns - 1)) / columns
        lines = _legend_lines(list(legend.values()), width)
        legend_height = len(lines) * points(_LEGEND_LINE)
        note_height = points(_NOTE_LINE) * (note.count("\n") + 1) if note else 0
        top = 0.05 + legend_height + note_height + 0.08
        spaces = [_space(rows, index, dense) for index in range(len(rows))]
        height = top + sum(map(sum, spaces))
        self.figure = Figure(figsize=(width, height))
        self.axes: list[list[Axes]] = []
        y = height - top
        for index, (row, (header, panel, footer)) in enumerate(zip(rows, spaces, strict=True)):
            words = "\n".join(_header_lines(row, width))
            self.figure.text(0.08 / width, (y - 0.02) / height, words, ha="left", va="top", weight="bold")
            y -= header + panel
            titled = _has_titles(rows, index, dense)
            axes = []
            for column, title in enumerate(row.titles):
                x = points(_LEFT) + column * (self.panel_width + gap)
                ax = self.figure.add_axes((x / width, y / height, self.panel_width / width, panel / height))
                # Titles that are not drawn still say, to readers of the figure object, what the panel is.
                title = clipped(title, int((self.panel_width + gap) / points(_TITLE_LETTER)))
                ax.set_title(title, pad=2.5, fontsize=points(7), visible=titled)
                # Labels at one place whatever the width of the tick labels.
                ax.yaxis.set_label_coords(-0.4 / self.panel_width, 0.5)
                ax.tick_params(labelbottom=footer == points(_ROW_FOOTER))
                ax.xaxis.label.set_visible(footer == points(_ROW_FOOTER))
                axes.append(ax)
            self.axes.append(axes)
            y -= footer
        for index, entries in enumerate(lines):
            self.figure.add_artist(self._legend(entries, height, 0.04 + index * points(_LEGEND_LINE)))
        if note:
            y = 1 - (0.07 + legend_height) / height
            self.figure.text(0.5, y, note, ha="center", va="top", fontsize=points(6.2), color=MUTED, linespacing=1.25)

    def _legend(self, entries: Sequence[LineStyle], height: float, down: float) -> Legend:
        # One legend per line: a single one fills column by column, which breaks the order that readers expect.
        return Legend(
            self.figure,
            [handle(style) for style in entries],
            [style.label for style in entries],
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - down / height),
            bbox_transform=self.figure.transFigure,
            ncol=len(entries),
            frameon=False,
            handlelength=2.3,
            handletextpad=0.5,
            columnspacing=1.1,
            borderaxespad=0,
            borderpad=0.1,
        )


def _legend_lines(entries: Sequence[LineStyle], width: float) -> list[list[LineStyle]]:
    """Divide a legend's entries into lines that fit into ``width`` inches."""
    lines: list[list[LineStyle]] = []
    used = 0.0
    for entry in entries:
        needed = points(0.48 + 0.063 * len(entry.label))
        if not lines or used + needed > width:
            lines.append([])
            used = 0.0
        lines[-1].append(entry)
        used += needed
    return lines


class Pages:
    """Grids over as many pages as the rows need.

    Attributes:
        grids: one per page.
        axes: axes per row, over all pages.
    """

    def __init__(self, rows: Sequence[Row], legend: Mapping[str, LineStyle], note: str = "", gap: float = 0.16) -> None:
        """Lay out ``rows`` (see :class:`Grid`) on pages of at most ``PAGE_HEIGHT``."""
        dense = len(rows) > _MAX_ROWS
        # Legend and note need the rest.
        pages: list[list[Row]] = [[]]
        for row in rows:
            tried = [*pages[-1], row]
            if pages[-1] and sum(sum(_space(tried, i, dense)) for i in range(len(tried))) > PAGE_HEIGHT - 0.6:
                pages.append([])
            pages[-1].append(row)
        self.grids = [Grid(page, legend, note, gap, dense) for page in pages]
        self.axes = [axes for grid in self.grids for axes in grid.axes]
        self.figures = [grid.figure for grid in self.grids]


def in_rows(panels: Sequence[Item]) -> list[Sequence[Item]]:
    """Divide panels into rows of at most ``MAX_COLUMNS``."""
    return [panels[start : start + MAX_COLUMNS] for start in range(0, len(panels), MAX_COLUMNS)]


def size_of(ax: Axes) -> tuple[float, float]:
    """Return width and height of a panel in inches."""
    share, (width, height) = ax.get_position(), cast(Figure, ax.figure).get_size_inches()
    return share.width * width, share.height * height


def _width(columns: int) -> float:
    """Return the width of a page in inches: one column of a paper, or up to two."""
    return {1: 3.6, 2: 5.2}.get(columns, 7.1)


def _header_lines(row: Row, width: float) -> list[str]:
    """Break a row's header, clipped to three lines, at the width of its page, in inches."""
    line = int(width / points(0.067))
    return textwrap.wrap(clipped(row.header, 3 * line), line)


def _has_titles(rows: Sequence[Row], index: int, dense: bool) -> bool:
    return not dense or index == 0 or rows[index].titles != rows[index - 1].titles


def _space(rows: Sequence[Row], index: int, dense: bool) -> tuple[float, float, float]:
    """Return the heights, in inches, of a row's header with titles, of its panels, and of what is below them."""
    row = rows[index]
    lines = len(_header_lines(row, _width(max(len(each.titles) for each in rows))))
    header = points(_ROW_HEADER) * lines + (points(_PANEL_TITLE) if _has_titles(rows, index, dense) else 0)
    if not dense:
        return header, PANEL_HEIGHT, points(_ROW_FOOTER)
    last = index == len(rows) - 1 or (row.titles, row.axis) != (rows[index + 1].titles, rows[index + 1].axis)
    return header, _DENSE_PANEL_HEIGHT, points(_ROW_FOOTER) if last else _DENSE_FOOTER


def handle(style: LineStyle) -> Line2D:
    """Return a legend entry."""
    return Line2D([], [], label=style.label, **style.line_options())


def empty_figure(text: str) -> Figure:
    """Return a small figure that only says in words why there is nothing to draw."""
    figure = Figure(figsize=(3.6, 0.8))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, wrap=True)
    return figure
