"""The count of operations against torch's own, taken while a step runs."""

import numpy as np
import pytest
from flops import model_flops_utilisation, training_flops
from torch.utils.flop_counter import FlopCounterMode

from contrastive_context.config.finetuning import FineTuning, Lora
from contrastive_context.training.optimization import Optimization
from small_models import FAMILIES, model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_is_counted_as_torch_counts_it(family, checkpointing):
    recipe = FineTuning(lora=Lora(r=1, alpha=1, dropout=0.1), micro_batch_tokens=8192)
    network = model(family)
    network.set_attn_implementation("eager")
    optimization = Optimization(network, recipe, seed=0, gradient_checkpointing=checkpointing)
    pairs = [(np.arange(120) % 500, np.arange(9)) for _ in range(8)]
    with FlopCounterMode(display=False) as counter:
        optimization.forward_backward(pairs)
    lengths, supervised = [128] * 8, 72
    counted = training_flops(optimization.network, lengths, supervised)
    config = network.config.get_text_config()
    features = 2 * config.num_attention_heads * (getattr(config, "head_dim", None) or 8)
    # Eager attention computes what the causal mask hides too.
    hidden = 6 * features * sum(length**2 for length in lengths)
    operations = counter.get_flop_counts()["Global"]
    adapters = sum(weight.numel() for weight in optimization.network.parameters() if weight.requires_grad)
    expected = counted + hidden + 6 * adapters * sum(lengths)
    # The first layer's input needs no gradient; checkpointing runs (nearly) every product forward once more.
    low, high = (0.9, 1.01) if not checkpointing else (1.2, 1.55)
    assert low < sum(operations.values()) / expected < high


def test_share_of_the_peak():
    assert model_flops_utilisation(98.9e12, "NVIDIA H100 80GB HBM3") == pytest.approx(0.1)
    assert model_flops_utilisation(75.6e12, "NVIDIA H100 PCIe") == pytest.approx(0.1)
    assert model_flops_utilisation(1e12, "an unknown one") is None
