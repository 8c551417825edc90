"""Anchors: a span of the source tied to the span of the target that it explains.

The probes replace both by nonces. An anchor's source span occurs once in the source, so that nothing else in the
prompt's query still shows it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from contrastive_context.contexts.word_alignment import WordAlignment
from contrastive_context.text import words
from contrastive_context.text.words import Span

_BEFORE = re.compile(r"(\w+)\W*$")
_LAST = re.compile(r"(\S+)\s*$")
_COMMON = 0.2  # share of pairs that a word may stand in
_QUOTED = re.compile(r"(?<!\w)'([^']+)'(?!\w)")


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
    left, right = (_texts(text, words.piece_spans(text)) for text in (source, target))
    counts = Counter(text for _, text in left)
    for (a, source_text), (b, target_text) in zip(left, right, strict=False):
        if counts[source_text] == 1:
            yield Anchor(a, b, source_text, target_text)


def sentence_label(source: str, target: str) -> Iterator[Anchor]:
    """Tie each word of the source to the last word of the target, a label that the sentence has as a whole."""
    pieces, label = _texts(source, words.piece_spans(source)), _LAST.search(target)
    counts = Counter(text for _, text in pieces)
    for span, text in pieces:
        if label and counts[text] == 1:
            yield Anchor(span, label.span(1), text, label.group(1), "last")


def quoted_values(source: str, target: str) -> Iterator[Anchor]:
    """Tie a ``'value'`` of the target to its only occurrence, as whole words and in any case, in the source."""
    values = list(_QUOTED.finditer(target))
    texts = [match.group(1).lower() for match in values]
    for match in values:
        value = match.group(1)
        found = words.find(source, value, ignore_case=True)
        if len(found) == 1 and texts.count(value.lower()) == 1 and value.strip() == value:
            slot = _BEFORE.search(target[: match.start()])
            yield Anchor(found[0], match.span(1), value.lower(), value, slot.group(1) if slot else "")


def shared_words(source: str, target: str) -> Iterator[Anchor]:
    """Tie words of at least three letters, and numbers, that occur once in the source and once in the target.

    In scripts without blanks nobody can tell a word by its letters: of such text only what stands in it in another
    script is tied, such as names and numbers.
    """
    left, right = (_texts(text, words.spans(text)) for text in (source, target))
    counts, others = Counter(text for _, text in left), Counter(text for _, text in right)
    span_of = {text: span for span, text in right}
    for span, word in left:
        if counts[word] == others[word] == 1 and (word.isdecimal() or _is_word(word)):
            yield Anchor(span, span_of[word], word, word, "number" if word.isdecimal() else "word")


def _texts(text: str, spans: list[Span]) -> list[tuple[Span, str]]:
    return [((start, end), text[start:end]) for start, end in spans]


def _is_word(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return letters >= 3 and all(c.isalpha() or unicodedata.category(c)[0] == "M" for c in text)


class AlignedWords:
    """Tie a word to the word that stands for it in the target, whatever their scripts, by :class:`WordAlignment`.

    Words of sources with fewer than three letters don't count, nor those in more than a fifth of all pairs, which most
    often are of grammar [ours].

    Args:
        sources: of the corpus that the alignment is estimated from.
        targets: of the same.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        self._alignment = WordAlignment(sources, targets)

    def __call__(self, source: str, target: str) -> Iterator[Anchor]:
        """Yield the anchors of a pair."""
        for link in self._alignment.links(source, target):
            word, (start, end) = link.source.text, link.target.span
            if word.isdecimal() or (len(word) >= 3 and self._alignment.share(word) <= _COMMON):
                slot = "number" if word.isdecimal() else "word"
                yield Anchor(link.source.span, (start, end), word, target[start:end], slot)


Finder = Callable[[str, str], Iterator[Anchor]]
"""Returns the anchors of a source and its target, in the order of the text."""

KINDS: dict[str, Callable[[Sequence[str], Sequence[str]], Finder]] = {
    "positional_words": lambda sources, targets: positional_words,
    "sentence_label": lambda sources, targets: sentence_label,
    "quoted_values": lambda sources, targets: quoted_values,
    "shared_words": lambda sources, targets: shared_words,
    "aligned_words": AlignedWords,
}


def anchor_finder(kind: str, sources: Sequence[str] = (), targets: Sequence[str] = ()) -> Finder:
    """Return the rule registered as ``kind``.

    Args:
        kind: as in ``tasks.*.probes.anchors``.
        sources: of the corpus, for the kind that learns from it.
        targets: of the same.
    """
    return KINDS[kind](sources, targets)


def replace(text: str, span: Span, new: str) -> str:
    """Return ``text`` with the characters of ``span`` replaced by ``new``."""
    return text[: span[0]] + new + text[span[1] :]
