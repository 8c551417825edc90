"""What a fine-tuning run reads: which targets at which step, their contexts and the texts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrastive_context.config.finetuning import FineTuning
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError


@dataclass(frozen=True)
class Context:
    """A training context: ids of the examples in prompt order, their similarity to the target's source, and the id of
    the pair to train on (the target, or a paraphrase in its place)."""

    example_ids: Sequence[str]
    similarities: Sequence[float]
    trained_id: str


@dataclass(frozen=True)
class TrainingData:
    """What the steps of one run need.

    ``schedule``: per step the (target id, draw) pairs; ``contexts``: by these pairs; ``texts``: id → (source, target).
    """

    schedule: Sequence[Sequence[tuple[str, int]]]
    contexts: dict[tuple[str, int], Context]
    texts: dict[str, tuple[str, str]]


def make_schedule(ids: Sequence[str], draws: int, recipe: FineTuning, seed: int) -> list[list[tuple[str, int]]]:
    """Return the (target id, draw) pairs of every optimizer step.

    Each epoch is a permutation of the sorted ids that depends on the seed and the epoch alone, so every strategy sees
    the same targets in the same order. Epoch e of training seed s uses draw (s · epochs + e) mod ``draws``.
    """
    ids = sorted(ids)
    total = recipe.steps * recipe.examples_per_step
    epochs = math.ceil(total / len(ids))
    pairs: list[tuple[str, int]] = []
    for epoch in range(epochs):
        draw = (seed * epochs + epoch) % draws
        pairs += [(ids[i], draw) for i in np.random.default_rng([seed, epoch]).permutation(len(ids))]
    size = recipe.examples_per_step
    return [pairs[start : start + size] for start in range(0, total, size)]


def read_training_data(
    corpus: str | Path, contexts: str | Path, paraphrases: str | Path | None, recipe: FineTuning, seed: int
) -> TrainingData:
    """Read the targets, contexts and texts that the recipe's steps need, and no others.

    Raises:
        UserError: a target has no context for its draw, or a context names an unknown example.
    """
    import pyarrow.dataset
    from pyarrow.compute import field

    pairs = artifacts.read_parquet(corpus, ("id", "source", "target"))
    if pairs.empty:
        raise UserError(f"{corpus}: no rows to train on")
    texts = dict(zip(pairs["id"], zip(pairs["source"], pairs["target"], strict=True), strict=True))
    if paraphrases:
        extra = artifacts.read_parquet(paraphrases, ("id", "source", "target"))
        texts |= dict(zip(extra["id"], zip(extra["source"], extra["target"], strict=True), strict=True))
    columns = ("target_id", "draw", "example_ids", "similarities", "trained_id")
    try:
        table = pyarrow.dataset.dataset(contexts, format="parquet")
        draws = table.to_table(columns=["draw"])["draw"].unique()
        schedule = make_schedule(pairs["id"].tolist(), max(1, len(draws)), recipe, seed)
        needed = {pair for step in schedule for pair in step}
        targets = field("target_id").isin(sorted({target for target, _ in needed}))
        rows = table.to_table(
            columns=list(columns), filter=targets & field("draw").isin(sorted({draw for _, draw in needed}))
        )
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors derive from these
        raise UserError(f"{contexts}: can't be read as training contexts ({error}); delete it and run again") from error
    found = {
        (target, draw): Context(examples, similarities, trained)
        for target, draw, examples, similarities, trained in zip(
            *(rows[name].to_pylist() for name in columns), strict=True
        )
        if (target, draw) in needed
    }
    if lacking := needed - found.keys():
        target, draw = min(lacking)
        raise UserError(
            f"{contexts}: no context of target {target} for draw {draw} ({len(lacking)} such); sample again"
        )
    used = {name for context in found.values() for name in (context.trained_id, *context.example_ids)}
    if unknown := used - texts.keys():
        raise UserError(f"{contexts}: example {min(unknown)} is neither in {corpus} nor in the paraphrases given")
    return TrainingData(schedule, found, {name: texts[name] for name in used})
