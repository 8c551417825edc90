"""The provenance sidecars of a results folder, and the files that no sidecar describes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from contrastive_context.core import artifacts
from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.names import ADAPTERS

SUFFIX = ".provenance.json"
_CONFIGURATIONS = ("config.yaml", "config.only_finished.yaml", "registered.json")


@dataclass(frozen=True)
class Sidecar:
    """One sidecar: what a step made (paths as Snakemake names them), from what, with which settings."""

    path: Path
    record: dict[str, Any]

    @property
    def step(self) -> str:
        """The entry point that wrote it."""
        return self.record["step"]

    @cached_property
    def outputs(self) -> dict[str, JsonDict]:
        """Path → sha256 and bytes of every declared output."""
        return {entry["path"]: entry for entry in self.record["outputs"]}

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Path → SHA-256 of every declared input."""
        found: dict[str, str] = {}
        for value in self.record["inputs"].values():
            for entry in value if isinstance(value, list) else [value]:
                found[entry["path"]] = entry["sha256"]
        return found

    @property
    def settings(self) -> str:
        """The step's one parameter, as the rule gave it."""
        return canonical_json(self.record["settings"])


def read_sidecar(path: Path) -> Sidecar:
    """Read one sidecar.

    Raises:
        UserError: it can't be read, or was written by an older version.
    """
    record = artifacts.read_json(path)
    try:
        sidecar = Sidecar(path, record)
        texts = [sidecar.step, *sidecar.inputs, *sidecar.inputs.values(), *sidecar.outputs]
        texts += [entry["sha256"] for entry in sidecar.outputs.values()]
        sizes = [entry["bytes"] for entry in sidecar.outputs.values()]
        whole = all(isinstance(text, str) for text in texts) and all(isinstance(size, int) for size in sizes)
        whole = whole and isinstance(record["settings"], dict)
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise UserError(f"{path}: not a sidecar of this version; delete it and what it describes, and run again")
    return sidecar


def all_sidecars(results: Path) -> list[Sidecar]:
    """Return the sidecars of all runs below a folder.

    Raises:
        UserError: one can't be read.
    """
    return [read_sidecar(path) for path in files_of(results) if path.name.endswith(SUFFIX)]


def altered(sidecar: Sidecar) -> list[str]:
    """Return the outputs that exist and are not as the step left them."""
    return [
        path
        for path, entry in sidecar.outputs.items()
        if Path(path).is_file()
        and (Path(path).stat().st_size != entry["bytes"] or artifacts.sha256_file(path) != entry["sha256"])
    ]


def files_of(results: Path) -> Iterator[Path]:
    """Yield the files of a run; weights, which lie in folders beside the hash file that stands for them, are left out.

    Logs, hidden files (training state, temporaries) and the run's configurations are no artifacts.
    """
    for folder, names, files in os.walk(results):
        here = Path(folder)
        files = [name for name in files if not (name.startswith(".") or (here == results and name in _CONFIGURATIONS))]
        hashed = {name.removesuffix(".json") for name in files if name.endswith(".json")}
        # A run of fine-tuning has its hash file inside: adapters.json stands for the step folders.
        inside = ADAPTERS in files
        names[:] = [
            name
            for name in sorted(names)
            if not (name.startswith(".") or name in hashed or inside or (here == results and name == "logs"))
        ]
        yield from (here / name for name in files)
