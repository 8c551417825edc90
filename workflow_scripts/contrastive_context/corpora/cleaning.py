"""Cleaning of text pairs: the heuristics that parallel corpora are commonly filtered with.

Length ratio, length limits and script as in Moses' ``clean-corpus-n`` and OpusFilter; software strings need two more,
markup and placeholders, which leave money, names, formulas and smileys of other text alone. Duplicates are the business
of :mod:`contrastive_context.corpora.build`.
"""

import json
from collections.abc import Iterator
from functools import cache
from html.entities import html5
from typing import TYPE_CHECKING

import regex

from contrastive_context.config.text import Cleaning
from contrastive_context.corpora.reading import Listed, excerpt
from contrastive_context.text.normalising import normalise
from contrastive_context.text.words import pieces

if TYPE_CHECKING:
    import pandas as pd

STOP = "the template's stop in the target"
"""Reason of rows whose target holds the template's stop: an answer would end inside of it."""

# Without one of these signs a text has neither markup nor placeholders: most have none, and are done with at once.
_SIGNS = regex.compile(r"[&<\[*_`{}%$|]|https?:|www\.")
# Entities by their names: the company AT&T; is none.
_ENTITIES = "|".join(sorted((name[:-1] for name in html5 if name.endswith(";")), key=len, reverse=True))
_MARKUP = regex.compile(
    # Tags, which stand in words in lower case only; no addresses of mail.
    r"(?:(?<!\w)</?\p{L}|</?\p{Ll})[^<>@]*>|<!(?:--|\p{L})"
    rf"|&(?:{_ENTITIES}|#\d+|#[xX][0-9a-fA-F]+);"
    r"|\bhttps?://|\bwww\."
    # Markdown links, whose target is an address, a variable or a word in lower case; no ligand of a complex.
    r"|(?<!\w)!?\[[^\]]*\]\(\s*(?:[{/#.]|\p{Ll}[\w+.-]*:|\w[\w-]*[./#]|[\p{Ll}_-]+\))"
    # Markdown emphasis and code, in pairs: no power, no blank to fill in, no __init__, no quotes of LaTeX.
    r"|(?<![\w*])\*\*(?=\S)[^*]+(?<=\S)\*\*(?![\w*])|(?<!\w)__(?![a-z\d]+__)(?=[^\s_])[^_]+(?<=\S)__(?!\w)"
    r"|(?<![\w`])`[^\s`](?:[^`]*[^\s`])?`|```"
)
_PLACEHOLDER = regex.compile(
    r"\{\{|\}\}|\[%[^\]]*%\]"  # {{ template }}
    r"|\{\s*[\p{L}\d_$%@.:!][\w$%@.:!-]*\s*\}"  # {name}, {0}
    r"|\{\s*\w+\s*,\s*(?:plural|select|selectordinal|number|date|time|choice)\b"  # ICU plurals: {n, plural, …}
    r"|\{\\"  # styles of subtitles
    r"|%(?:\d+\$)?(?:\([^)]*\))?[-+#0]*\d*(?:\.\d+)?[sdifuxXegcr]\b"  # %s, %1$d, %(name)s
    r"|\$\{|\$\((?!\d)"
    # $name; no letter of a word (Ke$ha), no symbol of a share ($TSLA), no variable of a shell ($HOME_DIR).
    r"|(?<!\w)\$(?![A-Z][A-Z\d_]*\b)[\p{L}_]\w*"
    # $1, with which such texts begin to count, where it is no amount: no US$1, $1.50, $1bn or $1 million.
    r"|(?<!\d|\b[A-Z]{1,3})\$1(?![\d.,]*\d|[mk]\b|bn\b|\s(?:thousand|million|billion|trillion)\b)"
    r"|\|\$?\w{2,}\|"
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
        STOP if _holds(target, stop) else reason_to_drop(source, target, cleaning) if cleaning else None
        for source, target in zip(frame["source"], frame["target"], strict=True)
    ]
    kept = [not reason for reason in reasons]
    return frame.loc[kept], list(_listed(frame, reasons))


def _holds(target: object, stop: str) -> bool:
    return isinstance(target, str) and stop in target


def _listed(frame: "pd.DataFrame", reasons: list[str | None]) -> Iterator[Listed]:
    columns = zip(frame["source"], frame["target"], frame["meta"], reasons, strict=True)
    for source, target, meta, reason in columns:
        if reason:
            known = json.loads(meta)
            yield Listed(
                "", str(known.get("file", "")), str(known.get("line", "")), reason, excerpt(f"{source} → {target}")
            )


def reason_to_drop(source: object, target: object, rules: Cleaning) -> str | None:
    """Return the first rule that a pair breaks, None if it passes. What is no text is left to later checks."""
    if not isinstance(source, str) or not isinstance(target, str) or not source.strip() or not target.strip():
        return None
    signed = [text for text in (source, target) if _SIGNS.search(text)]
    if rules.markup and any(_MARKUP.search(text) for text in signed):
        return "markup"
    if rules.placeholders and any(_PLACEHOLDER.search(text) for text in signed):
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
def _patterns(script: str) -> "tuple[regex.Pattern[str], regex.Pattern[str]]":
    return regex.compile(r"[\p{L}\p{M}]"), regex.compile(rf"(?V1)[[\p{{L}}\p{{M}}]&&\p{{Script={script}}}]")
