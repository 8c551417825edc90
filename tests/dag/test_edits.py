"""What an edit of the configuration reruns: what depends on it, and nothing else."""

import copy
import json
import re
import shutil
from collections.abc import Container, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from edits import DRAWN, EDITS, ELSEWHERE, trains, uses
from kept_results import CONFIGURATION, copy_checkout, dry_run, make_results, without_order, write_own_files
from pydantic import BaseModel
from snakemake.utils import update_config

from contrastive_context.config.study import Study, load_study
from contrastive_context.core import paths
from contrastive_context.core.artifacts import sha256_file
from contrastive_context.core.canonical import canonical_json
from contrastive_context.workflow.planning import Job
from contrastive_context.workflow.progress import ANSWERS, OUT_OF_DATE, PROBES, unfinished
from contrastive_context.workflow.snakemake_internals import Records
from contrastive_context.workflow.steps import SETTINGS, Steps

RESULTS = "results/wide/"


@pytest.fixture(scope="module")
def made(repository, tmp_path_factory) -> tuple[Path, list[Job]]:
    """A checkout with all results of the wide grid, and the jobs that they are of."""
    folder = copy_checkout(repository, tmp_path_factory.mktemp("edits") / "checkout")
    shutil.copy(repository / "tests/dag/wide.yaml", folder)
    return folder, make_results(folder)


@pytest.fixture(scope="module")
def config(repository) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in (*CONFIGURATION[:-1], "tests/dag/wide.yaml"):
        update_config(merged, yaml.safe_load((repository / name).read_text()))
    return merged


def label(job: Job) -> str:
    """The first output below the results folder; rules without any only name what they want."""
    return job.outputs[0].removeprefix(RESULTS) if job.outputs else ""


def labels(jobs: Iterable[Job]) -> set[str]:
    return {label(job) for job in jobs if job.rule != "all_frozen"} - {""}


def and_after(patterns: str, jobs: list[Job]) -> set[str]:
    """Labels of the jobs that match a pattern, and of all that are made from what these make."""
    found = {job for job in jobs if any(fnmatch(label(job), pattern) for pattern in patterns.split())}
    for pattern in patterns.split():
        assert any(fnmatch(label(job), pattern) for job in jobs), f"no job makes {pattern}"
    while True:
        made = {path for job in found for path in job.outputs}
        more = {job for job in jobs if made & set(job.inputs)} - found
        if not more:
            return labels(found)
        found |= more


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split("/")):
        value = {key: value}
    return value


def rerun(folder: Path, edit: dict[str, Any]) -> list[Job]:
    (folder / "edit.yaml").write_text(yaml.safe_dump(edit))
    return dry_run(folder, files=["edit.yaml"])


#: One edit per stage: what each reruns must be out of date in a report on what is finished.
STALE = {
    "title", "tasks/lexicon/corpus/seed", "encoders/bm25/k1", "paraphrasers/gemini/model", "strategies/contrastive/p",
    "buckets/high", "models/tiny-neox/steps", "finetuning/tiny/learning_rate", "generation/threads",
    "tasks/lexicon/probes/seed",
}  # fmt: skip
#: Edits of what is downloaded, which changes the inputs of the list of downloads rather than its settings.
NOT_IN_SETTINGS = {
    "tasks/intents/corpus/package", "tasks/software-de/corpus/in_domain/package", "tasks/software-de/corpus/in_domain",
    "tasks/software-de/corpus/out_of_domain/package", "tasks/software-hi/corpus/in_domain/package",
    "tasks/en-de/corpus/train/data", "encoders/minilm-package/package", "models/smollm2-135m/package",
}  # fmt: skip


def of_edits(wanted: Container[str]) -> pytest.MarkDecorator:
    rows = [pytest.param(*row, id=row[0]) for row in EDITS if row[0] in wanted]
    return pytest.mark.parametrize(("path", "value", "heads"), rows)


def expected_after(heads: str | None, jobs: list[Job]) -> set[str]:
    return set() if heads is None else and_after(f"{heads} report.html", jobs)


@of_edits({row[0] for row in EDITS} - NOT_IN_SETTINGS)
def test_an_edit_changes_the_settings_of_what_depends_on_it(made, config, monkeypatch, path, value, heads):
    folder, jobs = made
    monkeypatch.chdir(folder)
    update_config(config := copy.deepcopy(config), nested(path, value))
    steps = Steps(load_study(config), "workflow_scripts", ".snakemake/code_versions.json")
    found: set[str] = set()
    for job in (job for job in jobs if job.settings is not None):
        step, names = paths.made_by(label(job))
        if json.loads(steps.settings_of(step, names)) != job.settings:
            found.add(label(job))
    found = and_after(" ".join(found), jobs)
    expected = expected_after(heads, jobs)
    assert sorted(found - expected) == [], "these rerun and should not"
    assert sorted(expected - found) == [], "these should rerun"


@of_edits(STALE | NOT_IN_SETTINGS)
def test_an_edit_reruns_what_depends_on_it(made, path, value, heads):
    folder, jobs = made
    expected = expected_after(heads, jobs)
    found = labels(rerun(folder, nested(path, value)))
    before = labels(jobs)
    assert sorted((found & before) - expected) == [], "these rerun and should not"
    assert sorted(expected - found) == [], "these should rerun"


@of_edits(STALE)
def test_a_report_on_what_is_finished_leaves_out_what_an_edit_would_rerun(
    made, config, monkeypatch, path, value, heads
):
    folder, jobs = made
    monkeypatch.chdir(folder)
    update_config(config := copy.deepcopy(config), nested(path, value))
    steps = Steps(load_study(config), "workflow_scripts", ".snakemake/code_versions.json")
    gaps = list(unfinished(steps, RESULTS))
    assert {gap.reason for gap in gaps} <= {OUT_OF_DATE}
    places = {ANSWERS: "predictions/{}/{}/{}.jsonl", PROBES: "probes/{}/{}/{}.parquet"}
    found = {places[gap.what].format(gap.task, gap.model, gap.system) for gap in gaps}
    of_models = {label(job) for job in jobs if job.rule in ("generate", "run_probes")}
    assert found == and_after(f"{heads} report.html", jobs) & of_models


def test_paths_and_settings_in_code_are_those_of_the_rules(made, config, monkeypatch):
    folder, jobs = made
    monkeypatch.chdir(folder)
    steps = Steps(load_study(config), "workflow_scripts", ".snakemake/code_versions.json")
    seen = set()
    for job in (job for job in jobs if job.settings is not None):
        for output in job.outputs:
            step, names = paths.made_by(output.removeprefix(RESULTS))
            assert json.loads(steps.settings_of(step, names)) == job.settings, output
            seen.add(step)
    assert seen == paths.OUTPUTS.keys() - {"rebucket"} == SETTINGS.keys() - {"rebucket"}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def leaves(model: type[BaseModel]) -> Iterator[str]:
    """``Model.field`` of everything that can be set below a configuration model."""
    for name, field in model.model_fields.items():
        if inner := list(models_in(field.annotation)):
            for other in inner:
                yield from leaves(other)
        elif name not in ("kind", "format"):
            yield f"{model.__qualname__}.{name}"


def leaf_at(node: Any, path: list[str]) -> set[str]:
    """The leaves that a key path of a validated configuration sets."""
    found: set[str] = set()
    for place, key in enumerate(path):
        if isinstance(node, BaseModel) and key in type(node).model_fields:
            field = type(node).model_fields[key]
            if not list(models_in(field.annotation)):
                return {f"{type(node).__qualname__}.{key}"}
            node = getattr(node, key)
        elif isinstance(node, dict):
            node = node.get(key)
        elif isinstance(node, list):
            node = node[int(key)]
        else:
            raise AssertionError(f"{path[: place + 1]} is no key")
    return found


def test_every_leaf_is_in_the_table_or_says_why_not(config):
    covered: set[str] = set()
    for path, value, _ in EDITS:
        edited = copy.deepcopy(config)
        update_config(edited, nested(path, value))
        covered |= leaf_at(load_study(edited), path.split("/"))
    every = set(leaves(Study))
    assert sorted(every - covered - ELSEWHERE.keys()) == [], "give these a row in edits.py, or a reason"
    assert sorted(ELSEWHERE.keys() & covered) == [] and sorted(ELSEWHERE.keys() - every) == []


def test_nothing_to_do_without_an_edit_nor_after_touching_every_file(made):
    folder, _ = made
    for path in folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            path.touch()
    assert labels(rerun(folder, {})) == set()


def reordered(value: Any) -> Any:
    """Mappings with their keys in reverse order. Lists stay, whose order may mean something; so do buckets."""
    if isinstance(value, dict):
        return {key: value[key] if key == "buckets" else reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def test_the_order_of_keys_reruns_nothing(made):
    folder, _ = made
    before = {folder / name: (folder / name).read_text() for name in CONFIGURATION}
    try:
        for path, text in before.items():
            path.write_text(yaml.safe_dump(reordered(yaml.safe_load(text)), sort_keys=False))
        assert labels(rerun(folder, {})) == set()
    finally:
        for path, text in before.items():
            path.write_text(text)


def swapped(config: dict[str, Any]) -> dict[str, Any]:
    return {"strategies": {"contrastive": {"p": 0.1, "epsilon": 0.5}}}


def a_seed_added(config: dict[str, Any]) -> dict[str, Any]:
    config["grid"][0]["seeds"] = [0, 1]
    return {"grid": config["grid"]}


def a_model_added(config: dict[str, Any]) -> dict[str, Any]:
    config["grid"][0]["models"].append("my-model")
    return {"grid": config["grid"]}


def a_strategy_added(config: dict[str, Any]) -> dict[str, Any]:
    config["grid"][0]["strategies"].append("mixed")
    return {"grid": config["grid"]}


def another_task(config: dict[str, Any]) -> dict[str, Any]:
    config["grid"][-1]["task"] = "own"
    return {"grid": config["grid"]}


def another_encoder_of_a_metric(config: dict[str, Any]) -> dict[str, Any]:
    return {"metric_encoders": {"other": {"hub": "a/b"}}, "metrics": {"comet": {"encoder": "other"}}}


def an_entry_removed(config: dict[str, Any]) -> dict[str, Any]:
    return {"grid": config["grid"][:-1]}


def seeds_and_models_reordered(config: dict[str, Any]) -> dict[str, Any]:
    config["grid"][1]["models"] = config["grid"][1]["models"][::-1]
    config["grid"][1]["seeds"] = config["grid"][1]["seeds"][::-1]
    return {"grid": config["grid"]}


def a_recipe_renamed(config: dict[str, Any]) -> dict[str, Any]:
    config["grid"][0]["finetuning"] = "short"
    return {"grid": config["grid"], "finetuning": {"short": config["finetuning"]["tiny"]}}


def a_task_no_longer_probed(config: dict[str, Any]) -> dict[str, Any]:
    return {"tasks": {"lexicon": {"probes": None}}}


def evaluation_and_a_recipe(config: dict[str, Any]) -> dict[str, Any]:
    """What is frozen runs again, and the trainings for a reason of their own, which Snakemake's ``ancient`` hides."""
    return {"tasks": {"lexicon": {"evaluation": {"seed": 9}}}, "finetuning": {"tiny": {"learning_rate": 0.1}}}


def a_paraphraser_for_test_pairs_left_out(config: dict[str, Any]) -> dict[str, Any]:
    return {"tasks": {"intents": {"evaluation": {"paraphraser": None}}}}


#: Tables and figures name the systems of the grid.
SYSTEMS = f"tables/scores.parquet {DRAWN}"


@pytest.mark.parametrize(
    ("edit", "heads"),
    [
        (swapped, "contexts/*/train/contrastive.parquet"),
        (a_seed_added, "finetune/lexicon/tiny-llama/*-seed1/*"),
        (a_model_added, f"{uses('lexicon', 'my-model')} {SYSTEMS}"),
        (a_strategy_added, f"contexts/lexicon/train/mixed.parquet {SYSTEMS}"),
        (another_task, f"{uses('own', 'my-model')} contexts/own/train/zero.parquet {SYSTEMS}"),
        (another_encoder_of_a_metric, "hub/metric_encoders/other.json hub.lock.yaml "
         "segment_scores/*.comet.jsonl tables/scores.parquet"),
        (an_entry_removed, SYSTEMS),
        (seeds_and_models_reordered, ""),
        (a_recipe_renamed, ""),
        (a_paraphraser_for_test_pairs_left_out, "contexts/intents/eval.parquet"),
        (a_task_no_longer_probed, "tables/scores.parquet tables/missing.parquet"),
        (evaluation_and_a_recipe, f"contexts/lexicon/eval.parquet {trains(model='tiny-llama')}"),
    ],
)  # fmt: skip
def test_an_edit_of_the_structure_reruns_what_depends_on_it(made, config, edit, heads):
    folder, _ = made
    found = labels(rerun(folder, edit(copy.deepcopy(config))))
    jobs = [without_order(job) for job in dry_run(folder, "--forceall", files=["edit.yaml"])]
    expected = and_after(f"{heads} report.html", jobs)
    assert sorted(found - expected) == [], "these rerun and should not"
    assert sorted(expected - found) == [], "these should rerun"


def test_all_that_is_frozen_is_frozen_before_anything_is_trained(repository, tmp_path):
    folder = copy_checkout(repository, tmp_path / "checkout")
    shutil.copy(repository / "tests/dag/wide.yaml", folder)
    write_own_files(folder)
    jobs = dry_run(folder)
    frozen = {
        path for job in jobs if job.rule.startswith("freeze_") for path in job.outputs if path.endswith("parquet")
    }
    # One of the tasks isn't probed.
    assert len(frozen) == 2 * len({job.settings["task"] for job in jobs if job.rule == "freeze_eval_contexts"}) - 1
    (sign,) = [job for job in jobs if job.rule == "all_frozen"]
    assert set(sign.inputs) == frozen
    trainings = [job for job in jobs if job.rule == "finetune"]
    assert trainings and all(set(sign.outputs) <= set(job.inputs) for job in trainings)


def test_what_was_waited_for_is_no_input_afterwards(made, monkeypatch):
    """Snakemake notes the inputs that a job had; with fewer by the next call, it would train again."""
    folder, jobs = made
    monkeypatch.chdir(folder)
    records = Records()
    trained = [job for job in jobs if job.rule == "finetune"]
    for job in trained:
        waited = {path: sha256_file(path) for path in job.inputs} | {f"{RESULTS}.state/all_frozen": "0" * 64}
        for path in job.outputs:
            records.add(path, canonical_json(job.settings), waited, started=0.0)
    assert labels(rerun(folder, {})) == set()
    found = labels(rerun(folder, {"tasks": {"lexicon": {"evaluation": {"seed": 9}}}}))
    assert "contexts/lexicon/eval.parquet" in found and not labels(trained) & found


@pytest.mark.parametrize(
    ("option", "path", "value"),
    [
        ('strategies={"contrastive": {"p": 0.4}}', "strategies/contrastive/p", 0.4),
        ("strategies={contrastive: {p: 0.4}}", "strategies/contrastive/p", 0.4),
        ("finetuning={tiny: {checkpoints: [0, 60, 100], lora: {r: 4}}}", "finetuning/tiny",
         {"checkpoints": [0, 60, 100], "lora": {"r": 4}}),
        ("statistics={min_effects: {chrf++: 2.0}}", "statistics/min_effects/chrf++", 2.0),
        ("buckets={medium: 0.4}", "buckets/medium", 0.4),
    ],
)  # fmt: skip
def test_on_the_command_line_a_nested_key_is_merged_as_from_a_file(made, option, path, value):
    folder, _ = made
    expected = labels(rerun(folder, nested(path, value)))
    assert expected
    assert labels(dry_run(folder, "--config", option)) == expected


def test_a_comment_reruns_nothing_and_a_changed_function_what_reaches_it(made):
    folder, jobs = made
    path = folder / "workflow_scripts/contrastive_context/training/optimization.py"
    text = path.read_text()
    changed, count = re.subn(r"^( +)return ", r"\1assert True\n\1return ", text, count=1, flags=re.MULTILINE)
    assert count
    try:
        path.write_text(f"{text}# a remark\n")
        assert labels(rerun(folder, {})) == set()
        path.write_text(changed)
        assert labels(rerun(folder, {})) == and_after(trains(), jobs)
    finally:
        path.write_text(text)
