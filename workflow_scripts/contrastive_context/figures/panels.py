"""What is drawn into a panel: points with intervals, remarks, the y axis."""

import math
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from contrastive_context.figures.page import PANEL_HEIGHT, size_of
from contrastive_context.figures.style import MUTED, LineStyle, points
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.wording import sample_sizes

#: Marks the texts at the top of a panel that no point may lie under.
REMARK = "remark"
_REMARK_LINE = 0.09


def label_scores(axes: Sequence[Axes], metric: str, cells: pd.DataFrame) -> None:
    """Give a row of panels the range of some cells of a metric, and name it on the left."""
    info = get_metric(metric)
    if span := value_range(cells):
        share_range(axes, *span, info.maximum)
    label_values(axes[0], info.title, f"0–{info.maximum:g}")
    for ax in axes[1:]:
        ax.tick_params(labelleft=False)


def share_range(axes: Sequence[Axes], low: float, high: float, maximum: float = math.inf) -> None:
    """Give some panels one y range: some air, and on top the room that remarks take; no tick above ``maximum``."""
    pad = 0.08 * (high - low) or 0.05 * (abs(high) or 1.0)
    low, high = low - pad, high + 0.5 * pad
    lines = max(map(_remark_lines, axes), default=0)
    for ax in axes:
        taken = min(0.5, lines * points(_REMARK_LINE) / size_of(ax)[1])
        ax.set_ylim(low, low + (high - low) / (1 - taken))
        bottom, top = ax.get_ylim()
        # A tick at 1 may be a hair above it.
        ax.set_yticks([tick for tick in ax.get_yticks() if bottom <= tick <= min(top, maximum + 1e-9)])


def _remark_lines(ax: Axes) -> int:
    remarks = (text.get_text() for text in ax.texts if text.get_gid() == REMARK)
    return max((text.count("\n") + 1 for text in remarks if text), default=0)


def label_values(ax: Axes, title: str, scale: str) -> None:
    """Name the y axis; in a low panel the scale goes on a line of its own."""
    dense = size_of(ax)[1] < PANEL_HEIGHT - 0.01
    ax.set_ylabel(f"{title}\n({scale})" if dense else f"{title} ({scale})", fontsize=points(6.2 if dense else 7.5))


def say(ax: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, wrap=True)
    ax.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    ax.grid(False)


def remark(ax: Axes, counts: Sequence[int], missing: Iterable[str], x: float = 0.99, side: str = "right") -> None:
    """Write the sample size and what is missing at the top of a panel, ending (or starting) at ``x`` of its width."""
    lines = [sample_sizes(counts)] if len(counts) else []
    room = size_of(ax)[0] * (1 - x if side == "left" else x)
    for line in missing:
        lines += textwrap.wrap(line, max(12, int(room / points(0.047))))
    ax.text(x, 0.99, "\n".join(lines), transform=ax.transAxes, ha=side, va="top", fontsize=points(5.8), color=MUTED,
            linespacing=1.1, gid=REMARK)  # fmt: skip


def draw_points(ax: Axes, xs: Iterable[float], rows: pd.DataFrame, style: LineStyle, *, join: bool = True) -> None:
    """Draw values with their intervals. NaN values are gaps, NaN intervals have no bar.

    Args:
        ax: where.
        xs: x of each row.
        rows: frame with value, ci_low, ci_high.
        style: how.
        join: whether a line connects the points.
    """
    xs = np.asarray(xs, dtype=float)
    value, low, high = (rows[name].to_numpy(dtype=float) for name in ("value", "ci_low", "ci_high"))
    bars = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    ax.vlines(xs[bars], low[bars], high[bars], color=style.color, linewidth=0.8, alpha=0.9)
    options = style.line_options() | ({} if join else {"linestyle": "none"})
    ax.plot(xs, np.where(np.isfinite(value), value, np.nan), clip_on=False, **options)


def value_range(cells: pd.DataFrame) -> tuple[float, float] | None:
    """Return the range of values and intervals, None where nothing is finite."""
    numbers = cells[["value", "ci_low", "ci_high"]].to_numpy(dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    return (float(numbers.min()), float(numbers.max())) if len(numbers) else None
