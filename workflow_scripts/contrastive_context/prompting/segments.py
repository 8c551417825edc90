"""Segments of a prompt as token ids: each is read as the tokenizer reads it within a text, and none as its beginning.

Tokenizers differ in what they do to the beginning of a text. Many put special tokens there, one (BOS) or several.
Those that descend from SentencePiece put a blank there, so that the first word is the token that it is elsewhere, and
take it off again when they decode. A prompt has one beginning, whatever the number of its segments.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contrastive_context.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: What a segment is read after, so that it is no beginning: the first of these whose tokens stay what they are.
_BEFORE = ("\n", ".", "a", "0")
_LETTER = "a"


class _Before(NamedTuple):
    """A text that segments are read after, and are decoded after: its ids, and what they decode to."""

    text: str
    ids: list[int]
    decoded: str


class SegmentTokenizer:
    """Tokenizes segments of a prompt, and decodes what follows one.

    Plain segments hold no special tokens: what looks like one (``</s>``) is spelled out.

    Args:
        tokenizer: a transformers tokenizer.
        known: a text that the tokenizer can read, where it knows no letters (a list of words).

    Attributes:
        front: int32, the ids that the tokenizer puts in front of every text by itself.

    Raises:
        UserError: the tokenizer's own tokens can't be told from a text's.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", known: str) -> None:
        """See the class."""
        self._tokenizer = tokenizer
        unknown = getattr(tokenizer, "unk_token_id", None)
        self._special_ids = set(getattr(tokenizer, "all_special_ids", ())) - {unknown}
        self._unasked: tuple[int, int] = (0, 0)
        sample = _LETTER if self._is_readable(_LETTER) else known
        # Some tokenizers add special tokens even where they are told not to.
        around, row = (self._rows([text], plain=False)[0] for text in ("", sample))
        if self._special_ids.issuperset(around):
            first = _common(around, row)
            self._unasked = (first, len(around) - first)
        (row,) = self._rows([sample], plain=False)
        automatic = list(tokenizer(sample)["input_ids"])
        at = find(np.array(automatic), np.array(row))
        if at < 0:
            raise UserError(
                f"this model's tokenizer reads {sample!r} as {automatic} with its special tokens and as {row} without; "
                "which ones it puts in front can't be told. Use another model"
            )
        self.front = np.array(automatic[:at], dtype=np.int32)
        self._before = self._find_before() or [_Before("", [], "")]

    @property
    def marks_beginnings(self) -> bool:
        """Whether the beginning of a text is read otherwise than the same text further on."""
        return bool(self._before[0].text)

    def first(self, text: str, *, plain: bool = True) -> np.ndarray:
        """Return the ids of a segment that the prompt begins with, int32 [tokens], without ``front``."""
        return self._plain(self._rows([text], plain), plain)[0]

    def inside(self, texts: Sequence[str], *, plain: bool = True) -> list[np.ndarray]:
        """Return the ids of segments that stand further on, int32 [tokens] each.

        Raises:
            UserError: a text can't be read.
        """
        rows = [row for _, row in self._after(texts, plain)]
        return self._plain(rows, plain)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return which characters of a plain segment the tokens of :meth:`inside` stand for, where none is special.

        Raises:
            NotImplementedError: the tokenizer doesn't know (it isn't a fast one).
        """
        ((before, row),) = self._after([text], plain=True)
        options = self._options(plain=True)
        spans = self._tokenizer(before.text + text, **options, return_offsets_mapping=True)["offset_mapping"]
        start = self._unasked[0] + len(before.ids)
        shift = len(before.text)
        return [(max(0, a - shift), max(0, b - shift)) for a, b in spans[start : start + len(row)]]

    def text(self, ids: "Sequence[int] | np.ndarray") -> str:
        """Return the text of ids that follow others; a blank that they begin with is part of it."""
        ids = list(map(int, ids))
        for before in self._before:
            decoded = self._decode([*before.ids, *ids])
            # Half a character makes some decoders give up what stands before it.
            if decoded.startswith(before.decoded):
                return decoded[len(before.decoded) :]
        return self._decode(ids)

    def _find_before(self) -> list[_Before]:
        """Return what segments have to be read after, nothing where their beginning is read like the rest."""
        result, differs = [], False
        for text in filter(self._is_readable, _BEFORE):
            ids, row, alone = self._rows([text, text + _LETTER, _LETTER], plain=True)
            if ids and row[: len(ids)] == ids:
                differs |= row[len(ids) :] != alone
                result.append(_Before(text, ids, self._decode(ids)))
        return result if differs else []

    def _after(self, texts: Sequence[str], plain: bool) -> list[tuple[_Before, list[int]]]:
        """Return the ids of each text behind one of ``_before``, without that one's, and which it was."""
        found: dict[int, tuple[_Before, list[int]]] = {}
        pending = list(range(len(texts)))
        for before in self._before:
            rows = self._rows([before.text + texts[place] for place in pending], plain) if pending else []
            for place, row in zip(pending, rows, strict=True):
                if row[: len(before.ids)] == before.ids:
                    found[place] = before, row[len(before.ids) :]
            pending = [place for place in pending if place not in found]
        if pending:
            raise UserError(
                f"this model's tokenizer can't read {texts[pending[0]][:60]!r} as part of a longer text: it joins its "
                "beginning to whatever stands before; leave the row out of the corpus"
            )
        return [found[place] for place in range(len(texts))]

    def _options(self, plain: bool) -> dict[str, bool]:
        return {"add_special_tokens": False, "return_attention_mask": False, "split_special_tokens": plain}

    def _is_readable(self, text: str) -> bool:
        try:
            return bool(self._rows([text], plain=True)[0])
        except UserError:
            return False

    def _rows(self, texts: list[str], plain: bool) -> list[list[int]]:
        try:
            rows = self._tokenizer(texts, **self._options(plain))["input_ids"]
        except Exception as error:  # tokenizers raises bare Exception, for instance for a word unknown to a word list
            raise UserError(f"the model's tokenizer can't read {texts[0][:60]!r} or a text near it: {error}") from error
        first, last = self._unasked
        return [list(row[first : len(row) - last]) for row in rows] if first or last else rows

    def _plain(self, rows: Iterable[list[int]], plain: bool) -> list[np.ndarray]:
        if plain:
            # Unigram and word-level tokenizers find special tokens among their words even when told to split them.
            rows = (row if self._special_ids.isdisjoint(row) else self._spell(row) for row in rows)
        return [np.array(row, dtype=np.int32) for row in rows]

    def _spell(self, row: Sequence[int]) -> list[int]:
        """Replace special tokens by those of their characters: a piece each, else its bytes, else the unknown token."""
        vocabulary, unknown = self._tokenizer.get_vocab(), self._tokenizer.unk_token_id
        result: list[int] = []
        for token in row:
            if token not in self._special_ids:
                result.append(token)
                continue
            text = self._tokenizer.convert_ids_to_tokens(token)
            for character in text:
                of_bytes = [vocabulary.get(f"<0x{byte:02X}>", unknown) for byte in character.encode()]
                ids = [vocabulary[character]] if character in vocabulary else of_bytes
                if None in ids or not self._special_ids.isdisjoint(ids):
                    raise UserError(
                        f"a text of the corpus contains {text!r}, which this model's tokenizer reads as a special "
                        "token and can't spell out; leave the row out of the corpus"
                    )
                result += ids
        return result

    def _decode(self, ids: list[int]) -> str:
        # Special tokens stay visible: in a corpus of our own they may be words; skipping them would shift positions.
        options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
        return str(self._tokenizer.decode(ids, **options))


def find(ids: np.ndarray, part: np.ndarray) -> int:
    """Return the first index at which ``part`` occurs in ``ids``, or -1."""
    if len(part) == 0 or len(ids) < len(part):
        return -1
    hits = np.lib.stride_tricks.sliding_window_view(ids, len(part)) == part
    found = np.flatnonzero(hits.all(axis=1))
    return int(found[0]) if found.size else -1


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Return the length of what two sequences begin with in common."""
    same = (place for place, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1])
    return next(same, min(len(left), len(right)))
