"""What a run cost: jobs, time and tokens per stage, from the provenance sidecars."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from contrastive_context.core.json_types import JsonMapping

#: Folder of an artifact below the run → the stage that makes it, in the order data flows.
STAGES = {
    "packages": "packages",
    "hub": "downloads from the hub",
    "models": "models (export, pre-training)",
    "corpus": "corpora",
    "encoders": "encoders",
    "embeddings": "embeddings",
    "neighbours": "neighbours",
    "paraphrases": "paraphrases",
    "contexts": "contexts",
    "finetune": "fine-tuning",
    "predictions": "generation",
    "probes": "probes",
    "scores": "scoring",
    "tables": "tables",
    "figures": "figures",
}


class Effort(NamedTuple):
    """``seconds`` is the sum over jobs, ``longest`` the longest job; ``tokens`` is None where no model ran."""

    stage: str
    jobs: int
    seconds: float
    longest: float
    tokens: int | None


def efforts(records: Iterable[JsonMapping], run: str) -> list[Effort]:
    """Add up sidecars by stage.

    Args:
        records: provenance sidecars. Those of one job have the same start, down to the microsecond, and count once.
        run: the run's name, below which an artifact's path names its stage.
    """
    jobs: dict[str, dict[float, tuple[float, int | None]]] = {stage: {} for stage in STAGES}
    for record in records:
        parts = Path(record["outputs"][0]["path"]).parts
        stage = parts[parts.index(run) + 1] if run in parts[:-1] else ""
        if stage in jobs:
            key = record["started"]
            seconds, tokens = jobs[stage].get(key, (0.0, None))
            jobs[stage][key] = max(seconds, record["seconds"]), record.get("tokens") or tokens
    result = []
    for stage, of_stage in jobs.items():
        if of_stage:
            times = [entry[0] for entry in of_stage.values()]
            counts = [entry[1] for entry in of_stage.values() if entry[1] is not None]
            read = sum(counts) if counts else None
            result.append(Effort(STAGES[stage], len(of_stage), sum(times), max(times), read))
    return result
