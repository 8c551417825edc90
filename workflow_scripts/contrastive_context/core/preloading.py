"""Start-up of short jobs: one process per machine imports torch and transformers, and forks a child for each job.

Importing them takes seconds, more than many a job of a tiny model computes. So the first job of a run on this machine
starts a process that imports them and waits; the next jobs ask it, over a socket that only the user can open, for a
child that runs the same entry point: with the job's arguments, folder, environment, limits, standard streams and
signals. The job's own process waits, hands signals on, and ends with the child's status; when it dies, so does the
child. Where there is no such process, or it dies, a job starts by itself as ever. multiprocessing's fork server works
alike, but serves the children of one process only.

The waiting process has the environment of the jobs, thread limits included, which libraries read as they are imported:
a job with another environment gets another one. It computes nothing itself, so a fork loses no threads that work. It
ends with the workflow. Jobs on a GPU start by themselves: CUDA doesn't outlive a fork.
"""

import array
import atexit
import contextlib
import gc
import hashlib
import importlib
import json
import os
import runpy
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

FOLDER = "CONTRASTIVE_CONTEXT_PRELOADED"
"""Variable by which the workflow tells its jobs the folder of the sockets."""
MODULES = (
    "numpy", "pandas", "pyarrow.parquet", "scipy.stats", "torch", "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto", "peft",
    "safetensors.torch", "tqdm", "pydantic",
    # Our own, as they were when the workflow began: so were the code versions that its results have.
    "contrastive_context.inference.probing", "contrastive_context.inference.resuming",
    "contrastive_context.training.finetuning", "contrastive_context.workflow.code_versions",
    "contrastive_context.models.transformers_internals:prepare_loading",
)  # fmt: skip
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# What a shell changes from job to job, and no library reads.
_IGNORED = ("_", "COLUMNS", "LINES", "OLDPWD", "PWD", "SHLVL")
_OWNER = "owner"
_held: list[TextIO] = []
_POLL_S = 1.0
_IDLE_S = 600.0
_KILLED = 128 + signal.SIGKILL


def open_folder() -> Path:
    """Make the folder for this workflow's jobs, name it to them, and remove it when this process ends."""
    import fcntl

    folder = Path(tempfile.mkdtemp(prefix="contrastive-context-"))  # for the user alone
    owner = (folder / _OWNER).open("w")
    fcntl.flock(owner, fcntl.LOCK_EX)  # until this process ends, however it does
    os.environ[FOLDER] = str(folder)
    _held.append(owner)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _is_owned(folder: Path) -> bool:
    import fcntl

    try:
        with (folder / _OWNER).open("r") as owner:
            fcntl.flock(owner, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # the folder is gone
    return False


def run_in_child(modules: Sequence[str] = MODULES) -> int | None:
    """Run this entry point in a child of the waiting process; return its exit status.

    Args:
        modules: what the waiting process imports.

    Returns:
        None where nothing was run: there is no folder, no such process yet (it is started for the next job), or it
        doesn't answer.
    """
    folder = Path(os.environ.get(FOLDER, ""))
    if not os.environ.get(FOLDER) or "SLURM_JOB_ID" in os.environ or not hasattr(os, "fork"):
        return None
    environment = {name: value for name, value in os.environ.items() if name not in _IGNORED}
    described = [sys.executable, sys.path[0], sorted(environment.items()), list(modules)]
    name = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(folder / f"{name}.socket"))
            _ask(connection)
            return _wait(connection)
    except OSError:
        _start(folder, name, modules)
        return None


def _ask(connection: socket.socket) -> None:
    import resource

    kinds = {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
    mask = os.umask(0)
    os.umask(mask)
    job = {
        "arguments": sys.argv,
        "folder": str(Path.cwd()),
        "environment": {name: value for name, value in os.environ.items() if name != FOLDER},
        "umask": mask,
        "limits": [(kind, resource.getrlimit(kind)) for kind in kinds],
        "nice": os.nice(0),
        "processors": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
    }
    content = json.dumps(job).encode()
    socket.send_fds(connection, [struct.pack("!I", len(content))], [0, 1, 2])
    connection.sendall(content)


def _wait(connection: socket.socket) -> int | None:
    """Wait for the child and hand signals on to it."""
    if not (answer := connection.recv(4)):
        return None  # the process died before it forked
    (child,) = struct.unpack("!I", answer)

    def forward(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    # From here on the job has begun: whatever breaks the connection, it isn't run a second time.
    with contextlib.suppress(OSError):
        if status := connection.recv(1):
            return status[0]
    return _KILLED  # what can't say how it ended was killed


def _start(folder: Path, name: str, modules: Sequence[str]) -> None:
    """Start the waiting process, if no other job has."""
    with contextlib.suppress(OSError):
        (folder / f"{name}.started").open("x").close()
        call = f"import sys; sys.path[0] = {sys.path[0]!r}; from {__name__} import serve; serve(*sys.argv[1:])"
        subprocess.Popen(
            [sys.executable, "-c", call, str(folder / f"{name}.socket"), *modules],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def serve(path: str, *modules: str) -> None:
    """Import modules, then fork a child for each job that asks, as long as the workflow runs.

    Args:
        path: of the socket.
        modules: names of modules, each with the name of a function to be called after a colon, if there is one.
    """
    for entry in modules:
        module, _, function = entry.partition(":")
        imported = importlib.import_module(module)
        if function:
            getattr(imported, function)()
    gc.collect()
    gc.freeze()  # what is there stays, and children needn't copy it to count it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    if (asked := _listen(Path(path))) is not None:
        _run(*asked)


def _listen(path: Path) -> tuple[socket.socket, dict[str, Any], list[int]] | None:
    """Fork a child for each job that asks. Returns what it asked for in the child, None in the end."""
    idle = 0.0
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(f"{path}.new")
            listener.listen(64)
            Path(f"{path}.new").rename(path)  # there when it answers
        except OSError:
            return None
        listener.settimeout(_POLL_S)
        while _is_owned(path.parent) and idle < _IDLE_S:
            try:
                connection = listener.accept()[0]
            except TimeoutError:
                idle += _POLL_S
                continue
            idle = 0.0
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(10)
                job, streams = _receive(connection)
                if os.fork() == 0:
                    return connection.dup(), job, streams
                for stream in streams:
                    os.close(stream)
    if _is_owned(path.parent):  # a later job may start another one
        path.unlink(missing_ok=True)
        path.with_suffix(".started").unlink(missing_ok=True)
    else:
        shutil.rmtree(path.parent, ignore_errors=True)
    return None


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    header, streams, *_ = socket.recv_fds(connection, 4, 3)
    (length,) = struct.unpack("!I", header)
    content = b""
    while len(content) < length:
        if not (part := connection.recv(length - len(content))):
            raise ValueError("the job is gone")
        content += part
    return json.loads(content), list(array.array("i", streams))


def _run(connection: socket.socket, job: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the job: take over what it has, run its entry point, and tell it the exit status in the end."""
    import resource

    os.setpgid(0, 0)
    for number in (*_FORWARDED, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(job["folder"])
    os.umask(job["umask"])
    os.nice(job["nice"] - os.nice(0))
    if job["processors"]:
        os.sched_setaffinity(0, job["processors"])
    for kind, limits in job["limits"]:
        with contextlib.suppress(ValueError, OSError):  # none may be raised above this process's own
            resource.setrlimit(kind, tuple(limits))
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.argv = job["arguments"]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    connection.settimeout(None)
    connection.sendall(struct.pack("!I", os.getpid()))
    status = 1

    def tell() -> None:  # registered first, so called last
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.suppress(OSError):
            connection.sendall(bytes([status & 0xFF]))

    atexit.register(tell)
    threading.Thread(target=_die_with, args=(connection,), daemon=True).start()
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.exit(status)


def _die_with(connection: socket.socket) -> None:
    """Wait for the end of the job's own process, and end with it."""
    with contextlib.suppress(OSError):
        if not connection.recv(1):
            os.kill(os.getpid(), signal.SIGKILL)
