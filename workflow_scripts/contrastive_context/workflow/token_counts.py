"""What a planned job will read: counted in its prompts once their contexts exist, else the most by its settings."""

import json
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.json_types import JsonMapping
from contrastive_context.inference.settings import GenerateSettings
from contrastive_context.training.settings import FinetuneSettings

if TYPE_CHECKING:
    from contrastive_context.config.templates import Template
    from contrastive_context.prompting.prompts import PromptEncoder

#: Rules whose jobs run a language model and say afterwards how many tokens that was.
RULES = ("ask_endpoint", "finetune", "generate", "run_probes")


class Reading(NamedTuple):
    """Prompts (of training: examples, over all steps) and their tokens."""

    prompts: int
    tokens: int


def read_by(rule: str, options: Mapping[str, str]) -> list[str]:
    """Return the files that make the prompts of a job of fine-tuning or generation; none of others, not counted here.

    Args:
        rule: the job's rule.
        options: its command's options without dashes, with the files that it reads.
    """
    texts = {"finetune": ("corpus", "contexts"), "generate": ("arrivals", "test", "contexts")}.get(rule)
    return [options[name] for name in ("model", *texts, "paraphrases") if name in options] if texts else []


def count(rule: str, settings: JsonMapping, options: Mapping[str, str]) -> Reading:
    """Return what a job of fine-tuning or generation will read; of answers to come nothing is counted.

    Args:
        rule: ``finetune`` or ``generate``.
        settings: the job's settings.
        options: its command's options without dashes; the files of :func:`read_by` exist.

    Raises:
        UserError: a file can't be read, or a prompt doesn't fit the template's limits.
    """
    leaves = {name: value for name, value in settings.items() if name != "code_version"}
    model, paraphrases = options["model"], options.get("paraphrases")
    if rule == "generate":
        files = options["arrivals"], options["test"], options["contexts"]
        return _generation(canonical_json(leaves), model, *files, paraphrases)
    from contrastive_context.training import data, finetuning

    chosen = FinetuneSettings.model_validate(leaves)
    texts = data.read_training_data(options["corpus"], options["contexts"], paraphrases, chosen.recipe, chosen.seed)
    tokens = finetuning.count_tokens(_encoder(model, chosen.template, chosen.task), texts)
    return Reading(sum(map(len, texts.schedule)), tokens)


def at_most(
    rule: str,
    settings: JsonMapping,
    options: Mapping[str, str],
    made_with: Callable[[str], JsonMapping | None],
) -> Reading | None:
    """Return the most that a job of fine-tuning or generation may read and write, by settings alone.

    A prompt has at most the template's ``max_prompt_tokens``, an answer ``max_new_tokens``: so long as no training
    target is longer, of which none is cut.

    Args:
        rule: the job's rule.
        settings: its settings.
        options: its command's options without dashes.
        made_with: returns the settings of the job that makes a file, or None if they aren't known.

    Returns:
        None where the job runs no model, or what it reads isn't known. The prompts of fine-tuning are exact.
    """
    if rule == "finetune":
        prompts = settings["recipe"]["steps"] * settings["recipe"]["examples_per_step"]
    elif rule == "generate":
        frozen, corpus = made_with(options["contexts"]), made_with(options["test"])
        if frozen is None or corpus is None:
            return None
        prompts = len(corpus["test_sets"]) * _prompts_per_test_set(frozen)
    else:
        return None
    template = settings["template"]
    return Reading(prompts, prompts * (template["max_prompt_tokens"] + template["max_new_tokens"]))


def _prompts_per_test_set(frozen: JsonMapping) -> int:
    """Prompts if every target fills every bucket, and one of each target without examples."""
    evaluation, buckets = frozen["evaluation"], len(frozen["buckets"])
    compositions = len(evaluation["compositions"])
    prompts = (evaluation["targets"] + evaluation["all_targets"]) * (compositions * buckets + 1)
    if evaluation["paraphraser"]:
        prompts += evaluation["targets"] * buckets * (compositions + 1)
    return prompts


@cache
def _generation(settings: str, model: str, arrivals: str, test: str, contexts: str, paraphrases: str | None) -> Reading:
    """Count once what all systems of a model on a task are asked."""
    from contrastive_context.inference import generation

    chosen = GenerateSettings.model_validate(json.loads(settings))
    encoder = _encoder(model, chosen.template, chosen.task)
    _, prompts = generation.read_prompts(encoder, arrivals, test, contexts, paraphrases)
    return Reading(len(prompts), sum(len(prompt.ids) for prompt in prompts))


# One, as it holds the ids of every text that it has seen: jobs of one model on one task are counted one after another.
@lru_cache(maxsize=1)
def _encoder(record: str, template: "Template", task: str) -> "PromptEncoder":
    from transformers import AutoConfig

    from contrastive_context.models.language_models import load_tokenizer
    from contrastive_context.prompting.prompts import PromptEncoder

    folder = record.removesuffix(".json")
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return PromptEncoder(load_tokenizer(folder), template, config, task)
