"""States of a fine-tuning run: whole or not used."""

import json
import shutil
from pathlib import Path

import pytest

from contrastive_context.core import artifacts, lease
from contrastive_context.core.errors import UserError
from contrastive_context.training.state import RunState, remove_superseded

FILES = ("adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors", "trainer_log.jsonl")


def fill(state, step):
    with state.save(step) as folder:
        for name in FILES:
            (folder / name).write_text(f"{name} of step {step}\n")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def state(folder):
    state = RunState(folder, checkpoints=[0, 10])
    for step in (0, 3, 6):
        fill(state, step)
    return state


def again(folder, checkpoints=(0, 10), **options):
    """The states as the next job finds them."""
    return RunState(folder, checkpoints, **options)


def steps(folder):
    return sorted(int(path.name[5:]) for path in folder.glob("step-*"))


def test_the_newest_state_up_to_a_step(state, folder):
    assert [again(folder).newest(at_most) for at_most in (0, 2, 3, 5, 99)] == [0, 0, 3, 3, 6]
    assert again(folder).has(3) and not again(folder).has(4)
    assert again(folder.parent / "other").newest(99) is None


@pytest.mark.parametrize("name", [*FILES, "checksums.json"])
@pytest.mark.parametrize("damage", ["first bit", "middle bit", "last bit", "truncated", "emptied", "removed"])
def test_a_damaged_state_is_noticed_and_the_one_before_used(state, folder, name, damage, caplog):
    file = folder / "step-000006" / name
    content = bytearray(file.read_bytes())
    match damage.split():
        case [where, "bit"]:
            content[{"first": 0, "middle": len(content) // 2, "last": -2}[where]] ^= 1
        case ["truncated"]:
            content = content[: len(content) // 2]
        case ["emptied"]:
            content = b""
    file.write_bytes(content)
    if damage == "removed":
        file.unlink()
    assert again(folder).newest(99) == 3
    assert "step-000006" in caplog.text and "this state is not used" in caplog.text


def test_every_bit_counts(state, folder):
    for file in (folder / "step-000006").iterdir():
        content = file.read_bytes()
        for at in range(0, len(content), 7):
            for bit in (0, 5):
                file.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
                damaged = again(folder).newest(99) == 3
                # Blanks between the parts of the list of checksums mean nothing.
                if not damaged:
                    assert file.name == "checksums.json" and json.loads(file.read_text()) == json.loads(content)
        file.write_bytes(content)
    assert again(folder).newest(99) == 6


def test_a_file_that_does_not_belong_to_it_is_noticed(state, folder):
    (folder / "step-000006/more").write_text("")
    assert again(folder).newest(99) == 3


def test_a_damaged_state_is_replaced_when_training_comes_by(state, folder):
    (folder / "step-000006" / FILES[0]).write_text("")
    state = again(folder)
    assert state.newest(99) == 3
    fill(state, 6)
    assert again(folder).newest(99) == 6


def test_two_states_stay_and_the_checkpoints(state, folder):
    fill(state, 8)
    assert steps(folder) == [0, 6, 8]
    fill(state, 10)
    assert steps(folder) == [0, 6, 8, 10]
    state.tidy()
    assert steps(folder) == [0, 10]
    assert state.is_finished and again(folder).is_finished


def test_a_damaged_state_does_not_count_among_those_kept(state, folder):
    (folder / "step-000006" / FILES[0]).write_text("")
    state = again(folder)
    state.newest(99)
    fill(state, 8)
    assert steps(folder) == [0, 3, 8]


def test_a_failed_save_leaves_all_as_it_was(state, folder):
    with pytest.raises(ZeroDivisionError), state.save(8) as new:
        (new / FILES[0]).write_text("half")
        raise ZeroDivisionError
    assert steps(folder) == [0, 3, 6] and not list(folder.glob(".tmp*"))
    assert again(folder).newest(99) == 6


def test_one_who_lost_the_folder_changes_nothing(folder):
    def lost():
        raise UserError("taken over")

    fill(again(folder), 0)
    fill(again(folder), 3)
    state = again(folder, guard=lost)
    for change in (lambda: fill(state, 6), state.tidy, lambda: state.write_failure({})):
        with pytest.raises(UserError, match="taken over"):
            change()
    assert sorted(path.name for path in folder.iterdir()) == ["step-000000", "step-000003"]


def test_what_killed_jobs_left_is_removed(state, folder):
    (folder / ".tmp-step-000007-abcdefgh").mkdir()
    state.tidy()
    assert steps(folder) == [0] and not list(folder.glob(".tmp*"))


def test_an_added_checkpoint_starts_from_the_state_before_it(state, folder):
    fill(state, 10)
    state.tidy()
    later = again(folder, (0, 5, 10))
    assert not later.is_finished
    assert later.newest(5) == 0
    fill(later, 4)
    fill(later, 5)
    assert steps(folder) == [0, 4, 5, 10] and later.is_finished


@pytest.mark.parametrize("links", [True, False])
def test_publishing(state, folder, tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(PermissionError()))
    fill(state, 10)
    record = state.publish(tmp_path / "out", "b")
    assert record == json.loads((tmp_path / "out/adapters.json").read_text())
    weights = tmp_path / "out/step-000010" / FILES[0]
    config = weights.with_name("adapter_config.json")
    hashes = {"sha256": artifacts.sha256_file(weights), "config_sha256": artifacts.sha256_file(config)}
    assert record["steps"]["10"] == {"folder": "step-000010", **hashes}
    assert (weights.stat().st_nlink == 2) == links
    assert sorted(path.name for path in weights.parent.iterdir()) == sorted(FILES[:2])
    assert (tmp_path / "out/trainer_log.jsonl").read_text() == "trainer_log.jsonl of step 10\n"
    shutil.rmtree(tmp_path / "out")
    assert again(folder).is_finished


def test_a_failure_is_noted(state, folder):
    assert state.read_failure() is None
    failure = {"message": "no", "max_loss_factor": 3.0}
    state.write_failure(failure)
    assert again(folder).read_failure() == failure
    for damaged in ("{", "[1]", '{"message": "no"}', "[" * 100_000):
        state.failure_file.write_text(damaged)
        assert again(folder).read_failure() is None


@pytest.mark.parametrize("checksums", ["[1]", '"x"', "[" * 100_000, '{"adapter_model.safetensors": 1}'])
def test_checksums_of_another_shape_count_for_nothing(state, folder, checksums):
    (folder / "step-000006/checksums.json").write_text(checksums)
    assert again(folder).newest(99) == 3


def test_superseded_states_are_removed_unless_in_use(tmp_path):
    for name in ("old", "current", "busy"):
        fill(again(tmp_path / name), 0)
    with lease.hold(tmp_path / "busy", 60):
        remove_superseded(tmp_path, "current", 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["busy", "current"]
