"""Probes that a task hasn't, or that its data can't give: tables, figures, LaTeX and report say so and go on."""

import pandas as pd
import pytest

from contrastive_context.inference.probing import no_values
from contrastive_context.report.build import render
from contrastive_context.report.settings import BuildReportSettings
from synthetic_results import report_inputs, run_step, write_probes, write_run


def thin_files(folder):
    """What probing writes where the data give no prompt, and where they give those of two probes."""
    paths = write_probes(folder / "probes", models=("llama", "qwen3"))
    for path in paths:
        frame = pd.read_parquet(path)
        some = (
            no_values().assign(step=0) if path.parent.name == "llama" else frame[frame["probe"].isin(["iwl", "copy"])]
        )
        some.to_parquet(path)
    return paths


@pytest.mark.parametrize("files", [lambda folder: [], thin_files], ids=["not probed", "thin data"])
def test_everything_is_made_without_them(repository, tmp_path, files):
    run = write_run(repository, tmp_path, files(tmp_path))
    table = pd.read_parquet(run / "tables/probes.parquet")
    drawn = pd.read_csv(run / "figures/fig4_probes.csv")
    given = {"iwl", "copy"} if files is thin_files else set()
    assert set(table["probe"]) == set(drawn["probe"]) == given
    run_step(repository, "export_latex", {}, *(f"--{name}={run}/tables/{name}.parquet" for name in
             ("scores", "probes", "findings")), f"--signatures={run}/tables/signatures.csv", "--out-dir",
             run / "tables")  # fmt: skip
    missing = pd.read_parquet(run / "tables/missing.parquet")
    told = missing[missing["what"].str.startswith("probe ")]
    assert dict(zip(told["what"], told["reason"], strict=True)) == {
        f"probe {name}": "0 of 30 targets have an anchor" for name in ("ICL", "ICL (valid label)")
    }
    page = render(report_inputs(run), BuildReportSettings())
    assert "probe ICL (valid label)" in page and "0 of 30 targets have an anchor" in page
    assert "probe ICL (valid label)" in (run / "tables/missing.tex").read_text()
