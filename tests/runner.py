"""Runs the workflow in a folder of its own, as a user would."""

import os
import subprocess
import sys
from pathlib import Path


def start(folder: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--rerun-incomplete"]
    command += ["--rerun-triggers", "mtime", "params", "input"]
    # The steps call `python`: the one that runs the tests.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.Popen(
        [*command, "--configfile", "config.yaml", "envs/overlays/quickstart.yaml", "grid.yaml", *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(folder: Path, *options: str) -> str:
    process = start(folder, *options)
    output, _ = process.communicate(timeout=1800)  # a busy machine is no failure
    assert process.returncode == 0, output
    return output


def make_checkout(repository: Path, folder: Path, grid: Path) -> Path:
    folder.mkdir()
    for name in ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow_scripts"):
        (folder / name).symlink_to(repository / name)
    (folder / "grid.yaml").symlink_to(grid)
    return folder
