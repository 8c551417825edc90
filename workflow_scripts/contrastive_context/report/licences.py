"""Whose text and weights a run used, under which licence and at which version."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from contrastive_context.core.json_types import JsonMapping

HUB = "https://huggingface.co"
#: Kinds of corpora that are no one's text.
_GENERATED = ("lexicon", "idiom", "generated_sql")
_USES = {
    "models": "language model",
    "encoders": "encoder",
    "metrics": "metric",
    "metric_encoders": "a metric's encoder",
}


class Licence(NamedTuple):
    """A row of the report's table; ``origin`` is a page, or says in words who made it or where it comes from."""

    name: str
    version: str
    licence: str
    contents: str
    origin: str = ""


def licences(config: JsonMapping, records: Mapping[tuple[str, str], JsonMapping]) -> list[Licence]:
    """List what a configuration takes from others.

    Args:
        config: the effective configuration (:func:`~contrastive_context.report.usage.effective_config`).
        records: (registry, name) → record of a download from the hub, which tells revision and licence.
    """
    rows = [
        Licence(
            name,
            entry.get("version", ""),
            entry.get("licence", "not stated"),
            entry.get("contents", ""),
            entry.get("origin", ""),
        )
        for name, entry in (config.get("packages") or {}).items()
    ]
    rows += _of_hub(config, records)
    for name, task in (config.get("tasks") or {}).items():
        corpus = task.get("corpus") or {}
        if "licence" in corpus:
            rows.append(Licence(name, "", corpus["licence"], "text of the task", corpus["origin"]))
        elif corpus.get("kind") in _GENERATED:
            rows.append(Licence(name, "", "none needed: generated", "text of the task", "this workflow"))
    return rows


def _of_hub(config: JsonMapping, records: Mapping[tuple[str, str], JsonMapping]) -> Iterator[Licence]:
    for registry in (*_USES, "datasets"):
        for name, entry in (config.get(registry) or {}).items():
            repository = entry.get("name") if entry.get("kind") == "hub" else entry.get("hub")
            if repository is None:
                continue
            record = records.get((registry, name), {})
            stated = entry.get("licence")
            licence = stated if stated not in (None, "not stated") else record.get("licence")
            yield Licence(
                " ".join(filter(None, (repository, entry.get("configuration")))),
                (record.get("revision") or entry.get("revision") or "")[:12],
                licence or "not stated",
                _USES.get(registry) or entry.get("contents") or "data set",
                f"{HUB}/{'datasets/' if registry == 'datasets' else ''}{repository}",
            )
