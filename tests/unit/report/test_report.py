import html.parser
import json
import re
import subprocess
import sys

import pytest

from contrastive_context.core.errors import UserError
from contrastive_context.report.build import Inputs, render
from contrastive_context.report.settings import BuildReportSettings
from contrastive_context.report.usage import effective_config
from synthetic_results import report_inputs, write_run

HOSTILE = '<script>alert("x")</script>'

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(repository, tmp_path_factory):
    """Tables and figures made by the entry points themselves."""
    folder = tmp_path_factory.mktemp("run")
    write_run(repository, folder)
    (folder / "coverage.json").write_text(json.dumps({"asked": 300, HOSTILE: [1, 2]}))
    return folder


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
    page = _parse(render(report_inputs(run), BuildReportSettings()))
    assert len(page.images) == 5 and all(image["alt"] for image in page.images)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))


def test_findings_come_first_and_have_verdicts(run):
    text = render(report_inputs(run), BuildReportSettings())
    assert text.index('id="findings"') < text.index('id="figures"') < text.index('id="tables"')
    assert "2 of 2 models" in text and "does not show" in text
    # The first screen: figure 1, then the verdicts, and nothing else.
    figure, matrix = text.index('id="figure-fig1_summary"'), text.index('class="matrix"')
    assert text.index('id="findings"') < figure < matrix < text.index("<details><summary>Differences")
    assert "prefers-color-scheme: dark" in text


def test_hostile_text_is_escaped(run):
    config = {"tasks": {"t": {"title": HOSTILE}}, "packages": {HOSTILE: {"version": "1", "licence": HOSTILE}}}
    settings = BuildReportSettings(
        title=HOSTILE, run=HOSTILE, config=config, model_titles={"llama": HOSTILE}, task_titles={"lexicon": HOSTILE}
    )
    inputs = report_inputs(run, coverage={HOSTILE: run / "coverage.json"})
    text = render(inputs, settings)
    page = _parse(text)
    assert "script" not in page.tags and "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_script_that_may_show_as_boxes_is_said(run, monkeypatch):
    settings = BuildReportSettings(title="हिन्दी")
    text = render(report_inputs(run), settings)
    assert "letters show as boxes" not in text and "src: url(data:font/woff;base64," in text
    monkeypatch.setattr("contrastive_context.figures.fonts.packaged", lambda family: None)
    text = render(report_inputs(run), settings)
    assert "text in Devanagari, for which no font was installed" in text and "data:font" not in text


def test_counts_provenance_licences_and_config_are_there(run):
    sidecars = sorted((run / "tables").glob("*.provenance.json"))
    config = {"packages": {"llm-x": {"version": "0.1", "licence": "Apache-2.0", "contents": "weights"}}, "k": 5}
    inputs = report_inputs(run, coverage={"a": run / "coverage.json"}, provenance=sidecars)
    text = render(inputs, BuildReportSettings(config=config))
    for expected in ("test/in_domain", "Apache-2.0", "llm-x", "numpy", "CPUs", "Where we had"):
        assert expected in text, expected
    assert '<th scope="row">dropped: duplicate source</th><td>2</td><td></td>' in text
    assert '<th scope="row">kept, but longer than the 256 tokens that the encoder reads</th><td>7 (0.7%)</td>' in text
    assert '<th scope="row">kept</th><td>1,007</td><td>5</td>' in text
    assert "top k/huge (in domain)" in text and "3 targets of 300 fill it" in text
    assert "&#34;k&#34;: 5" in text


def _of_run(**changes):
    """BuildReportSettings of a grid with one task, one model and two strategies, beside entries that nothing uses."""
    config = {
        "run": "r",
        "packages": {"words": {"licence": "MIT"}, "weights": {"licence": "MIT"}, "unused-package": {"licence": "GPL"}},
        "encoders": {"positions": {"package": None}, "unused-encoder": {"package": "unused-package"}},
        "paraphrasers": {"rules": {}, "unused-paraphraser": {}},
        "tasks": {
            "lexicon": {"encoder": "positions", "corpus": {"package": "words"}},
            "unused-task": {"encoder": "unused-encoder", "corpus": {}},
        },
        "models": {"llama": {"package": "weights"}, "unused-model": {"package": "unused-package"}},
        "strategies": {
            "zero": {"kind": "zero"},
            "contrastive": {
                "kind": "contrastive",
                "epsilon": 0.1,
                "paraphrasers": {"lexicon": "rules", "unused-task": "unused-paraphraser"},
            },
            "unused-strategy": {"kind": "similar"},
        },
        "finetuning": {"tiny": {}, "unused-recipe": {}},
        "grid": [
            {"task": "lexicon", "models": ["llama"], "strategies": ["zero", "contrastive"], "seeds": [0, 1],
             "finetuning": "tiny"}
        ],
    }  # fmt: skip
    return BuildReportSettings(config=config, tasks=["lexicon"], models=["llama"], **changes)


def test_only_what_the_grid_uses_is_in_the_configuration(run):
    settings = _of_run()
    found = effective_config(settings.config, settings.tasks, settings.models)
    assert "unused" not in json.dumps(found)
    assert {name: list(found[name]) for name in ("packages", "encoders", "paraphrasers", "finetuning")} == {
        "packages": ["words", "weights"], "encoders": ["positions"], "paraphrasers": ["rules"], "finetuning": ["tiny"],
    }  # fmt: skip
    assert found["grid"] == settings.config["grid"] and "unused" in json.dumps(settings.config)
    assert effective_config({"k": 5}, [], []) == {"k": 5}
    text = render(report_inputs(run), settings)
    assert "unused" not in text and "weights" in text


def test_sidecars_are_those_of_the_grids_steps(tmp_path):
    taken = [
        "packages/words.json", "packages/weights.json", "encoders/positions.json", "models/llama.json",
        "corpus/lexicon/counts.json", "embeddings/lexicon/train.npy", "neighbours/lexicon/train.parquet",
        "paraphrases/lexicon/train/rules.parquet", "contexts/lexicon/eval.parquet",
        "contexts/lexicon/train/zero.parquet",
        "finetune/lexicon/llama/zero-seed1/adapters.json", "predictions/lexicon/llama/base.jsonl",
        "predictions/lexicon/nearest_label.jsonl", "probes/lexicon/llama/contrastive-seed0.parquet",
        "scores/lexicon/llama.parquet", "scores/lexicon/nearest_label.parquet", "tables/scores.csv",
        "figures/fig4_probes.png",
    ]  # fmt: skip
    left = [
        "packages/unused-package.json", "packages/lexicon.json", "encoders/llama.json", "models/lexicon.json",
        "corpus/unused-task/counts.json", "corpus/llama/counts.json", "hub.lock.yaml",
        "paraphrases/lexicon/train/unused-paraphraser.parquet", "segments/lexicon/llama.jsonl",
        "contexts/lexicon/train/unused-strategy.parquet", "finetune/lexicon/llama/zero-seed2/adapters.json",
        "finetune/lexicon/llama/.zero-seed0.abc/adapters.json", "finetune/lexicon/lexicon/zero-seed0/adapters.json",
        "predictions/lexicon/llama/unused-strategy-seed0.jsonl", "predictions/unused-task/llama/base.jsonl",
        "probes/lexicon/unused-model/base.parquet", "scores/lexicon/unused-model.parquet", "report.html",
    ]  # fmt: skip
    for name in taken + left:
        path = tmp_path / f"{name}.provenance.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    found = Inputs.of_run(tmp_path, _of_run()).provenance
    names = {path.relative_to(tmp_path).as_posix().removesuffix(".provenance.json") for path in found}
    assert names == set(taken)


def test_cut_answers_and_shortened_prompts_are_listed(run):
    text = render(report_inputs(run), BuildReportSettings(tasks=["lexicon"], models=["llama"]))
    rows = dict(re.findall(r'<td>llama</td><th scope="row">(\w+)</th>\n<td>840</td>(<td>.*)</tr>', text))
    assert rows["Zero"] == "<td>210 (25.0%)</td><td>84 (10.0%)</td>"
    assert rows["Random"] == "<td>0 (0.0%)</td><td>0 (0.0%)</td>"


def test_captions_say_what_a_point_rests_on(run, tmp_path):
    import shutil

    import pandas as pd

    text = " ".join(render(report_inputs(run), BuildReportSettings()).split())
    assert "n = 120 per point" in text and "n = 100 per point" in text
    assert "1 training run(s) per strategy" in text and "fig5_ablations" not in text
    inputs = report_inputs(run)
    inputs.figures = shutil.copytree(run / "figures", tmp_path / "figures")
    path = inputs.figures / "fig3_similarity_grid.csv"
    drawn = pd.read_csv(path)
    drawn.loc[drawn["strategy"] == "zero", "seeds"] = 3
    drawn.to_csv(path, index=False)
    assert "1 to 3 training run(s) per strategy" in " ".join(render(inputs, BuildReportSettings()).split())


def test_verdicts_are_counted_once_per_claim_and_task(run):
    import pandas as pd

    findings = pd.read_parquet(run / "tables/findings.parquet")
    shows = int(((findings["model"] == "all") & (findings["verdict"] == "shows")).sum())
    text = render(report_inputs(run), BuildReportSettings())
    assert f'<strong class="yes">✓ {shows} × shows</strong>' in text
    assert text.count('<span class="yes">✓ shows</span>') == shows


def test_what_was_set_before_results_and_what_was_changed_afterwards(run, tmp_path):
    from contrastive_context.core.artifacts import write_json

    before = {"claims": {"a": {}}, "statistics": {"level_margin": 0.05}, "tasks": {}, "grid": []}
    after = before | {"statistics": {"level_margin": 0.2}}
    path = tmp_path / "registered.json"
    first = {"at": "2026-01-01T00:00:00+00:00", "answers": 0, "set": before}
    write_json(path, [first])
    text = render(report_inputs(run, registered=path), BuildReportSettings())
    assert "2026-01-01 00:00:00 UTC, before any answer" in text and "level_margin: 0.05" not in text
    write_json(path, [first, {"at": "2026-01-02T00:00:00+00:00", "answers": 3, "set": after}])
    text = render(report_inputs(run, registered=path), BuildReportSettings())
    assert "2026-01-02 00:00:00 UTC, with answers of 3 systems" in text
    assert "statistics.level_margin: 0.05 → 0.2" in text
    write_json(path, {"at": 1})
    with pytest.raises(UserError, match=r"registered\.json: not a record of this version"):
        render(report_inputs(run, registered=path), BuildReportSettings())


def test_missing_values_are_a_dash(run, tmp_path):
    import numpy as np
    import pandas as pd

    table = pd.read_parquet(run / "tables/scores.parquet")
    table = table[~((table["strategy"] == "zero") & (table["bucket"] == "high"))]
    table.loc[table["strategy"] == "similar", ["value", "ci_low", "ci_high"]] = np.nan
    table.to_parquet(tmp_path / "scores.parquet")
    inputs = report_inputs(run)
    inputs.scores = tmp_path / "scores.parquet"
    text = render(inputs, BuildReportSettings())
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
    assert text.index("<td>Qwen</td>") < text.index("<td>llama</td>")


def test_missing_figure_is_a_user_error(run, tmp_path):
    inputs = report_inputs(run)
    inputs.figures = tmp_path
    with pytest.raises(UserError, match="draw the figures first"):
        render(inputs, BuildReportSettings())


@pytest.mark.parametrize(
    "script", ["score.py", "predict_nearest_label.py", "build_tables.py", "plot_summary.py", "build_report.py"]
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
