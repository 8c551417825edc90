"""Whether a results folder still is what its steps left in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.names import ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTERS
from contrastive_context.core.sidecars import SUFFIX, Sidecar, altered, files_of, read_sidecar

State = Literal["missing", "altered", "stale", "orphaned", "damaged"]


class Problem(NamedTuple):
    """A file that is not as it should be, and why."""

    state: State
    path: str
    reason: str


def verify(results: str | Path) -> Iterator[Problem]:
    """Check every hash of a run's folder: declared outputs, the inputs they were made from, and weights.

    Args:
        results: the run's folder, relative to the working directory in which the steps ran.

    Yields:
        ``missing`` and ``altered`` outputs and weights, ``stale`` ones (an input is another one by now),
        ``orphaned`` files, which neither a sidecar nor a hash file describes, and ``damaged`` sidecars.
    """
    results = Path(results)
    files = list(files_of(results))
    sidecars = []
    for path in files:
        if path.name.endswith(SUFFIX):
            try:
                sidecars.append(read_sidecar(path))
            except UserError as error:
                yield Problem("damaged", str(path), str(error).removeprefix(f"{path}: "))
    described = {path for sidecar in sidecars for path in sidecar.outputs}
    for sidecar in sidecars:
        yield from _outputs(sidecar)
        yield from _inputs(sidecar)
    for path in files:
        if not path.name.endswith(SUFFIX) and str(path) not in described:
            yield Problem("orphaned", str(path), "no sidecar says where it comes from")


def _outputs(sidecar: Sidecar) -> Iterator[Problem]:
    wrong = altered(sidecar)
    for path in wrong:
        yield Problem("altered", path, f"not what {sidecar.step} left")
    for path in sidecar.outputs:
        if not Path(path).is_file():
            yield Problem("missing", path, f"{sidecar.step} made it")
        elif path.endswith(".json") and path not in wrong:
            yield from _weights(Path(path))


def _weights(hashes: Path) -> Iterator[Problem]:
    """Check what a hash file stands for, a model, an encoder, or the adapters of a run: these files and no others."""
    record = artifacts.read_json(hashes)
    expected: dict[Path, str] = {}
    folders: list[Path] = []
    if isinstance(record, dict) and isinstance(record.get("files"), dict):
        folders = [hashes.with_suffix("")]
        expected = {folders[0] / name: entry["sha256"] for name, entry in record["files"].items()}
    elif hashes.name == ADAPTERS:
        folders = [path for path in sorted(hashes.parent.iterdir()) if path.is_dir()]
        for entry in record["steps"].values():
            folder = hashes.parent / entry["folder"]
            expected[folder / ADAPTER_WEIGHTS] = entry["sha256"]
            if "config_sha256" in entry:
                expected[folder / ADAPTER_CONFIG] = entry["config_sha256"]
    for path, digest in expected.items():
        if not path.is_file():
            yield Problem("missing", str(path), f"named in {hashes}")
        elif artifacts.sha256_file(path) != digest:
            yield Problem("altered", str(path), f"not the one named in {hashes}")
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        if path.is_file() and path not in expected:
            yield Problem("orphaned", str(path), f"not named in {hashes}")


def _inputs(sidecar: Sidecar) -> Iterator[Problem]:
    for path, digest in sidecar.inputs.items():
        if not Path(path).is_file():
            reason = f"made from {path}, which is gone"
        elif artifacts.sha256_file(path) != digest:
            reason = f"made from another version of {path}"
        else:
            continue
        yield from (Problem("stale", output, reason) for output in sidecar.outputs)
        return
