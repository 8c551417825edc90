"""Fine-tuning recipes."""

from typing import Annotated

from pydantic import Field

from contrastive_context.config.base import Model

Beta = Annotated[float, Field(ge=0, lt=1)]


class Lora(Model):
    """LoRA as in peft."""

    r: int = Field(16, ge=1, description="rank of the adapters")
    alpha: int = Field(32, ge=1, description="their output is scaled by alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1, description="probability that an input of an adapter is dropped")
    target_modules: str | list[str] = Field("all-linear", description="layers that get one, by name or as peft puts it")


class FineTuning(Model):
    """One recipe: LoRA on a frozen base, AdamW, a fixed number of examples per optimizer step."""

    lora: Lora = Lora()
    steps: int = Field(200, ge=1, description="optimizer steps")
    checkpoints: list[int] = Field([0, 200], description="steps at which the adapter is kept; 0 and the last included")
    examples_per_step: int = Field(32, ge=1, description="training targets per optimizer step, each with its context")
    micro_batch_tokens: int = Field(
        4096,
        ge=1,
        description="padded tokens per forward pass; halved where memory runs out. Without lora.dropout it changes a "
        "result by rounding at most; with it other masks are drawn",
    )
    learning_rate: float = Field(1e-4, gt=0, le=1, description="AdamW's, after the warm-up")
    betas: tuple[Beta, Beta] = Field((0.9, 0.98), description="AdamW's decay rates of the gradient's two moments")
    weight_decay: float = Field(0.0, ge=0, le=1, description="AdamW's, times the learning rate at each step")
    max_gradient_norm: float = Field(1.0, gt=0, description="the gradient's norm is clipped to this")
    warmup_steps: int = Field(0, ge=0, description="first steps, over which the learning rate rises from 0")
    decay_fraction: float = Field(0.3, ge=0, le=1, description="share of the last steps with linear decay")
    final_learning_rate_fraction: float = Field(0.1, ge=0, le=1, description="of learning_rate, at the last step")
    threads: int = Field(1, ge=1, description="CPU threads of one job; results on a CPU depend on it in the last bits")
