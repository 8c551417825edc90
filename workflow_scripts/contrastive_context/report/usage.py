"""What of a configuration its grid uses: the entries a report shows, and the files that are the run's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from contrastive_context.core import paths
from contrastive_context.core.json_types import JsonDict, JsonMapping
from contrastive_context.core.names import BASE, NEAREST_LABEL, tuned_system
from contrastive_context.core.sidecars import SUFFIX

REGISTRIES = (
    "packages", "datasets", "encoders", "paraphrasers", "metrics", "metric_encoders", "tasks", "models", "strategies",
    "finetuning",
)  # fmt: skip

#: Name in a path → the registry that it is a key of.
_REGISTRY_OF = {
    "package": "packages", "encoder": "encoders", "paraphraser": "paraphrasers", "task": "tasks",
    "strategy": "strategies",
}  # fmt: skip
#: The report itself, what is asked for beside it, and the text files between answers and scores.
_NOT_LISTED = {
    "build_report", "prefetch", "rebucket", "list_segments", "score_comet", "score_execution",
}  # fmt: skip


@dataclass(frozen=True)
class Usage:
    """Names in use.

    Attributes:
        names: registry (one of ``REGISTRIES``) → names.
        systems: (task, model) → fine-tuned systems, ``<strategy>-seed<seed>``, and ``base``.
        unprobed: tasks that are not probed, whatever was probed before.
    """

    names: Mapping[str, frozenset[str]]
    systems: Mapping[tuple[str, str], frozenset[str]]
    unprobed: frozenset[str] = frozenset()

    def has_made(self, path: PurePath) -> bool:
        """Whether the sidecar of a run's folder, its path relative to it, is of a step of the grid.

        What a folder's name stands for depends on its place: a model may be called like a task.
        """
        made = paths.made_by(str(path).removesuffix(SUFFIX))
        if made is None or made.step in _NOT_LISTED:
            return False
        names = made.names
        if made.step in ("freeze_probes", "run_probes") and names["task"] in self.unprobed:
            return False
        if any(names[key] not in self.names[registry] for key, registry in _REGISTRY_OF.items() if key in names):
            return False
        if "registry" in names:
            return names["entry"] in self.names.get(names["registry"], ())
        if "model" not in names:
            return True
        if "task" not in names:
            return names["model"] in self.names["models"]
        systems = self.systems.get((names["task"], names["model"]), frozenset())
        if "seed" in names:
            return tuned_system(names["strategy"], names["seed"]) in systems
        if "system" in names:
            return names["system"] in systems
        return bool(systems) or names["model"] == NEAREST_LABEL


def usage(config: JsonMapping, tasks: Sequence[str], models: Sequence[str]) -> Usage:
    """Find what the grid uses.

    Args:
        config: the whole configuration, as ``Study.model_dump()`` gives it; what is missing in it counts as unused.
        tasks: tasks of the grid.
        models: models of the grid.
    """

    def entries(registry: str, names: Iterable[str | None]) -> list[JsonMapping]:
        registered = config.get(registry) or {}
        return [registered[name] for name in names if name in registered]

    grid = [entry for entry in config.get("grid") or [] if entry["task"] in tasks]
    used: dict[str, set[Any]] = {name: set() for name in REGISTRIES}
    used["tasks"], used["models"] = set(tasks), set(models)
    systems: dict[tuple[str, str], set[str]] = {}
    for entry in grid:
        used["strategies"].update(entry["strategies"])
        used["finetuning"].add(entry["finetuning"])
        for model in entry["models"]:
            tuned = {tuned_system(strategy, seed) for strategy in entry["strategies"] for seed in entry["seeds"]}
            systems.setdefault((entry["task"], model), {BASE}).update(tuned)
        for strategy in entries("strategies", entry["strategies"]):
            shown = strategy.get("kind") == "contrastive" and strategy.get("epsilon", 0) > 0
            if shown or strategy.get("augmentation", 0) > 0:
                used["paraphrasers"].add(strategy.get("paraphrasers", {}).get(entry["task"]))
    used["paraphrasers"] |= {(task.get("evaluation") or {}).get("paraphraser") for task in entries("tasks", tasks)}
    used["encoders"] = {task.get("encoder") for task in entries("tasks", tasks)}
    corpora = [task.get("corpus") or {} for task in entries("tasks", tasks)]
    sources = corpora + entries("encoders", used["encoders"]) + entries("models", models)
    used["packages"] = {name for source in sources for name in _values(source, "package")}
    used["datasets"] = {name for corpus in corpora for name in _values(corpus, "data")}
    used["metrics"] = {metric for task in entries("tasks", tasks) for metric in task.get("metrics") or ()}
    used["metric_encoders"] = {metric.get("encoder") for metric in entries("metrics", used["metrics"])}
    registered = config.get("tasks") or {}
    return Usage(
        names={name: frozenset(found - {None}) for name, found in used.items()},
        systems={pair: frozenset(names) for pair, names in systems.items()},
        unprobed=frozenset(name for name in tasks if registered.get(name, {}).get("probes", {}) is None),
    )


def _values(entry: object, key: str) -> Iterator[Any]:
    """Yield what stands under a key, however deep; of a list its items."""
    if isinstance(entry, Mapping):
        for name, value in entry.items():
            if name == key and not isinstance(value, Mapping):
                yield from value if isinstance(value, list) else [value]
            else:
                yield from _values(value, key)
    elif isinstance(entry, list):
        for item in entry:
            yield from _values(item, key)


def effective_config(config: JsonMapping, tasks: Sequence[str], models: Sequence[str]) -> JsonDict:
    """Return a configuration without the entries that its grid doesn't use; without a grid all of it."""
    if not config.get("grid"):
        return dict(config)
    names = usage(config, tasks, models).names
    result = dict(config)
    for registry in REGISTRIES:
        if isinstance(config.get(registry), Mapping):
            result[registry] = {name: entry for name, entry in config[registry].items() if name in names[registry]}
    for name, strategy in (result.get("strategies") or {}).items():
        if isinstance(strategy, Mapping) and strategy.get("paraphrasers"):
            kept = {task: value for task, value in strategy["paraphrasers"].items() if task in names["tasks"]}
            result["strategies"][name] = {**strategy, "paraphrasers": kept}
    return result
