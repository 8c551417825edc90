"""The journal: what was written is there again, and what was torn is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal, fingerprint


def test_results_are_there_after_a_restart(tmp_path):
    path = tmp_path / "state" / "a.jsonl"
    journal = Journal(path)
    assert not path.exists() and len(journal) == 0
    journal.add({"a": {"output": "zwei\nZeilen ß"}, "b": 1.5})
    journal.add({"c": None, "a": "a second result doesn't count"})
    again = Journal(path)
    assert dict(again) == dict(journal) == {"a": {"output": "zwei\nZeilen ß"}, "b": 1.5, "c": None}
    again.remove()
    assert not path.exists()


@given(st.data())
def test_whatever_is_cut_or_altered_only_whole_lines_count(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "a.jsonl"
    full = {f"k{i}": f"value {i}" for i in range(4)}
    for key, value in full.items():
        Journal(path).add({key: value})
    content = bytearray(path.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    del content[cut:]
    if content and data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    left = Journal(path)
    assert left.items() <= full.items()
    left.add({"new": "n"})  # a torn end doesn't swallow what comes after it
    assert {**left} == {**Journal(path)} and Journal(path)["new"] == "n"


def test_a_folder_that_cant_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((UserError, OSError)):
        Journal(tmp_path / "file" / "a.jsonl").add({"a": 1})


def test_fingerprints_depend_on_contents_not_on_names(tmp_path):
    for name, text in {"a": "x", "b": "x", "c": "y"}.items():
        (tmp_path / name).write_text(text)
    one = fingerprint("s", files={"in": tmp_path / "a", "adapters": None})
    assert one == fingerprint("s", files={"in": tmp_path / "b", "adapters": None})
    others = {
        fingerprint("t", files={"in": tmp_path / "a", "adapters": None}),
        fingerprint("s", files={"in": tmp_path / "c", "adapters": None}),
        fingerprint("s", files={"in": tmp_path / "a", "adapters": tmp_path / "a"}),
    }
    assert one not in others and len(others) == 3
