"""Names for ranges of similarity: of a context it is its most similar example's (``retrieval.similarity``).

Training contexts are named afterwards, with :func:`bucket_of` (``contexts.sampling``); evaluation contexts are made for
a bucket, within :func:`bounds_of` (``contexts.evaluation_contexts``).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: The paper's buckets: name → lower edge, ascending.
DEFAULT_BUCKETS = {"low": 0.0, "medium": 0.33, "high": 0.67}
#: Name of the bucket of a context without examples.
NO_BUCKET = "none"


def ascending(edges: Mapping[str, float]) -> list[str]:
    """Return the buckets in ascending order of their edges, which JSON with sorted keys doesn't keep."""
    return sorted(edges, key=edges.__getitem__)


def bucket_of(similarities: "np.ndarray | float", edges: Mapping[str, float]) -> "np.ndarray":
    """Return the bucket of each similarity.

    Args:
        similarities: any shape; NaN (no example) gives ``"none"``. Compared after rounding to 6 decimals, so that a
            float32 .67 is .67.
        edges: name → lower edge, which belongs to the bucket; in any order. The last bucket has no upper edge.

    Returns:
        Array of names (numpy strings), of the shape of ``similarities``. Below the first edge: ``"none"``.
    """
    import numpy as np

    values = np.round(np.asarray(similarities, dtype=np.float64), 6)
    ordered = ascending(edges)
    names = np.array([*ordered, NO_BUCKET])
    codes = np.searchsorted([edges[name] for name in ordered], values, side="right") - 1
    return names[np.where(np.isnan(values), -1, codes)]


def bounds_of(edges: Mapping[str, float], top: float = float("inf")) -> dict[str, tuple[float, float]]:
    """Return name → (lower edge, upper edge) in ascending order; the upper edge of the last bucket is ``top``."""
    ordered = ascending(edges)
    lower = [edges[name] for name in ordered]
    return dict(zip(ordered, zip(lower, [*lower[1:], top], strict=True), strict=True))
