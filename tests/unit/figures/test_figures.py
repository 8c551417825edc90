import itertools

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_context.config.statistics import Statistics
from contrastive_context.config.strategies import PLANE
from contrastive_context.config.study import load_study
from contrastive_context.core.errors import UserError
from contrastive_context.figures import ablations, plane, probes_over_training, similarity_grid, style, summary
from contrastive_context.figures.page import PAGE_HEIGHT
from contrastive_context.figures.saving import save
from contrastive_context.tables import presentation, tidy
from contrastive_context.tables.cells import ablation_cells, grid_cells, plane_cells, probe_cells, summary_cells
from contrastive_context.tables.selection import headline_seed
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import PROBES, bucket_labels
from contrastive_context.tables.wording import shortened
from synthetic_results import scores_frame, write_probes

STATISTICS = Statistics(resamples=100)
SETTINGS = PresentationSettings()
NO_PROBES = pd.DataFrame(columns=["task", "model", "strategy", "seeds", "step", "probe", "metric", "value"])


def _scores(**options):
    return tidy.table(tidy.score_cells(scores_frame(**options), STATISTICS), STATISTICS, "bucket")


@pytest.fixture(scope="module")
def score_table():
    return _scores(models=("llama", "qwen3"))


@pytest.fixture(scope="module")
def probe_table(tmp_path_factory):
    paths = write_probes(tmp_path_factory.mktemp("probes"), models=("llama", "qwen3"))
    return tidy.table(tidy.probe_cells(tidy.read_probes(paths), STATISTICS), STATISTICS, "probe")


def grid(table, settings=SETTINGS):
    """The only page of the similarity grid."""
    (page,) = similarity_grid.draw(grid_cells(table, settings), settings)
    return page


def probe_page(table, measure="generation", settings=SETTINGS):
    cells = probe_cells(table, settings, measure)
    without = sorted(set(table["task"]) - set(cells["task"]))
    (page,) = probes_over_training.draw(cells, settings, measure, without)
    return page


def _texts(figure):
    """Every text in a figure, without its line breaks."""
    inside = [text for ax in figure.axes for text in [*ax.texts, ax.title, *ax.get_xticklabels()]]
    return [text.get_text().replace("\n", " ") for text in [*figure.texts, *inside]]


def _drawn(figure):
    """Every finite y that a line in the figure has."""
    values = [np.asarray(line.get_ydata(), dtype=float) for ax in figure.axes for line in ax.lines]
    return [v for array in values for v in array if np.isfinite(v)]


def test_grid_has_a_panel_per_model_and_composition(score_table):
    figure = grid(score_table, SETTINGS)
    assert len(figure.axes) == 4
    words = " ".join(_texts(figure))
    assert "n = 120" in words and ".33–.67" in words and "llama" in words and "not run" not in words
    assert figure.axes[0].get_ylabel() == "Token accuracy (0–1)"


def test_other_series_are_in_the_appendix_alone(score_table):
    more = score_table[score_table["composition"] != "zero_context"]
    bare = more[more["composition"] == "top_k"].assign(composition="zero_context")
    bare = bare[bare["strategy"] != "nearest_label"]
    every = pd.concat([more, bare]).assign(series="all_targets", value=0.123, n=17)
    table = pd.concat([score_table.assign(series="same_targets"), every], ignore_index=True)
    for figure in (grid_cells(table, SETTINGS), summary_cells(table, SETTINGS)):
        assert not (figure["n"] == 17).any()
    cells = grid_cells(table, SETTINGS, everything=True)
    pages = similarity_grid.draw(cells, SETTINGS)
    assert sum(len(page.axes) for page in pages) == 8
    words = " ".join(text for page in pages for text in _texts(page))
    assert "all targets, each in the buckets that it fills" in words and "n = 17" in words
    assert "a dash in a bucket" in words


def test_every_system_is_in_the_legend_once(score_table):
    figure = grid(score_table, SETTINGS)
    legends = [a for a in figure.get_children() if type(a).__name__ == "Legend"]
    labels = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert labels == ["Base", "Zero", "Random", "Similar", "Contrastive", "Nearest label"]


def test_missing_is_said_in_words_and_never_drawn_as_zero(score_table):
    table = score_table.copy()
    zero_high = (table["strategy"] == "zero") & (table["bucket"] == "high") & (table["model"] == "llama")
    table.loc[zero_high, ["value", "ci_low", "ci_high"]] = np.nan
    asked = PresentationSettings(expected={"lexicon": {name: ["zero"] for name in ("llama", "qwen3")}})
    figure = grid(table, asked)
    assert any("no scores: Zero (high)" in text for text in _texts(figure))
    lowest = table["value"].min()
    drawn = [v for ax in figure.axes for line in ax.lines if len(line.get_ydata()) != 2 for v in line.get_ydata()]
    assert min(v for v in drawn if np.isfinite(v)) >= lowest > 0
    gone = table[~((table["strategy"] == "similar") & (table["model"] == "llama"))]
    expected = PresentationSettings(expected={"lexicon": {"llama": ["zero", "similar"]}})
    texts = _texts(grid(gone, expected))
    assert any("not trained: Similar no scores: Zero (high)" in text for text in texts)
    assert not any("Mixed" in text for text in texts)  # nobody asked for it


def test_missing_intervals_have_no_bar(score_table):
    table = score_table.assign(ci_low=np.nan, ci_high=np.nan)
    figure = grid(table, SETTINGS)
    segments = [s for ax in figure.axes for collection in ax.collections for s in collection.get_segments()]
    assert not segments


def test_expected_model_without_results_is_not_run(score_table):
    settings = PresentationSettings(expected={"lexicon": {name: ["zero"] for name in ("llama", "qwen3", "gemma3")}})
    figure = grid(score_table, settings)
    assert _texts(figure).count("not run") == 2


def test_pooled_rows_win_over_single_seeds():
    table = _scores(seeds=(0, 1))
    figure = grid(table, SETTINGS)
    assert any("mean of 2 training runs" in text for text in _texts(figure))
    assert any("95% cluster bootstrap, t over training runs" in text for text in _texts(figure))
    assert not any("t over" in text for text in _texts(grid(_scores(), SETTINGS)))
    pooled = headline_seed(table)
    assert set(pooled.loc[~pooled["strategy"].isin(["base", "nearest_label"]), "seeds"]) == {2}


def test_probes_start_at_the_base(probe_table):
    figure = probe_page(probe_table)
    assert len(figure.axes) == 8
    assert "training step" in {ax.get_xlabel() for ax in figure.axes}
    one = probe_table[probe_table["model"] == "llama"]
    figure = probe_page(one)
    assert len(figure.axes) == 4
    base = one[(one["strategy"] == "base") & (one["metric"] == "generation")].set_index("probe")["value"]
    assert base["iwl"] in _drawn(figure)


def test_secondary_probes_are_in_the_tables_and_not_drawn(probe_table):
    more = probe_table[probe_table["probe"] == "icl"].assign(probe="override")
    table = pd.concat([probe_table, more], ignore_index=True)
    assert "override" not in set(probe_cells(table, SETTINGS)["probe"])
    assert all("Override (secondary)" in shown.columns for shown in presentation.probe_tables(table, SETTINGS))


def test_nothing_measured_is_said_in_words(probe_table, score_table):
    generation = probe_table[probe_table["metric"] == "generation"]
    other = probe_table[probe_table["metric"] == "likelihood"].assign(task="intents")
    both = probe_page(pd.concat([generation, other]))
    assert any("not measured this way: intents" in text for text in _texts(both))
    assert "No probes" in _texts(probe_page(generation, "likelihood"))[0]
    assert "No probes" in _texts(probe_page(probe_table.iloc[:0]))[0]
    assert "No scores" in _texts(grid(score_table.iloc[:0]))[0]


def test_systems_differ_in_colour_and_marker():
    names = ["base", "zero", "random", "similar", "contrastive", "mixed", "nearest_label", "contrastive-p0", "x"]
    marks = style.line_styles(
        names, PresentationSettings(strategies=[{"name": "contrastive-p0", "kind": "contrastive"}])
    )
    assert len({(m.color, m.marker) for m in marks.values()}) == len(names)
    assert len({m.marker for m in marks.values()}) == len(names)
    assert style.line_styles(["zero"], SETTINGS)["zero"] == style.line_styles(names, SETTINGS)["zero"]


def test_titles_order_and_buckets_from_sorted_json():
    settings = PresentationSettings(
        models=[{"name": "qwen3", "title": "Qwen"}, {"name": "llama"}],
        tasks={"lexicon": "Words"},
        buckets={"high": 0.67, "low": 0.0, "medium": 0.33},
    )
    figure = grid(_scores(models=("llama", "qwen3")), settings)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0].startswith("Qwen") and titles[-1].startswith("llama")
    assert any(text.startswith("Words · in domain") for text in _texts(figure))
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()][1].startswith("low")


def test_font_size_scales_everything(score_table):
    small = grid(score_table, PresentationSettings(style={"font_size": 6}))
    large = grid(score_table, PresentationSettings(style={"font_size": 12}))
    assert large.axes[0].title.get_fontsize() == 2 * small.axes[0].title.get_fontsize()
    assert large.get_figheight() > small.get_figheight()


def test_bucket_labels_show_ranges():
    assert bucket_labels({"low": 0.0, "high": 0.5}) == ["low\n0–.5", "high\n.5–1"]


def test_saved_files_repeat_and_embed_fonts(tmp_path, score_table):
    for name in ("a", "b"):
        save([grid(score_table)], tmp_path / name, SETTINGS.style)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"FontFile2" in (tmp_path / "a.pdf").read_bytes()


def test_no_text_leaves_the_figure_or_overlaps_its_neighbour():
    table = _scores(models=("llama", "qwen3", "gemma3", "neox"))
    figure = grid(table, SETTINGS)
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


# What is drawn is what is written beside the figure.


def _points(figure):
    return sorted(round(v, 12) for v in _drawn(figure))


def test_every_number_drawn_is_in_the_cells_written_beside_it(score_table, probe_table):
    cells = grid_cells(score_table, SETTINGS)
    known = {round(v, 12) for v in cells["value"]} | {0.0, 1.0}  # axis spans and rules
    assert set(_points(grid(score_table))) <= known
    assert len(set(_points(grid(score_table))) & known) >= 60
    cells = probe_cells(probe_table, SETTINGS)
    assert {round(v, 12) for v in cells["value"]} <= set(_points(probe_page(probe_table)))


def test_a_bucket_that_nobody_fills_is_said_to_be_unfilled(score_table):
    gone = score_table[~((score_table["bucket"] == "high") & (score_table["composition"] == "top_k"))]
    cells = grid_cells(gone, SETTINGS)
    unfilled = cells[cells["missing"] == "no target fills it"]
    assert set(unfilled["bucket"]) == {"high"} and set(unfilled["composition"]) == {"top_k"}
    assert unfilled[["value", "ci_low", "ci_high", "n"]].isna().all().all()
    assert any("high: no target fills it" in text for text in _texts(grid(gone)))


def test_a_model_not_run_is_missing_with_every_system_expected(score_table):
    settings = PresentationSettings(expected={"lexicon": {"gemma3": ["zero", "similar"]}})
    cells = grid_cells(score_table, settings)
    gone = cells[cells["model"] == "gemma3"]
    assert set(gone["missing"]) == {"not run"} and set(gone["strategy"]) == {"base", "zero", "similar"}


@pytest.mark.slow
def test_many_rows_are_paged_and_fit_a_page():
    table = pd.concat([_scores(task=f"t{i}", models=("a", "b", "c", "d"), targets=20, clusters=5) for i in range(8)])
    pages = similarity_grid.draw(grid_cells(table, SETTINGS), SETTINGS)
    assert len(pages) == 2  # one composition each
    assert all(page.get_figheight() <= PAGE_HEIGHT and page.get_figwidth() <= 7.2 for page in pages)
    assert sum(len(page.axes) for page in pages) == 8 * 2 * 4


def test_the_summary_averages_complete_cells_only(score_table):
    points = summary_cells(score_table, SETTINGS)
    means, cells = points[points["task"].isna()], points[points["task"].notna()]
    assert set(means["cells"]) == {2} and means["ci_low"].isna().all()
    for row in means.itertuples():
        same = cells[(cells["composition"] == row.composition) & (cells["strategy"] == row.strategy)]
        assert row.value == pytest.approx(same.loc[same["bucket"] == row.bucket, "value"].mean())
    gap = (score_table["model"] == "llama") & (score_table["strategy"] == "zero") & (score_table["bucket"] == "high")
    points = summary_cells(score_table[~gap], SETTINGS)
    means = points[points["task"].isna()]
    assert set(means["cells"]) == {1} and set(means["of_cells"]) == {2} and set(points["model"].dropna()) == {"qwen3"}
    (figure,) = summary.draw(points, SETTINGS)
    assert any("1 cell (1 incomplete)" in text for text in _texts(figure))
    only = score_table[(score_table["model"] == "llama") | (score_table["model"] == "none")]
    points = summary_cells(only[~gap[only.index]], SETTINGS)
    assert points["value"].isna().all() and set(points["missing"]) == {"none of 1 cells is complete"}
    assert "No scores to average" in _texts(summary.draw(points, SETTINGS)[0])[0]


def test_the_summary_never_mixes_metrics(score_table):
    other = _scores(task="intents", models=("smol",), metric="exact_match")
    points = summary_cells(pd.concat([score_table, other]), SETTINGS)
    for metric, rows in points.groupby("metric"):
        assert set(rows["task"].dropna()) == ({"intents"} if metric == "exact_match" else {"lexicon"})


ABLATED = PresentationSettings(
    strategies=[
        {"name": "contrastive", "kind": "contrastive"},
        {"name": "similar", "ablation": {"of": "contrastive", "factor": "p", "value": 1.0}},
        {"name": "random", "ablation": {"of": "contrastive", "factor": "p", "value": 0.0}},
        {"name": "lost", "ablation": {"of": "contrastive", "factor": "without", "value": "high"}},
    ],
    defaults={"contrastive": {"p": 0.5, "without": "none"}},
    expected={"lexicon": {"llama": ["contrastive", "similar", "random", "lost"]}},
)


def test_in_the_appendix_ablations_have_panels_of_their_own():
    cells = grid_cells(_scores(), ABLATED, everything=True)
    (page,) = similarity_grid.draw(cells, ABLATED)
    titles = [ax.get_title() for ax in page.axes]
    assert titles == ["llama: one graded", "llama: k nearest", *["contrastive: p", "contrastive: level removed"] * 2]
    of_p = cells[cells["strategy"].isin(["contrastive", "similar", "random"]) & (cells["composition"] == "one_graded")]
    drawn = {round(float(v), 12) for line in page.axes[2].lines for v in np.ravel(line.get_ydata())}
    assert {round(v, 12) for v in of_p["value"]} <= drawn
    others = cells[cells["strategy"].isin(["base", "zero"]) & (cells["composition"] == "one_graded")]
    assert not {round(v, 12) for v in others["value"]} & drawn
    assert any("not trained: lost" in text for text in _texts(page))


def test_no_tick_is_above_the_metrics_range():
    named = PresentationSettings(expected={"lexicon": {"llama": [f"strategy-{number}" for number in range(9)]}})
    page = grid(_scores(), named)
    assert any("not trained" in text for text in _texts(page))
    ticks = [tick for ax in page.axes for tick in ax.get_yticks()]
    assert max(ticks) == pytest.approx(1) and page.axes[0].get_ylim()[1] > 1


def test_an_unfinished_system_is_missing_for_its_reason(score_table, probe_table):
    gap = {"task": "lexicon", "model": "llama", "system": "zero-seed0"}
    settings = PresentationSettings(
        expected={"lexicon": {"llama": ["zero"]}},
        unfinished=[gap | {"what": "answers", "reason": "no answers yet"},
                    gap | {"what": "probes", "reason": "not probed yet"}],
    )  # fmt: skip
    for table, draw, reason in ((score_table, grid, "no answers yet"), (probe_table, probe_page, "not probed yet")):
        gone = (table["strategy"] == "zero") & (table["model"] == "llama")
        assert any(f"{reason}: Zero" in text for text in _texts(draw(table[~gone], settings=settings)))


def test_ablations_stand_against_their_strategy_and_nowhere_else():
    table = _scores()
    cells = ablation_cells(table, ABLATED)
    assert dict(cells[cells["factor"] == "p"].groupby("setting")["strategy"].first()) == {
        "0": "random", "0.5": "contrastive", "1": "similar",
    }  # fmt: skip
    assert set(cells.loc[cells["strategy"] == "lost", "missing"]) == {"not trained"}
    (figure,) = ablations.draw(cells, ABLATED)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["0", "0.5", "1"]
    assert any("not trained: high" in text for text in _texts(figure))
    measured = cells[(cells["missing"] == "") & (cells["factor"] == "p")]
    assert {round(v, 12) for v in measured["value"]} <= set(_points(figure))
    assert not {"similar", "random"} & set(grid_cells(table, ABLATED)["strategy"])
    assert {"similar", "random"} <= set(grid_cells(table, ABLATED, everything=True)["strategy"])
    assert "No ablations" in _texts(ablations.draw(ablation_cells(table, SETTINGS), SETTINGS)[0])[0]


def _plane_study(**strategies):
    point = {"kind": "contrastive", "paraphrasers": {"lexicon": "lexicon"}}
    entries = {
        "random": {"kind": "random"},
        "contrastive": point | {"p": 0.5, "epsilon": 0.1},
        "p0": point | {"p": 0, "epsilon": 0.1, "ablation": {"of": "contrastive", "factor": "p", "value": 0}},
        "eps0": point | {"p": 0.5, "epsilon": 0, "ablation": {"of": "contrastive", "factor": PLANE, "value": ".5, 0"}},
    } | strategies  # fmt: skip
    grid = {"task": "lexicon", "models": ["llama"], "strategies": list(entries), "finetuning": "short", "seeds": [0]}
    study = {
        "run": "plane",
        "paraphrasers": {"lexicon": {"kind": "lexicon"}},
        "encoders": {"positions": {"kind": "positional_words"}},
        "tasks": {
            "lexicon": {
                "corpus": {"kind": "lexicon"},
                "template": {"target_prefix": "=>", "stop": ";"},
                "encoder": "positions",
                "metrics": ["token_accuracy"],
                "agreement": "token_accuracy",
            }
        },
        "models": {"llama": {"kind": "pretrain", "family": "llama"}},
        "strategies": entries,
        "finetuning": {"short": {"steps": 1, "checkpoints": [1], "warmup_steps": 0}},
        "grid": [grid],
    }
    return load_study(study)


def test_the_plane_shows_buckets_and_probes_where_they_were_measured(tmp_path):
    settings = PresentationSettings.of(_plane_study())
    assert settings.planes == {
        "contrastive": {"contrastive": (0.5, 0.1), "p0": (0.0, 0.1), "eps0": (0.5, 0.0), "random": (0.0, 0.0)}
    }
    names = {"zero": "p0", "similar": "eps0"}
    scores = _scores().assign(strategy=lambda rows: rows["strategy"].replace(names))
    probes = tidy.probe_cells(tidy.read_probes(write_probes(tmp_path)), STATISTICS)
    probes = tidy.table(probes, STATISTICS, "probe").assign(strategy=lambda rows: rows["strategy"].replace(names))
    cells = plane_cells(scores, probes, settings)
    assert set(cells["quantity"]) == {"low", "medium", "high", *PROBES}
    assert set(cells["strategy"]) == {"contrastive", "p0", "eps0", "random"}
    assert cells.loc[cells["composition"] == "none", "step"].nunique() == 1  # the last checkpoint's probes
    (page,) = plane.draw(cells, settings)
    assert [ax.get_title() for ax in page.axes] == [
        *["low similarity", "medium similarity", "high similarity"] * 2, "IWL-score", "ICL-score", "Copy-score",
    ]  # fmt: skip
    low = page.axes[0]
    shown = np.asarray(low.images[0].get_array())  # rows: ε 0 and .1; columns: p 0 and .5
    of_low = cells[(cells["quantity"] == "low") & (cells["composition"] == "one_graded")].set_index("strategy")["value"]
    np.testing.assert_allclose(shown, [[of_low["random"], of_low["eps0"]], [of_low["p0"], of_low["contrastive"]]])
    assert [text.get_text() for text in low.get_xticklabels()] == ["0", "0.5"]
    assert {text.get_text().split("\n")[0] for text in low.texts} == {f"{value:.2f}" for value in of_low}
    # Its points are in no other figure.
    others = (ablation_cells(scores, settings), grid_cells(scores, settings))
    assert not any("eps0" in set(frame["strategy"]) for frame in others)
    (appendix,) = similarity_grid.draw(grid_cells(scores, settings, everything=True), settings)
    assert not any(PLANE in ax.get_title() for ax in appendix.axes)


def test_a_cell_of_the_plane_that_was_not_run_is_empty():
    settings = PresentationSettings.of(_plane_study())
    scores = _scores().assign(strategy=lambda rows: rows["strategy"].replace({"similar": "eps0"}))
    (page,) = plane.draw(plane_cells(scores, NO_PROBES, settings), settings)
    assert np.ma.getmaskarray(page.axes[0].images[0].get_array()).sum() == 1
    assert len(page.axes[0].texts) == 3


def test_without_points_off_the_axes_there_is_no_plane():
    with pytest.raises(UserError, match="for strategies of kind contrastive; random has not both"):
        _plane_study(other={"kind": "random", "ablation": {"of": "random", "factor": PLANE, "value": "x"}})
    (page,) = plane.draw(plane_cells(_scores(), NO_PROBES, SETTINGS), SETTINGS)
    assert "No plane in this run" in _texts(page)[0]


def test_the_shipped_ablations_of_the_paraphraser_stand_beside_its_default(repository):
    study = load_study(yaml.safe_load((repository / "config.yaml").read_text()))
    settings = PresentationSettings.of(study)
    assert {"p", "epsilon", "without", "paraphraser"} <= {ablation.factor for ablation in settings.ablations().values()}
    where = {"task": "en-de", "models": ("llama-3.2-1b",), "metric": "comet"}
    table = _scores(**where, strategies=("base", "contrastive", "mixed"))
    table["strategy"] = table["strategy"].replace("mixed", "contrastive-qwen")
    cells = ablation_cells(table, settings)
    cells = cells[cells["factor"] == "paraphraser"]
    assert dict(cells.groupby("setting")["strategy"].first()) == {"rules": "contrastive", "qwen": "contrastive-qwen"}
    assert set(cells.loc[cells["missing"] == "", "setting"]) == {"rules", "qwen"}
    figure = ablations.draw(cells, settings)[0]
    ticks = {text.get_text(): text.get_fontweight() for text in figure.axes[0].get_xticklabels()}
    assert ticks == {"rules": "bold", "qwen": "normal"} and figure.axes[0].get_xlabel() == "paraphraser"


def test_panels_that_share_tick_labels_share_their_range(probe_table):
    gap = (probe_table["model"] == "llama") & (probe_table["strategy"] == "random")
    settings = PresentationSettings(expected={"lexicon": {"llama": ["random"]}})
    figure = probe_page(probe_table[~gap], settings=settings)
    assert any("not trained: Random" in text for text in _texts(figure))
    for left, right in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        assert left.get_ylim() == right.get_ylim()


def test_long_legends_and_remarks_stay_inside():
    names = [f"contrastive-with-a-long-name-{number}" for number in range(9)]
    settings = PresentationSettings(expected={"lexicon": {"llama": names, "qwen3": names}})
    figure = grid(_scores(models=("llama", "qwen3"), targets=20, clusters=5), settings)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [a.get_window_extent(renderer) for a in figure.get_children() if type(a).__name__ == "Legend"]
    assert boxes and all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    for ax in figure.axes:
        for text in ax.texts:
            assert text.get_window_extent(renderer).x1 <= ax.bbox.x1 + 25
    assert shortened(["a", "b", "c", "d"]) == "a, b, 2 more"
