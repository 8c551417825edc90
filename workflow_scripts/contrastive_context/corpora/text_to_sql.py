"""Text-to-SQL: questions on SQLite databases, from local folders in the layout of BIRD or Spider.

Origins, none of which is downloaded here: BIRD (Li et al. 2023, https://bird-bench.github.io, CC BY-SA 4.0; questions
in ``train.json`` and ``dev.json``, databases in ``train_databases`` and ``dev_databases``) and Spider (Yu et al. 2018,
https://yale-lily.github.io/spider, CC BY-SA 4.0; ``train_spider.json`` and ``dev.json``, databases in ``database``).

A source is the question, `` | `` and the schema of its database; encoders with ``until: " | "`` compare questions
alone. A target is the gold query in one line. A query is judged by what it returns, so every gold query is run here, as
it was and, where that is another text, in one line; one that fails or comes to give other rows is a malformed row.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contrastive_context.config.sql import EVIDENCE, SEPARATOR, Questions, TextToSqlCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import databases
from contrastive_context.corpora.dividing import divide, halve, uniform
from contrastive_context.corpora.reading import TOO_LONG, Location, Reading, fault, tidy
from contrastive_context.corpora.recognising import HEAD, eight_bit, other_format
from contrastive_context.sql.sandbox import Sandbox, same_rows

if TYPE_CHECKING:
    import pandas as pd

TRUNCATED = "its prompt lacks tables of the schema"
MENDED = "white space in its query became single blanks"
CHANGED = "gold query gives other rows when put on one line"


class Record(NamedTuple):
    """One question: ``value`` is the JSON object, or ``fault`` says why not; ``line``: its first, from 1.

    ``detail`` says more of the fault, or of bytes that are no UTF-8.
    """

    line: int
    value: Any
    fault: str = ""
    detail: str = ""


def build(settings: TextToSqlCorpus) -> "tuple[dict[str, pd.DataFrame], list[Reading]]":
    """Read questions, look at their databases and run the gold queries.

    Args:
        settings: files, folders, columns and limits.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` and ``test.in_domain`` with the raw columns; and the reading. ``meta``
        has the question's file, line and id, its database with the file's hash, and the tables its prompt lacks.

    Raises:
        UserError: a file of questions is missing or is no JSON at all.
    """
    # Records have their limit already; a source has a schema of at most four bytes a character more.
    reading = Reading(settings.max_line_bytes + 4 * settings.schema_text.characters)
    with closing(Sandbox(settings.query_limits)) as sandbox:
        _read(settings, settings.train, "train", reading, sandbox)
        if settings.test is not None:
            _read(settings, settings.test, "test", reading, sandbox)
    frames = reading.frames()
    train = frames.get("train", _nothing())
    if settings.test is None:
        parts = divide(train, settings.shares, settings.seed)
    else:
        part = settings.shares.dev
        is_dev = train["cluster"].map(lambda name: uniform(f"{settings.seed}/dev/{name}") < part).astype(bool)
        parts = {"train": train[~is_dev], "dev": train[is_dev]}
        parts |= halve(frames.get("test", _nothing()), settings.shares, settings.seed)
    parts["test.in_domain"] = parts.pop("test")
    return parts, [reading]


def _nothing() -> "pd.DataFrame":
    import pandas as pd

    from contrastive_context.corpora.rows import RAW_COLUMNS

    return pd.DataFrame(columns=list(RAW_COLUMNS))


def database_file(settings: TextToSqlCorpus, name: str, folder: Path) -> Path:
    """Return the file of a database of test time; ``folder`` is for kinds that make theirs."""
    return _file((settings.test or settings.train).databases, name)


def _file(folder: str, name: str) -> Path:
    return Path(folder) / name / f"{name}.sqlite"


def _read(settings: TextToSqlCorpus, part: Questions, split: str, reading: Reading, sandbox: Sandbox) -> None:
    """Add the rows of one part."""
    columns = settings.columns
    at_test_time = settings.test is None or split == "test"
    # Names that a listing gives lead nowhere else.
    known_databases = {path.name for path in Path(part.databases).glob("*") if path.is_dir()}

    @cache
    def schema(name: str) -> databases.Schema | databases.DatabaseError:
        try:
            return databases.schema_text(
                databases.read_tables(_file(part.databases, name)), settings.schema_text.characters
            )
        except databases.DatabaseError as error:
            return error

    @cache
    def hash_of(name: str) -> str:
        return databases.fingerprint(_file(part.databases, name))

    for path in part.files:
        for record in records(Path(path), settings.max_line_bytes):
            location = Location(path, str(record.line))

            def reject(reason: str, text: object, detail: str = "", location: Location = location) -> None:
                reading.reject(location, reason, text, split=split, detail=detail)

            if record.fault:
                reject(record.fault, record.value, record.detail)
                continue
            row = record.value
            wanted = {columns.question, columns.query, columns.database, *filter(None, (columns.evidence, columns.id))}
            if missing := sorted(name for name in wanted if not isinstance(row, dict) or name not in row):
                reject(f"no key {missing[0]}", row, f"it has: {', '.join(row)}" if isinstance(row, dict) else "")
                continue
            question, query, name = row[columns.question], row[columns.query], row[columns.database]
            if reason := fault(question) or fault(query):
                side, text = ("source", question) if fault(question) else ("target", query)
                reject(f"{reason} {side}", text, record.detail)
                continue
            if not isinstance(name, str) or name not in known_databases:
                reject("unknown database", name, f"no folder {name!r} in {part.databases}")
                continue
            found = schema(name)
            if isinstance(found, databases.DatabaseError):
                reject(str(found), name, found.detail)
                continue
            known = {"database": name, "tables_left_out": found.left_out}
            if columns.id:
                known["id"] = str(row[columns.id])
            outcome = sandbox.run(_file(part.databases, name), query)
            if outcome.status != "rows":
                reject(f"gold query fails: {outcome.status}", query, f"{name}: {outcome.message}")
                continue
            # White space may end a comment, or stand in a string.
            mended = tidy(query) != query.strip()
            if mended and not same_rows(outcome, sandbox.run(_file(part.databases, name), tidy(query))):
                reject(CHANGED, query)
                continue
            if at_test_time:
                known["database_hash"] = hash_of(name)
            evidence = row[columns.evidence] if columns.evidence else None
            asked = f"{question}{EVIDENCE}{evidence})" if evidence else question
            if found.left_out:
                reading.note(location, TRUNCATED, f"{name}: {found.left_out} tables", split=split)
            if mended:
                reading.note(location, MENDED, query, split=split)
            reading.add(location, f"{asked}{SEPARATOR}{found.text}", query, split=split, cluster=name, meta=known)


def records(path: Path, limit: int) -> Iterator[Record]:
    """Yield the objects of a JSON array or of JSON Lines, with their lines.

    Args:
        path: a UTF-8 file.
        limit: bytes above which a record is malformed.

    Raises:
        UserError: the file can't be read, or the array breaks off: behind a syntax error nothing can be told apart.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from error
    if told := other_format(content[:HEAD]):
        raise UserError(f"{path}: this looks like {told}")
    text, broken = content.decode("utf-8-sig", "replace"), eight_bit(content)
    start = len(text) - len(text.lstrip())
    found = _array(path, text, start + 1) if text[start : start + 1] == "[" else _lines(text)
    for record, raw in found:
        if len(raw.encode()) > limit:
            yield Record(record.line, raw, TOO_LONG)
        elif broken and "\ufffd" in raw:
            yield record._replace(detail=broken)
        else:
            yield record


def _lines(text: str) -> Iterator[tuple[Record, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield Record(number, json.loads(line)), line
        except (ValueError, RecursionError) as error:
            yield Record(number, line, "not JSON", str(error)), line


def _array(path: Path, text: str, position: int) -> Iterator[tuple[Record, str]]:
    decoder = json.JSONDecoder(strict=False)
    line, counted = 1, 0
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        line, counted = line + text.count("\n", counted, position), position
        if text[position : position + 1] == "]":
            return
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {line}: the array of questions breaks off here ({error}); mend it") from None
        yield Record(line, value), text[position:end]
        position = end
