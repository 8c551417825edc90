"""Tokens that a planned job will read, counted in its prompts once their contexts exist."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastive_context.config.templates import Template
    from contrastive_context.prompts import PromptEncoder


def count(rule: str, settings: Mapping[str, Any], options: Mapping[str, str]) -> int | None:
    """Return the tokens that a job of fine-tuning or generation will read; of answers to come none are counted.

    Args:
        rule: the job's rule; others than ``finetune`` and ``generate`` have no tokens here.
        settings: its settings.
        options: its command's options without dashes, with the files that it reads.

    Returns:
        None where the job runs no model, or a file that it reads isn't there yet.

    Raises:
        UserError: a file can't be read, or a prompt doesn't fit the template's limits.
    """
    needed = {"finetune": ("corpus", "contexts"), "generate": ("arrivals", "test", "contexts")}.get(rule)
    if needed is None:
        return None
    read = [options[name] for name in ("model", *needed, "paraphrases") if name in options]
    if not all(Path(path).is_file() for path in read):
        return None
    leaves = {name: value for name, value in settings.items() if name != "code_version"}
    if rule == "finetune":
        from contrastive_context.training import data, finetuning

        chosen = finetuning.Settings.model_validate(leaves)
        texts = data.read_training_data(
            options["corpus"], options["contexts"], options.get("paraphrases"), chosen.recipe, chosen.seed
        )
        return finetuning.count_tokens(_encoder(options["model"], chosen.template, chosen.task), texts)
    from contrastive_context.inference import generation

    chosen = generation.Settings.model_validate(leaves)
    encoder = _encoder(options["model"], chosen.template, chosen.task)
    files = (options[name] for name in needed)
    _, prompts = generation.read_prompts(encoder, *files, options.get("paraphrases"))
    return sum(len(prompt.ids) for prompt in prompts)


@lru_cache(maxsize=8)
def _encoder(record: str, template: "Template", task: str) -> "PromptEncoder":
    from transformers import AutoConfig

    from contrastive_context.models.language_models import load_tokenizer
    from contrastive_context.prompts import PromptEncoder, max_positions

    folder = record.removesuffix(".json")
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return PromptEncoder(load_tokenizer(folder), template, max_positions(config), task)
