"""Refusal of logits that aren't finite, from which an answer or a likelihood would come all the same."""

from collections.abc import Sequence
from typing import Any

from contrastive_context.core.errors import UserError


class FiniteLogits:
    """A logits processor of transformers that changes nothing, and stops at a row whose logits aren't finite.

    The largest logit of a row shows it: it is NaN if any is, and infinite if any is +∞ or all are −∞.

    Args:
        names: what the rows' prompts are called in messages.
        model: the model that generates.
        beams: rows per prompt.
    """

    def __init__(self, names: Sequence[str], model: Any, beams: int = 1) -> None:
        """See the class."""
        self._names, self._model, self._beams = names, model, beams

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return ``scores`` [rows, vocabulary] as they are.

        Raises:
            UserError: some aren't finite; the message names the first such prompt.
        """
        finite = scores.amax(-1).isfinite()
        if not finite.all():
            raise not_finite(self._names[int(finite.int().argmin()) // self._beams], self._model)
        return scores


def not_finite(name: str, model: Any) -> UserError:
    """Return the error about a prompt for which a model's logits aren't finite."""
    dtype = str(model.dtype).removeprefix("torch.")
    advice = "set its dtype to float32" if dtype != "float32" else "look at how it was made or fine-tuned"
    return UserError(
        f"prompt {name}: the model's logits aren't finite, so that any answer would be meaningless. Its weights are "
        f"damaged, or numbers overflow in {dtype}; {advice}"
    )
