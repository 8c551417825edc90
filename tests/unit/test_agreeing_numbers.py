"""Figures, LaTeX, CSV and report say the same numbers to the digit, and hostile names stay text in all of them."""

import html
import re

import pandas as pd
import pytest

from contrastive_context.evaluation import latex
from contrastive_context.evaluation.numbers import share, with_interval, written
from contrastive_context.figures.style import FigureSettings
from contrastive_context.report.build import Settings, render
from synthetic_results import report_inputs, run_step, write_figures, write_losses, write_probes, write_scores

HOSTILE = "100% <b>_{x}^2~\\ & #1 $y$"
KEYS = {
    "scores": ["task", "test_set", "model", "strategy", "seeds", "step", "composition", "bucket", "metric"],
    "probes": ["task", "model", "strategy", "seeds", "step", "probe", "metric"],
}
SETTINGS = {"models": [{"name": "llama", "title": HOSTILE}, {"name": "qwen3"}]}


@pytest.fixture(scope="module")
def run(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    options = {"models": ("llama", "qwen3"), "seeds": (0, 1)}
    scores, probes = write_scores(folder / "scores", **options), write_probes(folder / "probes", **options)
    tables = [folder / f"tables/{name}.parquet" for name in ("scores", "probes", "findings")]
    run_step(repository, "build_tables", {"statistics": {"resamples": 100}}, "--scores", *scores, "--probes", *probes,
             "--out-dir", folder / "tables")  # fmt: skip
    run_step(repository, "export_latex", SETTINGS, "--scores", tables[0], "--probes", tables[1], "--findings",
             tables[2], "--out-dir", folder / "tables")  # fmt: skip
    write_figures(repository, folder, SETTINGS)
    write_losses(repository, folder, SETTINGS)
    text = render(report_inputs(folder), Settings(model_titles={"llama": HOSTILE}))
    (folder / "report.html").write_text(text)
    return folder


def _plain(latex_text):
    return latex_text.replace("$-$", "−").replace("--", "–")


@pytest.mark.parametrize(
    "figure, table",
    [("fig3_similarity_grid", "scores"), ("fig4_probes", "probes"), ("fig4_probes_likelihood", "probes")],
)
def test_figure_csv_latex_and_report_agree_to_the_digit(run, figure, table):
    drawn = pd.read_csv(run / f"figures/{figure}.csv")
    drawn = drawn[drawn["missing"].isna()]
    source = pd.read_csv(run / f"tables/{table}.csv")
    # The drawn numbers are the table's, digit by digit.
    joined = drawn.merge(source, on=[*KEYS[table], "seed"], suffixes=("", "_table"), validate="one_to_one")
    assert len(joined) == len(drawn) > 40
    for name in ("value", "ci_low", "ci_high", "n"):
        assert (joined[name] == joined[f"{name}_table"]).all()
    # Their rounding is in LaTeX and in the report: in LaTeX in the row of their model and strategy.
    rows = _plain((run / f"tables/{table}.tex").read_text()).splitlines()
    page = _text_of(run / "report.html")
    last = drawn["step"] == drawn.groupby("strategy")["step"].transform("max")
    pooled = (drawn["seeds"] != 1) & last
    assert pooled.sum() > 10
    for row in drawn[pooled].itertuples():
        text = with_interval(row.value, row.ci_low, row.ci_high)
        model = {"none": "–", "llama": _plain(latex.escape(HOSTILE))}.get(row.model, row.model)
        start = f"{model} & {row.strategy.replace('_', ' ')} &"
        assert any(line.startswith(start) and text in line for line in rows), (start, text)
        assert text in page


def _text_of(page):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page.read_text())))


def test_paired_differences_agree(run):
    table = pd.read_csv(run / "tables/findings.csv")
    table = table[(table["model"] != "all") & table["difference"].notna()]
    rows = _plain((run / "tables/findings.tex").read_text())
    page = _text_of(run / "report.html")
    assert len(table) > 10
    for row in table.itertuples():
        text = with_interval(row.difference, row.ci_low, row.ci_high, 1.0)
        assert text in rows and text in page


def test_what_was_truncated_dropped_or_is_missing_agrees(run):
    page = _text_of(run / "report.html")
    latex_of = {name: _plain((run / f"tables/{name}.tex").read_text()) for name in ("truncated", "dropped", "missing")}
    truncated = pd.read_csv(run / "tables/truncated.csv")
    assert len(truncated) == 2 * 5 + 1
    for row in truncated.itertuples():
        numbers = [f"{row.answers:,}", share(row.cut, row.answers), share(row.shortened, row.answers)]
        assert " & ".join(numbers).replace("%", r"\%") in latex_of["truncated"]
        assert " ".join(numbers) in page
    dropped = pd.read_csv(run / "tables/dropped.csv")
    assert list(dropped["what"]) == [
        "read", "read", "read", "dropped: duplicate source", "kept", "kept", "kept",
        "kept, but its prompt lacks tables of the schema",
    ]  # fmt: skip
    for row in dropped.itertuples():
        assert f"{row.rows:,}" in latex_of["dropped"] and f"{row.rows:,}" in page
    missing = pd.read_csv(run / "tables/missing.csv")
    assert len(missing)
    for reason in missing["reason"]:
        assert reason in latex_of["missing"] and reason in page


def test_latex_is_booktabs_with_every_special_escaped(run):
    for name in ("scores", "probes", "findings", "truncated"):
        text = (run / f"tables/{name}.tex").read_text()
        assert r"\toprule" in text and r"\bottomrule" in text and text.count(r"\begin{table}") >= 1
        assert (
            r"100\% \textless{}b\textgreater{}\_\{x\}\textasciicircum{}2\textasciitilde{}\textbackslash{} \& \#1 \$y\$"
            in text
        )
        assert HOSTILE not in text
        widths = {line.count(" & ") for block in text.split(r"\begin{tabular}")[1:2]
                  for line in block.splitlines() if line.endswith(r"\\")}  # fmt: skip
        assert len(widths) == 1


def test_hostile_names_are_text_in_figures_and_report(run):
    assert HOSTILE not in (run / "report.html").read_text()
    assert html.escape(HOSTILE, quote=False) in (run / "report.html").read_text()
    assert (run / "figures/fig3_similarity_grid.pdf").read_bytes().startswith(b"%PDF")


def test_numbers_are_written_by_their_scale():
    assert [written(v) for v in (0.12345, -0.5, None, float("nan"), pd.NA)] == ["0.123", "−0.500", "–", "–", "–"]
    assert written(12.345, 100) == "12.3"
    assert with_interval(0.5, None, None) == "0.500"
    assert latex.escape("a_b\n−1") == r"a\_b $-$1"
    assert latex.scores(pd.DataFrame(), FigureSettings()) == ""
