"""What every step that runs a language model is told."""

from typing import Literal

from contrastive_context.config.base import Model
from contrastive_context.config.models import Device, Dtype
from contrastive_context.config.templates import Template


class ModelSettings(Model):
    """The task, the model and how its prompts are written."""

    task: str
    model_name: str
    dtype: Dtype = "float32"
    device: Device = "cpu"
    template: Template


class InferenceSettings(ModelSettings):
    """A step that runs a model without training it."""

    threads: int = 1
    batch_tokens: int = 8192
    attention: Literal["sdpa", "eager"] = "sdpa"
