"""Words in any script: with blanks, without, and with marks on their letters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.text.agreement import token_accuracy
from contrastive_context.text.words import (
    contains,
    find,
    piece_spans,
    pieces,
    search_terms,
    spans,
    unspaced_share,
    words,
)

TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Turn ON the Lamp!", ["Turn", "ON", "the", "Lamp"]),
        ("für größer", ["für", "größer"]),
        (unicodedata.normalize("NFD", "für größer"), ["für", "größer"]),
        ("यह किताबें", ["यह", "किताबें"]),
        ("使用Python编程，很好。", ["使", "用", "Python", "编", "程", "很", "好"]),
        ("ไฟ 2 ดวง", ["ไ", "ฟ", "2", "ด", "ว", "ง"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("བཀྲ་ཤིས", ["བཀྲ", "ཤིས"]),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@given(TEXT)
def test_spans_are_of_the_text_itself(text):
    assert [text[a:b] for a, b in piece_spans(text)] == pieces(text) or "\u0f0b" in text
    assert all(text[a:b].strip() for a, b in spans(text))
    ends = [place for span in spans(text) for place in span]
    assert ends == sorted(ends)


@given(st.text(st.characters(max_codepoint=0xDFF, exclude_categories=("Cc",)), max_size=30))
def test_pieces_are_what_stands_between_blanks_where_there_are_blanks(text):
    assert pieces(text) == text.split()


def test_a_label_is_found_wherever_its_words_stand():
    assert contains("打开mirvoth吧", "mirvoth")
    assert contains("请打开电灯。", "电灯") and not contains("请打开电视", "电灯")
    assert contains("เปิดmirvothในครัว", "mirvoth")
    assert contains(unicodedata.normalize("NFD", "für dich"), "für")
    assert not contains("mirvoths", "mirvoth")


def test_a_phrase_is_found_where_words_begin_and_end():
    assert find("打开电灯", "电灯") == [(2, 4)]
    assert find("piano打开no灯", "no") == [(7, 9)]
    assert find("Desks DESK desk", "desk", ignore_case=True) == [(6, 10), (11, 15)]
    assert find("किताबें किताब", "किताब") == [(8, 13)]
    assert find("a.b (a.b)", "a.b") == [(0, 3), (5, 8)]
    assert find("x", "") == []


def test_retrieval_takes_pairs_of_letters():
    assert search_terms("打开电灯。 灯") == ["打开", "开电", "电灯", "灯"]
    assert search_terms("打开 USB-C灯") == ["打开", "usb", "c", "灯"]


def test_agreement_by_words_counts_letters_where_words_have_no_end():
    assert token_accuracy("打开电灯", "打开电视") == 3 / 4
    assert token_accuracy("turn on", "turn off") == 1 / 2


def test_the_share_of_letters_without_blanks():
    assert unspaced_share("打开电灯") == 1 and unspaced_share("lamp größer किताब 1") == 0 == unspaced_share("12")
    assert unspaced_share("ab电灯") == 1 / 2
