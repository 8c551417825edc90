"""Fixtures that several test modules share."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no failure of what is tested.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# Tests compare numbers across runs and run two at a time: one thread each, and never the network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# A runner started in the background has Ctrl-C ignored, and its children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what is slow by its kind, and what one process runs: a file, and all that needs the tiny study."""
    if "unit" not in item.path.parts and "dag" not in item.path.parts:
        item.add_marker(pytest.mark.slow)
    group = "tiny study" if "tiny_study" in getattr(item, "fixturenames", ()) else str(item.path)
    item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first, so that both processes end together."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what tests measured: their property "figures", which reaches the runner from every worker."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(str(value))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout under test."""
    return REPOSITORY


@pytest.fixture(scope="session")
def tiny_study(repository: Path, tmp_path_factory) -> Path:
    """A checkout in which the tiny grid ran undisturbed; tests that change something copy it."""
    from runner import make_checkout, run

    grid = repository / "tests/e2e/tiny.yaml"
    folder = make_checkout(repository, tmp_path_factory.mktemp("tiny") / "undisturbed", grid)
    run(folder)
    return folder


@pytest.fixture
def study_config(repository: Path) -> dict:
    """config.yaml with the quickstart overlay, merged as Snakemake merges them; free to change."""
    import yaml
    from snakemake.utils import update_config

    config: dict = {}
    update_config(config, yaml.safe_load((repository / "config.yaml").read_text()))
    update_config(config, yaml.safe_load((repository / "envs/overlays/quickstart.yaml").read_text()))
    return config


@pytest.fixture(scope="session")
def code_versions(tmp_path_factory) -> Path:
    """What is known of the code's versions, found once for all checkouts."""
    return tmp_path_factory.mktemp("code") / "code_versions.json"


@pytest.fixture
def checkout(repository: Path, tmp_path: Path, code_versions: Path) -> Iterator[Path]:
    """A folder in which the workflow runs without touching the repository's results or metadata."""
    folder = tmp_path / "checkout"
    (folder / ".snakemake").mkdir(parents=True)
    for name in ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow_scripts"):
        (folder / name).symlink_to(repository / name)
    own = folder / ".snakemake" / code_versions.name
    if code_versions.exists():
        shutil.copy(code_versions, own)
    yield folder
    if own.exists():
        shutil.copy(own, code_versions)
