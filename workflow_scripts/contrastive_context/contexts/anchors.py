"""Anchors: a span of the source tied to the span of the target that it explains.

The probes replace both by nonces. An anchor's source span occurs once in the source, so that nothing else in the
prompt's query still shows it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_WORD = re.compile(r"\w+")
_PIECE = re.compile(r"\S+")
_BEFORE = re.compile(r"(\w+)\W*$")
_QUOTED = re.compile(r"(?<!\w)'([^']+)'(?!\w)")

Span = tuple[int, int]


@dataclass(frozen=True)
class Anchor:
    """A tied pair of spans.

    Attributes:
        source: character range in the source.
        target: character range in the target.
        source_text: the source span's text (lower case where the kind ignores case).
        target_text: the target span's text.
        slot: what the span stands for, where the text tells: the word before a quoted value, ``number`` or ``word``.
            A substitute comes from the same slot if there is one.
    """

    source: Span
    target: Span
    source_text: str
    target_text: str
    slot: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What two anchors must have in common to be the same span pair."""
        return self.source_text, self.target_text


def positional_words(source: str, target: str) -> Iterator[Anchor]:
    """Tie word i of the source to word i of the target; words are separated by white space."""
    left, right = list(_PIECE.finditer(source)), list(_PIECE.finditer(target))
    words = [match.group() for match in left]
    for a, b in zip(left, right, strict=False):
        if words.count(a.group()) == 1:
            yield Anchor(a.span(), b.span(), a.group(), b.group())


def sentence_label(source: str, target: str) -> Iterator[Anchor]:
    """Tie each word of the source to the last word of the target, a label that the sentence has as a whole."""
    words, labels = list(_PIECE.finditer(source)), list(_PIECE.finditer(target))
    texts = [match.group() for match in words]
    for match in words if labels else ():
        if texts.count(match.group()) == 1:
            yield Anchor(match.span(), labels[-1].span(), match.group(), labels[-1].group(), "last")


def quoted_values(source: str, target: str) -> Iterator[Anchor]:
    """Tie a ``'value'`` of the target to its only occurrence, as whole words and in any case, in the source."""
    values = list(_QUOTED.finditer(target))
    texts = [match.group(1).lower() for match in values]
    for match in values:
        value = match.group(1)
        found = list(re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", source, re.IGNORECASE))
        if len(found) == 1 and texts.count(value.lower()) == 1 and value.strip() == value:
            slot = _BEFORE.search(target[: match.start()])
            yield Anchor(found[0].span(), match.span(1), value.lower(), value, slot.group(1) if slot else "")


def shared_words(source: str, target: str) -> Iterator[Anchor]:
    """Tie words of at least three letters, and numbers, that occur once in the source and once in the target."""
    left, right = list(_WORD.finditer(source)), list(_WORD.finditer(target))
    sources, targets = [match.group() for match in left], {match.group(): match for match in right}
    counts = [match.group() for match in right]
    for match in left:
        word = match.group()
        if not (word.isdecimal() or (word.isalpha() and len(word) >= 3)):
            continue
        if sources.count(word) == 1 and counts.count(word) == 1:
            slot = "number" if word.isdecimal() else "word"
            yield Anchor(match.span(), targets[word].span(), word, word, slot)


KINDS: dict[str, Callable[[str, str], Iterator[Anchor]]] = {
    "positional_words": positional_words,
    "sentence_label": sentence_label,
    "quoted_values": quoted_values,
    "shared_words": shared_words,
}


def find_anchors(kind: str, source: str, target: str) -> list[Anchor]:
    """Return the anchors of a pair under the rule registered as ``kind``, in the order of the text."""
    return list(KINDS[kind](source, target))


def replace(text: str, span: Span, new: str) -> str:
    """Return ``text`` with the characters of ``span`` replaced by ``new``."""
    return text[: span[0]] + new + text[span[1] :]


def contains(text: str, phrase: str) -> bool:
    """Whether the words of ``phrase`` occur in ``text`` one after another (split at non-word characters)."""
    words, wanted = _WORD.findall(text), _WORD.findall(phrase)
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))
