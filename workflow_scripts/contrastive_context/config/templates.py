"""How a task's prompts are written."""

from typing import Self

from pydantic import Field, model_validator

from contrastive_context.config.base import Composed, Model


class Template(Model):
    """A prompt as segments, each tokenized on its own: instruction, then per example source_prefix,
    source_start + source + source_end (one segment), target_prefix, target_start + target (one segment), stop; the
    query ends after target_prefix. Where sources or targets are words of a sentence their start is a blank, and the
    prefix ends without one: to most tokenizers a word and the blank before it are one token. A line break is one with
    the full stop before it to some: it is the end of the source rather than the beginning of target_prefix."""

    instruction: str = Field("", description="once, before the examples")
    source_prefix: str = Field("", description="before every source")
    source_start: str = Field("", description="first characters of every source, tokenized with it")
    source_end: str = Field("", description="last characters of every source, tokenized with it")
    target_prefix: str = Field(description="between a source and its target")
    target_start: str = Field("", description="first characters of every target, tokenized with it")
    stop: Composed = Field(min_length=1, description="ends every target; answers are cut at it")
    max_new_tokens: int = Field(64, ge=1, description="longest answer, tokens")
    max_prompt_tokens: int = Field(
        1024, ge=8, description="tokens; above it whole examples are dropped, the graded one last"
    )

    @model_validator(mode="after")
    def _the_stop_comes_after_the_start(self) -> Self:
        if self.stop in self.target_start:
            raise ValueError(f"target_start: contains the stop {self.stop!r}: every answer would end before it begins")
        return self
