"""Uncertainty and verdicts: fixed before results are seen."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from contrastive_context.config.base import Model, Seed
from contrastive_context.config.tasks import Metric

Effect = Literal[Metric, "iwl", "icl", "icl_valid", "copy", "likelihood"]
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
    "icl_valid": 0.02,
    "copy": 0.02,
    "likelihood": 0.02,
}


class Statistics(Model):
    """Cluster bootstrap and the thresholds of verdicts [ours].

    ``min_effects`` maps a metric, a probe (iwl, icl, icl_valid, copy) or "likelihood" (probes in nats per token, where
    there are no generated answers) to the smallest difference that counts, in its own unit; what is given replaces
    single defaults. Shares of the full scale (``near_margin``, ``large_effect``) are multiplied by 100 for chrF++ and
    BLEU.
    """

    resamples: int = Field(1000, ge=100, description="bootstrap resamples")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="level of the intervals")
    seed: Seed = 0
    min_clusters: int = Field(10, ge=2, description='below it every verdict is "can\'t tell"')
    min_effects: dict[Effect, Annotated[float, Field(ge=0)]] = Field(
        _MIN_EFFECTS, description="metric, probe or likelihood → smallest difference that counts, in its own unit"
    )
    near_margin: float = Field(0.05, ge=0, le=1, description="Contrastive counts as level with Random within this")
    icl_margin: float = Field(0.1, ge=0, le=1, description="Contrastive counts as keeping ICL within this of the base")
    icl_margin_nats: float = Field(0.1, ge=0, description="the same for the likelihood version, nats per label token")
    large_effect: float = Field(0.1, ge=0, le=1, description="the second, harder threshold for Similar at low")

    @field_validator("min_effects", mode="before")
    @classmethod
    def _over_defaults(cls, given: object) -> object:
        return {**_MIN_EFFECTS, **given} if isinstance(given, dict) else given
