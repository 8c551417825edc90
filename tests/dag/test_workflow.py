"""The DAG: what `snakemake -n` lists, and what parsing and --help may import."""

import collections
import re
import runpy
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from kept_results import snakemake

from contrastive_context.config.study import load_study

SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[2] / "workflow_scripts").glob("*.py"))
HEAVY = ("torch", "transformers", "peft", "pandas", "sentence_transformers", "matplotlib", "sacrebleu", "datasets")


QUICKSTART = ("--configfile", "config.yaml", "envs/overlays/quickstart.yaml")


def planned(checkout: Path, *options: str, targets: Iterable[str] = ()) -> dict[str, int]:
    """Return rule → how many of its jobs a dry run lists."""
    status, output = snakemake(checkout, "-n", *options, targets=targets)
    assert status == 0, output
    table = output.split("Job stats:")[-1]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}


def test_quickstart_lists_every_stage(checkout):
    counts = planned(checkout, *QUICKSTART)
    lexicon, intents = 4 * 4, 1 * 4
    assert counts["finetune"] == lexicon + intents
    assert counts["generate"] == counts["run_probes"] == lexicon + intents + 5  # and the base of each model
    assert counts["sample_train_contexts"] == 4 + 4
    assert counts["prepare_model"] == counts["score"] == 5
    assert counts["build_report"] == 1


def test_the_paper_grid_is_the_default(checkout, repository):
    grid = load_study(yaml.safe_load((checkout / "config.yaml").read_text())).grid
    # The README's formula: models × strategies × seeds of every entry; and the base of every model and pair.
    tuned = sum(len(entry.models) * len(entry.strategies) * len(entry.seeds) for entry in grid)
    bases = len({(entry.task, model) for entry in grid for model in entry.models})
    counts = planned(checkout)
    assert (counts["finetune"], counts["generate"], counts["run_probes"]) == (tuned, tuned + bases, tuned + bases)
    readme = " ".join((repository / "README.md").read_text().split())
    assert f"of one model on one pair, are {tuned}." in readme


def test_prefetch_downloads_one_entry_per_job_and_computes_nothing(checkout):
    # Four models, one encoder, two data sets per language pair, the metric and its encoder.
    assert planned(checkout, targets=["prefetch"]) == {
        "fetch_hub": 4 + 1 + 2 * 4 + 2,
        "prefetch": 1,
        "total": 4 + 1 + 2 * 4 + 3,
    }


@pytest.mark.parametrize("target", ["tables", "figures", "report", "fig1", "fig2", "fig3", "fig4", "fig5", "fig6"])
def test_named_targets(checkout, target):
    assert planned(checkout, *QUICKSTART, targets=[target])[target] == 1


def test_a_mistake_in_the_configuration_stops_the_parse_with_its_key(checkout, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("tasks: {lexicon: {kk: 3}}\n")
    status, output = snakemake(checkout, "-n", *QUICKSTART, str(overlay))
    assert status != 0
    assert "tasks.lexicon.kk: unknown key; did you mean 'k'?" in output
    assert "Traceback" not in output


def test_parsing_imports_nothing_heavy(checkout):
    code = (
        "import sys\n"
        "from snakemake.cli import main\n"
        "try:\n"
        "    main(['--profile', 'envs/profiles/quickstart', '-n', '--quiet', 'all'])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules and name != 'pandas'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, timeout=120)
    assert "HEAVY []" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_needs_no_heavy_import(repository, script):
    command = [sys.executable, "-X", "importtime", str(repository / f"workflow_scripts/{script}.py"), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "--settings" in result.stdout
    imported = collections.Counter(line.split("|")[-1].strip() for line in result.stderr.splitlines())
    assert [name for name in HEAVY if name in imported] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_unknown_settings_are_refused_without_a_traceback(repository, script, tmp_path):
    path = repository / f"workflow_scripts/{script}.py"
    usage = runpy.run_path(str(path))["arguments"]().format_usage()
    required = [f"{option}=x" for option in re.findall(r"(?<![\[\w-])(--[\w-]+)", usage)]
    arguments = [option for option in required if not option.startswith(("--settings", "--log"))]
    result = subprocess.run(
        [sys.executable, str(path), "--settings", '{"nonsense": 1}', *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2, result.stderr
    assert "--settings" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_the_snakefile_stays_short(repository):
    assert len((repository / "Snakefile").read_text().splitlines()) <= 64


def test_every_rule_calls_an_entry_point_and_every_entry_point_has_a_rule(repository):
    text = "".join(path.read_text() for path in (repository / "rules").glob("*.smk"))
    assert sorted(set(re.findall(r"\{S\}/(\w+)\.py", text))) == SCRIPTS
