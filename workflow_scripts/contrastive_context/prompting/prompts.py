"""Prompts as token ids: segments are tokenized one by one and joined, so it is known where the answer begins."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError


class Prompt(NamedTuple):
    """A prompt: ``ids`` int32 [tokens], ending where the answer starts; ``dropped``: examples left out for length."""

    ids: np.ndarray
    dropped: int


class PromptEncoder:
    """Turns examples and a query into token ids under a template.

    Each segment is tokenized once and cached; a target is one segment with the template's ``target_start``. The
    tokenizer's BOS comes first if the tokenizer adds one by itself; EOS is never added. Sources and targets are plain
    text: what looks like a special token in them (``</s>``) is spelled out. In the template's own segments special
    tokens are read as such. ``target_start`` is what stands before a target's text with this tokenizer.

    Args:
        tokenizer: a transformers tokenizer.
        template: the task's template.
        config: the model's transformers configuration: prompt and answer together never exceed its positions, and no
            token lies beyond its embeddings. Without one there are no such limits.
        task: the task's key in the configuration, for messages.

    Raises:
        UserError: the tokenizer can't represent the template's stop, or the model has no embedding for one of the
            template's tokens.
    """

    def __init__(self, tokenizer: Any, template: Template, config: Any = None, task: str = "") -> None:
        """See the class."""
        self.tokenizer = tokenizer
        self.template = template
        self.max_positions = max_positions(config) if config is not None else None
        self._unknown_from = unknown_from(tokenizer, config) if config is not None else None
        self._key = f"tasks.{task}.template" if task else "template"
        self._cache: dict[str, np.ndarray] = {}
        unknown = getattr(tokenizer, "unk_token_id", None)
        self._special_ids = set(getattr(tokenizer, "all_special_ids", ())) - {unknown}
        self._adds_eos = False
        plain = self._template_ids(template.target_prefix)
        self._adds_eos = len(plain) > 1 and plain[-1] == tokenizer.eos_token_id
        automatic, bos = tokenizer(template.target_prefix)["input_ids"], tokenizer.bos_token_id
        has_bos = bos is not None and len(automatic) > len(plain) and automatic[0] == bos
        refuse_unknown(tokenizer, self._unknown_from, [template.target_prefix], [automatic])
        self.bos_ids = np.array([bos] if has_bos else [], dtype=np.int32)
        self.stop_ids = self._template_ids(template.stop)
        # A tokenizer that maps the stop to nothing, to <unk> or to a space would end answers anywhere or never.
        restored = self._text(self.stop_ids)
        if not (template.stop in restored or (template.stop.strip() and template.stop.strip() in restored)):
            raise UserError(
                f"{self._key}.stop {template.stop!r}: this model's tokenizer reads it as {restored!r}; "
                "choose another stop"
            )
        self.tokens = 0  # of all prompts and completions encoded so far
        self._stop_span = len(template.stop.encode())
        self._target_prefix = self._template_ids(template.target_prefix)
        self._source_prefix = self._template_ids(template.source_prefix)
        self._instruction = self._template_ids(template.instruction)
        # Some tokenizers put a blank before every segment by themselves; with another one there would be two.
        blank_comes_by_itself = template.target_start.startswith(" ") and self._puts_blanks_first()
        self.target_start = template.target_start[1:] if blank_comes_by_itself else template.target_start

    def add(self, sources: Iterable[str], targets: Iterable[str] = ()) -> None:
        """Tokenize texts in one go; later calls that need them find them in the cache."""
        texts = itertools.chain(sources, (self.target_start + text for text in targets))
        new = [text for text in dict.fromkeys(texts) if text not in self._cache]
        for start in range(0, len(new), 1000):
            chunk = new[start : start + 1000]
            self._cache.update(zip(chunk, self._tokenize(chunk), strict=True))

    def encode(
        self,
        examples: Sequence[tuple[str, str]],
        source: str,
        *,
        similarities: Sequence[float] | None = None,
        reserve: int | None = None,
        name: str = "",
    ) -> Prompt:
        """Encode a context and a query.

        A prompt above the limit (``template.max_prompt_tokens``, and what the model's positions leave beside the
        answer) loses whole examples: the least similar first, the earliest among equals.

        Args:
            examples: (source, target) pairs in prompt order.
            source: the query.
            similarities: similarity to the query per example; all equal if absent.
            reserve: tokens kept free for the answer; ``template.max_new_tokens`` if absent or smaller.
            name: the target's id, for messages.

        Raises:
            UserError: the query alone doesn't fit.
        """
        head = [self.bos_ids, self._instruction]
        query = [self._source_prefix, self._ids(source), self._target_prefix]
        blocks = [
            (self._source_prefix, self._ids(a), self._target_prefix, self._target_ids(b), self.stop_ids)
            for a, b in examples
        ]
        sizes = [sum(map(len, block)) for block in blocks]
        fixed = sum(map(len, head)) + sum(map(len, query))
        limit = self._limit(reserve or 0)
        if fixed > limit or fixed == 0:
            what = f"has {fixed} tokens without any example; the limit is {limit}" if fixed else "has no token at all"
            raise UserError(
                f"target {name or source[:60]!r}: its prompt {what} ({self._key}.max_prompt_tokens, or the model's "
                "positions less the answer's); raise the limit or leave the row out of the corpus"
            )
        total = fixed + sum(sizes)
        dropped: set[int] = set()
        if total > limit:
            rank = similarities if similarities is not None else [0.0] * len(blocks)
            for index in sorted(range(len(blocks)), key=lambda i: (rank[i], i)):
                dropped.add(index)
                total -= sizes[index]
                if total <= limit:
                    break
        kept = [part for i, block in enumerate(blocks) if i not in dropped for part in block]
        self.tokens += total
        return Prompt(np.concatenate([*head, *kept, *query]), len(dropped))

    def completion(self, target: str, name: str = "") -> np.ndarray:
        """Return the ids that the model must produce: ``target_start`` with the target, and the stop; int32 [tokens].

        Raises:
            UserError: the stop occurs within the target, so that no generated answer could ever equal it.
        """
        ids = self._target_ids(target)
        if self.template.stop in self.target_start + target or _contains(ids, self.stop_ids):
            raise UserError(
                f"{self._key}.stop {self.template.stop!r} occurs in the target of row {name or target[:60]!r}, so no "
                "answer could equal it; choose a stop that occurs in no target, or leave the row out of the corpus"
            )
        self.tokens += len(ids) + len(self.stop_ids)
        return np.concatenate([ids, self.stop_ids])

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids up to the first stop, without the template's ``target_start``."""
        ids = np.asarray(ids, dtype=np.int32)
        at = _find(ids, self.stop_ids)
        text = self._text(ids if at < 0 else ids[:at])
        return text.split(self.template.stop, 1)[0].removeprefix(self.target_start)

    def stopped(self, ids: Sequence[int]) -> bool:
        """Whether generated ``ids`` end an answer: with the stop's ids, or with tokens that spell or contain the stop.

        A model may write the stop with other tokens than the tokenizer does, for instance as part of a longer token.
        """
        count = len(self.stop_ids)
        if len(ids) >= count and np.array_equal(ids[-count:], self.stop_ids):
            return True
        return self.template.stop in self._text(ids[-self._stop_span :])

    def _limit(self, reserve: int) -> int:
        if self.max_positions is None:
            return self.template.max_prompt_tokens
        return min(self.template.max_prompt_tokens, self.max_positions - max(reserve, self.template.max_new_tokens))

    def _ids(self, text: str) -> np.ndarray:
        if text not in self._cache:
            self._cache[text] = self._tokenize([text])[0]
        return self._cache[text]

    def _target_ids(self, target: str) -> np.ndarray:
        return self._ids(self.target_start + target)

    def _template_ids(self, text: str) -> np.ndarray:
        return self._tokenize([text], plain=False)[0]

    def _puts_blanks_first(self) -> bool:
        stop = self._tokenize([self.template.stop])[0]
        return self._text([*stop, *stop]).endswith(f" {self.template.stop}")

    def _tokenize(self, texts: list[str], plain: bool = True) -> list[np.ndarray]:
        options = {"add_special_tokens": False, "return_attention_mask": False, "split_special_tokens": plain}
        try:
            rows = self.tokenizer(texts, **options)["input_ids"]
        except Exception as error:  # tokenizers raises bare Exception, for instance for a word unknown to a word list
            raise UserError(f"the model's tokenizer can't read {texts[0][:60]!r} or a text near it: {error}") from error
        rows = [row[:-1] if self._adds_eos else row for row in rows]
        if plain:
            # Unigram and word-level tokenizers find special tokens among their words even when told to split them.
            rows = [row if self._special_ids.isdisjoint(row) else self._spell(row) for row in rows]
        refuse_unknown(self.tokenizer, self._unknown_from, texts, rows)
        return [np.array(row, dtype=np.int32) for row in rows]

    def _spell(self, row: Sequence[int]) -> list[int]:
        """Replace special tokens by those of their characters: a piece each, else its bytes, else the unknown token."""
        vocabulary, unknown = self.tokenizer.get_vocab(), self.tokenizer.unk_token_id
        result: list[int] = []
        for token in row:
            if token not in self._special_ids:
                result.append(token)
                continue
            text = self.tokenizer.convert_ids_to_tokens(token)
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

    def _text(self, ids: Sequence[int]) -> str:
        # Special tokens stay visible: in a corpus of our own they may be words; skipping them would shift positions.
        return self.tokenizer.decode(list(map(int, ids)), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def max_positions(config: Any) -> int | None:
    """Return how many positions a model has by its transformers configuration, or None where that sets no limit."""
    text = config.get_text_config()
    return getattr(text, "max_position_embeddings", getattr(text, "max_seq_len", None))  # the latter is MPT's


def unknown_from(tokenizer: Any, config: Any) -> int | None:
    """Return the first token that a model has no embedding for, None if its tokenizer has no such token."""
    size = config.get_text_config().vocab_size
    return size if max([tokenizer.vocab_size - 1, *tokenizer.added_tokens_decoder]) >= size else None


def refuse_unknown(tokenizer: Any, first: int | None, texts: Sequence[str], rows: Sequence[Sequence[int]]) -> None:
    """Refuse texts with tokens that the model has no embedding for.

    Args:
        tokenizer: a transformers tokenizer.
        first: from :func:`unknown_from`.
        texts: any texts.
        rows: their token ids.

    Raises:
        UserError: names the first such text and the token.
    """
    for text, ids in zip(texts, rows, strict=True) if first is not None else ():
        if unknown := [token for token in ids if token >= first]:
            raise UserError(
                f"the text {text[:200]!r} has {tokenizer.convert_ids_to_tokens(unknown[0])!r} in it, token "
                f"{unknown[0]} of the tokenizer, but the model has embeddings for {first} tokens only; leave the text "
                "out, or use the tokenizer that belongs to the model"
            )


def _find(ids: np.ndarray, part: np.ndarray) -> int:
    """Return the first index at which ``part`` occurs in ``ids``, or -1."""
    if len(part) == 0 or len(ids) < len(part):
        return -1
    hits = np.lib.stride_tricks.sliding_window_view(ids, len(part)) == part
    found = np.flatnonzero(hits.all(axis=1))
    return int(found[0]) if found.size else -1


def _contains(ids: np.ndarray, part: np.ndarray) -> bool:
    return _find(ids, part) >= 0
