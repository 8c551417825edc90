"""The only module that uses more of sacrebleu than its documentation promises.

Sacrebleu may move any of this in its next version. ``tests/unit/test_library_internals.py`` then says what is gone.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sacrebleu.metrics import CHRF


def chrf_counts(metric: "CHRF", hypothesis: str, reference: str) -> list[float]:
    """Return a segment's n-gram counts, (hypothesis, reference, matching) for each order, one after the other.

    They are what sacrebleu adds up over a corpus; publicly it gives no more than a segment's score.
    """
    return [float(count) for count in metric._extract_corpus_statistics([hypothesis], [[reference]])[0]]
