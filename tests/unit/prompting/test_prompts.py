"""Segment-wise tokenization: the answer's place is known whatever the text, and nothing is cut silently."""

import copy
import re

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
from contrastive_context.prompting.segments import SegmentTokenizer
from small_models import tokenizer

KINDS = ("llama", "gpt2", "unigram", "glm", "prefix_space")
FRONTS = {"llama": ["<s>"], "unigram": ["<s>"], "glm": ["[gMASK]", "<sop>"]}
TEMPLATE = Template(
    instruction="translate:", source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_prompt_tokens=4000
)
# As in running text: a word and the blank before it are one token, so the blank belongs to the target.
SPACED = TEMPLATE.model_copy(update={"target_prefix": "\nout:", "target_start": " "})
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_characters="\n⏎", exclude_categories=("Cs",)), max_size=30)


@pytest.fixture(params=KINDS)
def encoder(request) -> PromptEncoder:
    return PromptEncoder(tokenizer(request.param), TEMPLATE)


def natural(kind: str, text: str) -> list[int]:
    """The ids of a whole text, with what the tokenizer puts in front of it."""
    ids = tokenizer(kind)(text)["input_ids"]
    return ids[:-1] if kind == "llama" else ids  # which puts EOS behind it too


def natural_of(encoder: PromptEncoder, text: str) -> list[int]:
    return encoder.tokenizer(text, add_special_tokens=False)["input_ids"]


def joined(template: Template, examples: list[tuple[str, str]], source: str) -> str:
    shown = [
        (template.source_prefix, template.source_start, left, template.source_end, template.target_prefix,
         template.target_start, right, template.stop)
        for left, right in examples
    ]  # fmt: skip
    query = (template.source_prefix, template.source_start, source, template.source_end, template.target_prefix)
    return "".join([template.instruction, *("".join(parts) for parts in (*shown, query))])


SENTENCES = st.lists(
    st.sampled_from(["turn", "on", "the", "desk", "lamp", "größer", "äöü", "नमस्ते", "3", "'good", "kitchen."]),
    min_size=1, max_size=6,
).map(" ".join)  # fmt: skip


@pytest.mark.parametrize("instruction", ["", "Please translate:\n"], ids=["bare", "instructed"])
@pytest.mark.parametrize(("prefix", "start"), [("", ""), ("in:", " ")], ids=["no prefix", "prefix"])
@pytest.mark.parametrize("kind", KINDS)
@given(examples=st.lists(st.tuples(SENTENCES, SENTENCES), max_size=3), source=SENTENCES)
@settings(max_examples=25, deadline=None)
def test_a_prompt_reads_like_its_text(kind, instruction, prefix, start, examples, source):
    template = Template(
        instruction=instruction, source_prefix=prefix, source_start=start, source_end="\n", target_prefix="out:",
        target_start=" ", stop="\n", max_prompt_tokens=4000,
    )  # fmt: skip
    encoder = PromptEncoder(tokenizer(kind), template)
    assert encoder.encode(examples, source).ids.tolist() == natural(kind, joined(template, examples, source))


@pytest.mark.parametrize("template", [TEMPLATE, SPACED], ids=["apart", "spaced"])
@pytest.mark.parametrize("kind", KINDS)
@given(examples=st.lists(st.tuples(PRINTABLE, PRINTABLE), max_size=3), source=PRINTABLE, target=PRINTABLE)
@settings(max_examples=40, deadline=None)
def test_an_answered_query_is_the_next_example(kind, template, examples, source, target):
    encoder = PromptEncoder(tokenizer(kind), template)
    prompt, longer = encoder.encode(examples, source), encoder.encode([*examples, (source, target)], "lamp")
    answered = [*prompt.ids.tolist(), *encoder.completion(target).tolist()]
    assert prompt.dropped == 0
    assert longer.ids.tolist()[: len(answered)] == answered


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
    encoder = PromptEncoder(encoder.tokenizer, SPACED.model_copy(update={"target_start": start}))
    ids = encoder.completion("lamp in the kitchen.")
    known = [token for token in ids.tolist() if token != encoder.tokenizer.unk_token_id]
    if len(known) == len(ids):  # unigram doesn't know the sign
        whole = natural_of(encoder, f"out:{start}lamp in the kitchen.\n")
        assert whole[-len(ids) :] == ids.tolist()
        assert encoder.decode(ids) == "lamp in the kitchen."
    if start == " " and encoder.tokenizer is tokenizer("gpt2"):
        assert encoder.tokenizer.convert_ids_to_tokens(int(ids[0])) == "Ġlamp"


@pytest.mark.parametrize("template", [TEMPLATE, SPACED], ids=["apart", "spaced"])
def test_an_answer_with_or_without_the_blank_is_read_as_it_is(encoder, template):
    encoder = PromptEncoder(encoder.tokenizer, template)
    for blank in ("", " "):
        (ids,) = SegmentTokenizer(encoder.tokenizer, "\n").inside([f"{blank}lamp\n"])
        assert encoder.decode(ids) == ("" if template.target_start else blank) + "lamp"


def test_a_start_that_holds_the_stop_is_refused():
    with pytest.raises(ValidationError, match="target_start: contains the stop"):
        Template(target_prefix="out:", target_start="\n ", stop="\n")


@pytest.mark.parametrize("text", ["</s>", "a </s> lamp", "<|endoftext|>", "lamp<|endoftext|>lamp<s>", "<unk></s>"])
def test_special_tokens_in_the_corpus_are_plain_text(encoder, text):
    inner = encoder.tokenizer
    prompt = encoder.encode([(text, text)], text).ids[len(encoder.front_ids) :]
    special = set(inner.all_special_ids) - ({inner.unk_token_id} if inner.unk_token else set())
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


@pytest.mark.parametrize("own", [False, True], ids=["by itself", "in the template"])
@pytest.mark.parametrize("segment", ["instruction", "source_prefix"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_tokenizer_puts_in_front_comes_first_and_once(kind, segment, own):
    front = FRONTS.get(kind, [])
    text = "".join(front) * own + "do: "
    template = TEMPLATE.model_copy(update={"instruction": "", "source_prefix": "", segment: text})
    encoder = PromptEncoder(tokenizer(kind), template)
    prompt = tokenizer(kind).convert_ids_to_tokens(encoder.encode([("a", "b")], "c").ids.tolist())
    assert tokenizer(kind).convert_ids_to_tokens(encoder.front_ids.tolist()) == front
    assert prompt[: len(front)] == front
    again = own and segment == "source_prefix"  # which stands before the query too
    for token in {*front, *tokenizer(kind).all_special_tokens} - {"<unk>"}:
        assert prompt.count(token) == front.count(token) * (1 + again)
    assert tokenizer(kind).eos_token_id not in encoder.completion("a lamp").tolist()


def test_a_tokenizer_that_begins_and_ends_texts_with_the_same_token_keeps_one():
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    raw = copy.deepcopy(tokenizer("gpt2").backend_tokenizer)
    end = "<|endoftext|>"
    raw.post_processor = processors.TemplateProcessing(single=f"{end} $A {end}", special_tokens=[(end, 0)])
    both = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token=end, eos_token=end)
    encoder = PromptEncoder(both, TEMPLATE.model_copy(update={"stop": end}))
    assert encoder.front_ids.tolist() == encoder.stop_ids.tolist() == [0]
    assert encoder.encode([], "lamp").ids.tolist().count(0) == 1


def test_a_tokenizer_that_always_adds_eos_is_corrected():
    class AddsEos:
        """Ignores add_special_tokens, as some tokenizers did."""

        all_special_ids = (0,)

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


def test_prefetched_texts_give_the_same_ids(encoder, monkeypatch):
    encoder = PromptEncoder(encoder.tokenizer, SPACED)
    before = encoder.encode([("desk", "lamp")], "the kitchen").ids
    other = PromptEncoder(encoder.tokenizer, SPACED)
    other.add(["desk", "the kitchen", "desk"], ["lamp"])
    with monkeypatch.context() as patched:  # everything must be there
        patched.setattr(type(encoder.tokenizer), "__call__", None)
        after = other.encode([("desk", "lamp")], "the kitchen").ids
    np.testing.assert_array_equal(before, after)


def test_targets_that_a_tokenizer_cannot_write_are_told_and_too_many_refused(caplog):
    encoder = PromptEncoder(tokenizer("unigram"), SPACED, task="toy")
    encoder.check_writable({"a": "the lamp", "b": "turn on"}, 0)
    assert not caplog.records
    targets = {"a": "the lamp", "b": "ஒளி", "c": "turn on"}
    encoder.check_writable(targets)
    told = r"can't write 1 of 3 targets; 'ஒளி' \(row b\) becomes '<unk>'"
    assert re.search(told, caplog.text)
    with pytest.raises(UserError, match=rf"tasks\.toy\.template: .*{told}.*max_unwritable"):
        encoder.check_writable(targets, 0.3)
    for kind in ("llama", "gpt2", "neox", "prefix_space"):
        PromptEncoder(tokenizer(kind), SPACED).check_writable(targets, 0)
