"""Figures as files."""

import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.image import imsave

from contrastive_context.config.figures import FigureStyle
from contrastive_context.core import artifacts
from contrastive_context.figures.style import rc


def save(
    figures: Sequence[Figure], stem: str | Path, style: FigureStyle, drawn: pd.DataFrame | None = None
) -> list[Path]:
    """Write ``<stem>.png``, the pages below one another, ``<stem>.pdf``, a page per figure, and ``<stem>.csv``.

    No dates are written, so that equal data gives equal files.

    Args:
        figures: the pages.
        stem: path without suffix.
        style: resolution and font size.
        drawn: frame of the numbers drawn, for the CSV; None: no CSV.

    Returns:
        The paths written.
    """
    # Font subsetting is logged glyph by glyph.
    for name in ("fontTools", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    png, pdf = Path(f"{stem}.png"), Path(f"{stem}.pdf")
    with matplotlib.rc_context(rc(style)):
        with (
            artifacts.atomic_path(pdf) as temporary,
            PdfPages(temporary, metadata={"CreationDate": None}) as document,
        ):
            for figure in figures:
                document.savefig(figure)
        images = []
        for figure in figures:
            figure.set_dpi(style.dpi)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            images.append(np.asarray(canvas.buffer_rgba()))
        width = max(image.shape[1] for image in images)
        padded = [np.pad(i, ((0, 0), (0, width - i.shape[1]), (0, 0)), constant_values=255) for i in images]
        with artifacts.atomic_path(png) as temporary:
            imsave(temporary, np.concatenate(padded), dpi=style.dpi)
    if drawn is None:
        return [png, pdf]
    csv = Path(f"{stem}.csv")
    artifacts.write_csv(csv, drawn)
    return [png, pdf, csv]
