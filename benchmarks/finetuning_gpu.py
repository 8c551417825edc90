"""Fine-tuning on a GPU against TRL's SFTTrainer with padding-free batches and Liger's kernels.

Llama-shaped models of one and eight billion random weights in bfloat16, made-up token ids, LoRA on all linear layers;
in turn, from fresh processes. Skipped where there is no GPU. TRL flattens batches only with FlashAttention; where that
is not installed it pads.
"""

import importlib.util
import tempfile
from typing import Any

import measuring
from finetuning import options, pacing
from flops import model_flops_utilisation, training_flops

SHAPES: dict[str, dict[str, Any]] = {
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "tie_word_embeddings": True},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "tie_word_embeddings": False},
}
UTILISATION = {"1b": "≥ 0.4", "8b": "≥ 0.45"}
VOCABULARY = 32_000


def network(shape: str, attention: str = "sdpa") -> Any:
    """Return a model of random weights on the GPU, the same in every process."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=VOCABULARY, num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=4096,
        **SHAPES[shape],
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda"):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=attention)


def steps(recipe: Any) -> list[list[tuple[Any, Any]]]:
    """Return (prompt ids, completion ids) per step: 150 to 400 tokens and 40."""
    import numpy as np

    rng = np.random.default_rng(0)
    sizes = rng.integers(150, 400, (recipe.steps, recipe.examples_per_step))
    return [
        [(rng.integers(3, VOCABULARY, int(size)), rng.integers(3, VOCABULARY, 40)) for size in row] for row in sizes
    ]


def ours(next_round: Any, shape: str, recipe: Any) -> None:
    """Train with the product's optimizer steps; report loss, operations and peak memory."""
    import torch

    from contrastive_context.core.devices import peak_memory_mb
    from contrastive_context.training.optimization import Optimization

    optimization = Optimization(network(shape), recipe, seed=0)
    result = None
    for pairs in steps(recipe):
        torch.cuda.empty_cache()  # the other one is on the same GPU
        next_round(result)
        loss, _ = optimization.forward_backward(pairs)
        optimization.update(recipe.learning_rate)
        torch.cuda.synchronize()
        lengths = [len(prompt) + len(completion) - 1 for prompt, completion in pairs]
        flops = training_flops(optimization.network, lengths, sum(len(completion) for _, completion in pairs))
        name = torch.cuda.get_device_name()
        result = {"loss": loss, "flops": flops, "gpu": name, "peak_mb": peak_memory_mb("cuda")}


def trl(next_round: Any, shape: str, recipe: Any, micro_batch: int) -> None:
    """Train with TRL."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    is_flat = importlib.util.find_spec("flash_attn") is not None
    words = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "<unk>": 2}, "<unk>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    rows = [
        {"input_ids": [*a.tolist(), *b.tolist()], "completion_mask": [0] * len(a) + [1] * len(b)}
        for pairs in steps(recipe)
        for a, b in pairs
    ]

    def report(loss: float | None = None) -> None:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        next_round({"loss": loss, "peak_mb": torch.cuda.max_memory_allocated() / 2**20, "padding_free": is_flat})

    settings = options(recipe, micro_batch) | {"use_cpu": False, "bf16": True, "dataloader_pin_memory": True}
    with tempfile.TemporaryDirectory() as scratch:
        SFTTrainer(
            network(shape, "flash_attention_2" if is_flat else "sdpa"),
            SFTConfig(
                scratch, completion_only_loss=True, max_length=None, padding_free=is_flat, use_liger_kernel=True,
                **settings,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=LoraConfig(
                r=recipe.lora.r, lora_alpha=recipe.lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[pacing(report)],
        ).train()  # fmt: skip


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="pairs of steps that count, after three to warm up")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--micro-batch-tokens", type=int, default=4096)
    parser.add_argument("--baseline-micro-batch", type=int, default=8, help="examples per forward pass of TRL")
    args = measuring.parse(parser)
    if importlib.util.find_spec("trl") is None:
        measuring.skip("finetuning_gpu", "TRL is not installed (make bench-env)")

    import torch

    if not torch.cuda.is_available():
        measuring.skip("finetuning_gpu", "no GPU that this torch can use")
    from contrastive_context.config.finetuning import FineTuning, Lora

    recipe = FineTuning(
        lora=Lora(r=16, alpha=32), steps=args.rounds + 4, examples_per_step=32, learning_rate=1e-4, decay_fraction=0,
        micro_batch_tokens=args.micro_batch_tokens,
    )  # fmt: skip
    rows, details = [], {}
    for shape in args.shapes:
        implementations = {"ours": (ours, (shape, recipe)), "trl": (trl, (shape, recipe, args.baseline_micro_batch))}
        timings = measuring.compare(implementations, args.rounds, warmup=3)
        mine, other = timings["ours"], timings["trl"]
        speeds = [value["flops"] / seconds for value, seconds in zip(mine.values, mine.seconds, strict=True)]
        share = model_flops_utilisation(sorted(speeds)[len(speeds) // 2], mine.values[0]["gpu"])
        rows.append(
            measuring.Row(
                f"{shape}: examples/s, ours / trl", measuring.ratio(other.seconds, mine.seconds), "×", "≥ 1.1"
            )
        )
        if share is not None:
            rows.append(measuring.Row(f"{shape}: model FLOPs utilisation", share, "", UTILISATION[shape]))
        rows.append(measuring.Row(f"{shape}: TRL without padding (1: yes)", float(other.values[0]["padding_free"])))
        for name, timing in (("ours", mine), ("trl", other)):
            rows.append(measuring.Row(f"{shape}: {name}", recipe.examples_per_step / timing.median, "examples/s"))
            rows.append(measuring.Row(f"{shape}: {name}, peak", timing.values[-1]["peak_mb"], "MiB"))
        details[shape] = {name: vars(timing) for name, timing in timings.items()}
    measuring.record(args, rows, details=details)


if __name__ == "__main__":
    main()
