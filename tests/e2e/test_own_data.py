"""The README's example of a task with one's own data, run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from contrastive_context.core.artifacts import read_json
from frozen_contexts import check_task

MARKER = "<!-- example: own data -->"


def example(repository: Path) -> str:
    """The shell block after the marker."""
    found = re.search(rf"{re.escape(MARKER)}\n```bash\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    assert found, f"README.md has no block of bash after {MARKER}"
    return found.group(1)


def run_in(folder: Path, script: str) -> subprocess.CompletedProcess:
    # The example calls `snakemake`, and its steps `python`: those that run the tests.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-e", "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(repository, tmp_path_factory) -> Path:
    """A checkout in which the example was run."""
    folder = tmp_path_factory.mktemp("own") / "checkout"
    folder.mkdir()
    for name in ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow_scripts"):
        (folder / name).symlink_to(repository / name)
    result = run_in(folder, example(repository))
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_corpus_holds_the_file_and_rooms_stay_together(folder):
    corpus = folder / "results/mine/corpus/home"
    splits = {name: pd.read_parquet(corpus / f"{name}.parquet") for name in ("train", "dev", "arrivals", "test")}
    written = pd.read_csv(folder / "mine.tsv", sep="\t")
    assert sum(map(len, splits.values())) == len(written)
    assert set(splits["test"]["cluster"]) | set(splits["arrivals"]["cluster"]) <= set(written["room"])
    assert not set(splits["train"]["cluster"]) & (set(splits["test"]["cluster"]) | set(splits["arrivals"]["cluster"]))
    assert read_json(corpus / "counts.json")["read"] == {"generated": len(written), "dropped": {}, "kept": len(written)}


def test_contexts_were_drawn(folder):
    contexts = pd.read_parquet(folder / "results/mine/contexts/home/train/similar.parquet")
    assert {len(ids) for ids in contexts["example_ids"]} == {2}
    frozen = pd.read_parquet(folder / "results/mine/contexts/home/eval.parquet")
    assert {"low", "medium", "high"} <= set(frozen["bucket"])
    assert check_task(folder / "results/mine", "home") > 0


def test_a_damaged_file_stops_the_run_with_its_lines(folder):
    damage = "printf 'torn\\ntorn\\n' >> mine.tsv"
    command = "snakemake --cores 1 --configfile config.yaml envs/overlays/quickstart.yaml mine.yaml"
    result = run_in(folder, f"{damage}; {command} --config run=damaged -- results/damaged/corpus/home/counts.json")
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert "tasks.home.corpus: 2 of 122 rows are malformed" in output
    assert "mine.tsv, 122: not 3 columns; mine.tsv, 123: not 3 columns" in output
    assert "Traceback" not in output
    assert not (folder / "results/damaged/corpus/home/counts.json").exists()
