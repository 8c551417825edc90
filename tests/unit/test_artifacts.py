"""Artifacts are written whole or not at all."""

import errno
import json

import pandas as pd
import pytest

from contrastive_context import artifacts
from contrastive_context.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), artifacts.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_message_that_names_the_file(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv: no space left"), artifacts.atomic_path(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(RuntimeError), artifacts.atomic_folder(folder) as temporary:
        (temporary / "weights").write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with artifacts.atomic_folder(folder) as temporary:
        (temporary / "weights").write_text("whole")
    assert (folder / "weights").read_text() == "whole"


@pytest.mark.parametrize("content", [b"", b"PAR1 but torn", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_torn_parquet_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "torn.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"torn\.parquet: can't be read"):
        artifacts.read_parquet(path)


def test_a_missing_column_is_refused_by_name(tmp_path):
    path = tmp_path / "a.parquet"
    artifacts.write_parquet(path, pd.DataFrame({"id": ["x"]}))
    assert artifacts.read_parquet(path, ["id"]).shape == (1, 1)
    with pytest.raises(UserError, match="source"):
        artifacts.read_parquet(path, ["id", "source"])


def test_altered_weights_are_noticed(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("abc")
    record = artifacts.write_folder_hashes(folder, tmp_path / "model.json", kind="test")
    assert record["files"]["weights"]["bytes"] == 3
    assert artifacts.check_folder(folder, tmp_path / "model.json")["kind"] == "test"
    (folder / "weights").write_text("abcd")
    with pytest.raises(UserError, match="missing or altered"):
        artifacts.check_folder(folder, tmp_path / "model.json")


def test_provenance_names_inputs_by_hash(tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text("1")
    output.write_text("2")
    artifacts.write_provenance(output, inputs={"a": source, "none": []}, settings={"k": 1}, started=0)
    record = json.loads((tmp_path / "out.provenance.json").read_text())
    assert record["inputs"]["a"]["sha256"] == artifacts.sha256_file(source)
    assert record["settings"] == {"k": 1}
    assert "none" not in record["inputs"]
