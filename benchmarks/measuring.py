"""Paired measurements, and records of them with machine and date."""

import argparse
import contextlib
import csv
import datetime
import importlib.metadata
import json
import multiprocessing
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
_COLUMNS = (
    "date", "benchmark", "measure", "value", "unit", "target", "met", "host_kind", "cpu", "cores", "memory_gib", "gpu",
    "load", "clock",
)  # fmt: skip


_CLOCK = "CONTRASTIVE_CONTEXT_BENCHMARK_CLOCK"


def now() -> float:
    """Return seconds of the chosen clock: of the wall, or of this process's processor time."""
    return time.process_time() if os.environ.get(_CLOCK) == "cpu" else time.perf_counter()


class NoRoundLeft(BaseException):
    """Raised inside an implementation when no round is left."""


class RoundTimer:
    """Lets an implementation wait for its next round; what happens between two calls is the round that is timed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._started: float | None = None

    def __call__(self, value: Any = None) -> None:
        """Report the round that ends here with its result, and wait for the next one.

        Raises:
            NoRoundLeft: there is none.
        """
        seconds = now() - self._started if self._started is not None else None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self._connection.send({"seconds": seconds, "value": value, "peak_mb": peak})
        if not self._connection.recv():
            raise NoRoundLeft
        self._started = now()


@dataclass
class Timings:
    """An implementation's rounds after warm-up."""

    seconds: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    peak_mb: float = 0.0

    @property
    def median(self) -> float:
        """Median seconds of a round."""
        return statistics.median(self.seconds)


def compare(
    implementations: Mapping[str, tuple[Callable[..., None], tuple]], rounds: int, warmup: int = 1
) -> dict[str, Timings]:
    """Let implementations take turns, each in a fresh process, one at a time and in alternating order.

    Args:
        implementations: name → (function of a module, its arguments); called with a :class:`RoundTimer` before these.
        rounds: rounds that count.
        warmup: rounds before them.

    Raises:
        RuntimeError: an implementation failed; its traceback is on standard error.
    """
    context = multiprocessing.get_context("spawn")
    processes, connections = [], {}
    for name, (function, arguments) in implementations.items():
        connections[name], theirs = context.Pipe()
        processes.append(context.Process(target=_run_rounds, args=(theirs, function, arguments), daemon=True))
        processes[-1].start()
        theirs.close()
        _receive(name, connections[name])  # ready before the next one starts to load
    timings = {name: Timings() for name in implementations}
    for number in range(warmup + rounds):
        for name in list(implementations)[:: 1 if number % 2 == 0 else -1]:
            connections[name].send(True)
            message = _receive(name, connections[name])
            if number >= warmup:
                timings[name].seconds.append(message["seconds"])
                timings[name].values.append(message["value"])
            timings[name].peak_mb = message["peak_mb"]
    for connection in connections.values():
        connection.send(False)
    for process in processes:
        process.join(timeout=60)
        process.kill()
    return timings


def _receive(name: str, connection: Connection) -> dict[str, Any]:
    try:
        return connection.recv()
    except EOFError:
        raise RuntimeError(f"{name} failed; see its traceback above") from None


def _run_rounds(connection: Connection, function: Callable[..., None], arguments: tuple) -> None:
    os.dup2(2, 1)  # what libraries print doesn't belong among the results
    with contextlib.suppress(NoRoundLeft):
        function(RoundTimer(connection), *arguments)
    os._exit(0)


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """Return the median over pairs of rounds of slower / faster."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


class Finished(NamedTuple):
    """A process that ended: its seconds by the chosen clock, and its peak memory."""

    seconds: float
    peak_mb: float


def run(command: Sequence[str], cwd: str | Path | None = None, threads: int = 1) -> Finished:
    """Run a command in a fresh process and measure it.

    Its peak memory is at least what the calling process has used at its peak: Linux counts that as the command's own.

    Raises:
        RuntimeError: it failed; the message ends with its last output.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)[:300]} failed:\n{output[-2000:]}")
    if os.environ.get(_CLOCK) == "cpu":
        seconds = usage.ru_utime + usage.ru_stime
    return Finished(seconds, usage.ru_maxrss / 1024)


def alternate(measures: Mapping[str, Callable[[], Any]], rounds: int, warmup: int = 1) -> dict[str, list[Any]]:
    """Call functions in turn, in alternating order; return what each gave after warm-up."""
    found: dict[str, list[Any]] = {name: [] for name in measures}
    for number in range(warmup + rounds):
        for name in list(measures)[:: 1 if number % 2 == 0 else -1]:
            value = measures[name]()
            if number >= warmup:
                found[name].append(value)
    return found


@dataclass
class Row:
    """One number: ``target`` is what it should be, such as "≥ 1.5"; no target, no verdict."""

    measure: str
    value: float
    unit: str = ""
    target: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if not self.target:
            return None
        sign, bound = self.target.split()
        return self.value >= float(bound) if sign == "≥" else self.value <= float(bound)


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, memory, GPU, versions and the load so far."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    gpu = [line.partition(":")[2].strip() for file in gpus for line in file.read_text().splitlines() if "Model" in line]
    names = ("torch", "transformers", "peft", "trl", "numpy", "hnswlib", "sentence-transformers", "snakemake")
    return {
        "host_kind": f"{platform.system()} {platform.machine()}",
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": ", ".join(gpu) or "none",
        "python": platform.python_version(),
        "versions": {name: version for name in names if (version := _version(name))},
        "load": round(os.getloadavg()[1], 2),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def parser(description: str) -> argparse.ArgumentParser:
    """Return an argument parser with the options that every benchmark has."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    result.add_argument("--results", type=Path, default=RESULTS, help="folder for <benchmark>.json and history.csv")
    result.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall",
        help="cpu: processor time, for a machine that others use too; with one thread per implementation",
    )  # fmt: skip
    return result


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line and set the clock, for the processes to come too."""
    args = parser.parse_args()
    os.environ[_CLOCK] = args.clock
    return args


def record(
    args: argparse.Namespace,
    rows: Sequence[Row],
    curves: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    details: Any = None,
) -> None:
    """Print a table, write ``<benchmark>.json`` and add the rows to ``history.csv``.

    Args:
        args: the command line; its options are recorded, and the script's name is the benchmark's.
        rows: the numbers.
        curves: name → columns of numbers, the first one the size, for the plots of growth.
        details: anything else worth keeping, for instance the single rounds.
    """
    benchmark = Path(sys.argv[0]).stem
    host = machine()
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
    width = max((len(row.measure) for row in rows), default=0)
    for row in rows:
        verdict = {None: "", True: f"({row.target}: yes)", False: f"({row.target}: NO)"}[row.met]
        print(f"{row.measure:<{width}}  {row.value:>12,.4g} {row.unit:<10} {verdict}")
    args.results.mkdir(parents=True, exist_ok=True)
    content = {
        "benchmark": benchmark,
        "date": date,
        "command": shlex.join(["python", f"benchmarks/{benchmark}.py", *sys.argv[1:]]),
        "options": {key: str(value) for key, value in vars(args).items() if key != "results"},
        "machine": host,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
        "curves": curves or {},
        "details": details,
    }
    (args.results / f"{benchmark}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    history = args.results / "history.csv"
    is_new = not history.exists()
    with history.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        if is_new:
            writer.writeheader()
        for row in rows:
            value = float(f"{row.value:.5g}")
            writer.writerow(
                {
                    **host,
                    **asdict(row),
                    "value": value,
                    "met": row.met,
                    "date": date,
                    "benchmark": benchmark,
                    "clock": os.environ.get(_CLOCK, "wall"),
                }
            )


def skip(benchmark: str, reason: str) -> None:
    """Say that a benchmark can't run here, and end without an error."""
    print(f"{benchmark}: skipped, {reason}")
    sys.exit(0)
