import json
import random
import zipfile
from typing import get_args

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.config.sources import Corpus, HomeAssistantIntentsCorpus
from contrastive_context.core.artifacts import read_json, read_parquet, sha256_file, write_json
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import build as build_module
from contrastive_context.corpora import grammar, home_assistant_intents
from contrastive_context.corpora.build import build, remove_duplicates, write
from contrastive_context.corpora.cleaning import STOP
from contrastive_context.corpora.households import households
from contrastive_context.corpora.rows import COLUMNS, RAW_COLUMNS, row_id
from contrastive_context.corpora.settings import BuildCorpusSettings
from contrastive_context.text.normalising import normalise

CORPUS = {"kind": "lexicon"}


def raw(*pairs):
    return pd.DataFrame([(source, target, "c", "d", "{}") for source, target in pairs], columns=list(RAW_COLUMNS))


def test_normalise():
    assert normalise("  “Turn  ON the\tLamp!” ") == "turn on the lamp"
    assert normalise("ﬁne１") == "fine1"
    assert normalise("don't") == "don't"
    assert normalise("?!") != normalise("...")


def test_row_id_is_a_hash_of_both_sides():
    assert row_id("a", "b") == row_id("a", "b")
    assert len({row_id("a", "b"), row_id("ab", ""), row_id("a", "c")}) == 3
    assert len(row_id("a", "b")) == 16


def test_duplicates_within_and_across_splits_are_dropped_and_counted():
    frames, counts = remove_duplicates(
        {
            "test/in_domain": raw(("one", "1"), ("One!", "1"), ("one", "1")),
            "arrivals": raw(("one", "1"), ("two", "2")),
            "dev": raw(("two", "other"), ("three", "3")),
            "train": raw((" THREE ", "3"), ("four", "4"), ("four", "5"), ("", "6"), ("seven", None)),
        }
    )
    assert {split: frame["source"].tolist() for split, frame in frames.items()} == {
        "test/in_domain": ["one"], "arrivals": ["two"], "dev": ["three"], "train": ["four"],
    }  # fmt: skip
    assert counts["test/in_domain"]["dropped"] == {
        "same normalised source within splits": 1,
        "same pair within splits": 1,
    }
    assert counts["arrivals"]["dropped"] == {"same pair across splits": 1}
    assert counts["dev"]["dropped"] == {"same source across splits": 1}
    assert counts["train"] == {
        "generated": 5,
        "dropped": {"empty": 2, "same normalised source across splits": 1, "same source within splits": 1},
        "kept": 1,
    }


words = st.sampled_from(["a", "A", "a.", "b", " b", "c d", "C  d", "e"])
pairs = st.lists(st.tuples(words, st.sampled_from("xyz")), max_size=8)


@given(pairs, pairs, pairs)
def test_no_normalised_source_remains_twice(test, arrivals, train):
    frames, counts = remove_duplicates({"test/t": raw(*test), "arrivals": raw(*arrivals), "train": raw(*train)})
    forms = [normalise(source) for frame in frames.values() for source in frame["source"]]
    assert sorted(forms) == sorted({normalise(source) for source, _ in [*test, *arrivals, *train]})
    for split, frame in frames.items():
        assert (
            counts[split]["generated"] - sum(counts[split]["dropped"].values()) == counts[split]["kept"] == len(frame)
        )
        assert frame["id"].is_monotonic_increasing
        assert tuple(frame.columns) == COLUMNS


@pytest.fixture
def fake_corpus(monkeypatch):
    """Replaces the corpus module; the test sets what it returns."""

    class Module:
        frames = {
            "train": raw(("a", "1")), "dev": raw(("b", "1")), "arrivals": raw(("c", "1")),
            "test.in_domain": raw(("d", "1")),
        }  # fmt: skip

        @classmethod
        def build(cls, settings, record=None):
            return cls.frames

    monkeypatch.setattr(build_module, "corpus_module", lambda kind: Module)
    return Module


def settings(**changes):
    return BuildCorpusSettings(**({"task": "toy", "corpus": CORPUS, "test_sets": ["in_domain"], "stop": ";"} | changes))


def test_build_and_write(tmp_path, fake_corpus):
    write(build(settings(), {}), tmp_path)
    frame = read_parquet(tmp_path / "test.parquet", columns=[*COLUMNS, "test_set"])
    assert frame[["id", "test_set"]].to_numpy().tolist() == [[row_id("d", "1"), "in_domain"]]
    assert tuple(read_parquet(tmp_path / "train.parquet").columns) == COLUMNS
    assert read_json(tmp_path / "counts.json")["train"]["kept"] == 1
    assert (tmp_path / "rejected.csv").read_text() == "split,file,line,reason,text,detail\n"


def test_targets_with_the_stop_are_dropped_counted_and_listed(tmp_path, fake_corpus):
    fake_corpus.frames = fake_corpus.frames | {"train": raw(("a", "1"), ("e", "x;y"))}
    built = build(settings(), {})
    assert built.frames["train"]["source"].tolist() == ["a"]
    assert built.counts["train"] == {"generated": 2, "dropped": {STOP: 1}, "kept": 1}
    write(built, tmp_path)
    assert "train,,,the template's stop in the target,e → x;y" in (tmp_path / "rejected.csv").read_text()


def test_what_a_module_left_out_is_counted(fake_corpus):
    frame = raw(("a", "1"))
    frame.attrs["dropped"] = {"a bad row": 3}
    fake_corpus.frames = fake_corpus.frames | {"train": frame}
    assert build(settings(), {}).counts["train"] == {"generated": 4, "dropped": {"a bad row": 3}, "kept": 1}


def test_build_refuses_empty_split_unknown_test_set_and_missing_package(fake_corpus):
    fake_corpus.frames = fake_corpus.frames | {"arrivals": raw(("d", "2"))}
    with pytest.raises(UserError, match=r"tasks\.toy\.corpus: split arrivals is empty \(1 rows before"):
        build(settings(), {})
    with pytest.raises(UserError, match=r"tasks\.toy\.test_sets: no test set 'far'"):
        build(settings(test_sets=["far"]), {})
    intents = {"kind": "home_assistant_intents", "package": "grammars"}
    with pytest.raises(UserError, match="--packages RECORD of grammars"):
        build(settings(corpus=intents), {})


def test_dev_may_be_empty_only_where_none_was_asked_for(fake_corpus):
    fake_corpus.frames = fake_corpus.frames | {"dev": raw()}
    with pytest.raises(UserError, match="split dev is empty"):
        build(settings(), {})
    intents = {"kind": "home_assistant_intents", "package": "p", "dev": 0}
    assert build(settings(corpus=intents), {"p": "record"}).frames["dev"].empty


KINDS = [get_args(corpus.model_fields["kind"].annotation)[0] for corpus in get_args(get_args(Corpus)[0])]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_module(kind):
    module = build_module.corpus_module(kind)
    assert callable(module.build)


# --- grammars


def expand_all(template, rules=None, draws=300):
    tree, parsed = grammar.parse(template), {name: grammar.parse(text) for name, text in (rules or {}).items()}
    rng = random.Random(0)
    values = {"room": ("the attic", "attic")}
    return {json.dumps(grammar.expand(tree, parsed, lambda name, _: values[name], rng)) for _ in range(draws)}


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("[please] go", {"go", "please go"}),
        ("(a|b) c[s]", {"a c", "a cs", "b c", "b cs"}),
        ("[a|b] c", {"c", "a c", "b c"}),
        ("(a;b c)", {"a b c", "b c a"}),
        ("<x> now", {"run now", "walk now"}),
        ("5( |-)hour", {"5 hour", "5-hour"}),
    ],
)
def test_expansions(template, texts):
    assert expand_all(template, {"x": "(run|walk)"}) == {json.dumps([text, {}]) for text in texts}


def test_slots():
    assert expand_all("in {room:area}") == {json.dumps(["in the attic", {"area": "attic"}])}
    assert grammar.slots_of(grammar.parse("[a <r>] {room}"), {"r": grammar.parse("{name}")}) == {"room", "name"}


@pytest.mark.parametrize("template", ["(a", "a)", "[a)", "<x", "{x", "(a|b;c)", "a]"])
def test_bad_templates_are_refused(template):
    with pytest.raises(grammar.GrammarError):
        grammar.parse(template)


def test_bad_rules_are_refused():
    with pytest.raises(grammar.GrammarError, match="no expansion rule <y>"):
        expand_all("<y>")
    with pytest.raises(grammar.GrammarError, match="without end"):
        expand_all("<x>", {"x": "a <x>"})


# --- home-assistant-intents, from a wheel of the same form


def block(combination, *sentences, **rest):
    return {"metadata": {"slot_combination": combination}, "sentences": list(sentences), **rest}


GRAMMAR = {
    "language": "en",
    "expansion_rules": {"the": "(the|my)", "turn": "(turn|switch)"},
    "lists": {
        "percent": {"range": {"from": 0, "to": 100, "step": 10}},
        "less": {"range": {"from": 1, "to": 9, "multiplier": -1}},
        "color": {"values": ["red", {"in": "blu[e]", "out": "blue"}]},
    },
    "intents": {
        "HassTurnOn": {
            "data": [
                block(
                    "name_only",
                    *[f"<turn> on{' now' * n} [<the>] {{name}}" for n in range(8)],
                    requires_context={"domain": ["lock"]},
                ),
                block("area", "light up [<the>] {area}", slots={"domain": "light"}),
                block("fixed", "turn on everything now"),
            ]
        },
        "HassLightSet": {"data": [block("b", *[f"set {{area}} {n} to {{percent:brightness}}" for n in "abcdefgh"])]},
        "HassDim": {"data": [block("d", "dim the light by {less:step}", "color the light {color}")]},
        "HassOnce": {"data": [block("o", "do this once in {area}")]},
    },
}


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intents")
    wheel = folder / "home_assistant_intents-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("home_assistant_intents/data/en.json", json.dumps(GRAMMAR))
        opened.writestr("home_assistant_intents/data/de.json", json.dumps({"intents": {}}))
    write_json(folder / "r.json", {"package": "p", "path": str(wheel), "sha256": sha256_file(wheel)})
    return folder / "r.json"


def intents(**changes):
    values = {"kind": "home_assistant_intents", "package": "p", "train": 120, "dev": 20, "arrivals": 60, "test": 20}
    return HomeAssistantIntentsCorpus(**(values | changes))


def test_intents_rows(record):
    frames = home_assistant_intents.build(intents(), record)
    assert {split: len(frame) for split, frame in frames.items()} == {
        "train": 120, "dev": 20, "arrivals": 60, "test.in_domain": 20,
    }  # fmt: skip
    rows = pd.concat(frames.values())
    assert not rows["source"].map(normalise).duplicated().any()
    locks = set(households()["en"].names["lock"])
    for source, target, cluster in rows[["source", "target", "cluster"]].itertuples(index=False):
        intent, _, slots = target.partition("(")
        assert cluster.startswith(f"{intent}/")
        assert "everything" not in source  # a template without slots
        if intent == "HassTurnOn" and "/name_only/" in cluster:
            assert slots[len("name='") : -len("')")] in locks & {name for name in locks if name in source}
        if intent == "HassLightSet":
            area, number = source.removeprefix("set ").rsplit(" to ")
            assert target == f"HassLightSet(area='{area[:-2]}', brightness='{number}')"


def test_intents_fixed_slots_values_and_multipliers(record):
    rows = pd.concat(home_assistant_intents.build(intents(), record).values())
    targets = dict(zip(rows["source"], rows["target"], strict=True))
    assert all("domain='light'" in target for source, target in targets.items() if source.startswith("light up"))
    dimmed = {target for target in targets.values() if target.startswith("HassDim")}
    assert dimmed
    assert dimmed <= {f"HassDim(step='-{n}')" for n in range(1, 10)} | {"HassDim(color='red')", "HassDim(color='blue')"}


def test_intents_templates_are_held_out_and_shared_by_arrivals_and_test(record):
    frames = home_assistant_intents.build(intents(), record)
    clusters = {split: set(frame["cluster"]) for split, frame in frames.items()}
    held_out = clusters["arrivals"] | clusters["test.in_domain"]
    assert not held_out & (clusters["train"] | clusters["dev"])
    assert not clusters["train"] & clusters["dev"]
    assert clusters["test.in_domain"] & clusters["arrivals"]
    assert {name.split("/")[0] for name in held_out} <= {name.split("/")[0] for name in clusters["train"]}
    assert any(name.startswith("HassOnce") for name in clusters["train"])


def test_intents_are_seeded(record):
    first, again = (home_assistant_intents.build(intents(), record) for _ in range(2))
    other = home_assistant_intents.build(intents(seed=1), record)
    assert first["train"].equals(again["train"])
    assert set(first["train"]["source"]) != set(other["train"]["source"])


def test_intents_give_fewer_rows_when_exhausted(record):
    frames = home_assistant_intents.build(intents(train=100_000), record)
    assert 0 < len(frames["train"]) < 100_000


def test_intents_language_errors(record):
    with pytest.raises(UserError, match="no names of devices and rooms for language 'zz'"):
        home_assistant_intents.build(intents(language="zz"), record)
    with pytest.raises(UserError, match=r"no file home_assistant_intents/data/lt\.json"):
        home_assistant_intents.build(intents(language="lt"), record)
    with pytest.raises(UserError, match="no 'lists' in it"):
        home_assistant_intents.build(intents(language="de"), record)
