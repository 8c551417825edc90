"""The probes against training steps (the paper's Figure 4): rows task × probe, columns models. Nothing is smoothed."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_context.core.frames import groups_of
from contrastive_context.figures.page import Pages, Row, empty_figure, in_rows
from contrastive_context.figures.panels import draw_points, label_values, remark, say, share_range, value_range
from contrastive_context.figures.style import LineStyle, line_styles, points, styled
from contrastive_context.tables.cells import NOT_RUN
from contrastive_context.tables.selection import headline_seed, models_of, ordered, systems
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import PROBES
from contrastive_context.tables.wording import intervals, shortened, training_runs


class _Panel(NamedTuple):
    """What a panel shows."""

    task: str
    probe: str
    model: str


@styled
def draw(
    cells: pd.DataFrame, settings: PresentationSettings, measure: str = "generation", without: Sequence[str] = ()
) -> list[Figure]:
    """Draw the probes of one measure.

    The base is a point at step 0 with a dashed line at its level; every strategy starts from it.

    Args:
        cells: from :func:`~contrastive_context.tables.cells.probe_cells`.
        settings: titles and orders.
        measure: as for the cells.
        without: tasks whose probes were not measured this way, to be named.

    Returns:
        One figure per page.
    """
    measured = cells.loc[cells["missing"] == ""]
    if not len(measured):
        return [empty_figure(f"No probes of the measure “{measure}” in this run.")]
    styles = line_styles(systems(cells, settings), settings)
    layout = _layout(measured, settings, measure)
    side_by_side = any(len({panel.probe for panel in panels}) > 1 for _, panels in layout)
    note = _note(measured, settings, measure, without)
    pages = Pages([row for row, _ in layout], styles, note, gap=0.36 if side_by_side else 0.16)
    for axes, (_, panels) in zip(pages.axes, layout, strict=True):
        of_task = cells.loc[cells["task"] == panels[0].task]
        for ax, panel in zip(axes, panels, strict=True):
            _draw_panel(ax, of_task.loc[(of_task["probe"] == panel.probe) & (of_task["model"] == panel.model)], styles)
            if panel.probe != "iwl":  # differences: zero means something
                ax.axhline(0, color="#bbbbbb", linewidth=0.6, zorder=0.5)
            ax.set_xlabel("training step", fontsize=points(6.5), labelpad=2)
        probes = list(dict.fromkeys(panel.probe for panel in panels))
        if len(probes) == 1:
            label_values(axes[0], PROBES[probes[0]].axis, _unit(probes[0], measure))
            for ax in axes[1:]:
                ax.tick_params(labelleft=False)
        # One range for the panels of a probe: they share the tick labels.
        for probe in probes:
            same = [ax for ax, panel in zip(axes, panels, strict=True) if panel.probe == probe]
            if span := value_range(of_task.loc[of_task["probe"] == probe]):
                low, high = span if probe == "iwl" else (min(span[0], 0.0), max(span[1], 0.0))
                share_range(same, low, high, 1.0 if measure == "generation" else math.inf)
    return pages.figures


def _layout(measured: pd.DataFrame, settings: PresentationSettings, measure: str) -> list[tuple[Row, list[_Panel]]]:
    """Return the rows with their panels."""
    layout = []
    for task in ordered(measured["task"], settings.order("tasks")):
        models = models_of(measured, task, settings)
        present = ordered(measured.loc[measured["task"] == task, "probe"], list(PROBES))
        header = settings.title("tasks", task)
        if len(models) == 1:  # the probes side by side
            titles = [f"{PROBES[probe].axis} ({_unit(probe, measure)})" for probe in present]
            row = Row(f"{header} · {settings.title('models', models[0])}", titles)
            layout.append((row, [_Panel(task, probe, models[0]) for probe in present]))
            continue
        for probe in present:
            for names in in_rows(models):
                titles = [settings.title("models", name) for name in names]
                row = Row(f"{header} · {PROBES[probe].description}", titles, axis=task)  # tasks differ in steps
                layout.append((row, [_Panel(task, probe, model) for model in names]))
    return layout


def _note(measured: pd.DataFrame, settings: PresentationSettings, measure: str, without: Sequence[str]) -> str:
    headline = headline_seed(measured)
    runs = training_runs(headline)
    what = "answers generated greedily"
    if measure == "likelihood":
        what = "log-probability per token, for ICL per token of the edited label"
    note = (
        f"{what}{'; ' + runs if runs else ''}\nbars: {intervals(headline, settings.confidence)}; "
        f"{'small points: single runs; ' if (measured['seeds'] > 1).any() else ''}not smoothed; "
        "dashed line: the base's level"
    )
    if without:
        names = [settings.title("tasks", task) for task in ordered(without, settings.order("tasks"))]
        note += f"\nnot measured this way: {', '.join(names)}"
    return note


def _unit(probe: str, measure: str) -> str:
    if measure == "likelihood":
        return "nats per token"
    return "0–1" if probe == "iwl" else "−1 to 1"


def _draw_panel(ax: Axes, cells: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    measured = cells.loc[cells["missing"] == ""]
    if not len(measured):
        say(ax, NOT_RUN)
        return
    headline = headline_seed(measured)
    base = headline.loc[headline["strategy"] == "base"].sort_values("step")
    steps = sorted(set(headline["step"].astype(int)))
    width = steps[-1] - steps[0] or 1
    for index, (name, style) in enumerate(styles.items()):
        rows = headline.loc[headline["strategy"] == name].sort_values("step")
        if not len(rows):
            continue
        if name == "base":
            ax.axhline(rows["value"].iloc[0], color=style.color, linestyle=style.line, linewidth=0.8)
            draw_points(ax, rows["step"], rows, style, join=False)
            continue
        offset = 0.008 * width * (index - len(styles) / 2)
        if len(base) and 0 not in set(rows["step"]):
            start, first = base.iloc[0], rows.iloc[0]
            ax.plot([start["step"], first["step"] + offset], [start["value"], first["value"]], color=style.color,
                    linestyle=style.line, linewidth=1.1)  # fmt: skip
        single = measured.loc[(measured["strategy"] == name) & (measured["seeds"] == 1)]
        if (rows["seeds"] > 1).any():
            ax.plot(single["step"] + offset, single["value"], ".", color=style.color, markersize=2, alpha=0.6)
        draw_points(ax, rows["step"] + offset, rows, style)
    ax.set_xlim(steps[0] - 0.06 * width, steps[-1] + 0.06 * width)
    ax.locator_params(axis="x", integer=True, nbins=5)
    lines = []
    for (reason,), rows in groups_of(cells.loc[cells["missing"] != ""], "missing", sort=True):
        lacking = set(rows["strategy"])
        lines.append(f"{reason}: {shortened([style.label for name, style in styles.items() if name in lacking])}")
    remark(ax, headline["n"].astype(int).tolist(), lines)
