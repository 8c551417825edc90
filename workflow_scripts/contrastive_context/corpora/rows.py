"""What a corpus row is: its columns, its id, and when two texts count as the same."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

RAW_COLUMNS = ("source", "target", "cluster", "domain", "meta")
"""What a corpus module returns per row, all text; ``meta`` is a JSON object."""

COLUMNS = ("id", *RAW_COLUMNS)
"""Columns of a corpus file."""

_SPACES = re.compile(r"\s+")


def row_id(source: str, target: str) -> str:
    """Return a row's id: the first 16 hexadecimal digits of the SHA-256 of source, unit separator, target."""
    return hashlib.sha256(f"{source}\x1f{target}".encode()).hexdigest()[:16]


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


def meta_text(values: Mapping[str, Any]) -> str:
    """Serialise what else is known of a row, with sorted keys."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False)
