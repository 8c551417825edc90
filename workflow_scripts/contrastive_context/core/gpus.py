"""Which GPU a job takes on a machine without a scheduler: one that no other job of the same user has.

SLURM gives each job its own, and says so in ``CUDA_VISIBLE_DEVICES``. Elsewhere every job would take the first one.
"""

import atexit
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from contrastive_context.core import lease

log = logging.getLogger("contrastive_context")

JOBS_PER_GPU = "CONTRASTIVE_CONTEXT_JOBS_PER_GPU"
"""Variable by which the workflow tells its jobs ``cluster.jobs_per_gpu``."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_TIMEOUT_S = 120.0  # without a sign of life; a process that is gone frees its GPU at once
_POLL_S = 2.0


class _HeldError(Exception):
    """Another job has the lease."""


def use_one() -> None:
    """Let this process see one GPU only, of which it has a lease until it ends; wait for one that is free.

    ``CUDA_VISIBLE_DEVICES`` says which there are, else all of NVIDIA's count. Nothing changes where SLURM gave this job
    one GPU, nor where none is found (other makers'). Jobs within an allocation of several share them out. Where SLURM
    names no GPU, all of the machine count, as they do without SLURM.
    """
    if not (gpus := listed()) or ("SLURM_JOB_ID" in os.environ and len(gpus) == 1):
        return
    # Two allocations of one machine may both number their GPUs from 0.
    job = os.environ.get("SLURM_JOB_ID") if _VISIBLE in os.environ else None
    name = "-".join(filter(None, ("contrastive-context-gpus", str(os.getuid()), job)))
    gpu = take(gpus, int(os.environ.get(JOBS_PER_GPU, "1")), Path(tempfile.gettempdir(), name))
    os.environ[_VISIBLE] = gpu


def listed() -> list[str]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if _VISIBLE in os.environ:
        return [name.strip() for name in os.environ[_VISIBLE].split(",") if name.strip()]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def take(gpus: Sequence[str], jobs_per_gpu: int, folder: Path, timeout_s: float = _TIMEOUT_S) -> str:
    """Return a GPU of which this process has a lease from now to its end; wait while all are taken.

    Args:
        gpus: their names.
        jobs_per_gpu: how many jobs may share one.
        folder: of the leases, the same for all jobs of a machine.
        timeout_s: a holder without a sign of life for so long is taken for dead; one whose process is gone is at once.
    """
    leases = [(gpu, folder / gpu / str(number)) for number in range(jobs_per_gpu) for gpu in gpus]
    told = False
    while True:
        for gpu, path in leases:
            with contextlib.suppress(_HeldError):
                if lease.is_free(path, timeout_s):
                    stack = contextlib.ExitStack()
                    stack.enter_context(lease.hold(path, timeout_s, waiting=_give_up))
                    atexit.register(stack.close)
                    return gpu
        if not told:
            log.info("waiting for a GPU: other jobs have %s; cluster.jobs_per_gpu lets them share", ", ".join(gpus))
            told = True
        time.sleep(min(_POLL_S, timeout_s / 10))


def _give_up() -> None:
    raise _HeldError
