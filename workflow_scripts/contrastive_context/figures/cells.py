"""The cells that a figure shows: what was measured, and what was not, with the reason."""

from typing import Any

from contrastive_context.contexts.series import SAME_TARGETS
from contrastive_context.figures import style
from contrastive_context.figures.style import FigureSettings

COLUMNS = (
    "task", "test_set", "model", "strategy", "seed", "seeds", "step", "series", "composition", "bucket", "metric",
    "value", "ci_low", "ci_high", "n", "missing",
)  # fmt: skip
NOT_RUN, NOT_TRAINED, NOT_FILLED, NOT_SCORED = "not run", "not trained", "no target fills it", "no scores"


def last_step(scores: "Any") -> "Any":
    """Keep the rows of each strategy's last step: the headline, never a step chosen by its score."""
    keys = ["task", "test_set", "model", "strategy"]
    return scores.loc[scores["step"] == scores.groupby(keys)["step"].transform("max")]


def with_series(scores: "Any") -> "Any":
    """Return a scores table with its column ``series``; where there is none, all rows are of the headline."""
    return scores if "series" in scores else scores.assign(series=SAME_TARGETS)


def of_series(scores: "Any", name: str = SAME_TARGETS) -> "Any":
    """Keep the rows of one series."""
    return with_series(scores).loc[lambda rows: rows["series"] == name]


def score_cells(scores: "Any", settings: FigureSettings, *, everything: bool = False) -> "Any":
    """Return the cells of the scores table that figures draw, one row each, missing ones with a reason.

    The headline's series, last step; over all training runs where there are several. Of a cell that should be there and
    isn't, value, interval and n are NA and ``missing`` says why; of all others it is empty.

    Args:
        scores: R/tables/scores.
        settings: what is expected, headline metrics.
        everything: also metrics that are not a task's headline, and ablations, which have a figure of their own.

    Returns:
        A frame with ``COLUMNS``.
    """
    import pandas as pd

    if not len(scores):
        return pd.DataFrame(columns=list(COLUMNS))
    scores = of_series(scores.loc[scores["value"].notna()])
    scores = style.headline_seed(last_step(scores)).assign(missing="")
    if not everything:
        headline = {task: rows["metric"].iloc[0] for task, rows in scores.groupby("task")} | settings.headline
        scores = scores.loc[scores["metric"] == scores["task"].map(headline)]
        scores = scores.loc[~scores["strategy"].isin(settings.ablations())]
    return pd.concat([scores, _missing(scores, settings, everything)], ignore_index=True)[list(COLUMNS)]


def appendix_cells(scores: "Any", settings: FigureSettings, series: str) -> "Any":
    """Return the measured cells of a series beside the headline's, all metrics and strategies, as in `score_cells`.

    Each bucket has targets of its own; ``zero_context`` in a bucket is the same targets without any example.
    """
    rows = of_series(scores.loc[scores["value"].notna()], series)
    return style.headline_seed(last_step(rows)).assign(missing="")[list(COLUMNS)]


def _missing(scores: "Any", settings: FigureSettings, everything: bool) -> "Any":
    import pandas as pd

    rows = []
    # A strategy with results on another test set was trained.
    trained = scores.groupby(["task", "model"])["strategy"].agg(set).to_dict()
    left_out = set() if everything else set(settings.ablations())
    for (task, test_set, metric), here in scores.groupby(["task", "test_set", "metric"], sort=False):
        nearest = ["nearest_label"] if (here["strategy"] == "nearest_label").any() else []
        systems = {
            model: ["base", *(name for name in strategies if name not in left_out)]
            for model, strategies in strategies_by_model(here, task, settings).items()
        }
        for composition, graded in here.groupby("composition", sort=False):
            measured = set(zip(graded["model"], graded["strategy"], graded["bucket"], strict=True))
            filled = set(graded["bucket"])
            buckets = ["none"] if composition == "zero_context" else settings.bucket_names()
            for model, names in systems.items():
                run = trained.get((task, model), set())
                expected = [(model, name) for name in names]
                expected += [("none", name) for name in nearest if composition != "zero_context"]
                for owner, name in expected:
                    for bucket in buckets:
                        if (owner, name, bucket) in measured:
                            continue
                        if bucket not in filled:
                            reason = NOT_FILLED
                        elif not run:
                            reason = NOT_RUN
                        elif owner == model and name not in run:
                            reason = settings.reason("answers", task, model, name) or NOT_TRAINED
                        else:
                            reason = NOT_SCORED
                        rows.append(
                            {"task": task, "test_set": test_set, "model": owner, "strategy": name, "metric": metric,
                             "series": SAME_TARGETS, "composition": composition, "bucket": bucket, "missing": reason}
                        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).drop_duplicates()
    return frame.astype({name: scores[name].dtype for name in ("value", "ci_low", "ci_high")})


def strategies_by_model(frame: "Any", task: str, settings: FigureSettings) -> dict[str, list[str]]:
    """Return, for each model of a task, the strategies that it has results of or should have."""
    result: dict[str, list[str]] = {}
    for model in style.models_of(frame, task, settings):
        here = frame.loc[(frame["task"] == task) & (frame["model"] == model), "strategy"].unique()
        names = {*here, *settings.expected.get(task, {}).get(model, [])} - {"base", "nearest_label"}
        result[model] = style.ordered(list(names), settings.order("strategies"))
    return result


def missing_in_words(cells: "Any", marks: "Any", buckets: list[str]) -> list[str]:
    """Say what of a panel's cells is missing and why, a line per reason."""
    gone = cells.loc[cells["missing"] != ""]
    words = []
    unfilled = [bucket for bucket in buckets if (gone.loc[gone["bucket"] == bucket, "missing"] == NOT_FILLED).any()]
    words += [f"{bucket}: {NOT_FILLED}" for bucket in unfilled]
    reasons = set(gone["missing"]) - {NOT_FILLED, NOT_RUN}
    for reason in sorted(reasons, key=lambda reason: (reason == NOT_SCORED, reason)):
        lacking = gone.loc[gone["missing"] == reason]
        names = []
        for name in [name for name in marks if name in set(lacking["strategy"])]:
            places = set(lacking.loc[lacking["strategy"] == name, "bucket"])
            some = [bucket for bucket in buckets if bucket in places]
            names.append(marks[name].label + (f" ({', '.join(some)})" if len(some) < len(buckets) else ""))
        words += [f"{reason}: {style.shortened(names)}"] if names else []
    return words
