"""Files of a Debian package (.deb), read in memory: nothing is unpacked, so no name or link can lead anywhere.

A package is an ``ar`` archive (deb(5)) of ``debian-binary``, ``control.tar.*`` and ``data.tar.*``; Python reads all of
it, so neither dpkg nor Debian is needed.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO

from contrastive_context.core.errors import UserError
from contrastive_context.downloads.packages import open_verified

MAX_FILE_BYTES = 64 << 20
"""Upper limit of one file, in bytes."""
MAX_TOTAL_BYTES = 512 << 20
"""Upper limit of all files that are read from one package."""
MAX_ARCHIVE_BYTES = 4 << 30
"""Upper limit of the uncompressed archive that is gone through."""

_MAGIC = b"!<arch>\n"
_HEADER_SIZE = 60
_OPENERS: dict[str, Callable[..., Any]] = {
    "data.tar": lambda file: file, "data.tar.gz": gzip.open, "data.tar.xz": lzma.open, "data.tar.bz2": bz2.open,
}  # fmt: skip


def read_files(record: str | Path, wanted: Collection[str] | Callable[[str], bool]) -> dict[str, bytes]:
    """Return files of a package by their names in it, such as ``usr/share/doc/x/copyright``.

    Args:
        record: the package's record, of ``fetch_package.py``.
        wanted: the names, or a function that says whether a name is wanted. A name that isn't there is left out.

    Raises:
        UserError: the package is missing, altered, no Debian package or cut off; a wanted entry is a link or another
            special file, or appears twice; a limit is exceeded.
    """
    is_wanted = wanted if callable(wanted) else frozenset(wanted).__contains__
    files: dict[str, bytes] = {}
    with open_verified(record) as file:
        name = Path(file.name).name
        try:
            # A stream: entries are read in their order, once, by nothing but read().
            stream: Any = _Limited(_data(file, name), name)
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                total = 0
                for entry in archive:
                    path = entry.name.removeprefix("./")
                    if entry.isdir() or not is_wanted(path):
                        continue
                    if not entry.isreg():
                        raise UserError(f"{name}: refused, {path!r} is not a plain file")
                    if path in files:
                        raise UserError(f"{name}: refused, {path!r} appears twice")
                    total += entry.size
                    if entry.size > MAX_FILE_BYTES or total > MAX_TOTAL_BYTES:
                        raise UserError(f"{name}: refused, {path!r} exceeds the {MAX_FILE_BYTES} bytes of a file")
                    content = archive.extractfile(entry)
                    files[path] = content.read() if content else b""
        except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
            raise UserError(f"{name}: can't be read as a Debian package ({error}); delete {file.name}") from error
    return files


class _Section:
    """The bytes of one member of an ar archive, as a stream."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        content = self._file.read(min(size, self._left))
        self._left -= len(content)
        return content


class _Limited:
    """An uncompressed archive, which is refused when it goes on for too long: a header's name may be the bomb too."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name, self._left = file, name, MAX_ARCHIVE_BYTES

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise UserError(f"{self._name}: refused, it unpacks to more than {MAX_ARCHIVE_BYTES} bytes")
        return content


def _data(file: BinaryIO, name: str) -> BinaryIO:
    """Find the member with the package's files; return what it unpacks to."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise UserError(f"{name} is not a Debian package")
    while len(header := file.read(_HEADER_SIZE)) == _HEADER_SIZE:
        member = header[:16].decode("ascii", "replace").strip().removesuffix("/")
        digits = header[48:58].strip()
        if header[58:] != b"`\n" or not digits.isdigit():
            break
        size = int(digits)
        if member in _OPENERS:
            return _OPENERS[member](_Section(file, size))
        if member.startswith("data.tar"):
            raise UserError(f"{name}: {member} is compressed in a way that this version can't read")
        file.seek(size + size % 2, 1)  # members begin at even offsets
    raise UserError(f"{name} is cut off or no Debian package: it has no data.tar")
