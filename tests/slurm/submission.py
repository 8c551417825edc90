"""A small grid that is submitted to the cluster, and its fine-tunings while they run."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import yaml
from cluster import Cluster, wait_until

from contrastive_context.core.artifacts import read_json
from runner import make_checkout, run

GRID = Path(__file__).with_name("grid.yaml")
_FINETUNING = "lexicon/tiny-llama"


class FineTuningGrid:
    """A checkout whose workflow runs on the cluster.

    Args:
        cluster: where its jobs go.
        repository: the code under test.
        folder: to make; holds the results.
        seeds: of the grid.
        settings: more of the configuration.
    """

    def __init__(
        self, cluster: Cluster, repository: Path, folder: Path, seeds: list[int], settings: dict[str, Any] | None = None
    ) -> None:
        self.cluster, self.folder = cluster, folder
        self._grid, self._settings = folder.with_suffix(".yaml"), settings or {}
        self.set_seeds(seeds)
        make_checkout(repository, folder, self._grid)
        self.results = folder / "results/grid"

    def set_seeds(self, seeds: list[int]) -> None:
        grid = yaml.safe_load(GRID.read_text()) | self._settings
        for entry in grid["grid"]:
            entry["seeds"] = seeds
        self._grid.write_text(yaml.safe_dump(grid))

    def submit(self, *options: str) -> subprocess.Popen:
        """Start Snakemake with the shipped profile; it looks after its jobs more often than it usually would."""
        command = [sys.executable, "-m", "snakemake", "--profile", "envs/profiles/slurm"]
        command += ["--configfile", "config.yaml", "envs/overlays/quickstart.yaml", "grid.yaml"]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*command, "--slurm-init-seconds-before-status-checks", "3", *options], cwd=self.folder,
                env=self.cluster.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def jobs(self, comment: str = "") -> list[dict[str, str]]:
        """Return what ``scontrol show job`` says of its jobs, finished ones too, in the order of submission.

        Args:
            comment: only jobs whose comment starts so; the executor writes rule and wildcards there.
        """
        ours = [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.folder)]
        return [job for job in ours if job.get("Comment", "").startswith(comment)]

    @property
    def log(self) -> Path:
        return self.folder / "snakemake.log"

    def finish(self, controller: subprocess.Popen) -> None:
        controller.wait(timeout=900)
        assert controller.returncode == 0, self.log.read_text()

    def run_here(self, target: str, *options: str) -> str:
        """Run the workflow up to a target without the cluster; return what Snakemake says."""
        return run(self.folder, *options, "--", target)

    def fine_tuning(self, strategy: str, seed: int) -> "FineTuning":
        return FineTuning(self, strategy, seed)


class FineTuning:
    """One fine-tuning of a grid, as somebody with a shell on the cluster's nodes sees it."""

    def __init__(self, grid: FineTuningGrid, strategy: str, seed: int) -> None:
        self._grid = grid
        self._name = f"{strategy}-seed{seed}"
        self._wildcards = f"lexicon_tiny-llama_{strategy}_{seed}"
        self._out = f"results/grid/finetune/{_FINETUNING}/{self._name}"
        self._held: psutil.Process | None = None

    @property
    def jobs(self) -> list[dict[str, str]]:
        """Its jobs; see :meth:`FineTuningGrid.jobs`."""
        return self._grid.jobs(f"rule_finetune_wildcards_{self._wildcards}")

    @property
    def processes(self) -> list[psutil.Process]:
        """The processes that train or wait to, oldest first."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                ours = command[1:2] == ["workflow_scripts/finetune.py"] and self._out in command
                found += [process] if ours and process.cwd() == str(self._grid.folder) else []
        return sorted(found, key=lambda process: process.create_time())

    @property
    def _state(self) -> Path | None:
        folder = self._grid.results / ".state/finetune" / _FINETUNING / self._name
        return next((path for path in folder.glob("*") if path.is_dir()), None)

    @property
    def steps_done(self) -> int:
        log = self._state and self._state / "trainer_log.jsonl"
        return log.read_text().count("\n") if log and log.exists() else 0

    def hold_after(self, steps: int) -> bool:
        """Suspend training once it has done so many steps; return whether it is suspended."""
        if self._held is None and self.steps_done >= steps:
            (process,) = self.processes
            process.suspend()
            self._held = process
        return self._held is not None

    def go_on(self) -> None:
        """Let training go on where :meth:`hold_after` suspended it, if it did."""
        if self._held is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._held.resume()

    def kill_within_a_save(self) -> None:
        """Kill training with SIGKILL while a state is half written."""
        while not list(self._state.glob(".tmp-step-*")):
            self._held.resume()
            time.sleep(0.01)
            self._held.suspend()
            wait_until(lambda: self._held.status() == psutil.STATUS_STOPPED, "the process to stop", every=0.001)
        self._held.send_signal(signal.SIGKILL)

    @property
    def outcome(self) -> tuple[dict[str, Any], list[float]]:
        """The hashes of its adapters, and the loss of each step."""
        folder = self._grid.folder / self._out
        lines = (folder / "trainer_log.jsonl").read_text().splitlines()
        return read_json(folder / "adapters.json"), [yaml.safe_load(line)["loss"] for line in lines]

    @property
    def log(self) -> str:
        """What its jobs have written."""
        files = [Path(job["StdOut"]) for job in self.jobs]
        return "".join(file.read_text() for file in files if file.exists())
