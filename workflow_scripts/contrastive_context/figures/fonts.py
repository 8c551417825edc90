"""Fonts of the figures: DejaVu Sans, which comes with matplotlib, and fonts for scripts that it lacks.

Noto Sans Devanagari and Noto Sans Tamil (the Noto Project Authors, OFL-1.1) come as the packages fontpkg-noto-sans-*.
For another script install its package and add its name here; matplotlib takes each letter from the first font that has
it.
"""

import importlib.resources
import logging
from functools import cache
from pathlib import Path

FAMILIES = ("DejaVu Sans", "Noto Sans Devanagari", "Noto Sans Tamil")
"""Families in the order in which a letter is looked for."""


def packaged(family: str) -> list[Path] | None:
    """Return the files of a font that comes as a package, None where that is not installed."""
    try:
        package = importlib.resources.files(f"fontpkg_{family.lower().replace(' ', '_')}")
    except ModuleNotFoundError:
        return None
    return sorted(Path(str(file)) for file in (package / "files").iterdir())


@cache
def families() -> list[str]:
    """Make the packaged fonts known to matplotlib; return the families that are there."""
    from matplotlib import font_manager

    # They have no bold cut, which matplotlib would remark for every figure.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    found = [FAMILIES[0]]
    for family in FAMILIES[1:]:
        files = packaged(family)
        if files is None:  # figures without these scripts need no such font
            continue
        for file in files:
            font_manager.fontManager.addfont(str(file))
        found.append(family)
    return found
