"""Inputs of rules that depend on the configuration: paths, relative to where Snakemake runs."""

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from contrastive_context.config.grid import Grid
from contrastive_context.config.hub_entries import hub_entries
from contrastive_context.config.learned_metrics import LearnedMetric
from contrastive_context.config.study import Study
from contrastive_context.core import paths
from contrastive_context.core.names import BASE


class Inputs:
    """Inputs that a rule has or hasn't, by the names in its wildcards.

    Args:
        study: the validated study.
        results: the run's folder.
        in_job: whether Snakemake is here to run one job, and not to find their order.
    """

    def __init__(self, study: Study, results: str, in_job: bool = False) -> None:
        self._study = study
        self._grid = Grid(study)
        self._results = results
        self._in_job = in_job

    def _path(self, template: str, **names: str) -> str:
        return f"{self._results}/{template.format(**names)}"

    # Where text and weights come from.

    def corpus_packages(self, task: str) -> list[str]:
        """Return the records of the packages that a task's corpus is read from."""
        return self._packages(getattr(self._study.tasks[task].corpus, "packages", ()))

    def corpus_hub(self, task: str) -> list[str]:
        """Return the records of the hub's data sets that a task's corpus is read from."""
        return self._hub_records(self._data_sets(task))

    def corpus_files(self, task: str) -> list[str]:
        """Return the user's own files that a task's corpus is read from."""
        return list(getattr(self._study.tasks[task].corpus, "paths", ()))

    def encoder_package(self, encoder: str) -> list[str]:
        """Return the record of the package that an encoder is read from, or nothing."""
        return self._packages([getattr(self._study.encoders[encoder], "package", None)])

    def encoder_hub(self, encoder: str) -> list[str]:
        """Return the record of the hub's entry that an encoder is read from, or nothing."""
        return self._hub_records([("encoders", encoder)])

    def encoder_folder(self, encoder: str) -> list[str]:
        """Return the file without which an encoder's own folder is none, or nothing."""
        return _file_of(getattr(self._study.encoders[encoder], "folder", None), "modules.json")

    def model_package(self, model: str) -> list[str]:
        """Return the record of the package that a model is read from, or nothing."""
        return self._packages([getattr(self._study.models[model], "package", None)])

    def model_hub(self, model: str) -> list[str]:
        """Return the record of the hub's entry that a model is read from, or nothing."""
        return self._hub_records([("models", model)])

    def model_folder(self, model: str) -> list[str]:
        """Return the file without which a model's own folder is none, or nothing."""
        return _file_of(getattr(self._study.models[model], "path", None), "config.json")

    def metric_hub(self, metric: LearnedMetric) -> list[str]:
        """Return the record of the hub's entry that a learned metric is read from, or nothing."""
        return self._hub_records([("metrics", metric)])

    def metric_encoder_hub(self, metric: LearnedMetric) -> list[str]:
        """Return the record of the hub's entry of the encoder that a learned metric was built on, or nothing."""
        return self._hub_records([("metric_encoders", self._study.metrics[metric].encoder)])

    def metric_records(self) -> list[str]:
        """Return the records of all learned metrics of the grid and of their encoders."""
        metrics = dict.fromkeys(metric for task in self._grid.tasks for metric in self._grid.learned_metrics(task))
        records = [path for name in metrics for path in (*self.metric_hub(name), *self.metric_encoder_hub(name))]
        return list(dict.fromkeys(records))

    def hub_used(self) -> list[str]:
        """Return the records of what the grid takes from the hub."""
        used = {entry for task in self._grid.tasks for entry in self._data_sets(task)}
        used |= {("encoders", self._study.tasks[task].encoder) for task in self._grid.tasks}
        used |= {("models", model) for model in self._models_used}
        for metric in {metric for task in self._grid.tasks for metric in self._grid.learned_metrics(task)}:
            used |= {("metrics", metric), ("metric_encoders", self._study.metrics[metric].encoder)}
        return self._hub_records(entry for entry in self._hub if entry in used)

    def packages_used(self) -> list[str]:
        """Return the records of the packages that the grid is read from."""
        found = [path for task in self._grid.tasks for path in self.corpus_packages(task)]
        found += [path for task in self._grid.tasks for path in self.encoder_package(self._study.tasks[task].encoder)]
        found += [path for model in self._models_used for path in self.model_package(model)]
        return list(dict.fromkeys(found))

    # What other steps made.

    def paraphrases(self, task: str, strategy: str) -> list[str]:
        """Return the paraphrases of training pairs that a strategy needs on a task, or nothing."""
        name = self._grid.paraphraser(task, strategy)
        return [self._path(paths.PARAPHRASES, task=task, split="train", paraphraser=name)] if name else []

    def stand_ins(self, task: str) -> list[str]:
        """Return the paraphrases of test pairs where the evaluation has stand-ins, or nothing."""
        name = self._study.tasks[task].evaluation.paraphraser
        return [self._path(paths.PARAPHRASES, task=task, split="test", paraphraser=name)] if name else []

    def trained_paraphrases(self, task: str) -> list[str]:
        """Return the paraphrases that are trained on, none of which may stand in."""
        if not self.stand_ins(task):
            return []
        names = self._grid.trained_paraphrasers(task)
        return [self._path(paths.PARAPHRASES, task=task, split="train", paraphraser=name) for name in names]

    def paraphraser_models(self, paraphraser: str) -> list[str]:
        """Return the models that a paraphraser runs."""
        return [self._path(paths.MODEL, model=model) for model in self._study.paraphrasers[paraphraser].models]

    def endpoint_answers(self, task: str, split: str, paraphraser: str) -> list[str]:
        """Return what an endpoint answered, where the paraphraser is one."""
        if self._study.paraphrasers[paraphraser].kind != "endpoint":
            return []
        return [self._path(paths.ENDPOINT_ANSWERS, task=task, split=split, paraphraser=paraphraser)]

    def neighbours(self, task: str, strategy: str) -> list[str]:
        """Return the nearest neighbours of training targets, where a strategy shows them."""
        needed = self._study.strategies[strategy].needs_neighbours
        return [self._path(paths.NEIGHBOURS, task=task)] if needed else []

    def frozen(self) -> list[str]:
        """Return what is frozen for the grid: evaluation contexts, and prompts of probes."""
        probes = [self._path(paths.PROBE_PROMPTS, task=task) for task in self._grid.probed_tasks]
        return [*(self._path(paths.EVAL_CONTEXTS, task=task) for task in self._grid.tasks), *probes]

    def frozen_before(self, task: str, model: str, system: str) -> list[str]:
        """Return the sign that all is frozen where a system is still to be trained, else nothing.

        What the data can't give is told before anything is trained. A training reads none of it, so a system that is
        trained has no such input: what is frozen may change and trains nothing again
        (see :func:`~contrastive_context.workflow.adoption.adopt`).
        """
        adapters = Path(self._path(paths.SYSTEM_ADAPTERS, task=task, model=model, system=system))
        return [] if self._in_job or adapters.exists() else [self._path(paths.ALL_FROZEN)]

    def aligned_corpus(self, task: str) -> list[str]:
        """Return the training split where a task's anchors are learned from its corpus, or nothing."""
        probes = self._study.tasks[task].probes
        learned = probes is not None and probes.anchors == "aligned_words"
        return [self._path(paths.CORPUS, task=task, split="train")] if learned else []

    def adapters(self, task: str, model: str, system: str) -> list[str]:
        """Return the adapters of a fine-tuned system; none of the base."""
        return [] if system == BASE else [self._path(paths.SYSTEM_ADAPTERS, task=task, model=model, system=system)]

    def segment_scores(self, task: str, scored: str) -> list[str]:
        """Return the segment scores of a task's metrics that a step of their own computes.

        Args:
            task: key of the task.
            scored: a model, for all of its systems, or ``nearest_label``.
        """
        metrics = self._grid.scored_apart(task)
        return [self._path(paths.SEGMENT_SCORES, task=task, scored=scored, metric=metric) for metric in metrics]

    # What these are made of.

    def _packages(self, names: Iterable[str | None]) -> list[str]:
        return [self._path(paths.PACKAGE, package=name) for name in names if name]

    def _hub_records(self, entries: Iterable[tuple[str, str]]) -> list[str]:
        """Return the records of entries, as (registry, name), of which not all are on the hub."""
        found = [entry for entry in entries if entry in self._hub]
        return [self._path(paths.HUB_RECORD, registry=registry, entry=name) for registry, name in found]

    @cached_property
    def _hub(self) -> list[tuple[str, str]]:
        """What the configuration refers to on the hub, as (registry, name)."""
        return [(registry, name) for registry, name, _ in hub_entries(self._study)]

    def _data_sets(self, task: str) -> list[tuple[str, str]]:
        corpus = self._study.tasks[task].corpus
        splits = corpus.splits.values() if corpus.kind == "hub" else ()
        return list(dict.fromkeys(("datasets", split.data) for split in splits))

    @cached_property
    def _models_used(self) -> list[str]:
        """Models of the grid, and those that paraphrase for it."""
        names = {name for task in self._grid.tasks for name in self._grid.trained_paraphrasers(task)}
        stand_ins = [self._study.tasks[task].evaluation.paraphraser for task in self._grid.tasks]
        names |= {name for name in stand_ins if name}
        paraphrasing = [model for name in sorted(names) for model in self._study.paraphrasers[name].models]
        return list(dict.fromkeys([*self._grid.models, *paraphrasing]))


def _file_of(folder: str | None, name: str) -> list[str]:
    return [str(Path(os.path.expanduser(folder), name))] if folder is not None else []  # noqa: PTH111
