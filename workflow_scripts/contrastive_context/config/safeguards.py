"""What keeps jobs from losing work, and from doing work that is worth nothing."""

from pydantic import Field

from contrastive_context.config.base import Model


class Safeguards(Model):
    """When fine-tuning saves its state, who may go on, and when steps stop. Nothing here changes a number [ours]."""

    save_every_s: float = Field(300, ge=0, description="seconds between saved states; kept checkpoints are one each")
    keep_states: int = Field(2, ge=1, description="newest states that are kept, checkpoints not counted")
    stop_before_s: float = Field(
        60, ge=0, description="seconds left of a job's time at which it saves and stops; at most a tenth of its time"
    )
    lease_timeout_s: float = Field(
        180, ge=1, description="a job on another machine that gave no sign of life for so many seconds counts as dead"
    )
    max_loss_factor: float = Field(
        5, gt=1, description="training stops when the loss stays above so many times its running median"
    )
    max_unwritable: float = Field(
        0.05, ge=0, le=1, description="fine-tuning stops if the model's tokenizer can't write this share of the targets"
    )
    max_unread: float = Field(
        0.05,
        ge=0,
        le=1,
        description="embedding stops if the encoder doesn't read this share of a split's sources whole",
    )
