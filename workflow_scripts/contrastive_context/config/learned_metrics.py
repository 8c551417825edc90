"""Learned metrics: models that score a translation."""

from typing import Literal, Self

from pydantic import Field, model_validator

from contrastive_context.config.base import Minutes, Model
from contrastive_context.config.models import Device

LearnedMetric = Literal["comet", "comet_qe"]


class CometModel(Model):
    """A COMET checkpoint, from the hub or a local file. It runs in an environment of its own (envs/comet.txt).

    A checkpoint is a pickle: it is loaded in that environment only, and only if its SHA-256 is the one expected.
    """

    hub: str | None = Field(None, description="such as Unbabel/wmt22-comet-da")
    revision: str = Field("main", description="of the hub: branch, tag or commit hash")
    checkpoint: str | None = Field(
        None, description="a local <folder>/checkpoints/model.ckpt; hparams.yaml in <folder>"
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="of the checkpoint; needed for a local one. A hub's is compared with the hash that the hub states",
    )
    encoder: str = Field(description="entry under metric_encoders: whose tokenizer and architecture it has")
    licence: str | None = Field(None, description="of the model, for the report")
    batch_size: int = Field(16, ge=1, description="segments per forward pass")
    device: Device = Field("cpu", description="cuda asks for one GPU per job")
    threads: int = Field(1, ge=1, description="CPU threads of one job")
    mem_mb: int = Field(8000, ge=256, description="memory of one job, MiB")
    runtime: Minutes = Field(120, description="time limit of one job, minutes")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.hub is None) == (self.checkpoint is None):
            raise ValueError("give exactly one of hub and checkpoint")
        if self.checkpoint is not None and self.sha256 is None:
            raise ValueError("sha256: a local checkpoint needs it: that is a pickle, which can run code when loaded")
        return self


class MetricEncoder(Model):
    """Configuration and tokenizer of the encoder that a learned metric was built on; the weights are the metric's."""

    hub: str | None = Field(None, description="such as xlm-roberta-large")
    revision: str = Field("main", description="of the hub: branch, tag or commit hash")
    folder: str | None = Field(None, description="a local folder with configuration and tokenizer, instead of hub")
    licence: str = Field("not stated", description="for the report")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.hub is None) == (self.folder is None):
            raise ValueError("give exactly one of hub and folder")
        return self
