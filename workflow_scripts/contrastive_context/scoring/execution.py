"""Execution accuracy with BIRD's semantics: a query is right if it gives the same *set* of rows as gold."""

import json
import tempfile
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from contrastive_context.config.sql import GeneratedSqlCorpus, TextToSqlCorpus
from contrastive_context.core import cli
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.build import corpus_module
from contrastive_context.corpora.databases import fingerprint
from contrastive_context.scoring.settings import ScoreExecutionSettings
from contrastive_context.sql.sandbox import Outcome, Sandbox, same_rows

if TYPE_CHECKING:
    import pandas as pd


class Judged(NamedTuple):
    """What running an output has shown: the score, and whether it gave rows, an error or a timeout."""

    score: float
    status: str


def score(
    segments: Mapping[str, Mapping[str, str]], test: "pd.DataFrame", settings: ScoreExecutionSettings
) -> dict[str, Judged]:
    """Run every output and its gold query on the target's database.

    Args:
        segments: id → src, mt and ref (:mod:`contrastive_context.scoring.segments`).
        test: corpus frame of the targets (id, source, meta).
        settings: the corpus, which knows its databases and the limits of a query.

    Returns:
        id → score 1 if both queries ran and gave the same set of rows, else 0; and the status of the output's.

    Raises:
        UserError: a gold query fails, or a database is missing or not the one that the corpus was built with.
    """
    corpus = settings.corpus
    assert isinstance(corpus, (GeneratedSqlCorpus, TextToSqlCorpus))
    rows = {
        row.source: (row.id, json.loads(cast("str", row.meta))) for row in test[["id", "source", "meta"]].itertuples()
    }
    scores: dict[str, Judged] = {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        closing(Sandbox(corpus.query_limits)) as sandbox,
        cli.progress(label=f"{settings.task} queries", total=len(segments), unit="query") as bar,
    ):

        @cache
        def database(name: str, expected: str | None) -> Path:
            path = corpus_module(corpus.kind).database_file(corpus, name, Path(scratch))
            if not path.is_file():
                raise UserError(f"{path}: missing SQLite file of task {settings.task}")
            if expected is not None and fingerprint(path) != expected:
                raise UserError(f"{path}: has changed since the corpus of {settings.task} was built; build it again")
            return path

        @cache
        def gold(path: Path, query: str, target: str) -> Outcome:
            outcome = sandbox.run(path, query)
            if outcome.status != "rows":
                raise UserError(
                    f"tasks.{settings.task}: the gold query of target {target} fails on {path.name} "
                    f"({outcome.status}: {outcome.message}); mend the corpus, or raise corpus.query_limits"
                )
            return outcome

        for id_, segment in segments.items():
            target, meta = rows[segment["src"]]
            path = database(meta["database"], meta.get("database_hash"))
            expected = gold(path, segment["ref"], target)
            outcome = sandbox.run(path, segment["mt"])
            scores[id_] = Judged(float(same_rows(outcome, expected)), outcome.status)
            bar.update(1)
    return scores
