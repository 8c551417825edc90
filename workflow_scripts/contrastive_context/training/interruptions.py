"""When training should stop before its end: a signal, or a job's time running out."""

import contextlib
import logging
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from types import FrameType

from contrastive_context.core.errors import UserError

log = logging.getLogger("contrastive_context")

#: Exit status of a job that ran out of time: "try again" (sysexits.h, EX_TEMPFAIL).
OUT_OF_TIME = 75
_SLURM_TIMEOUT_S = 30


class Stopped(UserError):
    """Training stopped early at somebody's request. ``status`` is the exit status; ``out_of_time`` tells why."""

    def __init__(self, message: str, status: int) -> None:
        """See the class."""
        super().__init__(message)
        self.status = status

    @property
    def out_of_time(self) -> bool:
        """Whether the time ran out, rather than somebody wanting the job to end."""
        return self.status == OUT_OF_TIME


class Interruptions:
    """Collects signals instead of dying of them, and watches the clock.

    SIGTERM (scancel, preemption, a time limit) and SIGINT (Ctrl-C) ask for an end. SIGUSR1, which SLURM sends ahead of
    the time limit where ``--signal`` asks for it, means the time runs out. A second Ctrl-C doesn't wait.

    Args:
        seconds_left: of the job's time from now on; None without a limit.
        reserve_s: how long before the limit to stop; at most a tenth of what is left.
    """

    def __init__(self, seconds_left: float | None = None, reserve_s: float = 0) -> None:
        """See the class."""
        self._deadline = None
        if seconds_left is not None:
            self._deadline = time.monotonic() + seconds_left - min(reserve_s, seconds_left / 10)
        self._signal: int | None = None

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Collect signals within a block."""
        if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
            yield
            return
        previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT == self._signal:
            raise KeyboardInterrupt
        self._signal = number

    def check(self, needed_s: float = 0) -> None:
        """Raise :class:`Stopped` if a signal came or less than ``needed_s`` seconds are left."""
        if self._signal == signal.SIGUSR1:
            raise Stopped("SIGUSR1, sent ahead of the time limit", OUT_OF_TIME)
        if self._signal is not None:
            raise Stopped(signal.Signals(self._signal).name, 128 + self._signal)
        if self._deadline is not None and time.monotonic() + needed_s > self._deadline:
            raise Stopped("the job's time is nearly over", OUT_OF_TIME)


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def seconds_left() -> float | None:
    """Return what is left of this SLURM job's time; None outside of SLURM, without a limit, or if SLURM won't tell."""
    if end := os.environ.get("SLURM_JOB_END_TIME"):  # newer versions of SLURM
        with contextlib.suppress(ValueError):
            return max(0.0, float(end) - time.time())
    if not (job := os.environ.get("SLURM_JOB_ID")):
        return None
    try:
        # What is left rather than when it ends: no time zone and no second clock comes in.
        told = _ask_slurm("squeue", "--noheader", "--jobs", job, "--format", "%L").strip()
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("the time limit of SLURM job %s is unknown (%s); only periodic saves protect it", job, error)
        return None
    return parse_time_left(told)


def parse_time_left(text: str) -> float | None:
    """Return the seconds of SLURM's ``[days-][[hours:]minutes:]seconds``; None for UNLIMITED, INVALID and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


@contextlib.contextmanager
def requeued_when_out_of_time() -> Iterator[None]:
    """Have SLURM start this job again if the block ends because its time is over; the exception passes on."""
    try:
        yield
    except Stopped as stop:
        if stop.out_of_time:
            _requeue()
        raise


def _requeue() -> bool:
    if not (job := os.environ.get("SLURM_JOB_ID")):
        return False
    try:
        _ask_slurm("scontrol", "requeue", job)
    except (OSError, subprocess.SubprocessError) as error:
        refusal = (getattr(error, "stderr", None) or str(error)).strip()
        log.warning("SLURM doesn't requeue job %s: %s", job, refusal)
        return False
    log.info("SLURM job %s is requeued and goes on from the saved state", job)
    return True


def _ask_slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SLURM_TIMEOUT_S).stdout
