"""SQLite databases of a Text-to-SQL corpus: how their tables are written in a prompt, and which file they are."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from contrastive_context.core.artifacts import sha256_file


class Table(NamedTuple):
    """A table: its name and its columns, each as it stands in a prompt."""

    name: str
    columns: tuple[str, ...]

    def __str__(self) -> str:
        """Return what stands in a prompt."""
        return f"{self.name}({', '.join(self.columns)})"


class Schema(NamedTuple):
    """The part of a schema that stands in a prompt, and how many tables were left out."""

    text: str
    left_out: int


class DatabaseError(ValueError):
    """A database can't be used; the message says why, in words that fit a list of reasons, ``detail`` in full."""

    def __init__(self, reason: str, detail: object) -> None:
        super().__init__(reason)
        self.detail = str(detail)


def read_tables(path: Path) -> list[Table]:
    """Return a database's tables in the order of their creation; a key of another table shows where it leads.

    Raises:
        DatabaseError: the file is missing, is no SQLite database, has changes in a log of its own, or has no table.
    """
    if not path.is_file():
        raise DatabaseError("missing SQLite file", path)
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size:
        # It is opened as immutable, and what the log holds would be overlooked.
        raise DatabaseError("SQLite file with an unfinished write-ahead log", log)
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
        try:
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                " ORDER BY rowid"
            ).fetchall()
            tables = [_table(connection, name) for (name,) in names]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DatabaseError("broken SQLite file", f"{path}: {error}") from error
    if not tables:
        raise DatabaseError("SQLite file without tables", path)
    return tables


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns = [row[0] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (name,))]
    keys = connection.execute('SELECT "from", "table" FROM pragma_foreign_key_list(?)', (name,))
    leads = {column.casefold(): other for column, other in keys}
    shown = [
        f"{_quoted(column)}→{_quoted(leads[column.casefold()])}" if column.casefold() in leads else _quoted(column)
        for column in columns
    ]
    return Table(_quoted(name), tuple(shown))


def _quoted(name: str) -> str:
    """Return a name as SQL wants it."""
    return name if name.isidentifier() else '"' + name.replace('"', '""') + '"'


def schema_text(tables: Sequence[Table], characters: int) -> Schema:
    """Write tables one after the other, as many whole ones as the limit allows.

    A table that doesn't fit is left out, and the next one is tried.
    """
    kept: list[str] = []
    room = characters
    for table in tables:
        text = str(table)
        size = len(text) + (2 if kept else 0)  # the separator
        if size <= room:
            kept.append(text)
            room -= size
    return Schema("; ".join(kept), len(tables) - len(kept))


def fingerprint(path: Path) -> str:
    """Return the first 16 hexadecimal digits of the file's SHA-256."""
    return sha256_file(path)[:16]
