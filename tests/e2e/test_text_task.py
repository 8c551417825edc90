"""The text task end to end: a package from the cache, a sentence encoder, hnswlib, a model from a folder."""

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from contrastive_context.core.artifacts import read_json, sha256_file
from frozen_contexts import check_task
from runner import make_checkout, run
from small_models import model, save_sentence_encoder, tokenizer

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def grammar() -> dict:
    """A grammar of voice commands in the package's own format: 60 templates of three intents."""
    sentences = {
        "HassTurnOn": [f"(turn|switch) on [the] {{name}} {word} [please]" for word in NUMBERS],
        "HassLightSet": [f"[please] set {{area}} {word} to {{percent:brightness}}" for word in NUMBERS],
        "HassDim": [f"(dim|lower) [the] {word} in {{area}} by {{percent:step}}" for word in NUMBERS],
    }
    blocks = {
        intent: {"data": [{"metadata": {"slot_combination": "all"}, "sentences": texts}]}
        for intent, texts in sentences.items()
    }
    percent = {"range": {"from": 0, "to": 100, "step": 10}}
    return {"language": "en", "expansion_rules": {}, "lists": {"percent": percent}, "intents": blocks}


def make_wheel(folder: Path) -> dict[str, str]:
    """Write a package of the grammar; return its entry under ``packages``."""
    wheel = folder / "home_assistant_intents-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("home_assistant_intents/data/en.json", json.dumps(grammar()))
    return {
        "version": "1",
        "filename": wheel.name,
        "sha256": sha256_file(wheel),
        "licence": "Apache-2.0",
        "contents": "a grammar",
    }


@pytest.fixture(scope="module")
def results(repository, tmp_path_factory, monkeypatch_module) -> Path:
    """The results of a small grid on text."""
    folder = tmp_path_factory.mktemp("text")
    cache = folder / "cache"
    cache.mkdir()
    package = make_wheel(cache)
    save_sentence_encoder(folder / "encoder", [json.dumps(grammar())], 256)
    model("gpt2").save_pretrained(folder / "model")
    tokenizer("gpt2").save_pretrained(folder / "model")
    grid = {
        "run": "text",
        "packages": {"home-assistant-intents": package},
        "encoders": {"words": {"kind": "sentence_transformer", "folder": str(folder / "encoder")}},
        "models": {"random-gpt2": {"kind": "folder", "path": str(folder / "model")}},
        "tasks": {
            "intents": {
                "corpus": {"kind": "home_assistant_intents", "train": 200, "dev": 10, "arrivals": 150, "test": 50},
                "encoder": "words",
                "evaluation": {"targets": 6},
                "probes": {"targets": 4, "measures": ["generation", "likelihood"]},
                "template": {"max_new_tokens": 8},
            }
        },
        "finetuning": {"smollm2": {"steps": 2, "checkpoints": [0, 1, 2], "examples_per_step": 4, "warmup_steps": 1}},
        "statistics": {"resamples": 100},
        "grid": [
            {
                "task": "intents",
                "models": ["random-gpt2"],
                "strategies": ["similar", "contrastive"],
                "seeds": [0, 1],
                "finetuning": "smollm2",
            }
        ],
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    monkeypatch_module.setenv("CONTRASTIVE_CONTEXT_CACHE", str(cache))
    checkout = make_checkout(repository, folder / "checkout", folder / "grid.yaml")
    run(checkout)
    return checkout / "results/text"


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_the_neighbour_search_was_approximate_and_measured(results):
    assert (
        min(
            value
            for name, value in read_json(results / "neighbours/intents/train.recall.json").items()
            if name.startswith("recall")
        )
        >= 0.99
    )


def test_contexts_hold_neighbours_and_paraphrases(results):
    contexts = pd.read_parquet(results / "contexts/intents/train/contrastive.parquet")
    assert {"random", "similar", "paraphrase"} == set(contexts.intended_grade)
    assert set(contexts.max_similarity.round(6).between(0, 1)) == {True}


def test_tables_pool_the_seeds(results):
    scores = pd.read_parquet(results / "tables/scores.parquet")
    assert set(scores.metric) == {"chrf++", "intent_match", "exact_match"}
    tuned = scores[scores.strategy == "contrastive"]
    assert {0, 1} <= set(tuned.seed.dropna())
    assert (results / "report.html").is_file()


def test_no_test_target_or_arrival_was_trained_on(results):
    corpus = results / "corpus/intents"
    sources = {name: set(pd.read_parquet(corpus / f"{name}.parquet").source) for name in ("train", "arrivals", "test")}
    assert not sources["train"] & sources["test"]
    assert not sources["train"] & sources["arrivals"]
    assert not sources["arrivals"] & sources["test"]


def test_no_context_gives_its_target_away(results):
    assert check_task(results, "intents") > 0
