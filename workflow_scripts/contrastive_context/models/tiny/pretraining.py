"""Pre-training of a tiny model: a curriculum over a synthetic language with guided attention, then a gate.

In this budget in-context learning does not emerge by itself. During the first 60 % of the steps two heads per layer are
therefore taught where to look: at an earlier example's label for the same word or sentence. So the base's in-context
learning is partly taught; the gate checks on new documents that it is there. The recipe is ours.
"""

import logging
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from contrastive_context.config.models import PretrainedTinyModel
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.models.tiny import prediction
from contrastive_context.models.tiny.languages import get_language

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

LEARNING_RATE = 3e-3
BETAS = (0.9, 0.98)
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
WARMUP_STEPS = 40
DECAY_FROM = 0.6
GUIDED_UNTIL = 0.6


def pretrain(settings: PretrainedTinyModel, folder: Path, threads: int = 1) -> JsonDict:
    """Pre-train a tiny model and save it with its tokenizer into ``folder`` (safetensors).

    A model that misses the gate is thrown away and the next seed tried, ``attempts`` in all. The result is a function
    of ``settings`` on a given machine and number of threads.

    Returns:
        What is worth keeping beside the weights: language, family, parameters, steps, the seed that passed, its
        ``in_context_accuracy`` (see the language's module), and ``refused``: the seeds that did not, with theirs.

    Raises:
        UserError: no model reaches ``min_in_context_accuracy``; nothing is saved.
    """
    import torch

    from contrastive_context.models.tiny import families, tokenizer

    language = get_language(settings.language)
    gate = settings.min_in_context_accuracy
    gate = language.MIN_ACCURACY if gate is None else gate
    refused: list[JsonDict] = []
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for seed in range(settings.seed, settings.seed + settings.attempts):
            model = families.build(settings.family, len(language.TOKENS), seed)
            _train(model, language, settings, seed)
            accuracy = language.in_context_accuracy(model)
            log.info("%s, seed %d: in-context accuracy %s", settings.family, seed, accuracy)
            if min(accuracy.values()) >= gate:
                break
            refused.append({"seed": seed, "in_context_accuracy": accuracy})
        else:
            raise UserError(_refusal(settings, gate, refused))
    finally:
        torch.set_num_threads(threads_before)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.build(language.TOKENS).save_pretrained(folder)
    return {
        "language": settings.language,
        "family": settings.family,
        "parameters": model.num_parameters(),
        "steps": settings.steps,
        "seed": seed,
        "in_context_accuracy": accuracy,
        "refused": refused,
    }


def _refusal(settings: PretrainedTinyModel, gate: float, refused: list[JsonDict]) -> str:
    found = ", ".join(f"{min(one['in_context_accuracy'].values()):.3f} (seed {one['seed']})" for one in refused)
    return (
        f"pre-training {settings.family} on {settings.language} ({settings.steps} steps): in-context accuracy on new "
        f"documents is {found}, below min_in_context_accuracy = {gate}; raise 'steps' of this entry under 'models' in "
        "config.yaml (650 is usual) or its 'attempts', or change its 'seed'"
    )


def _train(model: "PreTrainedModel", language: ModuleType, settings: PretrainedTinyModel, seed: int) -> None:
    import torch

    from contrastive_context.core import cli

    rng = np.random.default_rng([seed, 2])
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=WEIGHT_DECAY, foreach=True
    )
    model.train()
    model.set_attn_implementation(attention := "eager")  # the only one that returns attention weights
    bar = cli.progress(range(settings.steps), label=f"pre-training {settings.family}, seed {seed}", unit="step")
    for step in bar:
        done = step / settings.steps
        guided = done < GUIDED_UNTIL
        if not guided and attention == "eager":
            model.set_attn_implementation(attention := "sdpa")
        batch = language.draw(rng, next(stage for stage in language.CURRICULUM if done < stage.until))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * _schedule(step, settings.steps)
        tokens = torch.from_numpy(batch.tokens)
        body = model.base_model(input_ids=tokens[:, :-1], use_cache=False, output_attentions=guided)
        loss = prediction.loss(model, language.LAYOUT, body.last_hidden_state, batch)
        total = loss + language.GUIDANCE_WEIGHT * language.guidance(body.attentions, batch) if guided else loss
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    model.set_attn_implementation("sdpa")
    model.eval()


def _schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up, then constant, then linear decay to 5 %."""
    done = step / steps
    decay = 1.0 if done < DECAY_FROM else max(0.05, (1 - done) / (1 - DECAY_FROM))
    return min(1.0, (step + 1) / WARMUP_STEPS) * decay
