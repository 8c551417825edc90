"""Every stage without a model is disturbed at a place drawn with a seed, and started again.

``FAULT_TRIALS`` sets how many trials there are.
"""

import os
import random
import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path

from disks import can_mount, nearly_full, read_only, small_disk
from forkserver import forkserver
from stages import PRELOAD, VARYING, End, Stage, copy_results, damage, finish, stages_of, start
from trials import RECOVERED, REFUSED, WRONG, Outcome, WrongError, require, summary

TRIALS = int(os.environ.get("FAULT_TRIALS", "220"))
SIGNALS = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
DAMAGES = ("truncated", "bit flipped", "empty", "folder")
NEED_ROOT = ("full disk", "read-only disk")
FAULTS = (
    *SIGNALS,
    "kill -9 at any moment",
    *NEED_ROOT,
    *(f"input {kind}" for kind in DAMAGES),
    *(f"output {kind}" for kind in DAMAGES),
    "two at once",
)


class Bench:
    """The undisturbed results, the stages, and the folder in which trials are made."""

    def __init__(self, finished: Path, folder: Path, context: BaseContext) -> None:
        (folder / "empty").mkdir()
        self.finished, self.folder = finished, folder
        self.stages = stages_of(finished, folder / "empty")
        self.producers = {path: stage for stage in self.stages for path in stage.outputs}
        self.context = context
        self.faults = [fault for fault in FAULTS if can_mount() or fault not in NEED_ROOT]

    def trial(self, number: int) -> Outcome:
        fault = self.faults[number % len(self.faults)]
        rng = random.Random(number)
        # First stages read nothing that could be damaged.
        stage = rng.choice([one for one in self.stages if one.described_inputs or not fault.startswith("input")])
        folder = self.folder / f"trial-{number}"
        folder.mkdir()
        try:
            return Outcome(fault, Trial(self, stage, folder, rng).run(fault))
        except (WrongError, OSError) as error:
            return Outcome(fault, WRONG, f"trial {number}, {stage.rule}: {error!r}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Trial:
    """One stage, disturbed once in a folder of its own; each method returns how it ended."""

    def __init__(self, bench: Bench, stage: Stage, folder: Path, rng: random.Random) -> None:
        self.bench, self.stage, self.rng = bench, stage, rng
        self.folder = folder / "run"

    def run(self, fault: str) -> str:
        what, _, kind = fault.partition(" ")
        if fault == "full disk":
            with small_disk(self.folder, 64):
                return self.full_disk()
        self.folder.mkdir()
        copy_results(self.bench.finished, self.folder)
        if what == "output":
            damage(self.folder / self.rng.choice(self.stage.outputs), kind, self.rng)
            return self.restart(self.stage)
        self.remove_outputs()
        if what == "input":
            return self.damaged_input(kind)
        if fault == "read-only disk":
            with read_only(self.folder):
                self.require_refusal(self.start_and_finish(), "can't be written")
            return self.recovers(REFUSED)
        if fault == "two at once":
            return self.two_at_once()
        if fault == "kill -9 at any moment":
            process = start(self.bench.context, self.folder, self.stage)
            process.join(self.rng.uniform(0, 1))
            process.kill()
            process.join()
        else:
            number = SIGNALS[fault]
            end = self.start_and_finish(at_touch=(self.rng.randint(1, 40), number))
            expected = -number if fault == "kill -9" else 128 + number
            require(end.status in (expected, 0), f"status {end.status}: {end.said[-500:]}")
            require("Traceback" not in end.said, end.said[-500:])
        self.require_whole_outputs()
        return self.recovers(RECOVERED)

    def full_disk(self) -> str:
        copy_results(self.bench.finished, self.folder, links=False)
        self.remove_outputs()
        with nearly_full(self.folder, self.rng.choice([0, 4, 16, 64, 256]) * 1024):
            end = self.start_and_finish()
            if end.status:
                self.require_refusal(end, "no space left")
            self.require_whole_outputs()
        left = list(self.folder.rglob(".tmp-*"))
        require(not left, f"temporaries left: {left}")
        return self.recovers(REFUSED if end.status else RECOVERED)

    def damaged_input(self, kind: str) -> str:
        path = self.rng.choice(self.stage.described_inputs)
        damage(self.folder / path, kind, self.rng)
        end = self.start_and_finish()
        self.require_refusal(end, path)
        require(not any((self.folder / output).exists() for output in self.stage.outputs), "made from a damaged input")
        self.mend(path)
        return self.recovers(REFUSED)

    def two_at_once(self) -> str:
        both = [start(self.bench.context, self.folder, self.stage, said=f"said-{n}") for n in (1, 2)]
        ends = [finish(process, self.folder, f"said-{n}") for n, process in enumerate(both, start=1)]
        require(any(end.status == 0 for end in ends), f"neither ended well: {ends[0].said[-300:]}")
        for end in ends:
            if end.status:
                self.require_refusal(end, "run the same command again")
        self.require_equal_outputs()
        return self.recovers(RECOVERED)

    def restart(self, stage: Stage) -> str:
        """Start a stage; if it refuses, do what it says and start it once more."""
        end = self.start_and_finish()
        if end.status == 0:
            self.require_equal_outputs()
            return RECOVERED
        self.require_refusal(end, "remove it")
        shutil.rmtree(self.folder / re.search(r"error: (results/\S+):", end.said)[1])
        return self.recovers(REFUSED)

    def mend(self, path: str) -> None:
        """Delete a file and make it again, as Snakemake would."""
        file = self.folder / path
        shutil.rmtree(file) if file.is_dir() else file.unlink()
        if producer := self.bench.producers.get(path):
            require(self.start_and_finish(producer).status == 0, f"{producer.rule} doesn't make {path} again")
            self.require_equal_outputs(producer)
        else:  # a model's work, of which other tests make sure that it is the same again
            shutil.copy2(self.bench.finished / path, file)

    def start_and_finish(self, stage: Stage | None = None, at_touch: tuple[int, int] | None = None) -> End:
        return finish(start(self.bench.context, self.folder, stage or self.stage, at_touch), self.folder)

    def recovers(self, verdict: str) -> str:
        end = self.start_and_finish()
        require(end.status == 0, f"not recovered: {end.said[-500:]}")
        self.require_equal_outputs()
        return verdict

    def remove_outputs(self) -> None:
        for path in self.stage.outputs:
            (self.folder / path).unlink()

    def require_refusal(self, end: End, says: str) -> None:
        require(end.status == 2, f"status {end.status} where a refusal was due: {end.said[-500:]}")
        require(says in end.said and "Traceback" not in end.said, f"a refusal without {says!r}: {end.said[-500:]}")

    def require_whole_outputs(self) -> None:
        self.require_equal_outputs(some_missing=True)

    def require_equal_outputs(self, stage: Stage | None = None, *, some_missing: bool = False) -> None:
        for path in (stage or self.stage).outputs:
            file = self.folder / path
            if Path(path).name in VARYING or (some_missing and not file.exists()):
                continue
            expected = (self.bench.finished / path).read_bytes()
            require(file.is_file() and file.read_bytes() == expected, f"{path} is not what an undisturbed run leaves")


def test_disturbed_stages(tiny_study, tmp_path, record_property):
    with forkserver(PRELOAD, MPLBACKEND="agg") as context, ThreadPoolExecutor(2) as pool:
        bench = Bench(tiny_study, tmp_path, context)
        outcomes = list(pool.map(bench.trial, range(TRIALS)))
    record_property("figures", summary("stages", outcomes))
    if skipped := [fault for fault in NEED_ROOT if fault not in bench.faults]:
        record_property("figures", f"NOT TRIED, root is needed to mount: {', '.join(skipped)}")
    assert not [outcome for outcome in outcomes if outcome.verdict == WRONG]
    assert len(outcomes) == TRIALS
