"""What a fine-tuning step costs in floating-point operations, and which share of a GPU's peak that is."""

from collections.abc import Sequence
from typing import Any

#: GPU's name as CUDA gives it (a part of it) → peak of dense bfloat16 products with float32 sums, in operations per
#: second, from NVIDIA's data sheets. Longer names first: the first that is found counts.
PEAKS = {
    "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12,
    "A40": 149.7e12, "A30": 165e12, "L4": 121e12,
}  # fmt: skip


def training_flops(network: Any, lengths: Sequence[int], supervised: int) -> float:
    """Return the model's floating-point operations of one LoRA step on a frozen base.

    A product with a weight matrix costs 2 operations per weight and token forward, and 2 backward for the gradient of
    its input; none for that of the weight, which is frozen: **4 N per token**, where full training has 6 N. N counts
    the weights of the linear layers that every token passes: not the embeddings, which are looked up, and not the
    adapters (under 1 % for small ranks). The output layer is such a product too, but for the ``supervised`` tokens
    only.
    Attention: a sequence of T tokens has T²/2 pairs of query and key per layer (causal), each 2 operations per feature
    for the score and 2 for the weighted sum, and twice as much backward: **6 T² · (heads · head size)** per layer; a
    layer's window is not deducted. What gradient checkpointing computes again is no work of the model and isn't
    counted, nor is padding.

    Args:
        network: the base with its adapter, as transformers has it.
        lengths: tokens of each sequence of the step.
        supervised: completion tokens of the step.
    """
    config = network.config.get_text_config()
    head = network.get_output_embeddings()
    inner = sum(
        weight.numel()
        for name, weight in network.named_parameters()
        if weight.ndim == 2 and ".lora_" not in name and weight is not head.weight and not _is_lookup(network, name)
    )
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    features = config.num_hidden_layers * config.num_attention_heads * head_size
    attention = 6 * features * sum(length**2 for length in lengths)
    return 4 * inner * sum(lengths) + 4 * head.weight.numel() * supervised + attention


def model_flops_utilisation(flops_per_s: float, gpu: str) -> float | None:
    """Return the share of the GPU's bfloat16 peak, or None for one whose peak isn't known here."""
    peak = next((peak for name, peak in PEAKS.items() if name in gpu), None)
    return flops_per_s / peak if peak else None


def _is_lookup(network: Any, name: str) -> bool:
    from torch.nn import Embedding

    return isinstance(network.get_submodule(name.rpartition(".")[0]), Embedding)
