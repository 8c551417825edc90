"""Tokenizers that know more tokens than their model has embeddings for."""

import copy
import json

import numpy as np
import pytest
from transformers import AddedToken

from contrastive_context.config.paraphrasers import BackTranslationParaphraser
from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError
from contrastive_context.inference.generation import generate
from contrastive_context.paraphrasing import back_translation
from contrastive_context.paraphrasing.settings import ParaphraseSettings
from contrastive_context.prompting.prompts import PromptEncoder
from small_models import model, tokenizer
from small_runs import training_data, tune

TEMPLATE = Template(source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_new_tokens=12)


@pytest.fixture
def grown():
    """A model, and its tokenizer with padding and a word added after the model was made."""
    words = copy.deepcopy(tokenizer("llama"))
    network = model("llama", len(words))
    words.add_special_tokens({"pad_token": "<pad>"})
    words.add_tokens([AddedToken("<turn>", normalized=False)])
    assert words.pad_token_id == network.config.vocab_size
    return network, words


def test_padding_needs_no_embedding(grown):
    network, words = grown
    encoder = PromptEncoder(words, TEMPLATE, network.config)
    prompts = [encoder.encode([("lamp", "on")] * count, "desk lamp").ids for count in range(6)]
    together = generate(network, encoder, prompts, max_new_tokens=6)
    assert together == generate(network, encoder, prompts, max_new_tokens=6, batch_tokens=1)


def test_a_text_with_such_a_token_is_named(grown):
    network, words = grown
    encoder = PromptEncoder(words, TEMPLATE, network.config)
    message = r"^the text 'a <turn> lamp' has '<turn>' in it, token \d+ of the tokenizer, but the model has embeddings"
    with pytest.raises(UserError, match=message):
        encoder.encode([("desk", "a <turn> lamp")], "lamp")
    with pytest.raises(UserError, match=message):
        encoder.completion("a <turn> lamp")
    assert len(encoder.encode([("desk", "<pad>")], "lamp").ids) > 3  # special tokens are spelled out
    with pytest.raises(UserError, match="the text '<turn>'"):
        PromptEncoder(words, TEMPLATE.model_copy(update={"stop": "<turn>"}), network.config)
    words.add_special_tokens({"bos_token": "<begin>"})
    words.backend_tokenizer.post_processor = _adding("<begin>", words.bos_token_id)
    with pytest.raises(UserError, match="has '<begin>' in it"):
        PromptEncoder(words, TEMPLATE, network.config)


def _adding(token, number):
    from tokenizers import processors

    return processors.TemplateProcessing(single=f"{token} $A", special_tokens=[(token, number)])


def test_training_says_so_before_its_first_step(grown, tmp_path, monkeypatch):
    import small_runs

    network, words = grown
    data = training_data()
    target = data.schedule[-1][-1][0]
    data.texts[target] = ("turn on the <turn>", "lamp")
    monkeypatch.setattr(small_runs, "tokenizer", lambda _: words)
    with pytest.raises(UserError, match="the text 'turn on the <turn>' has '<turn>' in it"):
        tune(tmp_path, network=network, data=data)
    assert not list(tmp_path.iterdir())


def test_a_tokenizer_that_fits_costs_nothing_and_unused_embeddings_are_no_fault():
    words = tokenizer("llama")
    encoder = PromptEncoder(words, TEMPLATE, model("llama", len(words) + 64).config)
    encoder.add(["desk lamp"])
    generated = [
        *encoder.completion("lamp")[: -len(encoder.stop_ids)],
        len(words) + 3,
        *encoder.stop_ids,
    ]  # as of Qwen2.5's padded rows
    assert encoder.decode(generated) == "lamp"
    assert encoder.stopped(np.array(generated))


def test_translators(tmp_path):
    from transformers import T5Config, T5ForConditionalGeneration

    words = copy.deepcopy(tokenizer("llama"))
    config = T5Config(
        vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=2,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    words.add_special_tokens({"pad_token": "<pad>"})
    words.add_tokens([AddedToken("<turn>", normalized=False)])
    words.save_pretrained(tmp_path)
    entry = {"forward": {"model": "m"}, "backward": {"model": "m"}, "max_new_tokens": 5}
    step = ParaphraseSettings(
        task="t",
        paraphraser_name="p",
        paraphraser=BackTranslationParaphraser(kind="back_translation", **entry),
        models={"m": {}},
        corpus={"kind": "lexicon"},
        encoder={"kind": "bm25"},
    )
    texts = ["turn on the desk lamp in the kitchen", "lamp"]
    assert len(back_translation.reword(step, texts, {"m": tmp_path})) == 2
    with pytest.raises(UserError, match="the text 'a <turn>' has '<turn>' in it"):
        back_translation.reword(step, ["lamp", "a <turn>"], {"m": tmp_path})
    assert json.loads((tmp_path / "config.json").read_text())["vocab_size"] == config.vocab_size
