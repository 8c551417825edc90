"""Whatever is in a source of text, its rows can be written as a corpus, or the source is refused in words."""

import io
import json
import sqlite3
import struct
import zipfile
from contextlib import closing

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue_files import make_ar, make_deb, make_mo, make_pack, make_tar, make_wheel, record_of
from contrastive_context.config.parses import MtopCorpus
from contrastive_context.config.sources import HubCorpus
from contrastive_context.config.sql import TextToSqlCorpus
from contrastive_context.config.text import (
    ChromiumCatalogue,
    FilesCorpus,
    GettextCatalogue,
    HomeAssistantCatalogue,
)
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import files, home_assistant_intents, hub_datasets, mtop, text_to_sql
from contrastive_context.corpora.catalogues import chromium, gettext, home_assistant
from contrastive_context.corpora.reading import Listed, Reading, fault
from fuzzing import EXAMPLES

pytestmark = pytest.mark.slow
CHROMIUM = "usr/lib/chromium/locales/"
GETTEXT = "usr/share/locale/de/LC_MESSAGES/x.mo"
INTENTS = "home_assistant_intents/data/en.json"

#: Texts with what JSON may escape and no file can hold.
texts = st.text(max_size=6) | st.sampled_from(
    ["", " ", "a", "..", "../x", "/etc", "\0", "\ud800", "\x1b[31m", "x" * 300]
)
scalars = st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def check_rows_or_refusal(folder, read) -> None:
    """Read; what was read is text, and goes into the files of a corpus."""
    try:
        frames, readings = read()
    except UserError as error:
        assert str(error).strip()
        return
    for frame in frames.values():
        assert not any(map(fault, [*frame["source"], *frame["target"]]))
        artifacts.write_parquet(folder / "corpus.parquet", frame)
    listed = [place for reading in readings for place in reading.listed]
    artifacts.write_csv(folder / "rejected.csv", pd.DataFrame(listed, columns=list(Listed._fields)))


def read_catalogue(module, entry, record):
    reading = Reading()
    module.read(entry, "de", {"p": record}, "in", reading)
    return reading.frames(), [reading]


def damaged(data, content: bytes) -> bytes:
    """Alter some bytes and cut the end off."""
    content = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    return bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])


# --- packages. Their hashes are pinned; these are of packages that were pinned without a look into them.


def read_home_assistant(folder, wheel: bytes):
    entry = HomeAssistantCatalogue(format="home_assistant", package="p")
    return read_catalogue(home_assistant, entry, record_of(folder, wheel, "p.whl"))


def read_chromium(folder, package: bytes):
    return read_catalogue(
        chromium, ChromiumCatalogue(format="chromium", package="p"), record_of(folder, package, "p.deb")
    )


def read_gettext(folder, package: bytes):
    return read_catalogue(gettext, GettextCatalogue(format="gettext", package="p"), record_of(folder, package, "p.deb"))


def read_intents(folder, wheel: bytes):
    from contrastive_context.config.sources import HomeAssistantIntentsCorpus

    corpus = HomeAssistantIntentsCorpus(
        kind="home_assistant_intents", package="p", language="en", train=5, dev=2, arrivals=5, test=5
    )
    return home_assistant_intents.build(corpus, record_of(folder, wheel, "p.whl")), []


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


PACK, MO = make_pack({1: b"one", 2: b"two"}, {3: 1}), make_mo({b"one": b"eins", b"two": b"zwei"})
INFO = b"IDS_ONE_A,1,x\nIDS_TWO_B,2,x\n"
PACKAGES = {
    "wheel": (read_home_assistant, make_wheel({"light/en": {"a": {"b": "on"}}, "light/de": {"a": {"b": "an"}}})),
    "packs": (read_chromium, make_deb({f"{CHROMIUM}en-GB.pak": PACK, f"{CHROMIUM}de.pak": PACK})),
    "gettext": (read_gettext, make_deb({GETTEXT: MO})),
    "intents": (read_intents, zipped({INTENTS: json.dumps({"intents": {}, "lists": {}}).encode()})),
}


@pytest.mark.parametrize("source", PACKAGES)
@EXAMPLES
@given(data=st.data())
def test_damaged_packages(tmp_path, source, data):
    """What zipfile and zlib raise on damaged wheels ended in a traceback."""
    read, content = PACKAGES[source]
    content = damaged(data, content) if data.draw(st.booleans()) else data.draw(st.binary(max_size=200))
    check_rows_or_refusal(tmp_path, lambda: read(tmp_path, content))


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
@EXAMPLES
@given(data=st.data())
def test_damaged_archives_in_sound_packages(tmp_path, compression, data):
    content = damaged(data, make_tar({GETTEXT: MO}, compression=compression))
    package = make_ar({"debian-binary": b"2.0\n", f"data.tar.{compression}".rstrip("."): content})
    check_rows_or_refusal(tmp_path, lambda: read_gettext(tmp_path, package))


@EXAMPLES
@given(english=values, german=values)
def test_home_assistant_of_any_json(tmp_path, english, german):
    """A key with half of a surrogate pair, which JSON can escape, ended in a traceback as the corpus was written."""
    check_rows_or_refusal(
        tmp_path, lambda: read_home_assistant(tmp_path, make_wheel({
            f"light/{name}": json.dumps(tree).encode() for name, tree in (("en", english), ("de", german))
        }))
    )  # fmt: skip


@pytest.mark.parametrize("depth", [300, 900, 990, 100_000])
def test_home_assistant_nested_deeply(tmp_path, depth):
    tree = b'{"a":' * depth + b'"on"' + b"}" * depth
    check_rows_or_refusal(
        tmp_path, lambda: read_home_assistant(tmp_path, make_wheel({"light/en": tree, "light/de": tree}))
    )


@EXAMPLES
@given(data=st.data())
def test_home_assistant_intents_of_any_json(tmp_path, data):
    """All but missing keys at the top ended in a traceback, mistakes of the grammar too."""
    known = st.sampled_from(
        ["intents", "lists", "expansion_rules", "data", "sentences", "values", "in", "out", "HassTurnOn"]
    )
    tree = data.draw(
        st.recursive(
            scalars,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known, inner, max_size=4),
            max_leaves=12,
        )
    )
    check_rows_or_refusal(tmp_path, lambda: read_intents(tmp_path, zipped({INTENTS: json.dumps(tree).encode()})))


@EXAMPLES
@given(data=st.data())
def test_packs_and_their_lists_of_names(tmp_path, data):
    english, german, info = (damaged(data, content) for content in (PACK, PACK, INFO))
    files = {f"{CHROMIUM}en-GB.pak": english, f"{CHROMIUM}de.pak": german, f"{CHROMIUM}en-GB.pak.info": info}
    check_rows_or_refusal(tmp_path, lambda: read_chromium(tmp_path, make_deb(files)))


@EXAMPLES
@given(data=st.data())
def test_gettext_tables_that_point_anywhere(tmp_path, data):
    numbers = data.draw(st.lists(st.integers(0, 60) | st.integers(0, 2**32 - 1), min_size=6, max_size=12))
    content = struct.pack(f"<I{len(numbers)}I", 0x950412DE, *numbers) + data.draw(st.binary(max_size=20))
    check_rows_or_refusal(tmp_path, lambda: read_gettext(tmp_path, make_deb({GETTEXT: content})))


# --- files of the user


def own(path, **columns):
    columns = {"id": "id", "cluster": "cluster", "domain": "domain"} | columns
    return FilesCorpus(kind="files", files=str(path), columns=columns, max_line_bytes=1000)


@EXAMPLES
@given(
    records=st.lists(st.dictionaries(st.sampled_from(["id", "source", "target", "cluster", "domain"]), values) | values)
)
def test_lines_of_any_json(tmp_path, records):
    whole = {"id": 1, "source": "a", "target": "b", "cluster": "c", "domain": "in"}
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(whole | r if isinstance(r, dict) else r) + "\n" for r in records))
    check_rows_or_refusal(tmp_path, lambda: files.build(own(path)))


@pytest.mark.parametrize("name", ["cluster", "domain", "id"])
def test_names_that_no_file_can_hold_are_rejected_by_line(tmp_path, name):
    """JSON can escape half of a surrogate pair; in a document's name it ended in a traceback."""
    row = {"id": "1", "source": "a", "target": "b", "cluster": "c", "domain": "in"}
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(row)}\n{json.dumps(row | {name: chr(0xD800)})}\n")
    check_rows_or_refusal(tmp_path, lambda: files.build(own(path)))
    _, (reading,) = files.build(own(path))
    assert [(place.line, place.reason) for place in reading.listed] == [("2", "lone surrogate in a name")]


cells = st.one_of(
    [
        st.lists(inner, min_size=2, max_size=2)
        for inner in (st.none() | st.text(max_size=4), st.none() | st.integers(-3, 3), st.floats(), st.booleans(),
                      st.binary(max_size=4), st.datetimes(), st.decimals(-9, 9, places=2),
                      st.lists(st.binary(max_size=3), max_size=2), st.fixed_dictionaries({"en": st.text(max_size=3)}))
    ]
)  # fmt: skip


def parquet(columns) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


@EXAMPLES
@given(
    columns=st.fixed_dictionaries(dict.fromkeys(["id", "source", "target", "cluster", "domain"], cells)), data=st.data()
)
def test_parquet_of_any_type_and_damaged(tmp_path, columns, data):
    path = tmp_path / "x.parquet"
    content = parquet(columns)
    path.write_bytes(damaged(data, content) if data.draw(st.booleans()) else content)
    check_rows_or_refusal(tmp_path, lambda: files.build(own(path)))


def broken_text() -> pa.Array:
    """Two texts, the first of which is not UTF-8."""
    return pa.array([b"\xff", b"ab"]).view(pa.string())


@pytest.mark.parametrize("kind", ["plain", "nested", "listed", "dictionary"])
def test_broken_text_anywhere_in_parquet(tmp_path, kind):
    """Below the top level, as in OPUS-100's files, it ended in a traceback."""
    column = {
        "plain": broken_text,
        "nested": lambda: pa.StructArray.from_arrays([broken_text()], ["en"]),
        "listed": lambda: pa.ListArray.from_arrays([0, 1, 2], broken_text()),
        "dictionary": lambda: pa.DictionaryArray.from_arrays(pa.array([0, 1]), broken_text()),
    }[kind]()
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet({"source": column, "target": ["a", "b"]}))
    corpus = own(path, source="source.en" if kind == "nested" else "source", id=None, cluster=None, domain=None)
    check_rows_or_refusal(tmp_path, lambda: files.build(corpus))


FIELDS = ["1", "IN:GET_WEATHER", "", "Wetter in Ulm", "weather", "de", "[IN:GET_WEATHER [SL:LOCATION Ulm ] ]", "{}"]


def read_mtop(path):
    return mtop.build(MtopCorpus(kind="mtop", path=str(path), language="de"))


def mtop_lines(data) -> bytes:
    field = st.text(max_size=8) | st.lists(st.sampled_from(["[IN:A", "[SL:B", "[", "]", "x", "IN:A"])).map(" ".join)
    rows = [FIELDS, *data.draw(st.lists(st.lists(field | st.sampled_from(FIELDS), min_size=7, max_size=9), max_size=3))]
    return damaged(data, "\n".join("\t".join(row) for row in rows).encode())


@EXAMPLES
@given(data=st.data())
def test_mtop_of_any_lines(tmp_path, data):
    (tmp_path / "de").mkdir(exist_ok=True)
    for name in ("train", "eval", "test"):
        (tmp_path / f"de/{name}.txt").write_bytes(mtop_lines(data))
    check_rows_or_refusal(tmp_path, lambda: read_mtop(tmp_path))


@EXAMPLES
@given(data=st.data())
def test_damaged_archives_of_mtop(tmp_path, data):
    """A compressed stream that breaks, or an entry that says it is encrypted, ended in a traceback."""
    line = "\t".join(FIELDS).encode()
    path = tmp_path / "mtop.zip"
    path.write_bytes(damaged(data, zipped({f"mtop/de/{name}.txt": line for name in ("train", "eval", "test")})))
    check_rows_or_refusal(tmp_path, lambda: read_mtop(path))


@pytest.mark.parametrize("depth", [10, 900, 5000])
def test_mtop_trees_nested_deeply(tmp_path, depth):
    """Python's recursion ended in a traceback."""
    form = "[IN:A [SL:B " * depth + "] ] " * depth
    (tmp_path / "de").mkdir()
    for name in ("train", "eval", "test"):
        (tmp_path / f"de/{name}.txt").write_text("\t".join(["1", "IN:A", "", "x", "", "de", form, "{}"]) + "\n")
    check_rows_or_refusal(tmp_path, lambda: read_mtop(tmp_path))


# --- questions and databases


@pytest.fixture
def databases(tmp_path):
    for name in ("shop", "school"):
        (tmp_path / "databases" / name).mkdir(parents=True)
        with closing(sqlite3.connect(tmp_path / f"databases/{name}/{name}.sqlite")) as connection, connection:
            connection.execute("CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT)")
            connection.execute("CREATE TABLE item (id INTEGER, city INTEGER REFERENCES city)")
    return tmp_path / "databases"


def read_questions(folder, databases):
    corpus = TextToSqlCorpus(
        kind="text_to_sql", train={"files": str(folder / "train.json"), "databases": str(databases)},
        columns={"id": "question_id", "evidence": "evidence"}, query_limits={"seconds": 1, "memory_mb": 64},
    )  # fmt: skip
    return text_to_sql.build(corpus)


QUESTION = {"question": "which?", "SQL": "SELECT id FROM item", "db_id": "shop", "question_id": 1, "evidence": ""}


@EXAMPLES
@given(
    records=st.lists(st.dictionaries(st.sampled_from(sorted(QUESTION)), values, max_size=3) | values, max_size=4),
    lines=st.booleans(),
)
def test_questions_of_any_json(tmp_path, databases, records, lines):
    """A database's name longer than a file system takes ended in a traceback, and ``..`` was taken for a name."""
    records = [QUESTION, *(QUESTION | record if isinstance(record, dict) else record for record in records)]
    text = "".join(json.dumps(record) + "\n" for record in records) if lines else json.dumps(records)
    (tmp_path / "train.json").write_text(text)
    check_rows_or_refusal(tmp_path, lambda: read_questions(tmp_path, databases))


@pytest.mark.parametrize("name", ["..", ".", "", "../databases/shop", "/etc", "shop/", "sh\0op", "\ud800", "x" * 300])
def test_names_of_databases_lead_nowhere(tmp_path, databases, name):
    (tmp_path / "...sqlite").write_bytes((databases / "shop/shop.sqlite").read_bytes())
    records = [QUESTION | {"db_id": "school"}, QUESTION | {"db_id": name}]
    (tmp_path / "train.json").write_text(json.dumps(records))
    frames, (reading,) = read_questions(tmp_path, databases)
    assert reading.rejected == {"unknown database": 1}
    assert {cluster for frame in frames.values() for cluster in frame["cluster"]} == {"school"}


@EXAMPLES
@given(data=st.data())
def test_damaged_databases(tmp_path, databases, data):
    path = databases / "shop/shop.sqlite"
    path.with_suffix(".sound").write_bytes(path.read_bytes())
    path.write_bytes(damaged(data, path.read_bytes()))
    (tmp_path / "train.json").write_text(json.dumps([QUESTION]))
    try:
        check_rows_or_refusal(tmp_path, lambda: read_questions(tmp_path, databases))
    finally:
        path.with_suffix(".sound").replace(path)


@pytest.mark.parametrize("name", ["x'0001'", "17", "NULL", "1.5"])
def test_a_table_whose_name_is_no_text(tmp_path, databases, name):
    with closing(sqlite3.connect(databases / "shop/shop.sqlite")) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"UPDATE sqlite_master SET name = {name} WHERE name = 'city'")
    (tmp_path / "train.json").write_text(json.dumps([QUESTION]))
    check_rows_or_refusal(tmp_path, lambda: read_questions(tmp_path, databases))


# --- data sets of the hub


@pytest.fixture
def cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def add(name: str, content: bytes):
        file = tmp_path / f"hub/datasets--a--b/snapshots/{'a' * 40}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        record = {"repository": "a/b", "type": "dataset", "revision": "a" * 40, "licence": None,
                  "files": {name: {"sha256": artifacts.sha256_file(file), "bytes": len(content)}},
                  "splits": {"train": [name]}}  # fmt: skip
        artifacts.write_json(tmp_path / "hub.json", record)
        return tmp_path / "hub.json"

    return add


def read_hub(record, **changes):
    split = {"data": "d", "source": "translation.en", "target": "translation.de", **changes}
    corpus = HubCorpus(
        kind="hub", train={**split, "part": [0, 0.5]}, dev=split, arrivals=[{**split, "part": [0.5, 1]}],
        test={"in_domain": split},
    )  # fmt: skip
    return hub_datasets.build(corpus, {"d": record})


@EXAMPLES
@given(data=st.data())
def test_data_sets_of_any_content(tmp_path, cache, data):
    frame = {"translation": [{"en": "a", "de": "b"}, {"en": "c", "de": "d"}], "document": ["x", "y"]}
    lines = "".join(json.dumps(data.draw(values | st.fixed_dictionaries({
        "translation": values | st.dictionaries(st.sampled_from(["en", "de"]), values), "document": values,
    }))) + "\n" for _ in range(3))  # fmt: skip
    name, content = data.draw(
        st.sampled_from([("x.parquet", parquet(frame)), ("x.jsonl", lines.encode()), ("x.csv", b"a,b\n1,2\n")])
    )
    content = damaged(data, content) if data.draw(st.booleans()) else content
    check_rows_or_refusal(tmp_path, lambda: read_hub(cache(name, content), document="document", drop={"document": "y"}))


@pytest.mark.parametrize(
    "splits", [None, [], {"train": "x"}, {"train": [1]}, {"train": ["y.csv"]}, {"train": ["../x"]}, 5]
)
def test_records_of_data_sets_with_odd_splits(tmp_path, cache, splits):
    """A record whose list of splits was damaged ended in a traceback, and its files could be anywhere."""
    record = cache("x.jsonl", b'{"translation": {"en": "a", "de": "b"}}\n')
    artifacts.write_json(record, artifacts.read_json(record) | {"splits": splits})
    with pytest.raises(UserError, match=r"hub\.json"):
        read_hub(record)
