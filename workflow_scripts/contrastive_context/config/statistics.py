"""Uncertainty and verdicts: fixed before results are seen."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from contrastive_context.config.base import Model, Seed
from contrastive_context.config.tasks import Metric

Effect = Literal[Metric, "iwl", "icl", "copy", "likelihood", "retention"]
_MIN_EFFECTS: dict[Effect, float] = {
    "token_accuracy": 0.02,
    "exact_match": 0.02,
    "intent_match": 0.02,
    "tree_match": 0.02,
    "slot_f1": 0.02,
    "bird_execution_accuracy": 0.02,
    "chrf++": 1.0,
    "bleu": 1.0,
    "comet": 0.01,
    "comet_qe": 0.01,
    "iwl": 0.02,
    "icl": 0.02,
    "copy": 0.02,
    "likelihood": 0.02,
    "retention": 0.1,
}


class Statistics(Model):
    """Cluster bootstrap and the thresholds of verdicts [ours].

    ``min_effects`` maps a metric, a probe (iwl, icl, copy), "likelihood" (probes in nats per token, where there are no
    generated answers) or "retention" to the smallest difference that counts, in its own unit; what is given replaces
    single defaults. Near a metric's maximum a tenth of the errors that remain to the lower system counts, if that is
    less. Shares of the full scale are multiplied by 100 for chrF++ and BLEU.
    """

    resamples: int = Field(1000, ge=100, description="bootstrap resamples")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="level of the intervals")
    seed: Seed = 0
    min_clusters: int = Field(10, ge=2, description='below it every verdict is "can\'t tell"')
    min_targets: int = Field(50, ge=1, description="targets or probe items; below it the same")
    min_learned: float = Field(
        0.05, ge=0, le=1,
        description="a verdict needs that the best strategy's IWL-score (without probes its score at low similarity, "
        "as a share of the scale) is above the base's by this; ICL can be kept or lost where the base's is that much",
    )  # fmt: skip
    min_effects: dict[Effect, Annotated[float, Field(ge=0)]] = Field(
        _MIN_EFFECTS, description="metric, probe, likelihood or retention → smallest difference that counts"
    )
    level_margin: float = Field(
        0.05, ge=0, le=1, description="Contrastive counts as among the most accurate if it is at most this below"
    )

    @field_validator("min_effects", mode="before")
    @classmethod
    def _over_defaults(cls, given: object) -> object:
        return {**_MIN_EFFECTS, **given} if isinstance(given, dict) else given
