"""Settings of ``ask_endpoint.py`` and ``paraphrase.py``."""

from typing import TYPE_CHECKING, Self

from contrastive_context.config.base import Model, at_default
from contrastive_context.config.models import Device, Dtype
from contrastive_context.config.paraphrasers import EndpointParaphraser, Paraphraser
from contrastive_context.config.sources import Corpus, Encoder
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.settings import corpus_of
from contrastive_context.retrieval.settings import encoder_of

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class AskEndpointSettings(Model):
    """What ``ask_endpoint.py`` is told: the endpoint's entry, and what ends a question in the task's sources."""

    task: str
    split: str
    paraphraser_name: str
    paraphraser: EndpointParaphraser
    question_ends: tuple[str, ...] = ()

    @classmethod
    def of(cls, study: "Study", task: str, split: str, paraphraser: str) -> Self:
        """Take the leaves that the step reads from the study.

        Raises:
            UserError: the paraphraser is no endpoint.
        """
        entry = study.paraphrasers[paraphraser]
        if not isinstance(entry, EndpointParaphraser):
            raise UserError(f"paraphrasers.{paraphraser}: kind {entry.kind} is asked nothing; only endpoints are")
        return cls(
            task=task,
            split=split,
            paraphraser_name=paraphraser,
            # Which answers are similar enough is decided when they are there.
            paraphraser=at_default(entry, "min_similarity"),
            question_ends=getattr(study.tasks[task].corpus, "question_ends", ()),
        )


class ModelUse(Model):
    """How a model that a paraphraser runs is loaded."""

    dtype: Dtype = "float32"
    device: Device = "cpu"


class ParaphraseSettings(Model):
    """What ``paraphrase.py`` is told."""

    task: str
    split: str = "train"
    paraphraser_name: str
    paraphraser: Paraphraser
    models: dict[str, ModelUse] = {}
    corpus: Corpus
    encoder: Encoder

    @classmethod
    def of(cls, study: "Study", task: str, split: str, paraphraser: str) -> Self:
        """Take the leaves that the step reads from the study."""
        chosen = study.paraphrasers[paraphraser]
        models = {name: study.models[name] for name in chosen.models}
        return cls(
            task=task,
            split=split,
            paraphraser_name=paraphraser,
            paraphraser=chosen,
            models={name: ModelUse(dtype=model.dtype, device=model.device) for name, model in models.items()},
            corpus=corpus_of(study, task),
            encoder=encoder_of(study, study.tasks[task].encoder),
        )
