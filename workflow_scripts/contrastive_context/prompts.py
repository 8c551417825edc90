"""Prompts as token ids: every segment is tokenized on its own and ids are joined, so the answer's place is known."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from contrastive_context.config.tasks import Template
from contrastive_context.errors import UserError


class Prompt(NamedTuple):
    """A prompt: ``ids`` int32 [tokens], ending where the answer starts; ``dropped``: examples left out for length."""

    ids: np.ndarray
    dropped: int


class PromptEncoder:
    """Turns examples and a query into token ids under a template.

    Each segment is tokenized once, without special tokens, and cached. The tokenizer's BOS comes first if the
    tokenizer adds one by itself; EOS is never added.

    Args:
        tokenizer: a transformers tokenizer.
        template: the task's template.
        max_positions: positions that the model has; prompt and answer together never exceed them.

    Raises:
        UserError: the tokenizer can't represent the template's stop.
    """

    def __init__(self, tokenizer: Any, template: Template, max_positions: int | None = None) -> None:
        """See the class."""
        self.tokenizer = tokenizer
        self.template = template
        self.max_positions = max_positions
        self._cache: dict[str, np.ndarray] = {}
        self._adds_eos = False
        plain = self._tokenize([template.target_prefix])[0]
        self._adds_eos = len(plain) > 1 and plain[-1] == tokenizer.eos_token_id
        automatic, bos = tokenizer(template.target_prefix)["input_ids"], tokenizer.bos_token_id
        has_bos = bos is not None and len(automatic) > len(plain) and automatic[0] == bos
        self.bos_ids = np.array([bos] if has_bos else [], dtype=np.int32)
        self.stop_ids = self._ids(template.stop)
        # A tokenizer that maps the stop to nothing, to <unk> or to a space would end answers anywhere or never.
        restored = self._text(self.stop_ids)
        if not (template.stop in restored or (template.stop.strip() and template.stop.strip() in restored)):
            raise UserError(
                f"template.stop {template.stop!r}: this model's tokenizer reads it as {restored!r}; choose another stop"
            )
        self._stop_span = len(template.stop.encode())
        self._target_prefix = self._ids(template.target_prefix)
        self._source_prefix = self._ids(template.source_prefix)
        self._instruction = self._ids(template.instruction)

    def add(self, texts: Iterable[str]) -> None:
        """Tokenize ``texts`` in one go; later calls that need them find them in the cache."""
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
        keep_last: int | None = None,
        reserve: int | None = None,
        name: str = "",
    ) -> Prompt:
        """Encode a context and a query.

        A prompt above the limit (``template.max_prompt_tokens``, and what the model's positions leave beside the
        answer) loses whole examples: the least similar first, the earliest among equals, ``keep_last`` at the end.

        Args:
            examples: (source, target) pairs in prompt order.
            source: the query.
            similarities: similarity to the query per example; all equal if absent.
            keep_last: index of the example that is dropped last, whatever its similarity.
            reserve: tokens kept free for the answer; ``template.max_new_tokens`` if absent or smaller.
            name: the target's id, for messages.

        Raises:
            UserError: the query alone doesn't fit.
        """
        head = [self.bos_ids, self._instruction]
        query = [self._source_prefix, self._ids(source), self._target_prefix]
        blocks = [
            (self._source_prefix, self._ids(a), self._target_prefix, self._ids(b), self.stop_ids) for a, b in examples
        ]
        sizes = [sum(map(len, block)) for block in blocks]
        fixed = sum(map(len, head)) + sum(map(len, query))
        limit = self._limit(reserve or 0)
        if fixed > limit or fixed == 0:
            what = f"has {fixed} tokens without any example; the limit is {limit}" if fixed else "has no token at all"
            raise UserError(
                f"target {name or source[:60]!r}: its prompt {what} (template.max_prompt_tokens, or the model's "
                "positions less the answer's); raise the limit or leave the row out of the corpus"
            )
        total = fixed + sum(sizes)
        dropped: set[int] = set()
        if total > limit:
            rank = similarities if similarities is not None else [0.0] * len(blocks)
            for index in sorted(range(len(blocks)), key=lambda i: (i == keep_last, rank[i], i)):
                dropped.add(index)
                total -= sizes[index]
                if total <= limit:
                    break
        kept = [part for i, block in enumerate(blocks) if i not in dropped for part in block]
        return Prompt(np.concatenate([*head, *kept, *query]), len(dropped))

    def completion(self, target: str, name: str = "") -> np.ndarray:
        """Return the ids that the model must produce: the target's and the stop's, int32 [tokens].

        Raises:
            UserError: the stop occurs within the target, so that no generated answer could ever equal it.
        """
        ids = self._ids(target)
        if self.template.stop in target or _contains(ids, self.stop_ids):
            raise UserError(
                f"target {name or target[:60]!r} contains the template's stop {self.template.stop!r}; "
                "choose a stop that occurs in no target, or leave the row out of the corpus"
            )
        return np.concatenate([ids, self.stop_ids])

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids up to the first stop."""
        ids = np.asarray(ids, dtype=np.int32)
        at = _find(ids, self.stop_ids)
        text = self._text(ids if at < 0 else ids[:at])
        return text.split(self.template.stop, 1)[0]

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

    def _tokenize(self, texts: list[str]) -> list[np.ndarray]:
        try:
            rows = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        except Exception as error:  # tokenizers raises bare Exception, for instance for a word unknown to a word list
            raise UserError(f"the model's tokenizer can't read {texts[0][:60]!r} or a text near it: {error}") from error
        return [np.array(row[:-1] if self._adds_eos else row, dtype=np.int32) for row in rows]

    def _text(self, ids: Sequence[int]) -> str:
        # Special tokens stay visible: in a corpus of our own they may be words; skipping them would shift positions.
        return self.tokenizer.decode(list(map(int, ids)), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def max_positions(model: Any) -> int | None:
    """Return how many positions a transformers model has, or None where its configuration sets no limit."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def _find(ids: np.ndarray, part: np.ndarray) -> int:
    """Return the first index at which ``part`` occurs in ``ids``, or -1."""
    if len(part) == 0 or len(ids) < len(part):
        return -1
    hits = np.lib.stride_tricks.sliding_window_view(ids, len(part)) == part
    found = np.flatnonzero(hits.all(axis=1))
    return int(found[0]) if found.size else -1


def _contains(ids: np.ndarray, part: np.ndarray) -> bool:
    return _find(ids, part) >= 0
