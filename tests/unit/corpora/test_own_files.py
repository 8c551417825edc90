"""A user's own files: every format, what is malformed in them by file and line, and messages that help."""

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contrastive_context.config.text import FilesCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import files
from contrastive_context.corpora.build import build
from contrastive_context.corpora.settings import BuildCorpusSettings


def corpus(path, **changes):
    return FilesCorpus(**({"kind": "files", "files": str(path)} | changes))


def read(path, **changes):
    """All rows in the order of their lines, and (line, reason) of the malformed ones."""
    frames, (reading,) = files.build(corpus(path, **changes))
    rows = pd.concat(frames.values())
    line = rows["meta"].map(lambda meta: int(json.loads(meta)["line"]))
    rows = rows.assign(line=line).sort_values("line")
    pairs = list(zip(rows["line"], rows["source"], rows["target"], strict=True))
    assert reading.read == len(rows) + reading.rejected.total()
    assert {row.file for row in reading.listed} <= {str(path)}
    return pairs, [(int(row.line), row.reason) for row in reading.listed]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


MALFORMED = [
    (b"good one\tgut eins", None),
    (b"only one column", "not 2 columns"),
    (b"a\tb\tc", "not 2 columns"),
    (b"broken \xff\tx", "broken UTF-8"),
    (b"nul\0\tx", "NUL character"),
    (b"x" * (1 << 20) + b"\ty", "line too long"),
    (b"empty\t", "empty target"),
    (b"\tempty", "empty source"),
    (b"", "blank line"),
    (b"bell \x07\tx", "control character in source"),
    ("right to left\tשלום עולם".encode(), None),
    ("turned\t\u202eabc".encode(), "direction override in target"),
    ("bom inside\t\ufeffinnen".encode(), None),
    ("damaged\tgr\ufffdn".encode(), "replacement character (decoded wrongly before) in target"),
    (b"last one\tletztes", None),
]
GOOD = [(2, "good one", "gut eins"), (12, "right to left", "שלום עולם"), (14, "bom inside", "innen"),
        (16, "last one", "letztes")]  # fmt: skip


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_tsv(tmp_path, bom, end):
    lines = [b"source\ttarget", *(line for line, _ in MALFORMED)]
    path = write(tmp_path / "x.tsv", bom + end.join(lines) + end + end)
    pairs, listed = read(path)
    assert pairs == GOOD
    assert listed == [(n, reason) for n, (_, reason) in enumerate(MALFORMED, start=2) if reason]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_csv(tmp_path, end):
    lines = [b"source,target", *(line.replace(b"\t", b",") for line, _ in MALFORMED)]
    path = write(tmp_path / "x.csv", end.join(lines) + end)
    pairs, listed = read(path)
    assert pairs == GOOD
    assert listed == [(n, reason) for n, (_, reason) in enumerate(MALFORMED, start=2) if reason]


def test_csv_quotes_and_their_faults(tmp_path):
    content = (
        b'source,target\n"two\nlines","say ""hi"", please"\nnext,weiter\n"with\n\nblank",x\n"broken\n\xff",y\n'
        b'after,danach\n"a"b,c\nagain,wieder\n"never closed,z\nswallowed,1\nswallowed,2\n'
    )
    pairs, listed = read(write(tmp_path / "x.csv", content))
    assert pairs == [
        (2, "two lines", 'say "hi", please'), (4, "next", "weiter"), (5, "with blank", "x"), (10, "after", "danach"),
        (12, "again", "wieder"),
    ]  # fmt: skip
    assert listed == [(9, "broken UTF-8"), (11, "broken quotes"), (13, "broken quotes")]
    _, (reading,) = files.build(corpus(tmp_path / "x.csv"))
    assert dict(reading.rejected) == {"broken UTF-8": 2, "broken quotes": 4}  # all lines that are lost


def test_jsonl(tmp_path):
    lines = [
        b'{"source": "good", "target": "gut", "more": [1]}',
        b'{"source": "torn", "tar',
        b"[1, 2]",
        b'{"source": "no target"}',
        b'{"source": "null", "target": null}',
        b'{"source": "number", "target": 5}',
        b'{"source": "lone", "target": "\\ud800"}',
        b'{"source": "nul", "target": "a\\u0000b"}',
        b'{"source": "\xff", "target": "x"}',
        b'{"source": "breaks", "target": "a\\nb\\tc"}',
        b"",
        b"[" * 50_000,
        b'{"source": "' + b"x" * (1 << 20) + b'", "target": "y"}',
        '{"source": "rtl", "target": "مرحبا"}'.encode(),
    ]
    pairs, listed = read(write(tmp_path / "x.jsonl", b"\xef\xbb\xbf" + b"\r\n".join(lines)))
    assert pairs == [(1, "good", "gut"), (10, "breaks", "a b c"), (14, "rtl", "مرحبا")]
    assert listed == [
        (2, "not JSON"), (3, "no column source"), (4, "no column target"), (5, "empty target"),
        (6, "no text but a number, list or object as target"), (7, "lone surrogate in target"),
        (8, "NUL character in target"), (9, "broken UTF-8"), (11, "blank line"), (12, "not JSON"),
        (13, "line too long"),
    ]  # fmt: skip


def test_parquet(tmp_path):
    def texts(values):
        # Bytes under a text type: what a careless writer leaves.
        return pa.array(values, pa.binary()).view(pa.string())

    table = pa.table(
        {
            "source": texts([b"good", b"broken \xff", b"nul\0", b"x" * (1 << 20), b"empty", b"rtl", None]),
            "target": texts([b"gut", b"x", b"x", b"y", b" ", "مرحبا\r\n".encode(), b"x"]),
            "other": list(range(7)),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    pairs, listed = read(tmp_path / "x.parquet")
    assert pairs == [(1, "good", "gut"), (6, "rtl", "مرحبا")]
    assert listed == [
        (2, "broken UTF-8"), (3, "NUL character in source"), (4, "line too long"), (5, "empty target"),
        (7, "empty source"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_nested_columns(tmp_path, kind):
    rows = [{"translation": {"en": f"text {n}", "de": f"Text {n}"}, "doc": {"id": n // 2}} for n in range(4)]
    frame, path = pd.DataFrame(rows), tmp_path / f"x.{kind}"
    frame.to_json(path, orient="records", lines=True) if kind == "jsonl" else frame.to_parquet(path)
    columns = {"source": "translation.en", "target": "translation.de", "cluster": "doc.id"}
    frames, _ = files.build(corpus(path, columns=columns))
    rows = pd.concat(frames.values())
    assert sorted(zip(rows["source"], rows["target"], rows["cluster"], strict=True)) == [
        (f"text {n}", f"Text {n}", str(n // 2)) for n in range(4)
    ]


def test_columns_by_name_id_cluster_domain_and_no_header(tmp_path):
    path = write(tmp_path / "x.tsv", b"7\tdoc1\tnews\tHallo\tHello\n8\tdoc1\t\tWelt\tWorld\n")
    columns = {"source": "en", "target": "de", "id": "n", "cluster": "doc", "domain": "where"}
    frames, _ = files.build(corpus(path, columns=columns, header=["n", "doc", "where", "de", "en"]))
    rows = pd.concat(frames.values()).sort_values("source")
    assert rows[["source", "target", "cluster", "domain"]].to_numpy().tolist() == [
        ["Hello", "Hallo", "doc1", "news"], ["World", "Welt", "doc1", "in"],
    ]  # fmt: skip
    assert json.loads(rows["meta"].iloc[0]) == {"file": str(path), "line": "1", "id": "7"}


def test_named_splits(tmp_path):
    paths = {name: write(tmp_path / f"{name}.tsv", f"source\ttarget\n{name}\tx\n".encode()) for name in "abcd"}
    names = {
        "train": str(paths["a"]),
        "arrivals": [str(paths["b"])],
        "test": {"news": str(paths["c"]), "web": str(paths["d"])},
    }
    own = FilesCorpus(kind="files", **names)
    assert own.test_sets == ["news", "web"]
    frames, _ = files.build(own)
    assert {split: frame["source"].tolist() for split, frame in frames.items()} == {
        "train": ["a"], "dev": [], "arrivals": ["b"], "test.news": ["c"], "test.web": ["d"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "x.tsv",
            b"src\ttarget\na\tb\n",
            r"no column 'source'; did you mean|no column 'source' \(it has: src, target\)",
        ),
        ("x.tsv", b"sorce\ttarget\na\tb\n", "no column 'source'; did you mean 'sorce'"),
        ("x.csv", b"source,target,source\na,b,c\n", "two columns 'source'"),
        ("x.tsv", b"", "the file is empty"),
        ("x.tsv", b"\xff\xfes\0o\0", "looks like UTF-16"),
        ("x.csv", b"so\xffurce,target\n", "no line of column names"),
        ("x.parquet", b"no parquet", "can't be read as Parquet"),
    ],
)
def test_files_that_are_not_what_they_should_be(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"gone\.tsv: can't be read \(No such file"):
        read(tmp_path / "gone.tsv")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": []}, "give files, or train, arrivals and test"),
        ({"files": [], "train": "a.tsv"}, "arrivals is missing"),
        ({"train": "a.tsv"}, "with train given"),
        ({"files": "a.txt"}, "can't tell its format"),
        ({"shares": {"test": 0.5, "arrivals": 0.5}}, "must stay below 1"),
        ({"limits": {"trian": 5}}, "limits.trian: no such split"),
    ],
)
def test_configurations_that_do_not_work(changes, message):
    with pytest.raises(ValueError, match=message):
        corpus("a.tsv", **changes)


def numbered(path: Path, n: int, bad: int = 0) -> Path:
    rows = [f"number {i}\tZahl {i}\tdoc{i // 3}\n" for i in range(n)] + ["bad\n"] * bad
    path.write_text("source\ttarget\tdoc\n" + "".join(rows))
    return path


def test_division_keeps_clusters_whole_and_does_not_depend_on_order(tmp_path):
    path = numbered(tmp_path / "x.tsv", 300)
    wanted = corpus(path, columns={"cluster": "doc"})
    frames, _ = files.build(wanted)
    clusters = {split: set(frame["cluster"]) for split, frame in frames.items()}
    held_out = clusters["arrivals"] | clusters["test.in_domain"]
    assert not (held_out & clusters["train"] or held_out & clusters["dev"] or clusters["train"] & clusters["dev"])
    assert 0.5 < len(frames["train"]) / 300 < 0.7
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(lines)]))
    again, _ = files.build(wanted)
    assert {split: set(frame["source"]) for split, frame in again.items()} == {
        split: set(frame["source"]) for split, frame in frames.items()
    }
    other, _ = files.build(corpus(path, columns={"cluster": "doc"}, seed=1))
    assert set(other["train"]["source"]) != set(frames["train"]["source"])


def built(path, **changes):
    return build(
        BuildCorpusSettings(task="mine", corpus=corpus(path, **changes), test_sets=["in_domain"], stop="\n"), {}
    )


def test_too_many_malformed_rows_stop_the_stage_and_few_do_not(tmp_path):
    path = numbered(tmp_path / "x.tsv", 300, bad=4)
    with pytest.raises(UserError, match=r"tasks\.mine\.corpus: 4 of 304 rows .* allowed .*\. The first: ") as caught:
        built(path)
    assert f"{path}, 302: not 3 columns; {path}, 303: not 3 columns" in str(caught.value)
    result = built(path, max_rejected=0.02)
    assert result.counts["read"] == {"generated": 304, "dropped": {"malformed: not 3 columns": 4}, "kept": 300}
    assert [(row.line, row.text) for row in result.listed] == [(str(n), "bad") for n in (302, 303, 304, 305)]
    assert sum(len(frame) for frame in result.frames.values()) == 300


def test_limits_draw_after_cleaning(tmp_path):
    path = numbered(tmp_path / "x.tsv", 300)
    result = built(path, limits={"train": 50, "in_domain": 5}, cleaning={})
    assert len(result.frames["train"]) == result.counts["train"]["kept"] == 50
    assert result.counts["train"]["dropped"]["above the limit"] == result.counts["train"]["generated"] - 50
    assert len(result.frames["test/in_domain"]) == 5
    assert result.frames["train"]["id"].is_monotonic_increasing
    assert set(built(path, limits={"train": 50}, seed=1).frames["train"]["id"]) != set(result.frames["train"]["id"])


# --- any bytes at all

pieces = st.lists(
    st.sampled_from(
        [b"a", b"\t", b",", b'"', b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\\", b"{", b"}", b":",
         b'{"source": "x", "target": "y"}', "ש".encode(), "\u2028".encode(), b"x" * 300]
    )
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.sampled_from(["tsv", "csv", "jsonl"]), pieces)
@example("csv", [b'"', b"\n", b"\0"])
@example("csv", [b"\r"])
def test_any_bytes_are_read_or_rejected(tmp_path, kind, content):
    head = {"tsv": b"source\ttarget\n", "csv": b"source,target\n", "jsonl": b""}[kind]
    path = write(tmp_path / f"x.{kind}", head + b"".join(content))
    try:
        pairs, listed = read(path, max_line_bytes=250)
    except UserError as error:
        assert re.search("looks like|can't tell whether quotes", str(error))
        return
    for _, source, target in pairs:
        assert source.strip() and target.strip()
        assert not set("\0\t\n\r\ufffd") & set(source + target)
    lines = [*(line for line, *_ in pairs), *(line for line, _ in listed)]
    assert len(lines) == len(set(lines))


text = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\ufeff\ufffd"), min_size=1, max_size=8)
text |= st.text('"a, ', min_size=1, max_size=8).map(lambda text: " ".join(text.split())).filter(bool)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.tuples(text, text), min_size=1, max_size=5))
def test_good_rows_come_back_in_every_format(tmp_path, rows):
    frame = pd.DataFrame(rows, columns=["source", "target"])
    frame.to_csv(tmp_path / "x.tsv", sep="\t", index=False)
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_json(tmp_path / "x.jsonl", orient="records", lines=True, force_ascii=False)
    frame.to_parquet(tmp_path / "x.parquet")
    for kind in ("tsv", "csv", "jsonl", "parquet"):
        pairs, listed = read(tmp_path / f"x.{kind}")
        assert [pair[1:] for pair in pairs] == rows
        assert not [reason for _, reason in listed if not reason.startswith("kept: quotes")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.tuples(text, text), min_size=1, max_size=5))
@example([("0", '"'), ("0", '""'), ("0", '"')])
def test_quotes_of_a_plain_tsv_stay_or_are_asked_about(tmp_path, rows):
    """Only a text that is itself written as a quoted field with quotes inside can't be told from one."""
    path = write(tmp_path / "x.tsv", "".join(f"{a}\t{b}\n" for a, b in [("source", "target"), *rows]).encode())
    assert [pair[1:] for pair in read(path, quoted=False)[0]] == rows
    try:
        pairs, _ = read(path)
    except UserError as error:
        assert "can't tell whether quotes are part of the text" in str(error)
        return
    if not any(re.fullmatch('"([^"]*"")+[^"]*"', side) for row in rows for side in row):
        assert [pair[1:] for pair in pairs] == rows


# --- quotes of pandas and spreadsheets in TSV

QUOTED = [('5" pipe, short', 'Rohr, 5"'), ('He said "no"', "Er sagte „nein“"), ("plain", "einfach"), ("a\tb", "c")]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_a_tsv_of_pandas_is_read_without_its_quotes_and_says_so(tmp_path, quoting, caplog):
    path = tmp_path / "x.tsv"
    pd.DataFrame(QUOTED, columns=["source", "target"]).to_csv(path, sep="\t", index=False, quoting=quoting)
    caplog.set_level("INFO")
    pairs, listed = read(path)
    assert [pair[1:] for pair in pairs] == [(a.replace("\t", " "), b) for a, b in QUOTED]
    assert "quotes around fields are taken for those of pandas or a spreadsheet" in caplog.text
    count = 4 if quoting != csv.QUOTE_MINIMAL else 3
    assert [reason for _, reason in listed] == ["kept: quotes around its fields were removed"]
    _, (reading,) = files.build(corpus(path))
    assert dict(reading.noted) == {"quotes around its fields were removed": count}


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        # Subtitles: what is said stands in quotes, wholly or in part.
        (['"Hello," he said.\tx', '"Go"\ty', 'the 5" pipe\tz'], True),
        (['"Go"\ty', "plain\tz"], True),
        (['"well, yes"\tx', "plain\ty"], None),
        (['"say ""hi"""\tx', 'the 5" pipe\ty'], None),
        (['"say ""hi"""\tx', '"Go"\ty'], False),
    ],
)
def test_whose_quotes_they_are_is_seen_or_asked(tmp_path, rows, kept):
    path = write(tmp_path / "x.tsv", "\n".join(["source\ttarget", *rows]).encode())
    if kept is None:
        with pytest.raises(UserError, match="Set quoted: true if quotes around a field"):
            read(path)
    else:
        pairs, _ = read(path)
        assert [source for _, source, _ in pairs] == [
            row.split("\t")[0] if kept else row.split("\t")[0][1:-1].replace('""', '"') for row in rows
        ]


# --- files that are something else

TABLE = "source\ttarget\n" + "".join(f"number {n}\tZahl {n}, größer\n" for n in range(20))
PLAIN = TABLE.replace(",", "")
ARRAY = json.dumps([{"source": f"n {n}", "target": f"z {n}"} for n in range(9)])
HINDI = "source\ttarget\n" + "यह एक वाक्य है\tवाक्य\n" * 9
OTHERS = {
    "JSON array": ("x.jsonl", ARRAY.encode(), "one JSON document; write one object per line, .*jq"),
    "printed array": ("x.jsonl", json.dumps(json.loads(ARRAY), indent=1).encode(), "one JSON document"),
    "printed object": ("x.jsonl", json.dumps({"data": []}, indent=1).encode(), "one JSON document"),
    "UTF-16": ("x.tsv", TABLE.encode("utf-16"), "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8"),
    "UTF-16, no mark": ("x.tsv", TABLE.encode("utf-16-le"), "UTF-16LE text without a mark; convert it: iconv -f"),
    "other order": ("x.csv", TABLE.encode("utf-16-be"), "UTF-16BE text without a mark"),
    "Hindi": ("x.tsv", HINDI.encode("utf-16-le"), "UTF-16LE text without"),
    "UTF-32": ("x.tsv", TABLE.encode("utf-32-le"), "UTF-32LE text without a mark"),
    "lone CR": ("x.csv", TABLE.replace("\n", "\r").encode(), "lines end with CR alone; .*tr"),
    "workbook": ("x.csv", b"PK\x03\x04" + b"\0" * 40, "an Excel workbook or another zip file"),
    "gzip": ("x.tsv", b"\x1f\x8b\x08\0" + b"\0" * 40, "a gzip file; unpack it: gunzip"),
    "Parquet": ("x.csv", b"PAR1" + b"\0" * 40, "a Parquet file; set format: parquet"),
    "web page": ("x.tsv", b"\n<!DOCTYPE html>\n<html>", "a web page"),
    "LFS": ("x.tsv", b"version https://git-lfs.github.com/spec/v1\n", "a pointer to a file in Git LFS"),
    "no Parquet": ("x.parquet", b"PK\x03\x04" * 9, "can't be read as Parquet .*; this looks like an Excel"),
    "semicolons": ("x.csv", PLAIN.replace("\t", ";").encode(), "look separated by semicolons, write it"),
    "commas": ("x.tsv", PLAIN.replace("\t", ",").encode(), "separated by commas; set format: csv"),
    "tabs": ("x.csv", PLAIN.encode(), "look separated by tabs; set format: tsv"),
    "JSON Lines": ("x.tsv", b'{"source": "a", "target": "b"}\n', "it looks like JSON; set format: jsonl"),
    "Excel's line": ("x.csv", b"sep=;\nsource;target\na;b\n", "its first line is Excel's"),
}


@pytest.mark.parametrize(("name", "content", "message"), OTHERS.values(), ids=OTHERS)
def test_a_file_that_is_something_else_is_told_what_it_looks_like(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        built(write(tmp_path / name, content))


@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.jsonl"])
def test_windows_1252_is_told_by_a_word_as_it_would_read(tmp_path, name):
    objects = ({"source": f"n {n}", "target": "größer"} for n in range(9))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects)
    content = {"x.csv": PLAIN.replace("\t", ","), "x.tsv": PLAIN, "x.jsonl": lines}[name]
    with pytest.raises(UserError, match=r"broken UTF-8 .*as Windows-1252 it reads '.*größer.*iconv -f WINDOWS-1252"):
        built(write(tmp_path / name, content.encode("cp1252")))


def test_a_header_in_windows_1252_is_told_too(tmp_path):
    content = "Größe\tsource\ttarget\n1\ta\tb\n".encode("cp1252")
    with pytest.raises(UserError, match=r"no line of column names .*as Windows-1252 it reads 'Größe'"):
        built(write(tmp_path / "x.tsv", content))
