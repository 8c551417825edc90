import os
import subprocess
import sys

import numpy as np
import pytest

from contrastive_context.config.minimal_model import MinimalModel
from contrastive_context.figures import minimal_model
from contrastive_context.figures.page import PAGE_HEIGHT
from contrastive_context.figures.saving import save
from contrastive_context.figures.settings import MinimalModelFigureSettings
from contrastive_context.minimal_model.table import simulate

SETTINGS = MinimalModel(seeds=[0, 1], steps=20, probe_every=10, probe_targets=40, dimensions=6, features=8)


@pytest.fixture(scope="module")
def table():
    return simulate(SETTINGS, SETTINGS.conditions.items())


def _words(figure):
    texts = [*figure.texts, *(text for ax in figure.axes for text in ax.texts)]
    return " ".join(text.get_text() for text in texts)


def test_the_caption_says_what_the_results_are_and_are_not_with_this_runs_numbers(table):
    text = minimal_model.caption(table)
    for words in ("model is ours", "path that gradient descent takes", "not about optima", "Zero's loss"):
        assert words in text
    last = table[(table["step"] == 20) & table["seed"].isna()].set_index(["variant", "condition", "probe"])["value"]
    for variant in ("gate", "softmax"):
        gain = 1 - last[variant, "contrastive", "mse_high"] / last[variant, "mixed", "mse_high"]
        assert f"{gain:.1%} ({variant})" in text
    few = minimal_model.caption(table[table["condition"].isin(["zero", "similar"])])
    assert "model is ours" in few and "within a context" not in few


def test_what_is_drawn_is_what_is_selected(table):
    drawn = minimal_model.select(table)
    assert set(drawn["condition"]) == {"zero", "random", "similar", "contrastive", "optimum"}
    (figure,) = minimal_model.draw(drawn, MinimalModelFigureSettings(), minimal_model.caption(table))
    values = {round(float(v), 12) for ax in figure.axes for line in ax.lines for v in np.ravel(line.get_ydata())}
    seen = drawn[(drawn["probe"] != "weight") | drawn["variant"].isin(["gate", "none"])]
    assert {round(v, 12) for v in seen["value"]} <= values
    words = _words(figure)
    assert "summarizer" in words and "in-weights learner" in words and "layer 2" in words
    assert figure.get_figwidth() <= 7.2 and figure.get_figheight() <= PAGE_HEIGHT


def test_one_variant_and_one_seed_draw_too(tmp_path):
    settings = SETTINGS.model_copy(update={"seeds": [3], "variants": ["softmax"]})
    table = simulate(settings, [("random", settings.conditions["random"])])
    (figure,) = minimal_model.draw(minimal_model.select(table), MinimalModelFigureSettings())
    paths = save([figure], tmp_path / "fig2", MinimalModelFigureSettings().style, table)
    assert [path.suffix for path in paths] == [".png", ".pdf", ".csv"] and "one seed" in _words(figure)


@pytest.fixture(scope="module")
def drawn_by_the_step(table, repository, tmp_path_factory):
    """Run the step with environment variables; return the bytes of its picture."""
    folder = tmp_path_factory.mktemp("step")
    table.to_parquet(folder / "table.parquet")

    def draw(name: str, **variables: str) -> bytes:
        command = [sys.executable, repository / "workflow_scripts/plot_minimal_model.py", "--settings={}"]
        command += ["--table", folder / "table.parquet", "--out", folder / name]
        result = subprocess.run(command, env={**os.environ, **variables}, cwd=folder, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return (folder / f"{name}.png").read_bytes()

    return draw


def test_the_users_matplotlib_settings_change_no_figure(drawn_by_the_step, tmp_path):
    plain = drawn_by_the_step("plain")
    assert drawn_by_the_step("notebook", MPLBACKEND="module://matplotlib_inline.backend_inline") == plain
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: red\nlines.dashed_pattern: 1, 1\n")
    assert drawn_by_the_step("named", MATPLOTLIBRC=str(tmp_path / "matplotlibrc")) == plain
    assert drawn_by_the_step("of the user", MPLCONFIGDIR=str(tmp_path)) == plain
