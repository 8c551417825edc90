"""Sidecars that say what an artifact was made from. What they hold changes no artifact."""

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from contrastive_context import __version__
from contrastive_context.artifacts import sha256_file, write_json


def write_provenance(
    output: str | os.PathLike,
    *also: str | os.PathLike,
    inputs: Mapping[str, Any],
    settings: Mapping[str, Any] | str,
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
        return {"path": str(value), "sha256": sha256_file(value)}

    record = {
        "step": Path(sys.argv[0]).stem,
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


def read_settings(text: str) -> dict[str, Any]:
    """Parse the argument ``--settings``: a JSON object, or ``@FILE`` that holds one.

    Raises:
        OSError, ValueError: the file can't be read, or the text isn't JSON.
    """
    return json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)


def _versions() -> dict[str, str]:
    """Versions of the packages that this process has imported and that affect numbers."""
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
