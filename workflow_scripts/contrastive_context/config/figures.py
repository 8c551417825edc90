"""How the figures look."""

from pydantic import Field

from contrastive_context.config.base import Model


class FigureStyle(Model):
    """Style leaves: changing them redraws figures and report, nothing else."""

    dpi: int = Field(200, ge=50, le=1200, description="dots per inch of the PNGs")
    font_size: float = Field(8.0, gt=3, lt=30, description="points")
