"""What a corpus row is: its columns, its id, and when two texts count as the same."""

import hashlib
import json

from contrastive_context.core.json_types import JsonMapping

RAW_COLUMNS = ("source", "target", "cluster", "domain", "meta")
"""What a corpus module returns per row, all text; ``meta`` is a JSON object."""

COLUMNS = ("id", *RAW_COLUMNS)
"""Columns of a corpus file."""


def row_id(source: str, target: str) -> str:
    """Return a row's id: the first 16 hexadecimal digits of the SHA-256 of source, unit separator, target."""
    return hashlib.sha256(f"{source}\x1f{target}".encode()).hexdigest()[:16]


def meta_text(values: JsonMapping) -> str:
    """Serialise what else is known of a row, with sorted keys."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False)
