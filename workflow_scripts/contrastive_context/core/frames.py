"""Rows and groups of pandas frames with types that a checker can use: pandas' own say only "any hashable"."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FrameRow = Any  # a named tuple of the frame's columns, which no checker knows


def rows_of(frame: "pd.DataFrame") -> Iterator[FrameRow]:
    """Yield the rows as named tuples."""
    return frame.itertuples(index=False)


def groups_of(
    frame: "pd.DataFrame", *keys: str, sort: bool = False, dropna: bool = True
) -> "Iterator[tuple[tuple[Any, ...], pd.DataFrame]]":
    """Yield the values of ``keys`` and the rows that have them, in order of appearance unless ``sort`` is set."""
    yield from frame.groupby(list(keys), sort=sort, dropna=dropna)
