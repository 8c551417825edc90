"""Every evaluation prompt with its context, gold, and what each system answered: for people who want to look."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pyarrow as pa

from contrastive_context.contexts.series import series_of
from contrastive_context.core import artifacts
from contrastive_context.core.buckets import bucket_of
from contrastive_context.core.columnar import read_columns
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.names import parse_system
from contrastive_context.scoring.scoring import read_predictions
from contrastive_context.tables.settings import CollectExamplesSettings

#: Grade of an example that is a paraphrase of its target; of all others it is the bucket of their similarity.
STAND_IN = "stand-in"
_FROZEN = ("prompt_id", "target_id", "test_set", "composition", "bucket")
SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("target_id", pa.string()),
        ("task", pa.string()),
        ("model", pa.string()),
        ("metric", pa.string()),
        ("test_set", pa.string()),
        ("series", pa.list_(pa.string())),
        ("composition", pa.string()),
        ("bucket", pa.string()),
        ("source", pa.string()),
        ("gold", pa.string()),
        (
            "context",
            pa.list_(
                pa.struct(
                    [
                        ("source", pa.string()),
                        ("target", pa.string()),
                        ("similarity", pa.float64()),
                        ("grade", pa.string()),
                    ]
                )
            ),
        ),
        (
            "answers",
            pa.list_(
                pa.struct(
                    [
                        ("strategy", pa.string()),
                        ("seed", pa.int64()),
                        ("output", pa.string()),
                        ("stop_reason", pa.string()),
                        ("score", pa.float64()),
                    ]
                )
            ),
        ),
    ]
)


def collect(
    settings: CollectExamplesSettings,
    predictions: Iterable[str | Path],
    scores: str | Path,
    contexts: str | Path,
    arrivals: str | Path,
    test: str | Path,
    paraphrases: str | Path | None = None,
) -> pa.Table:
    """Join what belongs to each frozen prompt.

    Args:
        settings: task, model, metric and edges.
        predictions: the systems' predictions; a file's name is the system's.
        scores: the model's segment scores.
        contexts: frozen evaluation contexts.
        arrivals: corpus file of the examples.
        test: corpus file of the targets.
        paraphrases: file of the paraphrases that stand in for examples, if the contexts name such ones.

    Returns:
        A row per prompt in the order of the frozen contexts, columns as in ``SCHEMA``; answers in the order of
        ``predictions``. Examples are those drawn: the ones a long prompt lost are counted in the scores.

    Raises:
        UserError: a prompt, an example or a score is missing.
    """
    stand_ins = _texts(paraphrases) if paraphrases else {}
    texts = _texts(arrivals) | _texts(test) | stand_ins
    values = {
        (row["strategy"], row["seed"], row["prompt_id"]): row["value"]
        for row in read_columns(scores, ["strategy", "seed", "prompt_id", "metric", "value"]).to_pylist()
        if row["metric"] == settings.metric
    }
    answers: dict[str, list[dict[str, object]]] = {}
    for path in predictions:
        strategy, seed = parse_system(Path(path).stem)
        for _, record in read_predictions(path):
            key = strategy, seed, record["prompt_id"]
            if key not in values:
                raise UserError(f"{scores}: no {settings.metric} of prompt {key[2]} by {Path(path).stem}; score again")
            answers.setdefault(record["prompt_id"], []).append(
                {
                    "strategy": strategy,
                    "seed": seed,
                    "output": record["output"],
                    "stop_reason": record["stop_reason"],
                    "score": values[key],
                }
            )
    rows = []
    frozen = artifacts.read_parquet(contexts, (*_FROZEN, "example_ids", "similarities"))
    for row in cast("list[JsonDict]", frozen.to_dict("records")):
        if unknown := {row["target_id"], *row["example_ids"]} - texts.keys():
            raise UserError(f"{contexts}: id {min(unknown)} is in neither {arrivals} nor {test}; freeze them again")
        source, gold = texts[row["target_id"]]
        grades = bucket_of(row["similarities"], settings.buckets).tolist()
        context = [
            {"source": texts[name][0], "target": texts[name][1], "similarity": similarity}
            | {"grade": STAND_IN if name in stand_ins else grade}
            for name, similarity, grade in zip(row["example_ids"], row["similarities"], grades, strict=True)
        ]
        rows.append(
            {name: row[name] for name in _FROZEN}
            | {"series": series_of(row)}
            | {"task": settings.task, "model": settings.model_name, "metric": settings.metric}
            | {"source": source, "gold": gold, "context": context, "answers": answers.get(row["prompt_id"], [])}
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _texts(path: str | Path) -> dict[str, tuple[str, str]]:
    """Return id → (source, target)."""
    table = read_columns(path, ["id", "source", "target"])
    return {row["id"]: (row["source"], row["target"]) for row in table.to_pylist()}
