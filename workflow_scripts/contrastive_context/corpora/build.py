"""From a corpus's raw rows to its files: cleaning, ids, removal of duplicates within and across splits, counts."""

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict, JsonMapping
from contrastive_context.core.loading import load
from contrastive_context.corpora.dividing import uniform
from contrastive_context.corpora.reading import KEPT, Listed, Reading, tidy
from contrastive_context.corpora.rows import COLUMNS, RAW_COLUMNS, row_id
from contrastive_context.corpora.settings import BuildCorpusSettings
from contrastive_context.text.normalising import normalise

if TYPE_CHECKING:
    import pandas as pd

    from contrastive_context.config.text import Cleaning

READ = "read"
"""Key in the counts of what was read before it was divided into splits."""

#: Kind of corpus → its module.
KINDS = {
    "catalogues": "contrastive_context.corpora.catalogues",
    "files": "contrastive_context.corpora.files",
    "generated_sql": "contrastive_context.corpora.generated_sql",
    "home_assistant_intents": "contrastive_context.corpora.home_assistant_intents",
    "hub": "contrastive_context.corpora.hub_datasets",
    "idiom": "contrastive_context.corpora.idiom",
    "lexicon": "contrastive_context.corpora.lexicon",
    "mtop": "contrastive_context.corpora.mtop",
    "text_to_sql": "contrastive_context.corpora.text_to_sql",
}

_SHOWN = 3  # malformed rows in a message


class Refused(UserError):
    """A corpus with too many malformed rows, or without rows in a split; ``listed``: the rows left out, by place."""

    def __init__(self, message: str, listed: list[Listed]) -> None:
        super().__init__(message)
        self.listed = listed


class Built(NamedTuple):
    """A corpus: frames by split, counts by split, and the rows that were malformed or cleaned away, by location."""

    frames: "dict[str, pd.DataFrame]"
    counts: dict[str, Any]
    listed: list[Listed]


def build(settings: BuildCorpusSettings, packages: Mapping[str, Path], hub: Mapping[str, Path] | None = None) -> Built:
    """Build all splits of a task.

    Args:
        settings: the task's corpus, which of its test sets are wanted, and the stop of the task's template.
        packages: package name → record of ``fetch_package.py``, for the kinds that need some.
        hub: data set → record of ``fetch_hub.py``, for kind ``hub``.

    Returns:
        Frames by split (``train``, ``dev``, ``arrivals``, ``test/<name>``) with the columns of a corpus file, sorted by
        id; the counts by split: generated, dropped by reason, kept, and the same for what was read; what was dropped
        before duplicates were, by file and line.

    Raises:
        UserError: a package or test set is missing.
        Refused: a split is empty, or too many rows are malformed.
    """
    corpus, where = settings.corpus, f"tasks.{settings.task}.corpus"
    raw, readings = _read(settings, packages, hub or {})
    malformed = [row for reading in readings for row in reading.listed]
    counts: JsonDict = {}
    if readings:
        counts[READ] = _count_read(readings, getattr(corpus, "max_rejected", 0.0), where, malformed)
    tests = {name[len("test.") :] for name in raw if name.startswith("test.")}
    if missing := [name for name in settings.test_sets if name not in tests]:
        known = ", ".join(sorted(tests))
        raise UserError(
            f"tasks.{settings.task}.test_sets: no test set {missing[0]!r} in this corpus; there is: {known}"
        )
    wanted = {f"test/{name}": raw[f"test.{name}"] for name in settings.test_sets}
    wanted |= {name: raw[name] for name in ("arrivals", "dev", "train")}
    form = getattr(corpus, "unicode_form", None)
    wanted, changed = _recompose(wanted, form) if form else (wanted, set())
    cleaned, listed = _clean(wanted, getattr(corpus, "cleaning", None), settings.stop)
    frames, of_splits = remove_duplicates(cleaned)
    frames = _limit(frames, of_splits, getattr(corpus, "limits", {}), corpus.seed)
    for split, frame in frames.items():
        if noted := int(frame["id"].isin(changed).sum()):
            of_splits[split]["noted"] = {f"brought to {form}": noted}
    # Where a corpus is divided by chance a small one may have no dev rows, which nothing depends on.
    dev_is_optional = hasattr(corpus, "shares") or getattr(corpus, "dev", None) == 0
    for split, frame in frames.items():
        if frame.empty and not (split == "dev" and dev_is_optional):
            reasons = "; ".join(f"{reason}: {n}" for reason, n in of_splits[split]["dropped"].items())
            raise Refused(
                f"{where}: split {split} is empty ({of_splits[split]['generated']} rows before cleaning and removal "
                f"of duplicates{'; dropped: ' if reasons else ''}{reasons}); ask for more rows or another corpus",
                [*malformed, *listed],
            )
    return Built(frames, counts | of_splits, [*malformed, *listed])


def _read(
    settings: BuildCorpusSettings, packages: Mapping[str, Path], hub: Mapping[str, Path]
) -> tuple["dict[str, pd.DataFrame]", list[Reading]]:
    corpus = settings.corpus
    module = corpus_module(corpus.kind)
    needed = getattr(corpus, "packages", [])
    if missing := [name for name in needed if name not in packages]:
        raise UserError(f"tasks.{settings.task}.corpus: --packages RECORD of {missing[0]} is missing")
    if corpus.kind == "hub":
        result = module.build(corpus, hub)
    elif hasattr(corpus, "package"):
        result = module.build(corpus, packages[corpus.package])
    else:
        result = module.build(corpus, packages) if needed else module.build(corpus)
    return result if isinstance(result, tuple) else (result, [])


def corpus_module(kind: str) -> ModuleType:
    """Return the module of a corpus kind.

    It has ``build(settings)`` or, where the kind needs downloads, ``build(settings, record)``; for kinds ``hub`` and
    ``catalogues`` the second argument is a mapping of records. It returns frames by split, with what it left out on
    purpose in ``frame.attrs["dropped"]``; kinds whose rows may be malformed return the frames and a list of readings.
    """
    return load(KINDS[kind])


def _count_read(readings: Iterable[Reading], max_rejected: float, where: str, listed: list[Listed]) -> JsonDict:
    """Add up readings.

    Raises:
        Refused: the share of malformed rows is above ``max_rejected``.
    """
    rejected, skipped, noted = Counter[str](), Counter[str](), Counter[str]()
    read = 0
    for reading in readings:
        rejected += reading.rejected
        skipped += reading.skipped
        noted += reading.noted
        read += reading.read
    if rejected.total() > max_rejected * read:
        first = itertools.islice((row for row in listed if not row.reason.startswith(KEPT)), _SHOWN)
        shown = "; ".join(
            f"{row.file}, {row.line}: {row.reason}{f' ({row.detail})' if row.detail else ''}" for row in first
        )
        raise Refused(
            f"{where}: {rejected.total()} of {read} rows are malformed, more than the share {max_rejected:g} allowed "
            f"by max_rejected. The first: {shown}. Mend them, or raise max_rejected",
            listed,
        )
    dropped = {f"malformed: {reason}": n for reason, n in sorted(rejected.items())} | dict(sorted(skipped.items()))
    counts = {"generated": read, "dropped": dropped, "kept": read - sum(dropped.values())}
    return counts | ({"noted": dict(sorted(noted.items()))} if noted else {})


def _recompose(
    raw: Mapping[str, "pd.DataFrame"], form: Literal["NFC", "NFKC"]
) -> tuple["dict[str, pd.DataFrame]", set[str]]:
    """Bring all sources and targets to a Unicode form; return the frames and the ids of the pairs that it changed."""

    def recomposed(text: object) -> object:
        if not isinstance(text, str) or unicodedata.is_normalized(form, text):
            return text
        return tidy(unicodedata.normalize(form, text))

    frames, changed = {}, set()
    for split, frame in raw.items():
        new = {side: frame[side].map(recomposed) for side in ("source", "target")}
        frames[split] = frame.assign(**new)
        rows = frames[split][(new["source"] != frame["source"]) | (new["target"] != frame["target"])]
        changed |= {row_id(source, target) for source, target in zip(rows["source"], rows["target"], strict=True)}
    return frames, changed


def _clean(
    raw: Mapping[str, "pd.DataFrame"], cleaning: "Cleaning | None", stop: str
) -> tuple["dict[str, pd.DataFrame]", list[Listed]]:
    """Clean every split; count what is dropped with what was left out before, in ``frame.attrs``."""
    from contrastive_context.corpora.cleaning import clean

    frames, listed = {}, []
    for split, frame in raw.items():
        frames[split], dropped = clean(frame, cleaning, stop)
        frames[split].attrs["dropped"] = Counter(frame.attrs.get("dropped")) + Counter(row.reason for row in dropped)
        listed += [row._replace(split=split) for row in dropped]
    return frames, listed


def _limit(
    frames: Mapping[str, "pd.DataFrame"], counts: JsonMapping, limits: Mapping[str, int], seed: int
) -> "dict[str, pd.DataFrame]":
    """Keep at most so many rows of a split, drawn by a hash of the seed and the id; correct the counts."""
    result = dict(frames)
    for split, frame in frames.items():
        n = limits.get(split.removeprefix("test/"))
        if n is not None and len(frame) > n:
            order = frame["id"].map(lambda key, split=split: uniform(f"{seed}/limit/{split}/{key}"))
            result[split] = frame.loc[order.nsmallest(n).index].sort_values("id", ignore_index=True)
            counts[split]["dropped"]["above the limit"] = len(frame) - n
            counts[split]["kept"] = n
    return result


def remove_duplicates(raw: Mapping[str, "pd.DataFrame"]) -> tuple[dict[str, "pd.DataFrame"], JsonDict]:
    """Give every row an id and keep each source once over all splits.

    Splits are taken in the order of the mapping and a row yields to any earlier one, so the order is the priority. The
    workflow uses test sets > arrivals > dev > train: no training row equals a test or arrivals row, and no example
    that is new at test time equals a target. Two rows are duplicates if their sources are equal, exactly or after
    :func:`~contrastive_context.corpora.rows.normalise`, whatever their targets; equal pairs are counted apart.

    Args:
        raw: frames with the raw columns, by split, highest priority first.

    Returns:
        Frames by split, sorted by id; and counts by split: ``generated``, ``dropped`` (reason → n, reasons being
        ``empty`` and ``{same pair, same source, same normalised source} {within, across} splits``), ``kept``.

    Raises:
        UserError: a frame lacks a column.
    """
    import pandas as pd

    exact: dict[str, tuple[str, str]] = {}  # source → (target, split)
    normalised: dict[str, str] = {}  # normalised source → split
    frames: dict[str, pd.DataFrame] = {}
    counts: JsonDict = {}
    for split, frame in raw.items():
        if missing := [name for name in RAW_COLUMNS if name not in frame.columns]:
            raise UserError(f"split {split}: column(s) {', '.join(missing)} missing from the corpus's rows")
        dropped: Counter[str] = Counter(frame.attrs.get("dropped"))
        generated = len(frame) + dropped.total()
        kept = []
        for row in frame[list(RAW_COLUMNS)].itertuples(index=False, name=None):
            source, target = row[0], row[1]
            if not _has_text(source) or not _has_text(target):
                dropped["empty"] += 1
            elif source in exact:
                other, where = exact[source]
                kind = "same pair" if other == target else "same source"
                dropped[f"{kind} {_scope(where, split)}"] += 1
            elif (form := normalise(source)) in normalised:
                dropped[f"same normalised source {_scope(normalised[form], split)}"] += 1
            else:
                exact[source] = (target, split)
                normalised[form] = split
                kept.append((row_id(source, target), *row))
        result = pd.DataFrame(kept, columns=list(COLUMNS)).astype(dict.fromkeys(COLUMNS, "str"))
        frames[split] = result.sort_values("id", ignore_index=True)
        counts[split] = {"generated": generated, "dropped": dict(sorted(dropped.items())), "kept": len(kept)}
    return frames, counts


def _has_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _scope(where: str, split: str) -> str:
    return "within splits" if where == split else "across splits"


def write(built: Built, folder: Path) -> None:
    """Write ``<split>.parquet`` for every split, ``rejected.csv`` and, last, ``counts.json``.

    Test sets go into one ``test.parquet``, sorted by id, with their names in the column ``test_set``. ``rejected.csv``
    lists malformed rows, and those cleaned away, by file and line.
    """
    import pandas as pd

    prefix = "test/"
    for split, frame in built.frames.items():
        if not split.startswith(prefix):
            artifacts.write_parquet(folder / f"{split}.parquet", frame)
    tests = [
        frame.assign(test_set=split.removeprefix(prefix))
        for split, frame in built.frames.items()
        if split.startswith(prefix)
    ]
    artifacts.write_parquet(folder / "test.parquet", pd.concat(tests).sort_values("id", ignore_index=True))
    write_list(folder / "rejected.csv", built.listed)
    artifacts.write_json(folder / "counts.json", built.counts)


def write_list(path: Path, listed: list[Listed]) -> None:
    """Write the rows that were left out, or changed, as CSV."""
    import pandas as pd

    artifacts.write_csv(path, pd.DataFrame(listed, columns=list(Listed._fields)))
