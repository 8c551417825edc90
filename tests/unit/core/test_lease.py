"""One job at a time works in a folder, and a dead one is succeeded."""

import json
import os
import subprocess
import sys
import threading

import pytest

from contrastive_context.core import lease
from contrastive_context.core.errors import UserError


def write(folder, number=1, silent_s=0.0, **changes):
    """Leave a lease as another job would; ``silent_s``: how long ago it gave its last sign of life."""
    lease._create(path := folder / f"lease-{number:06d}.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    now = path.stat().st_mtime
    os.utime(path, (now - silent_s, now - silent_s))
    return path


class Waits(Exception):
    pass


def waits():
    raise Waits


def held(folder):
    with lease.hold(folder, 60, waits):
        return True


@pytest.fixture
def finished_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_free_folder_is_held_and_released(tmp_path):
    folder = tmp_path / "new"
    with lease.hold(folder, 60) as mine:
        mine.check()
        assert not lease.is_free(folder, 60)
    assert lease.is_free(folder, 60)
    with lease.hold(folder, 60):
        pass
    assert [path.name for path in folder.iterdir()] == ["lease-000002.released.json"]


def test_a_live_holder_here_is_waited_for(tmp_path, caplog):
    write(tmp_path, job="77")
    with pytest.raises(Waits):
        held(tmp_path)
    with caplog.at_level("INFO"), pytest.raises(Waits):
        held(tmp_path)
    assert f"waiting for another job (SLURM job 77, process {os.getpid()} on" in caplog.text


def test_a_holder_here_whose_process_is_gone_is_succeeded_at_once(tmp_path, finished_process):
    write(tmp_path, pid=finished_process)
    assert held(tmp_path)


def test_a_process_number_that_is_used_again_is_not_the_holder(tmp_path):
    write(tmp_path, started="1")
    assert held(tmp_path)


@pytest.mark.parametrize("elsewhere", [{"host": "node7"}, {"boot": "another"}, {"processes": "pid:[1]"}])
def test_a_holder_elsewhere_counts_as_alive_until_it_is_silent(tmp_path, finished_process, elsewhere):
    path = write(tmp_path, pid=finished_process, **elsewhere)
    with pytest.raises(Waits):
        held(tmp_path)
    now = path.stat().st_mtime
    os.utime(path, (now - 61, now - 61))
    assert held(tmp_path)


def test_a_holder_that_hangs_is_succeeded_and_told(tmp_path):
    with lease.hold(tmp_path, 3600) as first:
        path = tmp_path / "lease-000001.json"
        os.utime(path, (path.stat().st_mtime - 61,) * 2)
        with lease.hold(tmp_path, 60) as second:
            second.check()
            with pytest.raises(UserError, match=r"taken over by another job \(process .* stops here"):
                first.check()
        with pytest.raises(UserError, match="taken over"):
            first.check()
    assert lease.is_free(tmp_path, 60)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"host": "node7"}', b"[" * 100_000])
def test_a_holder_killed_before_it_wrote_its_name(tmp_path, content):
    """Or one whose record is damaged: it counts as alive until it is silent."""
    path = write(tmp_path)
    path.write_bytes(content)
    with pytest.raises(Waits):
        held(tmp_path)
    os.utime(path, (path.stat().st_mtime - 61,) * 2)
    assert held(tmp_path)


def test_the_machines_own_clock_does_not_matter(tmp_path, monkeypatch):
    write(tmp_path, host="node7")
    monkeypatch.setattr("time.time", lambda: 4e9)
    with pytest.raises(Waits):
        held(tmp_path)


def test_signs_of_life_are_given(tmp_path):
    with lease.hold(tmp_path, timeout_s=1):
        path = tmp_path / "lease-000001.json"
        os.utime(path, (0, 0))
        seen = threading.Event()
        for _ in range(100):
            if path.stat().st_mtime > 0:
                seen.set()
                break
            seen.wait(0.05)
        assert seen.is_set()


def test_a_waiting_job_goes_on_when_the_holder_is_done(tmp_path):
    waiting, order = threading.Event(), []

    def newcomer():
        with lease.hold(tmp_path, 3, waiting.set):
            order.append("newcomer")

    with lease.hold(tmp_path, 3):
        other = threading.Thread(target=newcomer)
        other.start()
        assert waiting.wait(10)
        order.append("holder")
    other.join(10)
    assert order == ["holder", "newcomer"]


def test_of_many_newcomers_one_succeeds_the_dead(tmp_path, finished_process):
    write(tmp_path, pid=finished_process)
    start, inside, most, done = threading.Barrier(8), [], [], []

    def newcomer():
        start.wait(10)
        with lease.hold(tmp_path, 1):
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            done.append(1)

    threads = [threading.Thread(target=newcomer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 8 and max(most) == 1


def test_a_newcomer_that_looked_long_ago_does_not_take_an_old_number(tmp_path, monkeypatch):
    looks = iter([(0, None)])  # what it saw before another job came, worked and went
    with lease.hold(tmp_path, 60):
        pass
    look = lease._newest
    monkeypatch.setattr(lease, "_newest", lambda folder: next(looks, None) or look(folder))
    with lease.hold(tmp_path, 60):
        assert [path.name for path in tmp_path.iterdir()] == ["lease-000002.json"]


def test_the_folder_may_be_removed_while_somebody_waits(tmp_path, finished_process):
    folder = tmp_path / "state"
    folder.mkdir()
    path = write(folder)

    def remove():
        path.unlink(missing_ok=True)
        if folder.exists():
            folder.rmdir()

    with lease.hold(folder, 1, remove):
        assert (folder / "lease-000001.json").exists()
