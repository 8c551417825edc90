"""What the grid of a study names: its tasks, models and strategies, their pairs and systems, and what these need."""

from functools import cached_property

from contrastive_context.config.finetuning import FineTuning
from contrastive_context.config.learned_metrics import LearnedMetric
from contrastive_context.config.strategies import PLANE
from contrastive_context.config.study import Study
from contrastive_context.config.tasks import EXECUTED
from contrastive_context.core.names import BASE, tuned_system

_PLANE_FACTORS = (PLANE, "p", "epsilon")


class Grid:
    """The grid of a study; names are in its order, each once.

    Args:
        study: the validated study.
    """

    def __init__(self, study: Study) -> None:
        self.study = study

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks of the grid."""
        return list(dict.fromkeys(entry.task for entry in self.study.grid))

    @cached_property
    def models(self) -> list[str]:
        """Models that the grid fine-tunes."""
        return list(dict.fromkeys(model for entry in self.study.grid for model in entry.models))

    @cached_property
    def strategies(self) -> list[str]:
        """Strategies of the grid."""
        return list(dict.fromkeys(strategy for entry in self.study.grid for strategy in entry.strategies))

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(task, model) pairs of the grid."""
        return list(dict.fromkeys((entry.task, model) for entry in self.study.grid for model in entry.models))

    @cached_property
    def probed_tasks(self) -> list[str]:
        """Tasks of the grid that are probed."""
        return [task for task in self.tasks if self.study.tasks[task].probes is not None]

    @cached_property
    def ablated(self) -> bool:
        """Whether a strategy of the grid varies a single factor of another one."""
        marks = (self.study.strategies[name].ablation for name in self.strategies)
        return any(mark and mark.factor != PLANE for mark in marks)

    @cached_property
    def planes(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Strategy that others vary in both p and epsilon → name → its (p, epsilon).

        Among them are itself, its ablations in one of both, and, where nothing else stands at (0, 0), Random, which is
        the same thing.
        """
        entries = {name: self.study.strategies[name] for name in self.strategies}
        planes = dict.fromkeys(e.ablation.of for e in entries.values() if e.ablation and e.ablation.factor == PLANE)
        result = {}
        for of in planes:
            own = self.study.strategies[of]
            points = {
                name: (entry.p, entry.epsilon)
                for name, entry in entries.items()
                if name == of
                or (entry.ablation and entry.ablation.of == of and entry.ablation.factor in _PLANE_FACTORS)
            }
            if (0.0, 0.0) not in points.values():
                points |= {
                    name: (0.0, 0.0)
                    for name, entry in entries.items()
                    if entry.kind == "random"
                    and not entry.ablation
                    and (entry.k, entry.without) == (own.k, own.without)
                }
            result[of] = points
        return result

    def systems(self, task: str, model: str) -> list[str]:
        """Return ``base`` and every fine-tuned system, ``<strategy>-seed<seed>``, of a model on a task."""
        return self._systems[task, model]

    @cached_property
    def _systems(self) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], dict[str, None]] = {pair: {BASE: None} for pair in self.pairs}
        for entry in self.study.grid:
            tuned = [tuned_system(strategy, seed) for strategy in entry.strategies for seed in entry.seeds]
            for model in entry.models:
                found[entry.task, model] |= dict.fromkeys(tuned)
        return {pair: list(names) for pair, names in found.items()}

    @cached_property
    def strategies_by_model(self) -> dict[str, dict[str, list[str]]]:
        """Task → model → the strategies that the grid trains."""
        result: dict[str, dict[str, list[str]]] = {}
        for entry in self.study.grid:
            for model in entry.models:
                names = result.setdefault(entry.task, {}).setdefault(model, [])
                names += [name for name in entry.strategies if name not in names]
        return result

    def recipe(self, task: str, model: str, strategy: str) -> FineTuning:
        """Return the recipe of a model, task and strategy, with the model's own LoRA targets where it has some."""
        recipe = self.study.finetuning[self._recipes[task, model, strategy]]
        targets = self.study.models[model].target_modules
        if targets is None:
            return recipe
        return recipe.model_copy(update={"lora": recipe.lora.model_copy(update={"target_modules": targets})})

    @cached_property
    def _recipes(self) -> dict[tuple[str, str, str], str]:
        return {
            (entry.task, model, strategy): entry.finetuning
            for entry in self.study.grid
            for model in entry.models
            for strategy in entry.strategies
        }

    def paraphraser(self, task: str, strategy: str) -> str | None:
        """Return the paraphraser that a strategy needs on a task, or None."""
        entry = self.study.strategies[strategy]
        return entry.paraphrasers[task] if entry.needs_paraphrases else None

    def trained_paraphrasers(self, task: str) -> list[str]:
        """Return the paraphrasers that the grid's strategies need on a task."""
        entries = [entry for entry in self.study.grid if entry.task == task]
        names = [self.paraphraser(task, strategy) for entry in entries for strategy in entry.strategies]
        return sorted({name for name in names if name is not None})

    def learned_metrics(self, task: str) -> list[LearnedMetric]:
        """Return the metrics of a task that a model computes, in an environment of its own."""
        return [name for metric in self.study.tasks[task].metrics for name in self.study.metrics if name == metric]

    def scored_apart(self, task: str) -> list[str]:
        """Return the metrics of a task whose segments a step of their own scores."""
        executed = [metric for metric in self.study.tasks[task].metrics if metric in EXECUTED]
        return [*self.learned_metrics(task), *executed]
