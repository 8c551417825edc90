"""The cells that each figure shows: what was measured, and what was not, with the reason."""

import pandas as pd

from contrastive_context.config.strategies import PLANE
from contrastive_context.contexts.series import SAME_TARGETS
from contrastive_context.core.frames import groups_of
from contrastive_context.tables.selection import (
    headline_metrics,
    headline_seed,
    last_step,
    of_series,
    strategies_by_model,
)
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import PROBES, SERIES

SCORE_COLUMNS = (
    "task", "test_set", "model", "strategy", "seed", "seeds", "step", "series", "composition", "bucket", "metric",
    "value", "ci_low", "ci_high", "n", "missing",
)  # fmt: skip
SUMMARY_COLUMNS = (
    "metric", "composition", "strategy", "bucket", "cells", "of_cells", "task", "test_set", "model", "value",
    "ci_low", "ci_high", "n", "missing",
)  # fmt: skip
PLANE_COLUMNS = (
    "of", "p", "epsilon", "strategy", "task", "test_set", "model", "composition", "quantity", "metric", "step", "seeds",
    "value", "ci_low", "ci_high", "n", "missing",
)  # fmt: skip
_ESTIMATE = ("value", "ci_low", "ci_high", "n")
NOT_RUN, NOT_TRAINED, NOT_FILLED, NOT_SCORED = "not run", "not trained", "no target fills it", "no scores"


def score_cells(scores: pd.DataFrame, settings: PresentationSettings, *, everything: bool = False) -> pd.DataFrame:
    """Return the cells of the scores table that figures draw, one row each, missing ones with a reason.

    The headline's series, last step; over all training runs where there are several. Of a cell that should be there and
    isn't, value, interval and n are NA and ``missing`` says why; of all others it is empty.

    Args:
        scores: R/tables/scores.
        settings: what is expected, headline metrics.
        everything: also metrics that are not a task's headline, and ablations, which have a figure of their own.

    Returns:
        A frame with ``SCORE_COLUMNS``.
    """
    if not len(scores):
        return pd.DataFrame(columns=list(SCORE_COLUMNS))
    scores = of_series(scores.loc[scores["value"].notna()])
    scores = headline_seed(last_step(scores)).assign(missing="")
    if not everything:
        scores = scores.loc[scores["metric"] == scores["task"].map(headline_metrics(scores, settings))]
        scores = scores.loc[~scores["strategy"].isin(settings.ablations())]
    return pd.concat([scores, _missing_scores(scores, settings, everything)], ignore_index=True)[list(SCORE_COLUMNS)]


def series_cells(scores: pd.DataFrame, series: str) -> pd.DataFrame:
    """Return the measured cells of a series beside the headline's, all metrics and strategies, as in `score_cells`.

    Each bucket has targets of its own; ``zero_context`` in a bucket is the same targets without any example.
    """
    rows = of_series(scores.loc[scores["value"].notna()], series)
    return headline_seed(last_step(rows)).assign(missing="")[list(SCORE_COLUMNS)]


def _missing_scores(scores: pd.DataFrame, settings: PresentationSettings, everything: bool) -> pd.DataFrame:
    rows = []
    # A strategy with results on another test set was trained.
    trained = scores.groupby(["task", "model"])["strategy"].agg(set).to_dict()
    left_out = set() if everything else set(settings.ablations())
    for (task, test_set, metric), here in groups_of(scores, "task", "test_set", "metric"):
        nearest = ["nearest_label"] if (here["strategy"] == "nearest_label").any() else []
        by_model = {
            model: ["base", *(name for name in strategies if name not in left_out)]
            for model, strategies in strategies_by_model(here, task, settings).items()
        }
        for (composition,), graded in groups_of(here, "composition"):
            measured = set(zip(graded["model"], graded["strategy"], graded["bucket"], strict=True))
            filled = set(graded["bucket"])
            buckets = ["none"] if composition == "zero_context" else settings.bucket_names()
            for model, names in by_model.items():
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
    frame = pd.DataFrame(rows, columns=list(SCORE_COLUMNS)).drop_duplicates()
    return frame.astype({name: scores[name].dtype for name in ("value", "ci_low", "ci_high")})


def probe_cells(probes: pd.DataFrame, settings: PresentationSettings, measure: str = "generation") -> pd.DataFrame:
    """Return the cells of the probes table that figures draw: one measure's, no ablations or secondary probes.

    Over all training runs where there are several, and each run's own (``seeds`` 1). Of a strategy that should be there
    and isn't, one row per probe has value NA and ``missing`` says why.

    Args:
        probes: R/tables/probes.
        settings: what is expected.
        measure: "generation" (share or agreement) or "likelihood" (nats per token).
    """
    columns = [*probes.columns, "missing"]
    probes = probes.assign(missing="")
    if not len(probes):
        return probes
    ablations = set(settings.ablations())
    wanted = (probes["metric"] == measure) & probes["probe"].isin(PROBES) & ~probes["strategy"].isin(ablations)
    probes = probes.loc[wanted & probes["value"].notna()]
    rows = []
    for (task, probe), here in groups_of(probes, "task", "probe"):
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


def grid_cells(scores: pd.DataFrame, settings: PresentationSettings, *, everything: bool = False) -> pd.DataFrame:
    """Return the cells of the similarity grid; with ``everything`` also those of the series beside the headline's."""
    cells = score_cells(scores, settings, everything=everything)
    more = [series_cells(scores, series) for series in SERIES] if everything and len(scores) else []
    return pd.concat([cells, *(part for part in more if len(part))], ignore_index=True)


def ablation_cells(scores: pd.DataFrame, settings: PresentationSettings) -> pd.DataFrame:
    """Return the cells of ablations and of the strategies that they are compared with.

    Three columns more than in :func:`score_cells` say what is varied: ``of``, ``factor`` and ``setting``, its value as
    text. A strategy appears once per factor that is varied against it.

    Args:
        scores: R/tables/scores.
        settings: which strategies are ablations of which; their factors' values.
    """
    columns = [*SCORE_COLUMNS, "of", "factor", "setting"]
    ablations = settings.ablations()
    cells = score_cells(scores, settings, everything=True)
    headline = headline_metrics(scores, settings)
    cells = cells.loc[(cells["metric"] == cells["task"].map(headline)) & (cells["composition"] != "zero_context")]
    parts = []
    for (task, model), here in groups_of(cells, "task", "model"):
        names = strategies_by_model(cells, task, settings).get(model, [])
        varied = [(name, ablations[name]) for name in names if name in ablations]
        factors = dict.fromkeys((ablation.of, ablation.factor) for _, ablation in varied)
        for of, factor in (pair for pair in factors if pair[1] != PLANE):
            default = settings.defaults.get(of, {}).get(factor, "default")
            values = {of: default} | {
                name: ablation.value for name, ablation in varied if (ablation.of, ablation.factor) == (of, factor)
            }
            for name, value in values.items():
                rows = here.loc[here["strategy"] == name]
                parts.append(rows.assign(of=of, factor=factor, setting=_as_text(value)))
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def plane_cells(scores: pd.DataFrame, probes: pd.DataFrame, settings: PresentationSettings) -> pd.DataFrame:
    """Return what was measured of strategies that vary both p and epsilon: scores in buckets, and probes at the end.

    Args:
        scores: R/tables/scores.
        probes: R/tables/probes.
        settings: the planes, and which metric is a task's headline.

    Returns:
        A frame with ``PLANE_COLUMNS``: ``quantity`` is a bucket or a probe by generation, ``of`` the strategy that the
        others are ablations of; missing cells as in :func:`score_cells`.
    """
    scored = score_cells(scores, settings, everything=True)
    if len(scored):
        headline = scored["task"].map(headline_metrics(scores, settings))
        scored = scored.loc[(scored["metric"] == headline) & (scored["composition"] != "zero_context")]
    probed = probes.loc[(probes["metric"] == "generation") & probes["probe"].isin(PROBES) & probes["value"].notna()]
    probed = headline_seed(last_step(probed))
    both = pd.concat(
        [
            scored.assign(quantity=scored["bucket"]),
            probed.assign(quantity=probed["probe"], composition="none", missing=""),
        ],
        ignore_index=True,
    )
    parts = []
    for of, points in settings.planes.items():
        drawn = both.loc[both["strategy"].isin([*points])]
        # Pairs with the strategy itself alone have no plane.
        varied = {name for name, entry in settings.ablations().items() if (entry.of, entry.factor) == (of, PLANE)}
        pairs = set(drawn.loc[drawn["strategy"].isin(varied), ["task", "model"]].itertuples(index=False, name=None))
        drawn = drawn.loc[[pair in pairs for pair in zip(drawn["task"], drawn["model"], strict=True)]]
        p, epsilon = (drawn["strategy"].map({name: point[axis] for name, point in points.items()}) for axis in (0, 1))
        parts.append(drawn.assign(of=of, p=p, epsilon=epsilon))
    columns = list(PLANE_COLUMNS)
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _as_text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"


def summary_cells(scores: pd.DataFrame, settings: PresentationSettings) -> pd.DataFrame:
    """Return means over the grid's cells, and the cells: a cell is one model on one test set of one task.

    Rows that name no task are means over ``cells`` of the ``of_cells`` cells that the grid has (with one cell, its
    value and interval); rows that name a task are the cells. A mean over several cells has no interval: the cells share
    targets, and the table doesn't say how they vary together. A mean is over those cells in which every system has
    every bucket; where there is none, it is NA and ``missing`` says so.

    Args:
        scores: R/tables/scores.
        settings: what is expected, headline metrics.

    Returns:
        A frame with ``SUMMARY_COLUMNS``.
    """
    cells = score_cells(scores, settings)
    buckets = settings.bucket_names()
    cells = cells.loc[cells["bucket"].isin(buckets)]
    rows: list[dict[str, object]] = []
    for (metric, composition), here in groups_of(cells, "metric", "composition"):
        by_cell = {
            (task, test_set, model): of_set.loc[of_set["model"].isin([model, "none"])]
            for (task, test_set), of_set in groups_of(here, "task", "test_set")
            for model in strategies_by_model(of_set, task, settings)
        }
        # Systems that not every cell has or should have can't be averaged over the same cells.
        shared = sorted(set.intersection(*(set(frame["strategy"]) for frame in by_cell.values())))
        complete = {cell: frame for cell, frame in by_cell.items() if _is_complete(frame, shared, buckets)}
        for name in shared:
            for bucket in buckets:
                point = {"metric": metric, "composition": composition, "strategy": name, "bucket": bucket}
                found = []
                for (task, test_set, model), frame in complete.items():
                    row = frame.loc[(frame["strategy"] == name) & (frame["bucket"] == bucket)].iloc[0]
                    found.append({key: row[key] for key in _ESTIMATE})
                    rows.append(point | found[-1] | {"task": task, "test_set": test_set, "model": model})
                if len(found) == 1:
                    point |= found[0]
                elif found:
                    point["value"] = sum(estimate["value"] for estimate in found) / len(found)
                missing = "" if found else f"none of {len(by_cell)} cells is complete"
                rows.append(point | {"cells": len(found), "of_cells": len(by_cell), "missing": missing})
    frame = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))
    return frame.assign(missing=frame["missing"].fillna(""))


def _is_complete(frame: pd.DataFrame, systems: list[str], buckets: list[str]) -> bool:
    measured = frame.loc[frame["missing"] == ""]
    have = set(zip(measured["strategy"], measured["bucket"], strict=True))
    return all((name, bucket) in have for name in systems for bucket in buckets)
