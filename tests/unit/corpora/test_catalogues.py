"""Catalogues of translated software, from tiny files of their exact formats; malformed entries by file and place."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.utils import update_config

from catalogue_files import make_deb, make_mo, make_pack, make_wheel, record_of
from contrastive_context.config.study import load_study
from contrastive_context.config.text import (
    CataloguesCorpus,
    ChromiumCatalogue,
    GettextCatalogue,
    HomeAssistantCatalogue,
)
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import catalogues
from contrastive_context.corpora.catalogues import chromium, gettext, home_assistant
from contrastive_context.corpora.reading import Reading

LONG = "long " * 200_000  # a megabyte
LOCALES = "usr/lib/chromium/locales"


def rows_of(reading: Reading) -> list[tuple[str, str]]:
    frame = reading.frames().get("")
    return [] if frame is None else list(zip(frame["source"], frame["target"], strict=True))


def places(reading: Reading) -> set[tuple[str, str, str]]:
    return {(row.file, row.line, row.reason) for row in reading.listed}


# --- Home Assistant


def read_home_assistant(tmp_path, translations, language="de"):
    reading = Reading()
    records = {"ha": record_of(tmp_path, make_wheel(translations), "homeassistant-1-py3-none-any.whl")}
    home_assistant.read(HomeAssistantCatalogue(format="home_assistant", package="ha"), language, records, "in", reading)
    return reading


def test_home_assistant_pairs_by_path_in_the_tree(tmp_path):
    reading = read_home_assistant(
        tmp_path,
        {
            "light/en": {"title": "Light", "state": {"on": "On  now\r\n", "off": "Off"}},
            "light/de": {"title": "Licht", "state": {"on": "Jetzt\tan"}, "extra": "mehr"},
            "lamp/en": {"a": "A", "b": "B"},
        },
    )
    assert rows_of(reading) == [("Light", "Licht"), ("On now", "Jetzt an")]
    assert reading.frames()[""]["cluster"].tolist() == ["light", "light"]
    assert dict(reading.skipped) == {"no translation": 3}
    assert not reading.rejected


def test_home_assistant_malformed_entries(tmp_path):
    reading = read_home_assistant(
        tmp_path,
        {
            "a/en": {"empty": "Text", "nul": "a\0b", "number": "Five", "rtl": "Shalom", "long": "Long", "null": "Null"},
            "a/de": {"empty": " ", "nul": "c", "number": 5, "rtl": "שלום עולם", "long": LONG, "null": None},
            "b/en": b"\xef\xbb\xbf" + b'{"bom":\r\n "With BOM"}\r\n',
            "b/de": {"bom": "\ufeffMit BOM"},
            "c/en": {"x": "X"},
            "c/de": b'{"x":\n "kaputt"',
            "d/en": {"x": "X"},
            "d/de": b'{"y": "y",\n\n "x": "\xff\xfe"}',
            "e/en": {"x": "X"},
            "e/de": b"[" * 100_000,
        },
    )
    assert rows_of(reading) == [("Shalom", "שלום עולם"), ("With BOM", "Mit BOM")]
    folder = "homeassistant/components/{}/translations/de.json".format
    assert places(reading) == {
        (folder("a"), "empty", "empty target"),
        (folder("a"), "nul", "NUL character in source"),
        (folder("a"), "number", "no text but a number, list or object as target"),
        (folder("a"), "long", "line too long"),
        (folder("a"), "null", "empty target"),
        (folder("c"), "2", "file that is not JSON"),
        (folder("d"), "3", "file that is not UTF-8"),
        (folder("e"), "1", "file that is not JSON"),
    }


def test_home_assistant_without_the_language(tmp_path):
    with pytest.raises(UserError, match=r"packages\.ha: no translations to 'xx'"):
        read_home_assistant(tmp_path, {"a/en": {"x": "X"}}, "xx")


# --- Chromium


def read_chromium(tmp_path, english, german, info=b"", language="de", **aliases):
    files = {f"{LOCALES}/en-GB.pak": make_pack(english, aliases.get("en")), f"{LOCALES}/en-GB.pak.info": info}
    files[f"{LOCALES}/de.pak"] = make_pack(german, aliases.get("de"))
    reading = Reading()
    records = {"c": record_of(tmp_path, make_deb(files), "chromium-l10n_1_all.deb")}
    chromium.read(ChromiumCatalogue(format="chromium", package="c"), language, records, "in", reading)
    return reading


def test_chromium_pairs_by_number_with_aliases(tmp_path):
    info = b"IDS_OPEN_TAB_TITLE,3,../a.grd\nIDS_OPEN_TAB_TEXT,7,../a.grd\nbroken line\n"
    reading = read_chromium(
        tmp_path, {3: b"Open tab", 5: b"Only here"}, {3: "Tab öffnen".encode()}, info, en={7: 3}, de={7: 3}
    )
    assert rows_of(reading) == [("Open tab", "Tab öffnen")] * 2
    assert reading.frames()[""]["cluster"].tolist() == ["OPEN_TAB", "OPEN_TAB"]
    assert dict(reading.skipped) == {"no translation": 1}


def test_chromium_malformed_entries(tmp_path):
    english = dict.fromkeys(range(1, 9), b"Text")
    german = {
        1: b"", 2: b"a\0b", 3: b"\xffkaputt", 4: "שלום".encode(), 5: b"\xef\xbb\xbfMit BOM\r\n", 6: LONG.encode(),
        7: "falsch \ufffd".encode(), 8: "\u202egedreht".encode(),
    }  # fmt: skip
    reading = read_chromium(tmp_path, english, german)
    assert rows_of(reading) == [("Text", "שלום"), ("Text", "Mit BOM")]
    assert places(reading) == {
        (f"{LOCALES}/de.pak", "1", "empty target"),
        (f"{LOCALES}/de.pak", "2", "NUL character in target"),
        (f"{LOCALES}/de.pak", "3", "broken UTF-8 in target"),
        (f"{LOCALES}/de.pak", "6", "line too long"),
        (f"{LOCALES}/de.pak", "7", "replacement character (decoded wrongly before) in target"),
        (f"{LOCALES}/de.pak", "8", "direction override in target"),
    }
    assert "\\xff" in next(row.text for row in reading.listed if row.line == "3")


def test_chromium_without_the_language(tmp_path):
    with pytest.raises(UserError, match=r"packages\.c: no file .*/xx\.pak in it; is 'xx' the right language"):
        read_chromium(tmp_path, {1: b"a"}, {1: b"b"}, language="xx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut off"),
        (b"\x04\0\0\0" + make_pack({1: b"a"})[4:], "version 4"),
        (make_pack({1: b"a", 2: b"b"})[:20], "cut off"),
        (make_pack({1: b"a"})[:-1], "points outside"),
        (make_pack({1: b"a"}, {2: 1})[:-3] + b"\xff\x00a", "points outside"),
    ],
)
def test_packs_of_another_form_are_refused(content, message):
    with pytest.raises(UserError, match=rf"de\.pak: .*{message}"):
        chromium.unpack(content, "de.pak")


numbers = st.dictionaries(st.integers(1, 60_000), st.binary(max_size=20), min_size=1, max_size=8)


@given(numbers)
def test_packs_are_read_as_written(strings):
    assert chromium.unpack(make_pack(strings), "x.pak") == strings


@given(numbers, st.integers(0, 200), st.binary(max_size=6))
def test_damaged_packs_give_an_error_or_bytes(strings, position, damage):
    content = bytearray(make_pack(strings))
    content[position : position + len(damage)] = damage
    try:
        found = chromium.unpack(bytes(content), "x.pak")
    except UserError:
        return
    assert all(isinstance(text, bytes) for text in found.values())


# --- gettext


def read_gettext(tmp_path, messages, language="lt", domain="out"):
    name = "usr/share/games/wesnoth/1.16/locale/lt/LC_MESSAGES/wesnoth-x.mo"
    files = {name: make_mo(messages), name.replace("/lt/", "/de/"): make_mo({b"Other": b"Andere"})}
    reading = Reading()
    records = {"w": record_of(tmp_path, make_deb(files), "wesnoth_1_all.deb")}
    gettext.read(GettextCatalogue(format="gettext", package="w"), language, records, domain, reading)
    return reading


def test_gettext_pairs_with_contexts_notes_and_plurals(tmp_path):
    reading = read_gettext(
        tmp_path,
        {
            b"": b"Project-Id-Version: x\nContent-Type: text/plain; charset=UTF-8\n",
            b"The rocks\nare moving!": b"Uolos juda!",
            b"menu\x04Open": b"Atverti",
            b"female^Elf": "Elfė".encode(),
            b"one day\0%d days": b"diena\0dienos",
            b"x ^ y": b"x ^ y",
        },
    )
    assert sorted(rows_of(reading)) == [
        ("Elf", "Elfė"), ("Open", "Atverti"), ("The rocks are moving!", "Uolos juda!"), ("x ^ y", "x ^ y"),
    ]  # fmt: skip
    assert set(reading.frames()[""]["domain"]) == {"out"}
    assert dict(reading.skipped) == {"plural forms": 1}


def test_gettext_malformed_messages(tmp_path):
    reading = read_gettext(
        tmp_path,
        {
            b"a": b"",
            b"b": b"\xff",
            b"c": b"x\0y",
            b"\xfed": b"d",
            b"e": "مرحبا".encode(),
            b"f\r\n": b"\xef\xbb\xbff f",
            b"g": LONG.encode(),
        },
    )
    assert rows_of(reading) == [("e", "مرحبا"), ("f", "f f")]
    assert {(line, reason) for _, line, reason in places(reading)} == {
        ("1", "empty target"), ("2", "broken UTF-8 in target"), ("3", "NUL character in target"),
        ("6", "line too long"), ("7", "broken UTF-8 in source"),
    }  # fmt: skip


def test_gettext_without_the_language(tmp_path):
    with pytest.raises(UserError, match=r"packages\.w: no catalogue xx/LC_MESSAGES"):
        read_gettext(tmp_path, {b"a": b"b"}, "xx")


@pytest.mark.parametrize("content", [b"", b"not a catalogue", b"\xde\x12\x04\x95", make_mo({b"abc": b"def"})[:-5]])
def test_catalogues_of_another_form_are_refused(content):
    with pytest.raises(UserError, match=r"x\.mo: "):
        list(gettext.messages(content, "x.mo"))


texts = st.dictionaries(st.binary(max_size=12), st.binary(max_size=12), max_size=6)


@given(texts, st.sampled_from("<>"))
def test_catalogues_are_read_as_written_in_either_byte_order(messages, order):
    found = list(gettext.messages(make_mo(messages, order), "x.mo"))
    assert {message: translation for _, message, translation in found} == messages


@settings(deadline=None)
@given(texts, st.integers(0, 80), st.binary(min_size=1, max_size=6))
def test_damaged_catalogues_give_an_error_or_bytes(messages, position, damage):
    content = bytearray(make_mo(messages))
    content[position : position + len(damage)] = damage
    try:
        for _, message, translation in gettext.messages(bytes(content), "x.mo"):
            assert isinstance(message + translation, bytes)
    except UserError:
        pass


# --- all together


def test_splits_of_both_domains(tmp_path):
    tree = {f"part{n}/{language}": {str(i): f"{language} {n} {i}" for i in range(5)} for n in range(60)
            for language in ("en", "de")}  # fmt: skip
    messages = {f"Line {n}".encode(): f"Zeile {n}".encode() for n in range(40)}
    mo = {"usr/share/locale/de/LC_MESSAGES/game.mo": make_mo(messages)}
    records = {
        "ha": record_of(tmp_path, make_wheel(tree), "homeassistant-1-py3-none-any.whl"),
        "w": record_of(tmp_path, make_deb(mo), "w_1_all.deb"),
    }
    corpus = CataloguesCorpus(
        kind="catalogues",
        language="de",
        in_domain={"format": "home_assistant", "package": "ha"},
        out_of_domain={"format": "gettext", "package": ["w"]},
    )
    frames, readings = catalogues.build(corpus, records)
    assert set(frames) == {"train", "dev", "arrivals", "test.in_domain", "test.out_of_domain"}
    assert sum(map(len, frames.values())) == sum(reading.read for reading in readings) == 340
    clusters = {split: set(frame["cluster"]) for split, frame in frames.items()}
    assert not clusters["train"] & (clusters["arrivals"] | clusters["test.in_domain"] | clusters["dev"])
    assert clusters["test.in_domain"] & clusters["arrivals"]
    assert set(frames["train"]["domain"]) == {"in"}
    assert set(frames["test.out_of_domain"]["domain"]) == {"out"}
    assert set(frames["arrivals"]["domain"]) == {"in", "out"}
    assert corpus.packages == ["ha", "w"]
    assert corpus.test_sets == ["in_domain", "out_of_domain"]


@pytest.fixture
def translation_config(repository, study_config):
    """The quickstart's configuration with the translation overlay."""
    update_config(study_config, yaml.safe_load((repository / "envs/overlays/translation.yaml").read_text()))
    return study_config


def test_the_translation_overlay_covers_the_four_pairs(translation_config):
    study = load_study(translation_config)
    tasks = {entry.task: study.tasks[entry.task] for entry in study.grid}
    assert {task.corpus.language for task in tasks.values()} == {"de", "lt", "hi", "ta"}
    assert all(task.metrics[0] == "chrf++" for task in tasks.values())
    assert [name for name, task in tasks.items() if "out_of_domain" in task.test_sets] == ["software-de", "software-lt"]
    used = [study.packages[name] for task in tasks.values() for name in task.corpus.packages]
    assert all(package.licence and package.origin and package.contents for package in used)


def test_chromium_has_a_task_for_each_of_the_four_pairs(translation_config):
    entry = translation_config["grid"][0]
    translation_config["grid"] = [entry | {"task": f"chromium-{language}"} for language in ("de", "lt")]
    study = load_study(translation_config)  # as a file of one's own adds them
    tasks = [task for task in study.tasks.values() if task.corpus.kind == "catalogues"]
    of_chromium = [task for task in tasks if task.corpus.in_domain.format == "chromium"]
    assert {(task.corpus.language, task.corpus.cleaning.target_script) for task in of_chromium} == {
        ("de", "Latin"), ("lt", "Latin"), ("hi", "Devanagari"), ("ta", "Tamil"),
    }  # fmt: skip
    names = {"de": "German", "lt": "Lithuanian", "hi": "Hindi", "ta": "Tamil"}
    for task in of_chromium:
        assert task.test_sets == ["in_domain"] and names[task.corpus.language] in task.title
        assert names[task.corpus.language] in task.template.instruction + task.template.target_prefix


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_domain": {"format": "home_assistant", "package": "homeasistant"}},
         r"tasks\.software-de\.corpus\.in_domain\.package: 'homeasistant' is not in packages; did you mean 'homeassi"),
        ({"out_of_domain": {"format": "gettext", "package": ["homeassistant"]}},
         r"corpus\.out_of_domain\.package: homeassistant is no \.deb file, which catalogues of gettext come in"),
        ({"out_of_domain": None, "limits": {}}, r"test_sets: the corpus has no test set 'out_of_domain'"),
        ({"cleaning": {"target_script": "Latim"}}, r"corpus\.cleaning\.target_script: not a script"),
        ({"langauge": "de"}, r"corpus\.langauge: unknown key; did you mean 'language'"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_by_key(translation_config, changes, message):
    translation_config["tasks"]["software-de"]["corpus"] |= changes
    with pytest.raises(UserError, match=message):
        load_study(translation_config)
