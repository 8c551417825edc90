"""Corpora of the Hugging Face hub, read by column names from the files that were downloaded before.

The paper grid takes its text from two data sets:

- OPUS-100 (https://huggingface.co/datasets/Helsinki-NLP/opus-100; Zhang et al. 2020, Tiedemann 2012): up to a million
  sentence pairs per language with English, collected from film subtitles, software, legal and religious texts. Its
  card states no licence; those of the collections in OPUS differ. Splits train, validation, test; one column
  ``translation`` with a text per language. Sentences stand alone: there are no documents.
- WMT24++ (https://huggingface.co/datasets/google/wmt24pp; Deutsch et al. 2025, Apache-2.0): WMT 2024's English sources
  of four domains, translated by professionals into 55 languages. One split, ``train``; columns ``source``, ``target``,
  ``document_id``, ``domain`` (``canary`` marks a row that is no text) and ``is_bad_source`` (its authors leave these
  rows out).

No code of a data set is run, and no network is used.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contrastive_context.config.sources import HubCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.dividing import positions, uniform
from contrastive_context.corpora.files import BLANK, Row, rows
from contrastive_context.corpora.reading import Location, Reading
from contrastive_context.corpora.rows import RAW_COLUMNS
from contrastive_context.downloads.hub import DATA_FORMATS, stored

if TYPE_CHECKING:
    import pandas as pd

_MAX_LINE = 1 << 20  # bytes; a line has other columns too, each text has the limit of Reading


class _Pair(NamedTuple):
    file: str
    line: int
    source: Any
    target: Any
    cluster: str


def build(settings: HubCorpus, records: Mapping[str, Path]) -> "tuple[dict[str, pd.DataFrame], list[Reading]]":
    """Read all splits.

    A row's cluster is its document, if the split names the column ``document``, else the row by itself. Which part of a
    split a row belongs to depends on its cluster, the seed and how many rows each document has, so that no document is
    divided and parts have the rows that their share says.

    Args:
        settings: which rows each split takes, and which columns hold source and target.
        records: data set → record of ``fetch_hub.py``.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` (its parts one after the other) and ``test.<name>``, with what ``drop``
        left out counted in ``frame.attrs["dropped"]``; and the reading, with malformed rows.

    Raises:
        UserError: a data set was not downloaded, or a split or column is not in it; the message names it.
    """
    import pandas as pd

    reading, files_read = Reading(), set[str]()
    dropped: dict[str, Counter[str]] = {"train": Counter(), "dev": Counter(), "arrivals": Counter()}
    for key, split in settings.splits.items():
        name = "arrivals" if key.startswith("arrivals.") else key
        for pair in _read(
            split, settings.seed, key, name, records, reading, files_read, dropped.setdefault(name, Counter())
        ):
            reading.add(
                Location(pair.file, str(pair.line)),
                pair.source,
                pair.target,
                split=name,
                cluster=pair.cluster,
                domain=split.domain,
                meta={"data_set": split.data},
            )
    frames = reading.frames()
    for name, counts in dropped.items():
        frames.setdefault(name, pd.DataFrame(columns=list(RAW_COLUMNS))).attrs["dropped"] = dict(counts)
    return frames, [reading]


def _read(
    split: HubCorpus.Split,
    seed: int,
    key: str,
    name: str,
    records: Mapping[str, Path],
    reading: Reading,
    files_read: set[str],
    dropped: Counter[str],
) -> list[_Pair]:
    where = f"corpus.{key}"
    if split.data not in records:
        raise UserError(f"{where}.data: --hub RECORD of {split.data} is missing")
    record, folder = stored(records[split.data])
    if split.split not in record["splits"]:
        known = ", ".join(record["splits"])
        raise UserError(f"{where}.split: {split.data} has no split {split.split!r}; it has {known}")
    files = {file: folder / file for file in record["splits"][split.split]}
    pairs = _pairs(split, seed, name, files, reading, files_read, dropped)
    if split.limit is None:
        return list(pairs)
    # A seeded sample rather than the first rows, which are often sorted by origin; no more than that in memory.
    draw = f"{seed}/sample/{key}"
    sample = heapq.nsmallest(split.limit, pairs, key=lambda pair: uniform(f"{draw}/{pair.file}:{pair.line}"))
    return sorted(sample, key=lambda pair: (pair.file, pair.line))


def _pairs(
    split: HubCorpus.Split,
    seed: int,
    name: str,
    files: Mapping[str, Path],
    reading: Reading,
    files_read: set[str],
    dropped: Counter[str],
) -> Iterator[_Pair]:
    """Yield the pairs of the split's part; reject malformed rows, and count those that ``drop`` leaves out."""
    columns = [split.source, split.target, *split.drop, *filter(None, [split.document])]
    order = f"{seed}/part/{split.data}/{split.split}"
    low, high = split.part

    def cluster_of(file: str, row: Row) -> str:
        assert row.values is not None
        return f"{split.data}/{row.values[split.document] if split.document else f'{file}:{row.line}'}"

    position_of: dict[str, float] = {}
    if split.document:
        # All rows count, whatever this part drops: other parts of the split must see the same division.
        documents = Counter(
            cluster_of(file, row)
            for file, path in files.items()
            for row in rows(path, DATA_FORMATS[path.suffix], [split.document], None, _MAX_LINE)
            if row.values is not None
        )
        position_of = positions(documents, order)
    for file, path in files.items():
        shown = f"{split.data}/{file}"
        # A malformed row belongs to no part; several splits may read its file, and it counts once.
        first_time = shown not in files_read
        files_read.add(shown)
        for row in rows(path, DATA_FORMATS[path.suffix], list(dict.fromkeys(columns)), None, _MAX_LINE):
            if row.values is None:
                if first_time and row.fault != BLANK:
                    location = Location(shown, str(row.line))
                    reading.reject(location, row.fault, row.text, rows=row.lines, split=name, detail=row.detail)
                continue
            cluster = cluster_of(file, row)
            if not low <= (position_of[cluster] if split.document else uniform(f"{order}/{cluster}")) < high:
                continue
            # CSV and TSV have texts only.
            unwanted = [column for column, value in split.drop.items() if str(row.values[column]) == str(value)]
            if unwanted:
                dropped[f"{unwanted[0]}: {split.drop[unwanted[0]]}"] += 1
                continue
            yield _Pair(shown, row.line, row.values[split.source], row.values[split.target], cluster)
