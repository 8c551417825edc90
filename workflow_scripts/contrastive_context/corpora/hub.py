"""Corpora of the Hugging Face hub, read by column names from the files that were downloaded before.

The paper grid takes its text from two data sets:

- OPUS-100 (https://huggingface.co/datasets/Helsinki-NLP/opus-100; Zhang et al. 2020, Tiedemann 2012): up to a million
  sentence pairs per language with English, collected from film subtitles, software, legal and religious texts. Its
  card states no licence; those of the collections in OPUS differ. Splits train, validation, test; one column
  ``translation`` with a text per language. Sentences stand alone: there are no documents.
- WMT24++ (https://huggingface.co/datasets/google/wmt24pp; Deutsch et al. 2025, Apache-2.0): WMT 2024's English sources in
  four domains, translated by professionals into 55 languages. One split, ``train``; columns ``source``, ``target``,
  ``document_id``, ``domain`` (``canary`` marks a row that is no text) and ``is_bad_source`` (its authors leave these
  rows out).

No code of a data set is run, and no network is used. Texts are handed on as they are.
"""

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastive_context.config.sources import HubCorpus
from contrastive_context.corpora.rows import RAW_COLUMNS, meta_text
from contrastive_context.downloads.hub import stored
from contrastive_context.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def build(settings: HubCorpus, records: Mapping[str, Path]) -> "dict[str, pd.DataFrame]":
    """Read all splits.

    A row's cluster is its document, if the split names the column ``document``, else the row by itself. Which part of a
    data set a row belongs to depends on its cluster and the seed alone, so that no document is divided.

    Args:
        settings: which rows each split takes, and which columns hold source and target.
        records: data set → record of ``fetch_hub.py``.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` (its parts one after the other) and ``test.<name>``. What was left out on
        purpose is counted in ``frame.attrs["dropped"]``, reason → rows.

    Raises:
        UserError: a data set was not downloaded, or a split or column is not in it; the message names it.
    """
    import pandas as pd

    frames = {key: _read(split, settings.seed, key, records) for key, split in settings.splits.items()}
    parts = [frames.pop(key) for key in list(frames) if key.startswith("arrivals.")]
    arrivals = pd.concat(parts, ignore_index=True) if parts else _frame([], {})
    arrivals.attrs = {"dropped": dict(sum((Counter(part.attrs["dropped"]) for part in parts), Counter()))}
    return {"train": frames.pop("train"), "dev": frames.pop("dev"), "arrivals": arrivals, **frames}


def _frame(rows: list[tuple], dropped: Mapping[str, int]) -> "pd.DataFrame":
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(RAW_COLUMNS))
    frame.attrs["dropped"] = dict(dropped)
    return frame


def _read(split: HubCorpus.Split, seed: int, key: str, records: Mapping[str, Path]) -> "pd.DataFrame":
    where = f"corpus.{key}"
    if split.data not in records:
        raise UserError(f"{where}.data: --hub RECORD of {split.data} is missing")
    record, folder = stored(records[split.data])
    if split.split not in record["splits"]:
        known = ", ".join(record["splits"])
        raise UserError(f"{where}.split: {split.data} has no split {split.split!r}; it has {known}")
    dropped: Counter[str] = Counter()
    rows = _rows(split, seed, where, {name: folder / name for name in record["splits"][split.split]}, dropped)
    if split.limit is None:
        return _frame([row for _, row in rows], dropped)
    # A seeded sample rather than the first rows, which are often sorted by origin; no more rows than that in memory.
    draw = f"{seed}/sample/{key}"
    sample = heapq.nsmallest(split.limit, rows, key=lambda item: (_uniform(draw, *item[0]), item[0]))
    return _frame([row for _, row in sorted(sample)], dropped)


def _rows(
    split: HubCorpus.Split, seed: int, where: str, files: Mapping[str, Path], dropped: Counter[str]
) -> Iterator[tuple[tuple[str, int], tuple]]:
    """Yield ((file, row), raw row) of the split's part; count in ``dropped`` what its ``drop`` leaves out."""
    columns = [split.source, split.target, *split.drop] + ([split.document] if split.document else [])
    order = f"{seed}/part/{split.data}/{split.split}"
    low, high = split.part
    for name, file in files.items():
        for number, row in _records(file, name, where, {column.partition(".")[0] for column in columns}):
            values = {column: _value(row, column, where, name) for column in columns}
            document = values[split.document] if split.document else f"{name}:{number}"
            cluster = f"{split.data}/{document}"
            if not low <= _uniform(order, cluster) < high:
                continue
            if reason := next((f"{column} is {value}" for column, value in split.drop.items() if values[column] == value), None):
                dropped[reason] += 1
                continue
            meta = meta_text({"data_set": split.data, "file": name, "row": number})
            yield (name, number), (_text(values[split.source]), _text(values[split.target]), cluster, split.domain, meta)


def _records(file: Path, name: str, where: str, columns: set[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (number from 1, columns) of a file's rows, in their order."""
    if name.endswith(".parquet"):
        yield from _parquet(file, name, where, columns)
    elif name.endswith((".jsonl", ".json")):
        yield from _json_lines(file, name, where)
    else:
        yield from _delimited(file, "\t" if name.endswith(".tsv") else ",")


def _parquet(file: Path, name: str, where: str, columns: set[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(file)
    if missing := sorted(columns - set(table.schema_arrow.names)):
        raise UserError(f"{where}: {name} has no column {missing[0]!r}; it has {', '.join(table.schema_arrow.names)}")
    number = 0
    for batch in table.iter_batches(columns=sorted(columns)):
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _json_lines(file: Path, name: str, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{where}: {name}, line {number} is not JSON ({error})") from error
            yield number, row if isinstance(row, dict) else {}


def _delimited(file: Path, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import csv

    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in (reader := csv.DictReader(lines, delimiter=delimiter)):
            yield reader.line_num, row


def _value(row: Mapping[str, Any], path: str, where: str, name: str) -> Any:
    """Return what stands at a dotted column path."""
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            found = ", ".join(map(str, value)) if isinstance(value, Mapping) else "no columns inside"
            raise UserError(f"{where}: {name} has no column {path!r}; there is: {found}")
        value = value[part]
    return value


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _uniform(*names: object) -> float:
    """Return a number in [0, 1) that depends on names alone."""
    digest = hashlib.blake2b("\x1f".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
