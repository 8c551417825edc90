"""A corpus's counts as a table: what was read, what was dropped and why, what was kept."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class CountsTable(NamedTuple):
    """Columns are splits; ``dropped`` has a row per reason, the most frequent first. A zero is an empty cell."""

    splits: list[str]
    generated: list[str]
    dropped: list[tuple[str, list[str]]]
    kept: list[str]


def counts_table(record: Mapping[str, Any]) -> CountsTable:
    """Turn ``counts.json`` into a table."""
    entries = dict(_splits(record))
    totals: dict[str, int] = {}
    for entry in entries.values():
        for reason, n in (entry.get("dropped") or {}).items():
            totals[reason] = totals.get(reason, 0) + n
    reasons = sorted((reason for reason in totals if totals[reason]), key=lambda reason: (-totals[reason], reason))

    def cells(key: str) -> list[str]:
        return [_cell(entry.get(key)) for entry in entries.values()]

    dropped = [
        (reason.replace("_", " "), [_cell((entry.get("dropped") or {}).get(reason)) for entry in entries.values()])
        for reason in reasons
    ]
    return CountsTable(list(entries), cells("generated"), dropped, cells("kept"))


def _splits(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for split, entry in record.items():
        if isinstance(entry, Mapping) and "kept" in entry:
            yield f"{prefix}{split}", entry
        elif isinstance(entry, Mapping):  # test sets one level down
            yield from _splits(entry, f"{prefix}{split}/")


def _cell(n: int | None) -> str:
    return f"{n:,}" if n else ""
