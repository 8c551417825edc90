"""What a fine-tuning run leaves for its successor: the whole state of training at some steps, with checksums.

A state is a folder ``step-000100``: the adapter as it is published, what else training needs to go on exactly, and the
log so far. It is written under another name, synced and renamed; the list of its checksums comes last. So a state is
there whole or not at all, and one that was damaged later is noticed. The run's checkpoints are states that are kept.
"""

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from contrastive_context.core import artifacts, journal, lease
from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.json_types import JsonDict, JsonMapping

log = logging.getLogger("contrastive_context")

LOG = "trainer_log.jsonl"
_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"  # as peft names them
_CHECKSUMS = "checksums.json"
_FAILURE = "stopped.json"


class RunState:
    """The states of one run.

    Args:
        folder: of this run, these settings and these inputs alone; made if missing.
        checkpoints: steps whose adapters the run publishes; the last is its end.
        keep: newest states kept beside the checkpoints.
        guard: called before anything is put into or taken out of the folder; raises if it is no longer ours.
    """

    def __init__(
        self,
        folder: str | Path,
        checkpoints: Collection[int],
        keep: int = 2,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        """See the class."""
        self.folder = Path(folder)
        with artifacts.disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoints = sorted(checkpoints)
        self._keep = keep
        self._guard = guard
        self._damage: dict[int, str | None] = {}

    def path(self, step: int) -> Path:
        """Return the folder of a step's state."""
        return self.folder / f"step-{step:06d}"

    @property
    def log_file(self) -> Path:
        """The log of a run under way, for people to look at; each state has its own."""
        return self.folder / LOG

    def has(self, step: int) -> bool:
        """Return whether the state of ``step`` is there and every byte of it as it was written."""
        if step not in self._damage:
            if not self.path(step).is_dir():
                return False
            self._damage[step] = _find_damage(self.path(step))
            if self._damage[step]:
                log.warning("%s: %s; this state is not used", self.path(step), self._damage[step])
        return self._damage[step] is None

    def newest(self, at_most: int) -> int | None:
        """Return the last step up to ``at_most`` whose state verifies, or None."""
        return next((step for step in reversed(self._steps()) if step <= at_most and self.has(step)), None)

    @property
    def is_finished(self) -> bool:
        """Whether all checkpoints are there: nothing is left to train."""
        return all(self.has(step) for step in self.checkpoints)

    @contextlib.contextmanager
    def save(self, step: int) -> Iterator[Path]:
        """Yield an empty folder for the state of ``step``; at the end add checksums and remove states no longer needed.

        Raises:
            UserError: the disk is full, the folder can't be written, or another job has taken over. What was saved
                before is untouched.
        """
        path = self.path(step)
        with artifacts.atomic_folder(path) as folder:
            yield folder
            checksums = {file.name: artifacts.sha256_file(file) for file in sorted(folder.iterdir())}
            (folder / _CHECKSUMS).write_text(json.dumps(checksums, indent=2) + "\n", encoding="utf-8")
            self._guard()
        with contextlib.suppress(OSError):  # not every file system syncs folders
            _sync_folder(self.folder)
        self._damage[step] = None
        spare = [other for other in self._steps() if other <= step and other not in self.checkpoints]
        damaged = [other for other in spare if self._damage.get(other)]
        for other in damaged + [other for other in spare if other not in damaged][: -self._keep]:
            self._remove(other)

    def publish(self, folder: str | Path, base_sha256: str) -> JsonDict:
        """Put adapters, ``trainer_log.jsonl`` and, last, ``adapters.json`` of a finished run into ``folder``.

        Files are linked where the file system can, so that adapters don't take their space twice.

        Returns:
            The content of ``adapters.json``.
        """
        folder = Path(folder)
        steps = {}
        for step in self.checkpoints:
            source, target = self.path(step), folder / f"step-{step:06d}"
            target.mkdir(parents=True, exist_ok=True)
            for name in (_WEIGHTS, _CONFIG):
                _link(source / name, target / name)
            known = _read_checksums(source)
            steps[str(step)] = {"folder": target.name, "sha256": known[_WEIGHTS], "config_sha256": known[_CONFIG]}
        shutil.copyfile(self.path(self.checkpoints[-1]) / LOG, folder / LOG)
        record = {"base_sha256": base_sha256, "steps": steps}
        artifacts.write_json(folder / "adapters.json", record)
        return record

    def tidy(self) -> None:
        """Remove what a finished run doesn't need: states beside its checkpoints and what killed jobs left behind."""
        for step in self._steps():
            if step not in self.checkpoints:
                self._remove(step)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Remove half-written states of jobs that were killed. Whoever holds the folder may: nobody else writes."""
        self._guard()
        for path in self.folder.glob(".tmp-step-*"):
            shutil.rmtree(path, ignore_errors=True)

    def write_failure(self, failure: JsonDict) -> None:
        """Keep why training stopped for good; a rerun of the same training would stop there again."""
        self._guard()
        artifacts.write_json(self.failure_file, failure)

    def read_failure(self) -> JsonDict | None:
        """Return what :meth:`write_failure` kept; None without it, or if it is damaged."""
        with contextlib.suppress(FileNotFoundError, ValueError, RecursionError):
            failure = json.loads(self.failure_file.read_text(encoding="utf-8"))
            if isinstance(failure, dict) and failure.keys() >= {"message", "max_loss_factor"}:
                return failure
        return None

    @property
    def failure_file(self) -> Path:
        """Where the failure is noted; without it training is tried again."""
        return self.folder / _FAILURE

    def _steps(self) -> list[int]:
        return sorted(int(path.name[5:]) for path in self.folder.glob("step-*") if path.name[5:].isdigit())

    def _remove(self, step: int) -> None:
        self._guard()
        shutil.rmtree(self.path(step), ignore_errors=True)
        self._damage.pop(step, None)


def fingerprint(settings: JsonMapping, code: str, files: Mapping[str, str | Path | None]) -> str:
    """Return what names the states of this training and of no other: base, data, hyper-parameters and code.

    Args:
        settings: the step's settings, defaults included and without its code's version.
        code: that version.
        files: the step's inputs by the names of their options; their content counts.
    """
    # Checkpoints change no step; a new one is reached from the state before it.
    recipe = {name: value for name, value in settings["recipe"].items() if name != "checkpoints"}
    inputs = {name: files.get(name) for name in ("model", "corpus", "contexts", "paraphrases")}
    return journal.fingerprint(canonical_json({**settings, "recipe": recipe}), code, files=inputs)


def remove_superseded(folder: str | Path, current: str, timeout_s: float) -> None:
    """Remove the states of other fingerprints than ``current``, as their results were replaced; none that is in use."""
    for other in Path(folder).iterdir():
        if other.is_dir() and other.name != current and lease.is_free(other, timeout_s):
            shutil.rmtree(other, ignore_errors=True)


def _find_damage(folder: Path) -> str | None:
    """Return what is wrong with a state, or None."""
    try:
        checksums = _read_checksums(folder)
        present = {file.name for file in folder.iterdir()} - {_CHECKSUMS}
        if lost := checksums.keys() ^ present:
            return f"{min(lost)} is missing or doesn't belong to it"
        altered = [name for name, digest in checksums.items() if artifacts.sha256_file(folder / name) != digest]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        return f"can't be read ({error})"
    return f"{altered[0]} has changed since it was written" if altered else None


def _read_checksums(folder: Path) -> dict[str, str]:
    return json.loads((folder / _CHECKSUMS).read_text(encoding="utf-8"))


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
