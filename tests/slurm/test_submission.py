"""A small grid on a real SLURM, undisturbed: what is submitted, and what for."""

import re
import shutil

import pandas as pd
import psutil
import pytest
from cluster import wait_until
from submission import FineTuningGrid

pytestmark = pytest.mark.slurm

SUBMITTED = {
    "build_corpus": 1, "prepare_model": 1, "embed_corpus": 1, "find_neighbours": 1, "paraphrase": 1,
    "sample_train_contexts": 2, "freeze_eval_contexts": 1, "freeze_probes": 1, "finetune": 2, "generate": 3,
    "run_probes": 3, "score": 1,
}  # fmt: skip


def test_the_grid_finishes(submitted):
    scores = pd.read_parquet(submitted.results / "tables/scores.parquet")
    assert {"base", "zero", "contrastive"} <= set(scores.strategy)
    for name in ("fig1_summary", "fig3_similarity_grid", "fig4_probes"):
        assert (submitted.results / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (submitted.results / "report.html").read_text()
    assert {(job["JobState"], job["Restarts"]) for job in submitted.jobs()} == {("COMPLETED", "0")}


def test_local_rules_cost_no_job(submitted):
    rules = [re.match("rule_(.+?)_wildcards", job["Comment"])[1] for job in submitted.jobs()]
    assert {rule: rules.count(rule) for rule in rules} == SUBMITTED


def test_jobs_ask_for_what_the_configuration_says(submitted):
    (job,) = submitted.fine_tuning("zero", 0).jobs
    assert (job["TimeLimit"], job["MinMemoryNode"], job["Partition"]) == ("00:25:00", "1500M", "main")
    assert not any(name.startswith("TresPer") for name in job)


@pytest.fixture(scope="module")
def on_a_gpu(cluster, repository, submitted, tmp_path_factory) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Way of asking → the job of a fine-tuning whose model needs a GPU, and the environment that it got."""
    grids = {}
    for flag in ("gpus", "gres"):
        model = {"steps": 4, "min_in_context_accuracy": 0, "device": "cuda"}
        settings = {"models": {"tiny-llama": model}, "cluster": {"gpu_flag": flag, "gpu_partition": "scavenger"}}
        folder = tmp_path_factory.mktemp(flag) / "checkout"
        grid = grids[flag] = FineTuningGrid(cluster, repository, folder, seeds=[0], settings=settings)
        shutil.copytree(submitted.results, grid.results, ignore=shutil.ignore_patterns("finetune", ".state"))
    # There is no GPU, and training says so at once; it needn't be told three times.
    target = "results/grid/finetune/lexicon/tiny-llama/zero-seed0/adapters.json"
    controllers = [grid.submit("--retries", "0", "--", target) for grid in grids.values()]
    environments: dict[str, dict[str, str]] = {}

    def look() -> bool:
        for flag, grid in grids.items():
            for process in grid.fine_tuning("zero", 0).processes:
                try:
                    environments[flag] = process.environ()
                except psutil.Error:  # over already
                    continue
        return environments.keys() == grids.keys()

    wait_until(look, "two fine-tunings", seconds=120)
    for controller in controllers:
        controller.wait(timeout=120)
    found = {}
    for flag, grid in grids.items():
        (job,) = grid.fine_tuning("zero", 0).jobs
        found[flag] = job, environments[flag]
    return found


@pytest.mark.parametrize(("flag", "field"), [("gpus", "TresPerJob"), ("gres", "TresPerNode")])
def test_a_gpu_is_asked_for_as_a_generic_resource(on_a_gpu, flag, field):
    job, environment = on_a_gpu[flag]
    assert (job[field], job["Partition"]) == ("gres:gpu:1", "scavenger")
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
