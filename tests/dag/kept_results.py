"""A checkout whose results are all there, and dry runs in it.

What each job would have made is a file of a few bytes and its sidecar; the workflow takes them over as it takes over
results beside a fresh clone. What an edit reruns depends on settings, code and hashes, not on what the files hold, so a
grid with an entry of every kind costs a second.
"""

import contextlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from contrastive_context.core.artifacts import sha256_file, write_json
from contrastive_context.core.sidecars import SUFFIX
from contrastive_context.workflow.planning import Job, parse_dry_run

OVERLAYS = [f"envs/overlays/{name}.yaml" for name in ("quickstart", "laptop-study", "translation")]
CONFIGURATION = ["config.yaml", *OVERLAYS, "wide.yaml"]
TRIGGERS = ["--rerun-triggers", "mtime", "params", "input", "--max-checksum-file-size", "1073741824"]
OWN_FILES = ("own.tsv", "a.tsv", "b.tsv", "c.tsv", "d.tsv", "questions.json", "mtop.zip")
OWN_FOLDERS = (
    *(f"{model}/config.json" for model in ("my-model", "en-de", "de-en", "other")),
    *(f"{encoder}/modules.json" for encoder in ("my-encoder", "x")),
)


def copy_checkout(repository: Path, folder: Path) -> Path:
    """Copy what a clone has, so that code can be edited in it and edits of the repository don't show."""
    folder.mkdir(parents=True)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(repository / name, folder)
    for name in ("rules", "envs", "profiles", "workflow_scripts"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


def snakemake(folder: Path, *options: str, targets: Iterable[str] = ()) -> tuple[int, str]:
    """Run Snakemake's command line in this process (a third of a second instead of two); return status and output."""
    from snakemake.cli import main

    output, status = io.StringIO(), 0
    with _inside(folder), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            main([*options, *TRIGGERS, "--cores", "1", "--", *targets])
        except SystemExit as end:
            status = end.code or 0
    return status, output.getvalue()


def dry_run(folder: Path, *more: str, files: Iterable[str] = ()) -> list[Job]:
    """Return the jobs that would run with further configuration files."""
    options = ["--dry-run", "--printshellcmds", "--quiet", "progress", "--configfile", *CONFIGURATION, *files, *more]
    status, output = snakemake(folder, *options)
    assert status == 0, output
    return parse_dry_run(output)


def write_own_files(folder: Path) -> None:
    """Write what a user of the wide grid would have."""
    for name in OWN_FILES:
        (folder / name).write_text(f"source\ttarget\troom\n{name}\tx\ty\n")
    for name in OWN_FOLDERS:
        (folder / name).parent.mkdir()
        (folder / name).write_text("{}\n")


def make_results(folder: Path) -> list[Job]:
    """Put in place what every job of the grid would make; return the jobs, none of which has to run any more."""
    write_own_files(folder)
    jobs = [without_order(job) for job in dry_run(folder)]
    with _inside(folder):
        todo = [job for job in jobs if job.settings is not None]
        while todo:
            ready = [job for job in todo if all(Path(path).is_file() for path in job.inputs)]
            assert ready, todo
            for job in ready:
                _make(job)
                todo.remove(job)
    return jobs


def without_order(job: Job) -> Job:
    """Leave out the inputs that a training has for the order of jobs alone."""
    return replace(job, inputs=tuple(path for path in job.inputs if not path.endswith("/.state/all_frozen")))


def _make(job: Job) -> None:
    for path in map(Path, job.outputs):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"made as": "{path}"}}\n')

    def entry(path: str) -> dict:
        return {"path": path, "sha256": sha256_file(path)}

    record = {
        "step": job.rule,
        "outputs": [entry(path) | {"bytes": Path(path).stat().st_size} for path in job.outputs],
        "inputs": {"files": [entry(path) for path in job.inputs]},
        "settings": job.settings,
        "tokens": None,
        "started": Path(job.outputs[0]).stat().st_mtime,
    }
    write_json(f"{job.outputs[0]}{SUFFIX}", record)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
