"""The study's languages show as letters, not as boxes, in the figures' picture and PDF and in the report."""

import base64
import io
import warnings

import matplotlib
import pytest
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure

from contrastive_context.config.figures import FigureStyle
from contrastive_context.figures import fonts, style
from contrastive_context.figures.saving import save
from contrastive_context.report.fonts import fonts_for

WORDS = {
    "Hindi": "हिन्दी क्षेत्र विद्यार्थी",
    "Tamil": "தமிழ் கொள்கை மொழி",
    "Lithuanian": "lietuvių ąčęėįšųūž",
    "German": "Übergröße",
}


def draw(text, tmp_path):
    """Save a figure with a text in both weights; matplotlib warns of each letter that no font has."""
    with matplotlib.rc_context(style.rc(FigureStyle())), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = Figure(figsize=(3, 1))
        figure.text(0.1, 0.6, text)
        figure.text(0.1, 0.2, text, weight="bold")
        return save([figure], tmp_path / "figure", FigureStyle())


@pytest.mark.parametrize("language", WORDS)
def test_every_letter_has_a_font(tmp_path, language):
    for path in draw(f"English→{language} ({WORDS[language]})", tmp_path):
        assert path.stat().st_size > 1000


@pytest.mark.parametrize("language", ["Hindi", "Tamil"])
def test_without_the_packaged_fonts_letters_are_missing(tmp_path, language, monkeypatch):
    monkeypatch.setattr(style, "families", lambda: list(fonts.FAMILIES[:1]))
    with pytest.raises(UserWarning, match="missing from font"):
        draw(WORDS[language], tmp_path)


def test_a_font_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(fonts, "FAMILIES", ("DejaVu Sans", "No Such Font", "Noto Sans Tamil"))
    assert fonts.families.__wrapped__() == ["DejaVu Sans", "Noto Sans Tamil"]


@pytest.mark.parametrize("language", ["Hindi", "Tamil"])
def test_the_report_brings_the_letters_it_has_and_no_others(language):
    (face,) = fonts_for(f"<p>English {WORDS[language]}</p>").faces
    font = TTFont(io.BytesIO(base64.b64decode(face.data)))
    letters = set(WORDS[language]) - {" "}
    shaping = set("\u200c\u200d\u25cc")
    assert letters <= set(map(chr, font.getBestCmap())) <= letters | shaping
    assert set(face.range.split(", ")) == {f"U+{ord(letter):04X}" for letter in letters | shaping}
    # Letters join as in the whole font.
    assert len(font.getGlyphOrder()) > len(font.getBestCmap()) and "GSUB" in font


def test_the_report_brings_no_font_that_it_does_not_need():
    assert fonts_for("lietuvių kalba, Übergröße, ✓ – 😀") == ([], [])


def test_a_script_without_its_font_is_named(monkeypatch):
    monkeypatch.setattr(fonts, "packaged", lambda family: None)
    assert fonts_for(" ".join(WORDS.values())) == ([], ["Devanagari", "Tamil"])
    assert fonts_for("Hindi: नहीं।") == ([], ["Devanagari"])  # scripts share the danda
