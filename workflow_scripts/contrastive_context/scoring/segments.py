"""What a learned metric is given and what it gives back: text files between two environments.

A line of a segments file is a distinct triple ``{"id", "src", "mt", "ref"}``; a line of a segment scores file is
``{"id", "score"}``, with a ``status`` where a query was run. The id is a hash of the triple, so that equal triples are
one, whichever system they are from.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from contrastive_context.core.artifacts import atomic_path
from contrastive_context.core.errors import UserError


def segment_id(source: str, hypothesis: str, reference: str) -> str:
    """Return 16 hexadecimal digits that stand for a triple."""
    return hashlib.sha256(json.dumps([source, hypothesis, reference]).encode()).hexdigest()[:16]


def write_segments(path: str | Path, triples: Iterable[tuple[str, str, str]]) -> int:
    """Write each distinct (source, hypothesis, reference) once, in the order met; return how many."""
    distinct = {segment_id(*triple): triple for triple in triples}
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for id_, (source, hypothesis, reference) in distinct.items():
            line = {"id": id_, "src": source, "mt": hypothesis, "ref": reference}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(distinct)


def read_segments(path: str | Path) -> dict[str, dict[str, str]]:
    """Read a segments file: id → src, mt and ref.

    Raises:
        UserError: the file can't be read or a line isn't whole; the message names file and line.
    """
    return {line.pop("id"): line for line in _lines(path, ("id", "src", "mt", "ref"))}


def write_scores(path: str | Path, scores: Mapping[str, float], status: Mapping[str, str] | None = None) -> None:
    """Write a segment scores file; ``status`` says of each segment what else is known of it."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for id_, score in scores.items():
            line = {"id": id_, "score": score} | ({"status": status[id_]} if status else {})
            file.write(json.dumps(line) + "\n")


def read_scores(path: str | Path) -> dict[str, float]:
    """Read a segment scores file.

    Raises:
        UserError: as for :func:`read_segments`.
    """
    return {line["id"]: float(line["score"]) for line in _lines(path, ("id", "score"))}


def _lines(path: str | Path, fields: tuple[str, ...]) -> Iterable[dict]:
    try:
        with Path(path).open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                try:
                    line = json.loads(text)
                    missing = [name for name in fields if name not in line]
                except (ValueError, TypeError, RecursionError) as error:
                    raise UserError(f"{path}:{number}: not a whole JSON line; delete the file and run again") from error
                if missing:
                    raise UserError(f"{path}:{number}: field(s) {', '.join(missing)} missing")
                yield line
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error}); delete it and run again") from error
