"""One edit of a finished study, on the command line: what was planned runs, from kept state, and nothing beside it."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import yaml

from contrastive_context.core.artifacts import read_json
from contrastive_context.workflow import token_counts
from contrastive_context.workflow.planning import Amount, Job, parse_dry_run, plan
from runner import make_checkout, run, start

GRID = "tests/e2e/tiny.yaml"
EDIT = ("--config", 'finetuning={"tiny": {"checkpoints": [0, 2, 3, 4]}}')
TRAINED = "lexicon/tiny-llama/contrastive-seed0"


class Rerun(NamedTuple):
    """What was said before, during and after the rerun in ``folder``; ``ran`` is Snakemake's own log."""

    folder: Path
    plan: str
    listed: str
    second: tuple[int, str]
    ran: str


@pytest.fixture(scope="module")
def rerun(repository, tiny_study, tmp_path_factory) -> Rerun:
    """The finished results beside a fresh clone after a checkpoint was added; a second Snakemake tried to join in."""
    folder = make_checkout(repository, tmp_path_factory.mktemp("rerun") / "clone", repository / GRID)
    shutil.copytree(tiny_study / "results", folder / "results")
    options = ["--rerun-triggers", "mtime", "params", "input"]
    options += ["--configfile", "config.yaml", "envs/overlays/quickstart.yaml", "grid.yaml", *EDIT]
    command = [sys.executable, "-m", "contrastive_context.workflow", "plan", *options]
    plan = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert plan.returncode == 0, plan.stderr
    listed = run(folder, "--dry-run", *EDIT)
    first = start(folder, *EDIT)
    output = ""
    for line in first.stdout:
        output += line
        if line.startswith("finetune →"):
            break
    second = start(folder, *EDIT)
    refusal, _ = second.communicate(timeout=600)
    output += first.communicate(timeout=600)[0]
    assert first.returncode == 0, output
    # In its output, lines of running jobs come between Snakemake's own.
    log = Path(re.search(r"^Complete log\(s\): (.+)$", output, flags=re.MULTILINE)[1]).read_text()
    return Rerun(folder, plan.stdout, listed, (second.returncode, refusal), log)


def names(jobs: list[Job]) -> Counter:
    return Counter((job.rule, job.outputs) for job in jobs)


def test_the_plan_is_the_list_of_jobs_that_run(rerun):
    ran = names(parse_dry_run(rerun.ran))
    assert ran == names(parse_dry_run(rerun.listed))
    counts = Counter(rule for rule, outputs in ran if outputs)
    assert counts["finetune"] == 2 and not counts.keys() & {"build_corpus", "prepare_model", "sample_train_contexts"}
    planned = {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)\b", rerun.plan, flags=re.MULTILINE)}
    assert planned.pop("total") == sum(counts.values())
    assert planned == counts
    assert re.search(r"^finetune .* recipe\.checkpoints: \[0,2,4\] → \[0,2,3,4\]$", rerun.plan, flags=re.MULTILINE)


def test_an_added_checkpoint_is_reached_from_the_state_before_it(rerun, tiny_study):
    before, results = tiny_study / "results/tiny", rerun.folder / "results/tiny"
    log = (results / f"logs/finetune/{TRAINED.replace('/', '.')}.log").read_text()
    assert re.findall(r"going on after step (\d+) of 4", log) == ["2"]
    # One step is trained: those before it are in its state as they were, seconds included, and the end is published
    # as it was.
    whole = (before / "finetune" / TRAINED / "trainer_log.jsonl").read_text()
    assert (results / "finetune" / TRAINED / "trainer_log.jsonl").read_text() == whole
    (state,) = (results / ".state/finetune" / TRAINED).glob("*/step-000003/trainer_log.jsonl")
    steps = [json.loads(line) for line in whole.splitlines()]
    *kept, trained = [json.loads(line) for line in state.read_text().splitlines()]
    assert kept == steps[:2]
    assert trained["loss"] == steps[2]["loss"] and trained != steps[2]
    adapters = [read_json(folder / "finetune" / TRAINED / "adapters.json")["steps"] for folder in (before, results)]
    assert sorted(adapters[1]) == ["0", "2", "3", "4"]
    assert {step: entry["sha256"] for step, entry in adapters[0].items()} == {
        step: adapters[1][step]["sha256"] for step in ("0", "2", "4")
    }


def test_it_generates_nothing_again_and_is_probed_alone(rerun, tiny_study):
    name, path = TRAINED.replace("/", "."), TRAINED
    logs = rerun.folder / "results/tiny/logs"
    assert "all prompts were answered before" in (logs / f"generate/{name}.log").read_text()
    probed = re.findall(r"step (\d) \(\d/3\): probed before", (logs / f"run_probes/{name}.log").read_text())
    assert probed == ["2", "4"]
    predictions = [folder / f"results/tiny/predictions/{path}.jsonl" for folder in (tiny_study, rerun.folder)]
    assert predictions[0].read_bytes() == predictions[1].read_bytes()
    before, after = (
        pd.read_parquet(folder / f"results/tiny/probes/{path}.parquet") for folder in (tiny_study, rerun.folder)
    )
    assert before.equals(after[after["step"] != 3].reset_index(drop=True)) and 3 in set(after["step"])


def test_a_second_snakemake_is_refused_with_a_sentence(rerun):
    status, said = rerun.second
    assert status != 0
    assert "Directory cannot be locked" in said and "no other Snakemake process" in said
    assert "Traceback" not in said


def test_the_run_leaves_its_configuration_with_the_edit_merged_in(rerun, tiny_study):
    path = "results/tiny/config.yaml"
    before, after = (yaml.safe_load((folder / path).read_text()) for folder in (tiny_study, rerun.folder))
    assert before["finetuning"]["tiny"]["checkpoints"] == [0, 2, 4]
    before["finetuning"]["tiny"]["checkpoints"] = [0, 2, 3, 4]
    assert after == before
    assert "Nothing to be done" in run(rerun.folder, "--dry-run", "--configfile", path)


def test_after_accepting_a_change_of_code_nothing_runs_and_states_are_gone_on_from(repository, tiny_study, tmp_path):
    folder = make_checkout(repository, tmp_path / "accepted", repository / GRID)
    shutil.copytree(tiny_study / "results", folder / "results")
    (folder / "workflow_scripts").unlink()
    shutil.copytree(repository / "workflow_scripts", folder / "workflow_scripts")
    run(folder, "--dry-run")
    module = folder / "workflow_scripts/contrastive_context/training/optimization.py"
    text = module.read_text()
    module.write_text(re.sub(r"^( +)return ", r"\1assert True\n\1return ", text, count=1, flags=re.MULTILINE))
    assert {rule for rule, outputs in names(parse_dry_run(run(folder, "--dry-run"))) if outputs} > {"finetune"}
    command = [sys.executable, "-m", "contrastive_context.workflow", "accept", "tiny", "finetune"]
    accepted = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    # Two trainings, of which each has adapters and a log.
    assert accepted.stdout == "4 result(s) of finetune accepted as made by the present code\n", accepted.stderr
    assert "Nothing to be done" in run(folder, "--dry-run")
    run(folder, *EDIT, "--", f"results/tiny/finetune/{TRAINED}/adapters.json")
    log = (folder / f"results/tiny/logs/finetune/{TRAINED.replace('/', '.')}.log").read_text()
    assert re.findall(r"going on after step (\d+) of 4", log) == ["2"]


def test_without_an_entry_of_the_grid_its_results_stay(repository, tiny_study, tmp_path):
    folder = make_checkout(repository, tmp_path / "removed", repository / GRID)
    shutil.copytree(tiny_study / "results", folder / "results")
    grid = [{"task": "lexicon", "models": ["tiny-llama"], "strategies": ["zero"], "seeds": [0], "finetuning": "tiny"}]
    run(folder, "--config", f"grid={json.dumps(grid)}")
    before = tiny_study / "results/tiny"
    kept = [path for path in before.rglob("*") if path.is_file() and "contrastive" in str(path.relative_to(before))]
    assert len(kept) > 10
    for path in kept:
        assert (folder / "results/tiny" / path.relative_to(before)).read_bytes() == path.read_bytes()
    assert "contrastive" not in (folder / "results/tiny/tables/scores.csv").read_text()
    # Back in the grid they are taken as they are: nothing is trained or answered.
    again = {rule for rule, _ in names(parse_dry_run(run(folder, "--dry-run")))}
    assert "build_tables" in again and not again & {"finetune", "generate", "run_probes", "sample_train_contexts"}


def test_tokens_are_counted_in_the_prompts_as_the_jobs_count_them(tiny_study, monkeypatch):
    monkeypatch.chdir(tiny_study)
    jobs = parse_dry_run(run(tiny_study, "--dry-run", "--forceall", "--printshellcmds"))
    trained = [job for job in jobs if job.rule == "finetune"]
    generated = [job for job in jobs if job.rule == "generate"]
    assert trained and generated
    for job in trained:
        last = json.loads(Path(job.outputs[1]).read_text().splitlines()[-1])
        expected = token_counts.Reading(4 * 8, last["input_tokens"])
        assert token_counts.count(job.rule, job.settings, job.options) == expected
    made_with = {path: job.settings for job in jobs for path in job.outputs}
    for job in generated:
        answers = [json.loads(line) for line in Path(job.outputs[0]).read_text().splitlines()]
        expected = token_counts.Reading(len(answers), sum(answer["prompt_tokens"] for answer in answers))
        assert token_counts.count(job.rule, job.settings, job.options) == expected
        bound = token_counts.at_most(job.rule, job.settings, job.options, made_with.get)
        assert bound.prompts >= expected.prompts and bound.tokens >= expected.tokens
    assert all(token_counts.read_by(job.rule, job.options) == [] for job in jobs if job not in trained + generated)


def test_what_all_systems_of_a_pair_are_asked_is_counted_once(tiny_study, monkeypatch):
    monkeypatch.chdir(tiny_study)
    jobs = parse_dry_run(run(tiny_study, "--dry-run", "--forceall", "--printshellcmds"))
    generated = [job for job in jobs if job.rule == "generate"]
    assert len(generated) == 3
    token_counts._generation.cache_clear()
    # Only the adapters differ; the plan makes them, and they change no prompt.
    planned = [job for job in jobs if job.rule in ("finetune", "generate", "run_probes")]
    stages = {stage.rule: stage for stage in plan(planned, [])}
    assert token_counts._generation.cache_info().misses == 1
    one = token_counts.count("generate", generated[0].settings, generated[0].options)
    assert stages["generate"].prompts == Amount(3 * one.prompts) and stages["generate"].tokens == Amount(3 * one.tokens)
