"""Padded batches, and logits only where a completion token is predicted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Batch(NamedTuple):
    """Right-padded prompts with their completions.

    ``input_ids`` int64 [rows, length] (the last completion token is left out: nothing follows it); ``positions`` int64
    [n] into the flattened [rows · length], where each completion token is predicted; ``labels`` int64 [n], these
    tokens; ``rows`` int64 [n], the row each belongs to.
    """

    input_ids: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor


def length_batches(
    lengths: Sequence[int], budget: int, split_above: int | None = None, alone_above: int | None = None
) -> list[list[int]]:
    """Group rows of similar length: rows × longest ≤ ``budget`` tokens, one row at least, longest group first.

    Args:
        lengths: tokens per row, those to come included.
        budget: padded tokens per group.
        split_above: a group of this many tokens isn't extended by rows shorter than 0.9 of its longest, because on a
            CPU the padding would cost more than another forward pass.
        alone_above: a row of more tokens than this is a group of its own (``model_limits.rope_limit``).

    Returns:
        Row indices per group; ties keep the given order.
    """
    groups: list[list[int]] = []
    longest = 0
    for row in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        filled = len(groups[-1]) * longest if groups else 0
        wasteful = split_above is not None and filled >= split_above and lengths[row] < 0.9 * longest
        was_alone = alone_above is not None and longest > alone_above
        if not groups or filled + longest > budget or wasteful or was_alone:
            groups.append([])
            longest = max(1, lengths[row])
        groups[-1].append(row)
    return groups


def pad(
    rows: Sequence[Sequence[int] | np.ndarray], side: Literal["left", "right"], device: str | torch.device
) -> torch.Tensor:
    """Return token ids and attention mask, int64 [2, rows, length].

    Padding has id 0, which every model knows: a tokenizer's own padding token may lie beyond the embeddings.
    """
    length = max(map(len, rows))
    result = np.zeros((2, len(rows), length), dtype=np.int64)
    for row, ids in enumerate(rows):
        place = slice(length - len(ids), None) if side == "left" else slice(len(ids))
        result[0, row, place], result[1, row, place] = ids, 1
    return torch.from_numpy(result).to(device)


def collate(pairs: Sequence[tuple[np.ndarray, np.ndarray]], device: str | torch.device) -> Batch:
    """Pad (prompt ids, completion ids) pairs on the right and move them to ``device``.

    Nothing after a row's own tokens can reach them through causal attention, so no attention mask is needed and the
    fast causal kernels apply.
    """
    length = max(len(prompt) + len(completion) for prompt, completion in pairs) - 1
    ids = np.zeros((len(pairs), length), dtype=np.int64)
    positions = []
    for row, (prompt, completion) in enumerate(pairs):
        start, end = len(prompt), len(prompt) + len(completion) - 1
        ids[row, :start] = prompt
        ids[row, start:end] = completion[:-1]
        positions.append(np.arange(row * length + start - 1, row * length + end))
    counts = [len(completion) for _, completion in pairs]
    arrays = (
        ids,
        np.concatenate(positions),
        np.concatenate([completion for _, completion in pairs]).astype(np.int64),
        np.repeat(np.arange(len(pairs)), counts),
    )
    return Batch(*(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays))


def completion_logits(model: "PreTrainedModel", batch: Batch) -> torch.Tensor:
    """Return the logits [n, vocabulary] at ``batch.positions``.

    The output layer gets only these positions, each row its own: transformers' ``logits_to_keep`` takes one set for
    all rows, which for ragged prompts is several times as much work. What a model does after the output layer (soft
    caps, scaling) is element-wise and unaffected. A model without an output layer module computes all logits.
    """
    head = model.get_output_embeddings()
    if head is None:
        return model(input_ids=batch.input_ids, use_cache=False).logits.flatten(0, 1)[batch.positions]

    def select(_module: torch.nn.Module, arguments: tuple) -> tuple:
        return (arguments[0].flatten(0, 1)[batch.positions].unsqueeze(0), *arguments[1:])

    hook = head.register_forward_pre_hook(select)
    try:
        return model(input_ids=batch.input_ids, use_cache=False).logits[0]
    finally:
        hook.remove()
