"""Log-probabilities of given completions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from contrastive_context.core import cli
from contrastive_context.core.model_limits import rope_limit
from contrastive_context.inference.finite import not_finite
from contrastive_context.prompting.batches import collate, completion_logits, length_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def completion_logprobs(
    model: "PreTrainedModel",
    prompts: Sequence[np.ndarray],
    completions: Sequence[np.ndarray],
    *,
    counted: Sequence[np.ndarray] | None = None,
    names: Sequence[str] | None = None,
    batch_tokens: int = 8192,
    label: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return log p(completion | prompt) per pair, and the completions' lengths; of the counted tokens, if given.

    Args:
        model: a causal language model of transformers, on its device.
        prompts: token ids per prompt.
        completions: token ids per completion, end token included, aligned with the prompts.
        counted: which tokens of each completion to sum up, bool [tokens]; the others are given, not scored.
        names: what the prompts are called in messages; their number if absent.
        batch_tokens: padded tokens per forward pass.
        label: shown beside a progress bar; none if absent.

    Returns:
        Natural log-probabilities float64 [pairs], tokens int64 [pairs].

    Raises:
        UserError: a log-probability isn't finite.
    """
    sums = np.zeros(len(prompts))
    if counted is None:
        counted = [np.ones(len(ids), dtype=bool) for ids in completions]
    counts = np.array([mask.sum() for mask in counted], dtype=np.int64)
    lengths = [len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True)]
    device = next(model.parameters()).device
    bar = cli.progress(label=label, total=len(prompts), unit="prompt") if label else None
    model.eval()
    with torch.inference_mode():
        for group in length_batches(lengths, batch_tokens, batch_tokens // 8, rope_limit(model.config)):
            batch = collate([(prompts[i], completions[i]) for i in group], device)
            logits = completion_logits(model, batch).float()
            token_logprobs = -torch.nn.functional.cross_entropy(logits, batch.labels, reduction="none").double()
            token_logprobs *= torch.from_numpy(np.concatenate([counted[i] for i in group])).to(device)
            total = torch.zeros(len(group), dtype=torch.float64, device=device)
            sums[group] = total.index_add_(0, batch.rows, token_logprobs).cpu().numpy()
            if not np.isfinite(sums[group]).all():
                wrong = next(i for i in group if not np.isfinite(sums[i]))
                raise not_finite(names[wrong] if names is not None else f"number {wrong}", model)
            if bar is not None:
                bar.update(len(group))
    if bar is not None:
        bar.close()
    return sums, counts
