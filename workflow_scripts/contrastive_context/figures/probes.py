"""The probes against training steps (the paper's Figure 4): rows task × probe, columns models. Nothing is smoothed."""

from collections.abc import Mapping
from typing import Any

from contrastive_context.figures import style
from contrastive_context.figures.style import FigureSettings

PROBES = {
    "iwl": "IWL-score: gold when every example is irrelevant",
    "icl": "ICL-score: the edited label of the relevant example is used",
    "icl_valid": "ICL-score with a valid substitute label",
    "copy": "Copy-score: labels shown, over labels that were not shown",
}
_SHORT = {"iwl": "IWL", "icl": "ICL", "icl_valid": "ICL (valid)", "copy": "Copy"}


def draw(probes: "Any", settings: FigureSettings, measure: str = "generation") -> "Any":
    """Draw one measure of the probes table.

    The base is a point at step 0 with a dashed line at its level; every strategy starts from it.

    Args:
        probes: R/tables/probes.
        settings: titles and orders.
        measure: "generation" (share or agreement) or "likelihood" (nats per token).

    Returns:
        A matplotlib figure.
    """
    import matplotlib

    with matplotlib.rc_context(style.rc(settings.style)):
        return _draw(probes, settings, measure)


def _draw(probes: "Any", settings: FigureSettings, measure: str) -> "Any":
    everywhere = set(probes["task"])
    if len(probes):
        probes = probes.loc[(probes["metric"] == measure) & probes["value"].notna()]
    if not len(probes):
        return style.empty_figure(f"No probes of the measure “{measure}” in this run.")
    probes = style.headline_seed(probes)
    names = style.systems(probes, settings)
    marks = style.marks(names, settings)
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
                row = style.Row(
                    f"{header} · {PROBES.get(probe, probe)}", [settings.title("models", name) for name in chunk]
                )
                plan.append((row, [(task, probe, model) for model in chunk]))
    runs = style.seeds_in_words(probes)
    what = "answers generated greedily"
    if measure == "likelihood":
        what = "log-probability per token, for ICL per token of the edited label"
    note = (
        f"{what}{'; ' + runs if runs else ''}\nbars: {style.bars_in_words(probes, settings.confidence)}; not smoothed; "
        "dashed line: the base's level"
    )
    if without := style.ordered(list(everywhere - set(probes["task"])), settings.order("tasks")):
        note += f"\nnot measured this way: {', '.join(settings.title('tasks', task) for task in without)}"
    side_by_side = any(len({probe for _, probe, _ in panels}) > 1 for _, panels in plan)
    grid = style.Grid([row for row, _ in plan], marks, note, gap=0.36 if side_by_side else 0.16)
    for axes, (_, panels) in zip(grid.axes, plan, strict=True):
        for ax, (task, probe, model) in zip(axes, panels, strict=True):
            here = probes.loc[(probes["task"] == task) & (probes["probe"] == probe)]
            _panel(ax, here.loc[here["model"] == model], names, marks)
            if limits := style.extent(here):
                if probe != "iwl":  # differences: zero means something
                    limits = (min(limits[0], 0.0), max(limits[1], 0.0))
                    ax.axhline(0, color="#bbbbbb", linewidth=0.6, zorder=0.5)
                grid.limits([ax], *limits)
            if ax is axes[0] and panels[0][1] == panels[-1][1]:
                ax.set_ylabel(f"{_SHORT.get(probe, probe)} ({_unit(probe, measure)})")
            elif panels[0][1] == panels[-1][1]:
                ax.tick_params(labelleft=False)
            ax.set_xlabel("training step", fontsize=style.points(6.5), labelpad=2)
    return grid.figure


def _unit(probe: str, measure: str) -> str:
    if measure == "likelihood":
        return "nats per token"
    return "0–1" if probe == "iwl" else "−1 to 1"


def _panel(ax: "Any", panel: "Any", names: list[str], marks: Mapping[str, style.Mark]) -> None:
    if not len(panel):
        style.not_run(ax)
        return
    base = panel.loc[panel["strategy"] == "base"].sort_values("step")
    steps = sorted(set(panel["step"].astype(int)))
    spread = 0.008 * (steps[-1] - steps[0] or 1)
    missing = []
    for place, name in enumerate(names):
        rows = panel.loc[panel["strategy"] == name].sort_values("step")
        if not len(rows):
            missing.append(marks[name].label)
            continue
        if name == "base":
            for value in rows["value"].iloc[:1]:
                ax.axhline(value, color=marks[name].color, linestyle=marks[name].line, linewidth=0.8)
            style.draw_points(ax, rows["step"], rows, marks[name], join=False)
            continue
        offset = spread * (place - len(names) / 2)
        if len(base) and 0 not in set(rows["step"]):
            start, first = base.iloc[0], rows.iloc[0]
            ax.plot([start["step"], first["step"] + offset], [start["value"], first["value"]], color=marks[name].color,
                    linestyle=marks[name].line, linewidth=1.1)  # fmt: skip
        style.draw_points(ax, rows["step"] + offset, rows, marks[name])
    width = steps[-1] - steps[0] or 1
    ax.set_xlim(steps[0] - 0.06 * width, steps[-1] + 0.06 * width)
    ax.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    style.remark(ax, panel["n"].astype(int).tolist(), missing)
