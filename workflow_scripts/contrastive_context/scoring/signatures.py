"""What has to be quoted beside a score so that others can repeat it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.scoring.settings import Checkpoint

if TYPE_CHECKING:
    import pandas as pd


def signature(metric: str, tokenize: str, learned: Mapping[str, Checkpoint], revisions: Mapping[str, str]) -> str:
    """Return a metric's signature: sacrebleu's where it is its, else the model with its revision or checksum.

    Args:
        metric: registered name.
        tokenize: BLEU's tokenizer.
        learned: learned metric → its model.
        revisions: ``<registry>/<name>`` → the revision that was downloaded.
    """
    if metric not in learned:
        return get_metric(metric, tokenize).signature()
    found = learned[metric]
    parts = [get_metric(metric).title, f"model:{found.model}"]
    if revision := revisions.get(f"metrics/{metric}"):
        parts.append(f"revision:{revision}")
    elif found.sha256:
        parts.append(f"sha256:{found.sha256}")
    parts.append(f"encoder:{found.encoder}")
    if revision := revisions.get(f"metric_encoders/{found.encoder_name}"):
        parts.append(f"revision:{revision}")
    return "|".join(parts)


def read_revisions(records: Iterable[str | Path]) -> dict[str, str]:
    """Return ``<registry>/<name>`` → revision of records of downloads, ``hub/<registry>/<name>.json``.

    Raises:
        UserError: a file is no such record.
    """
    found = {}
    for path in map(Path, records):
        record = artifacts.read_json(path)
        revision = record.get("revision") if isinstance(record, dict) else None
        if not isinstance(revision, str):
            raise UserError(f"{path}: no record of a download; delete it and run `snakemake prefetch` again")
        found[f"{path.parent.name}/{path.name.removesuffix('.json')}"] = revision
    return found


def table(
    scores: "pd.DataFrame",
    tokenizers: Mapping[str, str],
    learned: Mapping[str, Checkpoint],
    revisions: Mapping[str, str],
) -> "pd.DataFrame":
    """Return the signature of every metric of every task, as a frame with columns task, metric and signature.

    Args:
        scores: frame with columns task and metric.
        tokenizers: task → BLEU's tokenizer; 13a where absent.
        learned: as in :func:`signature`.
        revisions: as in :func:`signature`.
    """
    rows = scores[["task", "metric"]].drop_duplicates().sort_values(["task", "metric"], ignore_index=True)
    named = [
        signature(metric, tokenizers.get(task, "13a"), learned, revisions)
        for task, metric in rows.itertuples(index=False)
    ]
    return rows.assign(signature=named)
