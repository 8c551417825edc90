"""The only module that uses more of peft than its documentation promises: what its LoRA layers are made of.

Peft may move any of this in its next version. ``tests/unit/test_library_internals.py`` then says what is gone.
"""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

_ADAPTER = "default"  # the name that peft gives the only adapter


@dataclass(frozen=True)
class LoraLayer:
    """A linear layer with a plain LoRA adapter.

    Attributes:
        module: peft's layer, which has the two others in it.
        base: the layer that is adapted.
        down: A, [rank, inputs].
        up: B, [outputs, rank].
        scale: factor of B·A.
        has_dropout: whether some of the inputs of A are dropped in training.
    """

    module: nn.Module
    base: nn.Module
    down: nn.Parameter
    up: nn.Parameter
    scale: float
    has_dropout: bool

    @property
    def weight(self) -> Tensor:
        """The base's weight, [outputs, inputs]."""
        weight = cast("Tensor", self.base.weight)
        return weight if isinstance(self.base, nn.Linear) else weight.T  # GPT-2's Conv1D


def plain_lora_layers(network: nn.Module) -> list[LoraLayer]:
    """Return the linear layers with a single adapter that is neither merged nor anything but plain LoRA."""
    from peft.tuners.lora import Linear

    return [
        LoraLayer(
            module,
            module.get_base_layer(),
            cast("nn.Parameter", module.lora_A[_ADAPTER].weight),
            cast("nn.Parameter", module.lora_B[_ADAPTER].weight),
            module.scaling[_ADAPTER],
            not isinstance(module.lora_dropout[_ADAPTER], nn.Identity),
        )
        for module in network.modules()
        if type(module) is Linear
        and list(module.lora_A) == [_ADAPTER]
        and not module.merged
        and not module.use_dora[_ADAPTER]
        and module.lora_A[_ADAPTER].bias is None
    ]


def drop_out_in_adapters_alone(network: nn.Module) -> None:
    """Set the adapters' own dropout to training mode, and every other module to evaluation mode."""
    for name, module in network.named_modules():
        module.training = ".lora_dropout" in name
