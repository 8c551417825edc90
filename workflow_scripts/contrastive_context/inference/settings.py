"""Settings of ``generate.py`` and ``run_probes.py``."""

from typing import TYPE_CHECKING, Any, Self

from contrastive_context.config.tasks import Agreement, ProbeMeasure
from contrastive_context.contexts.settings import probes_of
from contrastive_context.models.settings import ModelSettings, model_leaves

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class InferenceSettings(ModelSettings):
    """A step that runs a model without training it."""

    threads: int = 1
    batch_tokens: int = 8192


class GenerateSettings(InferenceSettings):
    """What a generation job depends on, its input files apart."""

    @classmethod
    def of(cls, study: "Study", task: str, model: str) -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(**_leaves(study, task, model))


class RunProbesSettings(InferenceSettings):
    """What a probing job depends on, its input files apart."""

    measures: list[ProbeMeasure] = ["generation", "likelihood"]
    agreement: Agreement

    @classmethod
    def of(cls, study: "Study", task: str, model: str) -> Self:
        """Take the leaves that the step reads from the study."""
        measures, agreement = probes_of(study, task).measures, study.tasks[task].agreement
        return cls(**_leaves(study, task, model), measures=measures, agreement=agreement)


def _leaves(study: "Study", task: str, model: str) -> dict[str, Any]:
    return {
        **model_leaves(study, task, model),
        "threads": study.generation.threads,
        "batch_tokens": study.generation.batch_tokens,
    }
