"""Sidecars that say what an artifact was made from, and by which a later step knows it again.

What they hold changes no artifact.
"""

import contextlib
import functools
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contrastive_context.core.artifacts import sha256_file, write_json
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict, JsonMapping
from contrastive_context.core.version import __version__


def write_provenance(
    output: str | os.PathLike,
    *also: str | os.PathLike,
    inputs: Mapping[str, Any],
    settings: JsonMapping | str,
    started: float,
    tokens: int | None = None,
) -> None:
    """Write ``<output>.provenance.json``: what was made from what, with which settings, versions, host and SLURM job.

    Args:
        output: an artifact that the step declares; it must exist already.
        also: its other declared artifacts; the one sidecar describes them all.
        inputs: name → path (or list of paths) of everything that the rule declares as input.
        settings: the step's ``--settings``, as given: JSON text, ``@FILE``, or an object.
        started: ``time.time()`` at the step's start; the same in all sidecars of a job.
        tokens: tokens that a model read and wrote, where the step ran one.
    """

    def describe(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [describe(item) for item in value]
        return {"path": str(value), "sha256": _digest(value)}

    record = {
        "step": step_name(),
        "outputs": [describe(path) | {"bytes": Path(path).stat().st_size} for path in (output, *also)],
        "inputs": {name: describe(value) for name, value in inputs.items() if value},
        "settings": read_settings(settings) if isinstance(settings, str) else dict(settings),
        "versions": _versions(),
        "host": {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "tokens": tokens,
        "started": started,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(time.time() - started, 2),
    }
    write_json(f"{output}.provenance.json", record)


def check_inputs(paths: Iterable[str | os.PathLike]) -> None:
    """Check that files are as the steps that made them left them, by the sidecars beside them.

    No format tells: pages of Parquet, arrays and JSON lines have no checksums here, and one wrong bit may be a wrong
    number. A file that no sidecar describes is a user's own and is taken as it is; so is what the running step made
    before, since it is about to be replaced.

    Raises:
        UserError: a file was altered, or is a folder by now; or a sidecar can't be read.
    """
    described = functools.cache(_described)
    for path in map(Path, paths):
        step, digest = described(path.parent).get(path.name, ("", ""))
        if not step or step == step_name():
            continue
        if not path.is_file() or _digest(path) != digest:
            raise UserError(f"{path}: not as {step} left it; delete it and run the same command again")


def step_name() -> str:
    """Return the name of the running entry point."""
    return Path(sys.argv[0]).stem


def _described(folder: Path) -> dict[str, tuple[str, str]]:
    """Return name → step that made it and SHA-256 of the files in a folder; a step's sidecar is beside its files."""
    from contrastive_context.core.sidecars import SUFFIX, read_sidecar

    sidecars = [read_sidecar(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return {
        Path(path).name: (sidecar.step, entry["sha256"])
        for sidecar in sidecars
        for path, entry in sidecar.outputs.items()
    }


def _digest(path: str | os.PathLike) -> str:
    state = Path(path).stat()
    return _digest_of(str(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.cache
def _digest_of(path: str, *state: int) -> str:
    """Hash a file once per process: inputs are hashed before they are read, and named in the sidecar at the end."""
    return sha256_file(path)


def read_settings(text: str) -> JsonDict:
    """Parse the argument ``--settings``: a JSON object, or ``@FILE`` that holds one.

    Raises:
        OSError, ValueError: the file can't be read, or the text isn't JSON.
    """
    return json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)


def _versions() -> dict[str, str]:
    """Versions of the packages that this process has imported and that affect numbers."""
    from importlib import metadata  # not at the top: it brings the modules of e-mail with it

    versions = {"python": platform.python_version(), "contrastive-context": __version__}
    for module, distribution in {
        "numpy": "numpy", "pandas": "pandas", "torch": "torch", "transformers": "transformers", "peft": "peft",
        "tokenizers": "tokenizers", "sentence_transformers": "sentence-transformers", "hnswlib": "hnswlib",
        "sacrebleu": "sacrebleu", "comet": "unbabel-comet",
    }.items():  # fmt: skip
        if module in sys.modules:
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions[distribution] = metadata.version(distribution)
    return versions
