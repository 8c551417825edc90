"""Set-up and quickstart as a newcomer sees them: a fresh clone of the last commit, until there is a first figure."""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import measuring


def call(*command: str, folder: Path) -> float:
    """Run a command in a folder, with what it prints beside it; return the wall clock's seconds."""
    started = time.perf_counter()
    # A newcomer has no environment of the benchmarks, and has downloaded and built nothing yet.
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
    environment["PATH"] = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if "/.venv" not in part)
    environment |= {"PIP_NO_CACHE_DIR": "1", "CONTRASTIVE_CONTEXT_CACHE": str(folder / ".cache")}
    with (folder / f"{command[-1]}.log").open("w") as log:
        process = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{Path(log.name).read_text()[-2000:]}")
    return time.perf_counter() - started


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    args = measuring.parse(parser)
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        set_up = call("make", "setup", folder=clone)
        started = time.time()
        run = call("make", "quickstart", folder=clone)
        figures = sorted((clone / "results/quickstart/figures").glob("*.png"), key=lambda file: file.stat().st_mtime)
        first = figures[0].stat().st_mtime - started
        again = statistics.median(call("make", "quickstart", folder=clone) for _ in range(5))
    rows = [
        measuring.Row("set-up", set_up / 60, "min", "≤ 4"),
        measuring.Row("quickstart after set-up", run / 60, "min", "≤ 12"),
        measuring.Row(f"first figure, {figures[0].name}", first / 60, "min", "≤ 6"),
        measuring.Row("a second call, which finds nothing to do", again, "s", "≤ 4"),
    ]
    measuring.record(args, rows)


if __name__ == "__main__":
    main()
