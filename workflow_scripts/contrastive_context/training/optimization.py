"""One optimizer step on a LoRA adapter, and all that must be kept between two of them."""

import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from contrastive_context.config.finetuning import FineTuning
from contrastive_context.core.errors import UserError
from contrastive_context.core.model_limits import rope_limit
from contrastive_context.models import adapters
from contrastive_context.models.fast_lora import SummedLora
from contrastive_context.models.peft_internals import drop_out_in_adapters_alone
from contrastive_context.models.transformers_internals import checkpointed_layers
from contrastive_context.prompting.batches import collate, completion_logits, length_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger("contrastive_context")

_OPTIMIZER, _PROGRESS = "optimizer.safetensors", "progress.json"


class Optimization:
    """A base with an adapter, its optimizer and its random numbers.

    Dropout of the base stays off; only LoRA's own is used.

    Args:
        model: the base, on its device; it gets the adapter.
        recipe: hyper-parameters.
        seed: of the adapter's initial weights and dropout.
        base_name: the base's name, kept in the adapters' configuration.
        gradient_checkpointing: compute each layer's activations again in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        recipe: FineTuning,
        seed: int,
        base_name: str = "",
        gradient_checkpointing: bool = False,
    ) -> None:
        """Attach the adapter."""
        self._recipe, self._base_name = recipe, base_name
        self.device = next(model.parameters()).device
        self._adapted = adapters.attach(model, recipe.lora, seed)
        self.network = cast("PreTrainedModel", self._adapted.get_base_model()).eval()
        drop_out_in_adapters_alone(self.network)
        if gradient_checkpointing:
            _enable_checkpointing(self.network)
        # A GPU's micro-batches are so large that sums are soon made, and its memory is dear.
        self._sums = SummedLora(self.network) if self.device.type == "cpu" else None
        torch.manual_seed(seed)
        self._weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._weights, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
        )
        self._micro_batch_tokens = recipe.micro_batch_tokens

    def forward_backward(
        self, pairs: Sequence[tuple], between: Callable[[], None] = lambda: None
    ) -> tuple[float, float]:
        """Add up a step's gradients over micro-batches and clip them.

        The loss is summed over the completion tokens of the step and divided by their number, so that the size of
        micro-batches changes a result by rounding at most, with dropout by other masks too. Where memory runs out they
        are made smaller, for this and all later steps.

        Args:
            pairs: (prompt ids, completion ids) of the step's examples.
            between: called before each micro-batch; if it raises, all is as before the step.

        Returns:
            The loss and the gradients' norm before clipping.

        Raises:
            UserError: memory doesn't suffice for a single example.
        """
        while True:
            random = self._random_state()
            try:
                return self._forward_backward(pairs, between)
            except BaseException as error:
                self._optimizer.zero_grad(set_to_none=True)
                self._set_random_state(random)
                if not _is_out_of_memory(error):
                    raise
            # Out here the exception, which keeps the activations alive, is gone.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self._halve_micro_batches(pairs)

    def update(self, learning_rate: float) -> None:
        """Change the weights by the accumulated gradients."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def save(self, folder: Path) -> None:
        """Write everything that the next step depends on into ``folder``, the adapter in its published form."""
        from safetensors.torch import save_file

        adapters.save_adapter(self._adapted, folder, self._base_name)
        tensors = {f"random.{name}": state for name, state in self._random_state().items()}
        for index, entry in self._optimizer.state_dict()["state"].items():
            tensors |= {f"{index}.{key}": value.cpu().contiguous() for key, value in entry.items()}
        save_file(tensors, folder / _OPTIMIZER)
        (folder / _PROGRESS).write_text(json.dumps({"micro_batch_tokens": self._micro_batch_tokens}) + "\n")

    def load(self, folder: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        set_peft_model_state_dict(self._adapted, load_file(folder / adapters.WEIGHTS))
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / _OPTIMIZER).items()}
        self._set_random_state(
            {name.removeprefix("random."): tensors.pop(name) for name in list(tensors) if name.startswith("random.")}
        )
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        self._micro_batch_tokens = json.loads((folder / _PROGRESS).read_text())["micro_batch_tokens"]

    def _forward_backward(self, pairs: Sequence[tuple], between: Callable[[], None]) -> tuple[float, float]:
        supervised = sum(len(completion) for _, completion in pairs)
        total = torch.zeros((), device=self.device)
        if self._sums is not None:
            self._sums.refresh()
        for group in self._groups(pairs):
            between()
            batch = collate([pairs[i] for i in group], self.device)
            with _autocast(self.network, self.device):
                logits = completion_logits(self.network, batch)
            loss = torch.nn.functional.cross_entropy(logits.float(), batch.labels, reduction="sum") / supervised
            loss.backward()
            total += loss.detach()
        norm = torch.nn.utils.clip_grad_norm_(self._weights, self._recipe.max_gradient_norm)
        return total.item(), norm.item()

    def _groups(self, pairs: Sequence[tuple]) -> list[list[int]]:
        budget = self._micro_batch_tokens
        split_above = budget // 8 if self.device.type == "cpu" else None
        return length_batches(_lengths(pairs), budget, split_above, rope_limit(self.network.config))

    def _halve_micro_batches(self, pairs: Sequence[tuple]) -> None:
        lengths = _lengths(pairs)
        groups = self._groups(pairs)
        if all(len(group) == 1 for group in groups):
            raise UserError(
                f"fine-tuning: out of memory on one example of {max(lengths)} tokens; set the model's "
                "gradient_checkpointing, shorten the template's max_prompt_tokens, or use a device with more memory"
            )
        # A budget above the largest group would be halved to no effect.
        largest = max(len(group) * max(lengths[row] for row in group) for group in groups)
        self._micro_batch_tokens = min(self._micro_batch_tokens, largest) // 2
        log.warning(
            "out of memory: micro-batches have at most %d tokens from here on; a step's examples stay the same",
            self._micro_batch_tokens,
        )

    def _random_state(self) -> dict[str, torch.Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def _set_random_state(self, states: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if "cuda" in states and self.device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], self.device)


def _lengths(pairs: Sequence[tuple]) -> list[int]:
    return [len(prompt) + len(completion) - 1 for prompt, completion in pairs]


def _enable_checkpointing(network: "PreTrainedModel") -> None:
    if not network.supports_gradient_checkpointing:
        raise UserError(f"gradient_checkpointing: {type(network).__name__} doesn't support it; set it to false")
    network.gradient_checkpointing_enable({"use_reentrant": False})
    for layer in checkpointed_layers(network):
        layer.training = True  # it looks at its own flag; those inside, and their dropout, stay off


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU's allocator and the CUDA libraries have no class of their own for it.
    signs = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def _autocast(network: "PreTrainedModel", device: torch.device) -> contextlib.AbstractContextManager:
    """Adapters stay float32 on a bfloat16 base; the products run in the base's type."""
    if network.dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=network.dtype)
