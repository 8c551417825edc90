import html.parser
import json
import re
import subprocess
import sys

import pytest
from synthetic_results import write_probes, write_scores

from contrastive_context.errors import UserError
from contrastive_context.report.build import Inputs, Settings, render

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def run(repository, tmp_path_factory):
    """Tables and figures made by the entry points themselves."""
    folder = tmp_path_factory.mktemp("run")
    scores = write_scores(folder / "scores", models=("llama", "qwen3"))
    probes = write_probes(folder / "probes", models=("llama", "qwen3"))
    scripts = repository / "workflow_scripts"

    def call(script, settings, *arguments):
        command = [sys.executable, scripts / script, "--settings", json.dumps(settings), *arguments]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)

    call("build_tables.py", {"statistics": {"resamples": 100}}, "--scores", *scores, "--probes", *probes,
         "--out-dir", folder / "tables")  # fmt: skip
    call("plot_figures.py", {}, "--scores", folder / "tables/scores.parquet", "--probes",
         folder / "tables/probes.parquet", "--out-dir", folder / "figures")  # fmt: skip
    (folder / "counts.json").write_text(
        json.dumps({"train": {"generated": 9, "dropped": {"duplicate_source": 2}, "kept": 7},
                    "test": {"in_domain": {"generated": 5, "dropped": {}, "kept": 5}}})
    )  # fmt: skip
    (folder / "coverage.json").write_text(json.dumps({"asked": 300, HOSTILE: [1, 2]}))
    return folder


def _inputs(run, **more):
    tables = {name: run / "tables" / f"{name}.parquet" for name in ("scores", "probes", "findings")}
    return Inputs(**tables, figures=run / "figures", **more)


class _Page(html.parser.HTMLParser):
    VOID = {"meta", "img", "link", "br", "hr", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.images, self.links, self.headings = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(attrs)
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append(int(tag[1:]))
        self.links += [value for key, value in attrs.items() if key in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _parse(text):
    page = _Page()
    page.feed(text)
    assert not page.open
    return page


def test_one_file_without_network(run):
    page = _parse(render(_inputs(run), Settings()))
    assert len(page.images) == 3 and all(image["alt"] for image in page.images)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))


def test_findings_come_first_and_have_verdicts(run):
    text = render(_inputs(run), Settings())
    assert text.index('id="findings"') < text.index('id="figures"') < text.index('id="tables"')
    assert "2 of 2 models" in text and "does not show" in text and "for this training run" in text
    assert "prefers-color-scheme: dark" in text


def test_hostile_text_is_escaped(run):
    config = {"tasks": {"t": {"title": HOSTILE}}, "packages": {HOSTILE: {"version": "1", "licence": HOSTILE}}}
    settings = Settings(
        title=HOSTILE, run=HOSTILE, config=config, model_titles={"llama": HOSTILE}, task_titles={"lexicon": HOSTILE}
    )
    inputs = _inputs(run, coverage={HOSTILE: run / "coverage.json"}, counts={HOSTILE: run / "counts.json"})
    text = render(inputs, settings)
    page = _parse(text)
    assert "script" not in page.tags and "<script" not in text
    assert "&lt;script&gt;" in text


def test_counts_provenance_licences_and_config_are_there(run):
    sidecars = sorted((run / "tables").glob("*.provenance.json"))
    config = {"packages": {"llm-x": {"version": "0.1", "licence": "Apache-2.0", "contents": "weights"}}, "k": 5}
    inputs = _inputs(run, counts={"lexicon": run / "counts.json"}, coverage={"a": run / "coverage.json"},
                     provenance=sidecars)  # fmt: skip
    text = render(inputs, Settings(config=config))
    for expected in ("duplicate source: 2", "test/in_domain", "Apache-2.0", "llm-x", "numpy", "CPUs", "Where we had"):
        assert expected in text, expected
    assert "&#34;k&#34;: 5" in text


def test_missing_values_are_a_dash(run, tmp_path):
    import numpy as np
    import pandas as pd

    table = pd.read_parquet(run / "tables/scores.parquet")
    table = table[~((table["strategy"] == "zero") & (table["bucket"] == "high"))]
    table.loc[table["strategy"] == "similar", ["value", "ci_low", "ci_high"]] = np.nan
    table.to_parquet(tmp_path / "scores.parquet")
    inputs = _inputs(run)
    inputs.scores = tmp_path / "scores.parquet"
    text = render(inputs, Settings())
    assert '<td class="nowrap">–</td>' in text and not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_inputs_of_a_run_are_found(run, repository, tmp_path):
    folders = {"corpus/lexicon/counts.json": '{"train": {"generated": 9, "dropped": {}, "kept": 9}}',
               "contexts/lexicon/eval.coverage.json": '{"asked": 300}',
               "models/llama.json": '{"files": {"a": {}}, "gate": {"accuracy": 0.995}}'}  # fmt: skip
    for name, text in folders.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    out, script = tmp_path / "report.html", repository / "workflow_scripts/build_report.py"
    settings = {"title": "T", "tasks": ["lexicon"], "models": ["qwen3", "llama"], "model_titles": {"qwen3": "Qwen"}}
    command = [sys.executable, script, "--settings", json.dumps(settings), "--results", run, "--out", out]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    text = out.read_text()
    assert "<title>T</title>" in text and "gate › accuracy" in text and "asked" in text
    assert text.index('<th scope="col">Qwen') < text.index('<th scope="col">llama')


def test_missing_figure_is_a_user_error(run, tmp_path):
    inputs = _inputs(run)
    inputs.figures = tmp_path
    with pytest.raises(UserError, match="draw the figures first"):
        render(inputs, Settings())


@pytest.mark.parametrize(
    "script", ["score.py", "predict_nearest_label.py", "build_tables.py", "plot_figures.py", "build_report.py"]
)
def test_help_is_quick_and_imports_nothing_heavy(repository, script):
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{script!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(repository / 'workflow_scripts' / script)!r}, run_name='__main__')\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(sorted(set(sys.modules) & {'torch', 'transformers', 'pandas', 'matplotlib', 'sacrebleu', 'numpy'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
