"""When two texts count as the same."""

import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

_SPACES = re.compile(r"\s+")


def composed(text: str) -> str:
    """Return the form in which an answer and what it should be are compared letter by letter: NFC."""
    return unicodedata.normalize("NFC", text)


def normalise(text: str) -> str:
    """Return the form in which two texts are compared: NFKC, case folded, single spaces, no punctuation at the ends."""
    text = _SPACES.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    start, end = 0, len(text)
    while start < end and _is_margin(text[start]):
        start += 1
    while end > start and _is_margin(text[end - 1]):
        end -= 1
    # A text of punctuation alone is kept, else all such texts would be duplicates of each other.
    return text[start:end] or text


def _is_margin(character: str) -> bool:
    return character == " " or unicodedata.category(character).startswith("P")


def normalised_codes(*texts: Iterable[str]) -> list[np.ndarray]:
    """Return int32 codes of texts, one array per argument: equal codes mean equal text under :func:`normalise`."""
    known: dict[str, int] = {}

    def codes(column: Iterable[str]) -> np.ndarray:
        plain = column.to_pylist() if isinstance(column, (pa.Array, pa.ChunkedArray)) else column
        return np.array([known.setdefault(normalise(text), len(known)) for text in plain], dtype=np.int32)

    return [codes(column) for column in texts]
