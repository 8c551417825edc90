"""The whole workflow on a tiny model: what it leaves, that it stops where it is done, and that Ctrl-C loses nothing."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from contrastive_context.core.artifacts import read_json
from frozen_contexts import check_task
from runner import make_checkout, run, start

GRID = "tests/e2e/tiny.yaml"
TABLE = ["task", "test_set", "model", "strategy", "seed", "step", "composition"]
VALUES = ["metric", "value", "ci_low", "ci_high", "n"]


@pytest.fixture
def finished(tiny_study) -> Path:
    return tiny_study


@pytest.fixture
def results(finished: Path) -> Path:
    return finished / "results/tiny"


def test_everything_promised_is_there(results):
    for name in ("fig1_summary", "fig2_minimal_model", "fig3_similarity_grid", "fig3_appendix", "fig4_probes",
                 "fig4_probes_likelihood"):  # fmt: skip
        assert (results / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (results / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "<html" in (results / "report.html").read_text()
    assert not list((results / "figures").glob("fig5*"))  # no strategy here is an ablation
    for strategy in ("zero", "contrastive"):
        contexts = pd.read_parquet(results / f"contexts/lexicon/train/{strategy}.parquet")
        assert {len(ids) for ids in contexts.example_ids} == ({0} if strategy == "zero" else {4})


def test_tables_are_tidy_and_csv_says_the_same(results):
    scores = pd.read_parquet(results / "tables/scores.parquet")
    probes = pd.read_parquet(results / "tables/probes.parquet")
    assert {*TABLE, "bucket", *VALUES} <= {*scores.columns}
    assert {*TABLE, "probe", *VALUES} <= {*probes.columns}
    assert set(scores.strategy) == {"base", "nearest_label", "zero", "contrastive"}
    assert set(scores.bucket) == {"low", "medium", "high", "none"}
    assert set(probes.probe) == {"iwl", "icl", "icl_valid", "copy"}
    assert set(probes.step) == {0, 2, 4}
    assert set(probes[probes.strategy == "base"].step) == {0}
    assert (scores.ci_low <= scores.value + 1e-9).all()
    assert (scores.value <= scores.ci_high + 1e-9).all()
    for name, table in (("scores", scores), ("probes", probes)):
        written = pd.read_csv(results / f"tables/{name}.csv")
        pd.testing.assert_series_equal(written.value, table.value, check_dtype=False)


def test_every_compared_cell_has_the_same_targets(results):
    scores = pd.read_parquet(results / "tables/scores.parquet")
    assert scores.n.nunique() == 1


def test_no_context_gives_its_target_away(results):
    assert check_task(results, "lexicon") > 0


def test_adapters_are_kept_at_the_listed_steps(results):
    folder = results / "finetune/lexicon/tiny-llama/contrastive-seed0"
    assert sorted(read_json(folder / "adapters.json")["steps"]) == ["0", "2", "4"]
    assert (folder / "step-000004/adapter_model.safetensors").is_file()


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in run(finished)


def test_touching_a_file_reruns_nothing(finished, results):
    (results / "corpus/lexicon/train.parquet").touch()
    assert "Nothing to be done" in run(finished, "--dry-run")


def test_provenance_names_settings_and_versions(results):
    record = read_json(results / "contexts/lexicon/train/contrastive.parquet.provenance.json")
    assert record["settings"]["strategy"]["epsilon"] == 0.1
    assert "numpy" in record["versions"]


@pytest.fixture
def cloned(repository, finished, tmp_path) -> Path:
    """The finished results beside a fresh clone: without Snakemake's records, and with new times."""
    folder = make_checkout(repository, tmp_path / "clone", repository / GRID)
    shutil.copytree(finished / "results", folder / "results")
    return folder


def interrupt(folder: Path, stage: str) -> bool:
    """Start the workflow and send what Ctrl-C sends, to Snakemake and to its steps, when a step of ``stage`` runs.

    Returns:
        Whether the workflow stopped for it. A signal that Snakemake misses between two steps leaves nothing to test.
    """
    process = start(folder)
    for line in process.stdout:
        if line.startswith(f"{stage} →"):
            os.killpg(process.pid, signal.SIGINT)
            break
    process.communicate(timeout=120)
    return process.returncode != 0


def test_after_interrupts_the_same_command_gives_the_same_tables(finished, cloned):
    folder = cloned
    for made in ("finetune", "predictions", "probes", "scores", "tables", "figures"):
        shutil.rmtree(folder / "results/tiny" / made)
    stages = ("finetune", "generate", "run_probes", "build_tables")
    assert sum([interrupt(folder, stage) for stage in stages]) >= 3
    run(folder)
    for name in ("scores", "probes", "findings"):
        expected = (finished / f"results/tiny/tables/{name}.csv").read_text()
        assert (folder / f"results/tiny/tables/{name}.csv").read_text() == expected


def test_a_fresh_clone_takes_kept_results_over(cloned):
    assert "Nothing to be done" in run(cloned, "--dry-run")


def test_a_report_on_what_is_finished_trains_nothing_and_names_the_rest(cloned):
    results = cloned / "results/tiny"
    complete = pd.read_csv(results / "tables/scores.csv")
    shutil.rmtree(results / "finetune/lexicon/tiny-llama/zero-seed0")
    for gone in (*results.glob("predictions/*/*/contrastive-*"), *results.glob("probes/*/*/zero-*")):
        gone.unlink()
    record = (results / "config.yaml").read_text()
    output = run(cloned, "--config", "only_finished=true")
    assert (results / "config.yaml").read_text() == record
    assert "only_finished: true\n" in (results / "config.only_finished.yaml").read_text()
    assert not re.search(r"^(finetune|generate|run_probes|build_corpus) →", output, flags=re.MULTILINE)
    missing = pd.read_csv(results / "tables/missing.csv")
    assert dict(zip(missing["strategy"] + " " + missing["what"], missing["reason"], strict=True)) == {
        "zero answers": "not trained", "zero probes": "not trained", "contrastive answers": "no answers yet",
    }  # fmt: skip
    scores = pd.read_csv(results / "tables/scores.csv")
    expected = complete[complete["strategy"].isin(["base", "nearest_label"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(scores, expected)
    drawn = pd.read_csv(results / "figures/fig3_similarity_grid.csv")
    gone = drawn[drawn["strategy"] == "contrastive"]
    assert set(gone["missing"]) == {"no answers yet"} and gone["value"].isna().all()
    page = (results / "report.html").read_text()
    assert "The grid is not finished" in page and "no answers yet" in page
    # The whole study makes what was missing, and tables, figures and report anew.
    counts = dict(re.findall(r"^(\w+) +(\d+)$", run(cloned, "--dry-run"), flags=re.MULTILINE))
    assert counts["finetune"] == "1" and counts["generate"] == "2" and counts["build_report"] == "1"


def test_without_anything_finished_there_is_no_report(repository, tmp_path):
    folder = make_checkout(repository, tmp_path / "new", repository / GRID)
    process = start(folder, "--config", "only_finished=true")
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "not trained: 2" in output and "Traceback" not in output


def test_snakemakes_own_report_has_the_captions(finished, tmp_path):
    run(finished, "--report", str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    assert "Counterpart of the paper" in text and "3, appendix: full grid" in text


def test_in_a_fresh_clone_an_edit_reruns_what_it_should(cloned):
    (cloned / "edit.yaml").write_text("strategies: {contrastive: {p: 0.4}}\n")
    listed = run(cloned, "--dry-run", "--configfile", "config.yaml", "envs/overlays/quickstart.yaml", "grid.yaml",
                 "edit.yaml")  # fmt: skip
    counts = dict(re.findall(r"^(\w+) +(\d+)$", listed, flags=re.MULTILINE))
    assert counts["sample_train_contexts"] == counts["finetune"] == counts["generate"] == counts["run_probes"] == "1"
    assert not counts.keys() & {"build_corpus", "prepare_model", "embed_corpus", "freeze_eval_contexts"}


def test_in_a_fresh_clone_what_was_altered_is_refused_by_name(cloned):
    altered = cloned / "results/tiny/scores/lexicon/tiny-llama.parquet"
    altered.write_bytes(altered.read_bytes()[:-1])
    process = start(cloned, "--dry-run")
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "scores/lexicon/tiny-llama.parquet" in output and "Traceback" not in output
    altered.unlink()
    undescribed = cloned / "results/tiny/scores/lexicon/mine.parquet"
    undescribed.write_text("x")
    process = start(cloned, "--dry-run")
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "without a sidecar" in output and "mine.parquet" in output


def test_verify_names_what_is_wrong(finished, cloned, repository):
    def verify(folder):
        command = [sys.executable, "-m", "contrastive_context.workflow", "verify", "tiny"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    assert verify(finished).stdout == "every hash agrees\n"
    weights = cloned / "results/tiny/models/tiny-llama/model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    (cloned / "results/tiny/tables/scores.csv").unlink()
    result = verify(cloned)
    assert result.returncode == 1
    assert f"altered   {weights.relative_to(cloned)}" in result.stdout
    assert "missing   results/tiny/tables/scores.csv" in result.stdout
