"""Prompts as token ids: segments are tokenized one by one and joined, so it is known where the answer begins."""

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError
from contrastive_context.core.model_limits import max_positions, refuse_unknown, unknown_from
from contrastive_context.prompting.segments import SegmentTokenizer, find
from contrastive_context.text.normalising import composed

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


class Prompt(NamedTuple):
    """A prompt: ``ids`` int32 [tokens], ending where the answer starts; ``dropped``: examples left out for length."""

    ids: np.ndarray
    dropped: int


class Segment(NamedTuple):
    """A part of a prompt: the template's key that it comes from (``front``: the tokenizer's own), and int32 ids."""

    key: str
    ids: np.ndarray


class PromptEncoder:
    """Turns examples and a query into token ids under a template.

    Each segment is tokenized once and cached, as it reads within a text (:mod:`~.segments`); a source is one segment
    with the template's ``source_start`` and ``source_end``, a target with its ``target_start``. What the tokenizer puts
    in front of a text by itself, as BOS, comes first and once, also where the template begins with it; EOS is never
    added. Sources and targets are plain text: what looks like a special token in them (``</s>``) is spelled out. In the
    template's own segments special tokens are read as such.

    Args:
        tokenizer: a transformers tokenizer.
        template: the task's template.
        config: the model's transformers configuration: prompt and answer together never exceed its positions, and no
            token lies beyond its embeddings. Without one there are no such limits.
        task: the task's key in the configuration, for messages.

    Attributes:
        front_ids: what the tokenizer puts in front of a text by itself.
        stop_ids: the template's stop.
        tokens: of all prompts and completions encoded so far.

    Raises:
        UserError: the tokenizer can't represent the template's stop, or the model has no embedding for one of the
            template's tokens.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        template: Template,
        config: "PreTrainedConfig | None" = None,
        task: str = "",
    ) -> None:
        """See the class."""
        self.tokenizer = tokenizer
        self.template = template
        self.max_positions = max_positions(config) if config is not None else None
        self._unknown_from = unknown_from(tokenizer, config) if config is not None else None
        self.tokens = 0
        self._key = f"tasks.{task}.template" if task else "template"
        self._segments = SegmentTokenizer(tokenizer, template.stop)
        self._cache: dict[str, np.ndarray] = {}
        self._first: dict[str, np.ndarray] = {}  # texts that a prompt begins with
        inside = ("source_prefix", "target_prefix", "stop")
        rows = self._inside([template.source_prefix, template.target_prefix, template.stop], plain=False)
        self._source_prefix, self._target_prefix, self._stop = map(Segment, inside, rows)
        self.stop_ids = self._stop.ids
        self.front_ids = self._known([template.target_prefix], [self._segments.front])[0]
        self._instruction = self._opening("instruction", template.instruction)
        self._first_source_prefix = self._opening("source_prefix", template.source_prefix)
        # A tokenizer that maps the stop to nothing, to <unk> or to a space would end answers anywhere or never.
        restored = self._segments.text(self.stop_ids)
        if not (template.stop in restored or (template.stop.strip() and template.stop.strip() in restored)):
            raise UserError(
                f"{self._key}.stop {template.stop!r}: this model's tokenizer reads it as {restored!r}; "
                "choose another stop"
            )
        self._stop_span = len(template.stop.encode())

    def _opening(self, key: str, text: str) -> Segment:
        """Return a segment of the template that prompts begin with, less what the tokenizer puts in front by itself."""
        ids = self._at_the_beginning(text, plain=False)
        again = int(np.argmin([*np.isin(ids, self.front_ids), False]))
        return Segment(key, ids[again:])

    def add(self, sources: Iterable[str], targets: Iterable[str] = ()) -> None:
        """Tokenize texts in one go; later calls that need them find them in the cache."""
        texts = itertools.chain(map(self._whole_source, sources), map(self._whole_target, targets))
        new = [text for text in dict.fromkeys(texts) if text not in self._cache]
        for start in range(0, len(new), 1000):
            chunk = new[start : start + 1000]
            self._cache.update(zip(chunk, self._inside(chunk), strict=True))

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
        segments, dropped = self.segments(examples, source, similarities=similarities, reserve=reserve, name=name)
        ids = np.concatenate([segment.ids for segment in segments])
        self.tokens += len(ids)
        return Prompt(ids, dropped)

    def segments(
        self,
        examples: Sequence[tuple[str, str]],
        source: str,
        *,
        similarities: Sequence[float] | None = None,
        reserve: int | None = None,
        name: str = "",
    ) -> tuple[list[Segment], int]:
        """Return a prompt by its segments, and how many examples were dropped; see :meth:`encode`."""
        limit = self._limit(reserve or 0)
        parts = self._joined(examples, source)
        kept = list(range(len(examples)))
        if _length(parts) > limit:
            rank = similarities if similarities is not None else [0.0] * len(examples)
            for index in sorted(kept, key=lambda i: (rank[i], i)):
                kept.remove(index)
                parts = self._joined([examples[i] for i in kept], source)
                if _length(parts) <= limit:
                    break
        length = _length(parts)
        if length > limit or length == 0:
            fault = f"{length} tokens without any example; the limit is {limit}" if length else "no token at all"
            raise UserError(
                f"target {name or source[:60]!r}: its prompt has {fault} ({self._key}.max_prompt_tokens, or the "
                "model's positions less the answer's); raise the limit or leave the row out of the corpus"
            )
        return parts, len(examples) - len(kept)

    def _joined(self, examples: Sequence[tuple[str, str]], query: str) -> list[Segment]:
        sources = [self._whole_source(source) for source, _ in examples] + [self._whole_source(query)]
        parts = [Segment("front", self.front_ids), self._instruction]
        for source, (_, target) in zip(sources, examples, strict=False):
            parts += [self._source_prefix, Segment("source", self._ids(source)), self._target_prefix]
            parts += [Segment("target", self._target_ids(target)), self._stop]
        parts += [self._source_prefix, Segment("source", self._ids(sources[-1])), self._target_prefix]
        if not self.template.instruction:
            parts[2] = self._first_source_prefix
            if not self.template.source_prefix:
                parts[3] = Segment("source", self._first_ids(sources[0]))
        return parts

    def completion(self, target: str, name: str = "") -> np.ndarray:
        """Return the ids that the model must produce: ``target_start`` with the target, and the stop; int32 [tokens].

        Raises:
            UserError: the stop occurs within the target, so that no generated answer could ever equal it.
        """
        ids = self._target_ids(target)
        if self.template.stop in self._whole_target(target) or find(ids, self.stop_ids) >= 0:
            raise UserError(
                f"{self._key}.stop {self.template.stop!r} occurs in the target of row {name or target[:60]!r}, so no "
                "answer could equal it; choose a stop that occurs in no target, or leave the row out of the corpus"
            )
        self.tokens += len(ids) + len(self.stop_ids)
        return np.concatenate([ids, self.stop_ids])

    def check_writable(self, targets: Mapping[str, str], most: float = 1.0) -> None:
        """Say how many targets (by id) the tokenizer can't write, so that no answer could equal them.

        It may not know some of their letters, or bring text to a form that is not the corpus's.

        Raises:
            UserError: their share is above ``most``.
        """

        def words(text: str) -> list[str]:
            return composed(text).split()

        written = {name: self.decode(self._target_ids(target)) for name, target in targets.items()}
        lost = [name for name, target in targets.items() if words(written[name]) != words(target)]
        if not lost:
            return
        told = (
            f"{self._key}: this model's tokenizer can't write {len(lost)} of {len(targets)} targets; "
            f"{targets[lost[0]][:60]!r} (row {lost[0]}) becomes {written[lost[0]][:60]!r}"
        )
        if len(lost) > most * len(targets):
            raise UserError(f"{told}. Leave the model out, change the corpus, or raise safeguards.max_unwritable")
        log.warning("%s", told)

    def offsets(self, target: str) -> list[tuple[int, int]]:
        """Return the characters (from, to) of a target that the tokens of its completion stand for, but for the stop's.

        Those of ``target_start`` come before 0.

        Raises:
            NotImplementedError: the tokenizer doesn't know (it isn't a fast one).
        """
        start = len(self.template.target_start)
        return [(a - start, b - start) for a, b in self._segments.offsets(self._whole_target(target))]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Return the text of generated ids up to the first stop, without the template's ``target_start``."""
        found = np.asarray(ids, dtype=np.int32)
        at = find(found, self.stop_ids)
        text = self._segments.text(found if at < 0 else found[:at])
        return text.split(self.template.stop, 1)[0].removeprefix(self.template.target_start)

    def stopped(self, ids: Sequence[int]) -> bool:
        """Whether generated ``ids`` end an answer: with the stop's ids, or with tokens that spell or contain the stop.

        A model may write the stop with other tokens than the tokenizer does, for instance as part of a longer token.
        """
        count = len(self.stop_ids)
        if len(ids) >= count and np.array_equal(ids[-count:], self.stop_ids):
            return True
        return self.template.stop in self._segments.text(ids[-self._stop_span :])

    def _limit(self, reserve: int) -> int:
        if self.max_positions is None:
            return self.template.max_prompt_tokens
        return min(self.template.max_prompt_tokens, self.max_positions - max(reserve, self.template.max_new_tokens))

    def _ids(self, text: str) -> np.ndarray:
        if text not in self._cache:
            (self._cache[text],) = self._inside([text])
        return self._cache[text]

    def _first_ids(self, text: str) -> np.ndarray:
        if not self._segments.marks_beginnings:
            return self._ids(text)
        if text not in self._first:
            self._first[text] = self._at_the_beginning(text)
        return self._first[text]

    def _inside(self, texts: Sequence[str], plain: bool = True) -> list[np.ndarray]:
        return self._known(texts, self._segments.inside(texts, plain=plain))

    def _at_the_beginning(self, text: str, plain: bool = True) -> np.ndarray:
        return self._known([text], [self._segments.first(text, plain=plain)])[0]

    def _known(self, texts: Sequence[str], rows: list[np.ndarray]) -> list[np.ndarray]:
        refuse_unknown(self.tokenizer, self._unknown_from, texts, rows)
        return rows

    def _whole_source(self, source: str) -> str:
        return f"{self.template.source_start}{source}{self.template.source_end}"

    def _whole_target(self, target: str) -> str:
        return self.template.target_start + target

    def _target_ids(self, target: str) -> np.ndarray:
        return self._ids(self._whole_target(target))


def _length(segments: Sequence[Segment]) -> int:
    return sum(len(segment.ids) for segment in segments)
