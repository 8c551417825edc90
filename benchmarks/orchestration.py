"""What the workflow itself costs: dry run and parsing of the paper grid, start-up of steps, checks of finished work.

Commands run in fresh processes and in turn. A step's start-up is taken to be the import of everything that it has
imported by the end of a run on a tiny grid, what it imports late included, compared with what it can't do without.
"""

import json
import pstats
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import measuring
from skeleton import write_skeleton

#: Steps that need torch, and what else they can't do without.
_MODEL = "import torch, safetensors.torch; from transformers import {}AutoTokenizer, LlamaForCausalLM"
NEEDS = {
    "finetune": _MODEL.format("") + "; import peft, pyarrow.parquet, pandas",
    "generate": _MODEL.format("GenerationConfig, DynamicCache, ") + "; import pyarrow.parquet, pandas",
    "run_probes": _MODEL.format("GenerationConfig, DynamicCache, ") + "; import pyarrow.parquet, pandas",
    "prepare_model": "import torch, tokenizers; from transformers import LlamaForCausalLM, PreTrainedTokenizerFast",
    "simulate_minimal_model": "import torch, pandas, pyarrow.parquet",
}
#: What a figure's step needs: tables, drawing, and the two formats that it writes.
DRAWING = (
    "import matplotlib.figure, matplotlib.backends.backend_agg, matplotlib.backends.backend_pdf, fontTools.subset; "
    "import pandas, pyarrow.parquet"
)
_LINKS = ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow_scripts")
_RECORD = """
import json, runpy, sys
out, script, sys.argv = sys.argv[1], sys.argv[2], sys.argv[2:]
sys.path.insert(0, script.rpartition("/")[0])
try:
    runpy.run_path(script, run_name="__main__")
finally:
    json.dump(list(sys.modules), open(out, "w"))
"""
_IMPORT = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
for name in json.load(open(sys.argv[1])):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
"""
_EMPTY = """
rule all:
    input:
        expand("out/{{n}}", n=range({jobs} - 1)),


rule one:
    output:
        "out/{{n}}",
    params:
        settings=lambda wc: wc.n,
    shell:
        "touch {{output}}"
"""


def checkout(folder: Path, source: Path) -> Path:
    """Make a folder in which the workflow runs without results of its own."""
    folder.mkdir()
    for name in _LINKS:
        (folder / name).symlink_to(source / name)
    return folder


def snakemake(*options: str) -> list[str]:
    """Return a Snakemake command."""
    return [sys.executable, "-m", "snakemake", *options]


def seconds(command: list[str], cwd: Path) -> float:
    """Return the seconds of a command."""
    return measuring.run(command, cwd).seconds


def beside(scratch: Path, source: Path, before: Path, rounds: int) -> tuple[list[measuring.Row], Any]:
    """Measure dry run and parsing of the paper grid in turn with another checkout's."""
    measures = {}
    for name, of in (("now", source), ("before", before.resolve())):
        folder = checkout(scratch / name, of)
        python = ["env", f"PYTHONPATH={of / 'workflow_scripts'}"]
        for what, option in (("dry run", "-n"), ("parsing", "--list-rules")):
            command = [*python, *snakemake("--profile", "envs/profiles/local", option)]
            measures[f"{what} {name}"] = lambda command=command, folder=folder: seconds(command, folder)
    found = measuring.alternate(measures, rounds)
    rows = []
    for what in ("dry run", "parsing"):
        ratios = [now / then for now, then in zip(found[f"{what} now"], found[f"{what} before"], strict=True)]
        rows.append(measuring.Row(f"{what}, to that of the checkout before", statistics.median(ratios), "×", "≤ 1.05"))
    return rows, found


def dry_runs(scratch: Path, source: Path, rounds: int) -> tuple[list[measuring.Row], dict, Any]:
    """Measure dry run and parsing of the paper grid beside as many empty jobs, and beside a skeleton of it."""
    ours = checkout(scratch / "paper", source)
    plan = snakemake("--profile", "envs/profiles/local", "-n")
    jobs = count_jobs(plan, ours)
    empty = scratch / "empty"
    empty.mkdir()
    (empty / "Snakefile").write_text(_EMPTY.format(jobs=jobs))
    skeleton = scratch / "skeleton"
    shown = subprocess.run([*plan, "--quiet", "host"], cwd=ours, capture_output=True, text=True, check=True)
    write_skeleton(shown.stdout + shown.stderr, source / "envs/core.yaml", skeleton)
    triggers = ["--rerun-triggers", "mtime", "params", "input", "--quiet", "rules", "reason"]
    without = snakemake("-n", "--cores", "1", *triggers)
    if (count := count_jobs(without, skeleton)) != jobs:
        raise RuntimeError(f"the skeleton has {count} jobs, not {jobs}")
    measures = {
        "dry run": lambda: seconds(plan, ours),
        "empty": lambda: seconds(without, empty),
        "skeleton": lambda: seconds(without, skeleton),
        "parse": lambda: seconds(snakemake("--profile", "envs/profiles/local", "--list-rules"), ours),
        "parse empty": lambda: seconds(snakemake("--cores", "1", "--list-rules"), empty),
        "parse skeleton": lambda: seconds(snakemake("--cores", "1", "--list-rules"), skeleton),
    }
    found = measuring.alternate(measures, rounds)

    def added(more: str, less: str) -> float:
        names = (more, less, f"parse {more}".replace(" dry run", ""), f"parse {less}")
        return statistics.median(
            (a - b - (c - d)) / jobs * 1000 for a, b, c, d in zip(*(found[name] for name in names), strict=True)
        )

    parsing = statistics.median(a - b for a, b in zip(found["parse"], found["parse empty"], strict=True))
    rows = [
        measuring.Row("jobs of the paper grid", jobs),
        measuring.Row("dry run of the paper grid", statistics.median(found["dry run"]), "s", "≤ 20"),
        measuring.Row("dry run of as many empty jobs", statistics.median(found["empty"]), "s"),
        measuring.Row(
            "dry run of a skeleton: the same jobs and edges, the rest constant",
            statistics.median(found["skeleton"]),
            "s",
        ),
        measuring.Row("added per job, to an empty one, parsing aside", added("dry run", "empty"), "ms", "≤ 0.5"),
        measuring.Row("added per job by the skeleton, to an empty one", added("skeleton", "empty"), "ms"),
        measuring.Row("added per job, to the skeleton", added("dry run", "skeleton"), "ms", "≤ 0.5"),
        measuring.Row("dry run: own functions", 100 * own_share(plan, ours), "% of it"),
        measuring.Row("added by parsing", parsing, "s", "≤ 1"),
    ]
    return rows, growth(scratch, source), found


def own_share(plan: list[str], folder: Path) -> float:
    """Return what part of a dry run is spent in the Snakefile, the rules and the package, all that they call included.

    That is the time of those of their functions that something else calls, by Python's profiler.
    """
    profile = folder / "dry_run.pstats"
    measuring.run([sys.executable, "-m", "cProfile", "-o", str(profile), *plan[1:]], folder)
    stats = pstats.Stats(str(profile))
    spent = sum(
        cumulative
        for (file, _, name), (*_, callers) in stats.stats.items()
        if _is_own(file) and name != "<module>"
        for (caller, _, _), (_, _, _, cumulative) in callers.items()
        if not _is_own(caller)
    )
    return spent / stats.total_tt


def _is_own(file: str) -> bool:
    return "/contrastive_context/" in file or file.endswith((".smk", "/Snakefile"))


def count_jobs(plan: list[str], folder: Path) -> int:
    """Return how many jobs a dry run plans."""
    output = subprocess.run(plan, cwd=folder, capture_output=True, text=True, check=True)
    return int(re.search(r"^total\s+(\d+)", output.stdout + output.stderr, re.MULTILINE)[1])


def growth(scratch: Path, source: Path) -> dict[str, dict[str, list[float]]]:
    """Measure dry runs of the paper grid with more and more seeds."""
    import yaml

    grid = yaml.safe_load((source / "config.yaml").read_text(encoding="utf-8"))["grid"]
    folder = checkout(scratch / "seeds", source)
    curve: dict[str, list[float]] = {"jobs": [], "seconds": [], "peak_mb": []}
    for seeds in (1, 3, 6, 12):
        entries = [{**entry, "seeds": list(range(seeds))} for entry in grid]
        (folder / "grid.yaml").write_text(json.dumps({"grid": entries}))
        plan = snakemake("--profile", "envs/profiles/local", "-n", "--configfile", "config.yaml", "grid.yaml")
        curve["jobs"].append(count_jobs(plan, folder))
        runs = [measuring.run(plan, folder) for _ in range(3)]
        curve["seconds"].append(statistics.median(run.seconds for run in runs))
        curve["peak_mb"].append(max(run.peak_mb for run in runs))
    return {"dry run against jobs of the grid": curve}


def tiny_run(scratch: Path, source: Path, grid: Path) -> tuple[Path, list[str]]:
    """Run a tiny grid; return its folder and Snakemake's options."""
    folder = checkout(scratch / "tiny", source)
    (folder / "grid.yaml").symlink_to(grid.resolve())
    options = ["--profile", "envs/profiles/quickstart"]
    options += ["--configfile", "config.yaml", "envs/overlays/quickstart.yaml", "grid.yaml"]
    measuring.run(snakemake(*options), folder)
    return folder, options


def commands(folder: Path, options: list[str]) -> dict[str, str]:
    """Return script → shell command of its first job."""
    plan = snakemake(*options, "-n", "--forceall", "--printshellcmds", "--quiet", "progress")
    output = subprocess.run(plan, cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, str] = {}
    for line in (output.stdout + output.stderr).splitlines():
        if match := re.search(r"python workflow_scripts/(\w+)\.py .*", line):
            # What is finished would only be published again.
            found.setdefault(match[1], re.sub(r" --state-dir \S+", "", match[0]))
    return found


def start_ups(folder: Path, steps: dict[str, str], rounds: int) -> tuple[list[measuring.Row], Any]:
    """Measure every step's start-up."""
    recorder, importer = folder / "record.py", folder / "import.py"
    recorder.write_text(_RECORD)
    importer.write_text(_IMPORT)
    rows, details = [], {}
    for step, command in sorted(steps.items()):
        modules = folder / f"{step}.modules.json"
        wrapped = command.replace("python workflow_scripts", f"python {recorder} {modules} workflow_scripts", 1)
        measuring.run(["bash", "-c", wrapped], folder)
        loaded = json.loads(modules.read_text())
        measures = {"step": lambda path=modules: seconds([sys.executable, str(importer), str(path)], folder)}
        needs = DRAWING if step.startswith("plot_") else NEEDS.get(step)
        if needs:
            measures["needed"] = lambda needs=needs: seconds([sys.executable, "-c", needs], folder)
        found = measuring.alternate(measures, rounds)
        details[step] = {**found, "modules": len(loaded)}
        if step in NEEDS:
            added = statistics.median(a - b for a, b in zip(found["step"], found["needed"], strict=True))
            rows.append(measuring.Row(f"start-up of {step}, beyond its imports", added, "s", "≤ 1"))
        else:
            heavy = [name for name in ("torch", "transformers") if name in loaded]
            name = f"start-up of {step}" + (f", which imports {heavy[0]}" if heavy else "")
            rows.append(measuring.Row(name, statistics.median(found["step"]), "s", "≤ 0.7"))
            if needs:
                rows.append(
                    measuring.Row(f"{step}: what it draws and reads with", statistics.median(found["needed"]), "s")
                )
    return rows, details


def nothing_to_do(name: str, folder: Path, options: list[str], rounds: int) -> measuring.Row:
    """Measure the check of finished work."""
    found = measuring.alternate({"check": lambda: seconds(snakemake(*options), folder)}, rounds)
    return measuring.Row(f"nothing to do, {name}", statistics.median(found["check"]), "s", "≤ 4")


def finished_quickstart(folder: Path, rounds: int) -> list[measuring.Row]:
    """Measure the check of a finished quickstart, if there is one."""
    if not (folder / "results/quickstart/report.html").is_file():
        print("a finished quickstart: skipped, there is none here (make quickstart)")
        return []
    return [nothing_to_do("a finished quickstart", folder, ["--profile", "envs/profiles/quickstart"], rounds)]


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one to warm up")
    parser.add_argument("--finished", type=Path, default=Path(), help="checkout with a finished quickstart")
    parser.add_argument("--grid", type=Path, default=Path("tests/e2e/tiny.yaml"), help="the tiny grid of the steps")
    parser.add_argument("--only", choices=["dry-runs", "steps", "before"], help="leave the other parts out")
    parser.add_argument("--before", type=Path, help="checkout whose dry run and parsing take turns with this one's")
    args = measuring.parse(parser)
    source = Path.cwd()  # with its links, as the workflow sees it
    rows: list[measuring.Row] = []
    curves: dict[str, Any] = {}
    details: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        if args.before:
            found, details["beside the checkout before"] = beside(scratch, source, args.before, args.rounds)
            rows += found
        if args.only in (None, "dry-runs"):
            found, curves, details["dry runs"] = dry_runs(scratch, source, args.rounds)
            rows += found
        if args.only in (None, "steps"):
            folder, options = tiny_run(scratch, source, args.grid)
            rows.append(nothing_to_do("the tiny grid of the tests", folder, options, args.rounds))
            found, details["start-ups"] = start_ups(folder, commands(folder, options), args.rounds)
            rows += found
        if args.only != "before":
            rows += finished_quickstart(args.finished, args.rounds)
    measuring.record(args, rows, curves, details)


if __name__ == "__main__":
    main()
