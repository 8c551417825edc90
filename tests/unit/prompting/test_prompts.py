"""Segment-wise tokenization: the answer's place is known whatever the text, and nothing is cut silently."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import LlamaConfig

from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.lexicon import SOURCE_WORDS, TARGET_WORDS
from contrastive_context.models.tiny.lexicon import TOKENS
from contrastive_context.models.tiny.tokenizer import build
from contrastive_context.prompting.prompts import PromptEncoder
from small_models import tokenizer

KINDS = ("llama", "gpt2", "unigram")
TEMPLATE = Template(
    instruction="translate:", source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_prompt_tokens=4000
)
# As in running text: a word and the blank before it are one token, so the blank belongs to the target.
SPACED = TEMPLATE.model_copy(update={"target_prefix": "\nout:", "target_start": " "})
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_characters="\n⏎", exclude_categories=("Cs",)), max_size=30)


@pytest.fixture(params=KINDS)
def encoder(request) -> PromptEncoder:
    return PromptEncoder(tokenizer(request.param), TEMPLATE)


def plain(encoder: PromptEncoder, text: str) -> list[int]:
    return encoder.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


@pytest.mark.parametrize("template", [TEMPLATE, SPACED], ids=["apart", "spaced"])
@pytest.mark.parametrize("kind", KINDS)
@given(examples=st.lists(st.tuples(PRINTABLE, PRINTABLE), max_size=3), source=PRINTABLE, target=PRINTABLE)
@settings(max_examples=40, deadline=None)
def test_ids_are_the_segments_in_order(kind, template, examples, source, target):
    encoder = PromptEncoder(tokenizer(kind), template)
    start = template.target_start if kind == "gpt2" else ""  # the others put a blank before every segment themselves
    expected = list(encoder.bos_ids) + plain(encoder, template.instruction)
    for left, right in examples:
        for text in (template.source_prefix, left, template.target_prefix, start + right, template.stop):
            expected += plain(encoder, text)
    for text in (template.source_prefix, source, template.target_prefix):
        expected += plain(encoder, text)
    prompt = encoder.encode(examples, source)
    assert prompt.dropped == 0
    assert prompt.ids.tolist() == expected
    assert encoder.completion(target).tolist() == plain(encoder, start + target) + plain(encoder, template.stop)


@pytest.mark.parametrize("template", [TEMPLATE, SPACED], ids=["apart", "spaced"])
@given(target=st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_byte_level_completion_decodes_to_its_target(template, target):
    encoder = PromptEncoder(tokenizer("gpt2"), template, task="toy")
    if "\n" in target:
        with pytest.raises(UserError, match=r"tasks\.toy\.template\.stop '\\n' occurs in the target of row '0123abcd'"):
            encoder.completion(target, "0123abcd")
        with pytest.raises(UserError, match="choose a stop that occurs in no target"):
            encoder.completion(target)
    else:
        ids = encoder.completion(target)
        assert encoder.decode(ids) == target
        assert encoder.stopped(ids)
        assert not any(encoder.stopped(ids[:end]) for end in range(1, len(ids)))


@pytest.mark.parametrize("target", ["desk lamp", "HassTurnOn(name='desk lamp')", "größer äöü", "lamp", ""])
@pytest.mark.parametrize("template", [TEMPLATE, SPACED], ids=["apart", "spaced"])
def test_a_prefix_space_does_not_reach_the_text(encoder, template, target):
    encoder = PromptEncoder(encoder.tokenizer, template)
    assert encoder.decode(encoder.completion(target)) == target


@pytest.mark.parametrize("start", [" ", " = ", "= "])
def test_an_answer_begins_as_it_would_in_running_text(encoder, start):
    template = SPACED.model_copy(update={"target_start": start})
    encoder = PromptEncoder(encoder.tokenizer, template)
    ids = encoder.completion("lamp in the kitchen.")
    text = encoder.tokenizer.decode([*plain(encoder, "out:"), *ids[: -len(encoder.stop_ids)]])
    if "=" not in start or encoder.tokenizer is not tokenizer("unigram"):  # which doesn't know the sign
        blank = " " * (start.startswith(" ") or encoder.tokenizer is not tokenizer("gpt2"))
        assert text.lstrip() == f"out:{blank}{start.lstrip()}lamp in the kitchen."
        assert encoder.decode(ids) == "lamp in the kitchen."
    if start == " " and encoder.tokenizer is tokenizer("gpt2"):
        assert encoder.tokenizer.convert_ids_to_tokens(int(ids[0])) == "Ġlamp"


def test_an_answer_without_the_blank_is_read_as_it_is():
    encoder = PromptEncoder(tokenizer("gpt2"), SPACED)
    assert encoder.decode([*plain(encoder, "lamp"), *encoder.stop_ids]) == "lamp"


def test_a_start_that_holds_the_stop_is_refused():
    with pytest.raises(ValidationError, match="target_start contains the stop"):
        Template(target_prefix="out:", target_start="\n ", stop="\n")


@pytest.mark.parametrize("text", ["</s>", "a </s> lamp", "<|endoftext|>", "lamp<|endoftext|>lamp<s>", "<unk></s>"])
def test_special_tokens_in_the_corpus_are_plain_text(encoder, text):
    inner = encoder.tokenizer
    prompt = encoder.encode([(text, text)], text).ids[len(encoder.bos_ids) :]
    special = set(inner.all_special_ids) - ({inner.unk_token_id} if inner is not tokenizer("gpt2") else set())
    assert special.isdisjoint(prompt.tolist())
    assert special.isdisjoint(encoder.completion(text).tolist())
    if inner is not tokenizer("unigram"):  # which doesn't know every character
        assert encoder.decode(encoder.completion(text)) == text


def test_special_tokens_of_the_template_are_meant():
    template = TEMPLATE.model_copy(update={"stop": "<|endoftext|>"})
    encoder = PromptEncoder(tokenizer("gpt2"), template)
    assert encoder.stop_ids.tolist() == [0]
    assert encoder.tokenizer("<|endoftext|>")["input_ids"] == [0]  # the tokenizer's own setting is left alone


def test_a_special_token_that_cannot_be_spelled_out_is_refused():
    words = build(TOKENS)
    template = Template(target_prefix="=>", stop=";")
    encoder = PromptEncoder(words, template)
    source, target = f"{SOURCE_WORDS[0]} {SOURCE_WORDS[1]}", TARGET_WORDS[0]
    tokens = words.convert_ids_to_tokens(encoder.encode([(source, target)], source).ids.tolist())
    assert tokens == ["<bos>", *source.split(), "=>", target, ";", *source.split(), "=>"]
    assert encoder.decode(encoder.completion(target)) == target
    with pytest.raises(UserError, match="contains '<eos>', which this model's tokenizer reads as a special token"):
        encoder.encode([], f"{source} <eos>")


def test_bos_comes_first_only_where_the_tokenizer_adds_it(encoder):
    expected = [] if encoder.tokenizer is tokenizer("gpt2") else [1]
    prompt = encoder.encode([("a", "b")], "c").ids
    assert encoder.bos_ids.tolist() == expected
    assert prompt[: len(expected)].tolist() == expected
    assert encoder.tokenizer.bos_token_id not in prompt[len(expected) :]
    assert encoder.tokenizer.eos_token_id not in encoder.completion("a lamp").tolist()


def test_a_tokenizer_that_always_adds_eos_is_corrected():
    class AddsEos:
        """Ignores add_special_tokens, as some tokenizers did."""

        bos_token_id, eos_token_id = None, 0

        def __call__(self, texts, **options):
            inner = tokenizer("gpt2")(texts)["input_ids"]
            return {"input_ids": [[*row, 0] for row in inner] if isinstance(texts, list) else [*inner, 0]}

        def decode(self, ids, **options):
            return tokenizer("gpt2").decode(ids, **options)

    assert 0 not in PromptEncoder(AddsEos(), TEMPLATE).encode([("a", "b")], "c").ids.tolist()


def test_the_stop_is_found_when_spelled_with_other_tokens():
    encoder = PromptEncoder(tokenizer("gpt2"), TEMPLATE.model_copy(update={"stop": "\n##"}))
    assert len(encoder.stop_ids) > 1
    single = [encoder.tokenizer.convert_tokens_to_ids(token) for token in ("a", "Ċ", "#", "#", "b")]
    assert [encoder.stopped(single[:end]) for end in range(1, 5)] == [False, False, False, True]
    assert encoder.decode(single) == "a"


class TestOverLength:
    examples = [("desk lamp", "a"), ("kitchen", "b"), ("the lamp", "c")]

    def sizes(self, encoder):
        empty = len(encoder.encode([], "lamp").ids)
        return empty, [len(encoder.encode([example], "lamp").ids) - empty for example in self.examples]

    def test_least_similar_go_first_and_the_graded_last(self, encoder):
        empty, sizes = self.sizes(encoder)
        for limit, kept in [
            (empty + sum(sizes), [0, 1, 2]), (empty + sum(sizes) - 1, [0, 2]), (empty + sizes[2], [2]), (empty, []),
        ]:  # fmt: skip
            tight = PromptEncoder(encoder.tokenizer, TEMPLATE.model_copy(update={"max_prompt_tokens": limit}))
            prompt = tight.encode(self.examples, "lamp", similarities=[0.2, 0.1, 0.9])
            expected = encoder.encode([self.examples[i] for i in kept], "lamp").ids
            assert prompt.dropped == 3 - len(kept)
            np.testing.assert_array_equal(prompt.ids, expected)

    def test_a_query_that_does_not_fit_names_the_target(self, encoder):
        tight = PromptEncoder(encoder.tokenizer, TEMPLATE.model_copy(update={"max_prompt_tokens": 8}))
        with pytest.raises(UserError, match="0123abcd"):
            tight.encode([], "desk lamp in the kitchen please", name="0123abcd")

    def test_room_for_the_answer_is_kept_within_the_models_positions(self, encoder):
        empty, sizes = self.sizes(encoder)
        short = PromptEncoder(
            encoder.tokenizer,
            TEMPLATE,
            config=LlamaConfig(vocab_size=600, max_position_embeddings=empty + sum(sizes) + 64),
        )
        assert short.encode(self.examples, "lamp").dropped == 0
        assert short.encode(self.examples, "lamp", reserve=65).dropped == 1


def test_a_stop_that_the_tokenizer_cannot_represent_is_refused():
    with pytest.raises(UserError, match=r"template\.stop"):
        PromptEncoder(tokenizer("unigram"), TEMPLATE.model_copy(update={"stop": "☃"}))


def test_prefetched_texts_give_the_same_ids(encoder):
    encoder = PromptEncoder(encoder.tokenizer, SPACED)
    before = encoder.encode([("desk", "lamp")], "the kitchen").ids
    other = PromptEncoder(encoder.tokenizer, SPACED)
    other.add(["desk", "the kitchen", "desk"], ["lamp"])
    other._tokenize = None  # everything must be there
    np.testing.assert_array_equal(before, other.encode([("desk", "lamp")], "the kitchen").ids)
