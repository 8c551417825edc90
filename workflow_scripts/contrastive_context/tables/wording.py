"""Sentences about results that figures and report share."""

from collections.abc import Mapping, Sequence

import pandas as pd

from contrastive_context.tables.cells import NOT_FILLED, NOT_RUN, NOT_SCORED


def training_runs(frame: pd.DataFrame) -> str:
    """Say how many training runs the trained systems' points rest on."""
    counts = sorted(set(frame.loc[frame["seeds"] > 0, "seeds"].astype(int)))
    if not counts:
        return ""
    if counts == [1]:
        return "one training run each"
    return f"mean of {' or '.join(map(str, counts))} training runs"


def intervals(frame: pd.DataFrame, confidence: float) -> str:
    """Say what the bars are."""
    return f"{confidence:.0%} cluster bootstrap" + (", t over training runs" if (frame["seeds"] > 1).any() else "")


def sample_sizes(counts: Sequence[int]) -> str:
    """Write a panel's sample sizes: "n = 300", or "n = 280–300" where they differ."""
    low, high = min(counts), max(counts)
    return f"n = {low}" if low == high else f"n = {low}–{high}"


def missing_cells(cells: pd.DataFrame, labels: Mapping[str, str], buckets: Sequence[str]) -> list[str]:
    """Say what of a panel's cells is missing and why, a line per reason.

    Args:
        cells: from :func:`~contrastive_context.tables.cells.score_cells`.
        labels: strategy → label, in order.
        buckets: in ascending order.
    """
    missing = cells.loc[cells["missing"] != ""]
    unfilled = [
        bucket for bucket in buckets if (missing.loc[missing["bucket"] == bucket, "missing"] == NOT_FILLED).any()
    ]
    lines = [f"{bucket}: {NOT_FILLED}" for bucket in unfilled]
    reasons = set(missing["missing"]) - {NOT_FILLED, NOT_RUN}
    for reason in sorted(reasons, key=lambda reason: (reason == NOT_SCORED, reason)):
        lacking = missing.loc[missing["missing"] == reason]
        names = []
        for name in [name for name in labels if name in set(lacking["strategy"])]:
            lacked = set(lacking.loc[lacking["strategy"] == name, "bucket"])
            some = [bucket for bucket in buckets if bucket in lacked]
            names.append(labels[name] + (f" ({', '.join(some)})" if len(some) < len(buckets) else ""))
        lines += [f"{reason}: {shortened(names)}"] if names else []
    return lines


def clipped(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters: of a longer one start and end, as panels may differ in either."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def shortened(names: Sequence[str], most: int = 3) -> str:
    """Join names; of many, the first ones and how many more there are (the CSV beside the figure has them all)."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return ", ".join(shown)
