"""What jobs ask a cluster for, at the first attempt and at later ones."""

import pytest

from contrastive_context.config.cluster import Cluster

BOUNDED = {"max_runtime": 100, "max_mem_mb": 10_000}
GPU = {"gpu_max_runtime": 50, "gpu_partition": "gpus", "gpu_type": "a100"}


@pytest.mark.parametrize(
    ("cluster", "gpus", "attempt", "asked"),
    [
        ({}, 0, 1, {"mem_mb": 4000, "runtime": 30}),
        # A repeated job has its whole time once more, and half its memory.
        ({}, 0, 2, {"mem_mb": 6000, "runtime": 60}),
        ({}, 0, 4, {"mem_mb": 10_000, "runtime": 120}),
        ({}, 0, 60, {"mem_mb": 122_000, "runtime": 1440}),
        (BOUNDED, 0, 3, {"mem_mb": 8000, "runtime": 90}),
        (BOUNDED, 0, 4, {"mem_mb": 10_000, "runtime": 100}),
        (BOUNDED, 0, 5, {"mem_mb": 10_000, "runtime": 100}),
        ({"max_runtime": 20, "max_mem_mb": 3000}, 0, 1, {"mem_mb": 3000, "runtime": 20}),
        # Where jobs with a GPU have limits of their own, these count for them alone.
        (BOUNDED | GPU, 0, 2, {"runtime": 60}),
        (BOUNDED | GPU, 1, 2, {"runtime": 50}),
        (BOUNDED, 1, 4, {"runtime": 100, "mem_mb": 10_000}),
        ({"account": "lab"}, 0, 1, {"slurm_account": "lab", "slurm_partition": ""}),
        ({"account": "lab", "partition": "main"}, 1, 1, {"slurm_account": "lab", "slurm_partition": "main"}),
        (GPU | {"partition": "main"}, 1, 1, {"slurm_partition": "gpus", "gpu": 1, "gpu_model": "a100", "gres": ""}),
        (GPU | {"partition": "main"}, 0, 1, {"slurm_partition": "main", "gpu": 0, "gpu_model": "", "gres": ""}),
        (GPU | {"gpu_flag": "gres"}, 1, 1, {"gpu": 0, "gres": "gpu:a100:1"}),
        ({"gpu_flag": "gres"}, 2, 1, {"gpu": 0, "gres": "gpu:2"}),
        ({"gpu_flag": "gres"}, 0, 1, {"gpu": 0, "gres": ""}),
    ],
)
def test_what_a_job_asks_for(cluster, gpus, attempt, asked):
    request = Cluster(**cluster).request(mem_mb=4000, runtime=30, gpus=gpus, attempt=attempt)
    assert {name: request[name] for name in asked} == asked


@pytest.mark.parametrize(
    ("cluster", "more"),
    [
        ({}, []),
        ({"account": "lab"}, ["slurm_account"]),
        ({"gpu_partition": "gpus"}, ["slurm_partition"]),
        ({"partition": "main", "gpu_type": "a100"}, ["slurm_partition", "gpu_model"]),
        ({"gpu_flag": "gres", "gpu_type": "a100"}, ["gres"]),
    ],
)
def test_what_is_not_set_is_left_to_the_cluster(cluster, more):
    entry = Cluster(**cluster)
    assert entry.resources == ["mem_mb", "runtime", "gpu", *more]
    assert set(entry.resources) <= entry.request(mem_mb=4000, runtime=30, gpus=1, attempt=1).keys()
