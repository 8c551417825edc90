"""One text for equal settings."""

import json


def canonical_json(value: object) -> str:
    """Serialise ``value`` with sorted keys and without spaces, so that equal settings are equal strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
