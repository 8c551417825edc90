"""Results kept beside a fresh clone: their sidecars take the place of Snakemake's own records.

Snakemake keeps in ``.snakemake/metadata`` what every output was made from. Without it, it takes any existing file for
good, whatever the configuration says by now. So before the DAG is built, outputs that have a sidecar and no record get
a record made from the sidecar; from then on Snakemake compares parameters and inputs as if it had run the step itself.

Inputs that a step had for the order of jobs alone are taken out of Snakemake's records: by the next run they are none.
"""

from pathlib import Path

from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.sidecars import SUFFIX, Sidecar, altered, files_of, read_sidecar
from contrastive_context.workflow.snakemake_internals import Records

_SHOWN = 5
#: Steps with inputs that are there for the order of jobs alone, as long as the step is to run for the first time.
_ORDERED = ("finetune",)
_ALWAYS_HASHED = 1 << 20  # bytes


def adopt(results: str | Path, folder: str | Path = ".snakemake") -> int:
    """Give Snakemake a record of every result that it doesn't know; return how many outputs got one.

    Args:
        results: a run's folder, relative to the working directory as in the rules.
        folder: Snakemake's own folder.

    Raises:
        UserError: names files that are not what their sidecar says, whether Snakemake knows them or not, and files that
            nothing describes.
    """
    results = Path(results)
    if not results.is_dir():
        return 0
    records = Records(folder)
    files = list(files_of(results))
    paths = [path for path in files if path.name.endswith(SUFFIX)]
    fresh = [path for path in paths if not records.known(str(path).removesuffix(SUFFIX))]
    unknown = [sidecar for path in fresh if _exists(sidecar := read_sidecar(path))]
    # A step that failed or was killed will run again: what it left doesn't count.
    known = [read_sidecar(path) for path in set(paths) - set(fresh) if Path(str(path).removesuffix(SUFFIX)).exists()]
    for sidecar in known:
        if sidecar.step in _ORDERED:
            for path in sidecar.outputs:
                records.forget_inputs(path, sidecar.inputs)
    unfinished = records.unfinished(path for sidecar in known for path in sidecar.outputs)
    _refuse(
        "not as the step that made them left them; delete them to make them again",
        [
            path
            for sidecar in known
            if not unfinished & sidecar.outputs.keys()
            for path in sidecar.outputs
            if _looks_altered(sidecar, path)
        ],
    )
    if not unknown:
        return 0
    _refuse(
        "not as the step that made them left them; delete them to make them again",
        [path for sidecar in unknown for path in altered(sidecar)],
    )
    described = {output for path in paths for output in read_sidecar(path).outputs}
    undescribed = [
        name
        for name in (str(path) for path in files if not path.name.endswith(SUFFIX))
        if name not in described and not records.known(name)
    ]
    unfinished = records.unfinished(undescribed)
    _refuse(
        "without a sidecar that says where they come from (an interrupted step, or a file put there by hand); move or "
        "delete them",
        [path for path in undescribed if path not in unfinished],
    )
    count = 0
    for sidecar in unknown:
        for path in sidecar.outputs:
            if Path(path).is_file():
                records.add(path, sidecar.settings, sidecar.inputs, sidecar.record["started"])
                count += 1
    return count


def _looks_altered(sidecar: Sidecar, path: str) -> bool:
    """Whether an output that Snakemake knows is another than its step left.

    Snakemake would go on from it, or call it finished. Large files whose size and time say nothing are not hashed here:
    a step that reads them does that.
    """
    file, entry = Path(path), sidecar.outputs[path]
    if not file.exists():
        return False
    if not file.is_file() or file.stat().st_size != entry["bytes"]:
        return True
    suspicious = file.stat().st_mtime > sidecar.path.stat().st_mtime or entry["bytes"] <= _ALWAYS_HASHED
    return suspicious and artifacts.sha256_file(file) != entry["sha256"]


def _exists(sidecar: Sidecar) -> bool:
    return any(Path(path).is_file() for path in sidecar.outputs)


def _refuse(reason: str, paths: list[str]) -> None:
    if paths:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        raise UserError(f"{len(paths)} result(s) {reason}: {', '.join(sorted(paths)[:_SHOWN])}{more}")
