"""The whole tiny workflow is disturbed at a place drawn with a seed, and started again by a user's command.

``PIPELINE_TRIALS`` sets how many trials there are.
"""

import os
import random
import re
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from disks import can_mount, nearly_full, read_only, small_disk
from stages import copy_results, damage
from trials import RECOVERED, REFUSED, WRONG, Outcome, WrongError, require, summary

from runner import start

TRIALS = int(os.environ.get("PIPELINE_TRIALS", "12"))
SIGNALS = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
FAULTS = (
    "kill -9",
    "artifact bit flipped",
    "SIGTERM",
    "artifact truncated",
    "full disk",
    "artifact empty",
    "SIGINT",
    "artifact folder",
    "read-only disk",
    "two at once",
)
NEED_ROOT = ("full disk", "read-only disk")
TABLES = ("scores", "probes", "findings")
#: What is taken away before a trial, so that it has something to do, and the stages that follow from it.
REMOVED = {
    "contexts/lexicon/eval.parquet": ("freeze_eval_contexts", "generate", "score", "build_tables"),
    "finetune/lexicon/tiny-llama/contrastive-seed0/adapters.json": ("finetune", "generate", "run_probes"),
    "predictions/lexicon/tiny-llama/zero-seed0.jsonl": ("generate", "score", "build_tables"),
    "probes/lexicon/tiny-llama/contrastive-seed0.parquet": ("run_probes", "build_tables"),
    "scores/lexicon/tiny-llama.parquet": ("score", "build_tables"),
}


class Trial:
    """One workflow, disturbed once in a checkout of its own; each method returns how it ended."""

    def __init__(self, finished: Path, folder: Path, number: int) -> None:
        self.finished, self.around, self.rng = finished, folder, random.Random(number)
        self.folder = folder / "checkout"
        self.results = self.folder / "results/tiny"

    def run(self, fault: str) -> str:
        if fault == "full disk":
            with small_disk(self.folder, 96):
                return self.full_disk()
        self.folder.mkdir()
        self.copy()
        what, _, kind = fault.partition(" ")
        if what == "artifact":
            return self.damaged(kind)
        removed = self.remove_something()
        if fault == "read-only disk":
            with read_only(self.folder / "results"):
                status, said = self.finish(self.begin())
            told = "can't be written" in said or "Write-protected" in said  # the step says so, or Snakemake
            require(status != 0 and told, f"no refusal: {said[-800:]}")
            self.require_tables(some_missing=True)
            return self.goes_on(REFUSED)
        if fault == "two at once":
            first, second = self.begin(), self.begin()
            ends = [self.finish(process) for process in (first, second)]
            require(any(status == 0 for status, _ in ends), f"neither ended well: {ends[0][1][-800:]}")
            for status, said in ends:
                require(status == 0 or "locked" in said.lower(), f"another refusal than the lock's: {said[-800:]}")
            return self.goes_on(REFUSED if any(status for status, _ in ends) else RECOVERED)
        process = self.begin()
        stage = self.rng.choice(REMOVED[removed])
        for line in process.stdout:
            if line.startswith(f"{stage} →"):
                os.killpg(process.pid, SIGNALS[fault])
                break
        process.communicate(timeout=120)
        self.require_tables(some_missing=True)
        if fault == "kill -9":  # as the README says
            self.finish(self.begin("--unlock"))
        return self.goes_on(RECOVERED)

    def full_disk(self) -> str:
        self.copy(links=False)
        self.remove_something()
        with nearly_full(self.folder, self.rng.choice([8, 64, 256]) * 1024):
            status, said = self.finish(self.begin())
            require(status == 0 or re.search("no space left", said, re.IGNORECASE), f"no refusal: {said[-800:]}")
            self.require_tables(some_missing=True)
        self.finish(self.begin("--unlock"))
        return self.goes_on(REFUSED if status else RECOVERED)

    def damaged(self, kind: str) -> str:
        """Damage any file of the results, whose time may change or not, and do what the refusal says."""
        files = [path for path in self.results.rglob("*") if path.is_file()]
        skipped = ("logs", ".provenance.json", "report.html")
        path = self.rng.choice([p for p in sorted(files) if not any(name in str(p) for name in skipped)])
        state = path.stat()
        damage(path, kind, self.rng)
        if self.rng.random() < 0.5:
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        if self.rng.random() < 0.5:
            self.remove_something()
        verdict = RECOVERED
        for _ in range(3):
            status, said = self.finish(self.begin())
            if status == 0:
                break
            verdict = REFUSED
            require("Traceback" not in said, said[-1500:])
            named = to_delete(said)
            require(named, f"a refusal that names nothing: {said[-800:]}")
            for name in named:
                file = self.folder / name
                if file.is_dir():
                    shutil.rmtree(file)
                else:
                    file.unlink(missing_ok=True)
        return self.goes_on(verdict)

    def copy(self, *, links: bool = True) -> None:
        for name in ("Snakefile", "config.yaml", "rules", "envs", "profiles", "grid.yaml"):
            (self.folder / name).symlink_to((self.finished / name).resolve())
        shutil.copytree(self.finished / ".snakemake", self.folder / ".snakemake",
                        ignore=shutil.ignore_patterns("log", "locks"))  # fmt: skip
        copy_results(self.finished, self.folder, links=links)

    def remove_something(self) -> str:
        removed = self.rng.choice(sorted(REMOVED))
        (self.results / removed).unlink(missing_ok=True)
        for name in TABLES:  # so that nothing of the undisturbed run can pass for the trial's
            for suffix in ("csv", "parquet"):
                (self.results / f"tables/{name}.{suffix}").unlink(missing_ok=True)
        return removed

    def begin(self, *options: str) -> subprocess.Popen:
        return start(self.folder, *(options or ("--", "tables")))

    def finish(self, process: subprocess.Popen) -> tuple[int, str]:
        said, _ = process.communicate(timeout=300)
        return process.returncode, said

    def goes_on(self, verdict: str) -> str:
        status, said = self.finish(self.begin())
        require(status == 0, f"not recovered: {said[-1500:]}")
        self.require_tables()
        return verdict

    def require_tables(self, *, some_missing: bool = False) -> None:
        for name in TABLES:
            for suffix in ("csv", "parquet"):
                file = self.results / f"tables/{name}.{suffix}"
                if not (some_missing and not file.exists()):
                    expected = (self.finished / f"results/tiny/tables/{name}.{suffix}").read_bytes()
                    require(file.is_file() and file.read_bytes() == expected, f"{file.name} is not the undisturbed one")


def to_delete(said: str) -> set[str]:
    """Return the files that refusals tell to delete."""
    lists = re.findall(r"delete them to make them again: (.*)", said)
    named = {name for text in lists for name in text.split(", ")}
    named |= set(re.findall(r"delete (results/\S+) and run", said))
    return named | set(re.findall(r"(results/\S+): (?:not as|can't be (?:read|written)).*(?:delete|remove) it", said))


def outcome(finished: Path, around: Path, number: int) -> Outcome:
    faults = [fault for fault in FAULTS if can_mount() or fault not in NEED_ROOT]
    fault = faults[number % len(faults)]
    folder = around / f"trial-{number}"
    folder.mkdir()
    try:
        return Outcome(fault, Trial(finished, folder, number).run(fault))
    except (WrongError, OSError) as error:
        return Outcome(fault, WRONG, f"trial {number}: {error!r}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_disturbed_workflows(tiny_study, tmp_path, record_property):
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda number: outcome(tiny_study, tmp_path, number), range(TRIALS)))
    record_property("figures", summary("whole tiny workflow", outcomes))
    if not can_mount():
        record_property("figures", f"NOT TRIED, root is needed to mount: {', '.join(NEED_ROOT)}")
    assert not [one for one in outcomes if one.verdict == WRONG]
    assert len(outcomes) == TRIALS


def test_the_number_of_workers_changes_no_table(tiny_study, tmp_path):
    """Everything but the base model is made again, four jobs at a time instead of two."""
    trial = Trial(tiny_study, tmp_path, 0)
    trial.folder.mkdir()
    trial.copy()
    for name in ("contexts", "predictions", "probes", "scores", "tables", "neighbours", "embeddings"):
        shutil.rmtree(trial.results / name)
    status, said = trial.finish(trial.begin("--cores", "4", "--", "tables"))
    assert status == 0, said
    trial.require_tables()
