"""The process that runs untrusted SQL; :mod:`contrastive_context.sql.sandbox` starts and watches it.

It is run by its path, isolated (``python -I -S``), and imports the standard library only. Each line of standard input
is a JSON request: ``database`` (path), ``sql``, and the query's ``seconds``, ``memory_mb`` and ``rows``. Each gets one
line of JSON: ``status`` (``rows``, ``error`` or ``timeout``), ``message``, ``rows`` and ``digest``.

Why it is safe: the file is opened read-only and immutable; an authorizer set before the statement is prepared allows
reading tables and nothing else; SQLite's own limits bound strings and its heap; the progress handler ends a statement
at its deadline. Behind these stand the kernel's limits on CPU time, address space, files and their size.
"""

import hashlib
import json
import math
import resource
import sqlite3
import sys
import time
import urllib.parse

_MEGABYTE = 1 << 20
_PYTHON_MB = 512  # address space of the interpreter and its libraries
_LONGEST = 10_000_000  # bytes of a string, blob or row
_LONGEST_STATEMENT = 100_000  # bytes
_INSTRUCTIONS = 10_000  # of SQLite's virtual machine between two looks at the clock
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
# Those of the SQLite shell and of extensions; a build may have them compiled in.
_FORBIDDEN_FUNCTIONS = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "fsdir", "lsdir"}


def authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    """Allow what reads; deny ATTACH, PRAGMA, every change, and functions that reach beyond the database."""
    if action in _ALLOWED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and str(second).lower() not in _FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def limit_process(seconds: float, memory_mb: int) -> None:
    """Set the kernel's limits for the next query; CPU time is counted from now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Beyond the deadline: the progress handler and the parent come first, and can say why.
    _limit(resource.RLIMIT_CPU, math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 2)
    _limit(resource.RLIMIT_AS, (_PYTHON_MB + memory_mb) * _MEGABYTE)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 16)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def connect(path: str, memory_mb: int) -> sqlite3.Connection:
    """Open a database so that nothing can change it."""
    connection = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro&immutable=1", uri=True, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_STATEMENT)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA hard_heap_limit = {memory_mb * _MEGABYTE}")
    connection.set_authorizer(authorize)
    return connection


def run(database: str, sql: str, seconds: float, memory_mb: int, rows: int) -> dict:
    """Run one query within its limits and describe what came of it."""
    limit_process(seconds, memory_mb)
    deadline = time.monotonic() + seconds
    connection = None
    try:
        connection = connect(database, memory_mb)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
        cursor = connection.execute(sql)
        if cursor.description is None:
            return {"status": "error", "message": "no SELECT: the statement gives no table"}
        found, count = set(), 0
        for row in cursor:
            count += 1
            if count > rows:
                return {"status": "error", "message": f"more than {rows} rows"}
            found.add(hashlib.sha256(canonical(row)).digest())
    except Exception as error:  # whatever SQLite, Python's module or a limit makes of the text
        if time.monotonic() > deadline:
            return {"status": "timeout", "message": f"more than {seconds:g} s"}
        return {"status": "error", "message": f"{type(error).__name__}: {error}"[:500]}
    finally:
        if connection is not None:
            connection.close()
    digest = hashlib.sha256(b"".join(sorted(found))).hexdigest()
    return {"status": "rows", "rows": count, "digest": digest}


def canonical(row: tuple) -> bytes:
    """Write a row so that two rows are equal as Python tuples if and only if their bytes are."""
    return json.dumps([_canonical(value) for value in row]).encode()


def _canonical(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # 1 and 1.0 are equal, '1' is not
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    return None if value is None else [value]


def main() -> None:
    sys.set_int_max_str_digits(0)
    for line in sys.stdin:
        request = json.loads(line)
        sys.stdout.write(json.dumps(run(**request)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
