"""What a model of transformers can take, by its configuration: positions, tokens, and which rows may share a batch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from contrastive_context.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def max_positions(config: "PreTrainedConfig") -> int | None:
    """Return how many positions a model has by its transformers configuration, or None where that sets no limit."""
    text = config.get_text_config()
    return getattr(text, "max_position_embeddings", getattr(text, "max_seq_len", None))  # the latter is MPT's


def unknown_from(tokenizer: "PreTrainedTokenizerBase", config: "PreTrainedConfig") -> int | None:
    """Return the first token that a model has no embedding for, None if its tokenizer has no such token."""
    size = config.get_text_config().vocab_size
    return size if max([tokenizer.vocab_size - 1, *tokenizer.added_tokens_decoder]) >= size else None


def refuse_unknown(
    tokenizer: "PreTrainedTokenizerBase",
    first: int | None,
    texts: Sequence[str],
    rows: "Sequence[Sequence[int] | np.ndarray]",
) -> None:
    """Refuse texts with tokens that the model has no embedding for.

    Args:
        tokenizer: a transformers tokenizer.
        first: from :func:`unknown_from`.
        texts: any texts.
        rows: their token ids.

    Raises:
        UserError: names the first such text and the token.
    """
    if first is None:
        return
    for text, ids in zip(texts, rows, strict=True):
        if unknown := [int(token) for token in ids if token >= first]:
            raise UserError(
                f"the text {text[:200]!r} has {tokenizer.convert_ids_to_tokens(unknown[0])!r} in it, token "
                f"{unknown[0]} of the tokenizer, but the model has embeddings for {first} tokens only; leave the text "
                "out, or use the tokenizer that belongs to the model"
            )


def rope_limit(config: "PreTrainedConfig") -> int | None:
    """Return up to how many tokens rows may share a batch, by a model's transformers configuration; None for any.

    Under longrope and dynamic scaling the longest row of a batch decides how the positions of all are rotated, once it
    is beyond the length that the model was first trained with.
    """
    text = config.get_text_config(decoder=True)
    parameters = getattr(text, "rope_parameters", None) or {}
    limits = [
        kind.get("original_max_position_embeddings", text.max_position_embeddings)
        for kind in (parameters, *parameters.values())  # one, or one for each type of layer
        if isinstance(kind, Mapping) and kind.get("rope_type") in ("longrope", "dynamic")
    ]
    return min(limits, default=None)
