"""Paraphrases of sources by a causal language model on this machine, shown a few examples."""

from collections.abc import Mapping
from pathlib import Path

from contrastive_context.config.paraphrasers import LanguageModelParaphraser
from contrastive_context.core.devices import set_up_torch
from contrastive_context.core.errors import UserError
from contrastive_context.inference.generation import generate
from contrastive_context.models.language_models import load_model, load_tokenizer
from contrastive_context.paraphrasing.settings import ParaphraseSettings
from contrastive_context.prompting.prompts import PromptEncoder


def reword(settings: ParaphraseSettings, texts: list[str], folders: Mapping[str, Path]) -> list[str]:
    """Return another wording of each text, an empty one where the model gave none or the text is too long for it.

    Args:
        settings: the paraphraser's entry, and how its model is loaded.
        texts: what to reword.
        folders: model → its prepared folder.

    Raises:
        UserError: the model can't be loaded or its tokenizer can't represent the template's stop.
    """
    entry = settings.paraphraser
    assert isinstance(entry, LanguageModelParaphraser)
    use = settings.models[entry.model]
    folder = folders[entry.model]
    set_up_torch(use.device, threads=1)
    model, tokenizer = load_model(folder, use.dtype, use.device), load_tokenizer(folder)
    try:
        encoder = PromptEncoder(tokenizer, entry.template, model.config)
    except UserError as error:
        raise UserError(f"paraphrasers.{settings.paraphraser_name}.{error}") from error
    prompts = {}
    for row, text in enumerate(texts):
        try:
            prompts[row] = encoder.encode(entry.examples, text).ids
        except UserError:  # above max_prompt_tokens
            continue
    outputs = generate(
        model,
        encoder,
        list(prompts.values()),
        names=[repr(texts[row][:60]) for row in prompts],
        max_new_tokens=entry.template.max_new_tokens,
        batch_tokens=entry.batch_tokens,
        temperature=entry.temperature,
        seed=entry.seed,
        label="paraphrasing",
    )
    result = [""] * len(texts)
    for row, output in zip(prompts, outputs, strict=True):
        # An answer that didn't end in time is half a sentence.
        if output.stop_reason != "length":
            result[row] = " ".join(encoder.decode(output.ids).split())
    return result
