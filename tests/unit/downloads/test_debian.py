"""Reading of Debian packages, and where they are downloaded from."""

import functools
import http.server
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogue_files import make_ar, make_deb, make_tar, record_of
from contrastive_context.config.sources import Package
from contrastive_context.core.artifacts import sha256_file
from contrastive_context.core.errors import UserError
from contrastive_context.downloads import debian, fetching

FILES = {"usr/share/a.txt": b"one", "usr/share/b.txt": b"two" * 1000}
NAME = "words_1.0~rc1-1_all.deb"


def test_files_are_read_by_name(tmp_path):
    record = record_of(tmp_path, make_deb(FILES), NAME)
    assert debian.read_files(record, ["usr/share/b.txt", "nowhere"]) == {"usr/share/b.txt": FILES["usr/share/b.txt"]}
    assert debian.read_files(record, lambda name: name.endswith(".txt")) == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, f"{NAME}.json"]  # nothing was unpacked


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
def test_compressions(tmp_path, compression):
    name = f"data.tar.{compression}".rstrip(".")
    data = make_tar(FILES, compression=compression)
    record = record_of(tmp_path, make_ar({"debian-binary": b"2.0\n", "odd": b"x", f"{name}/": data}), NAME)
    assert debian.read_files(record, FILES) == FILES


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "usr/share/a.txt"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
    ],
)
def test_links_and_special_files_are_refused(tmp_path, kind, target):
    record = record_of(tmp_path, make_deb(FILES, entry("./usr/share/evil", kind, target)), NAME)
    assert debian.read_files(record, FILES) == FILES
    with pytest.raises(UserError, match=r"refused, 'usr/share/evil' is not a plain file"):
        debian.read_files(record, lambda name: name.startswith("usr/"))


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "usr/../../evil"])
def test_names_lead_nowhere(tmp_path, name):
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    record = record_of(folder, make_deb({name: b"x"}), NAME)
    assert list(debian.read_files(record, lambda _: True).values()) == [b"x"]
    assert not list(tmp_path.rglob("*evil*"))


def test_an_entry_twice_and_too_large_a_file_are_refused(tmp_path, monkeypatch):
    twice = record_of(tmp_path, make_deb({"a": b"1"}, entry("./a", tarfile.REGTYPE)), NAME)
    with pytest.raises(UserError, match="'a' appears twice"):
        debian.read_files(twice, ["a"])
    large = record_of(tmp_path, make_deb(FILES), NAME)
    monkeypatch.setattr(debian, "MAX_FILE_BYTES", 2)
    with pytest.raises(UserError, match="exceeds the 2 bytes"):
        debian.read_files(large, ["usr/share/a.txt"])
    monkeypatch.setattr(debian, "MAX_ARCHIVE_BYTES", 600)
    with pytest.raises(UserError, match="unpacks to more than 600 bytes"):
        debian.read_files(large, ["usr/share/b.txt"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"plain text", "is not a Debian package"),
        (make_ar({"debian-binary": b"2.0\n"}), "has no data.tar"),
        (make_ar({"data.tar.zst": b"x"}), "data.tar.zst is compressed in a way"),
        (make_ar({"data.tar.xz": b"not xz at all"}), "can't be read as a Debian package"),
        (make_deb(FILES)[:-60], "can't be read as a Debian package"),
    ],
)
def test_what_is_no_package_is_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        debian.read_files(record_of(tmp_path, content, NAME), FILES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(position=st.integers(0, 600), byte=st.binary(min_size=1, max_size=4))
def test_damage_gives_an_error_or_nothing_else(tmp_path, position, byte):
    content = bytearray(make_deb({"a": b"one"}))
    position %= len(content)
    content[position : position + len(byte)] = byte
    record = record_of(tmp_path, bytes(content), NAME)
    try:
        files = debian.read_files(record, ["a"])
    except UserError:
        return
    assert set(files) <= {"a"}


# --- downloads


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Two archives on loopback, ``pool`` with current and ``snapshot`` with all versions; no apt-get."""
    root = tmp_path / "archive"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv(fetching.ARCHIVES, f"{base}/debian {base}/archive/{{snapshot}}")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    yield root
    server.shutdown()
    server.server_close()


def package(content: bytes, tmp_path: Path) -> Package:
    file = tmp_path / "content"
    file.write_bytes(content)
    return Package(
        version="1:1.0~rc1-1", filename=NAME, sha256=sha256_file(file), pool="main/w/words",
        snapshot="20260101T000000Z", licence="MIT", contents="words",
    )  # fmt: skip


def put(root: Path, archive: str, content: bytes) -> None:
    folder = root / archive / "pool/main/w/words"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(content)


@pytest.mark.parametrize("where", ["debian", "archive/20260101T000000Z"])
def test_current_and_old_versions_are_found(tmp_path, archive, where):
    put(archive, where, b"content")
    record = fetching.fetch("words", package(b"content", tmp_path), tmp_path / "cache")
    assert Path(record["path"]).read_bytes() == b"content"
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [NAME]


def test_a_version_that_is_gone_is_said_to_be_gone(tmp_path, archive):
    with pytest.raises(UserError, match=r"packages\.words: .*404.*404.*If the version is gone .* pin the current one"):
        fetching.fetch("words", package(b"content", tmp_path), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_another_file_under_the_name_is_refused(tmp_path, archive):
    put(archive, "debian", b"something else")
    with pytest.raises(UserError, match=r"packages\.words: .* not the pinned"):
        fetching.fetch("words", package(b"content", tmp_path), tmp_path / "cache")


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv(fetching.ARCHIVES, "http://127.0.0.1:9/debian")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="refused"):
        fetching.fetch("words", package(b"content", tmp_path), tmp_path / "cache")


def test_without_apt_get_an_archive_must_be_named(tmp_path, monkeypatch):
    monkeypatch.delenv(fetching.ARCHIVES, raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"packages\.words: .*DEBIAN_ARCHIVES names no archive"):
        fetching.fetch("words", package(b"content", tmp_path), tmp_path / "cache")


def test_apt_get_comes_first_and_the_archive_after_it(tmp_path, archive, monkeypatch):
    calls = []

    def run(command, cwd, **_):
        calls.append(command)
        if run.content is None:
            return subprocess.CompletedProcess(command, 100, "", "E: Version '1:1.0~rc1-1' for 'words' was not found")
        (cwd / "words_1%3a1.0~rc1-1_all.deb").write_bytes(run.content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    run.content = b"content"
    record = fetching.fetch("words", package(b"content", tmp_path), tmp_path / "cache")
    assert Path(record["path"]).name == NAME
    assert calls == [["apt-get", "download", "--quiet", "words=1:1.0~rc1-1"]]
    for content in (None, b"rebuilt by another distribution"):
        run.content = content
        Path(record["path"]).unlink(missing_ok=True)
        with pytest.raises(UserError, match="404"):
            fetching.fetch("words", package(b"content", tmp_path), tmp_path / "cache")
    put(archive, "debian", b"content")
    fetching.fetch("words", package(b"content", tmp_path), tmp_path / "cache")


def test_a_debian_package_needs_its_place():
    with pytest.raises(ValueError, match="pool and snapshot"):
        Package(version="1", filename=NAME, sha256="0" * 64, licence="MIT", contents="")
    with pytest.raises(ValueError, match="pool and snapshot"):
        Package(
            version="1",
            filename="a-1.whl",
            sha256="0" * 64,
            pool="main",
            snapshot="20260101T000000Z",
            licence="",
            contents="",
        )
