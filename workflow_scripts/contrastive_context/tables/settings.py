"""Settings of the steps that show results: figures, LaTeX tables, and lists of what is missing."""

from typing import Any

from pydantic import field_validator

from contrastive_context.config.base import Model
from contrastive_context.config.figures import FigureStyle
from contrastive_context.config.strategies import Ablation
from contrastive_context.core.buckets import EDGES, ascending
from contrastive_context.tables.vocabulary import spaced


class Named(Model):
    """An entry of the study as it is shown; ``kind`` fixes a strategy's colour, ``ablation`` where it is drawn."""

    name: str
    title: str | None = None
    kind: str | None = None
    ablation: Ablation | None = None


class Gap(Model):
    """What a system, ``base`` or ``<strategy>-seed<seed>``, has no results of, "answers" or "probes", and why."""

    task: str
    model: str
    system: str
    what: str
    reason: str

    @property
    def strategy(self) -> str:
        """The system without its seed."""
        return self.system.partition("-seed")[0]


class PresentationSettings(Model):
    """Names, order and edges used wherever results are shown.

    ``tasks``, ``models`` and ``strategies`` are in the order in which they are shown (a mapping name → title will do
    where order does not matter); what is in no list comes last. ``headline`` maps a task to the metric drawn (absent:
    the first in the table). ``expected`` maps a task to its models and these to their strategies in the grid: what of
    it has no results is said to be missing; ``unfinished`` tells why. ``defaults`` maps a strategy that others are
    ablations of to its own value of each factor. ``buckets`` maps a bucket to its lower edge.
    """

    style: FigureStyle = FigureStyle()
    tasks: list[Named] = []
    models: list[Named] = []
    strategies: list[Named] = []
    test_sets: list[Named] = []
    expected: dict[str, dict[str, list[str]]] = {}
    unfinished: list[Gap] = []
    defaults: dict[str, dict[str, str | float | bool]] = {}
    compositions: list[str] = ["one_graded", "top_k"]
    headline: dict[str, str] = {}
    buckets: dict[str, float] = EDGES
    confidence: float = 0.95

    @field_validator("tasks", "models", "strategies", "test_sets", mode="before")
    @classmethod
    def _from_mapping(cls, value: Any) -> Any:
        return [{"name": name, "title": title} for name, title in value.items()] if isinstance(value, dict) else value

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
