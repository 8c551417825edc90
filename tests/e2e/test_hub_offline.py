"""A study that takes model, encoder and text from the hub: `snakemake prefetch`, then everything without it."""

import hashlib
import json
import random
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import yaml
from huggingface_hub import constants

from contrastive_context.core.artifacts import read_json
from contrastive_context.core.errors import UserError
from contrastive_context.scoring import comet
from contrastive_context.scoring.settings import ScoreCometSettings
from frozen_contexts import check_task
from hub_server import serve
from runner import make_checkout, run
from small_models import model, save_sentence_encoder, tokenizer

WORDS = [f"{first}{last}" for first in ("ba", "de", "fi", "go", "lu", "mo") for last in ("ran", "sel", "tik", "vor")]


def sentence(number: int) -> str:
    """Four words; sentences share none to three of them, which is low to high similarity."""
    draw = random.Random(number)
    return " ".join(draw.choice(WORDS[6 * place : 6 * place + 6]) for place in range(4))


def translation(text: str) -> str:
    """Half of the words in capitals; the others are shared, so that probes have something to replace."""
    first, second, *rest = text.split()
    return " ".join([first.upper(), second.upper(), *rest])


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def model_files(folder: Path) -> dict[str, bytes]:
    model("gpt2").save_pretrained(folder)
    tokenizer("gpt2").save_pretrained(folder)
    return files_of(folder)


def encoder_files(folder: Path) -> dict[str, bytes]:
    save_sentence_encoder(folder, [sentence(number) for number in range(1500)])
    return files_of(folder)


def data_set_files(folder: Path) -> tuple[dict[str, bytes], dict]:
    """OPUS-100's layout: Parquet by configuration, one column with a text per language."""
    files = {}
    for split, numbers in {"train": range(1200), "validation": range(1200, 1300), "test": range(1300, 1500)}.items():
        texts = [sentence(number) for number in numbers]
        frame = pd.DataFrame({"translation": [{"de": translation(text), "en": text} for text in texts]})
        frame.to_parquet(folder / "part.parquet", index=False)
        files[f"de-en/{split}-00000-of-00001.parquet"] = (folder / "part.parquet").read_bytes()
    parts = [{"split": split, "path": f"de-en/{split}-*"} for split in ("train", "validation", "test")]
    return files, {"configs": [{"config_name": "de-en", "data_files": parts}], "license": "unknown"}


def grid() -> dict:
    row = {"data": "pairs", "source": "translation.en", "target": "translation.de"}
    corpus = {
        "kind": "hub",
        "train": row | {"part": [0, 0.7], "limit": 150},
        "dev": row | {"split": "validation"},
        "arrivals": [row | {"part": [0.7, 1]}],
        "test": {"in_domain": row | {"split": "test"}},
    }
    task = {
        "corpus": corpus,
        "encoder": "words",
        "metrics": ["chrf++"],
        "agreement": "chrf",
        "k": 2,
        "evaluation": {"targets": 6},
        "probes": {
            "targets": 4,
            "anchors": "shared_words",
            "measures": ["likelihood"],
            "source_nonces": ["zorvex", "blimtar"],
            "label_nonces": ["MIRVOTH", "TESKALL"],
        },
        "template": {"target_prefix": " =>", "target_start": " ", "stop": "\n", "max_new_tokens": 8},
    }
    return {
        "run": "hub",
        "datasets": {"pairs": {"hub": "someone/pairs", "configuration": "de-en"}},
        "encoders": {"words": {"kind": "sentence_transformer", "hub": "someone/words"}},
        "models": {"tiny": {"kind": "hub", "name": "someone/tiny", "mem_mb": 1000}},
        # A learned metric for a task of which only the downloads are asked for: it runs in another environment.
        "metrics": {"comet": {"hub": "someone/judge", "encoder": "judge-encoder"}},
        "metric_encoders": {"judge-encoder": {"hub": "someone/judge-encoder"}},
        "tasks": {"capitals": task, "judged": task | {"metrics": ["comet"]}},
        "finetuning": {"smollm2": {"steps": 2, "checkpoints": [0, 2], "examples_per_step": 4, "warmup_steps": 1}},
        "grid": [
            {"task": task, "models": ["tiny"], "strategies": ["similar"], "seeds": [0], "finetuning": "smollm2"}
            for task in ("capitals", "judged")
        ],
    }


CHECKPOINT = b"a checkpoint" * 1000


class Finished(NamedTuple):
    """A run whose compute stages ran after the hub had gone.

    Attributes:
        results: the run's folder.
        locked: folder of a run of its own that was given the first one's lock.
        cache: the hub's cache.
        revision: of the model, served as ``main`` when the run took it.
        moved: what was ``main`` later, when the other run took it.
        said: what Snakemake said of the compute stages.
    """

    results: Path
    locked: Path
    cache: Path
    revision: str
    moved: str
    said: str


@pytest.fixture(scope="module")
def finished(repository, tmp_path_factory) -> Finished:
    """Prefetch, move ``main`` on, prefetch by the lock for another run, take the hub away, compute."""
    folder, results = tmp_path_factory.mktemp("hub"), "results/hub"
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid()))
    checkout = make_checkout(repository, folder / "checkout", folder / "grid.yaml")
    data, card = data_set_files(folder)
    with serve() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(folder / "cache"))
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.delenv("HF_HUB_OFFLINE")
        tiny = hub.add("someone/tiny", model_files(folder / "model"))
        hub.add("someone/words", encoder_files(folder / "encoder"))
        hub.add("someone/pairs", data, type="datasets", card=card)
        hub.add("someone/judge", {"checkpoints/model.ckpt": CHECKPOINT, "hparams.yaml": b"class_identifier: x"})
        hub.add("someone/judge-encoder", {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"no"})
        run(checkout, "--", "prefetch")
        revision = tiny.resolve("main")
        moved = tiny.commit(tiny.commits[revision] | {"generation_config.json": b"{}"})  # main moves on
        run(checkout, f"{results}/hub.lock.yaml", "--config", "run=again", "--", "results/again/hub/models/tiny.json")
    targets = [f"{results}/{path}" for path in ("finetune/capitals/tiny/similar-seed0/adapters.json",
               "probes/capitals/tiny/base.parquet", "scores/capitals/tiny.parquet")]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(folder / "cache"))
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        patch.delenv("HF_HUB_OFFLINE")
        said = run(checkout, "--", *targets)
    return Finished(checkout / results, checkout / "results/again", folder / "cache", revision, moved, said)


def test_compute_stages_run_from_what_was_stored(finished):
    results = finished.results
    assert "fetch_hub" not in finished.said
    assert read_json(results / "models/tiny.json")["revision"] == finished.revision != finished.moved
    assert sorted(read_json(results / "finetune/capitals/tiny/similar-seed0/adapters.json")["steps"]) == ["0", "2"]
    answers = [json.loads(line) for line in (results / "predictions/capitals/tiny/base.jsonl").read_text().splitlines()]
    assert answers and check_task(results, "capitals") > 0
    train = pd.read_parquet(results / "corpus/capitals/train.parquet")
    assert 50 < len(train) <= 150  # a sample of 150, less what is in other splits
    assert (train["target"] == train["source"].map(translation)).all()


def test_answers_are_scored_and_the_base_is_probed_without_the_hub(finished):
    scores = pd.read_parquet(finished.results / "scores/capitals/tiny.parquet")
    assert set(scores["strategy"]) == {"base", "similar"} and set(scores["metric"]) == {"chrf++"}
    assert pd.read_parquet(finished.results / "probes/capitals/tiny/base.parquet")["value"].notna().any()


def test_the_lock_file_pins_what_was_used(finished):
    lock = yaml.safe_load((finished.results / "hub.lock.yaml").read_text())
    assert lock["models"] == {"tiny": {"revision": finished.revision}}
    assert set(lock) == {"models", "encoders", "datasets", "metrics", "metric_encoders"}
    assert (finished.results / "hub.lock.yaml.provenance.json").is_file()


def test_another_run_with_the_lock_takes_the_same_revision_after_main_moved(finished):
    record = read_json(finished.locked / "hub/models/tiny.json")
    assert record == read_json(finished.results / "hub/models/tiny.json")
    assert record["revision"] == finished.revision != finished.moved


def test_a_learned_metric_is_found_by_its_records_without_the_hub(finished, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(finished.cache / "hub"))
    records = [
        str(finished.results / f"hub/{name}.json") for name in ("metrics/comet", "metric_encoders/judge-encoder")
    ]
    study = grid()
    asked = {
        "metric": "comet",
        "model": study["metrics"]["comet"],
        "encoder": study["metric_encoders"]["judge-encoder"],
    }
    files = comet.locate(ScoreCometSettings.model_validate(asked), *records)
    assert files.checkpoint.read_bytes() == CHECKPOINT and files.sha256 == hashlib.sha256(CHECKPOINT).hexdigest()
    # The encoder's weights are in the metric's checkpoint.
    assert sorted(file.name for file in files.encoder.iterdir()) == ["config.json", "tokenizer.json"]
    asked["model"] = asked["model"] | {"sha256": "0" * 64}
    with pytest.raises(UserError, match=rf"metrics\.comet\.sha256: someone/judge has a checkpoint with {files.sha256}"):
        comet.locate(ScoreCometSettings.model_validate(asked), *records)


def test_weights_are_not_copied(finished):
    assert (finished.results / "models/tiny/model.safetensors").is_symlink()
