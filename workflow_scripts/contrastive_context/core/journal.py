"""Finished results of a step, kept line by line, so that an interrupted step goes on where it was.

The file is no declared output: Snakemake deletes those of a failed job. Lines are only appended, each with its own
digest. So neither a killed process nor two processes that write at once can do harm: a torn or interleaved line doesn't
count, and what it held is computed again.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contrastive_context.core.artifacts import disk_errors, sha256_file
from contrastive_context.core.json_types import JsonDict, JsonMapping


def fingerprint(*parts: str, files: Mapping[str, str | Path | None]) -> str:
    """Return 16 hexadecimal digits for what a step's results depend on.

    Args:
        parts: strings, such as the step's settings.
        files: name → file, of which the content counts; None for one that the step doesn't have.
    """
    hashes = {name: sha256_file(file) if file else None for name, file in files.items()}
    return hashlib.sha256(json.dumps([*parts, hashes], sort_keys=True).encode()).hexdigest()[:16]


class Journal(Mapping[str, Any]):
    """Results by key. A key that was written twice has its first result.

    Args:
        path: the file; made when the first result is added.
    """

    def __init__(self, path: str | Path) -> None:
        """Read what is there."""
        self.path = Path(path)
        self._entries: JsonDict = {}
        self._torn = False
        content = self.path.read_bytes() if self.path.is_file() else b""
        self._torn = bool(content) and not content.endswith(b"\n")
        for line in content.split(b"\n"):
            digest, _, text = line.partition(b" ")
            if digest and digest == _digest(text):
                key, value = json.loads(text)
                self._entries.setdefault(key, value)

    def add(self, entries: JsonMapping) -> None:
        """Append results (JSON values) and see them to the disk.

        Raises:
            UserError: the disk is full or the folder can't be written.
        """
        texts = [json.dumps(item, ensure_ascii=False).encode() for item in entries.items()]
        lines = b"".join(_digest(text) + b" " + text + b"\n" for text in texts)
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(b"\n" * self._torn + lines)
                file.flush()
                os.fsync(file.fileno())
        self._torn = False
        for key, value in entries.items():
            self._entries.setdefault(key, value)

    def remove(self) -> None:
        """Delete the file: its results are where they belong."""
        self.path.unlink(missing_ok=True)

    def __getitem__(self, key: str) -> Any:
        """Return the result of ``key``."""
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self._entries)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()
