"""What a file is by its bytes: other formats and encodings than the expected ones, and whether its fields are quoted.

What is seen here is told, or asked: nothing is converted.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from contrastive_context.core.errors import UserError

HEAD = 1 << 16
"""Bytes of a file that :func:`other_format` wants to see."""

_CONVERT = "convert it: iconv -f {} -t UTF-8"
_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or another zip file; save it as text (CSV UTF-8), or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as text (CSV UTF-8)",
    b"\x1f\x8b": "a gzip file; unpack it: gunzip",
    b"BZh": "a bzip2 file; unpack it: bunzip2",
    b"\xfd7zXZ": "an xz file; unpack it: unxz",
    b"\x28\xb5\x2f\xfd": "a Zstandard file; unpack it: unzstd",
    b"PAR1": "a Parquet file; set format: parquet, or let its name end in .parquet",
    b"SQLite format 3": "an SQLite database; export the rows as CSV",
    b"%PDF": "a PDF file; text is needed",
    b"version https://git-lfs": "a pointer to a file in Git LFS; get the file itself: git lfs pull",
    b"\xff\xfe": "UTF-16 text; " + _CONVERT.format("UTF-16"),
    b"\xfe\xff": "UTF-16 text; " + _CONVERT.format("UTF-16"),
}
_FEW = 8  # zero bytes that any damage may leave
_AROUND = 20  # bytes shown on each side of one that is no UTF-8
_WEB_PAGE = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_DOCUMENT = re.compile(r"[\[{]\s*[\[{]?\s*")
_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "vertical bars"}


def other_format(head: bytes, *, json_lines: bool = False) -> str | None:
    """Say what a file looks like that can't be UTF-8 text with line ends, and what to do about it.

    Args:
        head: the first ``HEAD`` bytes of the file.
        json_lines: one JSON object per line is expected.

    Returns:
        A noun phrase and an advice, separated by a semicolon; None if nothing speaks against text.
    """
    for start, told in _FORMATS.items():
        if head.startswith(start):
            return told
    if _WEB_PAGE.match(head):
        return "a web page, perhaps a page of sign-in or of an error; download the file again"
    if encoding := _wide_encoding(head):
        return f"{encoding} text without a mark; {_CONVERT.format(encoding)}"
    if b"\r" in head.strip(b"\r") and b"\n" not in head:
        return "text whose lines end with CR alone; convert it: tr '\\r' '\\n'"
    first = head.lstrip().partition(b"\n")[0].decode("utf-8", "replace").strip()
    if json_lines and (first.startswith("[") or _DOCUMENT.fullmatch(first)):
        return "one JSON document; write one object per line, of an array for instance with: jq -c '.[]'"
    return None


def _wide_encoding(head: bytes) -> str | None:
    """Name the encoding of text with two or four bytes per character, by where its zero bytes are."""
    if head.count(0) < _FEW:
        return None
    places = [head[place::4].count(0) / max(1, len(head[place::4])) for place in range(4)]
    for encoding, upper in (("UTF-32LE", (2, 3)), ("UTF-32BE", (0, 1))):
        if all(places[place] > 0.9 for place in upper):
            return encoding
    # Blanks, tabs and line ends have a zero byte in any script.
    for encoding, upper, lower in (("UTF-16LE", (1, 3), (0, 2)), ("UTF-16BE", (0, 2), (1, 3))):
        if min(places[place] for place in upper) > 0.05 and max(places[place] for place in lower) < 0.01:
            return encoding
    return None


def eight_bit(raw: bytes) -> str:
    """Say what bytes that are no UTF-8 look like, and what to do about it; nothing of bytes that are."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start
    else:
        return ""
    before = re.split(r"\s", raw[max(0, place - _AROUND) : place].decode("utf-8", "ignore"))
    try:
        word = before[-1] + re.split(r"\s", raw[place : place + _AROUND].decode("cp1252"), maxsplit=1)[0]
    except UnicodeDecodeError:
        return f"byte 0x{raw[place]:02X} is in no word of UTF-8; save the file as UTF-8"
    return (
        f"as Windows-1252 it reads {word!r}; if that is right, {_CONVERT.format('WINDOWS-1252')}, "
        "else from the encoding that the file was saved in"
    )


def other_table(header: list[str]) -> str | None:
    """Say what a table looks like whose line of column names holds none of the wanted ones; None if nothing is seen."""
    if header and header[0].startswith(("{", "[")):
        return "it looks like JSON; set format: jsonl"
    line = header[0] if len(header) == 1 else ""
    if line.lower().startswith("sep="):
        return "its first line is Excel's, for the separator; delete that line"
    counts = {separator: line.count(separator) for separator in _SEPARATORS}
    separator = max(counts, key=counts.__getitem__)
    if not counts[separator]:
        return None
    known = {",": "; set format: csv", "\t": "; set format: tsv"}.get(separator, ", write it with commas or tabs")
    return f"its columns look separated by {_SEPARATORS[separator]}{known}"


def is_quoted(file: BinaryIO, path: str, limit: int) -> bool:
    """Tell whether the fields of a TSV file that need it are in quotes, with quotes inside doubled.

    pandas and spreadsheets write them so; others write a field's text as it is, in which quotes are quotes. In the
    former, every quote belongs to a well-formed quoted field. The line of column names, or a field with doubled quotes,
    a tab or a line end inside, shows that it is the former; a quote anywhere else that it is the latter. Spreadsheets
    also quote fields with a comma: where such fields are all there is, or where both is seen, it can't be told.

    Args:
        file: read from its present position to its end.
        path: its name, for messages.
        limit: bytes of a line that are looked at at once.

    Raises:
        UserError: it can't be told.
    """
    quoted: list[int] = []  # lines
    plain: list[int] = []
    perhaps: list[int] = []
    without_need, columns = False, 0
    for number, record in _records(file, limit):
        if not _RECORD.fullmatch(record):
            if b'"' in record:
                plain.append(number)
            continue
        fields = _FIELD.findall(record)
        columns = columns or len(fields)
        if b'"' not in record or len(fields) != columns:
            continue
        # With a tab or a line end inside it is no row for a reader that knows no quotes, unless it is several.
        torn = any(line.count(b"\t") != columns - 1 for line in record.split(b"\n"))
        if torn or (number == 1 and all(field.startswith(b'"') for field in fields)):
            quoted.append(number)
        for inside in (field[1:-1] for field in fields if field.startswith(b'"')):
            # Whose lines are each a row for a reader that knows no quotes, such quotes may be the ends of two texts.
            if b'"' in inside and (torn or b"\n" not in inside):
                quoted.append(number)
            elif b"," in inside or b"\n" in inside:
                perhaps.append(number)
            else:
                without_need = True
    if quoted and not plain:
        return True
    if not quoted and (plain or without_need or not perhaps):
        return False
    told = f"{len(quoted) or len(perhaps)} fields are in quotes as pandas and spreadsheets write them (the first in "
    told += f"line {(quoted or perhaps)[0]})" + (f", {len(plain)} lines have others ({plain[0]})" if plain else "")
    raise UserError(
        f"{path}: can't tell whether quotes are part of the text: {told}. Set quoted: true if quotes around a field "
        "are not part of it, or quoted: false if they are"
    )


_FIELD = re.compile(rb'(?:^|\t)("(?:[^"]|"")*"|[^"\t]*)')
_RECORD = re.compile(rb'(?:"(?:[^"]|"")*"|[^"\t]*)(?:\t(?:"(?:[^"]|"")*"|[^"\t]*))*')


def _records(file: BinaryIO, limit: int) -> Iterator[tuple[int, bytes]]:
    """Yield the first line, and those with quotes, each with its number; a record ends with an even count of them."""
    number, start, record = 0, 1, b""
    while line := file.readline(limit + 2):
        number += 1
        if not record:
            if number > 1 and b'"' not in line:
                continue
            start = number
        record += line
        if record.count(b'"') % 2 == 0 or len(record) > limit:
            yield start, record.rstrip(b"\r\n")
            record = b""
    if record:
        yield start, record
