"""A lease on a folder: of several jobs that want to write it one does, and a dead one is succeeded.

Not ``flock``, which some cluster file systems lack or keep to one machine. A lease is a numbered file made with
``O_EXCL``; the highest number holds the folder. Its time is the holder's sign of life, read and compared by the file
system's clock alone, so that machines whose clocks differ agree. A successor never touches the file it succeeds: it
makes the next number, which only one of several can. A holder looks for a higher number before each save and stops
when there is one.
"""

import contextlib
import json
import logging
import os
import platform
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonMapping

log = logging.getLogger("contrastive_context")

_NAME = re.compile(r"lease-(\d{6})(\.released)?\.json")
_POLL_S = 2.0
_REMIND_AFTER_S = 600.0


class Lease:
    """What a holder has: it can ask whether the folder is still its own."""

    def __init__(self, path: Path, number: int) -> None:
        """See :func:`hold`."""
        self._path = path
        self._number = number

    def check(self) -> None:
        """Raise a :class:`UserError` if another job has taken the folder over."""
        number, path = _newest(self._path.parent)
        if number != self._number:
            by = _describe(_read(path)) if path else "somebody who removed it"
            raise UserError(
                f"{self._path.parent}: taken over by {by}, because this job gave no sign of life for too long; "
                "it stops here and leaves the rest to the other one"
            )


@contextlib.contextmanager
def hold(folder: str | Path, timeout_s: float, waiting: Callable[[], None] = lambda: None) -> Iterator[Lease]:
    """Hold the lease of ``folder`` for the length of a block; wait while another job that is alive holds it.

    A holder on this machine is dead when its process is gone, one elsewhere when it gave no sign of life for
    ``timeout_s`` seconds (one here too: it may hang or be suspended).

    Args:
        folder: made if missing.
        timeout_s: above the minute for which network file systems may show old times.
        waiting: called every two seconds or so while waiting; may raise.
    """
    folder = Path(folder)
    with artifacts.disk_errors(folder):
        number = _acquire(folder, timeout_s, waiting)
    path = folder / f"lease-{number:06d}.json"
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, timeout_s / 10, stop), daemon=True, name="lease")
    beat.start()
    try:
        yield Lease(path, number)
    finally:
        stop.set()
        beat.join()
        with contextlib.suppress(OSError):  # gone, or a full disk: the successor sees that this process is
            path.rename(path.with_suffix(".released.json"))


def is_free(folder: str | Path, timeout_s: float) -> bool:
    """Return whether nobody who is alive holds the lease of ``folder``."""
    path = _newest(Path(folder))[1]
    return path is None or _is_over(path, timeout_s)


def _acquire(folder: Path, timeout_s: float, waiting: Callable[[], None]) -> int:
    told = -_REMIND_AFTER_S
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        number, path = _newest(folder)
        if path is None or _is_over(path, timeout_s):
            with contextlib.suppress(FileExistsError, FileNotFoundError):  # another was quicker, or removed the folder
                mine = folder / f"lease-{number + 1:06d}.json"
                _create(mine)
                others = {path: n for n, path in _leases(folder) if path != mine}
                if max(others.values(), default=0) > number:  # another had this number and is done with it already
                    mine.unlink()
                    continue
                for path in others:
                    path.unlink(missing_ok=True)
                return number + 1
            continue
        if time.monotonic() - told >= _REMIND_AFTER_S:
            log.info("waiting for %s, which works in %s", _describe(_read(path)), folder)
            told = time.monotonic()
        waiting()
        time.sleep(min(_POLL_S, timeout_s / 10))


def _create(path: Path) -> None:
    record = {**_host(), "pid": os.getpid(), "started": _start_of(os.getpid()), "job": os.environ.get("SLURM_JOB_ID")}
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(record, file)


def _beat(path: Path, every_s: float, stop: threading.Event) -> None:
    while not stop.wait(every_s):
        with contextlib.suppress(OSError):  # a file server that is away for a while; ownership is checked at each save
            os.utime(path)


def _newest(folder: Path) -> tuple[int, Path | None]:
    """Return the highest number and its file; 0 and None without a lease."""
    with contextlib.suppress(FileNotFoundError):
        return max(_leases(folder), default=(0, None), key=lambda item: item[0])
    return 0, None


def _leases(folder: Path) -> list[tuple[int, Path]]:
    return [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]


def _is_over(path: Path, timeout_s: float) -> bool:
    if (name := _NAME.fullmatch(path.name)) and name[2]:
        return True
    try:
        # Opened, not just looked at: network file systems refresh what they know of a file then.
        with path.open("rb") as file, tempfile.TemporaryFile(dir=path.parent) as now:
            silent_s = os.fstat(now.fileno()).st_mtime - os.fstat(file.fileno()).st_mtime
            record = _parse(file.read())
    except FileNotFoundError:
        return False  # released or succeeded just now; the caller looks again
    if silent_s > timeout_s:
        return True
    here = _host()
    if not record or any(record.get(key) != value for key, value in here.items()):
        return False
    return _start_of(record["pid"]) != record["started"]


def _read(path: Path) -> JsonMapping:
    with contextlib.suppress(OSError):
        return _parse(path.read_bytes())
    return {}


def _parse(content: bytes) -> JsonMapping:
    """Read a lease's record; empty if its job was killed before it was written, or it is damaged."""
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(content)
        if isinstance(record, dict) and record.keys() >= {*_host(), "pid", "started", "job"}:
            return record
    return {}


def _describe(record: JsonMapping) -> str:
    if not record:
        return "another job"
    job = f"SLURM job {record['job']}, " if record["job"] else ""
    return f"another job ({job}process {record['pid']} on {record['host']})"


def _host() -> dict[str, str]:
    """What must agree before a process id means anything: the machine, its start, and the container."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    return {
        "host": platform.node(),
        "boot": boot.read_text().strip() if boot.exists() else "",
        "processes": str(namespace.readlink()) if namespace.is_symlink() else "",
    }


def _start_of(pid: int) -> str | None:
    """Return when a process of this machine started, or None if it is gone: process ids are used again."""
    try:
        # The name, in parentheses, may hold blanks; the start is the 22nd field, the state the third.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except ProcessLookupError:
        return None
    else:
        return None if fields[0] in "ZX" else fields[19]
    try:  # no /proc: macOS
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"
