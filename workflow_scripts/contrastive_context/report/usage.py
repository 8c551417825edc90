"""What of a configuration its grid uses: the entries a report shows, and the files that are the run's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

REGISTRIES = (
    "packages", "datasets", "encoders", "paraphrasers", "metrics", "metric_encoders", "tasks", "models", "strategies",
    "finetuning",
)  # fmt: skip


@dataclass(frozen=True)
class Usage:
    """Names in use.

    Attributes:
        names: registry (one of ``REGISTRIES``) → names.
        systems: (task, model) → fine-tuned systems, ``<strategy>-seed<seed>``, and ``base``.
    """

    names: Mapping[str, frozenset[str]]
    systems: Mapping[tuple[str, str], frozenset[str]]

    def has_made(self, path: PurePath) -> bool:
        """Whether a file of the run's folder, its path relative to it, is the output of a step of the grid.

        What a folder's name stands for depends on its place: a model may be called like a task.
        """
        stage, *folders, file = path.parts if len(path.parts) > 1 else ("", *path.parts)
        # Names may have dots; an output has one suffix, its sidecar another one.
        name = file.removesuffix(".provenance.json").rpartition(".")[0]
        if stage in ("tables", "figures"):
            return True
        if stage in ("packages", "encoders", "models"):
            return name in self.names[stage]
        if stage == "hub":
            return name in self.names.get(folders[0] if folders else "", ())
        if not folders or folders[0] not in self.names["tasks"]:
            return False
        task, *rest = folders
        if stage in ("corpus", "embeddings", "neighbours"):
            return True
        if stage == "paraphrases":
            return name in self.names["paraphrasers"]
        if stage == "contexts":
            return not rest or (rest == ["train"] and name in self.names["strategies"])
        if stage in ("scores", "examples"):
            return name == "nearest_label" or (task, name) in self.systems
        if stage == "predictions" and not rest:
            return name == "nearest_label"
        model, *system = *rest, name
        if stage == "finetune":
            system = rest[1:]
        return stage in ("predictions", "probes", "finetune") and (
            len(system) == 1 and system[0] in self.systems.get((task, model), ())
        )


def usage(config: Mapping[str, Any], tasks: Sequence[str], models: Sequence[str]) -> Usage:
    """Find what the grid uses.

    Args:
        config: the whole configuration, as ``Study.model_dump()`` gives it; what is missing in it counts as unused.
        tasks: tasks of the grid.
        models: models of the grid.
    """

    def entries(registry: str, names: Any) -> list[Mapping[str, Any]]:
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
            tuned = {f"{strategy}-seed{seed}" for strategy in entry["strategies"] for seed in entry["seeds"]}
            systems.setdefault((entry["task"], model), {"base"}).update(tuned)
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
    return Usage(
        names={name: frozenset(found - {None}) for name, found in used.items()},
        systems={pair: frozenset(names) for pair, names in systems.items()},
    )


def _values(entry: Any, key: str) -> Iterator[Any]:
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


def effective_config(config: Mapping[str, Any], tasks: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
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
