"""Language models: where the weights come from and what they need."""

from typing import Annotated, Literal

from pydantic import Field

from contrastive_context.config.base import Minutes, Model, Seed
from contrastive_context.config.cluster import ModelStage, OwnNeeds

Dtype = Literal["float32", "bfloat16"]
Device = Literal["cpu", "cuda"]


class _LanguageModel(Model):
    dtype: Dtype = Field("float32", description="of the weights in fine-tuning, generation and probes")
    device: Device = Field("cpu", description="where these run; cuda asks for one GPU per job")
    gradient_checkpointing: bool = Field(False, description="less memory, more time in fine-tuning; the same results")
    mem_mb: int = Field(2000, ge=256, description="memory of one job, MiB")
    runtime: Minutes = Field(60, description="time limit of one job, minutes")
    stages: dict[ModelStage, OwnNeeds] = Field({}, description="stages whose jobs need more or less than that")
    target_modules: str | list[str] | None = Field(None, description="layers that LoRA adapts; the recipe's if absent")
    title: str | None = Field(None, description="name in figures; the entry's key if absent")


class PretrainedTinyModel(_LanguageModel):
    """A tiny decoder of a known family that the workflow pre-trains itself on a synthetic language [ours]."""

    kind: Literal["pretrain"]
    family: Literal["llama", "qwen3", "gemma3", "gpt_neox"] = Field(
        description="architecture, as transformers calls it"
    )
    language: Literal["lexicon", "idiom"] = Field("lexicon", description="the kind of corpus that it can read")
    seed: Seed = 0
    steps: int = Field(650, ge=1, description="optimizer steps of pre-training")
    min_in_context_accuracy: float | None = Field(
        None, ge=0, le=1, description="gate: the model is refused below this; absent: lexicon .99, idiom .7"
    )
    attempts: int = Field(1, ge=1, description="models trained at most (seed, seed + 1, …); the first to pass is taken")


class PackagedGgufModel(_LanguageModel):
    """A GGUF file shipped in a package, exported once to safetensors (float32)."""

    kind: Literal["gguf_package"]
    package: str = Field(description="key under packages")
    path_in_package: str = Field(description="the GGUF file inside it")


class HubModel(_LanguageModel):
    """A model of the Hugging Face hub."""

    kind: Literal["hub"]
    name: str = Field(description="repository, owner/name")
    revision: str = Field("main", description="branch, tag or commit hash")
    licence: str = Field("not stated", description="for the report")


class FolderModel(_LanguageModel):
    """A local folder as written by ``save_pretrained`` (safetensors)."""

    kind: Literal["folder"]
    path: str = Field(description="the folder, from where Snakemake runs")


LanguageModel = Annotated[PretrainedTinyModel | PackagedGgufModel | HubModel | FolderModel, Field(discriminator="kind")]
