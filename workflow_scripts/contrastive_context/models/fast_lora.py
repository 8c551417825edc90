"""LoRA layers with forwards of our own: faster training in float32, and exact sums on bases of a narrower type."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch.autograd.function import once_differentiable

from contrastive_context.models.peft_internals import LoraLayer, plain_lora_layers


class SummedLora:
    """Faster forwards and backwards for peft's LoRA layers: one product with W + s·B·A, a sum made once per step.

    Results agree to float32 rounding. On another type merged weights would round small updates away: nothing is
    replaced there, nor where the adapter has dropout. The sums take as much memory as the weights that are adapted.

    Args:
        network: a model whose linear layers peft has adapted with a single plain LoRA adapter; changed in place.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        """Replace the layers' forwards."""
        self._layers = [
            _Layer(layer)
            for layer in plain_lora_layers(network)
            if layer.base.weight.dtype == torch.float32 and not layer.has_dropout
        ]
        self.refresh()

    def __len__(self) -> int:
        """Return the number of layers replaced."""
        return len(self._layers)

    def refresh(self) -> None:
        """Make the sums again; due whenever A or B have changed."""
        for layer in self._layers:
            layer.refresh()


class _Layer:
    def __init__(self, layer: LoraLayer) -> None:
        self._layer, self._weight = layer, layer.weight
        self._sum = torch.empty_like(self._weight)
        layer.module.forward = self.forward

    @torch.no_grad()
    def refresh(self) -> None:
        layer = self._layer
        torch.addmm(self._weight, layer.up, layer.down, alpha=layer.scale, out=self._sum)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layer = self._layer
        return _LoraLinear.apply(x, self._sum, layer.base.bias, layer.down, layer.up, layer.scale)


def round_once(network: torch.nn.Module) -> int:
    """Let peft's LoRA layers on a bfloat16 or float16 base add the adapter before they round. For inference only.

    Peft rounds the base layer's output to the base's type and then adds the adapter's part to it: a part below half a
    unit of the last place is lost every time, as it is when merged into the weights. Rounded once, the sum is right on
    average. The products of the base stay in its own type where the device can return them in float32.

    Args:
        network: a model whose linear layers peft has adapted with a single plain LoRA adapter, in float32.

    Returns:
        The number of layers replaced.
    """
    layers = [layer for layer in plain_lora_layers(network) if layer.base.weight.dtype != torch.float32]
    for layer in layers:
        layer.module.forward = _rounding_once(layer)
    return len(layers)


def _rounding_once(layer: LoraLayer) -> Callable[[torch.Tensor], torch.Tensor]:
    weight, bias, down, up, scale = layer.weight.T, layer.base.bias, layer.down, layer.up, layer.scale

    def forward(x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(0, -2)
        if rows.is_cuda and torch.version.hip is None:
            y = torch.mm(rows, weight, out_dtype=torch.float32)
        else:
            y = rows.float() @ weight.float()
        if bias is not None:
            y += cast("torch.Tensor", bias)
        y.addmm_(rows.float() @ down.T, up.T, alpha=scale)
        return y.to(x.dtype).view(*x.shape[:-1], y.shape[1])

    return forward


class _LoraLinear(torch.autograd.Function):
    """y = x (W + s·B·A)ᵀ + b, given that sum, with gradients for x, A and B only; nothing but ``x`` is kept."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, total: torch.Tensor, bias: torch.Tensor | None, down: torch.Tensor, up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:  # fmt: skip
        ctx.save_for_backward(x, total, down, up)
        ctx.scale = scale
        return torch.nn.functional.linear(x, total, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Any) -> tuple:
        x, total, down, up = ctx.saved_tensors
        rows, inputs = gradient.flatten(0, -2), x.flatten(0, -2)
        by_rank = rows @ up
        of_down = (by_rank.T @ inputs).mul_(ctx.scale)
        of_up = (rows.T @ (inputs @ down.T)).mul_(ctx.scale)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (rows @ total).view_as(x)
        return of_x, None, None, of_down, of_up, None
