"""How far a grid is: which systems have current answers and probe values, and why the others have none.

A report on an unfinished grid is made from the former and names the latter (``only_finished`` in the configuration).
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path

from contrastive_context.config.grid import Grid
from contrastive_context.core import artifacts, paths
from contrastive_context.core.errors import UserError
from contrastive_context.core.names import BASE
from contrastive_context.core.sidecars import SUFFIX, Sidecar, all_sidecars
from contrastive_context.tables.settings import Unfinished
from contrastive_context.workflow.steps import Steps

ANSWERS, PROBES = "answers", "probes"
NOT_TRAINED, OUT_OF_DATE = "not trained", "out of date"
_NOT_MADE = {ANSWERS: "no answers yet", PROBES: "not probed yet"}


class Reported:
    """What of the grid is reported on: all of it, or with ``only_finished`` what is finished.

    Args:
        steps: of the study.
        results: the run's folder, relative to the working directory as in the rules.

    Raises:
        UserError: a report on what is finished is asked for, and nothing is.
    """

    def __init__(self, steps: Steps, results: str) -> None:
        self._grid = Grid(steps.study)
        #: What is left out of tables, figures and report, and why; nothing unless ``only_finished`` is set.
        self.unfinished = list(unfinished(steps, results)) if steps.study.only_finished else []
        self._left_out = {(gap.what, gap.task, gap.model, gap.system) for gap in self.unfinished}
        if self.unfinished and not self.scored_pairs:
            reasons = Counter(gap.reason for gap in self.unfinished if gap.what == ANSWERS)
            counts = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
            raise UserError(
                f"only_finished: no system of the grid of {results} has current answers ({counts}); run the study first"
            )

    def answering(self, task: str, model: str) -> list[str]:
        """Return the systems of a model on a task whose answers are reported on."""
        return [name for name in self._grid.systems(task, model) if (ANSWERS, task, model, name) not in self._left_out]

    def probed(self, task: str, model: str) -> list[str]:
        """Return the systems of a model on a task whose probe values are reported on; none where it isn't probed."""
        if task not in self._grid.probed_tasks:
            return []
        return [name for name in self._grid.systems(task, model) if (PROBES, task, model, name) not in self._left_out]

    @cached_property
    def scored_pairs(self) -> list[tuple[str, str]]:
        """(task, model) pairs with a system whose answers are reported on."""
        return [pair for pair in self._grid.pairs if self.answering(*pair)]

    @cached_property
    def scored_tasks(self) -> list[str]:
        """Tasks of these pairs."""
        return list(dict.fromkeys(task for task, _ in self.scored_pairs))


def unfinished(steps: Steps, results: str | Path) -> Iterator[Unfinished]:
    """Yield what is missing, or was made with other settings or from other inputs than those of the study.

    So were answers if anything that they go back to was, the corpus or the training contexts for instance.

    Args:
        steps: of the study.
        results: the run's folder, relative to the working directory as in the rules.

    Raises:
        UserError: a sidecar can't be read.
    """
    results = Path(results)
    made = {path: sidecar for sidecar in all_sidecars(results) for path in sidecar.outputs}
    digest = cache(artifacts.sha256_file)

    @cache
    def current(path: str) -> bool:
        if path not in made:  # a user's own file, of which the content counts
            return True
        return made[path].settings == settings_of(steps, results, made[path]) and all(
            Path(name).is_file() and digest(name) == recorded and current(name)
            for name, recorded in made[path].inputs.items()
        )

    def problem(path: Path, not_made: str) -> str:
        # The sidecar is written last.
        if not (path.is_file() and str(path) in made):
            return not_made
        return "" if current(str(path)) else OUT_OF_DATE

    grid = Grid(steps.study)
    for task, model in grid.pairs:
        for system in grid.systems(task, model):
            names = {"task": task, "model": model, "system": system}
            untrained = ""
            if system != BASE:
                untrained = problem(results / paths.SYSTEM_ADAPTERS.format(**names), NOT_TRAINED)
            for what, template in ((ANSWERS, paths.PREDICTIONS), (PROBES, paths.PROBES)):
                if what == PROBES and task not in grid.probed_tasks:
                    continue
                if reason := untrained or problem(results / template.format(**names), _NOT_MADE[what]):
                    yield Unfinished(**names, what=what, reason=reason)


def settings_of(steps: Steps, results: Path, sidecar: Sidecar) -> str | None:
    """Return the settings that a step's output would have by now; None if the study has nothing of its name."""
    made = paths.made_by(str(sidecar.path.relative_to(results)).removesuffix(SUFFIX))
    if made is None or made.step != sidecar.step:
        return None
    try:
        return steps.settings_of(*made)
    except (KeyError, UserError):
        return None
