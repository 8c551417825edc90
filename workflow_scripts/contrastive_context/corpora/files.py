"""A user's own pairs: TSV, CSV, JSON Lines or Parquet files, read row by row, by column names.

A file is UTF-8, with or without a byte order mark, its lines ended by LF or CRLF. What can't be read is rejected with
its file and line (Parquet: row), and reading goes on behind it; a file of another kind is refused with what it looks
like (:mod:`contrastive_context.corpora.recognising`).
"""

import csv
import difflib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from contrastive_context.config.text import FilesCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.corpora.dividing import divide
from contrastive_context.corpora.reading import TOO_LONG, Location, Reading
from contrastive_context.corpora.recognising import HEAD, eight_bit, is_quoted, other_format, other_table

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20
BLANK = "blank line"
_BROKEN = "broken UTF-8"
UNQUOTED = "quotes around its fields were removed"


class Row(NamedTuple):
    """One row: ``values`` by column (by index while columns have no names yet), or ``fault`` and the ``text`` at fault.

    ``line`` is the first line, from 1, and ``lines`` how many there are. ``detail`` says more of the fault.
    ``unquoted``: quotes around fields were taken away that other readers of such files would keep.
    """

    line: int
    values: dict[Any, Any] | None
    fault: str = ""
    text: Any = ""
    lines: int = 1
    detail: str = ""
    unquoted: bool = False


def build(settings: FilesCorpus) -> tuple[dict, list[Reading]]:
    """Read all files.

    Args:
        settings: paths, columns, and how the text is divided.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` and ``test.<name>`` with the raw columns; and the reading.

    Raises:
        UserError: a file is missing, is not of its format at all, or lacks a column.
    """
    import pandas as pd

    from contrastive_context.corpora.rows import RAW_COLUMNS

    reading = Reading(settings.max_line_bytes)
    for split, paths in settings.paths_by_split.items():
        for path in paths:
            _read(settings, path, split, reading)
    frames = reading.frames()
    nothing = pd.DataFrame(columns=list(RAW_COLUMNS))
    if settings.files:
        frames = divide(frames.get("", nothing), settings.shares, settings.seed)
        frames["test.in_domain"] = frames.pop("test")
    return {split: frames.get(split, nothing) for split in [*settings.paths_by_split, *frames] if split}, [reading]


def _read(settings: FilesCorpus, path: str, split: str, reading: Reading) -> None:
    columns = settings.columns
    names = [columns.source, columns.target] + [
        name for name in (columns.id, columns.cluster, columns.domain) if name is not None
    ]
    blank: list[Row] = []
    unquoted: list[int] = []
    try:
        kind, limit = settings.format_of(path), settings.max_line_bytes
        for row in rows(Path(path), kind, names, settings.header, limit, settings.quoted):
            if row.fault == BLANK:
                blank.append(row)  # blank lines at the end of a file are no rows
                continue
            for missed in blank:
                reading.reject(Location(path, str(missed.line)), BLANK, split=split)
            blank.clear()
            location = Location(path, str(row.line))
            if row.values is None:
                reading.reject(location, row.fault, row.text, rows=row.lines, split=split, detail=row.detail)
                continue
            values = row.values
            if row.unquoted:
                unquoted.append(row.line)
            reading.add(
                location,
                values[columns.source],
                values[columns.target],
                split=split,
                # The file isn't part of a cluster's name: a document may have rows in several.
                cluster=_label(values, columns.cluster),
                domain=_label(values, columns.domain) or "in",
                meta={"id": _label(values, columns.id)} if columns.id else None,
            )
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from error
    if unquoted:
        location = Location(path, str(unquoted[0]))
        reading.note(location, UNQUOTED, f"{len(unquoted)} rows of this file", rows=len(unquoted), split=split)


def _label(values: JsonDict, column: str | None) -> str:
    value = values[column] if column else None
    return "" if value is None else str(value).strip()


def rows(
    path: Path,
    kind: str | None,
    columns: Sequence[str],
    header: list[str] | None,
    limit: int,
    quoted: bool | None = None,
) -> Iterator[Row]:
    """Yield the rows of one file.

    Args:
        path: the file.
        kind: ``tsv``, ``csv``, ``jsonl`` or ``parquet``.
        columns: columns wanted, with dots for nested ones.
        header: column names of a TSV or CSV file whose first line is a row already.
        limit: bytes above which a line (Parquet: a text) is malformed.
        quoted: of TSV: whether quotes around a field are no part of it; None: see :func:`~.recognising.is_quoted`.

    Raises:
        UserError: a column is missing, or the file is not of its format at all.
        OSError: the file can't be read.
    """
    if kind == "parquet":
        yield from _parquet(path, columns, limit)
        return
    with path.open("rb") as file:
        yield from text_rows(file, path, kind, columns, header, limit, quoted)


def text_rows(
    file: BinaryIO,
    path: str | Path,
    kind: str | None,
    columns: Sequence[str],
    header: list[str] | None,
    limit: int,
    quoted: bool | None = None,
) -> Iterator[Row]:
    """Yield the rows of an opened text file; ``path`` is its name in messages. The rest is as for :func:`rows`."""
    head = file.read(HEAD)
    if told := other_format(head, json_lines=kind == "jsonl"):
        raise UserError(f"{path}: this looks like {told}")
    start = len(_BOM) if head.startswith(_BOM) else 0
    file.seek(start)
    if kind == "jsonl":
        yield from _json_lines(_lines(file, limit), columns)
        return
    if kind == "tsv" and quoted is None:
        quoted = is_quoted(file, str(path), limit)
        file.seek(start)
        if quoted:
            log.info("%s: quotes around fields are taken for those of pandas or a spreadsheet, not for text", path)
    if kind == "csv":
        records = _quoted_records(_lines(file, limit), ",", limit)
    elif quoted:
        records = _quoted_records(_lines(file, limit), "\t", limit)
    else:
        records = _plain_records(_lines(file, limit))
    yield from _table(path, records, columns, header)


class _Line(NamedTuple):
    number: int
    text: str
    fault: str = ""
    raw: bytes = b""

    @property
    def detail(self) -> str:
        return eight_bit(self.raw) if self.fault == _BROKEN else ""


def _lines(file: BinaryIO, limit: int) -> Iterator[_Line]:
    """Yield lines without their ends; of one above the limit only the beginning is held."""
    number = 0
    while raw := file.readline(limit + 2):  # a line end may be two bytes
        number += 1
        text = raw.removesuffix(b"\n").removesuffix(b"\r")
        if len(text) > limit:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(_CHUNK)
            yield _Line(number, "", TOO_LONG, text)
            continue
        # Of a bad line the rest is handed on too: it may hold the quote that ends a field.
        readable = text.decode("utf-8", "replace").replace("\0", "\ufffd")
        if b"\0" in text:
            yield _Line(number, readable, "NUL character", text)
        elif "\ufffd" in readable and not _is_utf8(text):
            yield _Line(number, readable, _BROKEN, text)
        else:
            yield _Line(number, readable)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _plain_records(lines: Iterator[_Line]) -> Iterator[Row]:
    """Split lines at tabs; ``values`` has the fields under their positions, from 0."""
    for line in lines:
        if line.fault:
            yield Row(line.number, None, line.fault, line.raw, detail=line.detail)
        elif not line.text.strip():
            yield Row(line.number, None, BLANK)
        else:
            yield Row(line.number, dict(enumerate(line.text.split("\t"))))


def _quoted_records(lines: Iterator[_Line], delimiter: str, limit: int) -> Iterator[Row]:
    """Split lines whose fields may be in quotes, and then hold line ends."""
    # The csv module reads on over line ends within quotes: what it took is remembered, for faults and for locations.
    taken: list[_Line] = []

    def texts() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield f"{line.text}\n"

    csv.field_size_limit(max(limit, csv.field_size_limit()))
    reader = csv.reader(texts(), strict=True, delimiter=delimiter)
    while True:
        taken.clear()
        fields, fault, detail = None, "", ""
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # The end of the file within quotes is an error too; then nothing more comes.
            fault = "broken quotes" if "field larger" not in str(error) else TOO_LONG
            detail = str(error)
        first = taken[0]
        if bad := next((line for line in taken if line.fault), None):
            yield Row(bad.number, None, bad.fault, bad.raw, len(taken), bad.detail)
        elif fields is None:
            yield Row(first.number, None, fault, first.text, len(taken), detail)
        elif not any(field.strip() for field in fields):
            yield Row(first.number, None, BLANK)
        else:
            unquoted = delimiter == "\t" and any('"' in line.text for line in taken)
            yield Row(first.number, dict(enumerate(fields)), lines=len(taken), unquoted=unquoted)


def _table(path: str | Path, records: Iterator[Row], columns: Sequence[str], header: list[str] | None) -> Iterator[Row]:
    """Name the fields of records by the header."""
    if header is None:
        first = next(records, None)
        if first is None or first.values is None:
            fault = f"line {first.line}: {first.fault}" if first else "the file is empty"
            more = f"; {first.detail}" if first and first.detail else ""
            raise UserError(f"{path}: no line of column names ({fault}{more})")
        header = [name.strip() for name in first.values.values()]
    _require(path, columns, header)
    positions = {name: header.index(name) for name in columns}
    for row in records:
        if row.values is None:
            yield row
        elif len(row.values) != len(header):
            text = "\t".join(row.values.values())
            yield Row(row.line, None, f"not {len(header)} columns", text, row.lines)
        else:
            yield row._replace(values={name: row.values[position] for name, position in positions.items()})


def _require(path: str | Path, columns: Sequence[str], known: Sequence[str]) -> None:
    for name in columns:
        if list(known).count(name) != 1:
            if name in known:
                raise UserError(f"{path}: two columns {name!r} (it has: {', '.join(known)})")
            close = difflib.get_close_matches(name, known, n=1)
            hint = other_table(list(known)) or (f"did you mean {close[0]!r}?" if close else "")
            raise UserError(f"{path}: no column {name!r}{hint and '; '}{hint} (it has: {', '.join(known)})")


def _json_lines(lines: Iterator[_Line], columns: Sequence[str]) -> Iterator[Row]:
    for line in lines:
        if line.fault:
            yield Row(line.number, None, line.fault, line.raw, detail=line.detail)
        elif not line.text.strip():
            yield Row(line.number, None, BLANK)
        else:
            try:
                value = json.loads(line.text)
            except (ValueError, RecursionError) as error:
                yield Row(line.number, None, "not JSON", line.text, detail=str(error))
                continue
            yield _nested(line.number, value, columns, line.text)


def _nested(number: int, value: object, columns: Sequence[str], shown: object) -> Row:
    """Take the columns out of nested objects."""
    found = {}
    for column in columns:
        here = value
        for part in column.split("."):
            if not isinstance(here, dict) or part not in here:
                has = f"it has: {', '.join(here)}" if isinstance(here, dict) else ""
                return Row(number, None, f"no column {column}", shown, detail=has)
            here = here[part]
        found[column] = here
    return Row(number, found)


def _parquet(path: Path, columns: Sequence[str], limit: int) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
        _require(path, [name.partition(".")[0] for name in columns], table.schema_arrow.names)
        number = 0
        for batch in table.iter_batches(batch_size=4096, columns=list(columns)):
            for raw in _as_bytes(batch).to_pylist():
                number += 1
                row = _nested(number, raw, columns, "")
                yield row if row.values is None else _decoded(number, row.values, limit)
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        OverflowError,
    ) as error:  # the last two: times that Python can't hold
        raise UserError(f"{path}: can't be read as Parquet ({error}){_seen(path)}") from error


def _seen(path: Path) -> str:
    try:
        with path.open("rb") as file:
            told = other_format(file.read(HEAD))
    except OSError:
        return ""
    return f"; this looks like {told}" if told else ""


def _as_bytes(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """Turn texts into bytes, nested ones too, so that one broken text doesn't stop a batch."""
    import pyarrow as pa

    arrays = [column.cast(_in_bytes(column.type)) for column in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _in_bytes(kind: "pa.DataType") -> "pa.DataType":
    """Return an Arrow type with bytes instead of texts."""
    import pyarrow as pa

    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_in_bytes(field.type)) for field in kind])
    return pa.list_(_in_bytes(kind.value_type)) if pa.types.is_list(kind) else kind


def _decoded(number: int, values: JsonDict, limit: int) -> Row:
    def decode(value: Any) -> Any:
        if isinstance(value, bytes):
            if len(value) > limit:
                raise _Malformed(TOO_LONG, value)
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                raise _Malformed("broken UTF-8", value) from None
        if isinstance(value, dict):
            return {key: decode(item) for key, item in value.items()}
        return [decode(item) for item in value] if isinstance(value, list) else value

    try:
        return Row(number, decode(values))
    except _Malformed as malformed:
        return Row(number, None, *malformed.args)


class _Malformed(Exception):
    """What is wrong with a text, and the text."""
