"""Accepting a change of code that is known to be harmless: results keep standing, marked as made by the new code."""

from collections.abc import Iterable
from pathlib import Path

from contrastive_context.config.safeguards import Safeguards
from contrastive_context.core import artifacts, paths
from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.sidecars import Sidecar
from contrastive_context.training.settings import FinetuneSettings
from contrastive_context.workflow.snakemake_internals import Records


def accept(sidecars: Iterable[Sidecar], step: str, version: str, folder: str | Path = ".snakemake") -> int:
    """Write the step's present code version into its sidecars and into Snakemake's records.

    Settings are left alone: an output made with another setting runs again all the same. What a fine-tuning left for
    its successors stays usable too.

    Args:
        sidecars: of the results concerned.
        step: the entry point whose change is accepted.
        version: its present code version.
        folder: Snakemake's own folder.

    Returns:
        How many outputs were accepted.
    """
    records, count = Records(folder), 0
    for sidecar in sidecars:
        if sidecar.step != step or sidecar.record["settings"].get("code_version") == version:
            continue
        settings = {**sidecar.record["settings"], "code_version": version}
        for path in sidecar.outputs:
            records.replace_settings(path, sidecar.settings, canonical_json(settings))
            count += 1
        if step == "finetune":
            _keep_state(sidecar, version)
        artifacts.write_json(sidecar.path, {**sidecar.record, "settings": settings})
    return count


def _keep_state(sidecar: Sidecar, version: str) -> None:
    """Give the states of a finished training, which are named by its code too, the name under which they are found."""
    from pydantic import ValidationError

    from contrastive_context.core import lease
    from contrastive_context.training import state

    leaves = dict(sidecar.record["settings"])
    before = leaves.pop("code_version", "")
    files = {name: entry["path"] for name, entry in sidecar.record["inputs"].items()}
    if not all(Path(path).is_file() for path in files.values()):
        return
    try:
        settings = FinetuneSettings.model_validate(leaves).model_dump(mode="json")
    except ValidationError:  # other settings than the present code has: it trains again whatever is accepted
        return
    # results/<run>/finetune/<task>/<model>/<system>
    *_, task, model, system = sidecar.path.parent.parts
    run = sidecar.path.parents[4]
    folder = run / paths.FINETUNE_STATE.format(task=task, model=model, system=system)
    old, new = (folder / state.fingerprint(settings, code, files) for code in (before, version))
    if old.is_dir() and not new.exists() and lease.is_free(old, Safeguards().lease_timeout_s):
        old.rename(new)
