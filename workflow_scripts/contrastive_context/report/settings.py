"""Settings of ``build_report.py``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from contrastive_context.config.base import Model
from contrastive_context.config.grid import Grid

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class BuildReportSettings(Model):
    """What ``build_report.py`` is told.

    Attributes:
        title: of the report.
        run: whose results it shows.
        config: the whole configuration, of which the entries that the grid uses are shown.
        tasks: in the order of the grid.
        models: in the order of the grid.
        task_titles: task → title.
        model_titles: model → title.
        strategy_titles: strategy → title.
        headline: task → headline metric.
        without: figures that the grid has nothing for.
    """

    title: str = "Contrastive context sampling"
    run: str = ""
    config: dict[str, Any] = {}
    tasks: list[str] = []
    models: list[str] = []
    task_titles: dict[str, str] = {}
    model_titles: dict[str, str] = {}
    strategy_titles: dict[str, str] = {}
    headline: dict[str, str] = {}
    without: list[str] = []

    @classmethod
    def of(cls, study: "Study") -> Self:
        """Take the leaves that the step reads from the study."""
        grid = Grid(study)
        return cls(
            title=study.title,
            run=study.run,
            # Where jobs run is no part of what was measured.
            config=study.model_dump(mode="json", exclude={"cluster"}),
            tasks=grid.tasks,
            models=grid.models,
            task_titles=_titles(study.tasks, grid.tasks),
            model_titles=_titles(study.models, grid.models),
            strategy_titles=_titles(study.strategies, grid.strategies),
            headline={task: study.tasks[task].metrics[0] for task in grid.tasks},
            without=[
                *([] if grid.probed_tasks else ["fig4_probes", "fig4_probes_likelihood"]),
                *([] if grid.ablated else ["fig5_ablations"]),
                *([] if grid.planes else ["fig6_plane"]),
            ],
        )


def _titles(registry: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    return {name: registry[name].title or name for name in names}
