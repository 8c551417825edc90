"""A study that takes model, encoder and text from the hub: `snakemake prefetch`, then everything without it."""

import json
import random
from pathlib import Path

import pandas as pd
import pytest
import yaml

from contrastive_context.artifacts import read_json
from frozen_contexts import check_task
from hub_server import serve
from runner import make_checkout, run
from small_models import model, tokenizer

WORDS = [f"{first}{last}" for first in ("ba", "de", "fi", "go", "lu", "mo") for last in ("ran", "sel", "tik", "vor")]


def sentence(number: int) -> str:
    """Four words; sentences share none to three of them, which is low to high similarity."""
    draw = random.Random(number)
    return " ".join(draw.choice(WORDS[6 * place : 6 * place + 6]) for place in range(4))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def model_files(folder: Path) -> dict[str, bytes]:
    model("gpt2").save_pretrained(folder)
    tokenizer("gpt2").save_pretrained(folder)
    return files_of(folder)


def encoder_files(folder: Path) -> dict[str, bytes]:
    """A sentence-transformers model of random word vectors."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordPiece
    from tokenizers.trainers import WordPieceTrainer

    raw = Tokenizer(WordPiece(unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    texts = [sentence(number) for number in range(1500)]
    raw.train_from_iterator(texts, WordPieceTrainer(special_tokens=["[UNK]"], show_progress=False))
    torch.manual_seed(0)
    words = models.StaticEmbedding(raw, embedding_dim=64)
    torch.nn.init.normal_(words.embedding.weight)
    SentenceTransformer(modules=[words, models.Normalize()], device="cpu").save(str(folder), create_model_card=False)
    return files_of(folder)


def data_set_files(folder: Path) -> tuple[dict[str, bytes], dict]:
    """OPUS-100's layout: Parquet by configuration, one column with a text per language."""
    files = {}
    for split, numbers in {"train": range(1200), "validation": range(1200, 1300), "test": range(1300, 1500)}.items():
        texts = [sentence(number) for number in numbers]
        frame = pd.DataFrame({"translation": [{"de": text.upper(), "en": text} for text in texts]})
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
        "tasks": {"capitals": task},
        "finetuning": {"smollm2": {"steps": 2, "checkpoints": [0, 2], "examples_per_step": 4, "warmup_steps": 1}},
        "grid": [
            {"task": "capitals", "models": ["tiny"], "strategies": ["similar"], "seeds": [0], "finetuning": "smollm2"}
        ],
    }


@pytest.fixture(scope="module")
def finished(repository, tmp_path_factory) -> tuple[Path, str, str]:
    """The folder of a run, what the hub served as ``main``, and what Snakemake said; the hub is down by then."""
    folder = tmp_path_factory.mktemp("hub")
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
        run(checkout, "--", "prefetch")
        revision = tiny.resolve("main")
        tiny.commit({"config.json": b"{}"})  # main moves on; the run does not
    results = "results/hub"
    targets = [f"{results}/finetune/capitals/tiny/similar-seed0/adapters.json",
               f"{results}/predictions/capitals/tiny/base.jsonl"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(folder / "cache"))
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        patch.delenv("HF_HUB_OFFLINE")
        said = run(checkout, "--", *targets)
    return checkout / results, revision, said


def test_compute_stages_run_from_what_was_stored(finished):
    results, revision, said = finished
    assert "fetch_hub" not in said
    assert read_json(results / "models/tiny.json")["revision"] == revision
    assert sorted(read_json(results / "finetune/capitals/tiny/similar-seed0/adapters.json")["steps"]) == ["0", "2"]
    answers = [json.loads(line) for line in (results / "predictions/capitals/tiny/base.jsonl").read_text().splitlines()]
    assert answers and check_task(results, "capitals") > 0
    train = pd.read_parquet(results / "corpus/capitals/train.parquet")
    assert 50 < len(train) <= 150  # a sample of 150, less what is in other splits
    assert (train["target"] == train["source"].str.upper()).all()


def test_the_lock_file_pins_what_was_used(finished):
    results, revision, _ = finished
    lock = yaml.safe_load((results / "hub.lock.yaml").read_text())
    assert lock["models"] == {"tiny": {"revision": revision}}
    assert set(lock) == {"models", "encoders", "datasets"}
    assert (results / "hub.lock.yaml.provenance.json").is_file()


def test_weights_are_not_copied(finished):
    results, _, _ = finished
    assert (results / "models/tiny/model.safetensors").is_symlink()
