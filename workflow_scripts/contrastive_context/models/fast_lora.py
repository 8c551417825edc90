"""LoRA layers with forwards of our own: faster training in float32, and exact sums on bases of a narrower type."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable


class SummedLora:
    """Faster forwards and backwards for peft's LoRA layers: one product with W + s·B·A, a sum made once per step.

    Results agree to float32 rounding. On another type merged weights would round small updates away: nothing is
    replaced there, nor where the adapter has dropout. The sums take as much memory as the weights that are adapted.

    Args:
        network: a model whose linear layers peft has adapted with a single plain LoRA adapter; changed in place.
    """

    def __init__(self, network: Any) -> None:
        """Replace the layers' forwards."""
        layers = [
            module
            for module in network.modules()
            if _is_plain_lora(module)
            and module.get_base_layer().weight.dtype == torch.float32
            and isinstance(module.lora_dropout["default"], torch.nn.Identity)
        ]
        self._layers = [_Layer(module) for module in layers]
        for module, layer in zip(layers, self._layers, strict=True):
            module.forward = layer.forward
        self.refresh()

    def __len__(self) -> int:
        """Return the number of layers replaced."""
        return len(self._layers)

    def refresh(self) -> None:
        """Make the sums again; due whenever A or B have changed."""
        for layer in self._layers:
            layer.refresh()


class _Layer:
    def __init__(self, module: Any) -> None:
        base = module.get_base_layer()
        self._bias = base.bias
        self._down, self._up = module.lora_A["default"].weight, module.lora_B["default"].weight
        self._weight = base.weight if isinstance(base, torch.nn.Linear) else base.weight.T  # GPT-2's Conv1D: [in, out]
        self._scale = module.scaling["default"]
        self._sum = torch.empty_like(self._weight)

    @torch.no_grad()
    def refresh(self) -> None:
        torch.addmm(self._weight, self._up, self._down, alpha=self._scale, out=self._sum)

    def forward(self, x: Any) -> Any:
        return _LoraLinear.apply(x, self._sum, self._bias, self._down, self._up, self._scale)


def round_once(network: Any) -> int:
    """Let peft's LoRA layers on a bfloat16 or float16 base add the adapter before they round. For inference only.

    Peft rounds the base layer's output to the base's type and then adds the adapter's part to it: a part below half a
    unit of the last place is lost every time, as it is when merged into the weights. Rounded once, the sum is right on
    average. The products of the base stay in its own type where the device can return them in float32.

    Args:
        network: a model whose linear layers peft has adapted with a single plain LoRA adapter, in float32.

    Returns:
        The number of layers replaced.
    """
    layers = [
        module
        for module in network.modules()
        if _is_plain_lora(module) and module.get_base_layer().weight.dtype != torch.float32
    ]
    for module in layers:
        module.forward = _rounding_once(module)
    return len(layers)


def _rounding_once(module: Any) -> Any:
    base = module.get_base_layer()
    down, up = module.lora_A["default"].weight, module.lora_B["default"].weight
    weight = base.weight.T if isinstance(base, torch.nn.Linear) else base.weight  # [in, out], as in GPT-2's Conv1D
    scale = module.scaling["default"]

    def forward(x: Any) -> Any:
        rows = x.flatten(0, -2)
        if rows.is_cuda and torch.version.hip is None:
            y = torch.mm(rows, weight, out_dtype=torch.float32)
        else:
            y = rows.float() @ weight.float()
        if base.bias is not None:
            y += base.bias
        y.addmm_(rows.float() @ down.T, up.T, alpha=scale)
        return y.to(x.dtype).view(*x.shape[:-1], y.shape[1])

    return forward


class _LoraLinear(torch.autograd.Function):
    """y = x (W + s·B·A)ᵀ + b, given that sum, with gradients for x, A and B only; nothing but ``x`` is kept."""

    @staticmethod
    def forward(ctx: Any, x: Any, total: Any, bias: Any, down: Any, up: Any, scale: float) -> Any:
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


def _is_plain_lora(module: Any) -> bool:
    from peft.tuners.lora import Linear

    if type(module) is not Linear or list(module.lora_A) != ["default"] or module.merged:
        return False
    return not module.use_dora["default"] and module.lora_A["default"].bias is None
