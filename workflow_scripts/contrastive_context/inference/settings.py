"""Settings of ``generate.py`` and ``run_probes.py``."""

from typing import TYPE_CHECKING, Any, Self

from contrastive_context.config.tasks import Agreement, ProbeMeasure
from contrastive_context.contexts.settings import probes_of
from contrastive_context.models.settings import ModelSettings, model_leaves

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class InferenceSettings(ModelSettings):
    """A step that runs a model without training it.

    Attributes:
        threads: of the CPU; None on a GPU, where results don't depend on it and an option gives it.
        batch_tokens: padded tokens of one batch. On a CPU the last bits of a logit depend on it; on a GPU an option
            gives it, so that a batch that fits the memory better runs nothing again.
    """

    threads: int | None = None
    batch_tokens: int | None = None


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
    leaves = model_leaves(study, task, model)
    generation = study.generation
    on_cpu = {"threads": generation.threads, "batch_tokens": generation.batch_tokens}
    return leaves | (on_cpu if leaves["device"] == "cpu" else {})
