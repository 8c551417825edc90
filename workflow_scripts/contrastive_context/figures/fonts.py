"""Fonts of the figures: DejaVu Sans, which comes with matplotlib, and fonts for scripts that it lacks.

Noto Sans Devanagari and Noto Sans Tamil (the Noto Project Authors, OFL-1.1) come as the packages fontpkg-noto-sans-*.
For another script install its package and add its name here; matplotlib takes each letter from the first font that has
it.
"""

import importlib.resources
import logging
from functools import cache

FAMILIES = ("DejaVu Sans", "Noto Sans Devanagari", "Noto Sans Tamil")
"""Families in the order in which a letter is looked for."""


@cache
def families() -> list[str]:
    """Make the packaged fonts known to matplotlib; return the families that are there."""
    from matplotlib import font_manager

    # They have no bold cut, which matplotlib would remark for every figure.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    found = [FAMILIES[0]]
    for family in FAMILIES[1:]:
        try:
            package = importlib.resources.files(f"fontpkg_{family.lower().replace(' ', '_')}")
        except ModuleNotFoundError:  # figures without these scripts need no such font
            continue
        for file in sorted((package / "files").iterdir(), key=str):
            font_manager.fontManager.addfont(str(file))
        found.append(family)
    return found
