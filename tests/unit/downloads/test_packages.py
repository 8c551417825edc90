import hashlib
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from contrastive_context.config.sources import Package
from contrastive_context.core.artifacts import write_json
from contrastive_context.core.errors import UserError
from contrastive_context.downloads.fetching import fetch
from contrastive_context.downloads.packages import extract, open_wheel, read_member, require_disk

NAME = "tiny_words-1.0-py3-none-any.whl"


def make_wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def package_of(wheel: Path, **changes: str) -> Package:
    values = {"version": "1.0", "filename": wheel.name, "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}
    return Package(**(values | changes), licence="MIT", contents="words")


@pytest.fixture
def wheel(tmp_path):
    return make_wheel(tmp_path / NAME, {"words/a/one.txt": b"1", "words/a/b/two.txt": b"22", "words/other.txt": b"3"})


@pytest.fixture
def fake_pip(monkeypatch, wheel):
    """Stands for the index: 'downloads' the fixture's wheel unless told to fail; returns the commands it got."""
    calls: list[list[str]] = []

    def run(command, **_):
        calls.append(command)
        if run.error:
            return subprocess.CompletedProcess(command, 1, "", run.error)
        shutil.copy(wheel, Path(command[command.index("--dest") + 1]) / run.filename)
        return subprocess.CompletedProcess(command, 0, "", "")

    run.error, run.filename, run.calls = "", NAME, calls
    monkeypatch.setattr(subprocess, "run", run)
    return run


def test_fetch_downloads_once_and_reuses(tmp_path, wheel, fake_pip):
    cache = tmp_path / "cache"
    record = fetch("words", package_of(wheel), cache)
    assert record == fetch("words", package_of(wheel), cache)
    assert len(fake_pip.calls) == 1
    command = fake_pip.calls[0]
    assert command[-1] == "tiny_words==1.0"
    assert "--no-deps" in command
    assert "--only-binary=:all:" in command
    assert [file.name for file in cache.iterdir()] == [NAME]
    assert record["path"] == str(cache / NAME)


def test_altered_cached_file_is_refused_by_name(tmp_path, wheel, fake_pip):
    cache = tmp_path / "cache"
    package = package_of(wheel)
    fetch("words", package, cache)
    (cache / NAME).write_bytes(b"something else")
    with pytest.raises(UserError, match=rf"packages\.words: {NAME} has SHA-256 .* delete"):
        fetch("words", package, cache)
    assert len(fake_pip.calls) == 1


@pytest.mark.parametrize("error", ["ERROR: No matching distribution found for tiny_words==1.0", ""])
def test_failed_download_leaves_nothing(tmp_path, wheel, fake_pip, error):
    fake_pip.error = error or "\n"
    with pytest.raises(UserError, match=rf"packages\.words: {NAME} could not be downloaded") as caught:
        fetch("words", package_of(wheel), tmp_path / "cache")
    assert error in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_download_with_another_hash_or_name_is_not_kept(tmp_path, wheel, fake_pip):
    with pytest.raises(UserError, match="not the pinned"):
        fetch("words", package_of(wheel, sha256="0" * 64), tmp_path / "cache")
    fake_pip.filename = "tiny_words-1.0-py2-none-any.whl"
    with pytest.raises(UserError, match=r"packages\.words\.filename"):
        fetch("words", package_of(wheel), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_cached_folder_in_place_of_the_file_is_refused(tmp_path, wheel):
    (tmp_path / "cache" / NAME).mkdir(parents=True)
    with pytest.raises(UserError, match=r"packages\.words: .* can't be read"):
        fetch("words", package_of(wheel), tmp_path / "cache")


def record_of(tmp_path, wheel):
    package = package_of(wheel)
    record = tmp_path / "record.json"
    write_json(record, {"package": "words", "path": str(wheel), "sha256": package.sha256})
    return record


def test_open_wheel_reads_and_verifies(tmp_path, wheel):
    record = record_of(tmp_path, wheel)
    with open_wheel(record) as opened:
        assert read_member(opened, "words/other.txt") == b"3"
        with pytest.raises(UserError, match="no file nothing"):
            read_member(opened, "nothing")
        with pytest.raises(UserError, match="more than"):
            read_member(opened, "words/a/b/two.txt", max_bytes=1)
    wheel.write_bytes(wheel.read_bytes() + b" ")
    with pytest.raises(UserError, match=r"packages\.words: .* was altered"), open_wheel(record):
        pass
    wheel.unlink()
    with pytest.raises(UserError, match="can't be read"), open_wheel(record):
        pass


def test_not_a_wheel(tmp_path):
    text = tmp_path / NAME
    text.write_text("plain text")
    with pytest.raises(UserError, match="can't be read as a wheel"), open_wheel(record_of(tmp_path, text)):
        pass


def test_extract_writes_one_prefix(tmp_path, wheel):
    out = tmp_path / "out"
    out.mkdir()
    with zipfile.ZipFile(wheel) as opened:
        files = extract(opened, "words/a", out)
        assert [str(file.relative_to(out)) for file in files] == ["one.txt", "b/two.txt"]
        assert extract(opened, "words/other.txt", out) == [out / "other.txt"]
        with pytest.raises(UserError, match="nothing under word;"):
            extract(opened, "word", out)  # a prefix is a folder, not the start of a name
        with pytest.raises(UserError, match="more than the 2 allowed"):
            extract(opened, "words/a", out, max_bytes=2)


@pytest.mark.parametrize("name", ["p/../../evil", "p//etc/evil", "p/./evil", "p/..\\evil", "p/C:evil"])
def test_extract_refuses_traversal(tmp_path, name):
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    wheel = make_wheel(tmp_path / NAME, {"p/good": b"", name: b"x"})
    with zipfile.ZipFile(wheel) as opened, pytest.raises(UserError, match="not a plain relative path"):
        extract(opened, "p", out)
    assert list(out.iterdir()) == []
    assert not list(tmp_path.rglob("*evil*"))


def test_extract_refuses_links(tmp_path):
    link = zipfile.ZipInfo("p/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / NAME, "w") as opened:
        opened.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(tmp_path / NAME) as opened, pytest.raises(UserError, match="not a plain file"):
        extract(opened, "p", tmp_path)


def test_full_disk_is_noticed_before_writing(tmp_path, wheel, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(UserError, match="needs 500 MB of disk, but only 0 MB are free"):
        require_disk(tmp_path / "not" / "there", 500_000_000, "a test")
    with zipfile.ZipFile(wheel) as opened, pytest.raises(UserError, match="unpacking words/a"):
        extract(opened, "words/a", tmp_path / "out")
    assert not (tmp_path / "out").exists()
