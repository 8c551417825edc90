"""What a rewording must leave alone: all of a source but its question, and the words that the target takes from it."""

import re
from collections.abc import Iterable

from contrastive_context.text.words import find

_QUOTED = re.compile(r"'([^']+)'")
_TREE = re.compile(r"\[IN:")
_BRACKET = re.compile(r"\[(?:IN|SL):[^\s\[\]]+|\]")


def split(source: str, ends: Iterable[str]) -> tuple[str, str]:
    """Divide a source into what may be reworded and what stays behind it: everything from the first of ``ends`` on."""
    at = min((found for end in ends if (found := source.find(end)) >= 0), default=len(source))
    return source[:at], source[at:]


def spans(source: str, target: str) -> list[tuple[int, int]]:
    """Return where a source says what the target repeats, as whole words and in any case."""
    return [span for value in _values(target) for span in find(source, value, ignore_case=True)]


def loses(source: str, other: str, target: str) -> bool:
    """Whether another wording of a source lacks a word that the target takes from the source."""
    return any(
        find(source, value, ignore_case=True) and not find(other, value, ignore_case=True) for value in _values(target)
    )


def _values(target: str) -> Iterable[str]:
    """Return values in quotes (``name='desk lamp'``, ``city = 'Bern'``) or the words in a tree's slots."""
    return dict.fromkeys(_BRACKET.sub(" ", target).split()) if _TREE.match(target) else _QUOTED.findall(target)
