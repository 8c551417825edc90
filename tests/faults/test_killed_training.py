"""Training that is killed with -9, wherever it is, loses nothing but the steps since its last save."""

import json
import random
import signal

import pytest
from forkserver import forkserver
from training_job import PRELOAD, job

from contrastive_context.training.state import LOG, RunState
from small_runs import numbers

CHECKPOINTS = [0, 2, 4]


@pytest.fixture(scope="module")
def context():
    with forkserver(PRELOAD) as context:
        yield context


def run(context, *arguments, **options) -> int:
    process = context.Process(target=job, args=arguments, kwargs=options)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.fixture(scope="module")
def undisturbed(context, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(context, folder) == 0
    return numbers(RunState(folder / "state", CHECKPOINTS))


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again(context, undisturbed, tmp_path, seed):
    """Each life ends at another touch of the disk: in the middle of a save, of a clean-up, of publishing."""
    rng, newest, lives = random.Random(seed), -1, 0
    while (status := run(context, tmp_path, kill_at=rng.randint(3, 120))) != 0:
        assert status == -signal.SIGKILL
        lives += 1
        assert lives < 60
        # What was saved stays saved.
        found = RunState(tmp_path / "state", CHECKPOINTS).newest(99)
        assert (-1 if found is None else found) >= newest
        newest = -1 if found is None else found
    assert lives > 2
    state = RunState(tmp_path / "state", CHECKPOINTS)
    assert numbers(state) == undisturbed
    assert (tmp_path / "out" / LOG).read_bytes() == (state.path(4) / LOG).read_bytes()
    assert sorted(path.name for path in (tmp_path / "state").iterdir() if path.is_dir()) == [
        "step-000000", "step-000002", "step-000004"
    ]  # fmt: skip


def test_killed_at_any_moment(context, undisturbed, tmp_path):
    rng = random.Random(0)
    for _ in range(4):
        process = context.Process(target=job, args=(tmp_path,))
        process.start()
        process.join(rng.uniform(0.2, 1.5))
        process.kill()
        process.join()
    assert run(context, tmp_path) == 0
    assert numbers(RunState(tmp_path / "state", CHECKPOINTS)) == undisturbed


def test_two_jobs_for_the_same_work(context, undisturbed, tmp_path):
    jobs = [context.Process(target=job, args=(tmp_path,)) for _ in range(3)]
    for process in jobs:
        process.start()
    for process in jobs:
        process.join(120)
    assert [process.exitcode for process in jobs] == [0, 0, 0]
    assert numbers(RunState(tmp_path / "state", CHECKPOINTS)) == undisturbed


def test_memory_that_really_runs_out(context, tmp_path):
    states, budgets = [], []
    for name, megabytes in (("much", 8000), ("little", 400)):
        assert run(context, tmp_path / name, memory_mb=megabytes) == 0
        states.append(RunState(tmp_path / name / "state", [0, 2]))
        budgets.append(json.loads((states[-1].path(2) / "progress.json").read_text())["micro_batch_tokens"])
    assert budgets[0] == 100_000 and budgets[1] < 5_000
    for line, other in zip(*(numbers(state)[0] for state in states), strict=True):
        assert line["loss"] == pytest.approx(other["loss"], abs=1e-4)
