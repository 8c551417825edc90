"""Pre-training of a tiny model: a curriculum over random lexicons with guided attention, then a gate.

In this budget in-context learning does not emerge by itself. During the first 60 % of the steps two heads per layer are
therefore taught where to look: a word's label is found at the same word's label in an earlier example. So the base's
in-context learning is partly taught; the gate checks on new lexicons that it is there. The recipe is ours.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contrastive_context.config.models import PretrainedTinyModel
from contrastive_context.corpora.lexicon import LABEL_NONCES, SOURCES, TARGETS, WORDS
from contrastive_context.errors import UserError
from contrastive_context.tiny_models import documents
from contrastive_context.tiny_models.documents import EXAMPLE_LENGTH
from contrastive_context.tiny_models.tokenizer import FIRST_TARGET

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

LEARNING_RATE = 3e-3
BETAS = (0.9, 0.98)
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
WARMUP_STEPS = 40
DECAY_FROM = 0.6
GUIDED_UNTIL = 0.6
GUIDANCE_WEIGHT = 0.5
UNSEEN_WEIGHT = 0.03
STOP_WEIGHT = 0.1
GENERAL_SHARE = 0.3
# Training draws from [model seed, 2], so no model is trained on the gate's documents.
_GATE_SEED = [0, 3]


@dataclass(frozen=True)
class Stage:
    """One stage of the curriculum, up to the fraction ``until`` of the steps."""

    until: float
    examples: int
    words: tuple[int, int]
    batch: int


CURRICULUM = (
    Stage(0.4, examples=2, words=(6, 9), batch=64),
    Stage(0.6, examples=3, words=(6, 30), batch=32),
    Stage(1.0, examples=5, words=(6, 60), batch=32),
)


def pretrain(settings: PretrainedTinyModel, folder: Path, threads: int = 1) -> dict:
    """Pre-train a tiny model and save it with its tokenizer into ``folder`` (safetensors).

    The result is a function of ``settings`` on a given machine and number of threads.

    Returns:
        What is worth keeping beside the weights: family, parameters, steps, and ``in_context_accuracy`` (see
        :func:`in_context_accuracy`).

    Raises:
        UserError: the trained model misses the gate ``min_in_context_accuracy``; nothing is saved.
    """
    import torch

    from contrastive_context.tiny_models import families, tokenizer

    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = families.build(settings.family, settings.seed)
        _train(model, settings)
        accuracy = in_context_accuracy(model)
    finally:
        torch.set_num_threads(threads_before)
    worst = min(accuracy.values())
    log.info("%s: in-context accuracy %s", settings.family, accuracy)
    if worst < settings.min_in_context_accuracy:
        raise UserError(
            f"pre-training {settings.family} (seed {settings.seed}, {settings.steps} steps): in-context accuracy on "
            f"new lexicons is {worst:.3f}, below min_in_context_accuracy = {settings.min_in_context_accuracy}; "
            f"raise 'steps' of this entry under 'models' in config.yaml (650 is usual), or change its 'seed'"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.build().save_pretrained(folder)
    return {
        "family": settings.family,
        "parameters": model.num_parameters(),
        "steps": settings.steps,
        "in_context_accuracy": accuracy,
    }


def _train(model: "PreTrainedModel", settings: PretrainedTinyModel) -> None:
    import torch

    from contrastive_context import cli

    rng = np.random.default_rng([settings.seed, 2])
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=WEIGHT_DECAY, foreach=True
    )
    model.train()
    model.set_attn_implementation("eager")  # the only one that returns attention weights
    bar = cli.progress(range(settings.steps), label=f"pre-training {settings.family}", unit="step")
    for step in bar:
        done = step / settings.steps
        if done >= GUIDED_UNTIL and model.config._attn_implementation != "sdpa":
            model.set_attn_implementation("sdpa")
        stage = next(stage for stage in CURRICULUM if done < stage.until)
        batch = documents.draw(rng, stage.batch, stage.examples, stage.words, GENERAL_SHARE)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * _schedule(step, settings.steps)
        loss, guidance = _losses(model, batch, guided=done < GUIDED_UNTIL)
        optimizer.zero_grad(set_to_none=True)
        (loss + GUIDANCE_WEIGHT * guidance).backward()
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


def _losses(model: "PreTrainedModel", batch: documents.Documents, guided: bool) -> "tuple[Tensor, Tensor]":
    """Return the loss on labels and stops and the guidance (0 unless ``guided``), both scalars in nats."""
    import torch
    from torch.nn import functional

    tokens = torch.from_numpy(batch.tokens)
    body = model.base_model(input_ids=tokens[:, :-1], use_cache=False, output_attentions=guided)
    logits, labels = _predictions(model, body.last_hidden_state, tokens)
    loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    # A new lexicon's words can't be known at first sight; a small weight keeps the guess uniform.
    learnable = torch.from_numpy(batch.seen | batch.general[:, None])
    weight = torch.where(learnable, 1.0, UNSEEN_WEIGHT)
    stop_logits, stops = _stops(model, body.last_hidden_state, tokens)
    stop_loss = functional.cross_entropy(stop_logits.flatten(0, 1), stops.flatten())
    guidance = _guidance(body.attentions, batch) if guided else torch.zeros(())
    return (loss * weight).sum() / weight.sum() + STOP_WEIGHT * stop_loss, guidance


def _predictions(model: "PreTrainedModel", hidden: "Tensor", tokens: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return logits [batch, labels, vocabulary] at the labels' positions, and the labels' token ids."""
    examples = tokens.shape[1] // EXAMPLE_LENGTH
    place = documents.word_positions(examples) + WORDS + 1
    return model.get_output_embeddings()(hidden[:, place - 1]), tokens[:, place]


def _stops(model: "PreTrainedModel", hidden: "Tensor", tokens: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return logits [batch, examples, vocabulary] where an answer has to end, and the stop's token ids."""
    place = np.arange(EXAMPLE_LENGTH, tokens.shape[1], EXAMPLE_LENGTH)
    return model.get_output_embeddings()(hidden[:, place - 1]), tokens[:, place]


def _guidance(attentions: "tuple[Tensor, ...]", batch: documents.Documents) -> "Tensor":
    """Mean −log of the attention mass that lies where it should, summed over three kinds of places.

    Lower layer: head 0 looks from the position that predicts a label to its word, head 1 from a label to its word.
    Upper layer: heads 0 and 1 look from the predicting position to the labels of the same word in earlier examples.
    """
    import torch

    examples = batch.source.shape[1] // WORDS
    word = torch.from_numpy(documents.word_positions(examples))
    predicting, label = word + WORDS, word + WORDS + 1
    lower, upper = attentions[0], attentions[1]
    result = -_log(lower[:, 0, predicting, word]).mean() - _log(lower[:, 1, label, word]).mean()
    source = torch.from_numpy(batch.source)
    same = (source[:, :, None] == source[:, None, :]) & torch.from_numpy(documents.earlier(examples))
    mass = (upper[:, :2, predicting[:, None], label[None, :]] * same[:, None]).sum(-1)
    seen = torch.from_numpy(batch.seen)[:, None].expand_as(mass)
    return result - _log(mass[seen]).mean() if bool(seen.any()) else result


def _log(mass: "Tensor") -> "Tensor":
    return (mass + 1e-6).log()


def in_context_accuracy(model: "PreTrainedModel", documents_per_kind: int = 512) -> dict[str, float]:
    """Measure how often the label of a word seen earlier in the document is right, under new random lexicons.

    The last of five examples is judged, each label by arg max over the whole vocabulary with the true text before it.

    Returns:
        Shares in [0, 1]: ``small_vocabulary`` (documents of 8 words), ``large_vocabulary`` (40 words),
        ``source_nonces`` and ``label_nonces`` (both kinds of documents; only reserved words, or labels), and ``stop``:
        how often the answer ends where it should.
    """
    import torch

    rng = np.random.default_rng(_GATE_SEED)
    right, batches, ends = [], [], []
    with torch.inference_mode():
        for words in (8, 40):
            batch = documents.draw(rng, documents_per_kind, 5, (words, words + 0.5), general_share=0.0)
            tokens = torch.from_numpy(batch.tokens)
            hidden = model.base_model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
            logits, labels = _predictions(model, hidden, tokens)
            stop_logits, stop = _stops(model, hidden, tokens)
            ends.append((stop_logits.argmax(-1) == stop).numpy()[:, -1])
            last = slice(-WORDS, None)
            seen = batch.seen[:, last]
            right.append((logits.argmax(-1) == labels).numpy()[:, last][seen])
            batches.append((batch.source[:, last][seen], labels.numpy()[:, last][seen] - FIRST_TARGET))
    every = np.concatenate(right)
    source = np.concatenate([batch[0] for batch in batches])
    target = np.concatenate([batch[1] for batch in batches])
    kinds = {
        "small_vocabulary": right[0],
        "large_vocabulary": right[1],
        "source_nonces": every[source >= SOURCES],
        "label_nonces": every[(target >= TARGETS) & (target < TARGETS + LABEL_NONCES)],
        "stop": np.concatenate(ends),
    }
    return {name: round(float(values.mean()), 4) for name, values in kinds.items()}
