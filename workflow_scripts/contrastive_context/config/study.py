"""The whole study: registries, grid, and the checks that concern more than one entry."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field, ValidationError, field_validator

from contrastive_context.config import locations
from contrastive_context.config.base import Distinct, Model, Seed
from contrastive_context.config.cluster import Cluster
from contrastive_context.config.figures import FigureStyle
from contrastive_context.config.finetuning import FineTuning
from contrastive_context.config.learned_metrics import CometModel, LearnedMetric, MetricEncoder
from contrastive_context.config.messages import suggest
from contrastive_context.config.minimal_model import MinimalModel
from contrastive_context.config.models import LanguageModel
from contrastive_context.config.paraphrasers import Paraphraser
from contrastive_context.config.positions import Positions
from contrastive_context.config.safeguards import Safeguards
from contrastive_context.config.secrets import PLACEHOLDER, without_secrets
from contrastive_context.config.sources import DataSet, Encoder, Package
from contrastive_context.config.statistics import Statistics
from contrastive_context.config.strategies import Strategy
from contrastive_context.config.tasks import BY_BLANKS, EXECUTED, Task
from contrastive_context.config.text import CataloguesCorpus
from contrastive_context.core.buckets import DEFAULT_BUCKETS, ascending
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonMapping
from contrastive_context.core.names import NO_TRAINING

#: Synthetic corpora: kind → the kind of encoder whose cosine is the task's similarity.
SYNTHETIC = {"lexicon": "positional_words", "idiom": "word_set"}
_REGISTRIES = (
    "packages", "datasets", "encoders", "paraphrasers", "metric_encoders", "tasks", "models", "strategies",
    "finetuning",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]*(-[A-Za-z0-9._]+)*")


class GridEntry(Model):
    """Which models are fine-tuned on a task, under which strategies, with which seeds and recipe."""

    task: str = Field(description="key under tasks")
    models: Annotated[list[str], Distinct] = Field(min_length=1, description="keys under models")
    strategies: Annotated[list[str], Distinct] = Field(min_length=1, description="keys under strategies")
    seeds: Annotated[list[Seed], Distinct] = Field(min_length=1, description="one fine-tuning each")
    finetuning: str = Field(description="the recipe, key under finetuning")


class Generation(Model):
    """Greedy decoding for the evaluation."""

    batch_tokens: int = Field(8192, ge=1, description="padded tokens, prompt and output, of one batch")
    threads: int = Field(1, ge=1, description="CPU threads of one generation or probe job")


class Study(Model):
    """The typed form of config.yaml and its overlays."""

    run: str = Field(description="results go to results/<run>/")
    title: str = Field("Contrastive context sampling", description="of the report")
    only_finished: bool = Field(False, description="tables, figures and report on what is there; nothing is trained")
    buckets: dict[str, float] = Field(DEFAULT_BUCKETS, description="name → lower edge")
    packages: dict[str, Package] = Field({}, description="packages that text and weights are taken from")
    datasets: dict[str, DataSet] = Field({}, description="data sets of the hub")
    encoders: dict[str, Encoder] = Field({}, description="what similarity is computed with")
    paraphrasers: dict[str, Paraphraser] = Field({}, description="where paraphrases come from")
    metrics: dict[LearnedMetric, CometModel] = Field({}, description="learned metrics; the others need no entry")
    metric_encoders: dict[str, MetricEncoder] = Field({}, description="what learned metrics were built on")
    tasks: dict[str, Task] = Field(description="corpora, templates and how answers are judged")
    models: dict[str, LanguageModel] = Field(description="what is fine-tuned, or paraphrases")
    strategies: dict[str, Strategy] = Field(description="how training contexts are chosen")
    finetuning: dict[str, FineTuning] = Field(description="recipes")
    generation: Generation = Generation()
    safeguards: Safeguards = Safeguards()
    statistics: Statistics = Statistics()
    figures: FigureStyle = FigureStyle()
    minimal_model: MinimalModel = MinimalModel()
    cluster: Cluster = Cluster()
    grid: list[GridEntry] = Field(min_length=1, description="what is run: these entries, and no others of the above")

    @field_validator("buckets")
    @classmethod
    def _edges_ascend(cls, buckets: dict[str, float]) -> dict[str, float]:
        # A mapping that was merged has its keys in any order; those of the paper have one of their own.
        result = {name: buckets[name] for name in ascending(buckets)}
        edges = list(result.values())
        usual = [name for name in result if name in DEFAULT_BUCKETS]
        sorted_names = usual == [name for name in DEFAULT_BUCKETS if name in usual]
        if not edges or edges[0] != 0 or len(set(edges)) < len(edges) or edges[-1] >= 1 or not sorted_names:
            raise ValueError("lower edges must start at 0, ascend and stay below 1")
        return result


def load_study(config: JsonMapping, files: Sequence[str | Path] = (), options: JsonMapping | None = None) -> Study:
    """Build the typed study from the merged configuration.

    Args:
        config: what Snakemake read from config.yaml and the overlays.
        files: what it was read from, for messages; see :class:`~.positions.Positions`.
        options: what ``--config`` gave, for messages.

    Raises:
        UserError: lists every problem with its file, line and key path.
    """
    config, secrets = without_secrets(dict(config))
    problems = [f"{key}: looks like a secret; keep it in an environment variable and name that" for key in secrets]
    try:
        study = Study.model_validate(config)
        problems += _cross_check(study)
    except ValidationError as error:
        problems += locations.problems(error.errors(), Study)
        problems += _cross_check_the_rest(config, [item["loc"] for item in error.errors()])
    if problems:
        # What is wrong with a placeholder says nothing about the secret in its place.
        told = [problem for problem in problems if not secrets or PLACEHOLDER not in problem]
        lines = list(dict.fromkeys(map(Positions(files, options).tell, told)))
        raise UserError(f"the configuration has {len(lines)} problem(s):\n" + "\n".join(f"  {line}" for line in lines))
    return study


def _cross_check_the_rest(config: JsonMapping, mistakes: list[tuple]) -> Iterator[str]:
    """Cross-check the entries that have no mistake of their own.

    What names an entry with a mistake may be wrong for that alone and is left until the mistake is mended.

    Args:
        config: the configuration.
        mistakes: where pydantic found them.
    """
    blank = GridEntry.model_construct(task="", models=[], strategies=[], seeds=[], finetuning="")
    required = {"run": "x", "tasks": {}, "models": {}, "strategies": {}, "finetuning": {}, "grid": [blank]}
    rest = {**required, **{key: copy(value) for key, value in config.items()}}
    mistaken = set()
    for section, *below in mistakes:
        entries = rest.get(section)
        if below and isinstance(entries, dict) and section in _REGISTRIES:
            entries.pop(below[0], None)
            mistaken.add(str(below[0]))
        elif below and isinstance(entries, list):
            entries[below[0]] = blank
            mistaken.add(f"{section}.{below[0]}")
        else:
            rest.pop(section, None)
            rest |= {key: value for key, value in required.items() if key == section}
            mistaken.add(str(section))
    try:
        study = Study.model_validate(rest)
    except ValidationError:
        return
    names = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in mistaken))
    yield from (problem for problem in _cross_check(study) if not names.search(problem))


def _cross_check(study: Study) -> Iterator[str]:
    yield from _check_names(study)
    for name, encoder in study.encoders.items():
        if encoder.kind == "sentence_transformer":
            if sum(x is not None for x in (encoder.package, encoder.folder, encoder.hub)) != 1:
                yield f"encoders.{name}: give exactly one of package, folder and hub"
            if encoder.package is not None:
                yield from _check_reference(f"encoders.{name}.package", encoder.package, study.packages, "packages")
    for name, model in study.models.items():
        if model.kind == "gguf_package":
            yield from _check_reference(f"models.{name}.package", model.package, study.packages, "packages")
    for name, metric in study.metrics.items():
        yield from _check_reference(f"metrics.{name}.encoder", metric.encoder, study.metric_encoders, "metric_encoders")
    for name, paraphraser in study.paraphrasers.items():
        for model_name in paraphraser.models:
            yield from _check_reference(f"paraphrasers.{name}", model_name, study.models, "models")
    for name, task in study.tasks.items():
        yield from _check_task(name, task, study)
    for name, strategy in study.strategies.items():
        yield from (f"strategies.{name}.{problem}" for problem in strategy.problems(list(study.buckets)))
        if strategy.ablation:
            of = strategy.ablation.of
            yield from _check_reference(f"strategies.{name}.ablation.of", of, study.strategies, "strategies")
            if of == name or (of in study.strategies and study.strategies[of].ablation):
                yield f"strategies.{name}.ablation.of: {of!r} is an ablation itself; name a main strategy"
        for task_name, chosen in strategy.paraphrasers.items():
            where = f"strategies.{name}.paraphrasers"
            yield from _check_reference(where, task_name, study.tasks, "tasks")
            yield from _check_reference(f"{where}.{task_name}", chosen, study.paraphrasers, "paraphrasers")
            if task_name in study.tasks and chosen in study.paraphrasers:
                yield from _check_paraphraser(f"{where}.{task_name}", task_name, chosen, study)
    for name, recipe in study.finetuning.items():
        if beyond := [step for step in recipe.checkpoints if not 0 <= step <= recipe.steps]:
            yield f"finetuning.{name}.checkpoints: {beyond} not within 0 and steps ({recipe.steps})"
        if recipe.warmup_steps > recipe.steps:
            yield f"finetuning.{name}.warmup_steps: {recipe.warmup_steps} is more than steps ({recipe.steps})"
    yield from _check_grid(study)


def _check_names(study: Study) -> Iterator[str]:
    names = [(f"{registry}.{name}", name) for registry in _REGISTRIES for name in getattr(study, registry)]
    names += [(f"tasks.{task}.test_sets", name) for task, entry in study.tasks.items() for name in entry.test_sets]
    names.append(("run", study.run))
    for where, name in names:
        # Names become file names and wildcards: no slashes, no leading dots, nothing that a shell would read.
        if not _NAME.fullmatch(name) or re.search(r"-seed\d", name):
            yield f"{where}: {name!r} can't be used as a name; use letters, digits, '.', '_' and single '-'"
    for name in study.strategies:
        if name in NO_TRAINING:
            yield f"strategies.{name}: the name is reserved for a system that is always evaluated"


def _check_reference(where: str, name: str, registry: Mapping[str, object], kind: str) -> Iterator[str]:
    if name not in registry:
        known = ", ".join(registry) or "none"
        yield f"{where}: {name!r} is not in {kind}{suggest(name, registry)} (known: {known})"


def _check_task(name: str, task: Task, study: Study) -> Iterator[str]:
    yield from _check_reference(f"tasks.{name}.encoder", task.encoder, study.encoders, "encoders")
    if task.corpus.kind == "home_assistant_intents":
        where = f"tasks.{name}.corpus.package"
        yield from _check_reference(where, task.corpus.package, study.packages, "packages")
    if task.corpus.kind == "catalogues":
        yield from _check_catalogues(f"tasks.{name}.corpus", task.corpus, study)
    if encoder := study.encoders.get(task.encoder):
        for kind, own in SYNTHETIC.items():
            if (task.corpus.kind == kind) != (encoder.kind == own):
                yield f"tasks.{name}.encoder: kind {own} goes with corpora of kind {kind}, and only with them"
    for metric in task.metrics:
        if metric in EXECUTED and not hasattr(task.corpus, "query_limits"):
            yield f"tasks.{name}.metrics: {metric} runs queries; it goes with corpora of Text-to-SQL only"
        if metric in get_args(LearnedMetric) and metric not in study.metrics:
            yield f"tasks.{name}.metrics: {metric} is a learned metric; say under metrics.{metric} which model it is"
    yield from _check_bleu(name, task)
    if encoder is not None and encoder.kind == "bm25" and task.index.kind == "hnswlib":
        yield f"tasks.{name}.index.kind: hnswlib can't index BM25; use exact or auto"
    if task.evaluation.paraphraser is not None:
        yield from _check_stand_ins(name, task.evaluation.paraphraser, study)
    if task.index.neighbours < task.k:
        yield f"tasks.{name}.index.neighbours: {task.index.neighbours} is less than k ({task.k})"
    if task.corpus.kind == "hub":
        for key, split in task.corpus.splits.items():
            yield from _check_reference(f"tasks.{name}.corpus.{key}.data", split.data, study.datasets, "datasets")
        for first, second in task.corpus.overlaps():
            yield f"tasks.{name}.corpus: {first} and {second} take the same rows; give them parts that don't overlap"
    known = set(task.corpus.test if task.corpus.kind == "hub" else getattr(task.corpus, "test_sets", ["in_domain"]))
    for test_set in task.test_sets:
        if test_set not in known:
            yield f"tasks.{name}.test_sets: the corpus has no test set {test_set!r}{suggest(test_set, known)}"


def _check_bleu(name: str, task: Task) -> Iterator[str]:
    cleaning = getattr(task.corpus, "cleaning", None)
    if "bleu" in task.metrics and cleaning is not None and cleaning.target_script is not None:
        from contrastive_context.text.words import UNSPACED_SCRIPTS

        if cleaning.target_script in UNSPACED_SCRIPTS and task.bleu.tokenize in BY_BLANKS:
            yield (
                f"tasks.{name}.bleu.tokenize: {task.bleu.tokenize} divides words at blanks, which targets in "
                f"{cleaning.target_script} don't have; set it to char, or zh for Chinese"
            )


def _check_catalogues(where: str, corpus: CataloguesCorpus, study: Study) -> Iterator[str]:
    suffixes = {"home_assistant": ".whl", "chromium": ".deb", "gettext": ".deb"}
    for domain, catalogue in corpus.catalogues.items():
        names = [catalogue.package] if isinstance(catalogue.package, str) else catalogue.package
        for name in names:
            key = f"{where}.{domain}_{'of_' if domain == 'out' else ''}domain.package"
            yield from _check_reference(key, name, study.packages, "packages")
            suffix = suffixes[catalogue.format]
            if name in study.packages and not study.packages[name].filename.endswith(suffix):
                yield f"{key}: {name} is no {suffix} file, which catalogues of {catalogue.format} come in"


def _check_language(where: str, model: str, task: str, study: Study) -> Iterator[str]:
    """Check that a tiny model meets the synthetic language that it was pre-trained on, and nothing else."""
    entry = study.models.get(model)
    if entry is not None and entry.kind == "pretrain" and task in study.tasks:
        language, kind = entry.language, study.tasks[task].corpus.kind
        if language != kind:
            yield f"{where}: {model} knows the language {language} only, but {task}'s corpus is of kind {kind}"


def _check_paraphraser(where: str, task: str, paraphraser: str, study: Study) -> Iterator[str]:
    kinds = study.tasks[task].corpus.kind, study.paraphrasers[paraphraser].kind
    if kinds[0] != kinds[1] and (synthetic := SYNTHETIC.keys() & set(kinds)):
        kind = min(synthetic)
        yield f"{where}: kind {kind} goes with corpora of kind {kind}, and only with them"
    # Corpora that don't say their language are taken for English.
    language = getattr(study.tasks[task].corpus, "source_language", "en")
    if kinds[1] == "rules" and language != "en":
        yield (
            f"{where}: kind rules rewords English only, and {task}'s sources are in {language!r}; take a "
            "paraphraser of another kind, or a strategy with epsilon 0"
        )


def _check_stand_ins(task: str, paraphraser: str, study: Study) -> Iterator[str]:
    where = f"tasks.{task}.evaluation.paraphraser"
    yield from _check_reference(where, paraphraser, study.paraphrasers, "paraphrasers")
    if paraphraser not in study.paraphrasers:
        return
    yield from _check_paraphraser(where, task, paraphraser, study)
    # Else the evaluation would reward knowing a paraphraser's habits.
    for name, strategy in study.strategies.items():
        trained = study.paraphrasers.get(strategy.paraphrasers.get(task, ""))
        if trained is not None and trained.origin == study.paraphrasers[paraphraser].origin:
            yield f"{where}: strategies.{name} trains on the same paraphraser; take another one for the evaluation"


def _check_grid(study: Study) -> Iterator[str]:
    recipes: dict[tuple[str, str, str], str] = {}
    for number, entry in enumerate(study.grid):
        where = f"grid.{number}"
        yield from _check_reference(f"{where}.task", entry.task, study.tasks, "tasks")
        yield from _check_reference(f"{where}.finetuning", entry.finetuning, study.finetuning, "finetuning")
        for model in entry.models:
            yield from _check_reference(f"{where}.models", model, study.models, "models")
            for name in entry.strategies:
                if recipes.setdefault((entry.task, model, name), entry.finetuning) != entry.finetuning:
                    yield f"{where}.finetuning: {model} on {entry.task}, {name}, has another recipe in an earlier entry"
            yield from _check_language(f"{where}.models", model, entry.task, study)
        for name in entry.strategies:
            yield from _check_reference(f"{where}.strategies", name, study.strategies, "strategies")
            strategy = study.strategies.get(name)
            if strategy is None or entry.task not in study.tasks:
                continue
            if strategy.needs_paraphrases and entry.task not in strategy.paraphrasers:
                yield f"strategies.{name}.paraphrasers: none for task {entry.task!r}, which grid.{number} trains"
            depth = study.tasks[entry.task].index.neighbours
            if strategy.needs_neighbours and (strategy.k or 0) > depth:
                yield f"strategies.{name}.k: {strategy.k} is more than tasks.{entry.task}.index.neighbours ({depth})"
