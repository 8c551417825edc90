"""A disk that fills while a state is saved."""

import contextlib
import subprocess

import pytest

from contrastive_context.config.safeguards import Safeguards
from contrastive_context.core.errors import UserError
from contrastive_context.training.interruptions import Interruptions
from contrastive_context.training.state import RunState
from small_runs import SMALL_BATCHES, numbers, tune


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command: a full disk can't be tried")
    if made.returncode:
        pytest.skip(f"a small disk can't be mounted here, root is needed ({made.stderr.strip()})")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class FillDisk(Interruptions):
    """Fills the disk, but for a rest, before training's third step."""

    def __init__(self, folder, rest_kb):
        super().__init__()
        self.ballast, self.rest, self.steps = folder / "ballast", rest_kb * 1024, 0

    def check(self, needed_s=None):
        self.steps += needed_s is not None  # given between steps only
        if self.steps == 3 and not self.ballast.exists():
            with self.ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(1024)):
                    pass
            with self.ballast.open("r+b") as file:
                file.truncate(self.ballast.stat().st_size - self.rest)


@pytest.mark.parametrize("rest_kb", [0, 8, 32])
def test_a_full_disk(small_disk, tmp_path, rest_kb):
    recipe = SMALL_BATCHES.model_copy(update={"checkpoints": [0, 4]})
    expected = numbers(tune(tmp_path, recipe))
    often, disk = Safeguards(save_every_s=0), FillDisk(small_disk, rest_kb)
    with pytest.raises(UserError, match=r"no space left on the disk; free some and run the same command again"):
        tune(small_disk / "state", recipe, disk, safeguards=often)
    state = RunState(small_disk / "state", [0, 4])
    assert state.newest(99) == 2 and not list(state.folder.glob(".tmp*"))
    with pytest.raises(UserError, match="no space left on the disk"):
        tune(small_disk / "state", recipe, safeguards=often)
    assert RunState(small_disk / "state", [0, 4]).newest(99) == 2
    disk.ballast.unlink()
    assert numbers(tune(small_disk / "state", recipe, safeguards=often)) == expected
