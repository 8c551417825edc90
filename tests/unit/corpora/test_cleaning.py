"""Cleaning: each rule on texts as they occur, and nothing dropped without its reason."""

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.config.text import Cleaning
from contrastive_context.corpora.cleaning import STOP, clean, reason_to_drop, script_share
from contrastive_context.corpora.rows import RAW_COLUMNS

RULES = Cleaning(source_script="Latin", target_script="Devanagari", max_characters=60)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("Turn on the light", "बत्ती जलाएं", None),
        ("Open Google Chrome now", "Google Chrome खोलें अब अभी तुरंत", None),
        ("The price is $ 5, or 20 % less", "मूल्य ५ है, या बीस प्रतिशत कम", None),
        ("Is 3 < 5 > 2 true?", "क्या यह सही है, बताइए?", None),
        ("Click <b>here</b>", "यहां क्लिक करें", "markup"),
        ("Salt &amp; pepper", "नमक और काली मिर्च", "markup"),
        ("See https://example.org", "यहां देखें और पढ़ें", "markup"),
        ("Press **Submit** now", "अब सबमिट दबाएं", "markup"),
        ("Read [this](link) now", "अब यह पढ़ें", "markup"),
        ("Hello {name}, welcome", "नमस्ते, आपका स्वागत है", "placeholders"),
        ("Tab $1 of window", "विंडो का टैब", "placeholders"),
        ("Found %d new files", "नई फ़ाइलें मिलीं", "placeholders"),
        ("Found %1$s in it", "इसमें मिला यह", "placeholders"),
        ("{COUNT, plural, =1{One tab} other{# tabs}}", "एक टैब", "placeholders"),
        ("Kept as it is", "kept as it is!", "not translated"),
        ("a " * 40, "क " * 40, "too long"),
        ("Yes", "हां, यह बिल्कुल सही है", "length ratio"),
        ("Turn on the light", "Schalte das Licht ein", "script of the target"),
        ("Turn on the light", "123 456 789 000", "script of the target"),
        ("बत्ती जला दीजिए", "बत्ती जलाएं अब", "script of the source"),
    ],
)
def test_rules(source, target, reason):
    assert reason_to_drop(source, target, RULES) == reason


#: What news, chats, subtitles and textbooks hold.
ORDINARY = [
    "The fund took $5 from each of its members", "Shares fell by $1.20 to $13.45", "A $1bn deal, or US$1 a head",
    "It raised $1 million, not $10,000", "Losses of $(5) per share", "$TSLA and $F are up 5%",
    "A$AP Rocky sang with Ke$ha", "AT&T; Verizon and S&P; fell too", "Our Q&A; then R&D; then lunch",
    "It is 100% sure, 50 % cheaper", "Write to <john@example.org> or example.org", "I <3 you 😀 >_< :-{",
    "Is 3 < x > 2 or |x| > 1?", "2**3 is 8, not 2**4", "What the f**k and s**t", "____ is the capital of France",
    "it`s ``quoted'' and ``again''", "[Co(NH3)6](NO3)3 dissolves", "Fe3+ + e− → Fe2+, [Fe(CN)6]4−", "the set {1, 2, 3}",
    "if (a[i](x)) { return; }", "a List<String> of names", "N,N-dimethyl-2-[4-(1,2-diphenyl)phenoxy]ethanamine",
    "Override __init__ and __str__.", "Set $HOME_DIR or $PATH first", "It cost $2. Then $1.10.",
    "(see [1] and [2])", "H₂SO₄ and CuSO₄·5H₂O", "★ 4,5 von 5 ★ #1 @home",
]  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_kept(text):
    for source, target in ((text, "etwas ganz anderes"), ("something quite different", text)):
        assert reason_to_drop(source, target, Cleaning(max_length_ratio=None)) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Don&#x27;t, don&#39;t", "markup"),
        ("a&nbsp;b", "markup"),
        ("See [docs]({url}#x) first", "markup"),
        ("See [docs](https://x) first", "markup"),
        ("Run `make` now", "markup"),
        ("__Note__ that", "markup"),
        ("a<br>b", "markup"),
        ("<Enter a question>", "markup"),
        ("<!-- hidden --> text", "markup"),
        ("Dear {{ name }}, hello", "placeholders"),
        ("{0} of {1} files", "placeholders"),
        ("{n, plural, one {# day} other {# days}}", "placeholders"),
        ("{\\an8}Over here", "placeholders"),
        ("Open ${path} or $(path)", "placeholders"),
        ("Open $path now", "placeholders"),
        ("from [%key:common::x%] on", "placeholders"),
        ("$1 of $2 tabs", "placeholders"),
        ("Tab$1", "placeholders"),
        ("the |name| of it", "placeholders"),
        ("%s is %d%% done", "placeholders"),
    ],
)
def test_markup_and_variables_of_software_are_dropped(text, reason):
    assert reason_to_drop(text, "etwas ganz anderes", Cleaning(max_length_ratio=None)) == reason


def test_rules_can_be_turned_off():
    off = Cleaning(max_length_ratio=None, max_characters=None, markup=False, placeholders=False, untranslated=False)
    for source, target in [("<b>$1</b>", "<b>$1</b>"), ("a", "b" * 5000)]:
        assert reason_to_drop(source, target, off) is None


def test_min_words_count_the_source():
    assert reason_to_drop("Light", "Das Licht an", Cleaning(min_words=2)) == "too short"
    assert reason_to_drop("The light", "Licht", Cleaning(min_words=2)) is None


def test_marks_belong_to_the_script():
    assert script_share("தமிழ்", "Tamil") == 1
    assert script_share("ab கா", "Tamil") == 0.5
    assert script_share("12!", "Tamil") == 0


def test_unknown_scripts_are_refused():
    with pytest.raises(ValueError, match="not a script"):
        Cleaning(target_script="Klingonese")


def frame(*pairs):
    rows = [(s, t, "c", "in", json.dumps({"file": "f.tsv", "line": str(i + 2)})) for i, (s, t) in enumerate(pairs)]
    return pd.DataFrame(rows, columns=list(RAW_COLUMNS))


def test_dropped_rows_are_listed_by_place():
    kept, listed = clean(frame(("one", "eins"), ("two", "<i>zwei</i>"), ("three", "dr;ei")), Cleaning(), stop=";")
    assert kept["source"].tolist() == ["one"]
    assert [(row.file, row.line, row.reason) for row in listed] == [("f.tsv", "3", "markup"), ("f.tsv", "4", STOP)]
    assert listed[0].text == "two → <i>zwei</i>"


def test_the_stop_is_looked_for_without_other_rules():
    kept, listed = clean(frame(("<b>", "a"), ("b", "x\ny")), None, stop="\n")
    assert kept["source"].tolist() == ["<b>"]
    assert [row.reason for row in listed] == [STOP]


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=6))
def test_every_row_is_kept_or_listed(pairs):
    rows = frame(*pairs)
    kept, listed = clean(rows, RULES, stop="\n")
    assert len(kept) + len(listed) == len(rows)
    assert all(row.reason for row in listed)
    again, none = clean(kept, RULES, stop="\n")
    assert not none
    assert again.equals(kept)
