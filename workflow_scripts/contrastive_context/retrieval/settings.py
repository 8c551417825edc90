"""Settings of the steps of similarity: ``prepare_encoder.py``, ``embed_corpus.py`` and ``find_neighbours.py``."""

from typing import TYPE_CHECKING, Self

from contrastive_context.config.base import Model, at_default
from contrastive_context.config.sources import Encoder
from contrastive_context.config.tasks import Index

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


def encoder_of(study: "Study", encoder: str) -> Encoder:
    """Return an encoder's entry as steps are told of it."""
    # Which revision of the hub was downloaded is in the record, whatever name it was asked for by.
    return at_default(study.encoders[encoder], "licence", "revision")


class PrepareEncoderSettings(Model):
    """What ``prepare_encoder.py`` is told: the encoder's key and its entry under ``encoders``."""

    name: str
    encoder: Encoder

    @classmethod
    def of(cls, study: "Study", encoder: str) -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(name=encoder, encoder=encoder_of(study, encoder))


class EmbedCorpusSettings(Model):
    """What ``embed_corpus.py`` is told: the key and the entry of the task's encoder."""

    name: str
    encoder: Encoder

    @classmethod
    def of(cls, study: "Study", task: str) -> Self:
        """Take the leaves that the step reads from the study."""
        name = study.tasks[task].encoder
        return cls(name=name, encoder=encoder_of(study, name))


class FindNeighboursSettings(Model):
    """What ``find_neighbours.py`` is told: how to search, and how many neighbours a context needs."""

    task: str
    index: Index
    k: int

    @classmethod
    def of(cls, study: "Study", task: str) -> Self:
        """Take the leaves that the step reads from the study."""
        entry = study.tasks[task]
        return cls(task=task, index=entry.index, k=entry.k)
