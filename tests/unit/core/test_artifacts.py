"""Artifacts are written whole or not at all."""

import errno
import json
import os
import time

import pandas as pd
import pytest

from contrastive_context.core import artifacts, provenance
from contrastive_context.core.errors import UserError


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


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("100000 requested and 4096 written"),  # numpy
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors
        OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"),  # pyarrow
    ],
)
def test_a_full_disk_is_recognised_whoever_reports_it(tmp_path, failure):
    with pytest.raises(UserError, match="no space left"), artifacts.atomic_path(tmp_path / "a"):
        raise failure
    assert not list(tmp_path.iterdir())


def test_other_errors_pass_unchanged(tmp_path):
    for error in (ValueError("row 28"), UserError("no space left on device, says a tool"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, artifacts.atomic_path(tmp_path / "a"):
            raise error
        assert caught.value is error
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path):
    def leave(name, age, folder=False):
        entry = tmp_path / name
        inner = entry / "weights" if folder else entry
        inner.parent.mkdir(exist_ok=True)
        inner.write_text("half")
        for path in (inner, entry):
            os.utime(path, (time.time() - age,) * 2)
        return entry

    day = 24 * 3600
    old = [leave(".tmp-a.csv-abcdefgh.csv", day + 60), leave(".tmp-a.csv-a_345678", day + 60, folder=True)]
    kept = [
        leave(".tmp-a.csv-zbcdefgh.csv", day - 60),  # may still be written
        leave(".tmp-b.csv-abcdefgh.csv", 2 * day),  # of another file
        leave(".tmp-a.csv-more-abcdefgh.csv", 2 * day),
        leave(".a.csv.swp", 2 * day),  # not ours
        leave("a-abcdefgh.csv", 2 * day),
    ]
    busy = leave(".tmp-a.csv-busybusy", 2 * day, folder=True)
    (busy / "log").write_text("just now")
    os.utime(busy, (time.time() - 2 * day,) * 2)
    with artifacts.atomic_path(tmp_path / "a.csv") as temporary:
        assert temporary.name.startswith(".tmp-a.csv-")
        temporary.write_text("whole")
    assert not any(path.exists() for path in old)
    assert sorted(tmp_path.iterdir()) == sorted([*kept, busy, tmp_path / "a.csv"])
    os.utime(busy / "log", (time.time() - 2 * day,) * 2)
    with artifacts.atomic_folder(tmp_path / "a.csv.d"):
        pass
    assert busy.exists()
    with artifacts.temporary_folder(tmp_path / "a.csv"):
        assert not busy.exists()


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


class TestLinkedFiles:
    """A folder of links to a user's own files, which the user may replace."""

    @pytest.fixture
    def own(self, tmp_path):
        own, folder = tmp_path / "own.safetensors", tmp_path / "model"
        own.write_text("abc")
        os.utime(own, (1000, 1000))
        folder.mkdir()
        (folder / "weights").symlink_to(own)
        artifacts.write_folder_hashes(folder, tmp_path / "model.json")
        return own

    def check(self, own):
        return artifacts.check_folder(own.parent / "model", own.parent / "model.json")

    def test_other_content_of_equal_size_is_noticed(self, own):
        self.check(own)
        own.write_text("xyz")
        os.utime(own, (900, 900))  # older than before: a copy that kept its time
        with pytest.raises(UserError, match=r"weights: missing or altered .*model\.json\); delete"):
            self.check(own)

    def test_hashed_again_only_once_after_a_touch(self, own, monkeypatch):
        before = (own.parent / "model.json").read_bytes()
        calls = []
        monkeypatch.setattr(
            artifacts, "sha256_file", lambda path, real=artifacts.sha256_file: calls.append(path) or real(path)
        )
        self.check(own)
        assert not calls
        os.utime(own, (2000, 2000))
        self.check(own)
        self.check(own)
        assert len(calls) == 1
        assert (own.parent / "model.json").read_bytes() == before

    def test_gone(self, own):
        own.unlink()
        with pytest.raises(UserError, match="missing or altered"):
            self.check(own)


def test_provenance_names_inputs_by_hash(tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text("1")
    output.write_text("2")
    provenance.write_provenance(output, inputs={"a": source, "none": []}, settings={"k": 1}, started=0)
    record = json.loads((tmp_path / "out.provenance.json").read_text())
    assert record["inputs"]["a"]["sha256"] == artifacts.sha256_file(source)
    assert record["settings"] == {"k": 1}
    assert "none" not in record["inputs"]
