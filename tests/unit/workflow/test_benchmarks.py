"""The benchmarks' own arithmetic, and that each explains itself."""

import argparse
import csv
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"
SHARED = ("flops", "inputs", "measuring", "profiling", "skeleton")
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED)


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


def test_the_makefile_runs_every_benchmark():
    line = next(line for line in (FOLDER.parent / "Makefile").read_text().splitlines() if line.startswith("BENCH :="))
    assert sorted(line.split()[2:]) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_explains_itself_without_heavy_imports(name):
    code = f"import sys; sys.argv[1:] = ['--help']; sys.path.insert(0, {str(FOLDER)!r})\n"
    code += f"import {name}\ntry:\n    {name}.main()\nfinally:\n    assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--results" in done.stdout


def test_rows_are_recorded_with_machine_and_date(module, tmp_path, monkeypatch, capsys):
    measuring = module("measuring")
    monkeypatch.setattr(sys, "argv", ["benchmarks/some.py"])
    rows = [
        measuring.Row("speed", 1.6, "×", "≥ 1.5"),
        measuring.Row("memory", 0.6, "×", "≤ 0.5"),
        measuring.Row("x", 1),
    ]
    for _ in range(2):
        measuring.record(argparse.Namespace(results=tmp_path, rounds=5), rows)
    written = json.loads((tmp_path / "some.json").read_text())
    assert [row["met"] for row in written["rows"]] == [True, False, None]
    assert written["machine"]["cores"] >= 1 and written["options"] == {"rounds": "5"}
    with (tmp_path / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["measure"] for row in history] == ["speed", "memory", "x"] * 2
    assert all(row["date"] == written["date"] and row["cpu"] for row in history)
    assert "(≤ 0.5: NO)" in capsys.readouterr().out


def counting(next_round, start):
    """An implementation whose result is how many rounds it has made."""
    while True:
        next_round(start)
        start += 1


def failing(next_round):
    next_round()
    raise SystemExit("no")


def test_contestants_take_turns(module):
    measuring = module("measuring")
    timings = measuring.compare({"a": (counting, (0,)), "b": (counting, (10,))}, rounds=3, warmup=2)
    # The first two of five rounds warm up.
    assert timings["a"].values == [3, 4, 5] and timings["b"].values == [13, 14, 15]
    assert len(timings["a"].seconds) == 3 and timings["a"].peak_mb > 1


def test_a_contestant_that_fails_is_named(module, capfd):
    with pytest.raises(RuntimeError, match=r"^b failed"):
        module("measuring").compare({"a": (counting, (0,)), "b": (failing, ())}, rounds=1)


def test_functions_alternate(module):
    calls = []
    measures = {name: lambda name=name: calls.append(name) or len(calls) for name in "ab"}
    found = module("measuring").alternate(measures, rounds=2)
    assert calls == ["a", "b", "b", "a", "a", "b"] and found == {"a": [4, 5], "b": [3, 6]}


def test_ratios_are_of_pairs(module):
    assert module("measuring").ratio([2, 30, 4], [1, 10, 4]) == 2


MEASURE = """
import sys
from measuring import run
small = run([sys.executable, "-c", "pass"])
large = run([sys.executable, "-c", "x = bytearray(b'1' * 80_000_000); sum(range(10**6))"])
assert large.peak_mb > small.peak_mb + 60 and large.seconds > 0, (small, large)
"""


def test_a_command_is_measured(module, repository):
    measuring = module("measuring")
    # From a small process, as the benchmarks do: that of the tests may be larger than what is measured.
    subprocess.run([sys.executable, "-c", MEASURE], cwd=repository / "benchmarks", check=True)
    with pytest.raises(RuntimeError, match="ouch"):
        measuring.run([sys.executable, "-c", "raise SystemExit('ouch')"])


def test_processor_time_leaves_waiting_out(module, monkeypatch):
    measuring = module("measuring")
    command = [sys.executable, "-c", "import select; select.select([], [], [], 0.5)"]
    assert measuring.run(command).seconds > 0.5
    monkeypatch.setattr(sys, "argv", ["some", "--clock", "cpu"])
    monkeypatch.setenv("CONTRASTIVE_CONTEXT_BENCHMARK_CLOCK", "wall")  # restored afterwards
    measuring.parse(measuring.parser("some"))
    assert measuring.run(command).seconds < 0.5


def test_where_two_curves_cross(module):
    crossing = module("retrieval").crossing
    assert crossing([100, 10_000], [1, 100], [10, 10]) == pytest.approx(1000)
    assert crossing([100, 1000], [1, 2], [10, 20]) is None


def test_exponents(module):
    assert module("growth").exponent([1, 10, 100], [5, 1, 100]) == pytest.approx(2)


PLAN = """Building DAG of jobs...
[today]
rule one:
    input: here.txt
    output: out/a, out/b
    jobid: 1
    resources: tmpdir=/tmp, runtime=60, gpu=0, mem_mb=3000, mem=3 GB

[today]
rule two:
    input: out/a, here.txt
    output: out/c
    jobid: 2

[today]
localrule all:
    input: out/c, out/b
    jobid: 0
"""


def test_a_skeleton_plans_the_same_jobs_and_edges(module, tmp_path):
    environment = tmp_path / "environment.yaml"
    environment.touch()
    module("skeleton").write_skeleton(PLAN, environment, tmp_path / "skeleton")
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1"]
    done = subprocess.run(command, cwd=tmp_path / "skeleton", capture_output=True, text=True)
    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown
    for line in ("input: given/here.txt", "output: one/0.0, one/0.1", "input: one/0.0, given/here.txt", "mem_mb=3000"):
        assert line in shown
    assert "input: two/1.0, one/0.1" in shown
