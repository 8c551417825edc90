import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.contexts.anchors import anchor_finder, replace
from contrastive_context.text.words import contains


def find_anchors(kind, source, target):
    return list(anchor_finder(kind)(source, target))


def keys(kind, source, target):
    anchors = find_anchors(kind, source, target)
    for anchor in anchors:
        assert source[slice(*anchor.source)].lower() == anchor.source_text.lower()
        assert target[slice(*anchor.target)] == anchor.target_text
    return [anchor.key for anchor in anchors]


def test_positional_words_by_position_and_only_once_in_the_source():
    assert keys("positional_words", "a b a c", "1 2 3 2") == [("b", "2"), ("c", "2")]
    assert keys("positional_words", "a b c", "1 2") == [("a", "1"), ("b", "2")]


def test_quoted_values_are_whole_words_in_any_case():
    target = "turn_on(name='kitchen light', area='Hall', level='5')"
    assert keys("quoted_values", "Turn on the Kitchen light in the hallway at 5", target) == [
        ("kitchen light", "kitchen light"),
        ("5", "5"),
    ]
    assert keys("quoted_values", "hall to hall", "go(area='hall')") == []
    assert keys("quoted_values", "bob's room", "go(area='bob's room')") == []


def test_slots_say_what_a_span_stands_for():
    found = find_anchors("quoted_values", "dim the hall to 5", "dim(area='hall', level='5')")
    assert [anchor.slot for anchor in found] == ["area", "level"]
    assert [anchor.slot for anchor in find_anchors("shared_words", "Anna 12", "Anna 12")] == ["word", "number"]


def test_shared_words_are_words_or_numbers_that_occur_once():
    assert keys("shared_words", "Anna has 12 of 3a in Rome", "Anna hat 12 aus 3a in Rom") == [
        ("Anna", "Anna"),
        ("12", "12"),
    ]
    assert keys("shared_words", "Tom and Tom", "Tom und") == []


def test_words_have_their_marks_and_end_where_the_script_changes():
    assert keys("shared_words", "दिल्ली में", "दिल्ली का") == [("दिल्ली", "दिल्ली")]
    decomposed = "fu\u0308r Ko\u0308ln"
    assert keys("shared_words", decomposed, decomposed) == [(word, word) for word in decomposed.split()]
    assert keys("shared_words", "I use Python 3", "我用Python编程3次") == [("Python", "Python"), ("3", "3")]
    assert keys("shared_words", "东京很大", "东京很大") == []
    assert keys("quoted_values", "把电灯打开", "turn_on(name='电灯')") == [("电灯", "电灯")]
    assert keys("sentence_label", "很好看", "label 好评") == [("很", "好评"), ("好", "好评"), ("看", "好评")]


@given(st.lists(st.sampled_from(["ab", "cde", "12", "fgh"]), min_size=1, max_size=6), st.integers(0, 5))
def test_replacing_an_anchor_removes_it(words, pick):
    text = " ".join(words)
    for kind in ("positional_words", "shared_words"):
        anchors = find_anchors(kind, text, text.upper() if kind == "positional_words" else text)
        if anchors:
            anchor = anchors[pick % len(anchors)]
            edited = replace(text, anchor.source, "zorp")
            assert contains(edited, "zorp") and not contains(edited, anchor.source_text)


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("f(a='living room')", "living room", True),
        ("f(a='living_room')", "living room", False),
        ("rooms", "room", False),
        ("a b", "a b c", False),
        ("on", "on", True),
    ],
)
def test_contains_compares_whole_words(text, phrase, expected):
    assert contains(text, phrase) is expected
