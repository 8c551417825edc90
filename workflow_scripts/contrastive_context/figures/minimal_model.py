"""The minimal model (the paper's Figure 2): a schematic drawn by code, and its simulated training."""

import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from contrastive_context.core.buckets import DEFAULT_BUCKETS
from contrastive_context.figures.page import handle
from contrastive_context.figures.panels import draw_points
from contrastive_context.figures.settings import MinimalModelFigureSettings
from contrastive_context.figures.style import MUTED, LineStyle, line_styles, points, styled
from contrastive_context.tables.selection import ordered
from contrastive_context.tables.settings import Named, PresentationSettings
from contrastive_context.tables.vocabulary import bucket_labels

MAIN = ("zero", "random", "similar", "contrastive")
VARIANTS = {"gate": "gate: examples, then a gate", "softmax": "softmax: one attention head"}
_PROBES = {
    "iwl": "IWL: 1 − MSE/Var,\nirrelevant context",
    "icl": "ICL: weight on one\nexample at s = .95",
    "copy": "Copy: weight on an\nirrelevant context",
}
_ERRORS = tuple(f"mse_{bucket}" for bucket in DEFAULT_BUCKETS)
_OPTIMUM = LineStyle("optimum a*(s)", "#444444", ".", (0, (1, 1)))


def select(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of R/tables/minimal_model that :func:`draw` draws.

    The four main conditions (all there are, if none is among them), means over seeds where there are several.
    """
    conditions = [name for name in table["condition"].unique() if name != "optimum"]
    main = [name for name in MAIN if name in conditions] or conditions
    table = table.loc[table["condition"].isin([*main, "optimum"])]
    drawn = table["probe"].isin([*_PROBES, "weight"])
    drawn |= table["probe"].isin(_ERRORS) & (table["step"] == table["step"].max())
    return _pooled(table.loc[drawn])


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the means over seeds, or the single seed."""
    return table.loc[table["seeds"] == table["seeds"].max()]


def caption(table: pd.DataFrame) -> str:
    """Return the text that belongs beside the figure, with this run's numbers.

    Args:
        table: R/tables/minimal_model with all conditions.
    """
    text = (
        "The model is ours: the paper's equations are not available to us. These are findings about the path that "
        "gradient descent takes, not about optima of the population loss. Zero's loss of in-context learning does not "
        "appear in this model: without a context θ gets no gradient, so it stays where the base had it."
    )
    last = _pooled(table.loc[(table["step"] == table["step"].max()) & (table["probe"] != "weight")])
    values = last.set_index(["variant", "condition", "probe"])["value"]
    variants = [name for name in VARIANTS if (name, "contrastive", "mse_high") in values.index]
    if all((name, "mixed", "mse_high") in values.index for name in variants) and variants:
        gains = [
            f"{1 - values[name, 'contrastive', 'mse_high'] / values[name, 'mixed', 'mse_high']:.1%} ({name})"
            for name in variants
        ]
        text += (
            " Contrast within a context, beyond contrast across contexts, lowers the error at high similarity by "
            f"{' and '.join(gains)}."
        )
    if all((name, "one-grade", "copy") in values.index for name in variants) and variants:
        copies = [
            f"{values[name, 'one-grade', 'copy']:.2f} against {values[name, 'contrastive', 'copy']:.2f} ({name})"
            for name in variants
        ]
        text += (
            " Contrast across contexts is essential: with one highly similar example in every context the model copies "
            f"from irrelevant ones, Copy-score {' and '.join(copies)}."
        )
    return text


@styled
def draw(table: pd.DataFrame, settings: MinimalModelFigureSettings, text: str = "") -> list[Figure]:
    """Draw schematic and training.

    Args:
        table: from :func:`select`.
        settings: style and titles.
        text: the caption, written below.

    Returns:
        One figure.
    """
    variants = [name for name in VARIANTS if name in set(table["variant"])]
    conditions = ordered(set(table["condition"]) - {"optimum"}, MAIN)
    titles = [Named(name=name, title=title) for name, title in settings.titles.items()]
    styles = line_styles(conditions, PresentationSettings(strategies=titles))
    lines = textwrap.wrap(text, 150)
    top, row, bottom = 2.35, 1.75, 0.12 + 0.115 * len(lines)
    width, height = 7.1, top + 0.32 + row * len(variants) + bottom

    def box(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
        return x / width, (height - y - h) / height, w / width, h / height

    figure = Figure(figsize=(width, height))
    _schematic(figure.add_axes(box(0.05, 0.05, 4.75, top - 0.15)))
    weights = figure.add_axes(box(5.3, 0.3, 1.7, top - 0.85))
    _weights(weights, table, styles, variants)
    _legend(figure, styles, 1 - (top + 0.1) / height)
    for index, variant in enumerate(variants):
        y = top + 0.32 + index * row
        figure.text(0.08 / width, 1 - (y + 0.02) / height, VARIANTS[variant], weight="bold", ha="left", va="top")
        axes = [figure.add_axes(box(0.5 + 1.68 * column, y + 0.42, 1.36, row - 0.82)) for column in range(4)]
        here = table.loc[table["variant"] == variant]
        for ax, (probe, title) in zip(axes, _PROBES.items(), strict=False):
            _history(ax, here.loc[here["probe"] == probe], styles)
            ax.set_title(title, fontsize=points(6.5), pad=2.5)
        _errors(axes[3], here.loc[here["probe"].isin(_ERRORS)], styles)
    runs = int(table["seeds"].max())
    note = f"mean and 95% interval (t) over {runs} seeds" if runs > 1 else "one seed"
    figure.text(
        0.08 / width, (bottom - 0.02) / height, "\n".join([*lines, ""]) if lines else "", ha="left", va="top",
        fontsize=points(6), color=MUTED, linespacing=1.25,
    )  # fmt: skip
    figure.text(1 - 0.1 / width, 1 - (top + 0.34) / height, note, ha="right", va="top", fontsize=points(6.2),
                color=MUTED)  # fmt: skip
    return [figure]


def _legend(figure: Figure, styles: dict[str, LineStyle], y: float) -> None:
    figure.legend(
        handles=[handle(style) for style in styles.values()], loc="upper center", bbox_to_anchor=(0.5, y),
        ncol=len(styles), frameon=False, handlelength=2.3, handletextpad=0.5, columnspacing=1.1, borderaxespad=0,
    )  # fmt: skip


def _history(ax: Axes, rows: pd.DataFrame, styles: dict[str, LineStyle]) -> None:
    for name, style in styles.items():
        path = rows.loc[rows["condition"] == name].sort_values("step")
        ax.plot(path["step"], path["value"], color=style.color, linestyle=style.line, linewidth=1.1)
        ax.fill_between(path["step"], path["ci_low"], path["ci_high"], color=style.color, alpha=0.2, linewidth=0)
        draw_points(ax, path["step"].iloc[-1:], path.iloc[-1:], style, join=False)
    ax.set_xlabel("training step", fontsize=points(6.5), labelpad=2)
    ax.locator_params(axis="x", integer=True, nbins=4)


def _errors(ax: Axes, rows: pd.DataFrame, styles: dict[str, LineStyle]) -> None:
    for index, (name, style) in enumerate(styles.items()):
        ends = rows.loc[rows["condition"] == name].set_index("probe").reindex(_ERRORS)
        offset = 0.09 * (index - (len(styles) - 1) / 2)
        draw_points(ax, [x + offset for x in range(3)], ends, style)
    ax.set_xlim(-0.5, 2.5)
    ax.set_ylim(bottom=0)
    ax.set_xticks(range(3), bucket_labels(DEFAULT_BUCKETS))
    ax.set_title("Test MSE by the context's\nmaximum similarity", fontsize=points(6.5), pad=2.5)


def _weights(ax: Axes, table: pd.DataFrame, styles: dict[str, LineStyle], variants: list[str]) -> None:
    rows = table.loc[(table["probe"] == "weight") & (table["variant"].isin([variants[0], "none"]))]
    for name, style in {**styles, "optimum": _OPTIMUM}.items():
        path = rows.loc[rows["condition"] == name].sort_values("similarity")
        ax.plot(path["similarity"], path["value"], color=style.color, linestyle=style.line, linewidth=1.1)
        ax.fill_between(path["similarity"], path["ci_low"], path["ci_high"], color=style.color, alpha=0.2, linewidth=0)
        if name == "optimum" and len(path):
            middle = path.iloc[len(path) // 2 - 1]
            ax.annotate(
                style.label, (middle["similarity"], middle["value"]), (0.98, 0.03), textcoords="axes fraction",
                fontsize=points(6), color=style.color, ha="right", va="bottom",
                arrowprops={"arrowstyle": "-", "color": style.color, "linewidth": 0.5},
            )  # fmt: skip
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("its similarity s", fontsize=points(6.5), labelpad=2)
    ax.set_title(f"Weight on one example\nafter training ({variants[0]})", fontsize=points(6.5), pad=2.5)


_LAYER, _LEARNED = "#eef2f7", "#fbeed5"


def _schematic(ax: Axes) -> None:
    """Draw the model: examples and target, layer 1 (summarizer, in-weights learner), layer 2 (mixture)."""
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 46)
    ax.axis("off")

    def block(
        x: float, y: float, w: float, h: float, text: str, color: str = "white", edge: str = "#333333", **kw: Any
    ) -> None:
        ax.add_patch(
            FancyBboxPatch(
                (x, y), w, h, boxstyle="round,pad=0,rounding_size=1.2", facecolor=color, edgecolor=edge, linewidth=0.7
            )
        )
        options: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": points(6.5), "linespacing": 1.25} | kw
        ax.text(x + w / 2, y + h / 2, text, **options)

    def arrow(start: tuple[float, float], end: tuple[float, float], text: str = "", shift: float = 1.6) -> None:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "linewidth": 0.8, "color": "#333333",
                                                "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7})  # fmt: skip
        if text:
            ax.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + shift, text, ha="center", va="center",
                    fontsize=points(6.5))  # fmt: skip

    for x, w, title in ((21, 28, "layer 1"), (58, 27, "layer 2: θ₁, θ₂, θ₃")):
        block(x, 0.5, w, 44, "", _LAYER, edge="#b9c4d2")
        ax.text(x + w / 2, 42.6, title, ha="center", va="center", fontsize=points(7), weight="bold")
    block(0.5, 28, 16.5, 9.5, "k examples\n(xᵢ, yᵢ)")
    block(0.5, 6.5, 16.5, 9.5, "target\nx")
    block(24, 27, 22, 11.5, "summarizer\nsᵢ = x · xᵢ and yᵢ")
    block(
        24, 5.5, 22, 11.5, "in-weights learner\n$\\hat f(x) = w_0 + \\sqrt{d}\\,w \\cdot x$", _LEARNED, parse_math=True
    )
    block(61, 23.5, 21, 16, "α = softmax(θ₁ sᵢ)\nc = Σ αᵢ yᵢ\nR = Σ αᵢ sᵢ", _LEARNED)
    block(61, 5.5, 21, 11.5, "gate\nG = σ(θ₂ R + θ₃)", _LEARNED)
    block(86.5, 14.5, 13, 15, "$\\hat y$ = G c +\n(1 − G) $\\hat f$", parse_math=True)
    arrow((17, 32.75), (24, 32.75))
    arrow((17, 11.25), (24, 11.25))
    arrow((17, 14), (24, 28.5))
    arrow((46, 32.75), (61, 32.75), "sᵢ, yᵢ")
    arrow((71.5, 23.5), (71.5, 17), "")
    ax.text(73.6, 20.3, "R", fontsize=points(6.5), va="center")
    arrow((82, 29), (86.5, 26.5))
    ax.text(85, 30.6, "c", fontsize=points(6.5), ha="center", va="center")
    arrow((82, 13.5), (86.5, 17))
    ax.text(85.6, 12.4, "G", fontsize=points(6.5), ha="center", va="center")
    # The in-weights answer passes under the gate.
    ax.plot([46, 53.5, 53.5, 93], [11.25, 11.25, 2.6, 2.6], color="#333333", linewidth=0.8, solid_capstyle="butt")
    arrow((93, 2.6), (93, 14.5))
    ax.text(50, 13, "$\\hat f$", fontsize=points(6.5), ha="center", va="center", parse_math=True)
