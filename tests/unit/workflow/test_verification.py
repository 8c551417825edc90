"""What ``make verify`` says of a folder in which files were changed, lost, added or torn."""

import json
from pathlib import Path

import pytest

from contrastive_context.core.artifacts import sha256_file, write_folder_hashes, write_json
from contrastive_context.core.sidecars import SUFFIX
from contrastive_context.workflow.verification import verify

RUN = "results/mine"


def made(path: str, *inputs: str) -> None:
    """Write the sidecar of a file that is there."""

    def entry(path: str) -> dict:
        return {"path": path, "sha256": sha256_file(path), "bytes": Path(path).stat().st_size}

    record = {"step": "step", "outputs": [entry(path)], "inputs": {"in": [*map(entry, inputs)]}, "settings": {}}
    write_json(f"{path}{SUFFIX}", record)


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run with a corpus, a model, adapters and scores."""
    monkeypatch.chdir(tmp_path)
    for name in ("corpus.txt", "models/m/weights", "finetune/a/step-000001/adapter_model.safetensors", "scores.txt"):
        path = Path(RUN) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    write_folder_hashes(f"{RUN}/models/m", f"{RUN}/models/m.json")
    weights = f"{RUN}/finetune/a/step-000001/adapter_model.safetensors"
    steps = {"1": {"folder": "step-000001", "sha256": sha256_file(weights)}}
    write_json(f"{RUN}/finetune/a/adapters.json", {"steps": steps})
    made(f"{RUN}/corpus.txt")
    made(f"{RUN}/models/m.json")
    made(f"{RUN}/finetune/a/adapters.json", f"{RUN}/models/m.json", f"{RUN}/corpus.txt")
    made(f"{RUN}/scores.txt", f"{RUN}/finetune/a/adapters.json")
    return tmp_path / RUN


def problems() -> set[tuple[str, str]]:
    return {(problem.state, problem.path.removeprefix(f"{RUN}/")) for problem in verify(RUN)}


def test_nothing_is_wrong_with_what_the_steps_left(run):
    assert problems() == set()


def test_every_state_is_named_and_none_hides_another(run):
    (run / "corpus.txt").write_text("another")
    (run / "scores.txt").unlink()
    (run / "models/m.json").write_text('{"files": {"wei')
    (run / "finetune/a/step-000001/adapter_model.safetensors").write_text("x")
    (run / "mine.txt").write_text("x")
    assert problems() == {
        ("altered", "corpus.txt"),
        ("altered", "models/m.json"),
        ("altered", "finetune/a/step-000001/adapter_model.safetensors"),
        ("missing", "scores.txt"),
        ("stale", "finetune/a/adapters.json"),
        ("orphaned", "mine.txt"),
    }


def test_a_file_is_stale_whose_input_is_gone(run):
    (run / "corpus.txt").unlink()
    assert problems() == {("missing", "corpus.txt"), ("stale", "finetune/a/adapters.json")}


@pytest.mark.parametrize("content", ["", '{"step": "st', "[]", json.dumps({"outputs": []})])
def test_a_torn_sidecar_hides_nothing(run, content):
    (run / f"scores.txt{SUFFIX}").write_text(content)
    (run / "corpus.txt").write_text("another")
    assert problems() == {
        ("damaged", f"scores.txt{SUFFIX}"),
        ("orphaned", "scores.txt"),
        ("altered", "corpus.txt"),
        ("stale", "finetune/a/adapters.json"),
    }


def test_a_hash_file_of_another_form_is_altered(run):
    (run / "finetune/a/adapters.json").write_text("{}")
    assert problems() == {("altered", "finetune/a/adapters.json"), ("stale", "scores.txt")}


@pytest.mark.parametrize("name", ["models/m/more", "finetune/a/step-000001/more", "finetune/a/step-000002/more"])
def test_files_among_weights_are_orphans_unless_their_hash_file_names_them(run, name):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("x")
    assert problems() == {("orphaned", name)}
