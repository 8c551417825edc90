"""Text-to-SQL and semantic parsing in another language, end to end: corpora, queries run, figures and report."""

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from contrastive_context.artifacts import sha256_file
from runner import make_checkout, run
from small_models import model, tokenizer

ROOMS = ["{area} में", "{name} को", "{area} की बत्ती"]
VERBS = ["चालू करो", "बंद करो", "धीमा करो", "तेज़ करो", "दिखाओ", "रोको"]


def make_package(cache: Path) -> dict[str, str]:
    """Write a Hindi grammar in the package's own format; return its entry under ``packages``."""
    intents = {
        f"Hass{number}": {
            "data": [{"metadata": {"slot_combination": "all"}, "sentences": [f"{room} [अभी] {verb}" for room in ROOMS]}]
        }
        for number, verb in enumerate(VERBS)
    }
    wheel = cache / "home_assistant_intents-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        content = {"language": "hi", "expansion_rules": {}, "lists": {}, "intents": intents}
        opened.writestr("home_assistant_intents/data/hi.json", json.dumps(content))
    return {
        "version": "1", "filename": wheel.name, "sha256": sha256_file(wheel), "licence": "Apache-2.0",
        "contents": "a grammar",
    }  # fmt: skip


@pytest.fixture(scope="module")
def results(repository, tmp_path_factory) -> Path:
    """The results of a small grid on the two tasks."""
    folder = tmp_path_factory.mktemp("others")
    cache = folder / "cache"
    cache.mkdir()
    llama = model("llama")
    llama.config.max_position_embeddings = 2048  # for schemas; rotary positions have no weights
    llama.save_pretrained(folder / "model")
    tokenizer("llama").save_pretrained(folder / "model")
    overlay = yaml.safe_load((repository / "envs/overlays/other-tasks.yaml").read_text())
    tasks = {name: overlay["tasks"][name] for name in ("sql", "intents-hi")}
    for task in tasks.values():
        task["encoder"] = "bm25"
        task["template"] |= {"max_new_tokens": 6, "max_prompt_tokens": 1500}
        task["evaluation"] |= {"targets": 4, "min_targets": 1}
        task["probes"] |= {"targets": 2}
    tasks["intents-hi"]["corpus"] |= {"train": 60, "dev": 0, "arrivals": 120, "test": 20}
    grid = {
        "run": "others",
        "packages": {"home-assistant-intents": make_package(cache)},
        "models": {"random-llama": {"kind": "folder", "path": str(folder / "model")}},
        "tasks": tasks,
        "finetuning": {"few": overlay["finetuning"]["smollm2-few"] | {"steps": 1, "checkpoints": [0, 1]}},
        "strategies": overlay["strategies"],
        "statistics": {"resamples": 100},
        "minimal_model": {"seeds": [0], "steps": 100, "probe_targets": 100},
        "grid": [
            {"task": task, "models": ["random-llama"], "strategies": [strategy], "seeds": [0], "finetuning": "few"}
            for task, strategy in {"sql": "contrastive", "intents-hi": "contrastive-unparaphrased"}.items()
        ],
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRASTIVE_CONTEXT_CACHE", str(cache))
        checkout = make_checkout(repository, folder / "checkout", folder / "grid.yaml")
        run(checkout)
    return checkout / "results/others"


def test_queries_are_run_and_both_tasks_are_in_the_tables(results):
    scores = pd.read_parquet(results / "tables/scores.parquet")
    metrics = {task: set(rows["metric"]) for task, rows in scores.groupby("task")}
    assert metrics["sql"] == {"bird_execution_accuracy", "exact_match"}
    assert metrics["intents-hi"] == {"tree_match", "slot_f1", "intent_match", "chrf++"}
    judged = pd.read_json(
        results / "segment_scores/sql/nearest_label.bird_execution_accuracy.jsonl", lines=True
    )  # copies of gold-like queries: they run, and now and then give gold's rows
    assert set(judged["score"]) <= {0, 1}


def test_both_tasks_are_in_figures_and_report(results):
    report = (results / "report.html").read_text()
    for title in (
        "Text-to-SQL (generated)",
        "Semantic parsing (Hindi commands)",
        "Execution accuracy",
        "Exact tree match",
    ):
        assert title in report
    plotted = pd.read_csv(results / "figures/fig3_similarity_grid.csv")
    assert {"sql", "intents-hi"} <= set(plotted["task"])
