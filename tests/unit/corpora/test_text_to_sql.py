"""Corpora of Text-to-SQL: a folder in BIRD's layout, and the generated one."""

import json
import sqlite3
from contextlib import closing

import pytest

from contrastive_context.config.sql import GeneratedSqlCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import generated_sql
from contrastive_context.corpora.build import build
from contrastive_context.corpora.databases import DatabaseError, Table, read_tables, schema_text
from contrastive_context.corpora.settings import BuildCorpusSettings


def make_database(folder, name, *statements):
    path = folder / name / f"{name}.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


@pytest.fixture
def databases(tmp_path):
    folder = tmp_path / "databases"
    for name in ("shop", "school"):
        make_database(
            folder,
            name,
            f'CREATE TABLE {name}_city (id INTEGER PRIMARY KEY, "full name" TEXT)',
            f"CREATE TABLE item (id INTEGER, name TEXT, city INTEGER REFERENCES {name}_city(id))",
            "INSERT INTO item VALUES (1, 'pen', 1)",
        )
    (folder / "empty").mkdir()
    return folder


def question(number, database="shop", **changes):
    return {"question": f"What is number {number}?", "SQL": f"SELECT name FROM item WHERE id = {number}",
            "db_id": database, "question_id": number} | changes  # fmt: skip


def settings(tmp_path, databases, training, testing, **changes):
    for name, rows in {"train": training, "test": testing}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(rows, indent=1))
    parts = {name: {"files": str(tmp_path / f"{name}.json"), "databases": str(databases)} for name in ("train", "test")}
    corpus = {"kind": "text_to_sql", **parts, "query_limits": {"seconds": 1, "memory_mb": 64}, "max_rejected": 1}
    corpus["columns"] = {"id": "question_id"}
    return BuildCorpusSettings(task="sql", corpus=corpus | changes, test_sets=["in_domain"], stop="\n")


def test_questions_stand_before_their_schema(tmp_path, databases):
    train = [question(number, "school") for number in range(20)]
    built = build(settings(tmp_path, databases, train, [question(number) for number in range(40)]), {})
    rows = built.frames["test/in_domain"]
    assert set(rows["cluster"]) == {"shop"}
    assert len(rows) + len(built.frames["arrivals"]) == 40
    source = rows["source"].iloc[0]
    assert source.partition(" | ")[2] == 'shop_city(id, "full name"); item(id, name, city→shop_city)'
    meta = json.loads(rows["meta"].iloc[0])
    assert meta["file"].endswith("test.json")
    assert len(meta["database_hash"]) == 16
    assert set(built.frames["train"]["cluster"]) == {"school"}


def test_what_is_wrong_with_a_question_is_counted_and_located(tmp_path, databases):
    (databases / "broken").mkdir()
    (databases / "broken/broken.sqlite").write_text("no database")
    bad = {
        "unknown database": question(101, "nowhere"),
        "missing SQLite file": question(102, "empty"),
        "broken SQLite file": question(103, "broken"),
        "NUL character in source": question(104, question="what\0?"),
        "NUL character in target": question(105, SQL="SELECT\0 1"),
        "no key SQL": {"question": "x", "db_id": "shop", "question_id": 106},
        "gold query fails: error": question(107, SQL="SELECT nothing"),
        "gold query fails: timeout": question(
            108, SQL="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        ),
        "empty source": question(109, question=" "),
        "gold query gives other rows when put on one line": question(
            111, SQL="SELECT id FROM item -- all of them\nWHERE id > 1"
        ),
    }
    escape = question(110, "../databases/shop")
    good = [question(number) for number in range(40)]
    good[3]["question"] = "What's \"the\" name\nof 'pen'; DROP TABLE item; --?"
    train = [question(number, "school") for number in range(20)]
    built = build(settings(tmp_path, databases, train, [*good, *bad.values(), escape]), {})
    dropped = built.counts["read"]["dropped"]
    assert dropped == {f"malformed: {reason}": 1 for reason in bad} | {"malformed: unknown database": 2}
    lines = (tmp_path / "test.json").read_text().splitlines()
    for place in built.listed:
        assert place.file == str(tmp_path / "test.json")
        assert lines[int(place.line) - 1].strip() == "{"
        if place.reason in bad:
            wanted = bad[place.reason]["question_id"] if place.reason != "unknown database" else None
            block = "".join(lines[int(place.line) - 1 : int(place.line) + 5])
            assert wanted is None or f'"question_id": {wanted}' in block
    assert "noted" not in built.counts["read"]  # white space in a question means nothing
    kept = [*built.frames["arrivals"]["source"], *built.frames["test/in_domain"]["source"]]
    assert sum(source.startswith("What's \"the\" name of 'pen'; DROP TABLE item; --?") for source in kept) == 1
    assert read_tables(databases / "shop/shop.sqlite")


def test_queries_of_training_are_run_too_and_changes_of_white_space_are_noted(tmp_path, databases):
    train = [question(number, "school") for number in range(20)]
    train[3]["SQL"] = "SELECT nothing"
    train[5]["SQL"] = "SELECT name\nFROM item  WHERE id = 5 "
    train[7]["SQL"] = "SELECT 'a  b' FROM item"
    train[8]["SQL"] += "\n"
    built = build(settings(tmp_path, databases, train, [question(number) for number in range(40)]), {})
    assert built.counts["read"]["dropped"] == {
        "malformed: gold query fails: error": 1, "malformed: gold query gives other rows when put on one line": 1,
    }  # fmt: skip
    assert built.counts["read"]["noted"] == {"white space in its query became single blanks": 1}
    kept = {row.source.split("?")[0]: row.target for row in built.frames["train"].itertuples()}
    assert len(kept) == 18
    assert kept["What is number 5"] == "SELECT name FROM item WHERE id = 5"
    assert "database_hash" not in json.loads(built.frames["train"]["meta"].iloc[0])


def with_a_bad_copy(old, new):
    """Return what writes JSON lines and behind them the first of them once more, changed."""
    return lambda lines: b"\n".join([*lines, lines[0].replace(old, new)])


def as_array(lines):
    return b"[" + b",\r\n".join(lines) + b"]"


LINES = {
    "a byte order mark": (lambda lines: b"\xef\xbb\xbf" + b"\n".join(lines), None),
    "CRLF and blank lines": (lambda lines: b"\r\n\r\n".join(lines) + b"\r\n", None),
    "an array with a byte order mark": (lambda lines: b"\xef\xbb\xbf" + as_array(lines), None),
    "right-to-left": (lambda lines: b"\n".join(line.replace(b"What", "כמה".encode()) for line in lines), None),
    "broken UTF-8": (
        with_a_bad_copy(b"What", b"Wh\xff"),
        "replacement character (decoded wrongly before) in source",
    ),
    "a direction override": (with_a_bad_copy(b"What", "\u202eWhat".encode()), "direction override in source"),
    "no JSON": (with_a_bad_copy(b'": ', b"torn"), "not JSON"),
    "no object": (lambda lines: b"\n".join([*lines, b"[1]"]), "no key db_id"),
    "a number for a query": (
        with_a_bad_copy(b'"SELECT name FROM item WHERE id = 0"', b"1"),
        "no text but a number, list or object as target",
    ),
    "1 MB": (with_a_bad_copy(b"What", b"What " * 200_000), "line too long"),
    "1 MB of two-byte letters": (with_a_bad_copy(b"What", "é".encode() * 500_000), "line too long"),
    "1 MB in an array": (
        lambda lines: as_array([*lines, lines[0].replace(b"What", b"What " * 200_000)]),
        "line too long",
    ),
}


@pytest.mark.parametrize(("write", "reason"), LINES.values(), ids=LINES)
def test_files_of_questions_as_they_come(tmp_path, databases, write, reason):
    """In Spider's columns, with evidence; what is not as it should be is rejected with its line."""
    rows = [
        {
            "question": f"What is number {number}?",
            "query": f"SELECT name FROM item WHERE id = {number}",
            "db_id": "shop",
            "evidence": "numbers are ids" if number else "",
        }
        for number in range(40)
    ]
    train = [question(0, "school") | {"query": "SELECT 1", "evidence": ""}]
    wanted = settings(tmp_path, databases, train, [], columns={"query": "query", "evidence": "evidence"})
    (tmp_path / "test.json").write_bytes(write([json.dumps(row).encode() for row in rows]))
    built = build(wanted, {})
    kept = [*built.frames["arrivals"]["source"], *built.frames["test/in_domain"]["source"]]
    assert len(kept) == 40
    assert sum("? (numbers are ids) | " in source for source in kept) == 39
    assert [place.reason for place in built.listed] == ([reason] if reason else [])
    assert built.counts["read"]["dropped"] == ({f"malformed: {reason}": 1} if reason else {})


def test_a_database_with_changes_that_its_file_lacks_is_refused(tmp_path):
    """Opened as immutable, it would be read without them."""
    path = make_database(tmp_path, "shop", "PRAGMA journal_mode = WAL", "CREATE TABLE item (id INTEGER)")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO item VALUES (1)")
        connection.commit()
        with pytest.raises(DatabaseError, match="unfinished write-ahead log"):
            read_tables(path)
    assert len(read_tables(path)) == 1


def test_too_many_malformed_rows_stop_the_stage_and_the_message_locates_them(tmp_path, databases):
    train = [question(number, "school") for number in range(20)]
    test = [question(1), question(2, "nowhere")]
    with pytest.raises(UserError, match=r"test\.json, 8: unknown database"):
        build(settings(tmp_path, databases, train, test, max_rejected=0.01), {})


def test_an_array_that_breaks_off_is_located(tmp_path, databases):
    wanted = settings(tmp_path, databases, [question(1)], [question(2)])
    (tmp_path / "test.json").write_text('[\n{"question": "a"},\n{"question": ')
    with pytest.raises(UserError, match=r"test\.json, line 3: the array"):
        build(wanted, {})


def test_a_schema_is_cut_by_whole_tables_and_counted(tmp_path, databases):
    tables = [
        Table("a", ("x", "y")),
        Table("long", tuple(f"column{number}" for number in range(9))),
        Table("b", ("z",)),
    ]
    assert schema_text(tables, 14) == ("a(x, y); b(z)", 1)
    assert schema_text(tables, 1) == ("", 3)
    train, test = ([question(number, name) for number in range(30)] for name in ("school", "shop"))
    built = build(settings(tmp_path, databases, train, test, schema_text={"characters": 30}), {})
    assert built.counts["read"]["noted"] == {"its prompt lacks tables of the schema": 60}
    assert json.loads(built.frames["train"]["meta"].iloc[0])["tables_left_out"] == 1


def test_without_a_test_part_whole_databases_are_held_out(tmp_path, databases):
    train = [question(number, name) for name in ("school", "shop") for number in range(30)]
    changes = {"test": None, "seed": 3, "shares": {"dev": 0, "arrivals": 0.3, "test": 0.2}}
    wanted = settings(tmp_path, databases, train, [], **changes)
    frames = build(wanted, {}).frames
    held_out = set(frames["arrivals"]["cluster"]) | set(frames["test/in_domain"]["cluster"])
    assert len(held_out) == 1
    assert not held_out & set(frames["train"]["cluster"])


@pytest.fixture(scope="module")
def generated():
    return generated_sql.build(GeneratedSqlCorpus(kind="generated_sql", databases=6, per_template=20))


def test_generated_questions_hold_out_databases_and_share_templates(generated):
    of = {split: set(rows["cluster"].str.partition("/")[0]) for split, rows in generated.items()}
    assert of["arrivals"] == of["test.in_domain"] == {"cinemas", "museums"}
    assert not of["train"] & of["test.in_domain"]
    assert set(generated["test.in_domain"]["cluster"]) <= set(generated["arrivals"]["cluster"])


def test_generated_databases_are_the_same_each_time(tmp_path):
    corpus = GeneratedSqlCorpus(kind="generated_sql")
    dumps = []
    for part in ("one", "two"):
        (tmp_path / part).mkdir()
        with closing(sqlite3.connect(generated_sql.database_file(corpus, "zoos", tmp_path / part))) as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1]
    assert len(dumps[0]) > 40
