"""The same recipe on a GPU: the same losses, exact enough on resume, and how fast it is."""

import json

import numpy as np
import pytest
import torch
from flops import model_flops_utilisation, training_flops

from contrastive_context.config.finetuning import FineTuning, Lora
from contrastive_context.models import adapters, fast_lora
from contrastive_context.training.interruptions import Interruptions, Stopped
from contrastive_context.training.optimization import Optimization
from contrastive_context.training.state import LOG
from small_models import FAMILIES, model
from small_runs import SMALL_BATCHES, tune

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that this torch can use"),
]
RECIPE = SMALL_BATCHES.model_copy(update={"lora": Lora(r=4, alpha=8)})  # dropout's masks differ between devices


def log(state):
    return [json.loads(line) for line in (state.path(state.checkpoints[-1]) / LOG).read_text().splitlines()]


def losses(state):
    return [line["loss"] for line in log(state)]


@pytest.fixture(autouse=True)
def full_precision():
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_float32_losses_are_those_of_the_cpu(tmp_path, family, checkpointing):
    expected = tune(tmp_path / "cpu", RECIPE, network=model(family))
    got = tune(tmp_path / "gpu", RECIPE, network=model(family).to("cuda"), gradient_checkpointing=checkpointing)
    np.testing.assert_allclose(losses(got), losses(expected), rtol=1e-3)
    assert log(got)[-1]["peak_memory_mb"] > 0


def test_bfloat16_losses_are_near(tmp_path):
    expected = tune(tmp_path / "cpu", RECIPE)
    got = tune(tmp_path / "gpu", RECIPE, network=model("llama").to("cuda", torch.bfloat16))
    np.testing.assert_allclose(losses(got), losses(expected), rtol=0.03)


class StopAt(Interruptions):
    """Stops the run when it asks for the n-th time."""

    def __init__(self, asked):
        super().__init__()
        self.left = asked

    def check(self, needed_s=0):
        self.left -= 1
        if self.left < 0:
            raise Stopped("SIGTERM", 143)


def test_a_resumed_run_has_the_same_losses(tmp_path):
    """With LoRA's dropout: its random numbers on the GPU are part of the state."""
    expected = tune(tmp_path / "undisturbed", SMALL_BATCHES, network=model("llama").to("cuda"))
    with pytest.raises(Stopped):
        tune(tmp_path / "stopped", SMALL_BATCHES, StopAt(16), network=model("llama").to("cuda"))
    got = tune(tmp_path / "stopped", SMALL_BATCHES, network=model("llama").to("cuda"))
    np.testing.assert_allclose(losses(got), losses(expected), rtol=1e-4)


def test_memory_that_runs_out_on_the_gpu(tmp_path, caplog):
    recipe = RECIPE.model_copy(update={"micro_batch_tokens": 100_000})
    expected = losses(tune(tmp_path / "enough", recipe, network=model("llama", vocabulary=200_000).to("cuda")))
    network = model("llama", vocabulary=200_000).to("cuda")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    # The logits of a whole step need some 70 MB, those of one example a fifth of it.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 60 * 2**20) / total)
    try:
        got = losses(tune(tmp_path / "little", recipe, network=network))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "out of memory: micro-batches have at most" in caplog.text
    np.testing.assert_allclose(got, expected, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_adapter_is_added_before_rounding(dtype):
    """The GPU's product with float32 sums against the same sum in float32."""
    network = model("llama").to("cuda", dtype)
    adapted = adapters.attach(network, Lora(r=4, alpha=8), 0)
    layer = next(module for name, module in adapted.named_modules() if name.endswith("q_proj"))
    torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
    x = torch.randn(3, 5, layer.in_features, device="cuda", dtype=dtype)
    down, up = layer.lora_A["default"].weight.float(), layer.lora_B["default"].weight.float()
    weight = layer.get_base_layer().weight.float() + layer.scaling["default"] * up @ down
    expected = (x.float() @ weight.T).to(dtype)
    assert fast_lora.round_once(adapted.get_base_model()) > 0
    with torch.inference_mode():
        got = layer(x)
    torch.testing.assert_close(got.float(), expected.float(), rtol=2**-7, atol=1e-3)
    assert (got == expected).float().mean() > 0.95


def test_speed(record_property):
    """Tokens per second, peak memory and utilisation of a model of a billion weights; only sanity is asserted."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=32_000, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("cuda"):
        network = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    recipe = FineTuning(lora=Lora(r=16, alpha=32), micro_batch_tokens=8192, learning_rate=1e-4)
    optimization = Optimization(network, recipe, seed=0)
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 32_000, int(n)), rng.integers(0, 32_000, 40)) for n in rng.integers(150, 400, 32)]
    lengths = [len(prompt) + len(completion) - 1 for prompt, completion in pairs]

    def step():
        loss, _ = optimization.forward_backward(pairs)
        optimization.update(1e-4)
        return loss

    for _ in range(3):
        step()
    torch.cuda.reset_peak_memory_stats()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(10):
        loss = step()
    end.record()
    torch.cuda.synchronize()
    seconds = start.elapsed_time(end) / 10_000
    flops = training_flops(optimization.network, lengths, sum(len(completion) for _, completion in pairs)) / seconds
    gpu = torch.cuda.get_device_name()
    share = model_flops_utilisation(flops, gpu)
    utilisation = f"{share:.1%}" if share else "unknown (peak of this GPU not listed)"
    record_property(
        "figures",
        f"{gpu}: {sum(lengths) / seconds:,.0f} tokens/s, {flops / 1e12:.0f} TFLOP/s, peak memory "
        f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB, model FLOPs utilisation {utilisation}",
    )
    assert np.isfinite(loss) and seconds > 0
    assert share is None or 0 < share < 1
