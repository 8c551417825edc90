"""How numbers are written in tables and the report, so that all of them agree to the digit."""

import math
from typing import Any, NamedTuple


def written(value: Any, maximum: float = 1.0) -> str:
    """Write a number with the decimals of its scale (1 up to 100, else 3) and a typographic minus; missing: a dash."""
    import pandas as pd

    if value is None or pd.isna(value) or not math.isfinite(float(value)):
        return "–"
    return f"{float(value):.{1 if maximum >= 100 else 3}f}".replace("-", "−")


def share(count: int, of: int) -> str:
    """Write a count followed by its share of all."""
    return f"{count:,} ({count / of:.1%})" if of else f"{count:,}"


class Estimate(NamedTuple):
    """A number as it is written, and its interval in brackets if it has one."""

    number: str = "–"
    interval: str = ""

    def __str__(self) -> str:
        """Return both, as they stand in a cell."""
        return f"{self.number} {self.interval}".rstrip()


def estimate(value: Any, low: Any, high: Any, maximum: float = 1.0) -> Estimate:
    """Write a value and its interval with the decimals of a scale that ends at ``maximum``."""
    bounds = written(low, maximum), written(high, maximum)
    return Estimate(written(value, maximum), "" if "–" in bounds else f"[{bounds[0]}, {bounds[1]}]")
