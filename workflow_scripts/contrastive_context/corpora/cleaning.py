"""Cleaning of text pairs: the heuristics that parallel corpora are commonly filtered with.

Length ratio, length limits and script as in Moses' ``clean-corpus-n`` and OpusFilter; software strings need two more,
markup and placeholders. Duplicates are the business of :mod:`contrastive_context.corpora.build`.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import regex

from contrastive_context.config.text import Cleaning
from contrastive_context.corpora.reading import Listed, excerpt
from contrastive_context.text.normalising import normalise
from contrastive_context.text.words import pieces

if TYPE_CHECKING:
    import pandas as pd

STOP = "the template's stop in the target"
"""Reason of rows whose target holds the template's stop: an answer would end inside of it."""

_MARKUP = regex.compile(
    r"</?[\p{L}!][^<>]*>"  # tags
    r"|&(?:\p{L}+|#\d+);"  # entities
    r"|\bhttps?://|\bwww\."
    r"|!?\[[^\]]*\]\([^)]*\)"  # Markdown links
    r"|\*\*|__|`"
)
_PLACEHOLDER = regex.compile(
    r"\{[^{}]*\}"  # {name}, {0}, {{ template }}
    r"|[{}]"  # ICU plurals: {n, plural, =1 {…} other {…}}
    r"|\[%[^\]]*%\]"
    r"|%(?:\d+\$)?(?:\([^)]*\))?[-+#0]*\d*(?:\.\d+)?[sdifuxXegcr]\b"  # %s, %1$d, %(name)s
    r"|\$(?:\d|\w|\{|\()"  # $1, $name
    r"|\|\$?\w+\|"
)


def clean(frame: "pd.DataFrame", cleaning: Cleaning | None, stop: str) -> tuple["pd.DataFrame", list[Listed]]:
    """Drop pairs that the rules don't pass.

    Args:
        frame: raw rows.
        cleaning: the rules; None: only the stop is looked for.
        stop: the template's stop.

    Returns:
        The rows kept; and the dropped ones with their reasons, their file and line where the row's ``meta`` says so.
    """
    reasons = [
        STOP if _holds(target, stop) else (cleaning and reason_to_drop(source, target, cleaning))
        for source, target in zip(frame["source"], frame["target"], strict=True)
    ]
    kept = [not reason for reason in reasons]
    return frame.loc[kept], list(_listed(frame, reasons))


def _holds(target: Any, stop: str) -> bool:
    return isinstance(target, str) and stop in target


def _listed(frame: "pd.DataFrame", reasons: list[str | None]) -> Iterator[Listed]:
    columns = zip(frame["source"], frame["target"], frame["meta"], reasons, strict=True)
    for source, target, meta, reason in columns:
        if reason:
            known = json.loads(meta)
            yield Listed(
                "", str(known.get("file", "")), str(known.get("line", "")), reason, excerpt(f"{source} → {target}")
            )


def reason_to_drop(source: Any, target: Any, rules: Cleaning) -> str | None:
    """Return the first rule that a pair breaks, None if it passes. What is no text is left to later checks."""
    if not isinstance(source, str) or not isinstance(target, str) or not source.strip() or not target.strip():
        return None
    if rules.markup and (_MARKUP.search(source) or _MARKUP.search(target)):
        return "markup"
    if rules.placeholders and (_PLACEHOLDER.search(source) or _PLACEHOLDER.search(target)):
        return "placeholders"
    if rules.untranslated and normalise(source) == normalise(target):
        return "not translated"
    if len(pieces(source)) < rules.min_words:
        return "too short"
    if rules.max_characters is not None and max(len(source), len(target)) > rules.max_characters:
        return "too long"
    shorter, longer = sorted((len(source), len(target)))
    if rules.max_length_ratio is not None and longer > rules.max_length_ratio * shorter:
        return "length ratio"
    for side, text, script in (("source", source, rules.source_script), ("target", target, rules.target_script)):
        if script is not None and script_share(text, script) < rules.min_script_share:
            return f"script of the {side}"
    return None


def script_share(text: str, script: str) -> float:
    """Return the share of a text's letters that belong to a script; 0 if it has no letters.

    Vowel signs and other marks count as letters: in Indic scripts they are much of a word.
    """
    letters, inside = _patterns(script)
    total = len(letters.findall(text))
    return len(inside.findall(text)) / total if total else 0.0


@cache
def _patterns(script: str) -> tuple[Any, Any]:
    return regex.compile(r"[\p{L}\p{M}]"), regex.compile(rf"(?V1)[[\p{{L}}\p{{M}}]&&\p{{Script={script}}}]")
