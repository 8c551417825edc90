"""Words of a text, in any script.

Most scripts put blanks between words. Han, kana and the scripts of mainland South-East Asia don't; where their words
end only a dictionary could tell. There each letter, with the marks on it, counts as a word of its own. That is what
Unicode's default word boundaries (UAX #29) do, and it needs no data; who retrieves by words takes pairs of neighbouring
letters (:func:`search_terms`).
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import regex

from contrastive_context.text.normalising import composed, normalise

Span = tuple[int, int]
"""Characters from, to."""

UNSPACED_SCRIPTS = (
    "Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Thai", "Lao", "Khmer", "Myanmar", "Tai_Le", "New_Tai_Lue",
    "Tai_Tham", "Tai_Viet", "Javanese", "Balinese",
)  # fmt: skip
"""Scripts without blanks between words, by their names in the Unicode standard."""

_UNSPACED = r"[[\p{L}\p{M}\p{Nl}]&&[" + "".join(f"\\p{{scx={script}}}" for script in UNSPACED_SCRIPTS) + "]]"
_LETTER = rf"(?={_UNSPACED})\X"
_SPACED = rf"(?:(?!{_UNSPACED})[\p{{L}}\p{{M}}\p{{N}}_])+"
_HAS_UNSPACED = regex.compile(rf"(?V1){_UNSPACED}")
_LETTERS = regex.compile(r"[\p{L}\p{M}]")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}_]+")
_WORD_OR_LETTER = regex.compile(rf"(?V1){_LETTER}|{_SPACED}")
_WORD_OR_LETTERS = regex.compile(rf"(?V1)(?:{_LETTER})+|{_SPACED}")
_PIECE = regex.compile(r"\S+")
_PIECE_OR_LETTER = regex.compile(rf"(?V1){_LETTER}|(?:(?!{_UNSPACED})\S)+")
# What some scripts write where others have a blank: Tibetan between syllables, older Ethiopic between words.
_BLANKS = str.maketrans({"\u0f0b": " ", "\u0f0c": " ", "\u1361": " "})


def unspaced_share(text: str) -> float:
    """Return the share of a text's letters that belong to a script without blanks between words; 0 without letters."""
    letters = _LETTERS.findall(text)
    return sum(map(_is_unspaced, letters)) / len(letters) if letters else 0.0


@lru_cache(maxsize=1 << 12)
def _is_unspaced(character: str) -> bool:
    return _HAS_UNSPACED.match(character) is not None


def _has_unspaced(text: str) -> bool:
    # Thai comes first of these scripts: what Latin, Cyrillic or Indic text holds need not be looked up.
    return max(text, default="") >= "\u0e00" and _HAS_UNSPACED.search(text) is not None


def pieces(text: str) -> list[str]:
    """Return what stands between blanks, punctuation and all; letters of scripts without blanks one by one."""
    text = text.translate(_BLANKS)
    return _PIECE_OR_LETTER.findall(text) if _has_unspaced(text) else text.split()


def piece_spans(text: str) -> list[Span]:
    """Return where the :func:`pieces` of a text stand."""
    text = text.translate(_BLANKS)
    pattern = _PIECE_OR_LETTER if _has_unspaced(text) else _PIECE
    return [match.span() for match in pattern.finditer(text)]


def spans(text: str) -> list[Span]:
    """Return where words stand: runs of letters, marks, digits and underscores; unspaced letters one by one."""
    pattern = _WORD_OR_LETTER if _has_unspaced(text) else _WORD
    return [match.span() for match in pattern.finditer(text)]


def words(text: str) -> list[str]:
    """Return the words at :func:`spans`, composed (NFC): the same word is the same string, however it was typed."""
    text = composed(text)
    return [text[start:end] for start, end in spans(text)]


def contains(text: str, phrase: str) -> bool:
    """Whether the words of ``phrase``, one at least, stand in ``text`` next to each other."""
    found, wanted = words(text), words(phrase)
    places = range(len(found) - len(wanted) + 1) if wanted else ()
    return any(found[at : at + len(wanted)] == wanted for at in places)


def find(text: str, phrase: str, *, ignore_case: bool = False) -> list[Span]:
    """Return where ``phrase`` stands in ``text`` letter for letter, beginning and ending where words do."""
    inner = {place for start, end in spans(text) for place in range(start + 1, end)}
    flags = regex.IGNORECASE if ignore_case else 0
    found = [match.span() for match in regex.finditer(regex.escape(phrase), text, flags)] if phrase else []
    return [span for span in found if inner.isdisjoint(span)]


def search_terms(text: str) -> list[str]:
    """Return what retrieval by words counts: what stands between blanks, case folded, without punctuation at the ends.

    In scripts without blanks: each pair of letters that follow each other, as Lucene's analyser of Chinese, Japanese
    and Korean takes them, and a letter that stands alone.
    """
    return [term for part in text.translate(_BLANKS).split() for term in _terms(part)]


@lru_cache(maxsize=1 << 17)
def _terms(part: str) -> tuple[str, ...]:
    form = normalise(part)
    return tuple(_pairs(form)) if _has_unspaced(form) else (form,)


def _pairs(form: str) -> Iterator[str]:
    for run in _WORD_OR_LETTERS.findall(form):
        if _is_unspaced(run[0]):
            letters = _WORD_OR_LETTER.findall(run)
            yield from map("".join, pairwise(letters)) if len(letters) > 1 else letters
        else:
            yield run
