"""One style for all figures: fonts, sizes, and the colour, marker and line of each system."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from contrastive_context.config.figures import FigureStyle
from contrastive_context.figures.fonts import families
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import STRATEGIES
from contrastive_context.tables.wording import clipped

if TYPE_CHECKING:
    import pandas as pd

_RC: dict[RcKeyType, Any] = {
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
_FONT_SIZES = [name for name in _RC if name.endswith("size") and name.split(".")[1] != "major"]
MUTED = "#555555"
LONGEST_LABEL = 48  # characters; fills the legend of the narrowest page


def rc(style: FigureStyle) -> dict[RcKeyType, Any]:
    """Return all of matplotlib's parameters for a style; ``font_size`` 8 is what the sizes above are made for.

    Those that aren't ours are matplotlib's defaults, not those of a ``matplotlibrc`` in the folder or the user's home.
    """
    # Drawing asks for no backend, and looking for those that are installed takes time.
    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    return (
        defaults | _RC | {name: _RC[name] * style.font_size / 8 for name in _FONT_SIZES} | {"font.family": families()}
    )


def points(size: float) -> float:
    """Scale a font size, or a length made for text, to the font size in force."""
    return size * matplotlib.rcParams["font.size"] / _RC["font.size"]


def styled(draw: Callable[..., list[Figure]]) -> Callable[..., list[Figure]]:
    """Draw with the parameters of the style in the second argument, the settings."""

    @functools.wraps(draw)
    def drawn(cells: "pd.DataFrame", settings: PresentationSettings, *args: object, **options: object) -> list[Figure]:
        with matplotlib.rc_context(rc(settings.style)):
            return draw(cells, settings, *args, **options)

    return drawn


class LineStyle(NamedTuple):
    """How one system is drawn; ``line`` is a matplotlib line style."""

    label: str
    color: str
    marker: str
    line: Any

    def line_options(self) -> dict[str, Any]:
        """Return the keywords that draw a system's points and the line between them."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.line,
            "linewidth": 1.1,
            "markersize": 3.8 if self.marker != "x" else 4.2,
            "markerfacecolor": "white" if self.marker == "o" else self.color,
            "markeredgecolor": self.color,
            "markeredgewidth": 0.9,
        }


# Okabe & Ito (2008). Colour, marker and line differ together, so that no system is told by its colour alone.
_KINDS = {
    "base": ("#000000", "o", (0, (4, 2))),
    "zero": ("#E69F00", "^", "-"),
    "random": ("#56B4E9", "s", (0, (6, 1.5))),
    "similar": ("#D55E00", "v", (0, (3, 1, 1, 1))),
    "contrastive": ("#0072B2", "D", "-"),
    "mixed": ("#009E73", "P", (0, (2, 1))),
    "nearest_label": ("#777777", "x", (0, (1, 1.5))),
}
_SPARE = [
    ("#CC79A7", "p"), ("#009E73", "h"), ("#0072B2", "<"), ("#D55E00", ">"), ("#E69F00", "8"), ("#56B4E9", "*"),
]  # fmt: skip


def line_styles(strategies: Sequence[str], settings: PresentationSettings) -> dict[str, LineStyle]:
    """Return how each strategy is drawn: its kind's style if it is the first of its kind, else a spare one.

    A long title is clipped.
    """
    kinds = {entry.name: entry.kind for entry in settings.strategies}
    titles = {entry.name: entry.title for entry in settings.strategies if entry.title != entry.name}
    result: dict[str, LineStyle] = {}
    used: set[str] = set()
    spare = 0
    for name in strategies:
        kind = kinds.get(name) or name
        label = titles.get(name)
        if kind in _KINDS and kind not in used:
            used.add(kind)
            color, marker, line = _KINDS[kind]
            label = label or (STRATEGIES[kind] if name == kind else name)
        else:
            color, marker = _SPARE[spare % len(_SPARE)]
            spare += 1
            line = (0, (1, 1))
        result[name] = LineStyle(clipped(label or name, LONGEST_LABEL), color, marker, line)
    return result
