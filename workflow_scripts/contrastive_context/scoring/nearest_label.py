"""The model-free system: answer with the label of the most similar example, i.e. what copying alone would score."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from contrastive_context.contexts.series import series_of
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from contrastive_context.core.frames import FrameRow


def predict(contexts: "pd.DataFrame", targets: Mapping[str, str]) -> Iterator[JsonDict]:
    """Yield one prediction per context that has examples.

    Args:
        contexts: frame of frozen evaluation contexts.
        targets: label of every arrival, and of every paraphrase that stands in for one, by id.

    Raises:
        UserError: a context names an example that is not among them.
    """
    for row in cast("Iterable[FrameRow]", contexts.itertuples()):
        if len(row.example_ids) == 0:
            continue
        # Ties go to the smaller id, so that the shuffled order of the slots does not matter.
        _, nearest = min((-similarity, id_) for similarity, id_ in zip(row.similarities, row.example_ids, strict=True))
        if nearest not in targets:
            raise UserError(
                f"prompt {row.prompt_id}: example {nearest} is not among the arrivals; rebuild the contexts"
            )
        yield {
            "prompt_id": row.prompt_id,
            "target_id": row.target_id,
            "test_set": row.test_set,
            "series": series_of(row._asdict()),
            "composition": row.composition,
            "bucket": row.bucket,
            "step": 0,
            "output": targets[nearest],
            "stop_reason": "none",
            "prompt_tokens": 0,
            "output_tokens": 0,
            "examples": len(row.example_ids),
            "dropped_examples": 0,
        }


def predict_file(contexts: Path, arrivals: Path, out: Path, paraphrases: Path | None = None) -> int:
    """Write the predictions for frozen contexts as JSON lines; return how many.

    Args:
        contexts: Parquet of evaluation contexts.
        arrivals: Parquet of the corpus split the examples come from.
        out: JSONL to write.
        paraphrases: Parquet of the paraphrases that stand in for examples, if the contexts name such ones.
    """
    corpus = artifacts.read_parquet(arrivals, ("id", "target"))
    targets = dict(zip(corpus["id"], corpus["target"], strict=True))
    if paraphrases is not None:
        more = artifacts.read_parquet(paraphrases, ("id", "target", "accepted"))
        more = more[more["accepted"]]
        targets |= dict(zip(more["id"], more["target"], strict=True))
    columns = ("prompt_id", "target_id", "test_set", "composition", "bucket", "example_ids", "similarities")
    count = 0
    with artifacts.atomic_path(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for line in predict(artifacts.read_parquet(contexts, columns), targets):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count
