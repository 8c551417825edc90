"""Settings of the figure of the minimal model; the others have those of :mod:`contrastive_context.tables.settings`."""

from typing import TYPE_CHECKING, Self

from contrastive_context.config.base import Model
from contrastive_context.config.figures import FigureStyle

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class MinimalModelFigureSettings(Model):
    """Style, and the titles of the conditions that have one."""

    style: FigureStyle = FigureStyle()
    titles: dict[str, str] = {}

    @classmethod
    def of(cls, study: "Study") -> Self:
        """Take the leaves that the step reads from the study."""
        conditions = study.minimal_model.conditions
        titles = {name: condition.title for name, condition in conditions.items() if condition.title}
        return cls(style=study.figures, titles=titles)
