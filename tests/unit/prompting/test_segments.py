"""Segments are read and decoded as parts of a text, whatever a tokenizer does to a text's beginning."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_context.core.errors import UserError
from contrastive_context.prompting.segments import SegmentTokenizer
from small_models import tokenizer

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "glm", "prefix_space"])
@given(text=TEXT)
@settings(max_examples=80, deadline=None)
def test_a_segment_decodes_to_its_text(kind, text):
    segments = SegmentTokenizer(tokenizer(kind), "\n")
    (ids,) = segments.inside([text])
    assert segments.text(ids) == text


@pytest.mark.parametrize("kind", ["llama", "gpt2", "unigram", "prefix_space"])
@given(texts=st.lists(TEXT, max_size=5))
@settings(max_examples=30, deadline=None)
def test_segments_are_the_same_alone_and_together_and_have_offsets(kind, texts):
    segments = SegmentTokenizer(tokenizer(kind), "\n")
    together = [ids.tolist() for ids in segments.inside(texts)]
    assert together == [segments.inside([text])[0].tolist() for text in texts]
    for text, ids in zip(texts, together, strict=True):
        offsets = segments.offsets(text)
        if kind != "unigram":  # which has one token for a run of unknown characters
            assert len(offsets) == len(ids)
        assert all(0 <= first <= last <= len(text) for first, last in offsets)


def test_only_a_tokenizer_that_puts_a_blank_first_marks_beginnings():
    marks = [SegmentTokenizer(tokenizer(kind), "\n").marks_beginnings for kind in ("llama", "unigram", "gpt2", "glm")]
    assert marks == [True, True, False, False]


class Joining:
    """A blank in front, a token per character, but one for "z" and whatever stands before it."""

    all_special_ids, unk_token_id = (), None

    def __call__(self, texts, **_):
        many = texts if isinstance(texts, list) else [texts]
        rows = [[sum(map(ord, piece)) for piece in re.findall(".z|.", f"▁{text}", re.DOTALL)] for text in many]
        return {"input_ids": rows if isinstance(texts, list) else rows[0]}

    def decode(self, ids, **_):
        return "?" * len(ids)


def test_a_text_that_joins_whatever_stands_before_is_refused():
    segments = SegmentTokenizer(Joining(), "\n")
    assert segments.inside(["az"])[0].tolist() == [ord("a") + ord("z")]
    with pytest.raises(UserError, match="can't read 'zebra' as part of a longer text"):
        segments.inside(["az", "zebra"])


class Scrambling:
    """Reads a text otherwise when it adds its own tokens."""

    all_special_ids, unk_token_id = (), None

    def __call__(self, texts, **_):
        return {"input_ids": [[1] for _ in texts] if isinstance(texts, list) else [2, 3]}


def test_a_tokenizer_whose_own_tokens_cannot_be_told_is_refused():
    with pytest.raises(UserError, match="which ones it puts in front can't be told"):
        SegmentTokenizer(Scrambling(), "\n")
