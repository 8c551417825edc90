"""Accepting a change of code: results and what a fine-tuning left for its successors stand under the new version."""

from pathlib import Path

import pytest

from contrastive_context.core import lease
from contrastive_context.core.artifacts import sha256_file, write_json
from contrastive_context.core.sidecars import SUFFIX, Sidecar, read_sidecar
from contrastive_context.training import state
from contrastive_context.training.settings import FinetuneSettings
from contrastive_context.workflow.acceptance import accept
from small_runs import RECIPE

SYSTEM = "lexicon/tiny/zero-seed0"
SETTINGS = {
    "task": "lexicon", "model_name": "tiny", "dtype": "float32", "device": "cpu",
    "recipe": RECIPE.model_dump(mode="json"), "template": {"target_prefix": "=>", "stop": ";"},
    "strategy_name": "zero", "seed": 0,
}  # fmt: skip
FILES = {name: f"results/mine/{name}" for name in ("model", "corpus", "contexts")}


def state_of(code: str) -> Path:
    leaves = FinetuneSettings.model_validate(SETTINGS).model_dump(mode="json")
    return Path("results/mine/.state/finetune") / SYSTEM / state.fingerprint(leaves, code, FILES)


@pytest.fixture
def trained(tmp_path, monkeypatch) -> Sidecar:
    """The sidecar of a finished training by code "1", whose state is kept."""
    monkeypatch.chdir(tmp_path)
    adapters = Path("results/mine/finetune") / SYSTEM / "adapters.json"
    for path in (adapters, *map(Path, FILES.values())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    (state_of("1") / "step-000002").mkdir(parents=True)
    record = {
        "step": "finetune",
        "outputs": [{"path": str(adapters), "sha256": sha256_file(adapters), "bytes": adapters.stat().st_size}],
        "inputs": {name: {"path": path, "sha256": sha256_file(path)} for name, path in FILES.items()},
        "settings": SETTINGS | {"code_version": "1"},
    }
    write_json(f"{adapters}{SUFFIX}", record)
    return read_sidecar(Path(f"{adapters}{SUFFIX}"))


def test_kept_state_is_found_by_the_new_code(trained):
    assert accept([trained], "finetune", "2") == 1
    assert read_sidecar(trained.path).record["settings"]["code_version"] == "2"
    assert (state_of("2") / "step-000002").is_dir() and not state_of("1").exists()
    assert accept([read_sidecar(trained.path)], "finetune", "2") == 0


def test_state_that_somebody_trains_in_or_that_is_there_already_is_left_alone(trained):
    with lease.hold(state_of("1"), 60):
        accept([trained], "finetune", "2")
    assert state_of("1").is_dir() and not state_of("2").exists()
    state_of("2").mkdir()
    accept([trained], "finetune", "2")
    assert state_of("1").is_dir() and list(state_of("2").iterdir()) == []


def test_without_the_files_it_was_trained_on_there_is_no_state_to_find(trained):
    Path(FILES["corpus"]).unlink()
    assert accept([trained], "finetune", "2") == 1


def test_settings_that_the_new_code_does_not_know_have_no_state_to_find(trained):
    trained.record["settings"]["unheard_of"] = 1
    assert accept([trained], "finetune", "2") == 1
    assert state_of("1").is_dir()


def test_other_steps_are_left_alone(trained):
    assert accept([trained], "generate", "2") == 0
    assert state_of("1").is_dir()
