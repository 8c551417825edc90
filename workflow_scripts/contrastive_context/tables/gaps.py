"""What tables and figures do not have, and why: missing cells, rows dropped from corpora or changed, answers and
prompts cut.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import pandas as pd

from contrastive_context.core.frames import FrameRow, groups_of, rows_of
from contrastive_context.core.json_types import JsonMapping
from contrastive_context.tables.cells import NOT_FILLED, NOT_SCORED, probe_cells, score_cells
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import PROBE_TITLES

MISSING = ("task", "test_set", "model", "strategy", "seed", "what", "composition", "bucket", "metric", "reason")
TRUNCATED = ("task", "model", "strategy", "answers", "cut", "shortened")
DROPPED = ("task", "split", "what", "rows")
_ENDS = {"read": -1, "kept": 1}
NOTED = "kept, but "
"""What begins so is among the kept."""


def missing(
    scores: pd.DataFrame,
    probes: pd.DataFrame,
    coverage: Mapping[str, JsonMapping],
    settings: PresentationSettings,
    probe_coverage: Mapping[str, JsonMapping] = MappingProxyType({}),
) -> pd.DataFrame:
    """Return what the grid should have and the tables don't; what a column leaves open (NA) is missing altogether.

    Args:
        scores: table of scores.
        probes: table of probes.
        coverage: task → test set → coverage of its evaluation contexts.
        settings: what is expected, and the systems that are known to be unfinished.
        probe_coverage: task → coverage of its probe prompts.

    Returns:
        A frame with ``MISSING``. ``what`` is "answers" or "probes" of a whole system, the "scores" of a cell, or
        "probe <title>" of one that the data can't give.
    """
    rows: list[dict[str, object]] = []
    for gap in settings.unfinished:
        seed = gap.system.partition("-seed")[2]
        system: dict[str, object] = {"model": gap.model, "strategy": gap.strategy, "seed": int(seed) if seed else None}
        rows.append({"task": gap.task, "what": gap.what, "reason": gap.reason} | system)
    for task, sets in coverage.items():
        for test_set, entry in sets.items():
            rows += [{"task": task, "test_set": test_set, "what": "scores"} | cell for cell in entry.get("missing", [])]
    for task, entry in probe_coverage.items():
        for gap in entry.get("missing", []):
            name = PROBE_TITLES.get(gap["probe"], gap["probe"])
            rows.append({"task": task, "what": f"probe {name}", "reason": gap["reason"]})
    covered = {tuple(row.get(name) for name in ("task", "test_set", "composition", "bucket")) for row in rows}
    for cell in _not_measured(score_cells(scores, settings, everything=True)):
        of_cell = {"task": cell.task, "test_set": cell.test_set, "composition": cell.composition, "bucket": cell.bucket}
        if cell.missing == NOT_FILLED:
            if tuple(of_cell.values()) not in covered:
                rows.append(of_cell | {"what": "scores", "reason": cell.missing})
        elif cell.missing == NOT_SCORED:
            system = {"strategy": cell.strategy} | ({} if cell.model == "none" else {"model": cell.model})
            rows.append(of_cell | system | {"what": "scores", "metric": cell.metric, "reason": cell.missing})
        elif settings.reason("answers", cell.task, cell.model, cell.strategy) is None:
            rows.append({"task": cell.task, "model": cell.model, "strategy": cell.strategy, "what": "answers",
                         "reason": cell.missing})  # fmt: skip
    for measure in probes["metric"].unique():
        for cell in _not_measured(probe_cells(probes, settings, measure)):
            if settings.reason("probes", cell.task, cell.model, cell.strategy) is None:
                rows.append({"task": cell.task, "model": cell.model, "strategy": cell.strategy, "what": "probes",
                             "reason": cell.missing})  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(MISSING)).drop_duplicates(ignore_index=True)
    return frame.astype({name: "Int64" if name == "seed" else "string" for name in MISSING})


def _not_measured(cells: pd.DataFrame) -> Iterator[FrameRow]:
    return rows_of(cells.loc[cells["missing"] != ""])


def truncated(segments: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Count, per task, model and strategy, the answers cut at the length limit and the prompts that lost examples.

    Args:
        segments: frames of segment scores, one row per answer and metric.

    Returns:
        A frame with ``TRUNCATED``, numbers of answers.
    """
    rows = []
    for frame in segments:
        frame = frame.loc[frame["metric"] == frame["metric"].iloc[0]]  # one row per answer
        for names, answers in groups_of(frame, "task", "model", "strategy", sort=True):
            cut, shortened = (answers["stop_reason"] == "length").sum(), (answers["dropped_examples"] > 0).sum()
            rows.append((*names, len(answers), int(cut), int(shortened)))
    return pd.DataFrame(rows, columns=list(TRUNCATED))


def dropped(counts: Mapping[str, JsonMapping], embeddings: Mapping[str, JsonMapping]) -> pd.DataFrame:
    """Tabulate what became of the rows read for each corpus.

    Args:
        counts: task → its corpus's counts.json.
        embeddings: task → split → what the encoder notes of it, with numbers of rows.

    Returns:
        A frame with ``DROPPED``; ``what`` is "read", "dropped: <reason>", the most frequent first, "kept", or
        "kept, but <what changed>", which are among the kept.
    """
    rows = []
    for task, record in counts.items():
        for split, entry in _splits(record):
            rows.append((task, split, "read", entry.get("generated") or 0))
            reasons = {reason.replace("_", " "): n for reason, n in (entry.get("dropped") or {}).items() if n}
            rows += [(task, split, f"dropped: {reason}", n) for reason, n in reasons.items()]
            rows.append((task, split, "kept", entry["kept"]))
            rows += [(task, split, f"{NOTED}{reason}", n) for reason, n in (entry.get("noted") or {}).items()]
        for split, noted in embeddings.get(task, {}).items():
            rows += [(task, split, f"{NOTED}{reason}", n) for reason, n in noted.items()]
    frame = pd.DataFrame(rows, columns=list(DROPPED))
    totals = frame.groupby(["task", "what"])["rows"].transform("sum")
    ends = frame["what"].map(_ENDS).fillna(frame["what"].str.startswith(NOTED) * 2)
    order = frame.assign(task=frame["task"].map(list(counts).index), end=ends, total=-totals, row=range(len(frame)))
    return frame.loc[order.sort_values(["task", "end", "total", "what", "row"]).index].reset_index(drop=True)


def _splits(record: JsonMapping, prefix: str = "") -> Iterator[tuple[str, JsonMapping]]:
    for split, entry in record.items():
        if isinstance(entry, Mapping) and "kept" in entry:
            yield f"{prefix}{split}", entry
        elif isinstance(entry, Mapping):  # test sets one level down
            yield from _splits(entry, f"{prefix}{split}/")
