"""Names on which files, tables and figures agree: of systems, and of the files of a fine-tuning run."""

import re

from contrastive_context.core.errors import UserError

#: The model as it was before fine-tuning.
BASE = "base"
#: The model-free system that repeats the label of the most similar example.
NEAREST_LABEL = "nearest_label"
#: Systems that were not fine-tuned; no strategy may take their name.
NO_TRAINING = (BASE, NEAREST_LABEL)
#: A fine-tuned system. Names of strategies don't contain ``-seed`` and a digit, so it can be split again.
TUNED = "{strategy}-seed{seed}"

#: Lists the checkpoints of a fine-tuning run with the SHA-256 of their files.
ADAPTERS = "adapters.json"
#: One line per optimizer step.
TRAINER_LOG = "trainer_log.jsonl"
#: The files of one checkpoint, as peft names them.
ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


def tuned_system(strategy: str, seed: int | str) -> str:
    """Return the name of a fine-tuned system."""
    return TUNED.format(strategy=strategy, seed=seed)


def parse_system(name: str) -> tuple[str, int | None]:
    """Split a system's name into strategy and training seed (None for base and nearest_label).

    Raises:
        UserError: neither of these nor ``<strategy>-seed<seed>``.
    """
    if name in NO_TRAINING:
        return name, None
    if match := re.fullmatch(r"(.+)-seed(\d+)", name):
        return match[1], int(match[2])
    raise UserError(f"system '{name}': expected base, nearest_label or <strategy>-seed<seed>")
