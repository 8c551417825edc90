"""Accuracy against context similarity (the paper's Figure 3): rows task × test set × composition, columns models."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from contrastive_context.evaluation.metrics import get_metric
from contrastive_context.figures import style
from contrastive_context.figures.style import FigureSettings

COMPOSITIONS = {
    "one_graded": "one graded example among random ones",
    "top_k": "the k nearest of a thinned pool",
}
_SHORT = {"one_graded": "one graded", "top_k": "k nearest"}
_NO_CONTEXT_X = -1.15


def bucket_labels(buckets: Mapping[str, float]) -> list[str]:
    """Return tick labels with ranges, e.g. "low" over "0–.33"; the last range is closed at 1."""
    names, edges = list(buckets), [*buckets.values(), 1.0]
    return [f"{name}\n{_edge(edges[i])}–{_edge(edges[i + 1])}" for i, name in enumerate(names)]


def _edge(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text[1:] if text.startswith("0.") else text


def draw(scores: "Any", settings: FigureSettings) -> "Any":
    """Draw the similarity grid of the scores table at each strategy's last step.

    In each panel: the buckets with points, intervals and lines; to their left, unjoined, the same targets' score
    without any example, which says how easy they are. What is missing is said in words.

    Args:
        scores: R/tables/scores.
        settings: titles, orders, edges.

    Returns:
        A matplotlib figure.
    """
    import matplotlib

    with matplotlib.rc_context(style.rc(settings.style)):
        return _draw(scores, settings)


def _draw(scores: "Any", settings: FigureSettings) -> "Any":
    if len(scores):
        scores = scores.loc[scores["value"].notna()]
    if not len(scores):
        return style.empty_figure("No scores were computed in this run.")
    scores = style.headline_seed(_last_step(scores))
    names = style.systems(scores, settings)
    marks = style.marks(names, settings)
    plan = _plan(scores, settings)
    runs = style.seeds_in_words(scores)
    note = (
        f"last training step{', ' + runs if runs else ''}; "
        f"bars: {style.bars_in_words(scores, settings.confidence)}\n"
        "zero-shot: the same targets without any example (how easy they are)"
    )
    grid = style.Grid([row for row, _ in plan], marks, note)
    for axes, (_, panels) in zip(grid.axes, plan, strict=True):
        task, test_set = panels[0].task, panels[0].test_set
        metric = settings.headline.get(task, scores.loc[scores["task"] == task, "metric"].iloc[0])
        here = scores.loc[(scores["task"] == task) & (scores["test_set"] == test_set) & (scores["metric"] == metric)]
        for ax, panel in zip(axes, panels, strict=True):
            rows = here.loc[
                here["composition"].isin([panel.composition, "zero_context"])
                & here["model"].isin([panel.model, "none"])
            ]
            _panel(ax, rows, panel, names, marks, settings)
            if ax is not axes[0]:
                ax.tick_params(labelleft=False)
        # One range for all rows of a test set, so that compositions compare.
        if limits := style.extent(here):
            grid.limits(axes, *limits)
        info = get_metric(metric)
        axes[0].set_ylabel(f"{info.title} (0–{info.maximum:g})")
    for ax in grid.axes[-1]:
        ax.set_xlabel("max. similarity to context", fontsize=style.points(6.5), labelpad=2)
    return grid.figure


class _Place(NamedTuple):
    task: str
    test_set: str
    composition: str
    model: str


def _plan(scores: "Any", settings: FigureSettings) -> list[tuple[style.Row, list[_Place]]]:
    """Lay out the panels: a row per task, test set and composition; compositions side by side where they fit."""
    plan: list[tuple[style.Row, list[_Place]]] = []
    grouped: dict[tuple[str, str], list[str]] = {}
    for task, test_set, composition in _rows(scores, settings):
        grouped.setdefault((task, test_set), []).append(composition)
    for (task, test_set), compositions in grouped.items():
        models = style.models_of(scores, task, settings)
        header = f"{settings.title('tasks', task)} · {settings.title('test_sets', test_set)}"
        if len(compositions) > 1 and len(compositions) * len(models) <= style.MAX_COLUMNS:
            places = [_Place(task, test_set, name, model) for model in models for name in compositions]
            titles = [
                f"{_model(place, settings)}: {_SHORT.get(place.composition, place.composition)}" for place in places
            ]
            plan.append((style.Row(header, titles), places))
            continue
        for composition in compositions:
            for start in range(0, len(models), style.MAX_COLUMNS):
                chunk = models[start : start + style.MAX_COLUMNS]
                places = [_Place(task, test_set, composition, model) for model in chunk]
                row = style.Row(
                    f"{header} · {COMPOSITIONS.get(composition, composition)}",
                    [_model(place, settings) for place in places],
                )
                plan.append((row, places))
    return plan


def _model(place: _Place, settings: FigureSettings) -> str:
    return settings.title("models", place.model)


def _last_step(scores: "Any") -> "Any":
    last = scores.groupby(["task", "test_set", "model", "strategy"])["step"].transform("max")
    return scores.loc[scores["step"] == last]


def _rows(scores: "Any", settings: FigureSettings) -> list[tuple[str, str, str]]:
    result = []
    for task in style.ordered(list(scores["task"].unique()), settings.order("tasks")):
        of_task = scores.loc[scores["task"] == task]
        for test_set in style.ordered(list(of_task["test_set"].unique()), settings.order("test_sets")):
            compositions = of_task.loc[of_task["test_set"] == test_set, "composition"].unique()
            graded = [name for name in compositions if name != "zero_context"]
            result += [(task, test_set, name) for name in style.ordered(graded, settings.compositions)]
    return result


def _panel(
    ax: "Any", panel: "Any", place: _Place, names: list[str], marks: Mapping[str, style.Mark], settings: FigureSettings
) -> None:
    buckets = settings.bucket_names()
    positions = {name: float(index) for index, name in enumerate(buckets)}
    if not (panel["model"] == place.model).any():
        style.not_run(ax)
        return
    ax.set_xlim(_NO_CONTEXT_X - 0.42, len(buckets) - 0.5)
    ax.set_xticks(
        [_NO_CONTEXT_X, *positions.values()],
        ["zero-\nshot", *bucket_labels({name: settings.buckets[name] for name in buckets})],
    )
    ax.axvline(_NO_CONTEXT_X / 2, color="#bbbbbb", linewidth=0.5)
    missing, counts = [], []
    for index, name in enumerate(names):
        offset = 0.09 * (index - (len(names) - 1) / 2)
        rows = panel.loc[panel["strategy"] == name]
        graded = rows.loc[rows["composition"] == place.composition].set_index("bucket").reindex(buckets)
        style.draw_points(ax, [positions[b] + offset for b in buckets], graded, marks[name])
        bare = rows.loc[rows["composition"] == "zero_context"]
        style.draw_points(ax, [_NO_CONTEXT_X + offset] * len(bare), bare, marks[name], join=False)
        counts += graded["n"].dropna().astype(int).tolist()
        gone = [bucket for bucket in buckets if graded["value"].isna()[bucket]]
        if gone:
            missing.append(marks[name].label + ("" if len(gone) == len(buckets) else f" ({', '.join(gone)})"))
    style.remark(ax, counts, missing, x=0.26, side="left")  # high similarity is where the points are high
