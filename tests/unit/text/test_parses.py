"""Parses: their two notations, the metrics on them, and MTOP."""

import json
import zipfile

import numpy as np
import pytest

from contrastive_context.core.errors import UserError
from contrastive_context.corpora.build import build
from contrastive_context.corpora.settings import BuildCorpusSettings
from contrastive_context.scoring.metrics import get_metric, intent_match
from contrastive_context.text.parses import ParseError, parse, slots, tree_match

NESTED = "[IN:CREATE_REMINDER [SL:TODO [IN:GET_TODO [SL:DATE_TIME morgen ] [SL:TODO anrufen ] ] ] [SL:PERSON mich ] ]"


def test_normal_form_ignores_blanks_and_the_order_of_slots():
    assert tree_match("[IN:A [SL:Y b ] [SL:X a  c]]", "[IN:A [SL:X a c ] [SL:Y b ] ]") == 1
    assert tree_match("A(y='b', x='a c')", "A(x='a c', y='b')") == 1
    assert tree_match("[IN:A [SL:X Mu\u0308ller ] ]", "[IN:A [SL:X Müller ] ]") == 1


@pytest.mark.parametrize(
    "output",
    ["[IN:A [SL:X a ] ]", "[IN:B [SL:X a c ] ]", "[IN:A [SL:Y a c ] ]", "[IN:A [SL:X A c ] ]", "[IN:A [SL:X a c ]", "",
     "[IN:A [SL:X a c ] [SL:X a c ] ]"],
)  # fmt: skip
def test_other_trees_do_not_match(output):
    assert tree_match(output, "[IN:A [SL:X a c ] ]") == 0


MALFORMED = {
    "never closed": "[IN:A [SL:X a ]",
    "closed twice": "[IN:A [SL:X a ] ] ]",
    "a slot first": "[SL:X a ]",
    "a slot in a slot": "[IN:A [SL:X [SL:Y b ] ] ]",
    "an intent in an intent": "[IN:A [IN:B ] ]",
    "text behind": "[IN:A ] more",
    "a bare bracket": "[IN:A [ x ] ]",
    "no tree": "set an alarm",
    "empty": "",
    "a slot without quotes": "A(x=1)",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_trees_are_refused(text):
    with pytest.raises(ParseError):
        parse(text)


def test_slots_are_named_by_their_path():
    assert slots(parse(NESTED)) == {
        (("SL:TODO",), ""): 1, (("SL:TODO", "SL:DATE_TIME"), "morgen"): 1,
        (("SL:TODO", "SL:TODO"), "anrufen"): 1, (("SL:PERSON",), "mich"): 1,
    }  # fmt: skip


def test_slot_f1_is_micro_averaged():
    metric = get_metric("slot_f1")
    pairs = [("A(x='1', y='2')", "A(x='1', y='3')"), ("no parse", "A(x='1')"), ("B(x='1')", "A(x='1')"), ("A()", "A()")]
    segments = [metric.segment(*pair) for pair in pairs]
    assert [segment.value for segment in segments] == [0.5, 0, 1, 1]
    corpus = metric.aggregate([s.value for s in segments], [s.stats for s in segments])
    assert corpus == pytest.approx(2 * 2 / (3 + 4))
    assert metric.aggregate([1.0], [segments[3].stats]) == 1
    assert np.isnan(metric.from_sums(metric.matrix([], []).sum(axis=0)))


def test_intents_of_both_notations():
    assert intent_match("[IN:GET_WEATHER [SL:X a", "[IN:GET_WEATHER ]") == 1
    assert intent_match("[IN:GET_WEATHERS ]", "[IN:GET_WEATHER ]") == 0


def row(number, form="[IN:GET_WEATHER [SL:LOCATION {n} ] ]", **changes):
    fields = {"id": str(number), "intent": "IN:GET_WEATHER", "slots": "", "utterance": f"Wetter in Ort{number}",
              "domain": "weather", "locale": "de_XX", "form": form.replace("{n}", f"Ort{number}"),
              "tokens": json.dumps({"tokens": []})}  # fmt: skip
    return "\t".join((fields | changes).values())


@pytest.fixture
def mtop(tmp_path):
    folder = tmp_path / "mtop" / "de"
    folder.mkdir(parents=True)
    for start, name in ((0, "train"), (100, "eval"), (200, "test")):
        forms = ["[IN:GET_WEATHER [SL:LOCATION {n} ] ]", "[IN:GET_WEATHER [SL:LOCATION {n} ] [SL:DATE_TIME nun ] ]"]
        lines = [row(start + number, forms[number % 2]) for number in range(20)]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "mtop"


def settings(path, **changes):
    corpus = {"kind": "mtop", "path": str(path), "language": "de", "max_rejected": 1, "dev": 0} | changes
    return BuildCorpusSettings(task="mtop", corpus=corpus, test_sets=["in_domain"], stop="\n")


def test_mtop_is_read_from_its_folder_and_its_archive_alike(mtop, tmp_path):
    with zipfile.ZipFile(tmp_path / "mtop.zip", "w") as archive:
        for path in sorted(mtop.rglob("*.txt")):
            archive.write(path, f"mtop/{path.relative_to(mtop)}")
    one, other = build(settings(mtop), {}), build(settings(tmp_path / "mtop.zip"), {})
    assert {name: len(frame) for name, frame in one.frames.items()} == {
        "test/in_domain": 20, "arrivals": 20, "dev": 0, "train": 20,
    }  # fmt: skip
    for name, frame in one.frames.items():
        assert frame[["id", "cluster"]].equals(other.frames[name][["id", "cluster"]])
    assert one.frames["train"]["cluster"].nunique() == 2


def test_malformed_rows_are_counted_and_located(mtop):
    path = mtop / "de/test.txt"
    bad = [
        row(300, "[IN:GET_WEATHER [SL:LOCATION Wien ]"),
        row(301, "[IN:GET_ALARM ]"),
        row(302, utterance="Wetter\0?"),
        "one\ttwo",
        row(303, "GET_WEATHER()"),
        row(305, utterance="Wetter " * 150_000),
        row(306, " "),
        row(307, utterance=" "),
        "",
        row(308, "[IN:GET_WEATHER [SL:LOCATION " * 5000 + "Wien" + " ] ]" * 5000),
    ]
    path.write_bytes(path.read_bytes() + "\n".join(bad).encode() + b"\n" + row(304).encode()[:30] + b"\xff\n")
    built = build(settings(mtop), {})
    assert built.counts["read"]["dropped"] == {
        "malformed: malformed tree: brackets don't match": 1, "malformed: intent is not the tree's": 1,
        "malformed: NUL character": 1, "malformed: not 8 columns": 1,
        "malformed: malformed tree: not in decoupled form": 1, "malformed: broken UTF-8": 1,
        "malformed: line too long": 2, "malformed: malformed tree: no parse": 1, "malformed: empty source": 1,
        "malformed: blank line": 1,
    }  # fmt: skip
    assert [(place.file, place.line) for place in built.listed] == [(str(path), str(line)) for line in range(21, 32)]
    assert len(built.frames["test/in_domain"]) == 20


@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_an_answer_nested_deeply_matches_nothing(depth):
    """Comparing deep trees ran into Python's limit of recursion, and ended scoring with a traceback."""
    answer = "[IN:A [SL:B " * depth + "] ] " * depth
    assert tree_match(answer, "[IN:A [SL:B x ] ]") == 0
    with pytest.raises(ParseError, match="nested too deeply"):
        parse(answer)


def test_marks_of_order_and_line_ends_are_no_text_and_any_script_is(mtop):
    path = mtop / "de/test.txt"
    form = "[IN:GET_WEATHER [SL:LOCATION القاهرة ] ]"
    rows = [row(400), row(401, form, utterance="الطقس في القاهرة")]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode() + b"\r\n")
    found = build(settings(mtop), {}).frames["test/in_domain"]
    assert dict(zip(found["source"], found["target"], strict=True)) == {
        "Wetter in Ort400": "[IN:GET_WEATHER [SL:LOCATION Ort400 ] ]", "الطقس في القاهرة": form,
    }  # fmt: skip
    assert {json.loads(meta)["id"] for meta in found["meta"]} == {"400", "401"}


def test_a_missing_file_is_named(mtop):
    with pytest.raises(UserError, match=r"fr/train\.txt"):
        build(settings(mtop, language="fr"), {})
