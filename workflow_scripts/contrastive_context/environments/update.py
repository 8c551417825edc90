"""Bring a lock up to date: ``python -m contrastive_context.environments.update envs/core.txt pandas requests``.

pip resolves the lock's own packages anew, with the version of all but the named ones fixed, and installs nothing. What
the named ones newly need is added. Resolving everything at once makes pip backtrack for minutes and fail.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from contrastive_context.core.artifacts import atomic_path
from contrastive_context.core.errors import UserError

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!]+)")


def normal(name: str) -> str:
    """Return a package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: str | Path) -> tuple[list[str], dict[str, str]]:
    """Read a lock.

    Returns:
        Its other lines (comments, ``-r core.txt``), and name → version.

    Raises:
        UserError: a line is no plain pin ``name==version``: a path, an address, a local version (``+cpu``) or a hash
            would tie the lock to one machine or build.
    """
    others, pins = [], {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: can't be read as a lock ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(("#", "-r ")):
            others.append(line)
        elif pin := _PIN.fullmatch(line.strip()):
            pins[pin[1]] = pin[2]
        else:
            raise UserError(f"{path}:{number}: {line!r} is no plain pin; write name==version")
    return others, pins


def updated(pins: Mapping[str, str], report: Mapping[str, object]) -> dict[str, str]:
    """Return the pins that a report of pip (``--report``) says would be installed.

    A build's local version is left out: one lock serves the CPU and the CUDA build of torch. Names keep their spelling.
    """
    spelling = {normal(name): name for name in pins}
    found = {}
    for item in report["install"]:
        name = item["metadata"]["name"]
        found[spelling.get(normal(name), name)] = item["metadata"]["version"].partition("+")[0]
    return dict(sorted(found.items(), key=lambda pin: pin[0].lower()))


def resolve(pins: Mapping[str, str], upgrade: Collection[str], base: Mapping[str, str]) -> dict[str, object]:
    """Let pip resolve the pins, free in the packages to upgrade; ``base`` are pins of a lock that this one extends.

    Raises:
        UserError: pip finds no versions that go together, or no index; its last words are passed on.
    """
    free = {normal(name) for name in upgrade}
    wanted = [name if normal(name) in free else f"{name}=={version}" for name, version in pins.items()]
    with tempfile.TemporaryDirectory() as folder:
        files = {"wanted": wanted, "fixed": [f"{name}=={version}" for name, version in base.items()]}
        for name, lines in files.items():
            (Path(folder) / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--dry-run",
            "--ignore-installed",
            "--quiet",
            "--report",
            "-",
        ]
        command += ["--disable-pip-version-check", "-r", f"{folder}/wanted", "-c", f"{folder}/fixed"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        said = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or ["nothing"]
        raise UserError(f"pip can't resolve this ({said[-1]}); name fewer packages, or others with them")
    return json.loads(result.stdout)


def update(path: str | Path, upgrade: Sequence[str]) -> list[str]:
    """Resolve a lock anew and write it; return its changes, a line each.

    Raises:
        UserError: a package to upgrade is not in the lock, or see :func:`read_lock` and :func:`resolve`.
    """
    path = Path(path)
    others, pins = read_lock(path)
    if unknown := {normal(name) for name in upgrade} - {normal(name) for name in pins}:
        raise UserError(f"{path}: {min(unknown)} is not in this lock; add a line for it first")
    base: dict[str, str] = {}
    for line in others:
        if line.startswith("-r "):
            base |= read_lock(path.parent / line[3:].strip())[1]
    found = updated(pins, resolve(pins, upgrade, base))
    own = {name: version for name, version in found.items() if name in pins or normal(name) not in map(normal, base)}
    with atomic_path(path) as temporary:
        lines = others + [f"{name}=={version}" for name, version in own.items()]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = sorted({*pins, *own}, key=str.lower)
    return [f"{n}: {pins.get(n, 'new')} → {own.get(n, 'gone')}" for n in names if pins.get(n) != own.get(n)]


def main() -> None:
    """Update the lock that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", help="the lock, for instance envs/core.txt")
    parser.add_argument("upgrade", nargs="*", help="packages that may change; none: check that the lock resolves")
    args = parser.parse_args()
    try:
        changes = update(args.lock, args.upgrade)
    except UserError as error:
        sys.exit(f"error: {error}")
    print("\n".join(changes) or f"{args.lock}: nothing changes")


if __name__ == "__main__":
    main()
