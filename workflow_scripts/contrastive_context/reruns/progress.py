"""How far a grid is: which systems have current answers and probe values, and why the others have none.

A report on an unfinished grid is made from the former and names the latter (``only_finished`` in the configuration).
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from contrastive_context import artifacts
from contrastive_context.reruns.sidecars import SUFFIX, read_sidecar

ANSWERS, PROBES = "answers", "probes"
NOT_TRAINED, OUT_OF_DATE = "not trained", "out of date"
_NOT_MADE = {ANSWERS: "no answers yet", PROBES: "not probed yet"}


class Unfinished(NamedTuple):
    """What one system, ``base`` or ``<strategy>-seed<seed>``, lacks; ``what`` is ``ANSWERS`` or ``PROBES``."""

    task: str
    model: str
    system: str
    what: str
    reason: str


def unfinished(stages: Any, results: str | Path) -> Iterator[Unfinished]:
    """Yield what is missing, or was made with other settings or from other inputs than those of the study.

    Args:
        stages: the study's :class:`~contrastive_context.config.stages.Stages`.
        results: the run's folder.

    Raises:
        UserError: a sidecar can't be read.
    """
    results = Path(results)
    digest = cache(artifacts.sha256_file)

    def current(path: Path, settings: str) -> bool:
        sidecar = read_sidecar(Path(f"{path}{SUFFIX}"))
        return sidecar.settings == settings and all(
            Path(name).is_file() and digest(name) == recorded for name, recorded in sidecar.inputs.items()
        )

    def problem(path: Path, settings: str, not_made: str) -> str:
        # The sidecar is written last.
        if not (path.is_file() and Path(f"{path}{SUFFIX}").is_file()):
            return not_made
        return "" if current(path, settings) else OUT_OF_DATE

    for task, model in stages.pairs:
        for system in stages.systems(task, model):
            strategy, _, seed = system.partition("-seed")
            untrained = ""
            if seed:
                adapters = results / "finetune" / task / model / system / "adapters.json"
                untrained = problem(adapters, stages.finetune(task, model, strategy, seed), NOT_TRAINED)
            for what, path, settings in (
                (ANSWERS, results / "predictions" / task / model / f"{system}.jsonl", stages.generate(task, model)),
                (PROBES, results / "probes" / task / model / f"{system}.parquet", stages.run_probes(task, model)),
            ):
                if reason := untrained or problem(path, settings, _NOT_MADE[what]):
                    yield Unfinished(task, model, system, what, reason)
