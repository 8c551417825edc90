"""Which results' code versions an edit of code changes: those that can reach it, and no other."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
from code_edits import CODE_EDITS
from kept_results import copy_checkout, make_results

from contrastive_context.core import paths
from contrastive_context.workflow.code_versions import CodeVersions

RESULTS = "results/wide/"


class Checkout:
    """A checkout whose code can be edited, and the jobs of the wide grid."""

    def __init__(self, folder: Path) -> None:
        self.scripts = folder / "workflow_scripts"
        self._cache = folder / ".snakemake/code_versions.json"
        self._jobs = {}
        for job in make_results(folder):
            if job.settings is not None:
                label = job.outputs[0].removeprefix(RESULTS)
                settings = {name: value for name, value in job.settings.items() if name != "code_version"}
                self._jobs[label] = (paths.made_by(label)[0], settings)
        self.before = self.versions()

    def versions(self) -> dict[str, str]:
        """First output → code version of each job."""
        of = CodeVersions(self.scripts, self._cache).of
        return {label: of(*job) for label, job in self._jobs.items()}

    def changed_by(self, edit) -> set[str]:
        """First outputs of the jobs whose code version an edit changes; it is undone again."""
        before: dict[Path, str | None] = {}
        try:
            for name, change in edit.items():
                path = self.scripts / name.replace("@", "contrastive_context")
                before[path] = text = path.read_text() if path.exists() else None
                for old, new in [] if isinstance(change, str) else [change] if isinstance(change, tuple) else change:
                    assert old in text, f"{name}: no {old}"
                    text = text.replace(old, new)
                path.write_text(change if isinstance(change, str) else text)
            after = self.versions()
            return {label for label in after if after[label] != self.before[label]}
        finally:
            for path, text in before.items():
                path.unlink() if text is None else path.write_text(text)


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory) -> Checkout:
    folder = copy_checkout(repository, tmp_path_factory.mktemp("code") / "checkout")
    shutil.copy(repository / "tests/dag/wide.yaml", folder)
    return Checkout(folder)


@pytest.mark.parametrize(("edit", "patterns"), [pytest.param(*row[1:], id=row[0]) for row in CODE_EDITS])
def test_an_edit_of_code_counts_for_what_can_reach_it(checkout, edit, patterns):
    expected = set()
    for pattern in patterns.split():
        matching = {label for label in checkout.before if fnmatch(label, pattern)}
        assert matching, f"nothing is made at {pattern}"
        expected |= matching
    found = checkout.changed_by(edit)
    assert sorted(found - expected) == [], "these change and should not"
    assert sorted(expected - found) == [], "these should change"


def test_versions_are_those_that_snakemake_compares(checkout):
    assert checkout.versions() == checkout.before
