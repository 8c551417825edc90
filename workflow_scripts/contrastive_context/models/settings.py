"""Settings of ``prepare_model.py``, and what every step that runs a model is told of it."""

from typing import TYPE_CHECKING, Any, Self

from contrastive_context.config.base import Model, at_default
from contrastive_context.config.models import Device, Dtype, LanguageModel
from contrastive_context.config.templates import Template

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class PrepareModelSettings(Model):
    """What ``prepare_model.py`` is told: the model's key and its entry under ``models``."""

    name: str
    model: LanguageModel
    threads: int = 1

    @classmethod
    def of(cls, study: "Study", model: str) -> Self:
        """Take the leaves that the step reads from the study."""
        # Scheduling and captions don't change the weights; which revision was downloaded is in the record.
        unused = ("dtype", "device", "mem_mb", "runtime", "stages", "title", "target_modules", "licence", "revision")
        return cls(name=model, model=at_default(study.models[model], *unused, "gradient_checkpointing"))


class ModelSettings(Model):
    """The task, the model and how its prompts are written."""

    task: str
    model_name: str
    dtype: Dtype = "float32"
    device: Device = "cpu"
    template: Template


def model_leaves(study: "Study", task: str, model: str) -> dict[str, Any]:
    """Return the fields of :class:`ModelSettings` for a model on a task."""
    entry = study.models[model]
    template = study.tasks[task].template
    return {"task": task, "model_name": model, "dtype": entry.dtype, "device": entry.device, "template": template}
