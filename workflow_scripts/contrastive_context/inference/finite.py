"""Refusal of logits that aren't finite, from which an answer or a likelihood would come all the same."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contrastive_context.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class FiniteLogits:
    """A logits processor of transformers that changes nothing, and notes whether each row's logits are finite.

    Each row's largest logits are added up on the model's device: NaN or an infinity, once in the sum, stays there. The
    largest of a row is NaN if any is, and infinite if any is +∞ or all are −∞. The sums are read when :meth:`check` is
    called, as reading them after each token would make the CPU wait for the GPU once more.

    Args:
        names: what the rows' prompts are called in messages.
        model: the model that generates.
        beams: rows per prompt.
        at_once: check after each token, as drawing from what isn't finite would fail otherwise.
    """

    def __init__(
        self, names: Sequence[str], model: "PreTrainedModel", *, beams: int = 1, at_once: bool = False
    ) -> None:
        """See the class."""
        self._names, self._model, self._beams, self._at_once = names, model, beams, at_once
        self._sums: Tensor | float = 0.0

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        """Return ``scores`` [rows, vocabulary] as they are.

        Raises:
            UserError: as :meth:`check`, if it is to be called at once.
        """
        self._sums = self._sums + scores.amax(-1)
        if self._at_once:
            self.check()
        return scores

    def check(self) -> None:
        """Look at all logits since the beginning.

        Raises:
            UserError: some weren't finite; the message names the first such prompt.
        """
        finite = self._sums.isfinite() if not isinstance(self._sums, float) else None
        if finite is not None and not finite.all():
            raise not_finite(self._names[int(finite.int().argmin()) // self._beams], self._model)


def not_finite(name: str, model: "PreTrainedModel") -> UserError:
    """Return the error about a prompt for which a model's logits aren't finite."""
    dtype = str(model.dtype).removeprefix("torch.")
    advice = "set its dtype to float32" if dtype != "float32" else "look at how it was made or fine-tuned"
    return UserError(
        f"prompt {name}: the model's logits aren't finite, so that any answer would be meaningless. Its weights are "
        f"damaged, or numbers overflow in {dtype}; {advice}"
    )
