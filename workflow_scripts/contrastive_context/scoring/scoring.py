"""Score predictions per segment, with the statistics that corpus values and their intervals need."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context.config.tasks import BY_BLANKS
from contrastive_context.contexts.series import series_of
from contrastive_context.core import artifacts
from contrastive_context.core.buckets import NO_BUCKET
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.names import parse_system
from contrastive_context.scoring.metrics import Metric, Segment, get_metric
from contrastive_context.scoring.segments import segment_id
from contrastive_context.scoring.settings import ScoreSettings
from contrastive_context.text.normalising import composed
from contrastive_context.text.words import unspaced_share

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_FIELDS = (
    "prompt_id", "target_id", "test_set", "composition", "bucket", "step", "output", "stop_reason", "examples",
    "dropped_examples",
)  # fmt: skip


def read_predictions(path: str | Path) -> Iterator[tuple[int, JsonDict]]:
    """Yield (line number from 1, prediction) of a JSONL file.

    Raises:
        UserError: a torn or incomplete line; the message names file and line.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise UserError(
                        f"{path}:{number}: not a whole JSON line ({error}); delete the file and generate it again"
                    ) from error
                missing = [field for field in _FIELDS if not isinstance(record, dict) or field not in record]
                if missing:
                    raise UserError(f"{path}:{number}: field(s) {', '.join(missing)} missing")
                yield number, record
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); delete the file and generate it again") from error


class Scorer:
    """Scores each distinct (source, hypothesis, reference) once per metric.

    Attributes:
        computed: number of segment scores computed, over all metrics; those of learned metrics are looked up.
    """

    def __init__(self, metrics: Sequence[Metric], learned: Mapping[str, Mapping[str, float]] | None = None) -> None:
        """Score with ``metrics``; ``learned`` maps a learned one to its segment scores by id."""
        self.metrics = list(metrics)
        self.computed = 0
        self._learned = learned or {}
        self._cache: dict[tuple[str, str, str], list[Segment]] = {}

    def score(self, source: str, hypothesis: str, reference: str) -> list[Segment]:
        """Return one segment score per metric.

        Raises:
            UserError: a learned metric hasn't scored this triple.
        """
        key = (source, hypothesis, reference)
        if key not in self._cache:
            self._cache[key] = [self._segment(metric, *key) for metric in self.metrics]
        return self._cache[key]

    def _segment(self, metric: Metric, source: str, hypothesis: str, reference: str) -> Segment:
        if not metric.learned:
            self.computed += 1
            # A learned metric's tokenizer brings its texts to one form by itself.
            return metric.segment(composed(hypothesis), composed(reference))
        value = self._learned.get(metric.name, {}).get(segment_id(source, hypothesis, reference))
        if value is None:
            raise UserError(
                f"{metric.name}: no score for {hypothesis[:60]!r}; delete the file of its segment scores and run again"
            )
        return Segment(value, [])


def triples(predictions: Iterable[str | Path], test: str | Path) -> Iterator[tuple[str, str, str]]:
    """Yield (source, hypothesis, reference) of every prediction.

    Args:
        predictions: JSONL files.
        test: corpus Parquet of the test sets.

    Raises:
        UserError: a torn line, or a target that isn't in the corpus.
    """
    corpus = artifacts.read_parquet(test, ("id", "source", "target"))
    pairs = {id_: (a, b) for id_, a, b in corpus[["id", "source", "target"]].itertuples(index=False, name=None)}
    for path in predictions:
        for number, record in read_predictions(path):
            if record["target_id"] not in pairs:
                raise UserError(f"{path}:{number}: {record['target_id']} is no target in {test}; generate again")
            source, reference = pairs[record["target_id"]]
            yield source, record["output"], reference


def score(
    predictions: Mapping[str, str | Path],
    test: str | Path,
    settings: ScoreSettings,
    learned: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple["pd.DataFrame", Scorer]:
    """Score the predictions of a (task, model)'s systems.

    Args:
        predictions: system → JSONL.
        test: corpus Parquet of the test sets (id, source, target, cluster, test_set).
        settings: task, model and metrics.
        learned: learned metric → segment scores by id (:mod:`contrastive_context.scoring.segments`).

    Returns:
        A frame with one row per (prediction, metric): task, model, strategy, seed, step, test_set, series (names),
        composition, bucket, prompt_id, target_id, cluster, metric, value, stats, and from the prediction, for the
        report, stop_reason (length: cut at the limit) and dropped_examples (left out of the prompt for length); and the
        scorer, for its count. A prompt that lost all its examples has bucket "none".

    Raises:
        UserError: a torn line, a target that isn't in its test set, or a prompt answered twice at the same step.
    """
    import pandas as pd

    columns = ("id", "source", "target", "cluster", "test_set")
    corpus = artifacts.read_parquet(test, columns)
    gold = {
        id_: (source, target, str(cluster), test_set)
        for id_, source, target, cluster, test_set in corpus[list(columns)].itertuples(index=False, name=None)
    }
    if "bleu" in settings.metrics and settings.bleu.tokenize in BY_BLANKS:
        _check_blanks([reference for _, reference, *_ in gold.values()], settings)
    emptied = 0
    scorer = Scorer([get_metric(name, settings.bleu.tokenize) for name in settings.metrics], learned)
    rows: list[tuple] = []
    for system, path in predictions.items():
        strategy, seed = parse_system(system)
        seen: set[tuple[str, int]] = set()
        for number, record in read_predictions(path):
            where = f"{path}:{number}"
            source, reference, cluster, test_set = gold.get(record["target_id"], ("", "", "", None))
            if test_set != record["test_set"]:
                raise UserError(
                    f"{where}: {record['target_id']} is no target of test set {record['test_set']!r} in {test}; "
                    "the predictions are of another corpus: delete them and generate again"
                )
            key = (record["prompt_id"], int(record["step"]))
            if key in seen:
                raise UserError(f"{where}: prompt {key[0]} is answered twice at step {key[1]}")
            seen.add(key)
            # Examples leave a prompt that is too long with the least similar first. So its maximum similarity stays,
            # unless all of them left.
            is_emptied = record["examples"] == 0 < record["dropped_examples"]
            emptied += is_emptied
            bucket = NO_BUCKET if is_emptied else record["bucket"]
            series = series_of(record)
            segments = scorer.score(source, record["output"], reference)
            for metric, segment in zip(scorer.metrics, segments, strict=True):
                rows.append(
                    (
                        settings.task, settings.model_name, strategy, seed, int(record["step"]), record["test_set"],
                        series, record["composition"], bucket, record["prompt_id"], record["target_id"], cluster,
                        metric.name, segment.value, segment.stats, record["stop_reason"],
                        int(record["dropped_examples"]),
                    )
                )  # fmt: skip
        if not seen:
            raise UserError(f"{path}: no predictions in it; delete the file and generate it again")
    if emptied:
        log.warning("%d prompts had no room for any example; they count in no bucket", emptied)
    names = [
        "task", "model", "strategy", "seed", "step", "test_set", "series", "composition", "bucket", "prompt_id",
        "target_id", "cluster", "metric", "value", "stats", "stop_reason", "dropped_examples",
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=names)
    frame["seed"] = frame["seed"].astype("Int64")
    return frame, scorer


def _check_blanks(references: Sequence[str], settings: ScoreSettings) -> None:
    shares = [unspaced_share(text) for text in references]
    if sum(share > 0.5 for share in shares) > len(shares) / 2:
        raise UserError(
            f"tasks.{settings.task}.bleu.tokenize: {settings.bleu.tokenize} divides words at blanks, which most "
            "targets don't have; set it to char, or zh for Chinese, and run again: only scoring is repeated"
        )
