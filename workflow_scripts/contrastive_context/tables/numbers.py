"""How numbers are written in tables and the report, so that all of them agree to the digit."""

import math
from typing import Any


def decimals(maximum: float) -> int:
    """Return how many decimals a value deserves whose scale ends at ``maximum``: 3 up to 1, 1 up to 100."""
    return 1 if maximum >= 100 else 3


def written(value: Any, maximum: float = 1.0) -> str:
    """Write a number with the decimals of its scale and a typographic minus; a missing one is a dash."""
    import pandas as pd

    if value is None or pd.isna(value) or not math.isfinite(float(value)):
        return "–"
    return f"{float(value):.{decimals(maximum)}f}".replace("-", "−")


def share(count: int, of: int) -> str:
    """Write a count followed by its share of all."""
    return f"{count:,} ({count / of:.1%})" if of else f"{count:,}"


def with_interval(value: Any, low: Any, high: Any, maximum: float = 1.0) -> str:
    """Write a value followed by its interval in brackets, if it has one."""
    text = written(value, maximum)
    bounds = written(low, maximum), written(high, maximum)
    return text if "–" in bounds else f"{text} [{bounds[0]}, {bounds[1]}]"
