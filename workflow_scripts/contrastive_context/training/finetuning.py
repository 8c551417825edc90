"""Fine-tuning of a LoRA adapter on sampled contexts: one plain loop."""

import contextlib
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrastive_context import artifacts, cli
from contrastive_context.config.finetuning import FineTuning
from contrastive_context.config.templates import Template
from contrastive_context.devices import peak_memory_mb
from contrastive_context.errors import UserError
from contrastive_context.models.settings import ModelSettings
from contrastive_context.training.data import TrainingData


class Settings(ModelSettings):
    """What a fine-tuning job depends on, its input files apart."""

    recipe: FineTuning
    strategy_name: str
    seed: int


def learning_rate(recipe: FineTuning, step: int) -> float:
    """Return the rate of ``step`` (from 1): linear warm-up, constant, linear decay over the last steps."""
    if step <= recipe.warmup_steps:
        return recipe.learning_rate * step / recipe.warmup_steps
    decay_steps = round(recipe.decay_fraction * recipe.steps)
    into_decay = max(0, step - (recipe.steps - decay_steps)) / max(1, decay_steps)
    return recipe.learning_rate * (1 - into_decay * (1 - recipe.final_learning_rate_fraction))


def fine_tune(
    model: Any,
    tokenizer: Any,
    template: Template,
    recipe: FineTuning,
    seed: int,
    data: TrainingData,
    folder: str | Path,
    *,
    base_name: str = "",
    base_sha256: str = "",
    task: str = "",
    label: str = "fine-tune",
) -> dict[str, Any]:
    """Train a LoRA adapter; write checkpoints, ``trainer_log.jsonl`` and, last, ``adapters.json`` into ``folder``.

    The loss is summed over the completion tokens of an optimizer step and divided by their number, so that the
    micro-batch size changes no result. Dropout of the base model stays off; only LoRA's own is used.

    Args:
        model: the base, on its device; it gets the adapter.
        tokenizer: the base's tokenizer.
        template: how prompts are written.
        recipe: hyper-parameters.
        seed: of the adapter's initial weights and dropout.
        data: schedule, contexts and texts.
        folder: where to write.
        base_name: the base's name, kept in the adapters' configuration.
        base_sha256: SHA-256 of the base's hash file; adapters are refused on another base.
        task: the task's key in the configuration, for messages.
        label: shown beside the progress bar.

    Returns:
        The content of ``adapters.json``.

    Raises:
        UserError: the loss or its gradient is no longer finite, or a row doesn't fit the template's limits.
    """
    import torch

    from contrastive_context.models import adapters
    from contrastive_context.models.fast_lora import speed_up
    from contrastive_context.prompts import PromptEncoder, max_positions

    folder, device = Path(folder), next(model.parameters()).device
    encoder = PromptEncoder(tokenizer, template, max_positions(model), task)
    encoder.add((source for source, _ in data.texts.values()), (answer for _, answer in data.texts.values()))
    for name in sorted({data.contexts[pair].trained_id for rows in data.schedule for pair in rows}):
        encoder.completion(data.texts[name][1], name)  # better refused now than in the middle of training
    adapted = adapters.attach(model, recipe.lora, seed)
    network = adapted.get_base_model().eval()
    for name, module in network.named_modules():
        module.training = ".lora_dropout" in name
    speed_up(network)
    torch.manual_seed(seed)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    kept = {0, recipe.steps, *(step for step in recipe.checkpoints if step <= recipe.steps)}
    record: dict[str, Any] = {"base_sha256": base_sha256, "steps": {}}
    totals = {"input_tokens": 0, "supervised_tokens": 0}

    def keep(step: int) -> None:
        name = f"step-{step:06d}"
        digest = adapters.save_adapter(adapted, folder / name, base_name)
        record["steps"][str(step)] = {"folder": name, "sha256": digest}

    folder.mkdir(parents=True, exist_ok=True)
    keep(0)
    with (folder / "trainer_log.jsonl").open("w", encoding="utf-8") as log:
        bar = cli.progress(range(1, recipe.steps + 1), label=label, unit="step")
        for step in bar:
            started = time.perf_counter()
            pairs, dropped = _encode(encoder, data, data.schedule[step - 1])
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, step)
            loss, norm = _accumulate(network, weights, pairs, recipe, device, step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step in kept:
                keep(step)
            seconds = time.perf_counter() - started
            supervised = sum(len(completion) for _, completion in pairs)
            tokens = sum(len(prompt) for prompt, _ in pairs) + supervised
            totals["input_tokens"] += tokens
            totals["supervised_tokens"] += supervised
            line = {
                "step": step, "loss": loss, "learning_rate": learning_rate(recipe, step), "gradient_norm": norm,
                "examples_per_s": round(len(pairs) / seconds, 3), "tokens_per_s": round(tokens / seconds, 1),
                **totals, "dropped_examples": dropped, "peak_memory_mb": peak_memory_mb(device.type),
            }  # fmt: skip
            log.write(json.dumps(line) + "\n")
            log.flush()
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
    artifacts.write_json(folder / "adapters.json", record)
    return record


def _encode(encoder: Any, data: TrainingData, rows: Sequence[tuple[str, int]]) -> tuple[list[tuple], int]:
    """Return (prompt ids, completion ids) per row, and how many examples were left out for length."""
    pairs, dropped = [], 0
    for target, draw in rows:
        context = data.contexts[target, draw]
        source, answer = data.texts[context.trained_id]
        completion = encoder.completion(answer, context.trained_id)
        prompt = encoder.encode(
            [data.texts[name] for name in context.example_ids],
            source,
            similarities=context.similarities,
            reserve=len(completion),
            name=target,
        )
        pairs.append((prompt.ids, completion))
        dropped += prompt.dropped
    return pairs, dropped


def _accumulate(
    network: Any, weights: list, pairs: list[tuple], recipe: FineTuning, device: Any, step: int
) -> tuple[float, float]:
    """Add up the step's gradients over micro-batches and clip them; return the loss and the norm before clipping."""
    import torch

    from contrastive_context.batches import collate, completion_logits, length_batches

    supervised = sum(len(completion) for _, completion in pairs)
    total = torch.zeros((), device=device)
    budget = recipe.micro_batch_tokens
    lengths = [len(prompt) + len(completion) - 1 for prompt, completion in pairs]
    for group in length_batches(lengths, budget, budget // 8 if device.type == "cpu" else None):
        batch = collate([pairs[i] for i in group], device)
        with _autocast(network, device):
            logits = completion_logits(network, batch)
        loss = torch.nn.functional.cross_entropy(logits.float(), batch.labels, reduction="sum") / supervised
        loss.backward()
        total += loss.detach()
    norm = torch.nn.utils.clip_grad_norm_(weights, recipe.max_gradient_norm)
    result = total.item(), norm.item()
    if not all(map(math.isfinite, result)):
        raise UserError(
            f"fine-tuning: loss {result[0]} and gradient norm {result[1]} at step {step}; lower the recipe's "
            "learning_rate or set a warm-up (and check the model's dtype)"
        )
    return result


def _autocast(network: Any, device: Any) -> contextlib.AbstractContextManager:
    """Adapters stay float32 on a bfloat16 base; the products run in the base's type."""
    import torch

    if network.dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=network.dtype)
