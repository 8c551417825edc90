"""The cluster that the tests of this folder share, and the grid's results without any disturbance."""

import os
import tempfile
from pathlib import Path

import pytest
from cluster import DEBIAN_PACKAGES, Cluster, missing
from submission import FineTuningGrid


@pytest.fixture(scope="session")
def cluster():
    """A SLURM with a node of one core for each fine-tuning, and some to spare."""
    if lacking := missing():
        pytest.skip(
            f"NOT TESTED ON SLURM: {', '.join(lacking)} not found; on Debian: apt-get install {DEBIAN_PACKAGES}"
        )
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED ON SLURM: its daemons are started as root here, and this is another user")
    with (
        tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as folder,  # a short path
        Cluster(Path(folder), nodes=10) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def submitted(cluster, repository, tmp_path_factory) -> FineTuningGrid:
    """The grid with one seed, submitted with the shipped profile and left alone."""
    grid = FineTuningGrid(cluster, repository, tmp_path_factory.mktemp("submitted") / "checkout", seeds=[0])
    grid.finish(grid.submit())
    return grid


@pytest.fixture(scope="session")
def undisturbed(submitted) -> FineTuningGrid:
    """The same results with all seeds; what is missing runs without SLURM."""
    submitted.set_seeds([0, 1, 2, 3])
    submitted.run_here("tables")
    return submitted
