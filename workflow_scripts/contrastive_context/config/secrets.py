"""Secrets have no place in a configuration: it is copied into results, logs and reports."""

import re
from collections.abc import Iterator
from typing import Any

_KEY = re.compile(r"(^|_)(api_?key|token|password|passwd|secret)$", re.IGNORECASE)
# Hugging Face, OpenAI and look-alikes, Google, GitHub, AWS; and credentials inside a URL.
_VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9_-]{20,}|\bAIza[A-Za-z0-9_-]{30,}|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bAKIA[A-Z0-9]{16}\b|://[^/\s:@]+:[^/\s@]+@"
)


def find_secrets(node: Any, path: str = "") -> Iterator[str]:
    """Yield the key paths of a configuration that hold what looks like a secret, by the key's name or the value."""
    if isinstance(node, dict):
        for key, value in node.items():
            here = f"{path}.{key}" if path else str(key)
            if isinstance(value, str) and value and _KEY.search(str(key)):
                yield here
            else:
                yield from find_secrets(value, here)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from find_secrets(value, f"{path}.{place}")
    elif isinstance(node, str) and _VALUE.search(node):
        yield path
