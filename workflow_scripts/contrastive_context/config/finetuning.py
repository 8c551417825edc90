"""Fine-tuning recipes."""

from typing import Literal

from pydantic import Field

from contrastive_context.config.base import Model


class Lora(Model):
    """LoRA as in peft."""

    r: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"


class FineTuning(Model):
    """One recipe: LoRA on a frozen base, AdamW, a fixed number of examples per optimizer step."""

    lora: Lora = Lora()
    steps: int = Field(200, ge=1)
    checkpoints: list[int] = Field([0, 200], description="steps at which the adapter is kept; 0 and the last included")
    examples_per_step: int = Field(32, ge=1)
    micro_batch_tokens: int = Field(4096, ge=1, description="padded tokens per forward pass; changes no result")
    learning_rate: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = Field(0.0, ge=0)
    max_gradient_norm: float = Field(1.0, gt=0)
    warmup_steps: int = Field(0, ge=0)
    decay_fraction: float = Field(0.3, ge=0, le=1, description="share of the last steps with linear decay")
    final_learning_rate_fraction: float = Field(0.1, ge=0, le=1)
    attention: Literal["sdpa", "eager"] = "sdpa"
    threads: int = Field(1, ge=1, description="CPU threads of one job; results on a CPU depend on it in the last bits")
