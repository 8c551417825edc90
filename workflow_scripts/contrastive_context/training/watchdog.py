"""Stops training that has gone wrong for good."""

import math
import statistics
from collections import deque

from contrastive_context.core.errors import UserError

_WINDOW = 50  # steps of the running median
_MIN_RISE = 2.0  # nats per token: near zero many times the median is still a good loss
_PATIENCE = 3  # steps in a row


class Diverged(UserError):
    """The loss is no longer finite or has exploded."""


class Watchdog:
    """Looks at each step's loss and gradient norm before the weights are changed.

    One high loss is a hard batch; an explosion is a loss that is more than ``max_loss_factor`` times the running median
    of the good steps, and 2 nats per token above it, three steps in a row. The norm is that before clipping: only one
    that isn't finite does harm.
    """

    def __init__(self, max_loss_factor: float) -> None:
        """See the class."""
        self._factor = max_loss_factor
        self._good: deque[float] = deque(maxlen=_WINDOW)
        self._bad = 0

    @property
    def is_suspicious(self) -> bool:
        """Whether the last step looked like the start of an explosion; its state shouldn't replace a good one."""
        return self._bad > 0

    def check(self, step: int, loss: float, norm: float) -> None:
        """Take in a step.

        Raises:
            Diverged: nothing good can follow.
        """
        if step == 1 and not math.isfinite(loss):
            raise Diverged(
                f"fine-tuning: loss {loss} at step 1, before the adapter does anything: the base itself gives no "
                "finite logits. Its weights are damaged, or numbers overflow in the model's dtype; try float32"
            )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(
                f"fine-tuning: loss {loss} and gradient norm {norm} at step {step}; lower the recipe's "
                "learning_rate or set a warm-up (and check the model's dtype)"
            )
        usual = statistics.median(self._good) if self._good else loss
        if loss <= max(self._factor * usual, usual + _MIN_RISE):
            self._good.append(loss)
            self._bad = 0
            return
        self._bad += 1
        if self._bad == _PATIENCE:
            raise Diverged(
                f"fine-tuning: the loss has exploded: {loss:.3g} at step {step}, the third in a row above "
                f"{self._factor:g} times the median so far ({usual:.3g}); lower the recipe's learning_rate or set a "
                "warm-up (safeguards.max_loss_factor sets the limit)"
            )
