"""What each rule depends on: for every stage the slice of the configuration that becomes its one tracked parameter.

Snakemake compares parameters as an unnamed set of values and does not see what a shell command interpolates. So each
rule has a single parameter: the canonical JSON of the leaves that the stage reads, with their names, and the version of
the code that reads them. The entry point gets the same string as ``--settings``.
"""

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from contrastive_context.config.base import Model
from contrastive_context.config.cluster import ModelStage, Needs
from contrastive_context.config.hub_entries import HubEntry, hub_entries
from contrastive_context.config.study import GridEntry, Study
from contrastive_context.config.tasks import EXECUTED
from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.errors import UserError
from contrastive_context.workflow.code_versions import CodeVersions
from contrastive_context.workflow.progress import ANSWERS, PROBES, Unfinished, unfinished


class Stages:
    """Settings, inputs and grid of every stage, by wildcard values.

    Args:
        study: the validated study.
        scripts: folder of the entry points.
        cache: file in which the versions of unchanged code are kept between runs.
    """

    def __init__(self, study: Study, scripts: str | Path, cache: str | Path) -> None:
        self.study = study
        self._versions = CodeVersions(Path(scripts), Path(cache))

    def _settings(self, script: str, **leaves: Any) -> str:
        def plain(value: Any) -> Any:
            return value.model_dump(mode="json") if isinstance(value, Model) else value

        values = {name: plain(value) for name, value in leaves.items()}
        return canonical_json({**values, "code_version": self._versions.of(script, values)})

    def _model(self, task: str, model: str) -> dict[str, Any]:
        entry = self.study.models[model]
        template = self.study.tasks[task].template
        return {"task": task, "model_name": model, "dtype": entry.dtype, "device": entry.device, "template": template}

    def _encoder(self, encoder: str) -> dict[str, Any]:
        # Which revision of the hub was downloaded is in the record, whatever name it was asked for by.
        return self.study.encoders[encoder].model_dump(mode="json", exclude={"licence", "revision"})

    def _corpus(self, task: str) -> dict[str, Any]:
        # How a source is called in the report doesn't change its text.
        return self.study.tasks[task].corpus.model_dump(mode="json", exclude={"licence", "origin"})

    def _recipe_of(self, task: str, model: str, strategy: str) -> Any:
        recipe = self.recipe(task, model)
        if not self.study.strategies[strategy].token_matched:
            return recipe
        # k examples and the target, each about as long as one zero-shot prompt.
        return recipe.model_copy(
            update={"examples_per_step": recipe.examples_per_step * (self.study.tasks[task].k + 1)}
        )

    # Settings, one method per rule, in the order data flows.

    def fetch_package(self, package: str) -> str:
        return self._settings("fetch_package", name=package, package=self.study.packages[package])

    def fetch_hub(self, registry: str, name: str) -> str:
        return self._settings("fetch_hub", registry=registry, name=name, entry=self._hub[registry, name])

    def prefetch(self) -> str:
        return self._settings("prefetch", run=self.study.run)

    def prepare_encoder(self, encoder: str) -> str:
        return self._settings("prepare_encoder", name=encoder, encoder=self._encoder(encoder))

    def prepare_model(self, model: str) -> str:
        entry = self.study.models[model]
        # Scheduling and captions don't change the weights; which revision was downloaded is in the record.
        unused = {"dtype", "device", "mem_mb", "runtime", "stages", "title", "target_modules", "licence", "revision"}
        leaves = entry.model_dump(mode="json", exclude=unused | {"gradient_checkpointing"})
        return self._settings("prepare_model", name=model, model=leaves)

    def build_corpus(self, task: str) -> str:
        entry = self.study.tasks[task]
        return self._settings(
            "build_corpus", task=task, corpus=self._corpus(task), test_sets=entry.test_sets, stop=entry.template.stop
        )

    def embed_corpus(self, task: str) -> str:
        encoder = self.study.tasks[task].encoder
        return self._settings("embed_corpus", name=encoder, encoder=self._encoder(encoder))

    def find_neighbours(self, task: str) -> str:
        entry = self.study.tasks[task]
        return self._settings("find_neighbours", task=task, index=entry.index, k=entry.k)

    def ask_endpoint(self, task: str, split: str, paraphraser: str) -> str:
        entry = self.study.paraphrasers[paraphraser].model_dump(mode="json", exclude={"min_similarity"})
        ends = getattr(self.study.tasks[task].corpus, "question_ends", ())
        return self._settings(
            "ask_endpoint",
            task=task,
            split=split,
            paraphraser_name=paraphraser,
            paraphraser=entry,
            question_ends=list(ends),
        )

    def paraphrase(self, task: str, split: str, paraphraser: str) -> str:
        entry, chosen = self.study.tasks[task], self.study.paraphrasers[paraphraser]
        models = {name: self.study.models[name] for name in chosen.models}
        return self._settings(
            "paraphrase",
            task=task,
            split=split,
            paraphraser_name=paraphraser,
            paraphraser=chosen,
            models={name: {"dtype": model.dtype, "device": model.device} for name, model in models.items()},
            corpus=entry.corpus.model_dump(mode="json", exclude={"licence", "origin"}),
            encoder=self._encoder(entry.encoder),
        )

    def sample_train_contexts(self, task: str, strategy: str) -> str:
        entry = self.study.tasks[task]
        chosen = self.study.strategies[strategy]
        leaves = chosen.model_dump(mode="json", include={"kind", "p", "epsilon", "without", "augmentation"})
        # Only this task's paraphraser: adding one for another task changes nothing here.
        leaves["paraphrasers"] = {name: value for name, value in chosen.paraphrasers.items() if name == task}
        drawn = {"k": chosen.k or entry.k, "draws": entry.draws, "seed": entry.context_seed}
        if chosen.kind == "zero" and not chosen.augmentation:
            # Nothing is drawn; one empty context per target serves every epoch.
            drawn = {"k": 1, "draws": 1, "seed": 0}
        return self._settings(
            "sample_train_contexts",
            task=task,
            strategy_name=strategy,
            strategy=leaves,
            **drawn,
            # Where buckets are removed the nearest neighbour left may stand far down.
            neighbours=entry.index.neighbours if chosen.without else None,
            # Other edges of the evaluation train nothing again: the table's own column keeps the paper's.
            buckets=self.study.buckets if chosen.without else Study.model_fields["buckets"].default,
        )

    def finetune(self, task: str, model: str, strategy: str, seed: str | int) -> str:
        return self._settings(
            "finetune",
            **self._model(task, model),
            recipe=self._recipe_of(task, model, strategy),
            strategy_name=strategy,
            seed=int(seed),
            gradient_checkpointing=self.study.models[model].gradient_checkpointing,
        )

    def freeze_eval_contexts(self, task: str) -> str:
        entry = self.study.tasks[task]
        return self._settings(
            "freeze_eval_contexts",
            task=task,
            k=entry.k,
            agreement=entry.agreement,
            evaluation=entry.evaluation,
            buckets=self.study.buckets,
        )

    def freeze_probes(self, task: str) -> str:
        entry = self.study.tasks[task]
        return self._settings(
            "freeze_probes",
            task=task,
            test_set=entry.test_sets[0],
            k=entry.k,
            agreement=entry.agreement,
            # Which measures are taken matters to the probe jobs only.
            probes=entry.probes.model_dump(mode="json", exclude={"measures"}),
            buckets=self.study.buckets,
            max_agreement=entry.evaluation.max_agreement,
        )

    def generate(self, task: str, model: str) -> str:
        return self._settings(
            "generate",
            **self._model(task, model),
            **self.study.generation.model_dump(mode="json"),
        )

    def run_probes(self, task: str, model: str) -> str:
        return self._settings(
            "run_probes",
            **self._model(task, model),
            measures=self.study.tasks[task].probes.measures,
            agreement=self.study.tasks[task].agreement,
            **self.study.generation.model_dump(mode="json"),
        )

    def predict_nearest_label(self, task: str) -> str:
        return self._settings("predict_nearest_label", task=task)

    def score(self, task: str, model: str) -> str:
        entry = self.study.tasks[task]
        return self._settings("score", task=task, model_name=model, metrics=entry.metrics, bleu=entry.bleu)

    def list_segments(self, task: str) -> str:
        return self._settings("list_segments", task=task)

    def score_comet(self, metric: str) -> str:
        model = self.study.metrics[metric]
        # Scheduling and captions change no score.
        leaves = model.model_dump(mode="json", exclude={"mem_mb", "runtime", "licence"})
        encoder = self.study.metric_encoders[model.encoder].model_dump(mode="json", exclude={"licence"})
        return self._settings("score_comet", metric=metric, model=leaves, encoder=encoder)

    def score_execution(self, task: str) -> str:
        return self._settings("score_execution", task=task, corpus=self._corpus(task))

    def simulate_minimal_model(self) -> str:
        return self._settings("simulate_minimal_model", **self.study.minimal_model.model_dump(mode="json"))

    def collect_examples(self, task: str, model: str) -> str:
        headline = self.study.tasks[task].metrics[0]
        return self._settings(
            "collect_examples", task=task, model_name=model, metric=headline, buckets=self.study.buckets
        )

    def build_tables(self) -> str:
        entries = {task: self.study.tasks[task] for task in self.tasks}
        return self._settings(
            "build_tables",
            statistics=self.study.statistics,
            buckets=self.study.buckets,
            strategies={name: self.study.strategies[name].kind for name in self.strategies},
            headline={task: entry.metrics[0] for task, entry in entries.items()},
            compositions={task: entry.evaluation.compositions for task, entry in entries.items()},
            tokenizers={task: entry.bleu.tokenize for task, entry in entries.items() if "bleu" in entry.metrics},
            learned={metric: self._checkpoint(metric) for task in self.tasks for metric in self.learned_metrics(task)},
        )

    def _checkpoint(self, metric: str) -> dict[str, str | None]:
        """What the signature of a learned metric names."""
        model = self.study.metrics[metric]
        encoder = self.study.metric_encoders[model.encoder]
        return {
            "model": model.hub or model.checkpoint,
            "sha256": model.sha256,
            "encoder_name": model.encoder,
            "encoder": encoder.hub or encoder.folder,
        }

    def rebucket(self, task: str, encoder: str) -> str:
        evaluation = self.study.tasks[task].evaluation
        return self._settings(
            "rebucket",
            task=task,
            name=encoder,
            encoder=self._encoder(encoder),
            buckets=self.study.buckets,
            min_targets=min(evaluation.min_targets, evaluation.targets),
            statistics=self.study.statistics,
        )

    def plot_minimal_model(self) -> str:
        conditions = self.study.minimal_model.conditions
        titles = {name: condition.title for name, condition in conditions.items()}
        return self._settings("plot_minimal_model", style=self.study.figures, titles=titles)

    def plot(self, script: str) -> str:
        """Return the settings of a step that draws scores or probes."""
        gaps = {"unfinished": [entry._asdict() for entry in self.unfinished]} if self.unfinished else {}
        return self._settings(
            script,
            **gaps,
            style=self.study.figures,
            buckets=self.study.buckets,
            tasks=self._named(self.study.tasks, self.tasks),
            models=self._named(self.study.models, self.models),
            strategies=self._named(self.study.strategies, self.strategies),
            expected=self._strategies_by_model(),
            defaults=self._defaults(),
            headline={task: self.study.tasks[task].metrics[0] for task in self.tasks},
            confidence=self.study.statistics.confidence,
        )

    def build_report(self) -> str:
        return self._settings(
            "build_report",
            title=self.study.title,
            run=self.study.run,
            config=self.study.model_dump(mode="json", exclude={"cluster"}),
            tasks=self.tasks,
            models=self.models,
            task_titles=self._titles(self.study.tasks, self.tasks),
            model_titles=self._titles(self.study.models, self.models),
            strategy_titles=self._titles(self.study.strategies, self.strategies),
            headline={task: self.study.tasks[task].metrics[0] for task in self.tasks},
        )

    @staticmethod
    def _titles(registry: dict[str, Any], names: list[str]) -> dict[str, str]:
        return {name: registry[name].title or name for name in names}

    @staticmethod
    def _named(registry: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
        """Entries in drawing order, which a mapping would lose in canonical JSON."""
        entries = [{"name": name, "title": registry[name].title or name} for name in names]
        for entry in entries:
            if isinstance(kind := getattr(registry[entry["name"]], "kind", None), str):
                entry["kind"] = kind
            if ablation := getattr(registry[entry["name"]], "ablation", None):
                entry["ablation"] = ablation.model_dump(mode="json")
        return entries

    def _strategies_by_model(self) -> dict[str, dict[str, list[str]]]:
        """task → model → the strategies that the grid trains."""
        result: dict[str, dict[str, list[str]]] = {}
        for entry in self.study.grid:
            for model in entry.models:
                names = result.setdefault(entry.task, {}).setdefault(model, [])
                names += [name for name in entry.strategies if name not in names]
        return result

    def _defaults(self) -> dict[str, dict[str, Any]]:
        """Of each strategy that has ablations: its own values of the factors that are settings of strategies."""
        result: dict[str, dict[str, Any]] = {}
        for name in self.strategies:
            if ablation := self.study.strategies[name].ablation:
                value = getattr(self.study.strategies[ablation.of], ablation.factor, None)
                if ablation.factor == "paraphraser":
                    value = self._paraphrasers_beside(name, ablation.of)
                if isinstance(value, (bool, float, str)):
                    result.setdefault(ablation.of, {})[ablation.factor] = value
                elif value == []:
                    result.setdefault(ablation.of, {})[ablation.factor] = "none"
        return result

    def _paraphrasers_beside(self, ablation: str, of: str) -> str:
        """Name the paraphrasers that a strategy has on the tasks on which its ablation is trained."""
        own = self.study.strategies[of].paraphrasers
        tasks = [entry.task for entry in self.study.grid if ablation in entry.strategies]
        return " or ".join(dict.fromkeys(own[task] for task in tasks if task in own)) or "none"

    # The grid.

    def recipe(self, task: str, model: str) -> Any:
        """Return the fine-tuning recipe of a model on a task, with the model's own LoRA targets where it has some."""
        recipe = self.study.finetuning[
            next(entry.finetuning for entry in self.study.grid if entry.task == task and model in entry.models)
        ]
        targets = self.study.models[model].target_modules
        if targets is None:
            return recipe
        return recipe.model_copy(update={"lora": recipe.lora.model_copy(update={"target_modules": targets})})

    @cached_property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(entry.task for entry in self.study.grid))

    @cached_property
    def models(self) -> list[str]:
        return list(dict.fromkeys(model for entry in self.study.grid for model in entry.models))

    @cached_property
    def strategies(self) -> list[str]:
        return list(dict.fromkeys(strategy for entry in self.study.grid for strategy in entry.strategies))

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(task, model) pairs of the grid."""
        return list(dict.fromkeys((entry.task, model) for entry in self.study.grid for model in entry.models))

    @cached_property
    def _systems(self) -> dict[tuple[str, str], list[str]]:
        result: dict[tuple[str, str], dict[str, None]] = {pair: {"base": None} for pair in self.pairs}
        for entry in self.study.grid:
            for model in entry.models:
                result[entry.task, model] |= dict.fromkeys(self._tuned(entry))
        return {pair: list(names) for pair, names in result.items()}

    @staticmethod
    def _tuned(entry: GridEntry) -> Iterator[str]:
        for strategy in entry.strategies:
            for seed in entry.seeds:
                yield f"{strategy}-seed{seed}"

    def systems(self, task: str, model: str) -> list[str]:
        """Return ``base`` and every fine-tuned system, ``<strategy>-seed<seed>``, of a model on a task."""
        return self._systems[task, model]

    # What of the grid is reported on: all of it, or with ``only_finished`` what is finished.

    @cached_property
    def unfinished(self) -> list[Unfinished]:
        """What is left out of tables, figures and report, and why; nothing unless ``only_finished`` is set."""
        return list(unfinished(self, f"results/{self.study.run}")) if self.study.only_finished else []

    def check_finished(self) -> None:
        """Raise a :class:`UserError` where a report on what is finished is asked for and nothing is."""
        if self.unfinished and not self.scored_pairs:
            reasons = Counter(gap.reason for gap in self.unfinished if gap.what == ANSWERS)
            counts = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
            raise UserError(
                f"only_finished: no system of the grid of results/{self.study.run} has current answers ({counts}); "
                "run the study first"
            )

    @cached_property
    def _left_out(self) -> set[tuple[str, ...]]:
        return {(gap.what, gap.task, gap.model, gap.system) for gap in self.unfinished}

    def answering(self, task: str, model: str) -> list[str]:
        """Return the systems of a model on a task whose answers are reported on."""
        return [name for name in self.systems(task, model) if (ANSWERS, task, model, name) not in self._left_out]

    def probed(self, task: str, model: str) -> list[str]:
        """Return the systems of a model on a task whose probe values are reported on."""
        return [name for name in self.systems(task, model) if (PROBES, task, model, name) not in self._left_out]

    @cached_property
    def scored_pairs(self) -> list[tuple[str, str]]:
        """(task, model) pairs with a system whose answers are reported on."""
        return [pair for pair in self.pairs if self.answering(*pair)]

    @cached_property
    def scored_tasks(self) -> list[str]:
        """Tasks of these pairs."""
        return list(dict.fromkeys(task for task, _ in self.scored_pairs))

    # Inputs that depend on the configuration.

    def corpus_packages(self, task: str) -> list[str]:
        """Return the packages that a task's corpus is read from."""
        return getattr(self.study.tasks[task].corpus, "packages", [])

    def corpus_files(self, task: str) -> list[str]:
        """Return the user's own files that a task's corpus is read from."""
        return getattr(self.study.tasks[task].corpus, "paths", [])

    def encoder_package(self, encoder: str) -> str | None:
        """Return the package that an encoder is read from, or None."""
        return getattr(self.study.encoders[encoder], "package", None)

    def model_package(self, model: str) -> str | None:
        """Return the package that a model is read from, or None."""
        return getattr(self.study.models[model], "package", None)

    def encoder_folder(self, encoder: str) -> list[str]:
        """Return the file without which an encoder's own folder is none, or nothing."""
        folder = getattr(self.study.encoders[encoder], "folder", None)
        return [str(Path(os.path.expanduser(folder), "modules.json"))] if folder is not None else []  # noqa: PTH111

    def model_folder(self, model: str) -> list[str]:
        """Return the file without which a model's own folder is none, or nothing."""
        folder = getattr(self.study.models[model], "path", None)
        return [str(Path(os.path.expanduser(folder), "config.json"))] if folder is not None else []  # noqa: PTH111

    def corpus_hub(self, task: str) -> list[tuple[str, str]]:
        """Return the data sets of the hub that a task's corpus is read from, as (registry, name)."""
        corpus = self.study.tasks[task].corpus
        splits = corpus.splits.values() if corpus.kind == "hub" else ()
        return list(dict.fromkeys(("datasets", split.data) for split in splits))

    def encoder_hub(self, encoder: str) -> list[tuple[str, str]]:
        """Return the hub's entry that an encoder is read from, or nothing."""
        return [key for key in self._hub if key == ("encoders", encoder)]

    def model_hub(self, model: str) -> list[tuple[str, str]]:
        """Return the hub's entry that a model is read from, or nothing."""
        return [key for key in self._hub if key == ("models", model)]

    def metric_hub(self, metric: str) -> list[tuple[str, str]]:
        """Return the hub's entry that a learned metric is read from, or nothing."""
        return [key for key in self._hub if key == ("metrics", metric)]

    def metric_records(self) -> list[tuple[str, str]]:
        """Return the hub's entries of all learned metrics of the grid and of their encoders."""
        metrics = dict.fromkeys(metric for task in self.tasks for metric in self.learned_metrics(task))
        found = [entry for name in metrics for entry in (*self.metric_hub(name), *self.metric_encoder_hub(name))]
        return list(dict.fromkeys(found))

    def metric_encoder_hub(self, metric: str) -> list[tuple[str, str]]:
        """Return the hub's entry of the encoder that a learned metric was built on, or nothing."""
        return [key for key in self._hub if key == ("metric_encoders", self.study.metrics[metric].encoder)]

    @cached_property
    def _hub(self) -> dict[tuple[str, str], HubEntry]:
        return {(registry, name): entry for registry, name, entry in hub_entries(self.study)}

    @cached_property
    def hub_used(self) -> list[tuple[str, str]]:
        """What the grid takes from the hub, as (registry, name)."""
        used = {key for task in self.tasks for key in self.corpus_hub(task)}
        used |= {("encoders", self.study.tasks[task].encoder) for task in self.tasks}
        used |= {("models", model) for model in self._models_used}
        for metric in {metric for task in self.tasks for metric in self.learned_metrics(task)}:
            used |= {("metrics", metric), ("metric_encoders", self.study.metrics[metric].encoder)}
        return [key for key in self._hub if key in used]

    @cached_property
    def packages_used(self) -> list[str]:
        """Packages that the grid is read from."""
        names: list[str | None] = [name for task in self.tasks for name in self.corpus_packages(task)]
        names += [self.encoder_package(self.study.tasks[task].encoder) for task in self.tasks]
        names += [self.model_package(model) for model in self._models_used]
        return list(dict.fromkeys(name for name in names if name))

    @cached_property
    def _models_used(self) -> list[str]:
        """Models of the grid, and those that paraphrase for it."""
        names = {self.paraphraser(entry.task, strategy) for entry in self.study.grid for strategy in entry.strategies}
        names |= {self.study.tasks[task].evaluation.paraphraser for task in self.tasks}
        paraphrasers = [self.study.paraphrasers[name] for name in sorted(names - {None})]
        return list(dict.fromkeys([*self.models, *(model for entry in paraphrasers for model in entry.models)]))

    def paraphraser(self, task: str, strategy: str) -> str | None:
        """Return the paraphraser that a strategy needs on a task, or None."""
        entry = self.study.strategies[strategy]
        return entry.paraphrasers[task] if entry.needs_paraphrases else None

    def trained_paraphrasers(self, task: str) -> list[str]:
        """Return the paraphrasers that the grid's strategies need on a task."""
        entries = [entry for entry in self.study.grid if entry.task == task]
        names = {self.paraphraser(task, strategy) for entry in entries for strategy in entry.strategies}
        return sorted(names - {None})

    def needs_neighbours(self, strategy: str) -> bool:
        """Return whether a strategy shows nearest neighbours."""
        return self.study.strategies[strategy].needs_neighbours

    def learned_metrics(self, task: str) -> list[str]:
        """Return the metrics of a task that a model computes, in an environment of its own."""
        return [metric for metric in self.study.tasks[task].metrics if metric in self.study.metrics]

    def scored_apart(self, task: str) -> list[str]:
        """Return the metrics of a task whose segments a step of their own scores."""
        executed = [metric for metric in self.study.tasks[task].metrics if metric in EXECUTED]
        return [*self.learned_metrics(task), *executed]

    @property
    def safeguards(self) -> str:
        """Return when fine-tuning saves and stops, as JSON quoted for a rule's shell command.

        No result depends on it, so it is no part of the settings.
        """
        text = canonical_json(self.study.safeguards.model_dump(mode="json"))
        return shlex.quote(text).replace("{", "{{").replace("}", "}}")

    # Resources.

    def resources(self, stage: str) -> dict[str, Callable[..., int | str]]:
        """Return Snakemake's ``resources`` of a stage's rule: functions of the wildcards and the attempt.

        Args:
            stage: name of the rule.
        """

        def ask(name: str) -> Callable[..., int | str]:
            return lambda wildcards, attempt: self._request(stage, wildcards, attempt)[name]

        return {name: ask(name) for name in self.study.cluster.resources}

    def _request(self, stage: str, wildcards: Any, attempt: int) -> dict[str, int | str]:
        study = self.study
        needs: Any = study.cluster.stages.get(stage, Needs())
        on_gpu = False
        if stage in get_args(ModelStage):
            needs = study.models[wildcards.model]
            on_gpu = needs.device == "cuda" and stage != "prepare_model"
            if own := needs.stages.get(stage):
                needs = needs.model_copy(update=own.model_dump(exclude_none=True))
        elif stage == "score_comet":
            needs = study.metrics[wildcards.metric]
            on_gpu = needs.device == "cuda"
        elif stage == "rebucket":
            on_gpu = getattr(study.encoders[wildcards.encoder], "device", "cpu") == "cuda"
        elif stage in ("embed_corpus", "paraphrase"):
            on_gpu = getattr(study.encoders[study.tasks[wildcards.task].encoder], "device", "cpu") == "cuda"
            # A paraphraser may run a model, and what comes out is embedded in the same job.
            if stage == "paraphrase" and (models := study.paraphrasers[wildcards.paraphraser].models):
                needs = study.models[models[0]]
                on_gpu |= needs.device == "cuda"
        return study.cluster.request(needs.mem_mb, needs.runtime, int(on_gpu), attempt)
