"""The commands that look at a finished run: its verdicts, and the power that other sizes would have."""

import re
import shutil
import sys

import pytest

from contrastive_context.config.statistics import Statistics
from contrastive_context.tables import findings, tidy
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.workflow import __main__ as commands
from contrastive_context.workflow.checking import read_study
from synthetic_results import write_probes, write_scores

MODELS = ("tiny-llama", "tiny-qwen3")


@pytest.fixture(scope="module")
def run(repository, tmp_path_factory):
    """Made-up results of two models, three runs each, in a folder like a study's."""
    folder = tmp_path_factory.mktemp("commands")
    results = folder / "results/mine"
    results.mkdir(parents=True)
    shutil.copyfile(repository / "envs/overlays/laptop-study.yaml", results / "config.yaml")
    scores = write_scores(results / "scores", models=MODELS, seeds=(0, 1, 2))
    probes = write_probes(results / "probes", models=MODELS, seeds=(0, 1, 2))
    settings = BuildTablesSettings.of(read_study([results / "config.yaml"]))
    settings = settings.model_copy(update={"statistics": Statistics(resamples=100)})
    cells = (tidy.score_cells(tidy.read_scores(scores), settings.statistics),
             tidy.probe_cells(tidy.read_probes(probes), settings.statistics))  # fmt: skip
    tidy.write_table(findings.build(*cells, settings), results / "tables", "findings")
    return folder


@pytest.fixture
def call(run, monkeypatch, capsys):
    def called(*arguments):
        monkeypatch.chdir(run)
        monkeypatch.setattr(sys, "argv", ["contrastive-context", *arguments])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        return ended.value.code, *capsys.readouterr()

    return called


def test_power_says_for_every_size_how_often_and_what_shows(call):
    status, said, _ = call("power", "mine", "--seeds", "3", "9", "--times", "1")
    assert status == 0
    (line,) = [line for line in said.splitlines() if "random_below_base_high" in line]
    powers = [(float(power), float(least)) for power, least in re.findall(r"(\d\.\d\d) / (\d\.\d\d\d)", line)]
    assert len(powers) == 2 and powers[0][0] <= powers[1][0] and powers[0][1] > powers[1][1] > 0


def test_power_needs_two_runs(call):
    status, _, said = call("power", "mine", "--seeds", "1")
    assert status == 2 and "--seeds: two or more" in said


def test_verdicts_are_those_of_the_findings(call):
    status, said, _ = call("verdicts", "mine")
    assert status == 0
    (row,) = [line for line in said.splitlines() if line.startswith("| Zero ends below the un-tuned base")]
    assert row.split("|")[2].strip().startswith("**shows** 0.4")
    assert re.search(r"Of \d+ verdicts \d+ “shows”", said)


@pytest.mark.parametrize("command", ["power", "verdicts", "headroom"])
def test_a_run_that_is_not_here_is_named_with_those_that_are(call, command):
    status, _, said = call(command, "yours")
    assert status == 2 and "no results of a run 'yours' here; known: mine" in said
