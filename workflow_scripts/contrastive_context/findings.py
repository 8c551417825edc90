"""The paper's claims as paired comparisons, each with an interval and a verdict.

Every comparison is written as *higher minus lower*, so that a positive difference supports the claim. Where a claim
names one system against several, the closest pair is shown and every pair has to hold (an intersection-union test).
"""

import math
from dataclasses import dataclass
from typing import Any

from contrastive_context.bootstrap import holm, interval, p_value
from contrastive_context.config.statistics import Statistics
from contrastive_context.metrics import get_metric
from contrastive_context.tables import Cell, CellKey, Cells, Settings, over_seeds

SHOWS, NOT, UNSURE = "shows", "does not show", "can't tell"
_NAMES = {"base": "base", "zero": "Zero", "random": "Random", "similar": "Similar", "contrastive": "Contrastive"}
_PROBES = {"iwl": "IWL-score", "icl": "ICL-score", "icl_valid": "ICL-score (valid label)", "copy": "Copy-score"}


@dataclass(frozen=True)
class Claim:
    """A claim: every ``higher`` system scores above every ``lower`` one at ``place`` (a bucket or a probe).

    Attributes:
        name: key in the table.
        text: the claim in words.
        source: where it is said, or "ours" for a check of ours.
        higher: roles that should score higher.
        lower: roles that should score lower.
        place: bucket, or probe where ``probe`` is set.
        probe: looked up in the probes instead of the scores.
        margin: Statistics field; the claim is then "higher is not below lower by more than this".
        large: the effect has to reach Statistics.large_effect instead of min_effects.
    """

    name: str
    text: str
    source: str
    higher: tuple[str, ...]
    lower: tuple[str, ...]
    place: str
    probe: bool = False
    margin: str | None = None
    large: bool = False


_RIVALS = ("base", "zero", "random", "similar")
CLAIMS: tuple[Claim, ...] = (
    Claim("zero_below_base_high", "Zero ends below the un-tuned base at high similarity", "paper, abstract",
          ("base",), ("zero",), "high"),
    Claim("random_below_base_high", "Random ends below the un-tuned base at high similarity", "paper, abstract",
          ("base",), ("random",), "high"),
    Claim("random_below_zero_high", "Random is even worse than Zero at high similarity", "paper, abstract",
          ("zero",), ("random",), "high"),
    Claim("similar_below_zero_low", "Similar is worse than Zero at low similarity", "paper, abstract",
          ("zero",), ("similar",), "low"),
    Claim("similar_below_random_low", "Similar is worse than Random at low similarity", "paper, abstract",
          ("random",), ("similar",), "low"),
    Claim("similar_far_below_zero_low", "… and by a tenth of the scale or more (Zero)", "ours",
          ("zero",), ("similar",), "low", large=True),
    Claim("similar_far_below_random_low", "… and by a tenth of the scale or more (Random)", "ours",
          ("random",), ("similar",), "low", large=True),
    Claim("contrastive_best_medium", "Contrastive is best at medium similarity", "paper says: among the best",
          ("contrastive",), _RIVALS, "medium"),
    Claim("contrastive_best_high", "Contrastive is best at high similarity", "paper says: among the best",
          ("contrastive",), _RIVALS, "high"),
    Claim("contrastive_near_random_low", "Contrastive is level with Random at low similarity",
          "paper says: among the best", ("contrastive",), ("random",), "low", margin="near_margin"),
    Claim("similar_lowest_iwl", "Similar has the lowest IWL-score", "our reading of figure 4",
          ("random", "contrastive"), ("similar",), "iwl", probe=True),
    Claim("random_loses_icl", "Random's ICL-score falls below the base's", "our reading of figure 4",
          ("base",), ("random",), "icl", probe=True),
    Claim("random_loses_icl_valid", "Random's ICL-score falls below the base's (valid label)",
          "our reading of figure 4", ("base",), ("random",), "icl_valid", probe=True),
    Claim("contrastive_keeps_icl", "Contrastive keeps the base's ICL-score", "our reading of figure 4",
          ("contrastive",), ("base",), "icl", probe=True, margin="icl_margin"),
    Claim("contrastive_keeps_icl_valid", "Contrastive keeps the base's ICL-score (valid label)",
          "our reading of figure 4", ("contrastive",), ("base",), "icl_valid", probe=True, margin="icl_margin"),
    Claim("similar_highest_copy", "Similar has the highest Copy-score", "our reading of figure 4",
          ("similar",), ("random", "contrastive"), "copy", probe=True),
)  # fmt: skip

COLUMNS = [
    "claim", "text", "source", "task", "model", "test_set", "composition", "seed", "scope", "metric", "quantity",
    "difference", "ci_low", "ci_high", "p_holm", "threshold", "n", "clusters", "verdict",
]  # fmt: skip


@dataclass(frozen=True)
class _Pair:
    difference: float
    low: float
    high: float
    p: float
    clusters: int
    n: int
    seeds: tuple[int, ...]
    text: str


def build(scores: Cells, probes: Cells, settings: Settings) -> "Any":
    """Return the findings table.

    One row per (claim, task, model, test set, composition), and one per (claim, task, test set) over the models with
    verdict "k of m models": those that show it in every composition. A claim about a strategy that a task doesn't
    have is left out; a comparison that one model lacks is there and reads "can't tell". The step is always the last.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for claim in CLAIMS:
        rows += _claim_rows(claim, probes if claim.probe else scores, settings)
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64", "n": "Int64", "clusters": "Int64"})


def _claim_rows(claim: Claim, cells: Cells, settings: Settings) -> list[dict[str, Any]]:
    statistics = settings.statistics
    roles = {role: settings.role(role) for role in (*claim.higher, *claim.lower)}
    place = claim.place if claim.probe else settings.bucket(claim.place)
    present: dict[tuple[str, str, str], list[str]] = {}
    strategies: dict[str, set[str]] = {}
    for key in cells.cells:
        if key.place == place and key.metric == _metric(claim, key.task, cells, settings) and key.model != "none":
            models = present.setdefault((key.task, key.test_set, key.composition), [])
            if key.model not in models:
                models.append(key.model)
            strategies.setdefault(key.task, set()).add(key.strategy)

    drafts: list[tuple[dict[str, Any], list[_Pair | None], float]] = []
    for (task, test_set, composition), models in present.items():
        if not set(roles.values()) <= strategies[task]:
            continue
        metric = _metric(claim, task, cells, settings)
        scale = 1.0 if claim.probe else get_metric(metric).maximum
        probed = "likelihood" if metric == "likelihood" else claim.place
        threshold = statistics.min_effects.get(probed if claim.probe else metric, 0.0)
        if claim.large:
            threshold = statistics.large_effect * scale
        if claim.margin:
            threshold = -getattr(statistics, claim.margin + ("_nats" if metric == "likelihood" else "")) * scale
        for model in models:
            pairs = [
                _pair(
                    roles,
                    higher,
                    lower,
                    (task, test_set, model, composition, place, metric),
                    cells,
                    threshold,
                    statistics,
                )
                for higher in claim.higher
                for lower in claim.lower
            ]
            row = {"task": task, "model": model, "test_set": test_set, "composition": composition, "metric": metric}
            drafts.append((row, pairs, threshold))

    # One family per claim: it is one question, asked of several models, tasks and compositions.
    p_values = [max((pair.p if pair else math.nan for pair in pairs), key=_nan_last) for _, pairs, _ in drafts]
    rows = []
    for (row, pairs, threshold), p in zip(drafts, holm(p_values), strict=True):
        rows.append(_finish(claim, row, pairs, p, threshold, statistics))
    return rows + _summaries(claim, rows)


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _metric(claim: Claim, task: str, cells: Cells, settings: Settings) -> str:
    """Return the headline metric; for probes generated answers, and likelihoods where a task has no such ones."""
    if not claim.probe:
        return settings.headline.get(task, cells.headline.get(task, ""))
    measures = {key.metric for key in cells.cells if key.task == task}
    return "generation" if "generation" in measures else "likelihood"


def _last(cells: Cells, key: CellKey) -> dict[int | None, Cell]:
    steps = cells.cells.get(key, {})
    return steps[max(steps)] if steps else {}


def _pair(
    roles: dict[str, str], higher: str, lower: str, where: tuple[str, ...], cells: Cells, threshold: float,
    statistics: Statistics,
) -> _Pair | None:  # fmt: skip
    """Compare two systems, seed by seed; None if they were not both measured."""
    task, test_set, model, composition, place, metric = where
    left, right = (
        _last(cells, CellKey(task, test_set, model, roles[role], composition, place, metric))
        for role in (higher, lower)
    )
    seeds = sorted(({*left, *right} - {None}) if None in left or None in right else set(left) & set(right))
    if not left or not right or not seeds:
        return None
    differences: dict[int | None, Cell] = {}
    for seed in seeds:
        a, b = left.get(seed, left.get(None)), right.get(seed, right.get(None))
        differences[seed] = Cell(
            a.value - b.value, a.replicates - b.replicates, min(a.n, b.n), min(a.clusters, b.clusters)
        )
    cell = over_seeds(differences, cells.bootstraps[task, test_set])
    low, high = interval(cell.replicates, statistics.confidence)
    # A claim with a margin asks whether the difference exceeds minus the margin, and is tested there.
    offset = max(-threshold, 0.0)
    return _Pair(
        difference=cell.value,
        low=low,
        high=high,
        p=p_value(cell.value + offset, cell.replicates + offset),
        clusters=cell.clusters,
        n=cell.n,
        seeds=tuple(seeds),
        text=f"{_NAMES[higher]} − {_NAMES[lower]}",
    )


def verdict(
    difference: float, low: float, high: float, p: float, threshold: float, clusters: int, statistics: Statistics
) -> str:
    """Return the verdict on one oriented difference.

    Args:
        difference: higher minus lower.
        low: lower end of its interval.
        high: upper end of its interval.
        p: Holm-adjusted p.
        threshold: the smallest effect that counts (≥ 0), or minus the margin within which systems count as level.
        clusters: independent clusters behind it.
        statistics: confidence and min_clusters.

    Returns:
        "shows" where the interval lies above 0 (above minus the margin), so does the corrected test, and the effect is
        at least the threshold; "does not show" where the whole interval lies at or below 0 or below the threshold;
        "can't tell" otherwise, and with fewer than ``min_clusters``.
    """
    if clusters < statistics.min_clusters or any(map(math.isnan, (difference, low, high, p))):
        return UNSURE
    if low > min(threshold, 0.0) and difference >= threshold and p < 1 - statistics.confidence:
        return SHOWS
    if high < threshold or (threshold >= 0 and high <= 0):
        return NOT
    return UNSURE


def _finish(
    claim: Claim, row: dict[str, Any], pairs: list[_Pair | None], p: float, threshold: float, statistics: Statistics
) -> dict[str, Any]:
    base = {"claim": claim.name, "text": claim.text, "source": claim.source, **row, "threshold": threshold}
    place = _PROBES[claim.place] if claim.probe else f"{claim.place} similarity"
    if row["metric"] == "likelihood":
        place += " (nats per token)"
    measured = [pair for pair in pairs if pair is not None]
    if len(measured) < len(pairs):
        return base | {
            "scope": "not measured", "quantity": f"{place}: a system is missing", "verdict": UNSURE, "seed": None,
            "difference": math.nan, "ci_low": math.nan, "ci_high": math.nan, "p_holm": math.nan,
            "n": None, "clusters": None,
        }  # fmt: skip
    verdicts = [
        verdict(pair.difference, pair.low, pair.high, p, threshold, pair.clusters, statistics) for pair in measured
    ]
    total = NOT if NOT in verdicts else UNSURE if UNSURE in verdicts else SHOWS
    closest = min(measured, key=lambda pair: pair.difference)
    seeds = closest.seeds
    return base | {
        "seed": seeds[0] if len(seeds) == 1 else None,
        "scope": "for this training run" if len(seeds) == 1 else f"over {len(seeds)} training runs",
        "quantity": f"{closest.text}, {place}" + (" (closest rival)" if len(pairs) > 1 else ""),
        "difference": closest.difference,
        "ci_low": closest.low,
        "ci_high": closest.high,
        "p_holm": p,
        "n": closest.n,
        "clusters": closest.clusters,
        "verdict": total,
    }


def _summaries(claim: Claim, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["test_set"]), {}).setdefault(row["model"], []).append(row)
    result = []
    for (task, test_set), models in groups.items():
        shown = sum(all(row["verdict"] == SHOWS for row in cells) for cells in models.values())
        refuted = sum(any(row["verdict"] == NOT for row in cells) for cells in models.values())
        compositions = {row["composition"] for cells in models.values() for row in cells}
        runs = {row["scope"] for cells in models.values() for row in cells} - {"not measured"}
        result.append(
            {
                "claim": claim.name,
                "text": claim.text,
                "source": claim.source,
                "task": task,
                "model": "all",
                "test_set": test_set,
                "metric": next(iter(models.values()))[0]["metric"],
                "composition": "every" if len(compositions) > 1 else next(iter(compositions)),
                "scope": runs.pop() if len(runs) == 1 else "over several training runs" if runs else "not measured",
                "quantity": f"{shown} show, {refuted} do not, {len(models) - shown - refuted} can't tell",
                "seed": None, "difference": math.nan, "ci_low": math.nan, "ci_high": math.nan, "p_holm": math.nan,
                "threshold": next(iter(models.values()))[0]["threshold"], "n": None, "clusters": None,
                "verdict": f"{shown} of {len(models)} model{'' if len(models) == 1 else 's'}",
            }
        )  # fmt: skip
    return result
