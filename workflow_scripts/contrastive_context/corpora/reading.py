"""What reading a text source gives: well-formed rows by split, and the malformed ones by file and line."""

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from contrastive_context.core.json_types import JsonMapping
from contrastive_context.corpora.rows import RAW_COLUMNS, meta_text

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 100_000
"""Bytes of a text above which no sentence, command or query is meant, where a corpus has no limit of its own."""

TOO_LONG = "line too long"
KEPT = "kept: "
"""Before the reason of a listed row that is kept, but not quite as it was."""

_EXCERPT = 400
# Half of a pair: JSON can escape it, no file can hold it.
_SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters but tab and line ends, direction overrides, lone surrogates, and what bad decoding leaves.
_FAULT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufffd]")


class Location(NamedTuple):
    """Where a row stands: its file, and the line (from 1) or key in it."""

    file: str
    line: str


class Listed(NamedTuple):
    """A row that was not kept; ``text`` is its beginning, ``detail`` says more than the reason it is counted by."""

    split: str
    file: str
    line: str
    reason: str
    text: str
    detail: str = ""


class Reading:
    """Gathers the rows of a source.

    Args:
        max_bytes: length above which a text is malformed.

    Attributes:
        read: rows looked at.
        rejected: malformed rows by reason.
        skipped: rows left out on purpose, by reason.
        noted: rows that are kept, but not quite as they were, by reason.
        listed: the malformed and the noted rows by location.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self.read = 0
        self.rejected: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.noted: Counter[str] = Counter()
        self.listed: list[Listed] = []
        self._rows: dict[str, list[tuple[str, ...]]] = defaultdict(list)

    def add(
        self,
        location: Location,
        source: Any,
        target: Any,
        *,
        split: str = "",
        cluster: str = "",
        domain: str = "in",
        meta: JsonMapping | None = None,
    ) -> None:
        """Add a row, or reject it if a side is no text, empty, too long, or holds characters that no text or file has.

        Runs of white space become single spaces, since a line break could be a template's stop; byte order marks go.
        """
        texts = []
        for side, value in (("source", source), ("target", target)):
            if reason := fault(value):
                self.reject(location, f"{reason} {side}", value, split=split)
                return
            if len(value.encode()) > self._max_bytes:
                self.reject(location, TOO_LONG, value, split=split)
                return
            texts.append(tidy(value))
        known = meta_text({"file": location.file, "line": location.line, **(meta or {})})
        if _SURROGATE.search(f"{cluster}{domain}{known}"):
            self.reject(location, "lone surrogate in a name", split=split)
            return
        self.read += 1
        self._rows[split].append((*texts, cluster or f"{location.file}:{location.line}", domain, known))

    def reject(
        self, location: Location, reason: str, text: object = "", *, rows: int = 1, split: str = "", detail: str = ""
    ) -> None:
        """Count a malformed row, or several at one location, and list it.

        Args:
            location: where it stands.
            reason: that it is counted by.
            text: what is at fault.
            rows: how many rows are lost.
            split: that it would have been in.
            detail: what else is known of the fault, in full.
        """
        self.read += rows
        self.rejected[reason] += rows
        line, more = _printable(location.line), _printable(detail)
        self.listed.append(Listed(split, location.file, line, reason, excerpt(text), more))

    def note(self, location: Location, reason: str, text: object = "", *, rows: int = 1, split: str = "") -> None:
        """Count a row that is kept, but not quite as it was, or several from one location on, and list it."""
        self.noted[reason] += rows
        self.listed.append(Listed(split, location.file, location.line, f"{KEPT}{reason}", excerpt(text)))

    def skip(self, reason: str, rows: int = 1) -> None:
        """Count rows that are sound but no pairs of text, such as strings without a translation."""
        self.read += rows
        self.skipped[reason] += rows

    def frames(self) -> "dict[str, pd.DataFrame]":
        """Return the well-formed rows, with the raw columns, by split."""
        import pandas as pd

        return {split: pd.DataFrame(rows, columns=list(RAW_COLUMNS)) for split, rows in self._rows.items()}


def tidy(text: str) -> str:
    """Return a text with single spaces and without byte order marks."""
    return " ".join(text.replace("\ufeff", "").split())


def fault(value: object) -> str | None:
    """Say what is wrong with a text, in words that a side's name can follow; None if nothing is."""
    if value is None:
        return "empty"
    if not isinstance(value, str):
        return "no text but a number, list or object as"
    if found := _FAULT.search(value):
        character = found.group()
        if character == "\0":
            return "NUL character in"
        if character == "\ufffd":
            return "replacement character (decoded wrongly before) in"
        if "\ud800" <= character <= "\udfff":
            return "lone surrogate in"
        return "direction override in" if character > "\x9f" else "control character in"
    return None if tidy(value) else "empty"


def excerpt(value: object) -> str:
    """Return the beginning of a value with what can't be shown escaped."""
    if isinstance(value, bytes):
        text = value[: 4 * _EXCERPT].decode("utf-8", "backslashreplace")
    else:
        text = str(value)[:_EXCERPT]
    return _printable(text)[:_EXCERPT]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
