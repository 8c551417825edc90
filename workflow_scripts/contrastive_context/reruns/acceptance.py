"""Accepting a change of code that is known to be harmless: results keep standing, marked as made by the new code."""

from collections.abc import Iterable
from pathlib import Path

from contrastive_context import artifacts
from contrastive_context.config.base import canonical_json
from contrastive_context.reruns.adoption import store
from contrastive_context.reruns.sidecars import Sidecar


def accept(sidecars: Iterable[Sidecar], step: str, version: str, folder: str | Path = ".snakemake") -> int:
    """Write the step's present code version into its sidecars and into Snakemake's records.

    Settings are left alone: an output made with another setting runs again all the same.

    Args:
        sidecars: of the results concerned.
        step: the entry point whose change is accepted.
        version: its present code version.
        folder: Snakemake's own folder.

    Returns:
        How many outputs were accepted.
    """
    records, count = store(folder), 0
    for sidecar in sidecars:
        if sidecar.step != step or sidecar.record["settings"].get("code_version") == version:
            continue
        before = [repr(sidecar.settings)]
        settings = {**sidecar.record["settings"], "code_version": version}
        for path in sidecar.outputs:
            record = records._read_record(path)
            if record is not None and record.params == before:
                record.params = [repr(canonical_json(settings))]
                records._write_record(path, record)
            count += 1
        artifacts.write_json(sidecar.path, {**sidecar.record, "settings": settings})
    return count
