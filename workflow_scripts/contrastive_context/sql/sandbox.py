"""Untrusted SQL on a SQLite database: in a child process, read-only, within limits of time, memory and rows."""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Literal, NamedTuple

from contrastive_context.config.sql import Limits
from contrastive_context.sql import child

_GRACE = 2.0  # seconds that a child has beyond a query's own limit, before it is killed
_START = 30.0  # more for its first answer: the interpreter has to start, perhaps on a busy machine


class Outcome(NamedTuple):
    """What came of a query.

    Attributes:
        status: ``rows`` if it ran to its end.
        message: why it didn't.
        rows: how many it gave.
        digest: of the *set* of its rows: two queries have the same one if and only if ``set(a) == set(b)`` for their
            rows as Python tuples.
    """

    status: Literal["rows", "error", "timeout"]
    message: str = ""
    rows: int = 0
    digest: str = ""


def same_rows(one: Outcome, other: Outcome) -> bool:
    """Whether two queries ran and gave the same set of rows; errors and timeouts match nothing."""
    return one.status == other.status == "rows" and one.digest == other.digest


class Sandbox:
    """Runs queries one after the other in a child process; a child that dies is replaced. Close it in the end.

    Args:
        limits: of each query.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = False
        self._rest = b""

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with contextlib.suppress(OSError):  # a request that a dead child never read
                _pipe(self._process.stdin).close()
            _pipe(self._process.stdout).close()
        self._process = None

    def run(self, database: Path, sql: str) -> Outcome:
        """Run one query on a database file. Whatever the query is, this returns, and the file is unchanged."""
        process = self._process or self._start()
        request = {"database": str(database.absolute()), "sql": sql, **self._limits.model_dump()}
        seconds = self._limits.seconds
        try:
            requests = _pipe(process.stdin)
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
            deadline = time.monotonic() + seconds + _GRACE + (0 if self._answered else _START)
            line = self._line(_pipe(process.stdout).fileno(), deadline)
        except TimeoutError:
            self.close()
            return Outcome("timeout", f"more than {seconds:g} s; its process was killed")
        except OSError:
            line = None
        if line is None:
            status = process.wait()
            self.close()
            return Outcome("error", f"its process died ({_reason(status)})")
        self._answered = True
        return Outcome(**json.loads(line))

    def _start(self) -> "subprocess.Popen[bytes]":
        # Without the caller's environment: a query could read none of it anyway, and needs none.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )
        self._answered, self._rest = False, b""
        return self._process

    def _line(self, output: int, deadline: float) -> bytes | None:
        """Read one line of the child's answers from a file descriptor; None at their end.

        Raises:
            TimeoutError: the deadline has passed.
        """
        while b"\n" not in self._rest:
            ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            if not (read := os.read(output, 1 << 16)):
                return None
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # started with pipes
    return stream


def _reason(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
