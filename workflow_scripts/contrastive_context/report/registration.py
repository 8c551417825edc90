"""What a study set before it had results: claims, margins, seeds, numbers of targets; and what was changed afterwards.

The main process of a run notes it in ``registered.json`` before its first job, and again whenever it has changed.
"""

import dataclasses
import datetime
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastive_context.config.claims import CLAIMS
from contrastive_context.config.grid import Grid
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError

if TYPE_CHECKING:
    from contrastive_context.config.study import Study

FILE = "registered.json"


@dataclass
class Registration:
    """As it is read: when what was set, and whether something changed after there were answers."""

    entries: list[tuple[str, str]]
    changed: bool


def record(study: "Study", folder: str | Path) -> None:
    """Note what a study sets, if it isn't noted already, with the number of files of answers that there are."""
    path = Path(folder, FILE)
    known = _read(path) if path.exists() else []
    plan = _plan(study)
    if known and known[-1]["set"] == plan:
        return
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    answers = sum(1 for _ in Path(folder, "predictions").glob("*/*/*.jsonl"))
    artifacts.write_json(path, [*known, {"at": now, "answers": answers, "set": plan}])


def _plan(study: "Study") -> dict[str, Any]:
    tasks = {
        task: {
            "claims": study.tasks[task].claims.model_dump(mode="json"),
            "targets": study.tasks[task].evaluation.targets,
            "probe targets": entry.targets if (entry := study.tasks[task].probes) else 0,
        }
        for task in Grid(study).tasks
    }
    return {
        "claims": {claim.name: json.loads(json.dumps(dataclasses.asdict(claim))) for claim in CLAIMS},
        "statistics": study.statistics.model_dump(mode="json"),
        "tasks": tasks,
        "grid": [entry.model_dump(mode="json") for entry in study.grid],
    }


def read(path: Path | None) -> Registration | None:
    """Return what was set when; None without a record.

    Raises:
        UserError: the file is damaged.
    """
    if path is None:
        return None
    known = _read(path)
    entries = [(_when(known[0]), f"{len(known[0]['set']['claims'])} claims, their margins, the seeds and targets")]
    entries += [
        (_when(entry), "; ".join(_changes(before["set"], entry["set"]))) for before, entry in itertools.pairwise(known)
    ]
    return Registration(entries, any(entry["answers"] for entry in known[1:]))


def _read(path: Path) -> list[dict[str, Any]]:
    known = artifacts.read_json(path)
    entries = known if isinstance(known, list) else []
    if not entries or not all(isinstance(entry, dict) and {"at", "answers", "set"} <= {*entry} for entry in entries):
        raise UserError(f"{path}: not a record of this version; delete it, and the next run writes what is set by then")
    return entries


def _when(entry: Mapping[str, Any]) -> str:
    answers = f"with answers of {entry['answers']} systems" if entry["answers"] else "before any answer"
    return f"{entry['at'].replace('T', ' ').replace('+00:00', ' UTC')}, {answers}"


def _changes(before: Any, after: Any, key: str = "") -> Iterator[str]:
    """Say which leaves differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(name), after.get(name), f"{key}.{name}".lstrip("."))
    elif before != after:
        yield f"{key}: {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
