"""Ablations (the paper's Figure 5): one factor of a strategy at a time, against the strategy itself, at each bucket."""

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_context.figures.page import Pages, Row, empty_figure, in_rows
from contrastive_context.figures.panels import draw_points, label_scores, remark, say
from contrastive_context.figures.style import LineStyle, points, styled
from contrastive_context.tables.cells import NOT_FILLED, NOT_RUN
from contrastive_context.tables.selection import ordered
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import ablation_title, composition_description, factor_axis
from contrastive_context.tables.wording import intervals, shortened, training_runs

#: From light to dark with similarity; marker and line differ too.
_BUCKETS = (("#88b8d8", "v", (0, (1, 1.2))), ("#3f7fb5", "s", (0, (4, 1.5))), ("#0b2f5b", "D", "-"))


class _Panel(NamedTuple):
    """What a panel shows."""

    task: str
    test_set: str
    composition: str
    model: str
    of: str
    factor: str


@styled
def draw(cells: pd.DataFrame, settings: PresentationSettings) -> list[Figure]:
    """Draw the ablations: a row per task, test set, model and composition, a panel per factor.

    Args:
        cells: from :func:`~contrastive_context.tables.cells.ablation_cells`.
        settings: titles, orders, edges.

    Returns:
        One figure per page.
    """
    measured = cells.loc[cells["missing"] == ""]
    if not len(measured):
        return [empty_figure("No ablations in this run: no strategy of its grid declares one.")]
    styles = {
        bucket: LineStyle(f"{bucket} similarity", *_BUCKETS[min(index, len(_BUCKETS) - 1)])
        for index, bucket in enumerate(settings.bucket_names())
    }
    layout = _layout(cells, settings)
    runs = training_runs(measured)
    note = (
        f"last training step{', ' + runs if runs else ''}; bars: {intervals(measured, settings.confidence)}\n"
        "bold value and long dashes: the strategy itself"
    )
    pages = Pages([row for row, _ in layout], styles, note)
    for axes, (_, panels) in zip(pages.axes, layout, strict=True):
        first = panels[0]
        of_row = cells.loc[
            (cells["task"] == first.task) & (cells["test_set"] == first.test_set) & (cells["model"] == first.model)
        ]
        for ax, panel in zip(axes, panels, strict=True):
            here = of_row.loc[of_row["composition"] == panel.composition]
            _draw_panel(ax, here.loc[(here["of"] == panel.of) & (here["factor"] == panel.factor)], styles)
        label_scores(axes, of_row["metric"].iloc[0], of_row)
    return pages.figures


def _layout(cells: pd.DataFrame, settings: PresentationSettings) -> list[tuple[Row, list[_Panel]]]:
    """Return the rows with their panels."""
    layout = []
    for task in ordered(cells["task"], settings.order("tasks")):
        of_task = cells.loc[cells["task"] == task]
        for test_set in ordered(of_task["test_set"], settings.order("test_sets")):
            for model in ordered(of_task["model"], settings.order("models")):
                here = of_task.loc[(of_task["test_set"] == test_set) & (of_task["model"] == model)]
                varied = list(dict.fromkeys(zip(here["of"], here["factor"], strict=True)))
                for composition in ordered(here["composition"], settings.compositions):
                    header = " · ".join(
                        (
                            settings.title("tasks", task),
                            settings.title("test_sets", test_set),
                            settings.title("models", model),
                            composition_description(composition),
                        )
                    )
                    for pairs in in_rows(varied):
                        row = Row(
                            header, [ablation_title(settings.title("strategies", of), factor) for of, factor in pairs]
                        )
                        layout.append((row, [_Panel(task, test_set, composition, model, *pair) for pair in pairs]))
    return layout


def _draw_panel(ax: Axes, cells: pd.DataFrame, styles: dict[str, LineStyle]) -> None:
    measured = cells.loc[cells["missing"] == ""]
    if not len(measured):
        say(ax, NOT_RUN)
        return
    of, factor = cells["of"].iloc[0], cells["factor"].iloc[0]
    default = next(iter(cells.loc[cells["strategy"] == of, "setting"]), "")
    values = list(dict.fromkeys([*filter(None, [default]), *cells["setting"]]))
    values.sort(key=lambda text: (not _is_number(text), float(text) if _is_number(text) else 0))
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_xticks(range(len(values)), values)
    ax.set_xlabel(factor_axis(factor), fontsize=points(6.5), labelpad=2)
    for text in ax.get_xticklabels():
        text.set_fontweight("bold" if text.get_text() == default else "normal")
    numeric = all(map(_is_number, values))
    for index, (bucket, style) in enumerate(styles.items()):
        offset = 0.1 * (index - (len(styles) - 1) / 2)
        rows = measured.loc[measured["bucket"] == bucket].drop_duplicates("setting").set_index("setting")
        draw_points(ax, [x + offset for x in range(len(values))], rows.reindex(values), style, join=numeric)
        if default in rows.index:
            ax.axhline(rows["value"][default], color=style.color, linewidth=0.6, linestyle=(0, (6, 4)), zorder=0.6)
    lines = [f"{bucket}: {NOT_FILLED}" for bucket in styles if _is_unfilled(cells, bucket)]
    missing = cells.loc[~cells["missing"].isin(["", NOT_FILLED])]
    for reason in missing["missing"].unique():
        lacking = set(missing.loc[missing["missing"] == reason, "setting"])
        lines.append(f"{reason}: {shortened([value for value in values if value in lacking])}")
    remark(ax, measured["n"].astype(int).tolist(), lines)


def _is_unfilled(cells: pd.DataFrame, bucket: str) -> bool:
    reasons = cells.loc[cells["bucket"] == bucket, "missing"]
    return len(reasons) > 0 and bool((reasons == NOT_FILLED).all())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
