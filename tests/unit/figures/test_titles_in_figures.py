"""Titles are text in figures, whatever they hold: no formulas, and however long inside the page and their panel."""

import itertools

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from test_minimal_model_figure import SETTINGS as MINIMAL

from contrastive_context.config.figures import FigureStyle
from contrastive_context.config.statistics import Statistics
from contrastive_context.figures import minimal_model, similarity_grid, style, summary
from contrastive_context.figures.saving import save
from contrastive_context.figures.settings import MinimalModelFigureSettings
from contrastive_context.minimal_model.table import simulate
from contrastive_context.tables import tidy
from contrastive_context.tables.cells import grid_cells, summary_cells
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.wording import clipped
from synthetic_results import scores_frame

LONG = "The quick brown fox jumps over the lazy dog. " * 222
TITLES = {
    "what isn't a formula": "pay $x_$ now",
    "an unknown command": r"a $\foo$ b",
    "a formula": "100% <b>_{x}^2~\\ & #1 $y$",
    "10,000 characters": LONG,
}


@pytest.fixture(scope="module")
def table():
    statistics = Statistics(resamples=100)
    cells = tidy.score_cells(scores_frame(models=("llama", "qwen3"), targets=20, clusters=5), statistics)
    return tidy.table(cells, statistics, "bucket")


def figures_of(table, title):
    """Summary and grid with one title for a task, a model and a strategy."""
    names = {"tasks": "lexicon", "models": "llama", "strategies": "zero"}
    settings = PresentationSettings(**{field: {name: title} for field, name in names.items()})
    averages, cells = summary_cells(table, settings), grid_cells(table, settings)
    return [*summary.draw(averages, settings), *similarity_grid.draw(cells, settings)]


def texts_of(figure):
    """Every text that is drawn: headers, titles, remarks, tick labels, and those of legends."""
    return [text for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text()]


@pytest.mark.parametrize("name", TITLES)
def test_a_title_is_drawn_as_text(table, tmp_path, name):
    pages = figures_of(table, TITLES[name])
    for place, page in enumerate(pages):
        save([page], tmp_path / str(place), FigureStyle())
        assert not any(text.get_parse_math() for text in texts_of(page))
    if len(TITLES[name]) < style.LONGEST_LABEL:
        words = [text.get_text() for text in texts_of(pages[-1])]
        # Task, model in two panels, strategy.
        assert sum(TITLES[name] in text for text in words) >= 2 and TITLES[name] in words


def test_a_dollar_draws_the_pixels_of_a_dollar():
    """In the figures' style ``$y$`` is wider than the y that it would be as a formula."""
    with matplotlib.rc_context(style.rc(FigureStyle())):
        figure = Figure()
        renderer = FigureCanvasAgg(figure).get_renderer()
        text, formula = figure.text(0, 0, "$y$"), figure.text(0, 0, "$y$", parse_math=True)
        assert text.get_window_extent(renderer).width > 2 * formula.get_window_extent(renderer).width


def test_the_minimal_models_formulas_are_formulas_and_its_titles_are_not(tmp_path):
    settings = MinimalModelFigureSettings(titles={"zero": "pay $x_$ now"})
    rows = simulate(MINIMAL.model_copy(update={"seeds": [0], "variants": ["gate"]}), MINIMAL.conditions.items())
    (figure,) = minimal_model.draw(minimal_model.select(rows), settings, r"caption with $\foo$")
    save([figure], tmp_path / "fig2", settings.style)
    formulas = [text for text in texts_of(figure) if "$" in text.get_text() and "hat" in text.get_text()]
    assert len(formulas) == 3 and all(text.get_parse_math() for text in formulas)
    others = [text for text in texts_of(figure) if text not in formulas]
    assert any(text.get_text() == "pay $x_$ now" for text in others)
    assert not any(text.get_parse_math() for text in others)


def test_a_long_title_stays_inside_its_page_and_off_its_neighbour(table):
    for page in figures_of(table, LONG):
        renderer = FigureCanvasAgg(page).get_renderer()
        page.draw(renderer)
        for text in texts_of(page):
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0 and box.x1 <= page.bbox.width and box.y1 <= page.bbox.height, text.get_text()
        titles = [ax.title.get_window_extent(renderer) for ax in page.axes]
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles))
        assert page.get_figheight() < 4


def test_a_clipped_text_keeps_its_start_and_its_end():
    assert clipped("abcdefghij", 10) == "abcdefghij"
    assert clipped("abcdefghijk", 10) == "abcde…hijk" and clipped("abcdefghijk", 9) == "abcd…hijk"
