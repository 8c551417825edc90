"""Strategies: how training contexts are chosen."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import Field

from contrastive_context.config.base import Model

_P = 0.5


class Kind(NamedTuple):
    """What contexts of a kind of strategy hold.

    Attributes:
        examples: whether they hold any.
        neighbours: how many nearest neighbours of the target at most; None for as many as there are examples.
        settings: which of p, epsilon and token_matched it has.
    """

    examples: bool = True
    neighbours: int | None = 0
    settings: tuple[str, ...] = ()


KINDS = {
    "zero": Kind(examples=False, settings=("token_matched",)),
    "random": Kind(),
    "similar": Kind(neighbours=None),
    "contrastive": Kind(neighbours=1, settings=("p", "epsilon")),
    "mixed": Kind(neighbours=None, settings=("p",)),
}


#: Factor of an ablation that varies both settings of contrastive contexts: a point of the plane that fig6 draws.
PLANE = "p and epsilon"


class Ablation(Model):
    """Marks a strategy as an ablation: what it is compared with, and which factor takes which value in it. Figures draw
    it against that strategy (fig5) instead of among the main ones; those with the factor "p and epsilon" as points of
    the plane of both (fig6)."""

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
    def shows_examples(self) -> bool:
        """Whether contexts hold examples."""
        return KINDS[self.kind].examples

    def neighbours(self, k: int) -> int:
        """Return how many nearest neighbours a context of ``k`` examples may hold."""
        most = KINDS[self.kind].neighbours
        return k if most is None else most

    @property
    def needs_neighbours(self) -> bool:
        """Whether nearest neighbours are shown."""
        return self.neighbours(1) > 0

    @property
    def needs_paraphrases(self) -> bool:
        """Whether paraphrases are shown or trained on."""
        return ("epsilon" in KINDS[self.kind].settings and self.epsilon > 0) or self.augmentation > 0

    def problems(self, buckets: list[str]) -> Iterator[str]:
        """Yield what contradicts itself, as ``key: message``; ``buckets`` are the study's, lowest first."""
        if self.ablation and self.ablation.factor == PLANE and self.kind != "contrastive":
            yield f"ablation.factor: {PLANE!r} is for strategies of kind contrastive; {self.kind} has not both"
        if {"p", "epsilon"} <= {*KINDS[self.kind].settings} and self.p + self.epsilon > 1 + 1e-9:
            yield f"p: p + epsilon is {self.p + self.epsilon:g}, more than 1"
        # The default of p can't be told from one that was given, and stands in every record of a run.
        given = {"epsilon": self.epsilon > 0, "p": self.p != _P, "token_matched": self.token_matched}
        for name in (name for name, is_given in given.items() if is_given):
            if name not in KINDS[self.kind].settings:
                yield f"{name}: kind {self.kind} has no {name}; leave it out, or take another kind"
        if self.k is not None and not self.shows_examples:
            yield f"k: kind {self.kind} shows no examples; leave it out"
        for bucket in self.without:
            if bucket not in buckets[1:]:
                yield f"without: {bucket!r} can't be removed; known: {', '.join(buckets[1:])} (the lowest one stays)"
