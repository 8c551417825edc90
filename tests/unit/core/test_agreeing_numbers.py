"""Figures, LaTeX, CSV and report say the same numbers to the digit, and hostile names stay text in all of them."""

import html
import re

import pandas as pd
import pytest

from contrastive_context.report.build import render
from contrastive_context.report.settings import BuildReportSettings
from contrastive_context.tables import latex, presentation
from contrastive_context.tables.numbers import estimate, share, written
from contrastive_context.tables.settings import PresentationSettings
from synthetic_results import report_inputs, run_step, write_figures, write_gaps, write_probes, write_scores

HOSTILE = "100% <b>_{x}^2~\\ & #1 $y$"
KEYS = {
    "scores": ["task", "test_set", "model", "strategy", "seeds", "step", "composition", "bucket", "metric"],
    "probes": ["task", "model", "strategy", "seeds", "step", "probe", "metric"],
}
SETTINGS = {"models": [{"name": "llama", "title": HOSTILE}, {"name": "qwen3"}]}
ABLATIONS = SETTINGS | {
    "strategies": [
        {"name": "contrastive", "kind": "contrastive"},
        {"name": "similar", "ablation": {"of": "contrastive", "factor": "p", "value": 1.0}},
        {"name": "random", "ablation": {"of": "contrastive", "factor": "p", "value": 0.0}},
    ],
    "defaults": {"contrastive": {"p": 0.5}},
}
LONG = "The quick brown fox jumps over the lazy dog. " * 222

pytestmark = pytest.mark.slow


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
    run_step(repository, "plot_ablations", ABLATIONS, "--scores", tables[0], "--out", folder / "figures/fig5_ablations")
    write_gaps(repository, folder, SETTINGS)
    text = render(report_inputs(folder), BuildReportSettings(model_titles={"llama": HOSTILE}))
    (folder / "report.html").write_text(text)
    return folder


def _plain(latex_text):
    return latex_text.replace("$-$", "−").replace("--", "–")


def _cells(rows):
    """Return a table's cells as (model, strategy, column) → text, from its rows, the header first."""
    header, *rows = rows
    assert all(len(row) == len(header) for row in rows)
    found = {(row[0], row[1].lower(), name): text for row in rows for name, text in zip(header, row, strict=True)}
    assert len(found) == len(rows) * len(header)
    return {key: text for key, text in found.items() if key[2] not in ("Model", "Strategy", "Training run")}


def latex_cells(text, label):
    """Read the tabular of a label out of the LaTeX file."""
    (table,) = [part for part in text.split(r"\end{table}") if rf"\label{{{label}}}" in part]
    lines = [line.removesuffix(r" \\") for line in table.splitlines() if line.endswith(r" \\")]
    names = {latex.escape(name): name for name in (HOSTILE, "–")}
    return _cells([[names.get(cell, _plain(cell)) for cell in line.split(" & ")] for line in lines])


def report_cells(page, title):
    """Read the table whose title starts so out of the report."""
    (table,) = re.findall(rf"<summary>{re.escape(title)}.*?</table>", page.read_text(), re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return _cells([[_text(cell) for cell in re.findall(r"<t[hd]\b.*?</t[hd]>", row, re.DOTALL)] for row in rows])


COLUMNS = {
    "one_graded": "one graded", "top_k": "k nearest", "zero_context": "zero-shot",
    "iwl": "IWL", "icl": "ICL", "icl_valid": "ICL (valid label)", "copy": "Copy",
}  # fmt: skip
#: Figure → the table that its numbers are from, how this is called in LaTeX and in the report, and cells of the figure.
SHOWN = {
    "fig1_summary": ("scores", "tab:scores-lexicon-in-domain-token-accuracy", "lexicon · in domain", 2 * 3 * 12),
    "fig3_similarity_grid": ("scores", "tab:scores-lexicon-in-domain-token-accuracy", "lexicon · in domain", 76),
    "fig5_ablations": ("scores", "tab:scores-lexicon-in-domain-token-accuracy", "lexicon · in domain", 2 * 3 * 2 * 3),
    "fig4_probes": ("probes", "tab:probes-lexicon-generation", "lexicon · probes by generation", 2 * 5 * 4),
    "fig4_probes_likelihood": ("probes", "tab:probes-lexicon-likelihood", "lexicon · probes by likelihood", 2 * 5 * 4),
}


def drawn_cells(run, figure):
    """Return what a figure draws of single cells at the last step, over all training runs, from the CSV beside it."""
    drawn = pd.read_csv(run / f"figures/{figure}.csv")
    drawn = drawn[drawn["missing"].isna()]
    if figure == "fig1_summary":
        return drawn[drawn["task"].notna()]
    return drawn[(drawn["seeds"] != 1) & (drawn["step"] == drawn.groupby("strategy")["step"].transform("max"))]


@pytest.mark.parametrize("figure", SHOWN)
def test_figure_csv_latex_and_report_agree_cell_by_cell(run, figure):
    table, label, title, count = SHOWN[figure]
    in_latex = latex_cells((run / f"tables/{table}.tex").read_text(), label)
    assert in_latex == report_cells(run / "report.html", title)
    found = set()
    for row in drawn_cells(run, figure).itertuples():
        # Nearest label has no model: the summary repeats it beside each.
        model = "–" if row.strategy == "nearest_label" else {"llama": HOSTILE}.get(row.model, row.model)
        column = COLUMNS[row.probe if table == "probes" else row.composition]
        column += f", {row.bucket}" if table == "scores" and row.bucket != "none" else ""
        cell = (model, row.strategy.replace("_", " "), column)
        assert in_latex[cell] == str(estimate(row.value, row.ci_low, row.ci_high)), cell
        found.add((row.model, *cell[1:]))
    assert len(found) == count


@pytest.mark.parametrize("figure", [name for name in SHOWN if name != "fig1_summary"])
def test_the_numbers_drawn_are_the_tables_to_the_last_digit(run, figure):
    drawn = pd.read_csv(run / f"figures/{figure}.csv")
    drawn = drawn[drawn["missing"].isna()]
    table = SHOWN[figure][0]
    joined = drawn.merge(
        pd.read_csv(run / f"tables/{table}.csv"), on=[*KEYS[table], "seed"], suffixes=("", "_table"),
        validate="many_to_one",
    )  # fmt: skip
    assert len(joined) == len(drawn) > 30
    for name in ("value", "ci_low", "ci_high", "n"):
        assert (joined[name] == joined[f"{name}_table"]).all()


def test_a_swap_of_two_columns_is_seen(run):
    _, label, title, _ = SHOWN["fig4_probes"]
    text = (run / "tables/probes.tex").read_text()
    swapped = text.replace("IWL & ICL &", "ICL & IWL &")
    assert swapped != text
    assert latex_cells(swapped, label) != report_cells(run / "report.html", title)


def _text(markup):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def _text_of(page):
    return _text(page.read_text())


def test_paired_differences_agree(run):
    table = pd.read_csv(run / "tables/findings.csv")
    table = table[table["difference"].notna()]
    rows = _plain((run / "tables/findings.tex").read_text())
    page = _text_of(run / "report.html")
    assert len(table) > 10
    for row in table.itertuples():
        text = str(estimate(row.difference, row.ci_low, row.ci_high))
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
        *["kept, but longer than the 256 tokens that the encoder reads"] * 2,
    ]  # fmt: skip
    # The encoder's are of all test sets together.
    for split, expected in (("train", "7 (0.7%)"), ("test", "1 (20.0%)")):
        assert expected in page and expected.replace("%", r"\%") in latex_of["dropped"], split
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


def test_hostile_names_are_text_in_the_report(run):
    assert HOSTILE not in (run / "report.html").read_text()
    assert html.escape(HOSTILE, quote=False) in (run / "report.html").read_text()


def test_a_name_of_10000_characters_is_whole_in_latex_and_report(run):
    table = pd.read_parquet(run / "tables/probes.parquet")
    tables = presentation.probe_tables(table, PresentationSettings(models={"llama": f"{LONG}_"}))
    text = "\n".join(map(latex.rendered, tables))
    cells = latex_cells(text, SHOWN["fig4_probes"][1])
    assert cells[rf"{LONG}\_", "zero", "IWL"].startswith("0.")
    page = render(report_inputs(run), BuildReportSettings(model_titles={"llama": LONG}))
    assert f"<tr><td>{LONG}</td>" in page


def test_numbers_are_written_by_their_scale():
    assert [written(v) for v in (0.12345, -0.5, None, float("nan"), pd.NA)] == ["0.123", "−0.500", "–", "–", "–"]
    assert written(12.345, 100) == "12.3"
    assert estimate(0.5, None, None) == ("0.500", "")
    assert latex.escape("a_b\n−1") == r"a\_b $-$1"
