"""Settings of ``sample_train_contexts.py``, ``freeze_eval_contexts.py`` and ``freeze_probes.py``."""

from typing import TYPE_CHECKING, Self

from contrastive_context.config.base import Model, at_default
from contrastive_context.config.strategies import Strategy
from contrastive_context.config.tasks import Agreement, TaskEvaluation, TaskProbes
from contrastive_context.core.buckets import DEFAULT_BUCKETS
from contrastive_context.core.errors import UserError

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class SampleTrainContextsSettings(Model):
    """What ``sample_train_contexts.py`` is told.

    Attributes:
        task: key of the task.
        strategy_name: key of the strategy.
        strategy: what of it concerns this task's contexts.
        k: examples per context.
        neighbours: how deep the neighbour table is read; a few more than k if None.
        draws: contexts per training target.
        seed: of the draws.
        buckets: name → lower edge.
    """

    task: str
    strategy_name: str
    strategy: Strategy
    k: int
    neighbours: int | None = None
    draws: int
    seed: int
    buckets: dict[str, float]

    @classmethod
    def of(cls, study: "Study", task: str, strategy: str) -> Self:
        """Take the leaves that the step reads from the study."""
        entry, chosen = study.tasks[task], study.strategies[strategy]
        k, draws, seed = chosen.k or entry.k, entry.draws, entry.context_seed
        if chosen.kind == "zero" and not chosen.augmentation:
            # Nothing is drawn; one empty context per target serves every epoch.
            k, draws, seed = 1, 1, 0
        return cls(
            task=task,
            strategy_name=strategy,
            strategy=Strategy(
                kind=chosen.kind,
                p=chosen.p,
                epsilon=chosen.epsilon,
                without=chosen.without,
                augmentation=chosen.augmentation,
                # Only this task's paraphraser: adding one for another task changes nothing here.
                paraphrasers={name: value for name, value in chosen.paraphrasers.items() if name == task},
            ),
            k=k,
            # Where buckets are removed the nearest neighbour left may stand far down.
            neighbours=entry.index.neighbours if chosen.without else None,
            draws=draws,
            seed=seed,
            # Other edges of the evaluation train nothing again: the table's own column keeps the paper's.
            buckets=study.buckets if chosen.without else DEFAULT_BUCKETS,
        )


class FreezeEvalContextsSettings(Model):
    """What ``freeze_eval_contexts.py`` is told."""

    task: str
    k: int
    agreement: Agreement
    evaluation: TaskEvaluation
    buckets: dict[str, float]

    @classmethod
    def of(cls, study: "Study", task: str) -> Self:
        """Take the leaves that the step reads from the study."""
        entry = study.tasks[task]
        return cls(task=task, k=entry.k, agreement=entry.agreement, evaluation=entry.evaluation, buckets=study.buckets)


def probes_of(study: "Study", task: str) -> TaskProbes:
    """Return how a task is probed.

    Raises:
        UserError: it isn't.
    """
    probes = study.tasks[task].probes
    if probes is None:
        raise UserError(f"tasks.{task}.probes: absent, so that the task is not probed")
    return probes


class FreezeProbesSettings(Model):
    """What ``freeze_probes.py`` is told."""

    task: str
    test_set: str
    k: int
    agreement: Agreement
    probes: TaskProbes
    buckets: dict[str, float]
    max_agreement: float

    @classmethod
    def of(cls, study: "Study", task: str) -> Self:
        """Take the leaves that the step reads from the study."""
        entry = study.tasks[task]
        return cls(
            task=task,
            test_set=entry.test_sets[0],
            k=entry.k,
            agreement=entry.agreement,
            # Which measures are taken matters to the probe jobs only.
            probes=at_default(probes_of(study, task), "measures"),
            buckets=study.buckets,
            max_agreement=entry.evaluation.max_agreement,
        )
