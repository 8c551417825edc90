"""Snakemake called from another folder, working in another one, and without a usable home."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROFILE = ("--profile", "envs/profiles/quickstart")
FIGURE = "results/tiny/figures/fig2_minimal_model.png"


def snakemake(directory: Path, *options: str | Path, **variables: str | None) -> str:
    """Return what Snakemake says; a variable that is None is unset."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
    environment = {name: value for name, value in environment.items() if value is not None}
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", *map(str, options)],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    return output


def commands(output: str) -> set[str]:
    return set(re.findall(r"^Shell command: (.*)$", output, flags=re.MULTILINE))


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "else where"
    folder.mkdir()
    return folder


def test_commands_are_the_same_anywhere_but_for_where_the_scripts_are(checkout, elsewhere):
    here = commands(snakemake(checkout, *PROFILE, "-n", "-p", "--quiet", "host"))
    assert any(command.startswith("python workflow_scripts/finetune.py ") for command in here)
    # A name or path of this machine would hinder copying a command to another one.
    assert not any(str(checkout) in command for command in here)
    there = {command.replace(" workflow_scripts/", f" {checkout}/workflow_scripts/") for command in here}
    directory = snakemake(checkout, *PROFILE, "-n", "-p", "--quiet", "host", "--directory", elsewhere)
    assert commands(directory) == there
    profile = checkout / PROFILE[1]
    called = snakemake(elsewhere, "-s", checkout / "Snakefile", "--profile", profile, "-n", "-p", "--quiet", "host")
    assert commands(called) == there
    assert not (checkout / "results").exists()


def test_a_config_file_of_the_working_folder_counts(checkout, elsewhere):
    text = (checkout / "config.yaml").read_text()
    (elsewhere / "config.yaml").write_text(re.sub("^run: .*", "run: my-own", text, flags=re.MULTILINE))
    output = snakemake(checkout, "-n", "--directory", elsewhere, "fig2")
    assert "results/my-own/figures/fig2" in output


@pytest.mark.parametrize(
    "variables",
    [{"HOME": "/dev/null"}, {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none"}, {"HOME": None}],
    ids=["a file", "not there", "unset"],
)
@pytest.mark.parametrize("options", [PROFILE, ("--configfile", "envs/overlays/quickstart.yaml", "--cores", "1")])
def test_no_home_is_needed(checkout, variables, options):
    assert "finetune" in snakemake(checkout, *options, "-n", **variables)


def test_a_step_runs_in_another_folder_without_a_home(checkout, elsewhere, repository):
    files = ["--configfile", "envs/overlays/quickstart.yaml", str(repository / "tests/e2e/tiny.yaml")]
    variables = {"HOME": "/dev/null", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    snakemake(checkout, *PROFILE, *files, "--directory", elsewhere, "--", FIGURE, **variables)
    assert (elsewhere / FIGURE).is_file()
    assert not (checkout / "results").exists()
