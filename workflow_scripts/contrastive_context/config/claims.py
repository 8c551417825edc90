"""The claims that a study tests: the paper's own as far as they are known, and controls of ours; fixed before results.

Every comparison is written as *higher minus lower*, so that a positive difference supports the claim. Where a claim
names several systems, or every bucket, each pair has to hold in every composition of the context.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from contrastive_context.config.base import Model

Quantity = Literal["low", "high", "every bucket", "mean", "iwl", "icl", "copy", "retention"]
"""What is compared: a headline score in a bucket, in each of them, or its mean over them; a probe; or the retention of
both ICL and IWL: min(ICL / ICL of the base, (IWL − IWL of the base) / (best strategy's IWL − IWL of the base)), each
part between 0 and 1."""


@dataclass(frozen=True)
class Claim:
    """A claim: every ``higher`` system is above every ``lower`` one.

    Attributes:
        name: key in tables and in the configuration.
        text: the claim in words.
        source: where the paper says it, or "ours".
        higher: roles, the base or kinds of strategies.
        lower: roles.
        quantity: what is compared.
        level: the claim is "higher is not below lower by more than ``statistics.level_margin``".
        of_higher: the lower one is held against this share of the higher one's value.
        after: the share of the training steps after which trained systems are looked at.
    """

    name: str
    text: str
    source: str
    higher: tuple[str, ...]
    lower: tuple[str, ...]
    quantity: Quantity
    level: bool = False
    of_higher: float = 1.0
    after: float = 1.0


_RIVALS = ("base", "zero", "random", "similar")
_ABSTRACT = "paper, abstract"
# "IWL-score of Similar-Context is lowest, ICL-score of Random-Context diminishes fast with training, Copy-score of
# Similar-Context is higher. Contrastive-Context provides best retention of ICL and IWL capabilities …": the figure
# compares Random, Similar and Contrastive.
_CAPTION = "paper, caption of figure 4; formulas ours"
CLAIMS: tuple[Claim, ...] = (
    Claim("zero_below_base_high", "Zero ends below the un-tuned base at high similarity", _ABSTRACT,
          ("base",), ("zero",), "high"),
    Claim("random_below_zero_high", "Random ends below Zero at high similarity", _ABSTRACT,
          ("zero",), ("random",), "high"),
    Claim("random_below_base_high", "Random ends below the un-tuned base at high similarity",
          "paper, abstract: follows from what it says of Zero", ("base",), ("random",), "high"),
    Claim("similar_below_zero_low", "Similar ends below Zero at low similarity", _ABSTRACT,
          ("zero",), ("similar",), "low"),
    Claim("similar_below_random_low", "Similar ends below Random at low similarity", _ABSTRACT,
          ("random",), ("similar",), "low"),
    Claim("contrastive_among_best",
          "Contrastive is at most the margin below the base, Zero, Random and Similar in every bucket",
          "paper, abstract: among the most accurate across the spectrum; margin ours",
          ("contrastive",), _RIVALS, "every bucket", level=True),
    Claim("contrastive_best_mean",
          "Contrastive is above the base, Zero, Random and Similar in the mean over the buckets",
          "ours; the paper's abstract says: among the most accurate across the spectrum",
          ("contrastive",), _RIVALS, "mean"),
    Claim("contrastive_retains_both", "Contrastive retains more of both ICL and IWL than Random and Similar",
          "paper, caption of figure 4: best retention of ICL and IWL; formula ours",
          ("contrastive",), ("random", "similar"), "retention"),
    Claim("similar_lowest_iwl", "Similar has the lowest IWL-score of Random, Similar and Contrastive", _CAPTION,
          ("random", "contrastive"), ("similar",), "iwl"),
    Claim("similar_highest_copy", "Similar has the highest Copy-score of Random, Similar and Contrastive", _CAPTION,
          ("similar",), ("random", "contrastive"), "copy"),
    Claim("random_loses_icl_early", "Random's ICL-score is below half the base's after a quarter of the steps",
          "paper, caption of figure 4: diminishes fast with training; half and quarter ours",
          ("base",), ("random",), "icl", of_higher=0.5, after=0.25),
    Claim("contrastive_above_mixed", "Contrastive is above Mixed in the mean over the buckets", "ours",
          ("contrastive",), ("mixed",), "mean"),
)  # fmt: skip
"""Each with its source; what is tested follows from the fields."""
OF_PROBES = ("iwl", "icl", "copy", "retention")
"""Quantities that probes give."""


class TaskClaims(Model):
    """What of the claims is particular to a task [ours]; the reasons are shown in the report."""

    left_out: dict[str, str] = Field({}, description="claim that can't be asked here → why")
    level_margin: float | None = Field(
        None, ge=0, le=1, description="instead of statistics.level_margin, as a share of the headline metric's scale"
    )

    @field_validator("left_out")
    @classmethod
    def _known(cls, given: dict[str, str]) -> dict[str, str]:
        names = [claim.name for claim in CLAIMS]
        if unknown := sorted(given.keys() - set(names)):
            raise ValueError(f"no such claim: {', '.join(unknown)}; there are {', '.join(names)}")
        return given
