"""Text-to-SQL and semantic parsing in other languages, end to end: corpora, queries run, figures and report."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sentence_transformers import SentenceTransformer

from contrastive_context.config.sql import GeneratedSqlCorpus
from contrastive_context.core.artifacts import read_json, sha256_file
from contrastive_context.corpora import generated_sql
from frozen_contexts import check_task
from runner import make_checkout, run
from small_models import model, save_sentence_encoder, tokenizer
from synthetic_results import run_step

# A language's ways to name a place or a thing, and what can be done there.
GRAMMARS = {
    "hi": (
        ["{area} में", "{name} को", "{area} की बत्ती"],
        "[अभी]",
        ["चालू करो", "बंद करो", "धीमा करो", "तेज़ करो", "दिखाओ", "रोको"],
    ),
    "de": (
        ["im Raum {area}", "{name}", "das Licht in {area}"],
        "[jetzt]",
        ["einschalten", "ausschalten", "dimmen", "heller machen", "anzeigen", "anhalten"],
    ),
    "lt": (
        ["{area} kambaryje", "{name}", "šviesą {area}"],
        "[dabar]",
        ["įjunk", "išjunk", "pritemdyk", "paryškink", "parodyk", "sustabdyk"],
    ),
}


def make_package(cache: Path) -> dict[str, str]:
    """Write grammars in the package's own format; return its entry under ``packages``."""
    wheel = cache / "home_assistant_intents-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        for language, (places, now, verbs) in GRAMMARS.items():
            intents = {
                f"Hass{number}": {
                    "data": [
                        {
                            "metadata": {"slot_combination": "all"},
                            "sentences": [f"{place} {now} {verb}" for place in places],
                        }
                    ]
                }
                for number, verb in enumerate(verbs)
            }
            content = {"language": language, "expansion_rules": {}, "lists": {}, "intents": intents}
            opened.writestr(f"home_assistant_intents/data/{language}.json", json.dumps(content))
    return {
        "version": "1", "filename": wheel.name, "sha256": sha256_file(wheel), "licence": "Apache-2.0",
        "contents": "grammars",
    }  # fmt: skip


def questions() -> list[str]:
    """Questions of the generated corpus, without their schemas."""
    rows = generated_sql.build(GeneratedSqlCorpus(kind="generated_sql", seed=1))["train"]
    return [source.partition(" | ")[0] for source in rows["source"]]


@pytest.fixture(scope="module")
def results(repository, tmp_path_factory) -> Path:
    """The results of a small grid on two of the tasks, and the contexts of the others."""
    folder = tmp_path_factory.mktemp("others")
    cache = folder / "cache"
    cache.mkdir()
    llama = model("llama")
    llama.config.max_position_embeddings = 2048  # for schemas; rotary positions have no weights
    llama.save_pretrained(folder / "model")
    tokenizer("llama").save_pretrained(folder / "model")
    overlay = yaml.safe_load((repository / "envs/overlays/other-tasks.yaml").read_text())
    save_sentence_encoder(folder / "encoder", questions())
    tasks = overlay["tasks"]
    for task in tasks.values():
        task["template"] = task["template"] | {"max_new_tokens": 6, "max_prompt_tokens": 1500}
        task["evaluation"] = task["evaluation"] | {"targets": 4, "min_targets": 1}
        task["probes"] = task["probes"] | {"targets": 2}
        if task["corpus"]["kind"] == "home_assistant_intents":
            task["corpus"] = task["corpus"] | {"train": 60, "dev": 0, "arrivals": 120, "test": 20}
    grid = {
        "run": "others",
        "packages": {"home-assistant-intents": make_package(cache)},
        "encoders": {"questions": {"kind": "sentence_transformer", "folder": str(folder / "encoder"), "until": " | "}},
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
        run(checkout, "--", "all", *(f"results/others/contexts/{task}/eval.parquet" for task in tasks))
    return checkout / "results/others"


def test_queries_are_run_and_both_tasks_are_in_the_tables(results):
    scores = pd.read_parquet(results / "tables/scores.parquet")
    metrics = {task: set(rows["metric"]) for task, rows in scores.groupby("task")}
    assert metrics["sql"] == {"bird_execution_accuracy", "exact_match"}
    assert metrics["intents-hi"] == {"tree_match", "slot_f1", "intent_match", "chrf++"}
    judged = pd.read_json(results / "segment_scores/sql/nearest_label.bird_execution_accuracy.jsonl", lines=True)
    assert set(judged["score"]) <= {0, 1} and "rows" in set(judged["status"])  # labels of other questions: they run


def test_gold_queries_score_one(results, repository, tmp_path):
    record = read_json(results / "segment_scores/sql/nearest_label.bird_execution_accuracy.jsonl.provenance.json")
    segments = [json.loads(line) for line in (results / "segments/sql/nearest_label.jsonl").read_text().splitlines()]
    with (tmp_path / "gold.jsonl").open("w") as file:
        file.writelines(json.dumps(segment | {"mt": segment["ref"]}) + "\n" for segment in segments)
    run_step(
        repository, "score_execution", record["settings"], "--segments", tmp_path / "gold.jsonl",
        "--test", results / "corpus/sql/test.parquet", "--out", tmp_path / "scores.jsonl",
    )  # fmt: skip
    judged = pd.read_json(tmp_path / "scores.jsonl", lines=True)
    assert len(judged) == len(segments) and set(judged["score"]) == {1}


@pytest.mark.parametrize("task", ["sql", "intents-de", "intents-hi", "intents-lt"])
def test_no_context_gives_its_target_away(results, task):
    assert check_task(results, task) > 10


def test_questions_are_compared_without_their_schemas(results):
    test = pd.read_parquet(results / "corpus/sql/test.parquet")
    vectors = np.load(results / "embeddings/sql/test.npy")
    encoder = SentenceTransformer(str(results / "encoders/questions"), device="cpu")
    alone = encoder.encode([source.partition(" | ")[0] for source in test["source"]])
    assert test["source"].str.contains(" | ", regex=False).all() and np.allclose(vectors, alone, atol=1e-6)


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
