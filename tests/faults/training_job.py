"""A fine-tuning job in a process of its own, which can be killed."""

import os
import resource
import signal
import sys
from pathlib import Path

from contrastive_context.config.safeguards import Safeguards
from contrastive_context.core import artifacts, lease
from small_models import model, tokenizer
from small_runs import RECIPE, SMALL_BATCHES, tune

PRELOAD = [
    "torch",
    "peft",
    "pyarrow.parquet",
    "transformers.models.llama.modeling_llama",
    "contrastive_context.training.optimization",
]


def job(folder: Path, kill_at: int | None = None, memory_mb: int | None = None) -> None:
    """Train and publish as the entry point does.

    Args:
        folder: holds ``state`` and, at the end, ``out``.
        kill_at: the process is killed with SIGKILL when it opens, makes, renames or removes something in ``folder``
            for the so manieth time.
        memory_mb: so much memory is left to training.
    """
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    tokenizer("llama")
    if kill_at is not None:
        _kill_at(folder, kill_at)
    network, recipe = model("llama"), SMALL_BATCHES
    if memory_mb is not None:
        # The logits of a step take 200 MB, several times over; those of one example a few MB.
        network = model("llama", vocabulary=200_000)
        recipe = RECIPE.model_copy(
            update={"micro_batch_tokens": 100_000, "examples_per_step": 48, "steps": 2, "checkpoints": [0, 2]}
        )
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_mb * 2**20,) * 2)
    state = folder / "state"
    with lease.hold(state, 60) as held:
        run = tune(state, recipe, network=network, safeguards=Safeguards(save_every_s=0), guard=held.check)
        with artifacts.atomic_folder(folder / "out") as out:
            run.publish(out, "b")
        run.tidy()


def _kill_at(folder: Path, count: int) -> None:
    left = [count]
    inside = str(folder)

    def hook(event: str, arguments: tuple) -> None:
        if event in _EVENTS and any(isinstance(value, (str, os.PathLike)) and str(value).startswith(inside)
                                    for value in arguments):  # fmt: skip
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "os.utime", "shutil.rmtree"}
