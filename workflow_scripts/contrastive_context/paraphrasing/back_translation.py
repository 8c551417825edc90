"""Paraphrases of sources by way of another language: translated there and back by sequence-to-sequence models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from contrastive_context.config.paraphrasers import BackTranslationParaphraser, Translator
from contrastive_context.core import cli
from contrastive_context.core.devices import set_up_torch
from contrastive_context.core.model_limits import max_positions, refuse_unknown, unknown_from
from contrastive_context.models.language_models import load_tokenizer, load_weights
from contrastive_context.paraphrasing.settings import ModelUse, ParaphraseSettings


def reword(settings: ParaphraseSettings, texts: list[str], folders: Mapping[str, Path]) -> list[str]:
    """Return each text after a translation there and back, an empty one where a translation is empty or cut off.

    Args:
        settings: the paraphraser's entry, and how its models are loaded.
        texts: what to reword.
        folders: model → its prepared folder.

    Raises:
        UserError: a model is not a sequence-to-sequence model or can't be loaded.
    """
    entry = settings.paraphraser
    assert isinstance(entry, BackTranslationParaphraser)
    for direction, translator in (("there", entry.forward), ("back", entry.backward)):
        # One at a time: only one of two models need fit into memory.
        texts = _translate(
            entry, translator, texts, folders[translator.model], settings.models[translator.model], direction
        )
    return texts


def _translate(
    entry: BackTranslationParaphraser,
    translator: Translator,
    texts: Sequence[str],
    folder: Path,
    use: ModelUse,
    direction: str,
) -> list[str]:
    import torch
    import transformers

    from contrastive_context.inference.finite import FiniteLogits
    from contrastive_context.inference.generation import sampling, seeded
    from contrastive_context.prompting.batches import length_batches, pad

    set_up_torch(use.device, threads=1)
    model = load_weights(transformers.AutoModelForSeq2SeqLM, folder, dtype=getattr(torch, use.dtype))
    model, tokenizer = model.to(use.device).eval(), load_tokenizer(folder)  # type: ignore[arg-type]  # see load_model
    own = model.generation_config
    config = transformers.GenerationConfig(
        num_beams=entry.beams if entry.temperature == 0 else 1,
        max_new_tokens=entry.max_new_tokens,
        # What the architecture needs to start and end; the rest of the model's own options would change the search.
        decoder_start_token_id=own.decoder_start_token_id,
        bos_token_id=own.bos_token_id,
        eos_token_id=own.eos_token_id,
        pad_token_id=own.pad_token_id,
        bad_words_ids=own.bad_words_ids,
        **sampling(entry.temperature),
    )
    model.generation_config = transformers.GenerationConfig()
    nonempty = [row for row, text in enumerate(texts) if text]
    inputs = [translator.prefix + texts[row] for row in nonempty]
    encoded = tokenizer(inputs)["input_ids"] if inputs else []
    refuse_unknown(tokenizer, unknown_from(tokenizer, model.config), inputs, encoded)
    lengths, positions = [len(ids) for ids in encoded], max_positions(model.config)
    result = [""] * len(texts)
    with (
        seeded(entry.seed),
        torch.inference_mode(),
        cli.progress(label=f"translating {direction}", total=len(nonempty), unit="text") as bar,
    ):
        for group in length_batches(lengths, entry.batch_tokens):
            fits = [i for i in group if positions is None or lengths[i] <= positions]
            if fits:
                ids, mask = pad([encoded[i] for i in fits], "right", model.device)
                names = [repr(inputs[i][:60]) for i in fits]
                finite = FiniteLogits(names, model, beams=config.num_beams, at_once=config.do_sample)
                output = cast("Any", model).generate(  # which PreTrainedModel doesn't know of
                    input_ids=ids,
                    attention_mask=mask,
                    generation_config=config,
                    logits_processor=[finite],
                )
                finite.check()
                ends = torch.tensor(own.eos_token_id, device=output.device).reshape(-1)
                for i, ids in zip(fits, output, strict=True):
                    if torch.isin(ids, ends)[1:].any():  # the first token starts the decoder, with Marian's padding
                        result[nonempty[i]] = " ".join(
                            cast("str", tokenizer.decode(ids, skip_special_tokens=True)).split()
                        )
            bar.update(len(group))
    return result
