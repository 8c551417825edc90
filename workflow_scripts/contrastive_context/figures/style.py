"""One style for all figures: colours, markers, sizes, and the few drawing helpers they share.

Sizes are inches of a two-column paper (text width about 7). Panels are placed by hand, so that a panel has the same
size in every figure and columns stay aligned whatever the tick labels are.
"""

import logging
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import field_validator

from contrastive_context.config.base import Model
from contrastive_context.config.figures import FigureStyle
from contrastive_context.config.strategies import Ablation
from contrastive_context.core import artifacts
from contrastive_context.figures.fonts import families

RC = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # TrueType, embedded: text in the PDF stays text
    "svg.hashsalt": "contrastive-context",
    "text.parse_math": False,  # a $ in a title is a $; formulas of ours ask for it
}
_FONT_SIZES = [name for name, value in RC.items() if name.endswith("size") and name.split(".")[1] != "major"]
MUTED = "#555555"

PANEL_HEIGHT = 1.25
DENSE_PANEL_HEIGHT = 0.72  # where there are many rows: eight of them fit on a page
MAX_ROWS = 4  # more than that are dense
MAX_COLUMNS = 4
PAGE_HEIGHT = 9.0
_LEFT, _RIGHT = 0.62, 0.1
_ROW_HEADER, _PANEL_TITLE, _ROW_FOOTER, _LEGEND_LINE, _NOTE_LINE = 0.17, 0.17, 0.46, 0.17, 0.13
_DENSE_FOOTER = 0.07
_TITLE_LETTER = 0.055
LONGEST_LABEL = 48  # characters; fills the legend of the narrowest page
#: Marks the texts at the top of a panel that no point may lie under.
REMARK = "remark"
_REMARK_LINE = 0.09


def rc(style: FigureStyle) -> dict[str, Any]:
    """Return matplotlib's parameters for a style; ``font_size`` 8 is what the sizes above are made for."""
    return RC | {name: RC[name] * style.font_size / 8 for name in _FONT_SIZES} | {"font.family": families()}


def points(size: float) -> float:
    """Scale a font size, or a length made for text, to the font size in force."""
    import matplotlib

    return size * matplotlib.rcParams["font.size"] / RC["font.size"]


class Named(Model):
    """An entry of the study as figures show it; ``kind`` fixes a strategy's colour, ``ablation`` where it is drawn."""

    name: str
    title: str | None = None
    kind: str | None = None
    ablation: Ablation | None = None


class Gap(Model):
    """What a system, ``base`` or ``<strategy>-seed<seed>``, has no results of, "answers" or "probes", and why."""

    task: str
    model: str
    system: str
    what: str
    reason: str

    @property
    def strategy(self) -> str:
        """The system without its seed."""
        return self.system.partition("-seed")[0]


class FigureSettings(Model):
    """Names, order and edges used in figures.

    ``tasks``, ``models`` and ``strategies`` are in drawing order (a mapping name → title will do where order does not
    matter); what is in no list comes last. ``headline`` maps a task to the metric drawn (absent: the first in the
    table). ``expected`` maps a task to its models and these to their strategies in the grid: what of it has no results
    is said to be missing; ``unfinished`` tells why. ``defaults`` maps a strategy that others are ablations of to its
    own value of each factor. ``buckets`` maps a bucket to its lower edge.
    """

    style: FigureStyle = FigureStyle()
    tasks: list[Named] = []
    models: list[Named] = []
    strategies: list[Named] = []
    test_sets: list[Named] = []
    expected: dict[str, dict[str, list[str]]] = {}
    unfinished: list[Gap] = []
    defaults: dict[str, dict[str, str | float | bool]] = {}
    compositions: list[str] = ["one_graded", "top_k"]
    headline: dict[str, str] = {}
    buckets: dict[str, float] = {"low": 0.0, "medium": 0.33, "high": 0.67}
    confidence: float = 0.95

    @field_validator("tasks", "models", "strategies", "test_sets", mode="before")
    @classmethod
    def _from_mapping(cls, value: Any) -> Any:
        return [{"name": name, "title": title} for name, title in value.items()] if isinstance(value, dict) else value

    def order(self, registry: str) -> list[str]:
        """Return the names of a registry ("tasks", "models", …) in drawing order."""
        return [entry.name for entry in getattr(self, registry)]

    def title(self, registry: str, name: str) -> str:
        """Return the title of an entry, its name with spaces if it has none."""
        titles = {entry.name: entry.title for entry in getattr(self, registry)}
        return titles.get(name) or name.replace("_", " ")

    def reason(self, what: str, task: str, model: str, strategy: str) -> str | None:
        """Return why a strategy (or the base) has no answers or no probe values, None where nothing is known."""
        place = (what, task, model, strategy)
        reasons = (gap.reason for gap in self.unfinished if (gap.what, gap.task, gap.model, gap.strategy) == place)
        return next(reasons, None)

    def ablations(self) -> dict[str, Ablation]:
        """Return the strategies that are ablations of another one; they have a figure of their own."""
        return {entry.name: entry.ablation for entry in self.strategies if entry.ablation}

    def bucket_names(self) -> list[str]:
        """Return the buckets in ascending order of their edges; JSON with sorted keys doesn't keep it."""
        return sorted(self.buckets, key=self.buckets.__getitem__)


@dataclass(frozen=True)
class Mark:
    """How one system is drawn."""

    label: str
    color: str
    marker: str
    line: Any  # a matplotlib line style


# Okabe & Ito (2008). Colour, marker and line differ together, so that no system is told by its colour alone.
_KINDS = {
    "base": Mark("Base", "#000000", "o", (0, (4, 2))),
    "zero": Mark("Zero", "#E69F00", "^", "-"),
    "random": Mark("Random", "#56B4E9", "s", (0, (6, 1.5))),
    "similar": Mark("Similar", "#D55E00", "v", (0, (3, 1, 1, 1))),
    "contrastive": Mark("Contrastive", "#0072B2", "D", "-"),
    "mixed": Mark("Mixed", "#009E73", "P", (0, (2, 1))),
    "nearest_label": Mark("Nearest label", "#777777", "x", (0, (1, 1.5))),
}
_SPARE = [
    ("#CC79A7", "p"), ("#009E73", "h"), ("#0072B2", "<"), ("#D55E00", ">"), ("#E69F00", "8"), ("#56B4E9", "*"),
]  # fmt: skip


def marks(strategies: Sequence[str], settings: FigureSettings) -> dict[str, Mark]:
    """Return how each strategy is drawn: its kind's mark if it is the first of its kind, else a spare one.

    A long title is clipped.
    """
    kinds = {entry.name: entry.kind for entry in settings.strategies}
    titles = {entry.name: entry.title for entry in settings.strategies if entry.title != entry.name}
    result: dict[str, Mark] = {}
    used: set[str] = set()
    spare = 0
    for name in strategies:
        kind = kinds.get(name) or name
        if kind in _KINDS and kind not in used:
            used.add(kind)
            mark = _KINDS[kind]
            label = titles.get(name) or (mark.label if name == kind else name)
        else:
            color, marker = _SPARE[spare % len(_SPARE)]
            spare += 1
            mark, label = Mark(name, color, marker, (0, (1, 1))), titles.get(name) or name
        result[name] = Mark(clipped(label, LONGEST_LABEL), mark.color, mark.marker, mark.line)
    return result


def ordered(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return what is present: first in the wanted order, then the rest alphabetically."""
    present = set(present)
    return [name for name in wanted if name in present] + sorted(present - set(wanted))


def models_of(frame: "Any", task: str, settings: FigureSettings) -> list[str]:
    """Return a task's models in order: those with results and those that should have some."""
    present = [name for name in frame.loc[frame["task"] == task, "model"].unique() if name != "none"]
    return ordered([*present, *settings.expected.get(task, {})], settings.order("models")) or ["none"]


def systems(frame: "Any", settings: FigureSettings) -> list[str]:
    """Return the systems of a table in drawing order: base, the strategies, nearest label."""
    names = ordered(list(frame["strategy"].unique()), settings.order("strategies") or [*_KINDS])
    middle = [name for name in names if name not in ("base", "nearest_label")]
    return [name for name in ("base",) if name in names] + middle + [n for n in ("nearest_label",) if n in names]


def headline_seed(frame: "Any") -> "Any":
    """Keep, per strategy and step, the row over all training seeds where there is one, else the single run's row."""
    keys = ("task", "test_set", "model", "strategy", "series", "composition", "bucket", "probe", "metric", "step")
    group = [name for name in keys if name in frame.columns]
    return frame.loc[frame["seeds"] == frame.groupby(group)["seeds"].transform("max")]


def seeds_in_words(frame: "Any") -> str:
    """Say how many training runs the trained systems' points rest on."""
    counts = sorted(set(frame.loc[frame["seeds"] > 0, "seeds"].astype(int)))
    if not counts:
        return ""
    if counts == [1]:
        return "one training run each"
    return f"mean of {' or '.join(map(str, counts))} training runs"


def bars_in_words(frame: "Any", confidence: float) -> str:
    """Say what the bars are."""
    return f"{confidence:.0%} cluster bootstrap" + (", t over training runs" if (frame["seeds"] > 1).any() else "")


def factor_title(factor: str) -> str:
    """Return how an ablation's factor is called over a panel."""
    titles = {"epsilon": "ε", "without": "level removed", "token_matched": "tokens matched"}
    return titles.get(factor, factor.replace("_", " "))


def counts_in_words(counts: Sequence[int]) -> str:
    """Write a panel's sample sizes: "n = 300", or "n = 280–300" where they differ."""
    low, high = min(counts), max(counts)
    return f"n = {low}" if low == high else f"n = {low}–{high}"


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
        self, rows: Sequence[Row], legend: Mapping[str, Mark], note: str = "", gap: float = 0.16, dense: bool = False
    ) -> None:
        """Lay out ``rows``; ``note`` is one or more lines under the legend, ``gap`` (inches) lies between panels.

        Dense rows are lower; titles that repeat the row's above and tick labels that repeat in the row below are left
        out.
        """
        from matplotlib.figure import Figure

        columns = max(len(row.titles) for row in rows)
        width = _width(columns)
        self.panel_width = (width - points(_LEFT) - _RIGHT - gap * (columns - 1)) / columns
        lines = _legend_lines(list(legend.values()), width)
        legend_height = len(lines) * points(_LEGEND_LINE)
        note_height = points(_NOTE_LINE) * (note.count("\n") + 1) if note else 0
        top = 0.05 + legend_height + note_height + 0.08
        spaces = [_space(rows, place, dense) for place in range(len(rows))]
        height = top + sum(map(sum, spaces))
        self.figure = Figure(figsize=(width, height))
        self.axes: list[list[Any]] = []
        y = height - top
        for place, (row, (header, panel, footer)) in enumerate(zip(rows, spaces, strict=True)):
            words = "\n".join(_header_lines(row, width))
            self.figure.text(0.08 / width, (y - 0.02) / height, words, ha="left", va="top", weight="bold")
            y -= header + panel
            titled = _has_titles(rows, place, dense)
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
        for place, entries in enumerate(lines):
            self.figure.add_artist(self._legend(entries, height, 0.04 + place * points(_LEGEND_LINE)))
        if note:
            y = 1 - (0.07 + legend_height) / height
            self.figure.text(0.5, y, note, ha="center", va="top", fontsize=points(6.2), color=MUTED, linespacing=1.25)

    def _legend(self, entries: Sequence[Mark], height: float, down: float) -> "Any":
        # One legend per line: a single one fills column by column, which breaks the order that readers expect.
        from matplotlib.legend import Legend

        return Legend(
            self.figure,
            [handle(mark) for mark in entries],
            [mark.label for mark in entries],
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


def _legend_lines(entries: Sequence[Mark], width: float) -> list[list[Mark]]:
    """Divide a legend's entries into lines that fit into ``width`` inches."""
    lines: list[list[Mark]] = [[]]
    used = 0.0
    for entry in entries:
        needed = points(0.48 + 0.063 * len(entry.label))
        if lines[-1] and used + needed > width:
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

    def __init__(self, rows: Sequence[Row], legend: Mapping[str, Mark], note: str = "", gap: float = 0.16) -> None:
        """Lay out ``rows`` (see :class:`Grid`) on pages of at most ``PAGE_HEIGHT``."""
        dense = len(rows) > MAX_ROWS
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


def _width(columns: int) -> float:
    """Return the width of a page in inches: one column of a paper, or up to two."""
    return {1: 3.6, 2: 5.2}.get(columns, 7.1)


def _header_lines(row: Row, width: float) -> list[str]:
    """Break a row's header, clipped to three lines, at the width of its page, in inches."""
    line = int(width / points(0.067))
    return textwrap.wrap(clipped(row.header, 3 * line), line)


def _has_titles(rows: Sequence[Row], place: int, dense: bool) -> bool:
    return not dense or place == 0 or rows[place].titles != rows[place - 1].titles


def _space(rows: Sequence[Row], place: int, dense: bool) -> tuple[float, float, float]:
    """Return the heights, in inches, of a row's header with titles, of its panels, and of what is below them."""
    row = rows[place]
    lines = len(_header_lines(row, _width(max(len(each.titles) for each in rows))))
    header = points(_ROW_HEADER) * lines + (points(_PANEL_TITLE) if _has_titles(rows, place, dense) else 0)
    if not dense:
        return header, PANEL_HEIGHT, points(_ROW_FOOTER)
    last = place == len(rows) - 1 or (row.titles, row.axis) != (rows[place + 1].titles, rows[place + 1].axis)
    return header, DENSE_PANEL_HEIGHT, points(_ROW_FOOTER) if last else _DENSE_FOOTER


def limits(axes: Sequence["Any"], low: float, high: float, maximum: float = math.inf) -> None:
    """Give some panels one y range: some air, and on top the room that remarks take; no tick above ``maximum``."""
    pad = 0.08 * (high - low) or 0.05 * (abs(high) or 1.0)
    low, high = low - pad, high + 0.5 * pad
    for ax in axes:
        panel = ax.get_position().height * ax.figure.get_figheight()
        lines = max((_remark_lines(each) for each in axes), default=0)
        taken = min(0.5, lines * points(_REMARK_LINE) / panel)
        ax.set_ylim(low, low + (high - low) / (1 - taken))
        bottom, top = ax.get_ylim()
        # A tick at 1 may be a hair above it.
        ax.set_yticks([tick for tick in ax.get_yticks() if bottom <= tick <= min(top, maximum + 1e-9)])


def _remark_lines(ax: "Any") -> int:
    remarks = (text.get_text() for text in ax.texts if text.get_gid() == REMARK)
    return max((text.count("\n") + 1 for text in remarks if text), default=0)


def value_label(ax: "Any", title: str, scale: str) -> None:
    """Name the y axis; in a low panel the scale goes on a line of its own."""
    dense = ax.get_position().height * ax.figure.get_figheight() < PANEL_HEIGHT - 0.01
    ax.set_ylabel(f"{title}\n({scale})" if dense else f"{title} ({scale})", fontsize=points(6.2 if dense else 7.5))


def say(ax: "Any", text: str) -> None:
    """Say in an empty panel why it is empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, wrap=True)
    ax.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    ax.grid(False)


def remark(ax: "Any", counts: Sequence[int], missing: Sequence[str], x: float = 0.99, side: str = "right") -> None:
    """Write the sample size and what is missing at the top of a panel, ending (or starting) at ``x`` of its width."""
    words = [counts_in_words(counts)] if len(counts) else []
    room = ax.get_position().width * ax.figure.get_figwidth() * (1 - x if side == "left" else x)
    for line in missing:
        words += textwrap.wrap(line, max(12, int(room / points(0.047))))
    ax.text(x, 0.99, "\n".join(words), transform=ax.transAxes, ha=side, va="top", fontsize=points(5.8), color=MUTED,
            linespacing=1.1, gid=REMARK)  # fmt: skip


def clipped(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters: of a longer one start and end, as panels may differ in either."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def shortened(names: Sequence[str], most: int = 3) -> str:
    """Join names; of many, the first ones and how many more there are (the CSV beside the figure has them all)."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return ", ".join(shown)


def handle(mark: Mark) -> "Any":
    """Return a legend entry."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=mark.label, **line_options(mark))


def line_options(mark: Mark) -> dict[str, Any]:
    """Return the keywords that draw a system's points and the line between them."""
    hollow = mark.marker == "o"
    return {
        "color": mark.color,
        "marker": mark.marker,
        "linestyle": mark.line,
        "linewidth": 1.1,
        "markersize": 3.8 if mark.marker != "x" else 4.2,
        "markerfacecolor": "white" if hollow else mark.color,
        "markeredgecolor": mark.color,
        "markeredgewidth": 0.9,
    }


def draw_points(ax: "Any", xs: Sequence[float], rows: "Any", mark: Mark, *, join: bool = True) -> None:
    """Draw values with their intervals. NaN values are gaps, NaN intervals have no bar.

    Args:
        ax: where.
        xs: x of each row.
        rows: frame with value, ci_low, ci_high.
        mark: how.
        join: whether a line connects the points.
    """
    import numpy as np

    xs = np.asarray(xs, dtype=float)
    value = rows["value"].to_numpy(dtype=float)
    low, high = rows["ci_low"].to_numpy(dtype=float), rows["ci_high"].to_numpy(dtype=float)
    bars = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    ax.vlines(xs[bars], low[bars], high[bars], color=mark.color, linewidth=0.8, alpha=0.9)
    options = line_options(mark)
    if not join:
        options["linestyle"] = "none"
    ax.plot(xs, np.where(np.isfinite(value), value, np.nan), clip_on=False, **options)


def extent(frame: "Any") -> tuple[float, float] | None:
    """Return the range of values and intervals, None where nothing is finite."""
    import numpy as np

    numbers = frame[["value", "ci_low", "ci_high"]].to_numpy(dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    return (float(numbers.min()), float(numbers.max())) if len(numbers) else None


def empty_figure(text: str) -> "Any":
    """Return a small figure that only says in words why there is nothing to draw."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6, 0.8))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, wrap=True)
    return figure


def save(figures: "Sequence[Any]", stem: str | Path, style: FigureStyle, drawn: "Any" = None) -> list[Path]:
    """Write ``<stem>.png``, the pages below one another, ``<stem>.pdf``, a page per figure, and ``<stem>.csv``.

    No dates are written, so that equal data gives equal files.

    Args:
        figures: the pages.
        stem: path without suffix.
        style: resolution and font size.
        drawn: frame of the numbers drawn, for the CSV; None: no CSV.

    Returns:
        The paths written.
    """
    import matplotlib
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.image import imsave

    # Font subsetting is logged glyph by glyph.
    for name in ("fontTools", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    png, pdf = Path(f"{stem}.png"), Path(f"{stem}.pdf")
    with matplotlib.rc_context(rc(style)):
        with (
            artifacts.atomic_path(pdf) as temporary,
            PdfPages(temporary, metadata={"CreationDate": None}) as document,
        ):
            for figure in figures:
                document.savefig(figure)
        images = []
        for figure in figures:
            figure.set_dpi(style.dpi)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            images.append(np.asarray(canvas.buffer_rgba()))
        width = max(image.shape[1] for image in images)
        padded = [np.pad(i, ((0, 0), (0, width - i.shape[1]), (0, 0)), constant_values=255) for i in images]
        with artifacts.atomic_path(png) as temporary:
            imsave(temporary, np.concatenate(padded), dpi=style.dpi)
    if drawn is None:
        return [png, pdf]
    csv = Path(f"{stem}.csv")
    artifacts.write_csv(csv, drawn)
    return [png, pdf, csv]
