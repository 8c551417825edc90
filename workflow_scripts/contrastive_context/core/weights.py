"""Which files may hold weights, and whether what they hold is what a model needs."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from contrastive_context.core.errors import UserError

#: Suffixes of files that run code when they are read: weights are taken from safetensors alone.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")

# Causal masks, positions, rotary and sinusoidal tables: older versions of transformers stored what newer ones compute.
_KNOWN_BUFFERS = re.compile(
    r"(^|\.)((attn|attention)\.bias|masked_bias|inv_freq|(cos|sin)_cached|position_ids|token_type_ids"
    r"|embed_positions\.weights)$"
)
# What training wrappers put into the names of weights if the wrapper is saved in place of the model.
_WRAPPERS = ("_orig_mod.", "module.", "base_model.model.", "base_layer.")


def refuse_adapters(where: str, names: Iterable[str]) -> None:
    """Refuse a model's files if there is an adapter of peft among them.

    Transformers would put such an adapter on top of the weights by itself, although they may contain it already.

    Args:
        where: the model's folder or repository, for the message.
        names: the names of its files.

    Raises:
        UserError: there is one.
    """
    if found := sorted(name for name in names if PurePath(name).name.startswith("adapter_")):
        raise UserError(
            f"{where}: refused, {', '.join(found[:2])} would be applied on top of the weights, which may contain that "
            "adapter already. Merge it into its base, if it isn't (peft's merge_and_unload, then save_pretrained), and "
            "use a folder without adapter_* files"
        )


def refuse_wrong_weights(where: str, found: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that lacks weights, which transformers would draw at random, or that holds others.

    Args:
        where: the model's folder, for the message.
        found: what transformers says about loading it (``output_loading_info``); tied weights aren't missing in it.

    Raises:
        UserError: names the weights.
    """
    unknown = [name for name in found["unexpected_keys"] if not _KNOWN_BUFFERS.search(name)]
    shapes = [f"{name} {[*stored]} instead of {[*own]}" for name, stored, own in found["mismatched_keys"]]
    problems = [
        f"{what} {first_few(names)}"
        for what, names in (("lacks", found["missing_keys"]), ("has unknown", unknown), ("has shapes:", shapes))
        if names
    ]
    if not problems:
        return
    wrappers = [part for part in _WRAPPERS if any(f".{part}" in f".{name}" for name in unknown)]
    if wrappers:
        advice = f"{wrappers[0]!r} is of a wrapper used in training: save the model inside it"
    else:
        advice = "config.json and the weights don't belong together, or a file is missing: save the model again"
    raise UserError(f"{where}: the stored weights aren't those of the model: {'; '.join(problems)}. {advice}")


def first_few(names: Iterable[str]) -> str:
    """Return up to three names, sorted, and how many more there are."""
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
