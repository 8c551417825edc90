"""Fine-tuning against TRL's SFTTrainer and transformers' Trainer: the same base, adapter, examples and steps, float32.

Pairs of processes take steps in turn. The baselines get their sensible settings for a CPU: no checkpointing of
activations, padding to the longest of a micro-batch, loss on completions only, no logging but the loss. Then a few
steps of each under torch's profiler tell what bounds them.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import measuring
import profiling
from inputs import MODEL, TASK, make


def ours(next_round: Any, folder: Path, recipe: Any, threads: int) -> None:
    """Train with the product's own loop, all of it: prompts, log and watchdog included."""
    from contrastive_context.models.language_models import load_tokenizer
    from contrastive_context.training.finetuning import checkpoints, fine_tune
    from contrastive_context.training.interruptions import Interruptions
    from contrastive_context.training.settings import FinetuneSettings
    from contrastive_context.training.state import RunState

    class Paced(Interruptions):
        """Waits where the loop asks, before a step, whether to stop."""

        def check(self, needed_s: float | None = None) -> None:
            if needed_s is not None:  # it also asks between micro-batches
                lines = state.log_file.read_text().splitlines()
                next_round(json.loads(lines[-1])["loss"] if lines else None)

    model = load(folder, threads)
    settings = FinetuneSettings(
        task=TASK, model_name=MODEL, template=template(), recipe=recipe, strategy_name="random", seed=0
    )
    with tempfile.TemporaryDirectory() as states:
        state = RunState(Path(states), checkpoints(recipe))
        fine_tune(model, load_tokenizer(base(folder)), settings, data(folder, recipe), state, interruptions=Paced())


def trainer(next_round: Any, folder: Path, recipe: Any, threads: int, micro_batch: int) -> None:
    """Train with transformers' Trainer and its padding collator."""
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    model, tokenizer = adapted(folder, recipe, threads)
    rows = [{"input_ids": [*a, *b], "labels": [-100] * len(a) + [*b]} for a, b in encoded(folder, recipe, tokenizer)]
    with tempfile.TemporaryDirectory() as scratch:
        Trainer(
            model,
            TrainingArguments(scratch, **options(recipe, micro_batch)),
            train_dataset=Dataset.from_list(rows),
            data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
            callbacks=[pacing(next_round)],
        ).train()


def trl(next_round: Any, folder: Path, recipe: Any, threads: int, micro_batch: int) -> None:
    """Train with TRL's SFTTrainer, loss on completions only."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = adapted(folder, recipe, threads)
    rows = [
        {"input_ids": [*a, *b], "completion_mask": [0] * len(a) + [1] * len(b)}
        for a, b in encoded(folder, recipe, tokenizer)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        SFTTrainer(
            model,
            SFTConfig(scratch, completion_only_loss=True, max_length=None, **options(recipe, micro_batch)),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[pacing(next_round)],
        ).train()


def options(recipe: Any, micro_batch: int) -> dict[str, Any]:
    """Return the settings that both trainers of transformers' kind need to do what the recipe says."""
    return {
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": recipe.examples_per_step // micro_batch,
        "max_steps": recipe.steps,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "constant",
        "adam_beta1": recipe.betas[0],
        "adam_beta2": recipe.betas[1],
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_gradient_norm,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
    }


def pacing(next_round: Any) -> Any:
    """Return a callback that waits before every step and reports the loss of the step before."""
    from transformers import TrainerCallback

    class Pacing(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            next_round(state.log_history[-1]["loss"] if state.log_history else None)

    return Pacing()


def base(folder: Path) -> Path:
    """Return the base model's folder."""
    return folder / "models" / MODEL


def template() -> Any:
    """Return the task's template."""
    from inputs import steps

    return steps().study.tasks[TASK].template


def load(folder: Path, threads: int) -> Any:
    """Load the base as the step does."""
    from contrastive_context.core.devices import set_up_torch
    from contrastive_context.models.language_models import load_model

    set_up_torch("cpu", threads)
    return load_model(base(folder))


def adapted(folder: Path, recipe: Any, threads: int) -> tuple[Any, Any]:
    """Return base with a fresh adapter, the same for all implementations, and tokenizer; nothing of ours slows them."""
    import torch

    from contrastive_context.models.adapters import attach
    from contrastive_context.models.language_models import load_tokenizer

    model = attach(load(folder, threads), recipe.lora, 0)
    torch.use_deterministic_algorithms(False)
    tokenizer = load_tokenizer(base(folder))
    tokenizer.padding_side = "right"
    return model, tokenizer


def data(folder: Path, recipe: Any) -> Any:
    """Return schedule, contexts and texts."""
    from contrastive_context.training.data import read_training_data

    contexts = folder / "contexts" / TASK / "train" / "random.parquet"
    return read_training_data(folder / "corpus" / TASK / "train.parquet", contexts, None, recipe, 0)


def encoded(folder: Path, recipe: Any, tokenizer: Any) -> list[tuple[list[int], list[int]]]:
    """Return (prompt ids, completion ids) in the order of training."""
    from contrastive_context.prompting.prompts import PromptEncoder

    encoder, found = PromptEncoder(tokenizer, template()), data(folder, recipe)
    pairs = []
    for target, draw in (row for rows in found.schedule for row in rows):
        context = found.contexts[target, draw]
        source, answer = found.texts[context.trained_id]
        completion = encoder.completion(answer)
        prompt = encoder.encode([found.texts[name] for name in context.example_ids], source, reserve=len(completion))
        pairs.append((prompt.ids.tolist(), completion.tolist()))
    return pairs


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of steps that count, after one to warm up")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each")
    parser.add_argument("--baseline-micro-batch", type=int, default=8, help="examples per forward pass of theirs")
    parser.add_argument("--micro-batch-tokens", type=int, default=384, help="ours; as in the quickstart")
    parser.add_argument("--baselines", nargs="+", choices=["trl", "trainer"], default=["trl", "trainer"])
    args = measuring.parse(parser)
    folder = make(f"models/{MODEL}.json", f"corpus/{TASK}/train.parquet", f"contexts/{TASK}/train/random.parquet")

    from contrastive_context.config.finetuning import FineTuning, Lora

    recipe = FineTuning(
        lora=Lora(r=8, alpha=16), steps=args.rounds + 2, checkpoints=[0], examples_per_step=8, learning_rate=1e-3,
        decay_fraction=0, micro_batch_tokens=args.micro_batch_tokens,
    )  # fmt: skip
    targets = {"trl": "≥ 1.5", "trainer": "≥ 1.2"}
    rows, details = [], {}
    for baseline in args.baselines:
        arguments = {
            "ours": (folder, recipe, args.threads),
            baseline: (folder, recipe, args.threads, args.baseline_micro_batch),
        }
        timings = measuring.compare({name: (globals()[name], each) for name, each in arguments.items()}, args.rounds)
        mine, other = timings["ours"], timings[baseline]
        implementations = {name: (profiling.profiled, (globals()[name], each)) for name, each in arguments.items()}
        profiles = measuring.compare(implementations, 2)
        apart = max(abs(a - b) / abs(b) for a, b in zip(mine.values, other.values, strict=True))
        rows += [
            measuring.Row(
                f"examples/s, ours / {baseline}", measuring.ratio(other.seconds, mine.seconds), "×", targets[baseline]
            ),
            measuring.Row(f"peak memory, ours / {baseline}", mine.peak_mb / other.peak_mb, "×", "≤ 0.5"),
            measuring.Row(f"largest relative difference of losses to {baseline}", apart, "", "≤ 1e-5"),
            measuring.Row(f"ours beside {baseline}", recipe.examples_per_step / mine.median, "examples/s"),
            measuring.Row(f"{baseline}", recipe.examples_per_step / other.median, "examples/s"),
            measuring.Row(f"ours beside {baseline}, peak", mine.peak_mb, "MiB"),
            measuring.Row(f"{baseline}, peak", other.peak_mb, "MiB"),
        ]
        busy = {}
        for name, timing in profiles.items():
            label = f"ours beside {baseline}" if name == "ours" else baseline
            shares = profiling.shares(timing, timings[name].median)
            busy[name] = sum(shares.values())
            rows += [measuring.Row(f"{label}: {kind}", 100 * share, "% of a step") for kind, share in shares.items()]
        # What is left of our step if all but matrix products and attention were free.
        limit = measuring.ratio(other.seconds, mine.seconds) / busy["ours"]
        rows.append(measuring.Row(f"limit of examples/s, ours / {baseline}, with no other work", limit, "×"))
        details[baseline] = {name: vars(timing) for name, timing in timings.items()}
        details[f"{baseline}, profiles"] = {name: vars(timing) for name, timing in profiles.items()}
    if len(args.baselines) == 2:
        one, other = (details[baseline][baseline]["values"] for baseline in args.baselines)
        apart = max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))
        rows.append(measuring.Row(f"largest relative difference of losses, {' to '.join(args.baselines)}", apart))
    measuring.record(args, rows, details=details)


if __name__ == "__main__":
    main()
