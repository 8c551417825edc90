"""Artifacts on disk: written whole or not at all, hashed, and described by a provenance sidecar."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict, JsonMapping

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 1 << 20
#: Columns that are text in every artifact that has them.
_TEXT = frozenset(
    ("id", "source", "target", "task", "model", "strategy", "test_set", "composition", "bucket", "metric", "probe")
)
_NEVER_NULL = frozenset(("id", "source", "target", "target_id", "example_ids", "similarities"))
_LISTS = frozenset(("example_ids", "similarities"))
_TEMPORARY = ".tmp-"
_LEFT_OVER_AFTER = 24 * 3600  # seconds
_DISK_FULL = re.compile(
    r"os error (28|122)\b|no space left on device|disk quota exceeded|\d+ requested and \d+ written", re.IGNORECASE
)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary file name beside ``path``; rename it over ``path`` when the block succeeds.

    The file is synced before the rename, so that a reader sees the old content, the new content or nothing.
    On any exception the temporary file is removed and ``path`` stays as it was. What a killed process left for the
    same ``path`` more than a day ago is removed too.

    Raises:
        UserError: the disk is full or the folder can't be written; the message names ``path``.
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        # The suffix is kept because some writers (numpy, matplotlib) choose the format by it.
        handle, name = tempfile.mkstemp(prefix=f"{_TEMPORARY}{path.name}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _sync(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; put it in the place of ``path`` when the block succeeds.

    Raises:
        UserError: as for :func:`atomic_path`.
    """
    path = Path(path)
    with temporary_folder(path) as temporary:
        yield temporary
        for file in temporary.rglob("*"):
            # A link points to a user's own file, which stays as it is.
            if file.is_file() and not file.is_symlink():
                _sync(file)
                # Some writers (safetensors) make files that only their owner can read.
                file.chmod(0o666 & ~_umask())
        temporary.chmod(0o777 & ~_umask())
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)


@contextlib.contextmanager
def temporary_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` for work on it; removed at the end, whatever happens.

    Raises:
        UserError: as for :func:`atomic_path`.
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        temporary = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{path.name}-", dir=path.parent))
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    """Remove temporaries of ``path`` that nothing has written to for a day: their process was killed."""
    ours = re.compile(re.escape(f"{_TEMPORARY}{path.name}-") + r"[a-z0-9_]{8}(" + re.escape(path.suffix) + ")?")
    for entry in path.parent.iterdir():
        if not ours.fullmatch(entry.name) or entry.is_symlink():
            continue
        with contextlib.suppress(OSError):  # somebody else removes it at the same time
            newest = max(file.lstat().st_mtime for file in (entry, *entry.rglob("*")))
            if time.time() - newest < _LEFT_OVER_AFTER:
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink()


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses in the block into a :class:`UserError` that names ``path``.

    That is: a full disk, missing permissions, a folder where a file should go or the other way round.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # safetensors and others wrap the system's error, numpy tells only how much it wrote; and what matplotlib's PDF
        # writer raises as it closes the file comes after it.
        if any(getattr(one, "errno", None) in (28, 122) or _DISK_FULL.search(str(one)) for one in _chain(error)):
            raise UserError(f"{path}: no space left on the disk; free some and run the same command again") from error
        if not isinstance(error, OSError):
            raise
        if error.errno in (13, 30):  # EACCES, EROFS
            raise UserError(f"{path}: can't be written ({error.strerror}); check the folder's permissions") from error
        if error.errno in (17, 20, 21):  # EEXIST, ENOTDIR, EISDIR
            raise UserError(
                f"{path}: can't be written, {error.filename2 or error.filename} is in the way ({error.strerror}); "
                "remove it and run the same command again"
            ) from error
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256_file(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON artifact.

    Raises:
        UserError: the file is missing or isn't JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: can't be read as JSON ({error}); delete it and run again") from error


def write_parquet(path: str | os.PathLike, frame: "pd.DataFrame") -> None:
    """Write a pandas frame as Parquet (zstd, no index), atomically."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")


def write_csv(path: str | os.PathLike, frame: "pd.DataFrame") -> None:
    """Write a pandas frame as CSV (UTF-8, all digits, no index), atomically."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_parquet(
    path: str | os.PathLike, columns: Mapping[str, str] | tuple[str, ...] | list[str] = ()
) -> "pd.DataFrame":
    """Read a Parquet artifact into a pandas frame and check that it has ``columns``.

    Raises:
        UserError: the file is missing, torn, not Parquet, or lacks a column; the message names the file.
    """
    import numpy as np
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError) as error:  # all of them pyarrow's
        raise UserError(f"{path}: can't be read as Parquet ({error}); delete it and run again") from error
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UserError(f"{path}: column(s) {', '.join(missing)} missing; it was not written by this version")
    for name in _TEXT.intersection(columns):
        if (kind := pd.api.types.infer_dtype(frame[name], skipna=True)) not in ("string", "empty"):
            raise UserError(f"{path}: column {name} holds {kind} values, not text; it was not written by this version")
    for name in _NEVER_NULL.intersection(columns):
        if frame[name].isna().any():
            raise UserError(f"{path}: column {name} has no value in some rows; it was not written by this version")
    for name in _LISTS.intersection(columns):
        if not frame[name].map(np.ndim).eq(1).all():
            raise UserError(f"{path}: column {name} holds no lists; it was not written by this version")
    return frame


def write_folder_hashes(
    folder: str | os.PathLike,
    target: str | os.PathLike,
    *,
    known: Mapping[str, JsonMapping] | None = None,
    **extra: object,
) -> JsonDict:
    """Write the small file that stands for a folder of weights in the DAG.

    The JSON holds ``files`` (relative name → ``{"sha256", "bytes"}``) and ``extra``. Rules depend on this file rather
    than on the weights, so that touching gigabytes reruns nothing. A link to a user's own file gets that file's time,
    by which :func:`check_folder` sees whether the file may have changed since.

    Args:
        folder: the folder described.
        target: the file to write.
        known: entries of ``files`` that were hashed just before (a download), which saves reading gigabytes again.
        extra: what else the file says.
    """
    folder = Path(folder)
    files = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.resolve() != Path(target).resolve():
            before = file.stat()
            name = str(file.relative_to(folder))
            entry = (known or {}).get(name)
            files[name] = dict(entry) if entry else {"sha256": sha256_file(file), "bytes": before.st_size}
            _stamp(file, before)
    record = {"files": files, **extra}
    write_json(target, record)
    return record


def check_folder(folder: str | os.PathLike, hashes: str | os.PathLike) -> JsonDict:
    """Check that every file named in a hash file is there with its recorded content; return the record.

    Files of our own are hashed: a wrong bit in weights would give wrong numbers. One that is a link belongs to the user
    or to the hub's cache and may be many gigabytes; it is hashed only if its time is not the recorded one.

    Raises:
        UserError: a file is missing or has other content, or ``hashes`` isn't what :func:`write_folder_hashes` writes.
    """
    record = read_json(hashes)
    try:
        files = {Path(folder) / name: (entry["bytes"], entry["sha256"]) for name, entry in record["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{hashes}: holds no hashes of files; delete it and run again") from error
    for file, (size, digest) in files.items():
        altered = not file.is_file() or file.stat().st_size != size
        if not altered and not file.is_symlink():
            altered = sha256_file(file) != digest
        elif not altered:
            now = file.stat()
            # Whole seconds: not every file system keeps more.
            if int(now.st_mtime) != int(file.lstat().st_mtime):
                altered = sha256_file(file) != digest
                if not altered:
                    _stamp(file, now)
        if altered:
            raise UserError(f"{file}: missing or altered (see {hashes}); delete {hashes} and run again to rebuild it")
    return record


def _stamp(link: Path, state: os.stat_result) -> None:
    """Give a link the time of the file it points to. It isn't kept in the hash file, whose content others depend on."""
    if link.is_symlink():
        with contextlib.suppress(OSError, NotImplementedError):  # without it the file is hashed at every check
            os.utime(link, ns=(state.st_atime_ns, state.st_mtime_ns), follow_symlinks=False)
