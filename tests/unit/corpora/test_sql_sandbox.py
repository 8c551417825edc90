"""The sandbox against attacks, and execution accuracy against a table of hand-made cases."""

import json
import os
import resource
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from contrastive_context.config.sql import Limits
from contrastive_context.core.artifacts import sha256_file, write_parquet
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.text_to_sql import database_file
from contrastive_context.scoring import execution
from contrastive_context.scoring.segments import read_scores, segment_id, write_segments
from contrastive_context.scoring.settings import ScoreExecutionSettings
from contrastive_context.sql.sandbox import Sandbox, same_rows

SECONDS, MEMORY_MB = 1.0, 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of databases with one of them, shop, in it."""
    folder = tmp_path_factory.mktemp("databases")
    path = folder / "shop" / "shop.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, note BLOB)")
        rows = [(1, "pen", 2.0, None), (2, "ink", 3.5, b"pen"), (3, "pen", 2.0, None)]
        rows += [(number, f"n{number}", float(number), None) for number in range(4, 1001)]
        connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", rows)
    return folder


@pytest.fixture(scope="module")
def database(folder):
    return folder / "shop" / "shop.sqlite"


@pytest.fixture(scope="module")
def sandbox():
    with closing(Sandbox(Limits(seconds=SECONDS, memory_mb=MEMORY_MB, rows=2000))) as sandbox:
        yield sandbox


MATCHES = {
    "order": ("SELECT id FROM item WHERE id < 4 ORDER BY id", "SELECT id FROM item WHERE id < 4 ORDER BY id DESC"),
    "duplicates": ("SELECT name FROM item WHERE id IN (1, 3)", "SELECT name FROM item WHERE id = 1"),
    "NULL": ("SELECT note FROM item WHERE id = 1", "SELECT NULL"),
    "1 and 1.0": ("SELECT 1", "SELECT 1.0"),
    "large numbers": ("SELECT 9007199254740992", "SELECT 9007199254740992.0"),
    "both empty": ("SELECT id FROM item WHERE id < 0", "SELECT name FROM item WHERE 1 = 0"),
    "names of columns": ("SELECT id AS a FROM item WHERE id = 2", "SELECT id AS b FROM item WHERE id = 2"),
    "text": ("SELECT 'café'", "SELECT 'caf' || char(233)"),
    "a semicolon": ("SELECT 1;", "SELECT 1"),
}
DIFFERENCES = {
    "number and text": ("SELECT 1", "SELECT '1'"),
    "text and blob": ("SELECT 'pen'", "SELECT note FROM item WHERE id = 2"),
    "NULL and empty text": ("SELECT NULL", "SELECT ''"),
    "NULL and no row": ("SELECT NULL", "SELECT id FROM item WHERE 0"),
    "NULL and the text None": ("SELECT NULL", "SELECT 'None'"),
    "order of columns": ("SELECT id, name FROM item WHERE id = 1", "SELECT name, id FROM item WHERE id = 1"),
    "number of columns": ("SELECT 1", "SELECT 1, 1"),
    "close numbers": ("SELECT 9007199254740993", "SELECT 9007199254740992.0"),
    "case": ("SELECT 'a'", "SELECT 'A'"),
    "a row more": ("SELECT id FROM item WHERE id < 3", "SELECT id FROM item WHERE id < 4"),
    "two errors": ("SELECT nothing", "SELECT nothing"),
    "error and empty": ("SELECT nothing", "SELECT id FROM item WHERE 0"),
    "two statements without a table": ("", ""),
}


@pytest.mark.parametrize("pair", MATCHES.values(), ids=MATCHES)
def test_same_sets_of_rows_match(sandbox, database, pair):
    assert same_rows(*(sandbox.run(database, sql) for sql in pair))


@pytest.mark.parametrize("pair", DIFFERENCES.values(), ids=DIFFERENCES)
def test_other_rows_and_errors_do_not_match(sandbox, database, pair):
    assert not same_rows(*(sandbox.run(database, sql) for sql in pair))


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
ATTACKS = {
    "attach": "ATTACH DATABASE '{other}' AS other",
    "create by attach": "ATTACH DATABASE '{folder}/new.sqlite' AS other",
    "pragma": "PRAGMA query_only = OFF",
    "pragma write": "PRAGMA user_version = 7",
    "journal": "PRAGMA journal_mode = WAL",
    "schema": "PRAGMA writable_schema = ON",
    "pragma as a table": "SELECT * FROM pragma_database_list",
    "load_extension": "SELECT load_extension('/usr/lib/libc.so.6')",
    "writefile": "SELECT writefile('{folder}/new.txt', 'x')",
    "readfile": "SELECT readfile('/etc/passwd')",
    "vacuum into": "VACUUM INTO '{folder}/new.sqlite'",
    "endless recursion": ENDLESS,
    "endless rows": ENDLESS.replace("max(i)", "i"),
    "cross join": "SELECT count(*) FROM item a, item b, item c",
    "cross join of rows": "SELECT a.id, b.id, c.id FROM item a, item b, item c",
    "sorting a cross join": "SELECT a.name || b.name || c.name AS s FROM item a, item b, item c ORDER BY s",
    "a long string": "SELECT hex(zeroblob(500000000))",
    "a longer string": "SELECT replace(hex(zeroblob(4000000)), '0', printf('%1000d', 1))",
    "a growing string": (
        "WITH RECURSIVE s(x) AS (SELECT 'aaaaaaaa' UNION ALL SELECT x || x FROM s) SELECT length(x) FROM s LIMIT 40"
    ),
    "many long strings": "SELECT group_concat(hex(zeroblob(100000))) FROM item a, item b",
    "delete": "DELETE FROM item",
    "drop": "DROP TABLE item",
    "insert": "INSERT INTO item (name) VALUES ('x')",
    "update": "UPDATE item SET name = 'x'",
    "create": "CREATE TABLE more (x)",
    "temporary": "CREATE TEMP TABLE more (x)",
    "two statements": "SELECT 1; DROP TABLE item",
    "another file": "SELECT * FROM '{other}'",
    "NUL": "SELECT 1\0; DROP TABLE item",
    "a lone surrogate": "SELECT '\ud800'",
    "no SQL": "I am sorry, but I can't answer that.",
    "deep nesting": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "a long statement": "SELECT '" + "x" * 200_000 + "'",
}


def peak_mb(sandbox):
    """The most memory that the child has had."""
    status = Path(f"/proc/{sandbox._process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.parametrize("sql", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_an_error_in_bounded_time_and_changes_nothing(sandbox, database, folder, tmp_path, sql):
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE secret (x)")
    files, before = sorted(folder.rglob("*")), [sha256_file(path) for path in (database, other)]
    sandbox.run(database, "SELECT 1")  # a child that died for the attack before is replaced here
    started = time.monotonic()
    outcome = sandbox.run(database, sql.replace("{other}", str(other)).replace("{folder}", str(folder)))
    assert outcome.status in ("error", "timeout")
    assert outcome.message
    # A child that a limit has killed is gone; its address space was bounded all the same.
    assert sandbox._process is None or peak_mb(sandbox) < MEMORY_MB + 100
    assert time.monotonic() - started < SECONDS + 4
    assert [sha256_file(path) for path in (database, other)] == before
    assert sorted(folder.rglob("*")) == files
    assert sandbox.run(database, "SELECT count(*) FROM item").status == "rows"


def test_two_timeouts_do_not_match(sandbox, database):
    one, other = sandbox.run(database, ENDLESS), sandbox.run(database, ENDLESS)
    assert one.status == other.status == "timeout"
    assert not same_rows(one, other)


def test_a_dead_child_is_replaced_and_its_query_is_an_error(database):
    with closing(Sandbox(Limits(seconds=SECONDS, memory_mb=MEMORY_MB))) as sandbox:
        assert sandbox.run(database, "SELECT 1").status == "rows"
        os.kill(sandbox._process.pid, 9)
        assert sandbox.run(database, "SELECT 1").message == "its process died (signal 9)"
        assert sandbox.run(database, "SELECT 1").status == "rows"


def test_limits_are_of_each_query_not_of_the_child(sandbox, database):
    process = sandbox._process
    for _ in range(3):  # more CPU time together than one query may have
        assert sandbox.run(database, ENDLESS).status == "timeout"
    assert sandbox.run(database, "SELECT 1").status == "rows"
    assert sandbox._process is process
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY  # the parent's own


def settings(folder):
    corpus = {
        "kind": "text_to_sql",
        "train": {"files": "x.json", "databases": str(folder)},
        "query_limits": {"seconds": SECONDS, "memory_mb": MEMORY_MB},
    }
    return ScoreExecutionSettings(task="sql", corpus=corpus)


def frame(**meta):
    return pd.DataFrame({"id": ["t1"], "source": ["how many?"], "meta": [json.dumps({"database": "shop"} | meta)]})


def segments(*outputs, gold="SELECT count(*) FROM item"):
    triples = [("how many?", output, gold) for output in outputs]
    return {segment_id(*triple): dict(zip(("src", "mt", "ref"), triple, strict=True)) for triple in triples}


def test_outputs_are_judged_by_what_they_return(folder):
    given = segments("SELECT 1000", "SELECT count(id) FROM item", "SELECT 999", "DROP TABLE item", "", ENDLESS)
    assert list(execution.score(given, frame(), settings(folder)).values()) == [
        (1, "rows"), (1, "rows"), (0, "rows"), (0, "error"), (0, "error"), (0, "timeout"),
    ]  # fmt: skip


def test_the_command_keeps_what_became_of_each_output(folder, tmp_path, monkeypatch):
    import score_execution
    from contrastive_context.core import cli

    triples = [("how many?", output, "SELECT count(*) FROM item") for output in ("SELECT 1000", "SELECT nothing")]
    write_segments(tmp_path / "segments.jsonl", triples)
    write_parquet(tmp_path / "test.parquet", frame())
    names = {"segments": "segments.jsonl", "test": "test.parquet", "out": "scores.jsonl"}
    options = [f"--{name}={tmp_path / file}" for name, file in names.items()]
    given = settings(folder).model_dump_json()
    monkeypatch.setattr("sys.argv", ["score_execution", f"--settings={given}", *options])
    cli.run(score_execution.main, score_execution.arguments())
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [(line["score"], line["status"]) for line in lines] == [(1, "rows"), (0, "error")]
    assert list(read_scores(tmp_path / "scores.jsonl").values()) == [1, 0]


@pytest.mark.parametrize("gold", ["SELECT nothing", ENDLESS])
def test_a_gold_query_that_fails_is_a_data_error_with_its_id(folder, gold):
    with pytest.raises(UserError, match=r"tasks\.sql: the gold query of target t1 fails on shop\.sqlite"):
        execution.score(segments(gold, gold=gold), frame(), settings(folder))


def test_another_database_than_the_corpus_was_built_with_is_refused(folder):
    with pytest.raises(UserError, match="has changed since the corpus"):
        execution.score(segments("SELECT 1"), frame(database_hash="0" * 16), settings(folder))
    path = database_file(settings(folder).corpus, "gone", folder)
    assert not path.exists()
    with pytest.raises(UserError, match="missing SQLite file"):
        execution.score(segments("SELECT 1"), frame(database="gone"), settings(folder))
