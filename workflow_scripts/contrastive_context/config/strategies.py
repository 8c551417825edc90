"""Strategies: how training contexts are chosen."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from contrastive_context.config.base import Model

_P = 0.5


class Ablation(Model):
    """Marks a strategy as an ablation: what it is compared with, and which factor takes which value in it. Figures draw
    it against that strategy (fig5) instead of among the main ones."""

    of: str = Field(description="the main strategy, key under strategies")
    factor: str = Field(min_length=1, description="name shown; for a setting of strategies the default is shown too")
    value: bool | float | str = Field(description="the factor's value in this strategy, as figures show it")


class Strategy(Model):
    """How training contexts are chosen. contrastive: one slot is graded (nearest neighbour with probability ``p``,
    paraphrase of the target with ``epsilon``, else random), the others random. mixed: a context is wholly similar with
    probability ``p``, else wholly random. The other fields make controls and ablations."""

    kind: Literal["zero", "random", "similar", "contrastive", "mixed"]
    p: float = Field(
        _P, ge=0, le=1, description="contrastive and mixed: probability of the nearest neighbour, or of all k"
    )
    epsilon: float = Field(0.0, ge=0, le=1, description="contrastive: probability of a paraphrase of the target")
    k: int | None = Field(None, ge=1, description="examples per context; the task's k if absent")
    without: list[str] = Field([], description="buckets that no example's similarity to the target may lie in")
    augmentation: float = Field(
        0.0, ge=0, le=1, description="probability that a paraphrase of the target is trained on in its place"
    )
    token_matched: bool = Field(
        False, description="zero only: k + 1 times the examples per step, about the tokens of a k-shot strategy"
    )
    paraphrasers: dict[str, str] = Field({}, description="task → paraphraser, where epsilon or augmentation is above 0")
    title: str | None = Field(None, description="name in figures; the entry's key if absent")
    ablation: Ablation | None = Field(None, description="for a strategy that isn't a main one")

    @property
    def needs_neighbours(self) -> bool:
        """Whether nearest neighbours are shown."""
        return self.kind in ("similar", "contrastive", "mixed")

    @property
    def needs_paraphrases(self) -> bool:
        """Whether paraphrases are shown or trained on."""
        return (self.kind == "contrastive" and self.epsilon > 0) or self.augmentation > 0

    def problems(self, buckets: list[str]) -> Iterator[str]:
        """Yield what contradicts itself, as ``key: message``; ``buckets`` are the study's, lowest first."""
        if self.kind == "contrastive" and self.p + self.epsilon > 1 + 1e-9:
            yield f"p + epsilon is {self.p + self.epsilon:g}, more than 1"
        if self.epsilon > 0 and self.kind != "contrastive":
            yield f"epsilon belongs to kind contrastive, not to {self.kind}"
        # Its default can't be told from a p that was given, and stands in every record of a run.
        if self.p != _P and self.kind not in ("contrastive", "mixed"):
            yield f"p belongs to kinds contrastive and mixed, not to {self.kind}"
        if self.token_matched and self.kind != "zero":
            yield f"token_matched belongs to kind zero, not to {self.kind}"
        if self.k is not None and self.kind == "zero":
            yield "kind zero shows no examples; leave k out"
        for bucket in self.without:
            if bucket not in buckets[1:]:
                yield f"without: {bucket!r} can't be removed; known: {', '.join(buckets[1:])} (the lowest one stays)"
