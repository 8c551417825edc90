"""Audit locks for known vulnerabilities: ``python -m contrastive_context.environments.audit envs/core.txt``.

pip-audit asks the advisory database of the Python package index about every pin. Nothing is installed or resolved.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrastive_context.core.errors import UserError
from contrastive_context.environments.update import read_lock


def findings(report: Mapping[str, Any]) -> list[str]:
    """Return what pip-audit reports (``--format json``), a line per advisory and per pin it knows nothing of."""
    lines = []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            lines.append(f"{package['name']}: not audited ({package['skip_reason']})")
        for advisory in package.get("vulns", []):
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            names = ", ".join([advisory["id"], *advisory.get("aliases", [])])
            lines.append(f"{package['name']} {package['version']}: {names}; fixed in {fixed}")
    return lines


def audit(path: str | Path, command: str = "pip-audit") -> list[str]:
    """Audit one lock.

    Args:
        path: the lock.
        command: the program pip-audit.

    Raises:
        UserError: the advisory service can't be reached or is a mirror without advisories, or pip-audit fails
            otherwise: nothing was audited.
    """
    _, pins = read_lock(path)
    result = subprocess.run(
        [command, "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json", "-r", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        found = json.loads(result.stdout)
    except ValueError as error:
        said = (result.stderr.strip().splitlines() or ["nothing"])[-1]
        raise UserError(
            f"{path}: NOT audited, the advisory service gave no answer; run this where it can be reached. "
            f"pip-audit says: {said[:300]}"
        ) from error
    known = [package for package in found["dependencies"] if "skip_reason" not in package]
    if not known:
        raise UserError(
            f"{path}: NOT audited, the index that answers here has no advisories (a mirror?); run this where the "
            "public one can be reached"
        )
    print(f"{path}: {len(known)} packages audited, {len(pins)} pinned in this file")
    return findings(found)


def main() -> None:
    """Audit the locks that the command line names; status 1 if there are findings, 2 if nothing could be audited."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", nargs="+", help="locks, for instance envs/core.txt")
    parser.add_argument("--command", default="pip-audit", help="the program pip-audit")
    args = parser.parse_args()
    try:
        lines = [line for lock in args.locks for line in audit(lock, args.command)]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
    print("\n".join(lines) or "no known vulnerabilities")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
