"""The workflow's own commands, each run in a child process in a folder of its own, where it can be disturbed."""

import os
import random
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

from forkserver import start_uncollected

from contrastive_context.workflow.planning import parse_dry_run

#: What stages without a model import.
PRELOAD = [
    "pandas", "pyarrow.parquet", "pyarrow.compute", "scipy.stats", "matplotlib.pyplot",
    "matplotlib.backends.backend_pdf", "jinja2", "pydantic", "tqdm", "contrastive_context.workflow.stages",
    "contrastive_context.tables.tidy", "contrastive_context.scoring.scoring",
    "contrastive_context.report.build", "contrastive_context.figures.style",
    "contrastive_context.contexts.evaluation_contexts", "contrastive_context.contexts.sampling",
]  # fmt: skip
MODEL_RULES = {"prepare_model", "finetune", "generate", "run_probes"}
VARYING = {"report.html"}  # has times in it
_TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.utime", "shutil.rmtree"}


class Stage(NamedTuple):
    """One job of the workflow: paths relative to the folder in which Snakemake runs, and its command's words."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def described_inputs(self) -> list[str]:
        """Inputs that another stage made."""
        return [path for path in self.inputs if path.startswith("results/")]


class End(NamedTuple):
    """How a child ended, and what it said."""

    status: int
    said: str


def stages_of(checkout: Path, empty: Path) -> list[Stage]:
    """Return the jobs that need no model, as Snakemake would call them in an empty checkout."""
    for name in ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow_scripts", "grid.yaml"):
        (empty / name).symlink_to((checkout / name).resolve())
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--printshellcmds",
        "--quiet",
        "progress",
        "--cores",
        "1",
    ]
    command += ["--configfile", "config.yaml", "envs/overlays/quickstart.yaml", "grid.yaml"]
    text = subprocess.run(command, cwd=empty, capture_output=True, text=True, check=True).stdout
    commands = iter(re.findall(r"^Shell command: (python .*)$", text, flags=re.MULTILINE))
    stages = []
    for job in parse_dry_run(text):
        if job.settings is None:
            continue
        words = re.sub(r"\$\(dirname (\S+?)\)", lambda match: str(Path(match[1]).parent), next(commands))
        if job.rule not in MODEL_RULES:
            stages.append(Stage(job.rule, job.inputs, job.outputs, tuple(shlex.split(words)[1:])))
    return stages


_STARTING = threading.Lock()


def start(context, folder: Path, stage: Stage, at_touch: tuple[int, int] | None = None, said: str = "said"):
    """Start a stage in ``folder``; at the so manieth touch of a file there it sends itself a signal."""
    process = context.Process(target=_run, args=(folder, stage, at_touch, str(folder.parent / said)))
    # start() also collects what other threads started, each of whom then finds no exit status (255) for its own.
    with _STARTING:
        start_uncollected(process)
    return process


def finish(process, folder: Path, said: str = "said") -> End:
    """Wait for a child that :func:`start` started."""
    process.join(120)
    if process.is_alive():
        process.kill()
        raise TimeoutError(f"{folder}: a stage hangs")
    file = folder.parent / said
    return End(process.exitcode, file.read_text(errors="replace") if file.exists() else "")


def _run(folder: Path, stage: Stage, at_touch: tuple[int, int] | None, said: str) -> None:
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    script, *arguments = stage.command
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    if at_touch is not None:
        _signal_at(folder, *at_touch)
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _signal_at(folder: Path, count: int, number: int) -> None:
    left, inside = [count], str(folder / "results")

    def hook(event: str, arguments: tuple) -> None:
        if event not in _TOUCHES or threading.current_thread() is not threading.main_thread():
            return
        paths = (str(value) for value in arguments[:2] if isinstance(value, (str, os.PathLike)))
        if any(path.startswith((inside, "results/")) for path in paths):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), number)

    sys.addaudithook(hook)


def copy_results(finished: Path, folder: Path, *, links: bool = True) -> None:
    """Put the finished results into ``folder``, as links where that is safe: stages replace files."""

    def copy(source: str, target: str) -> None:
        if links and "/logs/" not in source:
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    ignored = shutil.ignore_patterns(".state", ".cache")
    shutil.copytree(finished / "results", folder / "results", copy_function=copy, ignore=ignored)
    (folder / "workflow_scripts").symlink_to((finished / "workflow_scripts").resolve())


def damage(path: Path, kind: str, rng: random.Random) -> None:
    """Damage a file: ``truncated``, ``bit flipped``, ``empty`` or ``folder`` (one takes its place)."""
    content = bytearray(path.read_bytes())
    path.unlink()  # it may be a link
    if kind == "folder":
        path.mkdir()
        return
    if kind == "bit flipped":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "truncated":
        content = content[: rng.randrange(1, len(content))]
    else:
        content = b""
    path.write_bytes(content)
