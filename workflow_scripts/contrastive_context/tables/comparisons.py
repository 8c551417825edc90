"""What claims compare, run by run: scores in a bucket, their mean over the buckets, probes, and what is kept of both.

A difference is made of each training run before anything is averaged, with the bootstrap's draws that all systems
share; so what two systems have in common cancels.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from contrastive_context.config.claims import Claim
from contrastive_context.core.buckets import ascending
from contrastive_context.core.names import BASE, NEAREST_LABEL
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.tables.tidy import Cell, CellKey, Cells, over_runs
from contrastive_context.tables.vocabulary import PROBES, STRATEGIES

BySeed = Mapping[int | None, Cell]
"""Cells by training seed; None: of no training."""


class NotMeasuredError(Exception):
    """What a claim compares was not measured; the message says what is missing."""


@dataclass(frozen=True)
class Where:
    """Where systems are compared: a task, one of its test sets and a composition ("none" of probes), and a model."""

    task: str
    test_set: str
    composition: str
    model: str


class Comparisons:
    """Looks up what a run measured."""

    def __init__(self, scores: Cells, probes: Cells, settings: BuildTablesSettings) -> None:
        """See :mod:`contrastive_context.tables.findings`."""
        self.settings = settings
        self._scores, self._probes = scores, probes
        self._measures = {key.task: set[str]() for key in probes.cells}
        for key in probes.cells:
            self._measures[key.task].add(key.metric)

    def metric(self, task: str, *, probe: bool) -> str:
        """Return the headline metric; for probes generated answers, and likelihoods where a task has no such ones."""
        if not probe:
            return self.settings.headline.get(task) or self._scores.headline.get(task, "")
        return "generation" if "generation" in self._measures.get(task, ()) else "likelihood"

    def places(self, *, probe: bool) -> list[Where]:
        """Return where there are results, in their order."""
        found = (
            Where(key.task, key.test_set, key.composition, key.model)
            for key in (self._probes if probe else self._scores).cells
            if key.model != "none" and key.composition != "zero_context"
        )
        return list(dict.fromkeys(found))

    def strategies(self, task: str) -> set[str]:
        """Return all systems of a task."""
        return {key.strategy for cells in (self._scores, self._probes) for key in cells.cells if key.task == task}

    def difference(self, claim: Claim, higher: str, lower: str, quantity: str, where: Where) -> "Difference":
        """Compare two systems of a model in each training run.

        Raises:
            NotMeasuredError: one of them has no such value.
        """
        high, low = (self._value(quantity, role, where, claim.after) for role in (higher, lower))
        share = claim.of_higher
        runs = _each(lambda a, b: share * a - b, high, low)
        return Difference(
            [runs[seed] for seed in sorted(runs, key=_seed)], float(np.mean([c.value for c in low.values()]))
        )

    def learned(self, where: Where) -> float:
        """Return how far the best strategy's IWL-score lies above the base's; NaN where that wasn't measured.

        For a task without probes it is the score at low similarity, as a share of its scale.
        """
        quantity = "iwl" if self._measures.get(where.task) else ascending(self.settings.buckets)[0]
        maximum = 1.0 if quantity == "iwl" else get_metric(self.metric(where.task, probe=False)).maximum
        try:
            return (self._best(quantity, where).value - _one(self._value(quantity, BASE, where)).value) / maximum
        except NotMeasuredError:
            return float("nan")

    def base_icl(self, where: Where) -> float:
        """Return the base's ICL-score; NaN where it wasn't measured."""
        try:
            return _one(self._value("icl", BASE, where)).value
        except NotMeasuredError:
            return float("nan")

    def _value(self, quantity: str, role: str, where: Where, after: float = 1.0) -> BySeed:
        if quantity == "retention":
            return self._retention(role, where)
        if quantity in PROBES:
            return self._probe(quantity, role, where, after)
        if quantity == "mean":
            return _each(_mean, *(self._in_bucket(name, role, where) for name in self.settings.buckets))
        return self._in_bucket(quantity, role, where)

    def _in_bucket(self, bucket: str, role: str, where: Where) -> BySeed:
        metric = self.metric(where.task, probe=False)
        strategy = self.settings.role(role)
        key = CellKey(where.task, where.test_set, where.model, strategy, where.composition, bucket, metric)
        return self._at(self._scores, key, 1.0, f"scores of {role} at {bucket} similarity")

    def _probe(self, probe: str, role: str, where: Where, after: float = 1.0) -> BySeed:
        metric = self.metric(where.task, probe=True)
        key = CellKey(where.task, "none", where.model, self.settings.role(role), "none", probe, metric)
        return self._at(self._probes, key, after, f"the {probe.upper()}-score of {role}")

    def _at(self, cells: Cells, key: CellKey, after: float, what: str) -> BySeed:
        steps = cells.cells.get(key, {})
        if not steps:
            raise NotMeasuredError(f"{what} is missing")
        if key.strategy == BASE or after == 1.0:
            return steps[max(steps)]
        wanted = after * max(steps)
        reached = [step for step in steps if wanted / 2 <= step <= wanted]
        if not reached:
            raise NotMeasuredError(f"{what} was not measured at step {wanted:g} or somewhat before")
        return steps[max(reached)]

    def _best(self, quantity: str, where: Where) -> Cell:
        """Return the mean over runs of the strategy with the highest one; no ablation is among them."""
        means = []
        for name in STRATEGIES.keys() - {BASE, NEAREST_LABEL}:
            with contextlib.suppress(NotMeasuredError):
                means.append(over_runs([list(self._value(quantity, name, where).values())]))
        if not means:
            raise NotMeasuredError("no trained system was measured")
        return max(means, key=lambda cell: cell.value)

    def _retention(self, role: str, where: Where) -> BySeed:
        icl, iwl = (self._probe(probe, role, where) for probe in ("icl", "iwl"))
        base_icl, base_iwl = (self._probe(probe, BASE, where) for probe in ("icl", "iwl"))
        return _each(_kept_of_both, icl, iwl, base_icl, base_iwl, {None: self._best("iwl", where)})


@dataclass(frozen=True)
class Difference:
    """Higher minus lower of each training run, and the lower one's mean value."""

    runs: list[Cell]
    lower: float


def _mean(*values: "float | np.ndarray") -> "float | np.ndarray":
    return sum(values) / len(values)


def _kept_of_both(*values: "float | np.ndarray") -> "float | np.ndarray":
    icl, iwl, base_icl, base_iwl, best_iwl = map(np.asarray, values)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.clip(icl / base_icl, 0, 1)
        gained = np.clip((iwl - base_iwl) / (best_iwl - base_iwl), 0, 1)
    return np.minimum(kept, gained)


def _each(make: Callable[..., "float | np.ndarray"], *sides: BySeed) -> dict[int | None, Cell]:
    """Make a value of each training seed; what has no seed, as the base, goes with every one.

    Raises:
        NotMeasuredError: no seed is in all of the sides.
    """
    with_seeds = [set(side) for side in sides if None not in side]
    seeds: set[int | None] = set.intersection(*with_seeds) if with_seeds else {None}
    if not seeds:
        raise NotMeasuredError("the systems have no training seed in common")
    result: dict[int | None, Cell] = {}
    for seed in seeds:
        cells = [side[seed if seed in side else None] for side in sides]
        result[seed] = Cell(
            float(make(*(cell.value for cell in cells))),
            np.asarray(make(*(cell.replicates for cell in cells))),
            min(cell.n for cell in cells),
            min(cell.clusters for cell in cells),
        )
    return result


def _one(values: BySeed) -> Cell:
    return next(iter(values.values()))


def _seed(seed: int | None) -> int:
    return -1 if seed is None else seed
