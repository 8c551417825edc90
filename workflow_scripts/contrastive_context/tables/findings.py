"""A verdict for each claim and task, pooled over models and training runs; the rows of single models describe it.

Where a claim has several pairs of systems, several buckets or compositions, every one has to hold (an
intersection-union test), and the closest is shown. One that fails refutes the claim, so there each is a test of its
own. Holm's correction is over the claims of one task, for showing as for refuting.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from contrastive_context.config.claims import CLAIMS, OF_PROBES, Claim
from contrastive_context.config.statistics import Effect, Statistics
from contrastive_context.core.buckets import ascending
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.bootstrap import holm, p_value
from contrastive_context.tables.comparisons import Comparisons, Difference, NotMeasuredError, Where
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.tables.tidy import Cell, Cells, over_models, over_runs
from contrastive_context.tables.vocabulary import PROBES, ROLES

SHOWS, SMALL, NOT, UNSURE, UNTRAINED, NOT_ASKED = VERDICTS = (
    "shows", "shows, but small", "does not show", "can't tell", "trained too short to judge", "not asked",
)  # fmt: skip
ALL = "all"
"""Stands for the models together; its rows have the verdicts."""

COLUMNS = [
    "claim", "text", "source", "task", "model", "test_set", "composition", "metric", "quantity", "difference", "ci_low",
    "ci_high", "family_low", "family_high", "positive", "models", "runs", "p_holm", "p_refuted", "threshold", "n",
    "clusters", "verdict", "reason",
]  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """What a difference is held against.

    Attributes:
        above: the claim is shown by what lies above this: 0, or minus the margin within which systems are level.
        threshold: the smallest effect that counts; the claim is refuted by what lies below.
    """

    above: float
    threshold: float


@dataclass(frozen=True)
class Pair:
    """Two systems compared in one quantity and composition: the differences of each model's runs.

    Attributes:
        text: the systems and the quantity in words.
        composition: of the contexts; "none" of probes.
        runs: model → difference of each of its runs.
        bar: what the difference is held against.
    """

    text: str
    composition: str
    runs: dict[str, list[Cell]]
    bar: Bar

    def pooled(self) -> Cell:
        """Return the mean over models of their means over runs."""
        return over_runs([*self.runs.values()])

    def p(self, bound: float) -> float:
        """Return the two-sided p of "no different from ``bound``"."""
        cell = self.pooled()
        return p_value(cell.value - bound, cell.replicates, cell.clusters, cell.runs)


@dataclass
class Draft:
    """A claim about a task and test set before Holm's correction; ``unjudged``: its verdict and why it isn't tested."""

    claim: Claim
    task: str
    test_set: str
    metric: str
    pairs: list[Pair]
    unjudged: tuple[str, str] | None

    @property
    def judged(self) -> bool:
        """Whether it is tested."""
        return self.unjudged is None


def build(scores: Cells, probes: Cells, settings: BuildTablesSettings) -> pd.DataFrame:
    """Return the findings table.

    Per claim, task and test set a row for all models (``model`` "all"), which has the verdict, and one for each model.
    ``ci_*`` is for these models, ``family_*`` for any such model (Student's t over the models' means), ``positive`` how
    many of the models lie on the claim's side of what it is held against. A claim about a strategy that a task doesn't
    have is left out. The step is the last one, or what the claim says. ``reason`` says why a claim wasn't judged.
    """
    rows: list[dict[str, Any]] = []
    for drafts in by_task(scores, probes, settings):
        shown = holm([_largest([pair.p(pair.bar.above) for pair in draft.pairs if draft.judged]) for draft in drafts])
        refuted = holm([pair.p(pair.bar.threshold) for draft in drafts if draft.judged for pair in draft.pairs])
        of_pairs = iter(refuted)
        for draft, p in zip(drafts, shown, strict=True):
            against = [next(of_pairs) for _ in draft.pairs] if draft.judged else []
            rows += _rows(draft, p, against, settings.statistics)
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(("n", "clusters", "positive", "models"), "Int64"))


def by_task(scores: Cells, probes: Cells, settings: BuildTablesSettings) -> Iterator[list[Draft]]:
    """Yield the claims of each task, Holm's families, with what they compare."""
    comparisons = Comparisons(scores, probes, settings)
    for task in dict.fromkeys(key.task for cells in (scores, probes) for key in cells.cells):
        yield [draft for claim in CLAIMS for draft in _drafts(claim, task, comparisons)]


def _drafts(claim: Claim, task: str, comparisons: Comparisons) -> Iterator[Draft]:
    settings = comparisons.settings
    names = {settings.role(role) for role in (*claim.higher, *claim.lower)}
    if not names <= comparisons.strategies(task):
        return
    probe = claim.quantity in OF_PROBES
    places = [where for where in comparisons.places(probe=probe) if where.task == task]
    for test_set in dict.fromkeys(where.test_set for where in places):
        of_set = [where for where in places if where.test_set == test_set]
        yield _draft(claim, task, test_set, of_set, comparisons, probe=probe)


def _draft(
    claim: Claim, task: str, test_set: str, places: Sequence[Where], comparisons: Comparisons, *, probe: bool
) -> Draft:
    settings = comparisons.settings
    metric = comparisons.metric(task, probe=probe)
    compositions = ["none"] if probe else settings.compositions.get(task) or sorted({p.composition for p in places})
    models = list(dict.fromkeys(where.model for where in places))
    buckets = ascending(settings.buckets)
    quantities = {"low": buckets[:1], "high": buckets[-1:], "every bucket": buckets}.get(
        claim.quantity, [claim.quantity]
    )
    measured: dict[str, dict[tuple[str, str, str, str], Difference]] = {}
    lacking: dict[str, str] = {}
    for model in models:
        try:
            measured[model] = {
                (higher, lower, quantity, composition): comparisons.difference(
                    claim, higher, lower, quantity, Where(task, test_set, composition, model)
                )
                for composition in compositions
                for quantity in quantities
                for higher in claim.higher
                for lower in claim.lower
            }
        except NotMeasuredError as error:
            lacking[model] = str(error)
    pairs = []
    for key in next(iter(measured.values()), {}):
        higher, lower, quantity, composition = key
        mean_lower = sum(found[key].lower for found in measured.values()) / len(measured)
        pairs.append(
            Pair(
                f"{ROLES[higher]} − {ROLES[lower]}, {_in_words(quantity, metric)}",
                composition,
                {model: found[key].runs for model, found in measured.items()},
                _bar(claim, quantity, metric, mean_lower, settings, task),
            )
        )
    here = [where for where in places if where.model in measured]
    if (why := settings.claims_of(task).left_out.get(claim.name)) is not None:
        unjudged: tuple[str, str] | None = (NOT_ASKED, why)
    elif not pairs:
        unjudged = (UNSURE, next(iter(lacking.values()), "nothing was measured"))
    else:
        unjudged = _not_judged(claim, here, pairs, comparisons)
    return Draft(claim, task, test_set, metric, pairs, unjudged)


def _bar(claim: Claim, quantity: str, metric: str, lower: float, settings: BuildTablesSettings, task: str) -> Bar:
    statistics = settings.statistics
    if quantity in PROBES or quantity == "retention":
        name = "likelihood" if metric == "likelihood" and quantity != "retention" else quantity
        return Bar(0.0, statistics.min_effects[cast(Effect, name)])
    maximum = get_metric(metric).maximum
    if claim.level:
        own = settings.claims_of(task).level_margin
        margin = (statistics.level_margin if own is None else own) * maximum
        return Bar(-margin, -margin)
    # Near the top no absolute difference could be reached.
    return Bar(0.0, min(statistics.min_effects[cast(Effect, metric)], (maximum - lower) / 10))


def _in_words(quantity: str, metric: str) -> str:
    if quantity == "retention":
        return "retention of both"
    if quantity in PROBES:
        unit = {"likelihood": " (nats per label token)" if quantity == "icl" else " (nats per token)"}.get(metric, "")
        return PROBES[quantity].score + unit
    return "mean over buckets" if quantity == "mean" else f"{quantity} similarity"


def _not_judged(
    claim: Claim, places: Sequence[Where], pairs: Sequence[Pair], comparisons: Comparisons
) -> tuple[str, str] | None:
    """Return why a claim can't be judged, after the verdict that says so; None if it can."""
    statistics = comparisons.settings.statistics
    # Where nothing tells how much was learned, training is taken to have been long enough.
    if (learned := _mean(map(comparisons.learned, places))) < statistics.min_learned:
        return UNTRAINED, (
            f"the best strategy's score without relevant examples is {learned:.3f} above the base's; "
            f"{statistics.min_learned:g} are needed"
        )
    kept_or_lost = claim.quantity in ("icl", "retention")
    if kept_or_lost and (icl := _mean(map(comparisons.base_icl, places))) < statistics.min_learned:
        return UNSURE, f"the base's ICL-score is {icl:.3f}: there is none to keep or lose"
    cells = [pair.pooled() for pair in pairs]
    if (least := min(cell.n for cell in cells)) < statistics.min_targets:
        return UNSURE, f"{least} targets; {statistics.min_targets} are needed"
    if (least := min(cell.clusters for cell in cells)) < statistics.min_clusters:
        return UNSURE, f"targets of {least} clusters; {statistics.min_clusters} are needed"
    return None


def _mean(values: Iterable[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def _largest(values: Sequence[float]) -> float:
    return max(values, key=lambda value: math.inf if math.isnan(value) else value, default=math.nan)


def verdict(cell: Cell, p_shown: float, p_refuted: float, bar: Bar, confidence: float) -> str:
    """Return the verdict on one difference.

    Args:
        cell: the difference.
        p_shown: Holm-adjusted p against ``bar.above``.
        p_refuted: Holm-adjusted p against ``bar.threshold``.
        bar: what it is held against.
        confidence: level of the interval.

    Returns:
        "shows" where the interval lies above ``bar.above``, so does the corrected test, and the effect is at least the
        threshold; "shows, but small" where all but the last is so; "does not show" where the interval ends below the
        threshold, so does the corrected test, and the interval isn't above ``bar.above``; "can't tell" otherwise.
    """
    low, high = cell.interval(confidence)
    if any(map(math.isnan, (cell.value, low, high, p_shown, p_refuted))):
        return UNSURE
    error = 1 - confidence
    if low > bar.above:
        if p_shown >= error:
            return UNSURE
        return SHOWS if cell.value >= bar.threshold else SMALL
    return NOT if high < bar.threshold and p_refuted < error else UNSURE


def _rows(draft: Draft, p_shown: float, p_refuted: Sequence[float], statistics: Statistics) -> list[dict[str, Any]]:
    claim = draft.claim
    base = {
        "claim": claim.name, "text": claim.text, "source": claim.source, "task": draft.task,
        "test_set": draft.test_set, "metric": draft.metric,
    }  # fmt: skip
    reason = ""
    if draft.judged:
        each = [
            verdict(pair.pooled(), p_shown, p, pair.bar, statistics.confidence)
            for pair, p in zip(draft.pairs, p_refuted, strict=True)
        ]
        total = next(name for name in (NOT, UNSURE, SMALL, SHOWS) if name in each)
    else:
        total, reason = cast(tuple[str, str], draft.unjudged)
    row = base | {
        "model": ALL, "composition": "none", "quantity": "", "difference": math.nan, "ci_low": math.nan,
        "ci_high": math.nan, "family_low": math.nan, "family_high": math.nan, "positive": None, "models": None,
        "runs": "", "p_holm": p_shown, "p_refuted": min(p_refuted, default=math.nan), "threshold": math.nan,
        "n": None, "clusters": None, "verdict": total, "reason": reason,
    }  # fmt: skip
    if not draft.pairs:
        return [row]
    closest = min(draft.pairs, key=lambda pair: pair.pooled().value - pair.bar.above)
    models = [*closest.runs]
    family = over_models([*closest.runs.values()])
    low, high = family.interval(statistics.confidence) if family else (math.nan, math.nan)
    own = {model: over_runs([runs]) for model, runs in closest.runs.items()}
    rows = [
        row
        | _numbers(closest, closest.pooled(), len(draft.pairs), statistics)
        | {
            "family_low": low,
            "family_high": high,
            "models": len(models),
            "runs": _runs([*closest.runs.values()]),
            "positive": sum(cell.value > closest.bar.above for cell in own.values()),
        }
    ]
    for model in models:
        pair = min(draft.pairs, key=lambda pair: over_runs([pair.runs[model]]).value - pair.bar.above)
        described = _numbers(pair, over_runs([pair.runs[model]]), len(draft.pairs), statistics)
        no_test = {"p_holm": math.nan, "p_refuted": math.nan, "verdict": "", "reason": ""}
        rows.append(row | described | no_test | {"model": model, "runs": _runs([pair.runs[model]])})
    return rows


def _numbers(pair: Pair, cell: Cell, pairs: int, statistics: Statistics) -> dict[str, Any]:
    low, high = cell.interval(statistics.confidence)
    return {
        "composition": pair.composition, "quantity": pair.text + (f" (closest of {pairs})" if pairs > 1 else ""),
        "difference": cell.value, "ci_low": low, "ci_high": high, "threshold": pair.bar.threshold, "n": cell.n,
        "clusters": cell.clusters,
    }  # fmt: skip


def _runs(models: Sequence[Sequence[Cell]]) -> str:
    """Say how many training runs a row rests on."""
    counts = sorted({len(runs) for runs in models})
    return " or ".join(map(str, counts)) + (" each" if len(models) > 1 else "")
