"""Where a step computes: refuse early when a GPU is missing, and set torch up for repeatable results."""

import functools
import os
from pathlib import Path

from contrastive_context.core import gpus
from contrastive_context.core.errors import UserError

_GPU_NODES = ("nvidia*", "kfd", "dxg")  # CUDA, ROCm, WSL


def require_gpu(device: str, key: str) -> None:
    """Refuse ``device`` "cuda" where no GPU is visible, else take one; loads no torch: a job fails in its first second.

    Without a scheduler each job gets a GPU of its own (:mod:`~contrastive_context.core.gpus`).

    Args:
        device: "cpu" or "cuda".
        key: the entry in the configuration that asks for it, for instance "models.big", for the message.

    Raises:
        UserError: "cuda" was asked for and no GPU is visible.
    """
    if device == "cuda" and not _gpu_visible():
        raise UserError(
            f"{key}.device is cuda but no GPU is visible here; run the job where there is one "
            "(on SLURM: ask for a GPU), or set the key to cpu"
        )
    if device == "cuda":
        _take_gpu()


@functools.cache  # a step may ask for each of its models
def _take_gpu() -> None:
    gpus.use_one()


def _gpu_visible() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1", "NoDevFiles"):
        return False
    return any(True for pattern in _GPU_NODES for _ in Path("/dev").glob(pattern))


def set_up_torch(device: str, threads: int) -> None:
    """Set torch's threads; on a CPU ask for deterministic algorithms (same threads, same bits).

    Raises:
        UserError: "cuda" was asked for and torch can't use a GPU.
    """
    import torch

    torch.set_num_threads(threads)
    if device == "cpu":
        torch.use_deterministic_algorithms(True)
        # A debugging aid that costs time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # its class is swapped
    elif not torch.cuda.is_available():
        raise UserError("device is cuda but this torch can't use a GPU; install a CUDA build of torch, or use cpu")


def peak_memory_mb(device: str) -> float:
    """Return the peak memory of this process so far in MiB: of the GPU on "cuda", resident memory on "cpu"."""
    if device == "cuda":
        import torch

        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)  # bytes on macOS, KiB elsewhere
