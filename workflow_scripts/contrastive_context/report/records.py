"""Files of a run as the report shows them: read, or refused by name where another version wrote them."""

import base64
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.frames import groups_of
from contrastive_context.core.json_types import JsonMapping
from contrastive_context.core.sidecars import read_sidecar
from contrastive_context.report.effort import efforts
from contrastive_context.scoring.signatures import read_revisions
from contrastive_context.tables.selection import headline_seed
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.wording import intervals

_CAPTIONS = Path(__file__).with_name("captions")


class DrawnFigure(NamedTuple):
    """A figure in the page: ``data`` is a PNG in base64; ``alt`` is its text."""

    name: str
    title: str
    caption: str
    data: str
    alt: str


def figure(folder: Path, name: str, title: str, confidence: float) -> DrawnFigure | None:
    """Read a figure and say in its caption what a point rests on, from the CSV beside it; None where it has no point.

    Raises:
        UserError: a file can't be read, or is of another version.
    """
    caption = " ".join((_CAPTIONS / f"{name}.rst").read_text(encoding="utf-8").split())
    path = Path(folder) / f"{name}.png"
    try:
        data = path.read_bytes()
        with _of_this_version(path.with_suffix(".csv")):
            drawn = pd.read_csv(path.with_suffix(".csv"))
            drawn = drawn.loc[drawn["value"].notna()]
            counts = drawn["n"].dropna()
            systems = drawn["condition" if "condition" in drawn else "strategy"]
    except OSError as error:
        raise UserError(f"{error.filename}: can't be read ({error.strerror}); draw the figures first") from error
    if not len(drawn):
        return None
    caption += f" n = {_span(counts)} per point"
    if {"seeds", "strategy"} <= set(drawn):
        headline = headline_seed(drawn)
        runs = headline.loc[headline["seeds"] > 0, "seeds"]
        caption += f"; bars: {intervals(headline, confidence)}; "
        caption += f"{_span(runs) if len(runs) else 'no'} training run(s) per strategy"
    shown = ", ".join(sorted(map(str, systems.unique())))
    alt = f"{title}: {len(drawn)} points of {shown}. The numbers are in figures/{name}.csv."
    return DrawnFigure(name, title, f"{caption}.", base64.b64encode(data).decode("ascii"), alt)


def _span(numbers: pd.Series) -> str:
    low, high = int(min(numbers)), int(max(numbers))
    return str(low) if low == high else f"{low} to {high}"


def signatures(path: Path | None, settings: PresentationSettings) -> list[str]:
    """Return what to quote beside the numbers; with the tasks where one metric has several signatures."""
    if path is None:
        return []
    result = []
    with _of_this_version(path):
        for _, of_metric in groups_of(pd.read_csv(path), "metric", sort=True):
            for (text,), here in groups_of(of_metric, "signature", sort=True):
                tasks = ", ".join(settings.title("tasks", task) for task in here["task"])
                result.append(text if len(here) == len(of_metric) else f"{text} ({tasks})")
    return result


def flat(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Flatten JSON into (path, value) pairs; lists of scalars stay one value, long ones are cut."""
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in flat(item, f"{prefix} › {key}" if prefix else str(key))]
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return [pair for index, item in enumerate(value) for pair in flat(item, f"{prefix} › {index}")]
    if isinstance(value, list):
        text = ", ".join(map(str, value[:20])) + (" …" if len(value) > 20 else "")
    else:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return [(prefix, text)]


@contextlib.contextmanager
def _of_this_version(path: str | Path) -> Iterator[None]:
    """Refuse a file by its path where what the report shows isn't in it."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: not what this version writes ({type(error).__name__}: {error}); delete it and run again"
        ) from error


def model_facts(path: Path) -> list[tuple[str, str]]:
    """Return what a model's hash file says beside the hashes: parameters, results of its gate."""
    record = artifacts.read_json(path)
    with _of_this_version(path):
        return flat({key: value for key, value in record.items() if key != "files"})


def download(path: Path) -> JsonMapping:
    """Read the record of a download from the hub."""
    read_revisions([path])
    return artifacts.read_json(path)


def step(path: Path, run: str) -> JsonMapping:
    """Read a sidecar that has what the report tells of a step."""
    record = read_sidecar(path).record
    with _of_this_version(path):
        efforts([record], run)
        host(record.get("host", {}))
        merged_versions([record.get("versions", {})])
    return record


def merged_versions(versions: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the union of the versions of all steps; a package seen in two versions shows both."""
    seen: dict[str, set[str]] = {}
    for entry in versions:
        for name, version in entry.items():
            seen.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(seen[name])) for name in sorted(seen)}


def host(record: JsonMapping) -> str:
    """Say on what kind of machine a step ran."""
    return f"{record.get('system', '?')} {record.get('machine', '')}, {record.get('cpus', '?')} CPUs"
