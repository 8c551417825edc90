"""Settings of ``build_corpus.py``."""

from typing import TYPE_CHECKING, Self

from contrastive_context.config.base import Model, at_default
from contrastive_context.config.sources import Corpus

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


def corpus_of(study: "Study", task: str) -> Corpus:
    """Return a task's corpus as steps are told of it."""
    # How a source is called in the report doesn't change its text.
    return at_default(study.tasks[task].corpus, "licence", "origin")


class BuildCorpusSettings(Model):
    """What ``build_corpus.py`` is told: where the text comes from, the test sets, and the template's stop."""

    task: str
    corpus: Corpus
    test_sets: list[str]
    stop: str

    @classmethod
    def of(cls, study: "Study", task: str) -> Self:
        """Take the leaves that the step reads from the study."""
        entry = study.tasks[task]
        return cls(task=task, corpus=corpus_of(study, task), test_sets=entry.test_sets, stop=entry.template.stop)
