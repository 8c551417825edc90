"""Strategies: how training contexts are chosen."""

from typing import Literal

from pydantic import Field

from contrastive_context.config.base import Model


class Strategy(Model):
    """How training contexts are chosen. contrastive: one slot is graded (nearest neighbour with probability ``p``,
    paraphrase of the target with ``epsilon``, else random), the others random. mixed: a context is wholly similar with
    probability ``p``, else wholly random."""

    kind: Literal["zero", "random", "similar", "contrastive", "mixed"]
    p: float = Field(0.5, ge=0, le=1)
    epsilon: float = Field(0.0, ge=0, le=1)
    paraphrasers: dict[str, str] = Field({}, description="task → paraphraser, where epsilon > 0")
    title: str | None = None
