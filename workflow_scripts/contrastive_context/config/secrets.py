"""Secrets do not belong into a configuration: it is copied into results, logs and reports."""

import re
from typing import Any

PLACEHOLDER = "(not shown)"
_KEY = re.compile(r"(^|_)(api_?key|token|password|passwd|secret)$", re.IGNORECASE)
# Hugging Face, OpenAI and look-alikes, Google, GitHub, AWS; and credentials inside a URL.
_VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9_-]{20,}|\bAIza[A-Za-z0-9_-]{30,}|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bAKIA[A-Z0-9]{16}\b|://[^/\s:@]+:[^/\s@]+@"
)


def without_secrets(node: object) -> tuple[Any, list[str]]:
    """Return a configuration with a placeholder for whatever looks like a secret, and the key paths of these.

    A secret is known by its key's name or by its value.
    """
    found: list[str] = []

    def clean(node: object, path: str, key: str = "") -> object:
        if isinstance(node, dict):
            return {
                name: clean(value, f"{path}.{name}" if path else str(name), str(name)) for name, value in node.items()
            }
        if isinstance(node, list):
            return [clean(value, f"{path}.{index}") for index, value in enumerate(node)]
        if isinstance(node, str) and ((node and _KEY.search(key)) or _VALUE.search(node)):
            found.append(path)
            return PLACEHOLDER
        return node

    return clean(node, ""), found
