"""From a corpus's raw rows to its files: ids, removal of duplicates within and across splits, counts."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from contrastive_context import artifacts
from contrastive_context.config.base import Model
from contrastive_context.config.sources import Corpus
from contrastive_context.corpora.rows import COLUMNS, RAW_COLUMNS, normalise, row_id
from contrastive_context.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


class Settings(Model):
    """Settings of ``build_corpus.py``."""

    task: str
    corpus: Corpus
    test_sets: list[str]


def build(
    settings: Settings, packages: Mapping[str, Path], hub: Mapping[str, Path] | None = None
) -> tuple[dict[str, "pd.DataFrame"], dict[str, Any]]:
    """Build all splits of a task.

    Args:
        settings: the task's corpus and which of its test sets are wanted.
        packages: package name → record of ``fetch_package.py``, for the kinds that need one.
        hub: data set → record of ``fetch_hub.py``, for kind ``hub``.

    Returns:
        Frames by split (``train``, ``dev``, ``arrivals``, ``test/<name>``) with the columns of a corpus file, sorted by
        id; and the counts by split: generated, dropped by reason, kept.

    Raises:
        UserError: a package or test set is missing, or a split is empty.
    """
    module = corpus_module(settings.corpus.kind)
    package = getattr(settings.corpus, "package", None)
    if settings.corpus.kind == "hub":
        raw = module.build(settings.corpus, hub or {})
    elif package is None:
        raw = module.build(settings.corpus)
    elif package in packages:
        raw = module.build(settings.corpus, packages[package])
    else:
        raise UserError(f"tasks.{settings.task}.corpus.package: --packages RECORD of {package} is missing")
    tests = {name[len("test.") :] for name in raw if name.startswith("test.")}
    if missing := [name for name in settings.test_sets if name not in tests]:
        known = ", ".join(sorted(tests))
        raise UserError(
            f"tasks.{settings.task}.test_sets: no test set {missing[0]!r} in this corpus; there is: {known}"
        )
    wanted = {f"test/{name}": raw[f"test.{name}"] for name in settings.test_sets}
    wanted |= {name: raw[name] for name in ("arrivals", "dev", "train")}
    frames, counts = remove_duplicates(wanted)
    for split, frame in frames.items():
        may_be_empty = split == "dev" and getattr(settings.corpus, "dev", None) == 0
        if frame.empty and not may_be_empty:
            raise UserError(
                f"tasks.{settings.task}.corpus: split {split} is empty ({counts[split]['generated']} rows before "
                "duplicates were removed); ask for more rows or another corpus"
            )
    return frames, counts


def corpus_module(kind: str) -> ModuleType:
    """Return the module of a corpus kind.

    It has ``build(settings)`` or, where the kind needs downloads, ``build(settings, record)``; for kind ``hub`` the second
    argument is a mapping of records. What a module leaves out on purpose it counts in ``frame.attrs["dropped"]``.
    """
    # Imported one by one, and by statements: what a corpus doesn't need isn't loaded, and code versions see the rest.
    if kind == "lexicon":
        from contrastive_context.corpora import lexicon as module
    elif kind == "idiom":
        from contrastive_context.corpora import idiom as module
    elif kind == "home_assistant_intents":
        from contrastive_context.corpora import home_assistant_intents as module
    else:
        from contrastive_context.corpora import hub as module
    return module


def remove_duplicates(raw: Mapping[str, "pd.DataFrame"]) -> tuple[dict[str, "pd.DataFrame"], dict[str, Any]]:
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
    counts: dict[str, Any] = {}
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


def _has_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _scope(where: str, split: str) -> str:
    return "within splits" if where == split else "across splits"


def write(frames: Mapping[str, "pd.DataFrame"], counts: Mapping[str, Any], folder: Path) -> None:
    """Write ``<split>.parquet`` for every split and, last, ``counts.json``.

    Test sets go into one ``test.parquet``, sorted by id, with their names in the column ``test_set``.
    """
    import pandas as pd

    prefix = "test/"
    for split, frame in frames.items():
        if not split.startswith(prefix):
            artifacts.write_parquet(folder / f"{split}.parquet", frame)
    tests = [
        frame.assign(test_set=split.removeprefix(prefix)) for split, frame in frames.items() if split.startswith(prefix)
    ]
    artifacts.write_parquet(folder / "test.parquet", pd.concat(tests).sort_values("id", ignore_index=True))
    artifacts.write_json(folder / "counts.json", dict(counts))
