"""What a plan says of the size of jobs: exact, estimated, bounded, or unknown."""

import subprocess

import pytest

from contrastive_context.core.sidecars import Sidecar
from contrastive_context.workflow.planning import Amount, Job, plan, total

TEMPLATE = {"max_prompt_tokens": 100, "max_new_tokens": 10}
RECIPE = {"steps": 7, "examples_per_step": 3}


def frozen(**evaluation) -> Job:
    leaves = {"targets": 5, "all_targets": 0, "compositions": ["one_graded", "top_k"], "paraphraser": None}
    settings = {"evaluation": leaves | evaluation, "buckets": {"low": 0.0, "medium": 0.3, "high": 0.6}}
    return Job("freeze_eval_contexts", (), ("eval.parquet",), "", settings)


def corpus(*test_sets: str) -> Job:
    return Job("build_corpus", (), ("test.parquet",), "", {"test_sets": list(test_sets)})


def trained(seed: int) -> Job:
    settings = {"task": "t", "model_name": "m", "recipe": RECIPE, "template": TEMPLATE}
    options = {"model": "m.json", "corpus": "train.parquet", "contexts": "zero.parquet"}
    return Job("finetune", (), (f"zero-seed{seed}",), "", settings, options)


def probed() -> Job:
    return Job("run_probes", (), ("base.parquet",), "", {"task": "t", "model_name": "m"})


def generated() -> Job:
    options = {"model": "m.json", "contexts": "eval.parquet", "test": "test.parquet", "arrivals": "arrivals.parquet"}
    settings = {"task": "t", "model_name": "m", "template": TEMPLATE}
    return Job("generate", ("eval.parquet", "test.parquet"), ("base.jsonl",), "", settings, options)


def planned(*jobs: Job, sidecars: tuple[Sidecar, ...] = ()) -> dict:
    return {stage.rule: stage for stage in plan(jobs, sidecars)}


def test_before_contexts_exist_the_configuration_bounds_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stages = planned(corpus("in_domain", "out_of_domain"), frozen(), trained(0), trained(1), generated(), probed())
    training, generation = stages["finetune"], stages["generate"]
    assert training.prompts == Amount(known=2 * 21) and training.tokens.shown() == "≤ 4,620"
    # Two test sets, five targets, two compositions of three buckets and none.
    assert generation.prompts.shown() == "≤ 70" and generation.tokens == Amount(at_most=70 * 110)
    assert stages["run_probes"].tokens.shown() == "?" and stages["run_probes"].size.shown() == "?"
    assert stages["build_corpus"].tokens.shown() == stages["build_corpus"].prompts.shown() == ""
    assert total(list(stages.values())).jobs == 6


@pytest.mark.parametrize(
    ("evaluation", "prompts"), [({"all_targets": 4}, 9 * 7), ({"paraphraser": "rules"}, 5 * 7 + 5 * 3 * 3)]
)
def test_more_series_mean_more_prompts(tmp_path, monkeypatch, evaluation, prompts):
    monkeypatch.chdir(tmp_path)
    stages = planned(corpus("in_domain"), frozen(**evaluation), generated())
    assert stages["generate"].prompts == Amount(at_most=prompts)


def test_without_its_contexts_maker_generation_is_unknown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert planned(generated())["generate"].tokens.shown() == "?"


def test_an_unknown_job_does_not_hide_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = {"step": "run_probes", "inputs": {}, "settings": {"task": "t", "model_name": "m"}, "tokens": 500,
              "outputs": [{"path": "base.parquet", "sha256": "", "bytes": 2000}]}  # fmt: skip
    other = Job("run_probes", (), ("other.parquet",), "", {"task": "t", "model_name": "other"})
    stage = planned(probed(), other, sidecars=(Sidecar(tmp_path / "x", record),))["run_probes"]
    assert stage.tokens == Amount(known=500, unknown=1) and stage.tokens.shown() == "≥ 500"
    assert stage.size == Amount(known=2000, unknown=1)


def test_nothing_is_no_question_mark():
    assert Amount().shown() == "" and Amount(unknown=1).shown() == "?" and Amount(1, 2).shown() == "≤ 3"


def test_make_plan_passes_options_on(repository):
    command = ["make", "--dry-run", "plan", "PROFILE=quickstart", "ARGS=--config run=mine"]
    output = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    assert "workflow plan --profile envs/profiles/quickstart --config run=mine\n" in output
