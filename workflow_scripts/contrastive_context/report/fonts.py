"""Fonts in the page: for text in scripts that readers' computers may lack, the packaged fonts' letters themselves."""

import base64
import io
import logging
from pathlib import Path
from typing import NamedTuple

from contrastive_context.figures import fonts

#: Zero-width joiners and the dotted circle: they shape the letters beside them and must come from the same font.
_SHAPING = "\u200c\u200d\u25cc"


class Face(NamedTuple):
    """A font with the letters of one script that the page has.

    Attributes:
        family: the font's name.
        data: WOFF, as base64.
        range: the letters, as CSS's ``unicode-range``: all others are left to the reader's fonts.
    """

    family: str
    data: str
    range: str


class Fonts(NamedTuple):
    """What the page embeds, and the scripts in it for which no font is installed here."""

    faces: list[Face]
    lacking: list[str]


def fonts_for(page: str) -> Fonts:
    """Find the fonts that a page needs beside the reader's own.

    Args:
        page: all text of the page; markup does no harm.

    Returns:
        A face for each packaged font (see :mod:`contrastive_context.figures.fonts`) whose script the page has letters
        of; scripts whose package is not installed are ``lacking``.
    """
    import regex

    faces, lacking = [], []
    for family in fonts.FAMILIES[1:]:
        script = family.removeprefix("Noto Sans ")
        if not regex.search(rf"\p{{Script={script}}}", page):
            continue
        files = fonts.packaged(family)
        if files is None:
            lacking.append(script)
            continue
        # Signs that scripts share, as the danda, are extensions.
        letters = {*regex.findall(rf"\p{{Script_Extensions={script}}}", page), *_SHAPING}
        names = ", ".join(f"U+{ord(letter):04X}" for letter in sorted(letters))
        faces += [Face(family, _subset(file, letters), names) for file in files]
    return Fonts(faces, lacking)


def _subset(file: Path, letters: set[str]) -> str:
    """Return the font with these letters alone and all that joins them, as WOFF in base64."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    # Each table is logged.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    font = TTFont(file, recalcTimestamp=False)
    subsetter = Subsetter(Options(layout_features=["*"]))
    subsetter.populate(unicodes=[ord(letter) for letter in letters])
    subsetter.subset(font)
    font.flavor = "woff"
    stream = io.BytesIO()
    font.save(stream)
    return base64.b64encode(stream.getvalue()).decode("ascii")
