"""Metrics of the evaluation: a value per segment, and the sufficient statistics from which the corpus value follows.

Corpus values are computed from *summed* statistics, so that a bootstrap only has to re-weight and add segments. For
means (token accuracy, exact match, intent match) the statistics are the value itself and a count.
"""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contrastive_context.core.errors import UserError
from contrastive_context.scoring.sacrebleu_internals import chrf_counts
from contrastive_context.text import agreement, parses

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU, CHRF


class Segment(NamedTuple):
    """Score of one (hypothesis, reference) pair."""

    value: float
    stats: list[float]


class Metric(ABC):
    """One metric.

    Attributes:
        name: registry key.
        title: name in figures.
        maximum: value of a perfect output, 1 or 100.
        learned: segments are scored by a model, in a process of its own.
    """

    name: str
    title: str
    maximum: float
    learned = False

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest possible value."""
        return 0.0, self.maximum

    @abstractmethod
    def segment(self, hypothesis: str, reference: str) -> Segment:
        """Return the segment's value and statistics (empty for means)."""

    @abstractmethod
    def matrix(self, values: Sequence[float], stats: Sequence[Sequence[float]]) -> np.ndarray:
        """Return what is to be summed over segments, float64 [segments, statistics]."""

    @abstractmethod
    def from_sums(self, sums: np.ndarray) -> np.ndarray:
        """Return corpus values [...] of summed statistics [..., statistics]; NaN where nothing was summed."""

    def aggregate(self, values: Sequence[float], stats: Sequence[Sequence[float]]) -> float:
        """Return the corpus value of some segments, NaN for none."""
        if len(values) == 0:
            return float("nan")
        return float(self.from_sums(self.matrix(values, stats).sum(axis=0)))

    def signature(self) -> str:
        """Return what has to be quoted so that others can repeat the number (sacrebleu's signature where it is its)."""
        return self.name


class _Mean(Metric):
    """Mean of a per-segment value in [0, 1]."""

    maximum = 1.0

    def __init__(self, name: str, title: str, function: Callable[[str, str], float]) -> None:
        self.name, self.title, self._function = name, title, function

    def segment(self, hypothesis: str, reference: str) -> Segment:
        return Segment(float(self._function(hypothesis, reference)), [])

    def matrix(self, values: Sequence[float], stats: Sequence[Sequence[float]]) -> np.ndarray:
        column = np.asarray(values, dtype=np.float64)
        return np.stack([column, np.ones_like(column)], axis=-1)

    def from_sums(self, sums: np.ndarray) -> np.ndarray:
        sums = np.asarray(sums, dtype=np.float64)
        total, count = sums[..., 0], sums[..., 1]
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _never(hypothesis: str, reference: str) -> float:
    raise NotImplementedError("a model says what a segment is worth")


class _Learned(_Mean):
    """Mean of what a model says about each segment; about 0 to 1, but nothing keeps it there."""

    learned = True

    def __init__(self, name: str, title: str) -> None:
        super().__init__(name, title, _never)

    @property
    def bounds(self) -> tuple[float, float]:
        return -math.inf, math.inf

    def segment(self, hypothesis: str, reference: str) -> Segment:
        raise NotImplementedError(f"{self.name}: segments are scored by score_comet.py")


class _Executed(_Learned):
    """Share of queries that give the same set of rows as gold: BIRD's execution accuracy (Li et al. 2023).

    Scored in a step of its own, where queries run in a sandbox (:mod:`contrastive_context.scoring.execution`).
    """

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, self.maximum


class _SlotF1(Metric):
    """Micro-averaged F1 of slots; an output that is no parse has none. Without any slot on either side it is 1.

    Statistics: slots in both, slots of the output, slots of the reference.
    """

    name, title, maximum = "slot_f1", "Slot F1", 1.0

    def segment(self, hypothesis: str, reference: str) -> Segment:
        gold = parses.slots(parses.parse(reference))
        try:
            found = parses.slots(parses.parse(hypothesis))
        except parses.ParseError:
            found = gold - gold
        stats = [float((found & gold).total()), float(found.total()), float(gold.total())]
        value = float(self.from_sums(np.array([*stats, 1.0])))
        return Segment(value, stats)

    def matrix(self, values: Sequence[float], stats: Sequence[Sequence[float]]) -> np.ndarray:
        counts = np.array([np.asarray(row, dtype=np.float64) for row in stats]).reshape(len(values), 3)
        return np.concatenate([counts, np.ones((len(values), 1))], axis=-1)

    def from_sums(self, sums: np.ndarray) -> np.ndarray:
        both, found, gold, count = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
        score = np.divide(2 * both, found + gold, out=np.ones_like(both), where=found + gold > 0)
        return np.where(count > 0, score, np.nan)


class _ChrfPlusPlus(Metric):
    """chrF++ (Popović 2017) as sacrebleu computes it: characters up to 6, words up to 2, beta 2, effective order.

    Statistics: (hypothesis, reference, matching) n-gram counts for each of the 8 orders.
    """

    name, title, maximum = "chrf++", "chrF++", 100.0

    def segment(self, hypothesis: str, reference: str) -> Segment:
        stats = chrf_counts(_sacrebleu_chrf(), hypothesis, reference)
        return Segment(float(self.from_sums(np.array(stats))), stats)

    def matrix(self, values: Sequence[float], stats: Sequence[Sequence[float]]) -> np.ndarray:
        return np.array([np.asarray(row, dtype=np.float64) for row in stats]).reshape(len(values), -1)

    def from_sums(self, sums: np.ndarray) -> np.ndarray:
        # The operations and their order are sacrebleu's (_compute_f_score), for whole arrays of resamples at once.
        counts = np.asarray(sums, dtype=np.float64).reshape(*np.shape(sums)[:-1], -1, 3)
        precision, recall, orders = (np.zeros(counts.shape[:-2]) for _ in range(3))
        for order in range(counts.shape[-2]):
            hypothesis, reference, match = (counts[..., order, column] for column in range(3))
            used = (hypothesis > 0) & (reference > 0)
            precision += np.divide(match, hypothesis, out=np.zeros_like(match), where=used)
            recall += np.divide(match, reference, out=np.zeros_like(match), where=used)
            orders += used
        precision /= np.maximum(orders, 1)
        recall /= np.maximum(orders, 1)
        both = precision + recall > 0
        score = 5 * precision * recall
        score = np.divide(score, 4 * precision + recall, out=np.zeros_like(score), where=both)
        return np.where(counts.sum(axis=(-1, -2)) > 0, 100 * score, np.nan)

    def aggregate(self, values: Sequence[float], stats: Sequence[Sequence[float]]) -> float:
        # Only empty strings on both sides: sacrebleu's convention is 0.
        return float(np.nan_to_num(super().aggregate(values, stats), nan=0.0)) if len(values) else float("nan")

    def signature(self) -> str:
        chrf = _sacrebleu_chrf()
        chrf.corpus_score(["a"], [["a"]])  # the signature knows the number of references only after a call
        return f"chrF++|{chrf.get_signature()}"


class _Bleu(Metric):
    """BLEU by sacrebleu; segments use effective order, the corpus does not.

    Statistics: hypothesis length, reference length, 4 matching and 4 total n-gram counts.
    """

    name, title, maximum = "bleu", "BLEU", 100.0

    def __init__(self, tokenizer: str) -> None:
        self.tokenizer = tokenizer

    def segment(self, hypothesis: str, reference: str) -> Segment:
        score = _sacrebleu_bleu(self.tokenizer).sentence_score(hypothesis, [reference])
        return Segment(score.score, [float(n) for n in (score.sys_len, score.ref_len, *score.counts, *score.totals)])

    def matrix(self, values: Sequence[float], stats: Sequence[Sequence[float]]) -> np.ndarray:
        return np.array([np.asarray(row, dtype=np.float64) for row in stats]).reshape(len(values), -1)

    def from_sums(self, sums: np.ndarray) -> np.ndarray:
        from sacrebleu.metrics import BLEU

        sums = np.asarray(sums, dtype=np.float64)
        scores = [
            BLEU.compute_bleu(row[2:6], row[6:10], int(row[0]), int(row[1]), smooth_method="exp").score
            if any(row)
            else float("nan")
            for row in sums.reshape(-1, 10).tolist()
        ]
        return np.array(scores).reshape(sums.shape[:-1])

    def aggregate(self, values: Sequence[float], stats: Sequence[Sequence[float]]) -> float:
        return float(np.nan_to_num(super().aggregate(values, stats), nan=0.0)) if len(values) else float("nan")

    def signature(self) -> str:
        from sacrebleu.metrics import BLEU

        bleu = BLEU(tokenize=self.tokenizer)
        bleu.corpus_score(["a"], [["a"]])
        return f"BLEU|{bleu.get_signature()}"


@functools.cache
def _sacrebleu_chrf() -> "CHRF":
    from sacrebleu.metrics import CHRF

    return CHRF(word_order=2)


@functools.cache
def _sacrebleu_bleu(tokenizer: str) -> "BLEU":
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=tokenizer, effective_order=True)


def intent_match(output: str, reference: str) -> float:
    """1 if the outermost intents are equal (``Name(…)`` or ``[IN:NAME …]``), else 0; slots are not looked at."""
    return float(parses.intent(output) == parses.intent(reference))


#: Name → the metric, made with BLEU's tokenizer. Names are in config.tasks.Metric, and have a smallest effect that
#: counts in config.statistics.
METRICS: dict[str, Callable[[str], Metric]] = {
    "token_accuracy": lambda _: _Mean("token_accuracy", "Token accuracy", agreement.token_accuracy),
    "exact_match": lambda _: _Mean("exact_match", "Exact match", agreement.exact_match),
    "intent_match": lambda _: _Mean("intent_match", "Intent match", intent_match),
    "tree_match": lambda _: _Mean("tree_match", "Exact tree match", parses.tree_match),
    "slot_f1": lambda _: _SlotF1(),
    "bird_execution_accuracy": lambda _: _Executed("bird_execution_accuracy", "Execution accuracy"),
    "chrf++": lambda _: _ChrfPlusPlus(),
    "bleu": lambda tokenize: _Bleu(tokenize),
    "comet": lambda _: _Learned("comet", "COMET"),
    "comet_qe": lambda _: _Learned("comet_qe", "COMET-QE"),
}


@functools.cache
def get_metric(name: str, tokenize: str = "13a") -> Metric:
    """Return the metric registered under ``name``.

    Args:
        name: one of config.tasks.Metric.
        tokenize: BLEU's tokenizer, for its segments and its signature; nothing else depends on it.

    Raises:
        UserError: no such metric.
    """
    if name not in METRICS:
        raise UserError(f"metrics: unknown metric '{name}'; choose from {', '.join(METRICS)}")
    return METRICS[name](tokenize)
