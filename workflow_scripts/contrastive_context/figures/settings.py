"""Settings of the figure of the minimal model; the others have those of :mod:`contrastive_context.tables.settings`."""

from typing import Any

from pydantic import field_validator

from contrastive_context.config.base import Model
from contrastive_context.config.figures import FigureStyle


class MinimalModelFigureSettings(Model):
    """Style, and the titles of conditions where they are not the strategies' own."""

    style: FigureStyle = FigureStyle()
    titles: dict[str, str] = {}

    @field_validator("titles", mode="before")
    @classmethod
    def _without_empty(cls, value: Any) -> Any:
        return {name: title for name, title in value.items() if title} if isinstance(value, dict) else value
