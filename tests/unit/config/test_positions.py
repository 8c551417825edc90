"""Where a problem of a merged configuration stands: the last position that has its key."""

import pytest

from contrastive_context.config.positions import Positions

BASE = """
tasks:
  own: &own
    k: 3
    index: {neighbours: 9}
  other:
    <<: *own
    draws: 2
strategies:
  p0.9: {p: 0.9}
  p0: {}
  1.50: {}
grid:
  - task: own
  - task: other
"""
MINE = """
tasks:
  own: {k: 4}
"""


@pytest.fixture
def positions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "mine.yaml").write_text(MINE)
    return Positions(["base.yaml", tmp_path / "mine.yaml"], {"grid": [{"task": "own"}], "title": "x"})


@pytest.mark.parametrize(
    ("problem", "position"),
    [
        ("tasks.own.k: too many", "mine.yaml:3: "),
        ("tasks.own.index.neighbours: too few", "base.yaml:5: "),
        ("tasks.own.encoder: this key is required", "mine.yaml:3: "),
        ("tasks.other.draws: x", "base.yaml:8: "),
        ("tasks.other.k: stands where its anchor does", "base.yaml:4: "),
        ("strategies.p0.9.p: keys with dots", "base.yaml:10: "),
        ("strategies.p0: no keys with dots", "base.yaml:11: "),
        ("strategies.1.5: a key that is no text", "base.yaml:12: "),
        ("grid.0.task: x", "--config: "),
        ("grid.1.task: x", "base.yaml:15: "),
        ("title: x", "--config: "),
        ("titles: nowhere", ""),
        ("run: this key is required", ""),
    ],
)
def test_problems_are_told_with_their_place(positions, problem, position):
    assert positions.tell(problem) == position + problem


def test_without_files_problems_stay_as_they_are():
    assert Positions().tell("tasks.own.k: too many") == "tasks.own.k: too many"
