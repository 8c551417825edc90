"""The probes against training steps (the paper's Figure 4): rows task × probe, columns models. Nothing is smoothed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from contrastive_context.figures import style
from contrastive_context.figures.cells import NOT_RUN, NOT_TRAINED, strategies_by_model
from contrastive_context.figures.style import FigureSettings

PROBES = {
    "iwl": "IWL-score: gold when every example is irrelevant",
    "icl": "ICL-score: the edited label of the relevant example is used",
    "icl_valid": "ICL-score with a valid substitute label",
    "copy": "Copy-score: labels shown, over labels that were not shown",
}
_SHORT = {"iwl": "IWL", "icl": "ICL", "icl_valid": "ICL (valid)", "copy": "Copy"}


def select(probes: "Any", settings: FigureSettings, measure: str = "generation") -> "Any":
    """Return the cells that :func:`draw` draws: the table's rows of one measure, no ablations or secondary probes.

    Over all training runs where there are several, and each run's own (``seeds`` 1, drawn as small points). Of a
    strategy that should be there and isn't, one row per probe has value NA and ``missing`` says why.

    Args:
        probes: R/tables/probes.
        settings: what is expected.
        measure: "generation" (share or agreement) or "likelihood" (nats per token).
    """
    import pandas as pd

    columns = [*probes.columns, "missing"]
    probes = probes.assign(missing="")
    if not len(probes):
        return probes
    ablations = set(settings.ablations())
    wanted = (probes["metric"] == measure) & probes["probe"].isin(PROBES) & ~probes["strategy"].isin(ablations)
    probes = probes.loc[wanted & probes["value"].notna()]
    rows = []
    for (task, probe), here in probes.groupby(["task", "probe"], sort=False):
        for model, names in strategies_by_model(probes, task, settings).items():
            run = set(here.loc[here["model"] == model, "strategy"])
            rows += [
                {"task": task, "model": model, "strategy": name, "probe": probe, "metric": measure,
                 "missing": (settings.reason("probes", task, model, name) or NOT_TRAINED) if run else NOT_RUN}
                for name in ["base", *names] if name not in run | ablations
            ]  # fmt: skip
    missing = pd.DataFrame(rows, columns=columns)
    missing = missing.astype({name: probes[name].dtype for name in ("value", "ci_low", "ci_high")})
    return pd.concat([probes, missing], ignore_index=True) if rows else probes


def draw(
    cells: "Any", settings: FigureSettings, measure: str = "generation", without: Sequence[str] = ()
) -> list["Any"]:
    """Draw the probes of one measure.

    The base is a point at step 0 with a dashed line at its level; every strategy starts from it.

    Args:
        cells: from :func:`select`.
        settings: titles and orders.
        measure: as for :func:`select`.
        without: tasks whose probes were not measured this way, to be named.

    Returns:
        Matplotlib figures, one per page.
    """
    import matplotlib

    with matplotlib.rc_context(style.rc(settings.style)):
        return _draw(cells, settings, measure, without)


def _draw(cells: "Any", settings: FigureSettings, measure: str, without: Sequence[str]) -> list["Any"]:
    probes = cells.loc[cells["missing"] == ""]
    if not len(probes):
        return [style.empty_figure(f"No probes of the measure “{measure}” in this run.")]
    marks = style.marks(style.systems(cells, settings), settings)
    plan: list[tuple[style.Row, list[tuple[str, str, str]]]] = []
    for task in style.ordered(list(probes["task"].unique()), settings.order("tasks")):
        models = style.models_of(probes, task, settings)
        present = style.ordered(list(probes.loc[probes["task"] == task, "probe"].unique()), list(PROBES))
        header = settings.title("tasks", task)
        if len(models) == 1:  # the probes side by side
            title = settings.title("models", models[0])
            titles = [f"{_SHORT.get(probe, probe)} ({_unit(probe, measure)})" for probe in present]
            plan.append((style.Row(f"{header} · {title}", titles), [(task, probe, models[0]) for probe in present]))
            continue
        for probe in present:
            for start in range(0, len(models), style.MAX_COLUMNS):
                chunk = models[start : start + style.MAX_COLUMNS]
                titles = [settings.title("models", name) for name in chunk]
                row = style.Row(f"{header} · {PROBES.get(probe, probe)}", titles, axis=task)  # tasks differ in steps
                plan.append((row, [(task, probe, model) for model in chunk]))
    headline = style.headline_seed(probes)
    runs = style.seeds_in_words(headline)
    what = "answers generated greedily"
    if measure == "likelihood":
        what = "log-probability per token, for ICL per token of the edited label"
    note = (
        f"{what}{'; ' + runs if runs else ''}\nbars: {style.bars_in_words(headline, settings.confidence)}; "
        f"{'small points: single runs; ' if (probes['seeds'] > 1).any() else ''}not smoothed; "
        "dashed line: the base's level"
    )
    if without:
        names = [settings.title("tasks", task) for task in style.ordered(list(without), settings.order("tasks"))]
        note += f"\nnot measured this way: {', '.join(names)}"
    side_by_side = any(len({probe for _, probe, _ in panels}) > 1 for _, panels in plan)
    pages = style.Pages([row for row, _ in plan], marks, note, gap=0.36 if side_by_side else 0.16)
    for axes, (_, panels) in zip(pages.axes, plan, strict=True):
        for ax, (task, probe, model) in zip(axes, panels, strict=True):
            here = cells.loc[(cells["task"] == task) & (cells["probe"] == probe)]
            _panel(ax, here.loc[here["model"] == model], marks)
            if probe != "iwl":  # differences: zero means something
                ax.axhline(0, color="#bbbbbb", linewidth=0.6, zorder=0.5)
            if ax is axes[0] and panels[0][1] == panels[-1][1]:
                style.value_label(ax, _SHORT.get(probe, probe), _unit(probe, measure))
            elif panels[0][1] == panels[-1][1]:
                ax.tick_params(labelleft=False)
            ax.set_xlabel("training step", fontsize=style.points(6.5), labelpad=2)
        # One range for the panels of a probe: they share the tick labels.
        for chosen in dict.fromkeys(probe for _, probe, _ in panels):
            same = [ax for ax, (_, probe, _) in zip(axes, panels, strict=True) if probe == chosen]
            here = cells.loc[(cells["task"] == panels[0][0]) & (cells["probe"] == chosen)]
            if limits := style.extent(here):
                low, high = limits if chosen == "iwl" else (min(limits[0], 0.0), max(limits[1], 0.0))
                style.limits(same, low, high, 1.0 if measure == "generation" else math.inf)
    return pages.figures


def _unit(probe: str, measure: str) -> str:
    if measure == "likelihood":
        return "nats per token"
    return "0–1" if probe == "iwl" else "−1 to 1"


def _panel(ax: "Any", panel: "Any", marks: Mapping[str, style.Mark]) -> None:
    measured = panel.loc[panel["missing"] == ""]
    if not len(measured):
        style.say(ax, NOT_RUN)
        return
    headline = style.headline_seed(measured)
    base = headline.loc[headline["strategy"] == "base"].sort_values("step")
    steps = sorted(set(headline["step"].astype(int)))
    spread = 0.008 * (steps[-1] - steps[0] or 1)
    for place, name in enumerate(marks):
        rows = headline.loc[headline["strategy"] == name].sort_values("step")
        if not len(rows):
            continue
        if name == "base":
            for value in rows["value"].iloc[:1]:
                ax.axhline(value, color=marks[name].color, linestyle=marks[name].line, linewidth=0.8)
            style.draw_points(ax, rows["step"], rows, marks[name], join=False)
            continue
        offset = spread * (place - len(marks) / 2)
        if len(base) and 0 not in set(rows["step"]):
            start, first = base.iloc[0], rows.iloc[0]
            ax.plot([start["step"], first["step"] + offset], [start["value"], first["value"]], color=marks[name].color,
                    linestyle=marks[name].line, linewidth=1.1)  # fmt: skip
        single = measured.loc[(measured["strategy"] == name) & (measured["seeds"] == 1)]
        if (rows["seeds"] > 1).any():
            ax.plot(single["step"] + offset, single["value"], ".", color=marks[name].color, markersize=2, alpha=0.6)
        style.draw_points(ax, rows["step"] + offset, rows, marks[name])
    width = steps[-1] - steps[0] or 1
    ax.set_xlim(steps[0] - 0.06 * width, steps[-1] + 0.06 * width)
    ax.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    lacking = panel.loc[panel["missing"] != ""]
    words = []
    for reason, rows in lacking.groupby("missing"):
        names = [marks[name].label for name in marks if name in set(rows["strategy"])]
        words.append(f"{reason}: {style.shortened(names)}")
    style.remark(ax, headline["n"].astype(int).tolist(), words)
