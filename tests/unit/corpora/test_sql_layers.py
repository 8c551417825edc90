"""Each layer of the SQL sandbox by itself: those in front of it would hide that it is gone."""

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from contrastive_context.config.sql import Limits
from contrastive_context.sql import child
from contrastive_context.sql.sandbox import Sandbox

LIMITS = Limits(seconds=1, memory_mb=32, rows=100)
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE item (id INTEGER)")
        connection.executemany("INSERT INTO item VALUES (?)", [(number,) for number in range(101)])
    return path


@pytest.fixture
def connection(database):
    with closing(child.connect(str(database), LIMITS.memory_mb)) as connection:
        yield connection


@pytest.fixture
def sandbox(database):
    with closing(Sandbox(LIMITS)) as sandbox:
        assert sandbox.run(database, "SELECT 1").status == "rows"
        yield sandbox


@pytest.mark.parametrize(
    "name", ["load_extension", "readfile", "WriteFile", "edit", "fts3_tokenizer", "fsdir", "lsdir"]
)
def test_functions_that_reach_out_are_denied_where_a_build_has_them(name):
    assert child.authorize(sqlite3.SQLITE_FUNCTION, None, name) == sqlite3.SQLITE_DENY


def test_the_authorizer_is_set(connection):
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        connection.execute("PRAGMA query_only")


def test_behind_the_authorizer_writing_is_off_and_behind_that_the_file_is_opened_for_reading(connection, database):
    connection.set_authorizer(None)
    for pragma, value in {"query_only": 1, "temp_store": 2, "hard_heap_limit": LIMITS.memory_mb << 20}.items():
        assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)
    connection.execute("PRAGMA query_only = OFF")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM item")
    handles = [
        link.name for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and link.resolve() == database
    ]
    assert handles
    for handle in handles:
        assert fcntl.fcntl(int(handle), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def test_reading_leaves_nothing_beside_the_file(connection, database):
    """A database with a write-ahead log gets files beside it when it is read, unless it is opened as immutable."""
    assert connection.execute("SELECT count(*) FROM item").fetchone() == (101,)
    assert list(database.parent.iterdir()) == [database]


@pytest.mark.parametrize(
    ("limit", "value"),
    [(sqlite3.SQLITE_LIMIT_LENGTH, 10_000_000), (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
     (sqlite3.SQLITE_LIMIT_ATTACHED, 0), (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)],
)  # fmt: skip
def test_sqlites_own_limits(connection, limit, value):
    assert connection.getlimit(limit) == value


@pytest.mark.parametrize(
    ("name", "most"),
    [("Max cpu time", 10), ("Max address space", 544 << 20), ("Max file size", 0), ("Max open files", 16),
     ("Max core file size", 0)],
)  # fmt: skip
def test_the_kernels_limits(sandbox, name, most):
    limits = Path(f"/proc/{sandbox._process.pid}/limits").read_text().splitlines()
    soft = next(line for line in limits if line.startswith(name))[len(name) :].split()[0]
    assert soft != "unlimited" and int(soft) <= most


def test_the_process_has_no_environment_and_imports_nothing_from_where_it_stands(sandbox):
    process = Path(f"/proc/{sandbox._process.pid}")
    assert process.joinpath("environ").read_bytes() == b""
    assert process.joinpath("cmdline").read_bytes().split(b"\0")[1:3] == [b"-I", b"-S"]


def test_a_query_ends_itself_at_its_deadline_and_its_rows(sandbox, database):
    process = sandbox._process
    assert sandbox.run(database, ENDLESS).message == "more than 1 s"
    assert sandbox.run(database, "SELECT id FROM item").message == "more than 100 rows"
    assert sandbox._process is process


def test_a_child_that_says_nothing_is_killed(database, tmp_path, monkeypatch):
    script = tmp_path / "silent.py"
    script.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(child, "__file__", str(script))
    monkeypatch.setattr("contrastive_context.sql.sandbox._START", 0.0)
    with closing(Sandbox(LIMITS)) as sandbox:
        outcome = sandbox.run(database, "SELECT 1")
    assert (outcome.status, outcome.message) == ("timeout", "more than 1 s; its process was killed")
