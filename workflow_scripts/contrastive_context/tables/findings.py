"""The paper's claims as paired comparisons, each with an interval and a verdict.

Every comparison is written as *higher minus lower*, so that a positive difference supports the claim. Where a claim
names one system against several, the closest pair is shown and every pair has to hold (an intersection-union test).
One pair that fails refutes it, so there each pair is a test of its own. The family of Holm's correction, for showing as
for refuting, is one claim over all models, tasks and compositions. A claim's text says what is tested; its source says
who makes it.
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from contrastive_context.config.statistics import Effect, Statistics
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.bootstrap import holm, p_value
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.tables.tidy import Cell, CellKey, Cells, over_seeds
from contrastive_context.tables.vocabulary import PROBES, ROLES

SHOWS, SMALL, NOT, UNSURE = "shows", "shows, but small", "does not show", "can't tell"
VERDICTS = (SHOWS, SMALL, NOT, UNSURE)

_Row = dict[str, Any]  # of the table, by column


@dataclass(frozen=True)
class Claim:
    """A claim: every ``higher`` system scores above every ``lower`` one, in a bucket or by a probe.

    Attributes:
        name: key in the table.
        text: the claim in words.
        source: where it is said, or "ours" for a check of ours.
        higher: roles that should score higher.
        lower: roles that should score lower.
        bucket_or_probe: where.
        probe: whether it is a probe, looked up in the probes instead of the scores.
        margin: Statistics field; the claim is then "higher is not below lower by more than this".
        large: the claim is "the effect is above Statistics.large_effect". It repeats another one with a harder
            threshold and isn't counted again.
    """

    name: str
    text: str
    source: str
    higher: tuple[str, ...]
    lower: tuple[str, ...]
    bucket_or_probe: str
    probe: bool = False
    margin: str | None = None
    large: bool = False


_RIVALS = ("base", "zero", "random", "similar")
_ABSTRACT = "paper, abstract"
_AMONG = "ours; the paper's abstract says: among the most accurate"
# "IWL-score of Similar-Context is lowest, ICL-score of Random-Context diminishes fast with training, Copy-score of
# Similar-Context is higher. Contrastive-Context provides best retention of ICL and IWL capabilities …": the figure
# compares Random, Similar and Contrastive.
_CAPTION = "paper, caption of figure 4; formulas ours"
_RETENTION = "ours; the paper's caption of figure 4 says: best retention"
CLAIMS: tuple[Claim, ...] = (
    Claim("zero_below_base_high", "Zero ends below the un-tuned base at high similarity", _ABSTRACT,
          ("base",), ("zero",), "high"),
    Claim("random_below_base_high", "Random ends below the un-tuned base at high similarity", _ABSTRACT,
          ("base",), ("random",), "high"),
    Claim("random_below_zero_high", "Random ends below Zero at high similarity", _ABSTRACT,
          ("zero",), ("random",), "high"),
    Claim("similar_below_zero_low", "Similar ends below Zero at low similarity", _ABSTRACT,
          ("zero",), ("similar",), "low"),
    Claim("similar_far_below_zero_low", "… and by more than a tenth of the scale (Zero)", "ours",
          ("zero",), ("similar",), "low", large=True),
    Claim("similar_below_random_low", "Similar ends below Random at low similarity", _ABSTRACT,
          ("random",), ("similar",), "low"),
    Claim("similar_far_below_random_low", "… and by more than a tenth of the scale (Random)", "ours",
          ("random",), ("similar",), "low", large=True),
    Claim("contrastive_best_medium", "Contrastive is above the base, Zero, Random and Similar at medium similarity",
          _AMONG, ("contrastive",), _RIVALS, "medium"),
    Claim("contrastive_best_high", "Contrastive is above the base, Zero, Random and Similar at high similarity",
          _AMONG, ("contrastive",), _RIVALS, "high"),
    Claim("contrastive_above_mixed_medium", "Contrastive is above Mixed at medium similarity", "ours",
          ("contrastive",), ("mixed",), "medium"),
    Claim("contrastive_above_mixed_high", "Contrastive is above Mixed at high similarity", "ours",
          ("contrastive",), ("mixed",), "high"),
    Claim("contrastive_near_random_low", "Contrastive is at most the margin below Random at low similarity",
          _AMONG, ("contrastive",), ("random",), "low", margin="near_margin"),
    Claim("similar_lowest_iwl", "Similar has the lowest IWL-score of Random, Similar and Contrastive", _CAPTION,
          ("random", "contrastive"), ("similar",), "iwl", probe=True),
    Claim("random_loses_icl", "Random's ICL-score ends below the base's", _CAPTION,
          ("base",), ("random",), "icl", probe=True),
    Claim("random_loses_icl_valid", "Random's ICL-score ends below the base's (valid label)", _CAPTION,
          ("base",), ("random",), "icl_valid", probe=True),
    Claim("contrastive_keeps_icl", "Contrastive's ICL-score ends at most the margin below the base's", _RETENTION,
          ("contrastive",), ("base",), "icl", probe=True, margin="icl_margin"),
    Claim("contrastive_keeps_icl_valid",
          "Contrastive's ICL-score ends at most the margin below the base's (valid label)", _RETENTION,
          ("contrastive",), ("base",), "icl_valid", probe=True, margin="icl_margin"),
    Claim("similar_highest_copy", "Similar has the highest Copy-score of Random, Similar and Contrastive", _CAPTION,
          ("similar",), ("random", "contrastive"), "copy", probe=True),
)  # fmt: skip

COLUMNS = [
    "claim", "text", "source", "counted", "task", "model", "test_set", "composition", "seed", "scope", "metric",
    "quantity", "difference", "ci_low", "ci_high", "p_holm", "p_refuted", "threshold", "n", "clusters", "verdict",
]  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """What an oriented difference is held against.

    Attributes:
        above: the claim is shown by what lies above this: 0, minus a margin, or the size that the claim names.
        threshold: the smallest effect that counts; the claim is refuted by what lies below.
    """

    above: float
    threshold: float


@dataclass(frozen=True)
class Pair:
    """The difference of two systems, oriented by a claim.

    Attributes:
        difference: higher minus lower.
        low: lower end of its interval.
        high: upper end of its interval.
        p_above: two-sided p of "no different from ``Bar.above``".
        p_below: two-sided p of "no different from ``Bar.threshold``".
        clusters: independent clusters behind it.
        n: segments behind it.
        seeds: its training runs.
        text: the systems in words.
    """

    difference: float
    low: float
    high: float
    p_above: float
    p_below: float
    clusters: int
    n: int = 0
    seeds: tuple[int | None, ...] = ()
    text: str = ""


def build(scores: Cells, probes: Cells, settings: BuildTablesSettings) -> pd.DataFrame:
    """Return the findings table.

    One row per (claim, task, model, test set, composition), and one per (claim, task, test set) over the models with
    verdict "k of m models": those that show it in every composition of the task's settings. A claim about a strategy
    that a task doesn't have is left out; a comparison that one model lacks is there and reads "can't tell", and so does
    a model that wasn't compared in each of the compositions. The step is always the last.
    ``counted`` is False where a row asks again, with a harder threshold, what another one asks.
    """
    rows: list[_Row] = []
    for claim in CLAIMS:
        rows += _claim_rows(claim, probes if claim.probe else scores, settings)
    return pd.DataFrame(rows, columns=COLUMNS).astype(
        {"counted": bool, "seed": "Int64", "n": "Int64", "clusters": "Int64"}
    )


def _claim_rows(claim: Claim, cells: Cells, settings: BuildTablesSettings) -> list[_Row]:
    statistics = settings.statistics
    roles = {role: settings.role(role) for role in (*claim.higher, *claim.lower)}
    # None where the study has no such bucket.
    bucket_or_probe = claim.bucket_or_probe if claim.probe else settings.bucket(claim.bucket_or_probe)
    present: dict[tuple[str, str, str], list[str]] = {}
    strategies: dict[str, set[str]] = {}
    for key in cells.cells:
        if key.bucket_or_probe != bucket_or_probe or key.model == "none":
            continue
        if key.metric == _metric(claim, key.task, cells, settings):
            models = present.setdefault((key.task, key.test_set, key.composition), [])
            if key.model not in models:
                models.append(key.model)
            strategies.setdefault(key.task, set()).add(key.strategy)

    drafts: list[tuple[_Row, list[Pair | None], Bar]] = []
    for (task, test_set, composition), models in present.items():
        if not set(roles.values()) <= strategies[task]:
            continue
        metric = _metric(claim, task, cells, settings)
        bar = _bar(claim, metric, statistics)
        for model in models:
            cell = CellKey(task, test_set, model, "", composition, bucket_or_probe or "", metric)
            pairs = [
                _pair(roles, higher, lower, cell, cells, bar, statistics)
                for higher in claim.higher
                for lower in claim.lower
            ]
            row = {"task": task, "model": model, "test_set": test_set, "composition": composition, "metric": metric}
            drafts.append((row, pairs, bar))

    # One family per claim: it is one question, asked of several models, tasks and compositions.
    shown = holm([max((pair.p_above if pair else math.nan for pair in pairs), key=_nan_last) for _, pairs, _ in drafts])
    refuted = iter(holm([pair.p_below if pair else math.nan for _, pairs, _ in drafts for pair in pairs]))
    rows = [
        _finish(claim, row, [(pair, next(refuted)) for pair in pairs], p, bar, statistics)
        for (row, pairs, bar), p in zip(drafts, shown, strict=True)
    ]
    return rows + _summaries(claim, rows, settings)


def _bar(claim: Claim, metric: str, statistics: Statistics) -> Bar:
    scale = 1.0 if claim.probe else get_metric(metric).maximum
    if claim.large:
        return Bar(statistics.large_effect * scale, statistics.large_effect * scale)
    if claim.margin:
        margin = getattr(statistics, claim.margin + ("_nats" if metric == "likelihood" else "")) * scale
        return Bar(-margin, -margin)
    probed = "likelihood" if metric == "likelihood" else claim.bucket_or_probe
    return Bar(0.0, statistics.min_effects[cast(Effect, probed if claim.probe else metric)])


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _metric(claim: Claim, task: str, cells: Cells, settings: BuildTablesSettings) -> str:
    """Return the headline metric; for probes generated answers, and likelihoods where a task has no such ones."""
    if not claim.probe:
        return settings.headline.get(task, cells.headline.get(task, ""))
    measures = {key.metric for key in cells.cells if key.task == task}
    return "generation" if "generation" in measures else "likelihood"


def _last(cells: Cells, key: CellKey) -> dict[int | None, Cell]:
    steps = cells.cells.get(key, {})
    return steps[max(steps)] if steps else {}


def _pair(
    roles: dict[str, str], higher: str, lower: str, key: CellKey, cells: Cells, bar: Bar, statistics: Statistics
) -> Pair | None:  # fmt: skip
    """Compare two systems in a cell, seed by seed; None if they were not both measured."""
    left, right = (_last(cells, key._replace(strategy=roles[role])) for role in (higher, lower))
    # What has no seed, as the base, is compared with every one.
    shared = {*left, *right} if None in left or None in right else set(left) & set(right)
    seeds = sorted(seed for seed in shared if seed is not None)
    if not left or not right or not seeds:
        return None
    differences: dict[int | None, Cell] = {}
    for seed in seeds:
        a, b = (side[seed] if seed in side else side[None] for side in (left, right))
        differences[seed] = Cell(
            a.value - b.value, a.replicates - b.replicates, min(a.n, b.n), min(a.clusters, b.clusters)
        )
    cell = over_seeds(differences)
    low, high = cell.interval(statistics.confidence)
    p_above, p_below = (
        p_value(cell.value - bound, cell.replicates, cell.clusters, cell.runs) for bound in (bar.above, bar.threshold)
    )
    return Pair(
        difference=cell.value,
        low=low,
        high=high,
        p_above=p_above,
        p_below=p_below,
        clusters=cell.clusters,
        n=cell.n,
        seeds=tuple(seeds),
        text=f"{ROLES[higher]} − {ROLES[lower]}",
    )


def verdict(pair: Pair, p_shown: float, p_refuted: float, bar: Bar, statistics: Statistics) -> str:
    """Return the verdict on one oriented difference.

    Args:
        pair: the difference with its interval.
        p_shown: Holm-adjusted ``p_above``.
        p_refuted: Holm-adjusted ``p_below``.
        bar: what it is held against.
        statistics: confidence and min_clusters.

    Returns:
        "shows" where the interval lies above ``bar.above``, so does the corrected test, and the effect is at least the
        threshold; "shows, but small" where all but the last is so; "does not show" where the interval ends below the
        threshold, so does the corrected test, and the interval isn't above ``bar.above``; "can't tell" otherwise, and
        with fewer than ``min_clusters``.
    """
    numbers = (pair.difference, pair.low, pair.high, p_shown, p_refuted)
    if pair.clusters < statistics.min_clusters or any(map(math.isnan, numbers)):
        return UNSURE
    error = 1 - statistics.confidence
    if pair.low > bar.above:
        if p_shown >= error:
            return UNSURE
        return SHOWS if pair.difference >= bar.threshold else SMALL
    return NOT if pair.high < bar.threshold and p_refuted < error else UNSURE


def _finish(
    claim: Claim, row: _Row, pairs: list[tuple[Pair | None, float]], p_shown: float, bar: Bar,
    statistics: Statistics,
) -> _Row:  # fmt: skip
    """Make the row of some pairs, each with its Holm-adjusted ``p_below``."""
    base = {
        "claim": claim.name, "text": claim.text, "source": claim.source, "counted": not claim.large, **row,
        "threshold": bar.threshold,
    }  # fmt: skip
    name = claim.bucket_or_probe
    compared = PROBES[name].score if claim.probe else f"{name} similarity"
    if row["metric"] == "likelihood":
        compared += " (nats per label token)" if name in ("icl", "icl_valid") else " (nats per token)"
    measured = [(pair, p) for pair, p in pairs if pair is not None]
    if len(measured) < len(pairs):
        return base | {
            "scope": "not measured", "quantity": f"{compared}: a system is missing", "verdict": UNSURE, "seed": None,
            "difference": math.nan, "ci_low": math.nan, "ci_high": math.nan, "p_holm": math.nan,
            "p_refuted": math.nan, "n": None, "clusters": None,
        }  # fmt: skip
    verdicts = {verdict(pair, p_shown, p, bar, statistics) for pair, p in measured}
    total = next(name for name in (NOT, UNSURE, SMALL, SHOWS) if name in verdicts)
    closest = min((pair for pair, _ in measured), key=lambda pair: pair.difference)
    seeds = closest.seeds
    return base | {
        "seed": seeds[0] if len(seeds) == 1 else None,
        "scope": "for this training run" if len(seeds) == 1 else f"over {len(seeds)} training runs",
        "quantity": f"{closest.text}, {compared}" + (" (closest rival)" if len(pairs) > 1 else ""),
        "difference": closest.difference,
        "ci_low": closest.low,
        "ci_high": closest.high,
        "p_holm": p_shown,
        "p_refuted": min((p for _, p in measured), key=_nan_last),
        "n": closest.n,
        "clusters": closest.clusters,
        "verdict": total,
    }


def _summaries(claim: Claim, rows: list[_Row], settings: BuildTablesSettings) -> list[_Row]:
    groups: dict[tuple[str, str], dict[str, list[_Row]]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["test_set"]), {}).setdefault(row["model"], []).append(row)
    result = []
    for (task, test_set), models in groups.items():
        compositions = {row["composition"] for cells in models.values() for row in cells}
        wanted = compositions if claim.probe else {*settings.compositions.get(task, compositions)}
        complete = [cells for cells in models.values() if wanted <= {row["composition"] for row in cells}]
        shown = sum(all(row["verdict"] == SHOWS for row in cells) for cells in complete)
        small = sum(all(row["verdict"] in (SHOWS, SMALL) for row in cells) for cells in complete) - shown
        refuted = sum(any(row["verdict"] == NOT for row in cells) for cells in models.values())
        runs = {row["scope"] for cells in models.values() for row in cells} - {"not measured"}
        scope = runs.pop() if len(runs) == 1 else "over several training runs" if runs else "not measured"
        if len(complete) < len(models):
            scope += ", measured in one composition only"
            scope += f" ({len(models) - len(complete)} of {len(models)} models)" if complete else ""
        elif len(wanted) == 1 and not claim.probe:
            scope += ", in one composition"
        result.append(
            {
                "claim": claim.name,
                "text": claim.text,
                "source": claim.source,
                "counted": not claim.large,
                "task": task,
                "model": "all",
                "test_set": test_set,
                "metric": next(iter(models.values()))[0]["metric"],
                "composition": "every" if len(compositions) > 1 else next(iter(compositions)),
                "scope": scope,
                "quantity": f"{shown} show, {f'{small} show but small, ' if small else ''}{refuted} do not, "
                f"{len(models) - shown - small - refuted} can't tell",
                "seed": None, "difference": math.nan, "ci_low": math.nan, "ci_high": math.nan, "p_holm": math.nan,
                "p_refuted": math.nan,
                "threshold": next(iter(models.values()))[0]["threshold"], "n": None, "clusters": None,
                "verdict": f"{shown} of {len(models)} model{'' if len(models) == 1 else 's'}",
            }
        )  # fmt: skip
    return result
