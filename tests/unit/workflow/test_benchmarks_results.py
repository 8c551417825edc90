"""What the benchmarks time has the same results as the plain way it is compared with, all optimisations at once."""

import numpy as np
import torch

from contrastive_context.config.finetuning import FineTuning, Lora
from contrastive_context.inference.generation import generate
from contrastive_context.models import adapters
from contrastive_context.prompting.batches import Batch
from contrastive_context.prompting.prompts import PromptEncoder
from contrastive_context.training import optimization
from contrastive_context.training.optimization import Optimization
from small_models import model, tokenizer
from small_runs import TEMPLATE

RECIPE = FineTuning(lora=Lora(r=4, alpha=8), micro_batch_tokens=120, learning_rate=0.01)
RNG = np.random.default_rng(0)
PAIRS = [(RNG.integers(3, 500, size), RNG.integers(3, 500, 5)) for size in RNG.integers(5, 60, 12)]


def losses(steps=4):
    trained = Optimization(model("llama"), RECIPE, seed=0)
    found = []
    for start in range(steps):
        found.append(trained.forward_backward(PAIRS[start : start + 8])[0])
        trained.update(0.01)
    return found, trained.network


def test_losses(monkeypatch):
    """Fused LoRA, batches by length, logits at completions only; against peft's layers, row by row, all logits."""
    fast, _ = losses()

    def all_logits(plain: torch.nn.Module, batch: Batch) -> torch.Tensor:
        return plain(input_ids=batch.input_ids, use_cache=False).logits.flatten(0, 1)[batch.positions]

    monkeypatch.setattr(optimization, "SummedLora", lambda _: None)
    monkeypatch.setattr(optimization, "completion_logits", all_logits)
    monkeypatch.setattr(optimization, "length_batches", lambda lengths, *_: [[row] for row in range(len(lengths))])
    plain, _ = losses()
    np.testing.assert_allclose(fast, plain, rtol=1e-5)
    assert fast[-1] != fast[0]


def test_tokens(tmp_path):
    """Merged adapter and batches by length, against peft's own layers and one prompt at a time in the order given."""
    _, network = losses()
    trained = adapters.attach(model("llama"), RECIPE.lora, 0)
    with torch.no_grad():
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        for weight, value in zip((w for w in trained.parameters() if w.requires_grad), weights, strict=True):
            weight.copy_(value)
    adapters.save_adapter(trained, tmp_path, "base")
    encoder = PromptEncoder(tokenizer("llama"), TEMPLATE)
    prompts = [prompt.astype(np.int32) for prompt, _ in PAIRS]
    merged = adapters.AdapterSwitcher(model("llama")).apply(tmp_path)
    together = generate(merged, encoder, prompts, max_new_tokens=8, batch_tokens=400)
    beside = adapters.load_adapter(model("llama"), tmp_path).eval()
    alone = [generate(beside, encoder, [prompt], max_new_tokens=8)[0] for prompt in prompts]
    base = generate(model("llama"), encoder, prompts, max_new_tokens=8)
    assert together == alone != base
