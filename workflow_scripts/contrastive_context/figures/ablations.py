"""Ablations (the paper's Figure 5): one factor of a strategy at a time, against the strategy itself, at each bucket."""

from typing import Any, NamedTuple

from contrastive_context.figures import style
from contrastive_context.figures.cells import COLUMNS, NOT_FILLED, NOT_RUN, score_cells, strategies_by_model
from contrastive_context.figures.similarity_grid import COMPOSITIONS
from contrastive_context.figures.style import FigureSettings
from contrastive_context.scoring.metrics import get_metric

FACTORS = {
    "p": "p of the nearest neighbour",
    "epsilon": "ε of a paraphrase",
    "without": "similarity removed from training",
    "paraphraser": "paraphraser",
    "augmentation": "share of paraphrases as data",
    "token_matched": "tokens matched",
}
#: From light to dark with similarity; marker and line differ too.
_BUCKETS = (("#88b8d8", "v", (0, (1, 1.2))), ("#3f7fb5", "s", (0, (4, 1.5))), ("#0b2f5b", "D", "-"))


def select(scores: "Any", settings: FigureSettings) -> "Any":
    """Return the cells that :func:`draw` draws: ablations and the strategies they are compared with.

    Two columns more than in :func:`cells.score_cells` say what is varied: ``factor`` and ``setting``, its value as
    text. A strategy appears once per factor that is varied against it.

    Args:
        scores: R/tables/scores.
        settings: which strategies are ablations of which; their factors' values.
    """
    import pandas as pd

    columns = [*COLUMNS, "of", "factor", "setting"]
    ablations = settings.ablations()
    cells = score_cells(scores, settings, everything=True)
    headline = {task: rows["metric"].iloc[0] for task, rows in scores.groupby("task")} | settings.headline
    cells = cells.loc[(cells["metric"] == cells["task"].map(headline)) & (cells["composition"] != "zero_context")]
    parts = []
    for (task, model), here in cells.groupby(["task", "model"], sort=False):
        names = strategies_by_model(cells, task, settings).get(model, [])
        varied = [(name, ablations[name]) for name in names if name in ablations]
        for of, factor in dict.fromkeys((ablation.of, ablation.factor) for _, ablation in varied):
            default = settings.defaults.get(of, {}).get(factor, "default")
            values = {of: default} | {
                name: ablation.value for name, ablation in varied if (ablation.of, ablation.factor) == (of, factor)
            }
            for name, value in values.items():
                rows = here.loc[here["strategy"] == name]
                parts.append(rows.assign(of=of, factor=factor, setting=_as_text(value)))
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _as_text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"


class _Place(NamedTuple):
    task: str
    test_set: str
    composition: str
    model: str
    of: str
    factor: str


def draw(cells: "Any", settings: FigureSettings) -> list["Any"]:
    """Draw the ablations: a row per task, test set, model and composition, a panel per factor.

    Args:
        cells: from :func:`select`.
        settings: titles, orders, edges.

    Returns:
        Matplotlib figures, one per page.
    """
    import matplotlib

    with matplotlib.rc_context(style.rc(settings.style)):
        return _draw(cells, settings)


def _draw(cells: "Any", settings: FigureSettings) -> list["Any"]:
    measured = cells.loc[cells["missing"] == ""]
    if not len(measured):
        return [style.empty_figure("No ablations in this run: no strategy of its grid declares one.")]
    buckets = settings.bucket_names()
    marks = {
        bucket: style.Mark(f"{bucket} similarity", *_BUCKETS[min(index, len(_BUCKETS) - 1)])
        for index, bucket in enumerate(buckets)
    }
    plan = _plan(cells, settings)
    runs = style.seeds_in_words(measured)
    note = (
        f"last training step{', ' + runs if runs else ''}; bars: {style.bars_in_words(measured, settings.confidence)}\n"
        "bold value and long dashes: the strategy itself"
    )
    pages = style.Pages([row for row, _ in plan], marks, note)
    for axes, (_, panels) in zip(pages.axes, plan, strict=True):
        first = panels[0]
        of_row = (cells["task"] == first.task) & (cells["test_set"] == first.test_set) & (cells["model"] == first.model)
        for ax, place in zip(axes, panels, strict=True):
            chosen = of_row & (cells["composition"] == place.composition)
            here = cells.loc[chosen & (cells["of"] == place.of) & (cells["factor"] == place.factor)]
            _panel(ax, here, marks, settings)
            if ax is not axes[0]:
                ax.tick_params(labelleft=False)
        info = get_metric(cells.loc[of_row, "metric"].iloc[0])
        if limits := style.extent(cells.loc[of_row]):
            style.limits(axes, *limits, info.maximum)
        style.value_label(axes[0], info.title, f"0–{info.maximum:g}")
    return pages.figures


def _plan(cells: "Any", settings: FigureSettings) -> list[tuple[style.Row, list[_Place]]]:
    plan = []
    for task in style.ordered(list(cells["task"].unique()), settings.order("tasks")):
        of_task = cells.loc[cells["task"] == task]
        for test_set in style.ordered(list(of_task["test_set"].unique()), settings.order("test_sets")):
            for model in style.ordered(list(of_task["model"].unique()), settings.order("models")):
                here = of_task.loc[(of_task["test_set"] == test_set) & (of_task["model"] == model)]
                for composition in style.ordered(list(here["composition"].unique()), settings.compositions):
                    varied = list(dict.fromkeys(zip(here["of"], here["factor"], strict=True)))
                    header = " · ".join(
                        (
                            settings.title("tasks", task),
                            settings.title("test_sets", test_set),
                            settings.title("models", model),
                            COMPOSITIONS.get(composition, composition.replace("_", " ")),
                        )
                    )
                    for start in range(0, len(varied), style.MAX_COLUMNS):
                        chunk = varied[start : start + style.MAX_COLUMNS]
                        titles = [
                            f"{settings.title('strategies', of)}: {style.factor_title(factor)}" for of, factor in chunk
                        ]
                        places = [_Place(task, test_set, composition, model, of, factor) for of, factor in chunk]
                        plan.append((style.Row(header, titles), places))
    return plan


def _panel(ax: "Any", panel: "Any", marks: dict[str, style.Mark], settings: FigureSettings) -> None:
    measured = panel.loc[panel["missing"] == ""]
    if not len(measured):
        style.say(ax, NOT_RUN)
        return
    of, factor = panel["of"].iloc[0], panel["factor"].iloc[0]
    default = panel.loc[panel["strategy"] == of, "setting"]
    default = default.iloc[0] if len(default) else ""
    values = list(dict.fromkeys([default, *panel["setting"]])) if default else list(dict.fromkeys(panel["setting"]))
    values.sort(key=lambda text: (not _is_number(text), float(text) if _is_number(text) else 0))
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_xticks(range(len(values)), values)
    ax.set_xlabel(FACTORS.get(factor, factor.replace("_", " ")), fontsize=style.points(6.5), labelpad=2)
    for text in ax.get_xticklabels():
        text.set_fontweight("bold" if text.get_text() == default else "normal")
    numeric = all(map(_is_number, values))
    for index, (bucket, mark) in enumerate(marks.items()):
        offset = 0.1 * (index - (len(marks) - 1) / 2)
        rows = measured.loc[measured["bucket"] == bucket].drop_duplicates("setting").set_index("setting")
        style.draw_points(
            ax, [place + offset for place in range(len(values))], rows.reindex(values), mark, join=numeric
        )
        if default in rows.index:
            ax.axhline(rows.loc[default, "value"], color=mark.color, linewidth=0.6, linestyle=(0, (6, 4)), zorder=0.6)
    gone = panel.loc[panel["missing"] != ""]
    words = [f"{bucket}: {NOT_FILLED}" for bucket in marks if _all_unfilled(panel, bucket)]
    lost = gone.loc[gone["missing"] != NOT_FILLED]
    for reason in lost["missing"].unique():
        lacking = [value for value in values if value in set(lost.loc[lost["missing"] == reason, "setting"])]
        words.append(f"{reason}: {style.shortened(lacking)}")
    style.remark(ax, measured["n"].astype(int).tolist(), words)


def _all_unfilled(panel: "Any", bucket: str) -> bool:
    rows = panel.loc[panel["bucket"] == bucket, "missing"]
    return bool(len(rows)) and bool((rows == NOT_FILLED).all())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
