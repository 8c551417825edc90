"""Jobs of one machine take different GPUs; a list of names stands for them here."""

import subprocess
import sys
from collections import Counter

import pytest

from contrastive_context.core import devices, gpus

JOB = """
import logging, sys
from pathlib import Path
from contrastive_context.core import gpus
logging.basicConfig(level=logging.INFO, format="%(message)s")
print(gpus.take(sys.argv[2].split(), int(sys.argv[3]), Path(sys.argv[1]), timeout_s=5), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    jobs = []

    def start(names="0 1", jobs_per_gpu=1):
        command = [sys.executable, "-c", JOB, str(tmp_path), names, str(jobs_per_gpu)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        jobs.append(subprocess.Popen(command, **pipes, text=True))
        return jobs[-1]

    yield start
    for job in jobs:
        job.kill()
        job.wait()
        job.stdout.close()
        job.stderr.close()


def got(job) -> str:
    """Return the GPU that a job has, once it has one."""
    return job.stdout.readline().strip()


@pytest.mark.parametrize("jobs_per_gpu", [1, 2])
def test_every_gpu_has_as_many_jobs_as_may_share_it(start, jobs_per_gpu):
    jobs = [start(jobs_per_gpu=jobs_per_gpu) for _ in range(2 * jobs_per_gpu)]
    assert Counter(map(got, jobs)) == {"0": jobs_per_gpu, "1": jobs_per_gpu}


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_a_job_waits_for_the_gpu_of_one_that_ends(start, end):
    first, second = start(), start()
    taken = {got(first): first, got(second): second}
    third = start()
    assert taken.keys() == {"0", "1"}
    assert third.stderr.readline() == (
        "waiting for a GPU: other jobs have 0, 1; cluster.jobs_per_gpu lets them share\n"
    )
    assert third.poll() is None
    if end == "killed":
        taken["1"].kill()
    else:
        taken["1"].stdin.close()
    taken["1"].wait()
    assert got(third) == "1"
    assert taken["0"].poll() is None


def test_only_the_visible_gpus_are_taken_and_only_one_stays_visible(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    assert gpus.listed() == ["3", "5"]
    gpus.use_one()
    assert gpus.listed() == ["3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    gpus.use_one()
    assert gpus.listed() == ["5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setenv(gpus.JOBS_PER_GPU, "2")
    gpus.use_one()
    assert gpus.listed() == ["3"]


def test_the_gpu_of_a_slurm_job_is_its_own_and_those_of_an_allocation_are_shared_out(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    gpus.use_one()
    assert gpus.listed() == ["2"] and not list(tmp_path.iterdir())
    for expected in ("2", "3"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
        gpus.use_one()
        assert gpus.listed() == [expected]
    monkeypatch.setenv("SLURM_JOB_ID", "8")  # another allocation of this machine, which numbers its GPUs alike
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    gpus.use_one()
    assert gpus.listed() == ["2"]


def test_without_gpus_none_is_taken(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    taken = []
    monkeypatch.setattr(gpus, "take", lambda *arguments: taken.append(arguments))
    gpus.use_one()
    devices.require_gpu("cpu", "models.m")
    assert taken == [] and gpus.listed() == []
