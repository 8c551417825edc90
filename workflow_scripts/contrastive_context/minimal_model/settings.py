"""Settings of ``simulate_minimal_model.py``."""

from typing import TYPE_CHECKING, Self

from contrastive_context.config.base import Model
from contrastive_context.config.minimal_model import MinimalModel

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class SimulateMinimalModelSettings(Model):
    """What ``simulate_minimal_model.py`` is told: the whole section ``minimal_model``."""

    minimal_model: MinimalModel

    @classmethod
    def of(cls, study: "Study") -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(minimal_model=study.minimal_model)
