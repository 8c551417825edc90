"""Settings of the steps that score answers; COMET's environment reads them too."""

from typing import TYPE_CHECKING, Self

from pydantic import Field

from contrastive_context.config.base import Model, at_default
from contrastive_context.config.learned_metrics import CometModel, LearnedMetric, MetricEncoder
from contrastive_context.config.sources import Corpus
from contrastive_context.config.tasks import Bleu
from contrastive_context.core.names import NEAREST_LABEL
from contrastive_context.corpora.settings import corpus_of

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class PredictNearestLabelSettings(Model):
    """What ``predict_nearest_label.py`` is told."""

    task: str

    @classmethod
    def of(cls, study: "Study", task: str) -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(task=task)


class ListSegmentsSettings(Model):
    """What ``list_segments.py`` is told."""

    task: str

    @classmethod
    def of(cls, study: "Study", task: str) -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(task=task)


class ScoreSettings(Model):
    """What ``score.py`` is told. ``model_name`` is "none" for the model-free system."""

    task: str
    model_name: str = "none"
    metrics: list[str] = Field(min_length=1, description="the first one is the headline")
    bleu: Bleu = Bleu()

    @classmethod
    def of(cls, study: "Study", task: str, model: str) -> Self:
        """Take the leaves that the step reads from the study; ``model`` is a model, or ``nearest_label``."""
        entry = study.tasks[task]
        model = "none" if model == NEAREST_LABEL else model
        return cls(task=task, model_name=model, metrics=list(entry.metrics), bleu=entry.bleu)


class ScoreCometSettings(Model):
    """What ``score_comet.py`` is told: the metric, its model's entry and that of the model's encoder."""

    metric: LearnedMetric
    model: CometModel
    encoder: MetricEncoder

    @classmethod
    def of(cls, study: "Study", metric: LearnedMetric) -> Self:
        """Take the leaves that the step reads from the study."""
        model = study.metrics[metric]
        return cls(
            metric=metric,
            # Scheduling and captions change no score.
            model=at_default(model, "mem_mb", "runtime", "licence"),
            encoder=at_default(study.metric_encoders[model.encoder], "licence"),
        )


class Checkpoint(Model):
    """A learned metric's model: a repository of the hub or a local path; the same for the encoder it was built on."""

    model: str
    sha256: str | None
    encoder_name: str
    encoder: str


def checkpoint_of(study: "Study", metric: LearnedMetric) -> Checkpoint:
    """Return what the signature of a learned metric names."""
    model = study.metrics[metric]
    encoder = study.metric_encoders[model.encoder]
    # Each has exactly one source.
    return Checkpoint(
        model=str(model.hub or model.checkpoint),
        sha256=model.sha256,
        encoder_name=model.encoder,
        encoder=str(encoder.hub or encoder.folder),
    )


class ScoreExecutionSettings(Model):
    """What ``score_execution.py`` is told: the corpus, whose databases the queries run on."""

    task: str
    corpus: Corpus

    @classmethod
    def of(cls, study: "Study", task: str) -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(task=task, corpus=corpus_of(study, task))
