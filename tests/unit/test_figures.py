import itertools

import numpy as np
import pandas as pd
import pytest
from synthetic_results import scores_frame, write_probes

from contrastive_context.config.statistics import Statistics
from contrastive_context.evaluation import tables
from contrastive_context.figures import probes, similarity_grid, style

STATISTICS = Statistics(resamples=100)
SETTINGS = style.FigureSettings()


def _scores(**options):
    return tables.table(tables.score_cells(scores_frame(**options), STATISTICS), STATISTICS, "bucket")


@pytest.fixture(scope="module")
def score_table():
    return _scores(models=("llama", "qwen3"))


@pytest.fixture(scope="module")
def probe_table(tmp_path_factory):
    paths = write_probes(tmp_path_factory.mktemp("probes"), models=("llama", "qwen3"))
    return tables.table(tables.probe_cells(tables.read_probes(paths), STATISTICS), STATISTICS, "probe")


def _texts(figure):
    return [text.get_text() for text in figure.texts] + [
        text.get_text() for ax in figure.axes for text in [*ax.texts, ax.title, *ax.get_xticklabels()]
    ]


def _drawn(figure):
    """Every finite y that a line in the figure has."""
    values = [np.asarray(line.get_ydata(), dtype=float) for ax in figure.axes for line in ax.lines]
    return [v for array in values for v in array if np.isfinite(v)]


def test_grid_has_a_panel_per_model_and_composition(score_table):
    figure = similarity_grid.draw(score_table, SETTINGS)
    assert len(figure.axes) == 4
    words = " ".join(_texts(figure))
    assert "n = 120" in words and ".33–.67" in words and "llama" in words and "not run" not in words
    assert figure.axes[0].get_ylabel() == "Token accuracy (0–1)"


def test_every_system_is_in_the_legend_once(score_table):
    figure = similarity_grid.draw(score_table, SETTINGS)
    legends = [a for a in figure.get_children() if type(a).__name__ == "Legend"]
    labels = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert labels == ["Base", "Zero", "Random", "Similar", "Contrastive", "Nearest label"]


def test_missing_is_said_in_words_and_never_drawn_as_zero(score_table):
    table = score_table.copy()
    zero_high = (table["strategy"] == "zero") & (table["bucket"] == "high") & (table["model"] == "llama")
    table.loc[zero_high, ["value", "ci_low", "ci_high"]] = np.nan
    figure = similarity_grid.draw(table, SETTINGS)
    assert any("no data: Zero (high)" in text for text in _texts(figure))
    lowest = table["value"].min()
    drawn = [v for ax in figure.axes for line in ax.lines if len(line.get_ydata()) != 2 for v in line.get_ydata()]
    assert min(v for v in drawn if np.isfinite(v)) >= lowest > 0
    gone = table[~((table["strategy"] == "similar") & (table["model"] == "llama"))]
    assert any("no data: Zero (high), Similar" in text for text in _texts(similarity_grid.draw(gone, SETTINGS)))


def test_missing_intervals_have_no_bar(score_table):
    table = score_table.assign(ci_low=np.nan, ci_high=np.nan)
    figure = similarity_grid.draw(table, SETTINGS)
    segments = [s for ax in figure.axes for collection in ax.collections for s in collection.get_segments()]
    assert not segments


def test_expected_model_without_results_is_not_run(score_table):
    settings = style.FigureSettings(task_models={"lexicon": ["llama", "qwen3", "gemma3"]})
    figure = similarity_grid.draw(score_table, settings)
    assert _texts(figure).count("not run") == 2


def test_pooled_rows_win_over_single_seeds():
    table = _scores(seeds=(0, 1))
    figure = similarity_grid.draw(table, SETTINGS)
    assert any("mean of 2 training runs" in text for text in _texts(figure))
    assert any("95% cluster bootstrap, t over training runs" in text for text in _texts(figure))
    assert not any("t over" in text for text in _texts(similarity_grid.draw(_scores(), SETTINGS)))
    pooled = style.headline_seed(table)
    assert set(pooled.loc[~pooled["strategy"].isin(["base", "nearest_label"]), "seeds"]) == {2}


def test_probes_start_at_the_base(probe_table):
    figure = probes.draw(probe_table, SETTINGS)
    assert len(figure.axes) == 8
    assert "training step" in {ax.get_xlabel() for ax in figure.axes}
    one = probe_table[probe_table["model"] == "llama"]
    figure = probes.draw(one, SETTINGS)
    assert len(figure.axes) == 4
    base = one[(one["strategy"] == "base") & (one["metric"] == "generation")].set_index("probe")["value"]
    assert base["iwl"] in _drawn(figure)


def test_nothing_measured_is_said_in_words(probe_table, score_table):
    generation = probe_table[probe_table["metric"] == "generation"]
    other = probe_table[probe_table["metric"] == "likelihood"].assign(task="intents")
    both = probes.draw(pd.concat([generation, other]), SETTINGS)
    assert any("not measured this way: intents" in text for text in _texts(both))
    assert "No probes" in _texts(probes.draw(generation, SETTINGS, "likelihood"))[0]
    assert "No probes" in _texts(probes.draw(probe_table.iloc[:0], SETTINGS))[0]
    assert "No scores" in _texts(similarity_grid.draw(score_table.iloc[:0], SETTINGS))[0]


def test_systems_differ_in_colour_and_marker():
    names = ["base", "zero", "random", "similar", "contrastive", "mixed", "nearest_label", "contrastive-p0", "x"]
    marks = style.marks(names, style.FigureSettings(strategies=[{"name": "contrastive-p0", "kind": "contrastive"}]))
    assert len({(m.color, m.marker) for m in marks.values()}) == len(names)
    assert len({m.marker for m in marks.values()}) == len(names)
    assert style.marks(["zero"], SETTINGS)["zero"] == style.marks(names, SETTINGS)["zero"]


def test_titles_order_and_buckets_from_sorted_json():
    settings = style.FigureSettings(
        models=[{"name": "qwen3", "title": "Qwen"}, {"name": "llama"}],
        tasks={"lexicon": "Words"},
        buckets={"high": 0.67, "low": 0.0, "medium": 0.33},
    )
    figure = similarity_grid.draw(_scores(models=("llama", "qwen3")), settings)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0].startswith("Qwen") and titles[-1].startswith("llama")
    assert any(text.startswith("Words · in domain") for text in _texts(figure))
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()][1].startswith("low")


def test_font_size_scales_everything(score_table):
    small = similarity_grid.draw(score_table, style.FigureSettings(style={"font_size": 6}))
    large = similarity_grid.draw(score_table, style.FigureSettings(style={"font_size": 12}))
    assert large.axes[0].title.get_fontsize() == 2 * small.axes[0].title.get_fontsize()
    assert large.get_figheight() > small.get_figheight()


def test_bucket_labels_show_ranges():
    assert similarity_grid.bucket_labels({"low": 0.0, "high": 0.5}) == ["low\n0–.5", "high\n.5–1"]


def test_saved_files_repeat_and_embed_fonts(tmp_path, score_table):
    for name in ("a", "b"):
        style.save(similarity_grid.draw(score_table, SETTINGS), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"FontFile2" in (tmp_path / "a.pdf").read_bytes()


def test_no_text_leaves_the_figure_or_overlaps_its_neighbour():
    table = _scores(models=("llama", "qwen3", "gemma3", "neox"))
    figure = similarity_grid.draw(table, SETTINGS)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    width, height = figure.bbox.width, figure.bbox.height
    for ax in figure.axes:
        boxes = [label.get_window_extent(renderer) for label in ax.get_xticklabels() if label.get_text()]
        for left, right in itertools.pairwise(boxes):
            assert left.x1 < right.x0
        for box in [*boxes, ax.yaxis.label.get_window_extent(renderer), ax.title.get_window_extent(renderer)]:
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
