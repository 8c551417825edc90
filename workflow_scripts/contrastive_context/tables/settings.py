"""Settings of the steps that make tables, and of those that show results: figures, LaTeX, lists of what is missing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from pydantic import field_validator

from contrastive_context.config.base import Model
from contrastive_context.config.claims import TaskClaims
from contrastive_context.config.figures import FigureStyle
from contrastive_context.config.grid import Grid
from contrastive_context.config.models import LanguageModel
from contrastive_context.config.sources import Encoder
from contrastive_context.config.statistics import Statistics
from contrastive_context.config.strategies import Ablation
from contrastive_context.config.tasks import Task
from contrastive_context.core.buckets import DEFAULT_BUCKETS, ascending
from contrastive_context.core.names import BASE, parse_system
from contrastive_context.retrieval.settings import encoder_of
from contrastive_context.scoring.settings import Checkpoint, checkpoint_of
from contrastive_context.tables.vocabulary import spaced

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class BuildTablesSettings(Model):
    """What ``build_tables.py`` is told.

    Attributes:
        statistics: intervals and thresholds.
        metrics: task → all its metrics.
        headline: task → headline metric (absent: the first metric in its scores file).
        strategies: strategy → its kind: the paper's Zero is the strategy named "zero", else the first one of that kind.
        buckets: name → lower edge.
        compositions: task → those of its contexts (absent: those that have scores).
        tokenizers: task → BLEU's tokenizer.
        learned: learned metric → its model.
        claims: task → what of the claims is particular to it.
    """

    statistics: Statistics = Statistics()
    claims: dict[str, TaskClaims] = {}
    metrics: dict[str, list[str]] = {}
    headline: dict[str, str] = {}
    strategies: dict[str, str] = {}
    buckets: dict[str, float] = DEFAULT_BUCKETS
    compositions: dict[str, list[str]] = {}
    tokenizers: dict[str, str] = {}
    learned: dict[str, Checkpoint] = {}

    @classmethod
    def of(cls, study: "Study") -> Self:
        """Take the leaves that the step reads from the study."""
        grid = Grid(study)
        entries = {task: study.tasks[task] for task in grid.tasks}
        learned = {metric: None for task in grid.tasks for metric in grid.learned_metrics(task)}
        return cls(
            statistics=study.statistics,
            metrics={task: list(entry.metrics) for task, entry in entries.items()},
            headline={task: entry.metrics[0] for task, entry in entries.items()},
            strategies={name: study.strategies[name].kind for name in grid.strategies},
            buckets=study.buckets,
            compositions={task: list(entry.evaluation.compositions) for task, entry in entries.items()},
            tokenizers={task: entry.bleu.tokenize for task, entry in entries.items() if "bleu" in entry.metrics},
            learned={metric: checkpoint_of(study, metric) for metric in learned},
            claims={task: entry.claims for task, entry in entries.items() if entry.claims != TaskClaims()},
        )

    def claims_of(self, task: str) -> TaskClaims:
        """Return what of the claims is particular to a task."""
        return self.claims.get(task, TaskClaims())

    def role(self, kind: str) -> str:
        """Return the strategy that stands for one of the paper's."""
        if kind in self.strategies or kind == BASE:
            return kind
        return next((name for name, of_kind in self.strategies.items() if of_kind == kind), kind)


class RebucketSettings(Model):
    """What ``rebucket.py`` is told: the task and its metrics, the other encoder, edges for it, and when a bucket has
    enough targets."""

    task: str
    name: str
    encoder: Encoder
    buckets: dict[str, float]
    min_targets: int
    metrics: list[str] = []
    statistics: Statistics

    @classmethod
    def of(cls, study: "Study", task: str, encoder: str) -> Self:
        """Take the leaves that the step reads from the study."""
        evaluation = study.tasks[task].evaluation
        return cls(
            task=task,
            name=encoder,
            encoder=encoder_of(study, encoder),
            buckets=study.buckets,
            min_targets=min(evaluation.min_targets, evaluation.targets),
            metrics=list(study.tasks[task].metrics),
            statistics=study.statistics,
        )


class CollectExamplesSettings(Model):
    """What ``collect_examples.py`` is told: the metric whose score stands beside an answer, and the lower edges."""

    task: str
    model_name: str
    metric: str
    buckets: dict[str, float]

    @classmethod
    def of(cls, study: "Study", task: str, model: str) -> Self:
        """Take the leaves that the step reads from the study."""
        return cls(task=task, model_name=model, metric=study.tasks[task].metrics[0], buckets=study.buckets)


class Named(Model):
    """An entry of the study as it is shown; ``kind`` fixes a strategy's colour, ``ablation`` where it is drawn."""

    name: str
    title: str | None = None
    kind: str | None = None
    ablation: Ablation | None = None


class Unfinished(Model):
    """What a system, ``base`` or ``<strategy>-seed<seed>``, has no results of, "answers" or "probes", and why."""

    task: str
    model: str
    system: str
    what: str
    reason: str

    @property
    def strategy(self) -> str:
        """The system without its seed."""
        return parse_system(self.system)[0]


class PresentationSettings(Model):
    """What the steps are told that draw scores or probes, list gaps, or write tables as LaTeX: names, order, edges.

    Attributes:
        style: of the figures.
        tasks: in the order in which they are shown, as ``models`` and ``strategies`` (a mapping name → title will do
            where order does not matter); what is in no list comes last.
        models: see ``tasks``.
        strategies: see ``tasks``.
        test_sets: see ``tasks``.
        expected: task → model → strategies of the grid; what of it has no results is said to be missing.
        unfinished: why that is.
        defaults: strategy that others are ablations of → its own value of each factor.
        planes: strategy that others vary in p and epsilon → name → its (p, epsilon).
        compositions: of contexts, in that order.
        metrics: task → all its metrics.
        headline: task → metric shown (absent: the first in the table).
        buckets: name → lower edge.
        confidence: level of the intervals.
    """

    style: FigureStyle = FigureStyle()
    tasks: list[Named] = []
    models: list[Named] = []
    strategies: list[Named] = []
    test_sets: list[Named] = []
    expected: dict[str, dict[str, list[str]]] = {}
    unfinished: list[Unfinished] = []
    defaults: dict[str, dict[str, str | float | bool]] = {}
    planes: dict[str, dict[str, tuple[float, float]]] = {}
    compositions: list[str] = ["one_graded", "top_k"]
    metrics: dict[str, list[str]] = {}
    headline: dict[str, str] = {}
    buckets: dict[str, float] = DEFAULT_BUCKETS
    confidence: float = 0.95

    @field_validator("tasks", "models", "strategies", "test_sets", mode="before")
    @classmethod
    def _from_mapping(cls, value: object) -> object:
        return [{"name": name, "title": title} for name, title in value.items()] if isinstance(value, dict) else value

    @classmethod
    def of(cls, study: "Study", unfinished: Sequence[Unfinished] = ()) -> Self:
        """Take the leaves that the step reads from the study.

        Args:
            study: the validated study.
            unfinished: what of its grid is left out.
        """
        grid = Grid(study)
        return cls(
            style=study.figures,
            # Lists keep the order, which a mapping would lose in canonical JSON.
            tasks=_named(study.tasks, grid.tasks),
            models=_named(study.models, grid.models),
            strategies=[
                Named(name=name, title=entry.title or name, kind=entry.kind, ablation=entry.ablation)
                for name, entry in ((name, study.strategies[name]) for name in grid.strategies)
            ],
            expected=grid.strategies_by_model,
            unfinished=list(unfinished),
            defaults=_defaults(grid),
            planes=grid.planes,
            metrics={task: list(study.tasks[task].metrics) for task in grid.tasks},
            headline={task: study.tasks[task].metrics[0] for task in grid.tasks},
            buckets=study.buckets,
            confidence=study.statistics.confidence,
        )

    def order(self, registry: str) -> list[str]:
        """Return the names of a registry ("tasks", "models", …) in the order in which they are shown."""
        return [entry.name for entry in getattr(self, registry)]

    def title(self, registry: str, name: str) -> str:
        """Return the title of an entry, its name with spaces if it has none."""
        titles = {entry.name: entry.title for entry in getattr(self, registry)}
        return titles.get(name) or spaced(name)

    def reason(self, what: str, task: str, model: str, strategy: str) -> str | None:
        """Return why a strategy (or the base) has no answers or no probe values, None where nothing is known."""
        wanted = (what, task, model, strategy)
        reasons = (gap.reason for gap in self.unfinished if (gap.what, gap.task, gap.model, gap.strategy) == wanted)
        return next(reasons, None)

    def ablations(self) -> dict[str, Ablation]:
        """Return the strategies that are ablations of another one; they have a figure of their own."""
        return {entry.name: entry.ablation for entry in self.strategies if entry.ablation}

    def bucket_names(self) -> list[str]:
        """Return the buckets in ascending order of their edges."""
        return ascending(self.buckets)


def _named(registry: Mapping[str, Task] | Mapping[str, LanguageModel], names: Sequence[str]) -> list[Named]:
    return [Named(name=name, title=registry[name].title or name) for name in names]


def _defaults(grid: Grid) -> dict[str, dict[str, str | float | bool]]:
    """Of each strategy that has ablations: its own values of the factors that are settings of strategies."""
    result: dict[str, dict[str, str | float | bool]] = {}
    for name in grid.strategies:
        if ablation := grid.study.strategies[name].ablation:
            value = getattr(grid.study.strategies[ablation.of], ablation.factor, None)
            if ablation.factor == "paraphraser":
                value = _paraphrasers_beside(grid, name, ablation.of)
            if isinstance(value, (bool, float, str)):
                result.setdefault(ablation.of, {})[ablation.factor] = value
            elif value == []:
                result.setdefault(ablation.of, {})[ablation.factor] = "none"
    return result


def _paraphrasers_beside(grid: Grid, ablation: str, of: str) -> str:
    """Name the paraphrasers that a strategy has on the tasks on which its ablation is trained."""
    own = grid.study.strategies[of].paraphrasers
    tasks = [entry.task for entry in grid.study.grid if ablation in entry.strategies]
    return " or ".join(dict.fromkeys(own[task] for task in tasks if task in own)) or "none"
