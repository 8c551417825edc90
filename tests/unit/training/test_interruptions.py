"""Training stops for signals and before its time is over."""

import os
import signal
import time

import pytest

from contrastive_context.training import interruptions
from contrastive_context.training.interruptions import Interruptions, Stopped, parse_time_left


@pytest.fixture(autouse=True)
def slurm(tmp_path, monkeypatch):
    """A SLURM whose commands note how they are called; ``answer`` sets what one of them does."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    class Slurm:
        calls = tmp_path / "calls"

        @staticmethod
        def answer(command, script):
            (tmp_path / command).write_text(f'#!/bin/sh\necho "{command} $*" >> {tmp_path}/calls\n{script}\n')
            (tmp_path / command).chmod(0o755)

    return Slurm


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("59", 59), ("1:05", 65), ("2:00:00", 7200), ("1-02:03:04", 93784), ("0:00", 0), ("UNLIMITED", None),
     ("INVALID", None), ("NOT_SET", None), ("", None)],
)  # fmt: skip
def test_times_as_slurm_writes_them(text, seconds):
    assert parse_time_left(text) == seconds


@pytest.mark.parametrize(
    ("number", "status", "out_of_time"),
    [(signal.SIGTERM, 143, False), (signal.SIGINT, 130, False), (signal.SIGUSR1, 75, True)],
)
def test_signals_are_collected(number, status, out_of_time):
    before = signal.getsignal(number)
    watch = Interruptions()
    with watch.collected():
        watch.check()
        os.kill(os.getpid(), number)
        if number != signal.SIGINT:
            os.kill(os.getpid(), number)
        with pytest.raises(Stopped) as stopped:
            watch.check()
    assert (stopped.value.status, stopped.value.out_of_time) == (status, out_of_time)
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt), Interruptions().collected():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_the_end_of_the_time(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = Interruptions(seconds_left=3600, reserve_s=60)
    clock[0] += 3500
    watch.check(needed_s=30)
    with pytest.raises(Stopped) as stopped:
        watch.check(needed_s=50)
    assert stopped.value.out_of_time
    # A reserve of a minute would be all of a short job.
    watch = Interruptions(seconds_left=60, reserve_s=60)
    clock[0] += 53
    watch.check()
    clock[0] += 2
    with pytest.raises(Stopped):
        watch.check()
    Interruptions(None, 60).check(needed_s=1e9)


class TestSlurm:
    def test_outside_there_is_no_limit(self, slurm):
        slurm.answer("squeue", "echo 1:00")
        assert interruptions.seconds_left() is None
        assert not slurm.calls.exists()

    def test_the_environment_comes_first(self, monkeypatch):
        monkeypatch.setenv("SLURM_JOB_ID", "5")
        monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + 600))
        assert 590 < interruptions.seconds_left() <= 600

    def test_squeue_is_asked(self, slurm, monkeypatch):
        monkeypatch.setenv("SLURM_JOB_ID", "5")
        slurm.answer("squeue", "echo '  9:58'")
        assert interruptions.seconds_left() == 598
        assert slurm.calls.read_text() == "squeue --noheader --jobs 5 --format %L\n"

    @pytest.mark.parametrize("script", ["exit 1", None])
    def test_without_an_answer_training_goes_on(self, slurm, monkeypatch, caplog, script):
        monkeypatch.setenv("SLURM_JOB_ID", "5")
        if script:
            slurm.answer("squeue", script)
        assert interruptions.seconds_left() is None
        assert "only periodic saves protect it" in caplog.text

    @pytest.mark.parametrize(("status", "requeued"), [(75, True), (143, False)])
    def test_only_a_job_out_of_time_is_requeued(self, slurm, monkeypatch, status, requeued):
        monkeypatch.setenv("SLURM_JOB_ID", "5")
        slurm.answer("scontrol", "")
        with pytest.raises(Stopped), interruptions.requeued_when_out_of_time():
            raise Stopped("over", status)
        assert slurm.calls.exists() == requeued
        if requeued:
            assert slurm.calls.read_text() == "scontrol requeue 5\n"

    def test_a_refusal_is_told(self, slurm, monkeypatch, caplog):
        monkeypatch.setenv("SLURM_JOB_ID", "5")
        slurm.answer("scontrol", "echo 'Job is not requeuable' >&2; exit 1")
        with pytest.raises(Stopped), interruptions.requeued_when_out_of_time():
            raise Stopped("over", 75)
        assert "SLURM doesn't requeue job 5: Job is not requeuable" in caplog.text
