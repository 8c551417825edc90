"""Whatever happens to the jobs of a grid, its tables are those of an undisturbed run.

One run of the workflow has a fine-tuning for each kind of disturbance. All train for a while, are suspended there, and
are disturbed; each is then looked at by itself.
"""

import shutil

import pytest
from cluster import wait_until
from submission import FineTuning, FineTuningGrid

pytestmark = pytest.mark.slurm

FAULTS = {
    "its limit hits it": ("zero", 0),
    "it stops before its limit": ("zero", 1),
    "scancel": ("zero", 2),
    "scontrol requeue": ("zero", 3),
    "preemption": ("contrastive", 0),
    "killed within a save, then requeued and retried": ("contrastive", 1),
    "its slurmd is killed": ("contrastive", 2),
    "its Snakemake is killed": ("contrastive", 3),
}
WAITS = "waiting for another job (SLURM job"
ENDS = {"COMPLETED", "CANCELLED", "TIMEOUT"}
_MADE_LATER = ("finetune", ".state", "predictions", "probes", "scores", "examples", "tables", "figures", "logs")


@pytest.fixture(scope="module")
def disturbed(cluster, repository, undisturbed, tmp_path_factory) -> FineTuningGrid:
    grid = FineTuningGrid(
        cluster, repository, tmp_path_factory.mktemp("disturbed") / "checkout", seeds=[0, 1, 2, 3],
        settings={"cluster": {"partition": "scavenger", "max_runtime": 40}},
    )  # fmt: skip
    shutil.copytree(undisturbed.results, grid.results, ignore=shutil.ignore_patterns(*_MADE_LATER))
    _disturb(grid)
    grid.run_here("tables")
    return grid


def _disturb(grid: FineTuningGrid) -> None:
    cluster, early = grid.cluster, "it stops before its limit"
    tunings = {fault: grid.fine_tuning(*which) for fault, which in FAULTS.items()}

    def job(fault: str) -> dict[str, str]:
        return tunings[fault].jobs[0]

    def wait_for(condition, what: str) -> None:
        def look() -> bool:
            # Training that knows of two minutes stops twelve seconds before they are over. Then it has enough of them.
            for found in tunings[early].jobs[:1]:
                if found["Restarts"] != "0" and found["TimeLimit"] == "00:02:00":
                    set_limit(early, 60)
                elif _seconds(found["RunTime"]) >= 110:
                    tunings[early].go_on()
            return condition()

        wait_until(look, what, seconds=600, every=0.3)

    def done(tuning: FineTuning) -> bool:
        return {job["JobState"] for job in tuning.jobs} <= ENDS and tuning.jobs[-1]["JobState"] == "COMPLETED"

    def set_limit(fault: str, minutes: int) -> None:
        cluster.run("scontrol", "update", f"JobId={job(fault)['JobId']}", f"TimeLimit={minutes}")

    controller = grid.submit("--until", "finetune")
    wait_for(lambda: tunings[early].jobs, "submission")
    set_limit(early, 2)  # training asks for it when it starts
    wait_for(lambda: sum(tuning.hold_after(5) for tuning in tunings.values()) == len(tunings), "some steps of each")

    set_limit("its limit hits it", 1)  # training knows of 25
    cluster.run("scancel", job("scancel")["JobId"])
    cluster.run("scontrol", "requeue", job("scontrol requeue")["JobId"])
    node = job("preemption")["NodeList"]
    cluster.run("sbatch", "--partition=main", f"--nodelist={node}", "--output=/dev/null", "--wrap=true")
    node = job("its slurmd is killed")["NodeList"]
    cluster.kill_node(node)
    twice = tunings["killed within a save, then requeued and retried"]
    twice.kill_within_a_save()
    wait_for(lambda: len(twice.jobs) == 2, "retry of a failed job")
    cluster.run("scontrol", "requeue", twice.jobs[0]["JobId"])
    lost = tunings["its slurmd is killed"]
    wait_for(lambda: WAITS in lost.log, "another node for a lost node's job")
    lost.go_on()
    wait_for(lambda: len(lost.processes) < 2, "end of what the lost node still ran")
    cluster.start_node(node)

    last = tunings["its Snakemake is killed"]
    wait_for(lambda: all(done(tuning) for tuning in tunings.values() if tuning is not last), "the other jobs")
    controller.kill()
    controller.wait()
    grid.finish(grid.submit("--unlock"))
    controller = grid.submit("--until", "finetune")
    wait_for(lambda: WAITS in last.log, "the second Snakemake's job")
    last.go_on()
    grid.finish(controller)


def _seconds(time: str) -> int:
    hours, minutes, seconds = map(int, time.split(":"))
    return (hours * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize("fault", FAULTS)
def test_losses_and_adapters_are_as_undisturbed(undisturbed, disturbed, fault):
    assert disturbed.fine_tuning(*FAULTS[fault]).outcome == undisturbed.fine_tuning(*FAULTS[fault]).outcome


@pytest.mark.parametrize("table", ["scores", "probes", "findings"])
def test_tables_are_as_undisturbed(undisturbed, disturbed, table):
    expected = (undisturbed.results / f"tables/{table}.csv").read_text()
    assert (disturbed.results / f"tables/{table}.csv").read_text() == expected


@pytest.mark.parametrize(
    ("fault", "jobs", "resumed"),
    [
        ("its limit hits it", [("TIMEOUT", 0), ("COMPLETED", 0)], True),
        ("it stops before its limit", [("COMPLETED", 1)], True),
        ("scancel", [("CANCELLED", 0), ("COMPLETED", 0)], True),
        ("scontrol requeue", [("COMPLETED", 1)], True),
        ("preemption", [("COMPLETED", 1)], True),
        ("killed within a save, then requeued and retried", [("COMPLETED", 1), ("COMPLETED", 0)], True),
        ("its slurmd is killed", [("COMPLETED", 1)], False),
        ("its Snakemake is killed", [("COMPLETED", 0), ("COMPLETED", 0)], False),
    ],
)
def test_it_really_happened(disturbed, fault, jobs, resumed):
    """What SLURM says of each job and how often it started again; training went on, or another job's was waited for."""
    tuning = disturbed.fine_tuning(*FAULTS[fault])
    assert [(job["JobState"], int(job["Restarts"])) for job in tuning.jobs] == jobs
    assert ("going on after step" if resumed else WAITS) in tuning.log


def test_a_job_that_is_tried_again_gets_its_time_once_more_up_to_the_limit(disturbed):
    first, second = disturbed.fine_tuning(*FAULTS["scancel"]).jobs
    assert (first["TimeLimit"], second["TimeLimit"]) == ("00:25:00", "00:40:00")
    _, second = disturbed.fine_tuning(*FAULTS["its limit hits it"]).jobs
    assert second["TimeLimit"] == "00:40:00"


def test_nothing_is_left_to_do(disturbed):
    assert "Nothing to be done" in disturbed.run_here("tables", "--dry-run")
