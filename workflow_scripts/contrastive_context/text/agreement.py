"""Cheap agreement a(output, reference) in [0, 1], used by the probes and to refuse examples that give gold away.

Texts are compared in one form (NFC): what a model writes may be in another one than gold.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sacrebleu.metrics import CHRF

from contrastive_context.text.normalising import composed
from contrastive_context.text.words import pieces


def token_accuracy(output: str, reference: str) -> float:
    """Share of positions at which the words (:func:`~.words.pieces`) are equal; a missing or extra one is an error."""
    left, right = pieces(composed(output)), pieces(composed(reference))
    if not left and not right:
        return 1.0
    return sum(a == b for a, b in zip(left, right, strict=False)) / max(len(left), len(right))


def exact_match(output: str, reference: str) -> float:
    """1 if the strings are equal after whitespace is normalised, else 0."""
    return float(composed(output).split() == composed(reference).split())


def chrf(output: str, reference: str) -> float:
    """Sentence chrF (character n-grams up to 6, beta 2; sacrebleu) divided by 100."""
    return _chrf().sentence_score(composed(output), [composed(reference)]).score / 100


@functools.cache
def _chrf() -> "CHRF":
    from sacrebleu.metrics import CHRF

    return CHRF(word_order=0)


AGREEMENTS: dict[str, Callable[[str, str], float]] = {
    "token_accuracy": token_accuracy,
    "exact_match": exact_match,
    "chrf": chrf,
}


def get_agreement(name: str) -> Callable[[str, str], float]:
    """Return the agreement function registered under ``name`` (one of config.tasks.Agreement)."""
    return AGREEMENTS[name]
