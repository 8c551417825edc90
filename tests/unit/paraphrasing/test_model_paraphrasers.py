"""Paraphrasers that run models: a causal one shown examples, and two translators back to back."""

import json

import pytest

from contrastive_context.config.paraphrasers import BackTranslationParaphraser, LanguageModelParaphraser
from contrastive_context.core.errors import UserError
from contrastive_context.paraphrasing import back_translation, language_model
from contrastive_context.paraphrasing.proposals import propose
from contrastive_context.paraphrasing.settings import ParaphraseSettings
from small_models import model, tokenizer

SOURCES = ["turn on the desk lamp in the kitchen", "good morning", "costs 3.50 euros", "turn on"]


def settings(entry, corpus="lexicon"):
    models = {name: {} for name in entry.models}
    return ParaphraseSettings(
        task="t",
        paraphraser_name="p",
        paraphraser=entry,
        models=models,
        corpus={"kind": corpus},
        encoder={"kind": "bm25"},
    )


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("causal")
    model("gpt2", 400).save_pretrained(folder)
    tokenizer("gpt2").save_pretrained(folder)
    return folder


def asks(**changes):
    template = {"target_prefix": " =>", "target_start": " ", "stop": "\n", "max_new_tokens": 6, "max_prompt_tokens": 40}
    entry = {"kind": "language_model", "model": "m", "template": template, "examples": [], **changes}
    return settings(LanguageModelParaphraser(**entry))


def test_sampling_follows_the_seed_and_greedy_decoding_does_not(causal):
    folders = {"m": causal}
    # A random model hardly ever writes the stop: what counts here is what it wrote.
    first, again, other = (
        [out.ids for out in outputs_of(asks(seed=seed, temperature=2.0), causal)] for seed in (0, 0, 1)
    )
    assert first == again != other
    greedy, cold = ([out.ids for out in outputs_of(asks(seed=seed, temperature=0), causal)] for seed in (0, 1))
    assert greedy == cold != first
    assert len(language_model.reword(asks(), SOURCES, folders)) == len(SOURCES)


def outputs_of(step, folder):
    """The generations behind ``reword``."""
    from contrastive_context.inference import generation

    seen = []
    original = generation.generate

    def spy(*arguments, **options):
        seen.extend(original(*arguments, **options))
        return seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_model, "generate", spy)
        language_model.reword(step, SOURCES, {"m": folder})
    return seen


def test_answers_are_cut_at_the_stop_and_none_stands_for_the_unfinished_and_the_too_long(causal, monkeypatch):
    from contrastive_context.inference.generation import Generation

    prompts = []

    def speak(model, encoder, given, **options):
        prompts.extend(encoder.tokenizer.decode(list(ids)) for ids in given)
        text = encoder.tokenizer(" switch  it on\nand more", add_special_tokens=False)["input_ids"]
        return [Generation(text, "stop"), *[Generation(text[:3], "length")] * (len(given) - 1)]

    monkeypatch.setattr(language_model, "generate", speak)
    step = asks(examples=[("hi", "hello")])
    found = language_model.reword(step, ["turn on", "turn " * 60, "good morning"], {"m": causal})
    assert found == ["switch it on", "", ""]
    assert prompts == ["hi => hello\nturn on =>", "hi => hello\ngood morning =>"]


def test_the_models_record_is_needed(causal):
    import pandas as pd

    rows = pd.DataFrame({"id": ["a"], "source": ["turn on"], "target": ["x"], "cluster": ["c"]})
    with pytest.raises(UserError, match=r"paraphrasers\.p: --models RECORD of m is missing"):
        propose(asks(), rows, {})
    (proposal,) = propose(asks(), rows, {"m": causal})
    assert proposal.target == "x" and not proposal.target_paraphrased


@pytest.fixture(scope="module")
def translators(tmp_path_factory):
    """Two Marian models of random weights, with SentencePiece files as the hub has them."""
    import sentencepiece
    import torch
    from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

    root = tmp_path_factory.mktemp("marian")
    (root / "text").write_text("\n".join(SOURCES * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(root / "text"), model_prefix=str(root / "spm"), vocab_size=60, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(root / "spm.model"))
    words = ["</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, len(pieces))), "<pad>"]
    (root / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    folders = {}
    for number, name in enumerate(("en-de", "de-en")):
        spm = str(root / "spm.model")
        folder = folders[name] = root / name
        MarianTokenizer(spm, spm, str(root / "vocab.json")).save_pretrained(folder)
        config = MarianConfig(
            vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
            pad_token_id=len(words) - 1, eos_token_id=0, decoder_start_token_id=len(words) - 1, init_std=0.3,
        )  # fmt: skip
        torch.manual_seed(number)
        translator = MarianMTModel(config)
        translator.generation_config = GenerationConfig(
            decoder_start_token_id=len(words) - 1, eos_token_id=0, pad_token_id=len(words) - 1, max_length=64
        )
        translator.save_pretrained(folder)
    return folders


def there_and_back(**changes):
    entry = {"forward": {"model": "en-de"}, "backward": {"model": "de-en"}, "max_new_tokens": 30, **changes}
    return settings(BackTranslationParaphraser(kind="back_translation", **entry))


def test_texts_go_there_and_back(translators):
    """Random translators write noise, or nothing: what counts is that it is noise of both, row by row."""
    step = there_and_back(temperature=3.0, max_new_tokens=60)
    found = back_translation.reword(step, SOURCES * 8, translators)
    assert len(found) == 32 and sum(map(bool, found)) > 3
    assert not set(found) & set(SOURCES)


def test_batches_change_nothing_and_order_is_kept(translators, monkeypatch):
    """With models that say what they were given: the ids of the input come out again."""
    from transformers import MarianConfig

    class Echo:
        device = "cpu"
        config = MarianConfig(vocab_size=100, max_position_embeddings=64)
        generation_config = type("Own", (), {
            "decoder_start_token_id": 0, "bos_token_id": None, "eos_token_id": 0, "pad_token_id": None,
            "bad_words_ids": None,
        })  # fmt: skip

        def to(self, device):
            return self

        def eval(self):
            return self

        def generate(self, input_ids, attention_mask, **options):
            import torch

            start = torch.zeros((len(input_ids), 1), dtype=torch.int64)
            return torch.cat([start, torch.where(attention_mask.bool(), input_ids, 0)], dim=1)

    monkeypatch.setattr(back_translation, "load_weights", lambda *_, **options: Echo())
    texts = [*SOURCES, "turn on the desk lamp " * 20, ""]
    for batch_tokens in (1, 40, 4096):
        found = back_translation.reword(there_and_back(batch_tokens=batch_tokens), texts, translators)
        # The last but one is longer than the models' positions.
        assert found == [*SOURCES, "", ""]


def test_prefixes_reach_their_model_and_an_empty_translation_stays_empty(translators, monkeypatch):
    said = []
    load = back_translation.load_tokenizer

    def spy(folder):
        known = load(folder)

        def tokenize(texts, **options):
            if not options:
                said.append((folder.name, list(texts)))
            return known(texts, **options)

        tokenize.decode = known.decode
        tokenize.vocab_size, tokenize.added_tokens_decoder = known.vocab_size, known.added_tokens_decoder
        return tokenize

    monkeypatch.setattr(back_translation, "load_tokenizer", spy)
    step = there_and_back(forward={"model": "en-de", "prefix": "<2de> "}, max_new_tokens=1)
    assert back_translation.reword(step, SOURCES[:2], translators) == ["", ""]
    # No translation ends within one token unless it is empty: nothing is left for the way back.
    assert said[0] == ("en-de", ["<2de> " + text for text in SOURCES[:2]])
    assert said[1:] == []


def test_sampled_translations_follow_the_seed(translators):
    first, again, other = (
        back_translation.reword(there_and_back(temperature=3.0, max_new_tokens=60, seed=seed), SOURCES * 8, translators)
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_causal_model_is_no_translator(causal, translators):
    with pytest.raises(UserError, match="can't be loaded by AutoModelForSeq2SeqLM"):
        back_translation.reword(there_and_back(), SOURCES, {"en-de": causal, "de-en": causal})
