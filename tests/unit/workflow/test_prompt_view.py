"""The command that shows a prompt: the present template, by segments, and where its text would be read otherwise."""

import shutil
import sys

import pandas as pd
import pytest
import transformers

from contrastive_context.config.study import load_study
from contrastive_context.core.errors import UserError
from contrastive_context.workflow import __main__ as command
from contrastive_context.workflow.prompt_view import view
from small_models import tokenizer

TASK, MODEL = "intents", "smollm2-135m"
PAIRS = [("desk lamp on", "on(lamp)"), ("turn on", "on()"), ("the kitchen", "in(kitchen)")]


@pytest.fixture
def results(tmp_path):
    run = tmp_path / "results/quickstart"
    folder = run / f"models/{MODEL}"
    transformers.GPT2Config().save_pretrained(folder)
    tokenizer("gpt2").save_pretrained(folder)
    folder.with_suffix(".json").touch()
    for name in (f"corpus/{TASK}", f"contexts/{TASK}"):
        (run / name).mkdir(parents=True)
    for split, ids in (("test", "tuv"), ("arrivals", "abc")):
        rows = [(f"{name}1", *pair) for name, pair in zip(ids, PAIRS, strict=True)]
        pd.DataFrame(rows, columns=["id", "source", "target"]).to_parquet(run / f"corpus/{TASK}/{split}.parquet")
    contexts = [
        ("t1", ["c1", "a1"], [0.1, 0.2], 0.2),
        ("u1", ["b1", "gone"], [0.1, 0.9], 0.9),
        ("v1", ["b1"], [0.8], 0.8),
    ]
    columns = ["target_id", "example_ids", "similarities", "max_similarity"]
    pd.DataFrame(contexts, columns=columns).to_parquet(run / f"contexts/{TASK}/eval.parquet")
    return tmp_path / "results"


@pytest.fixture
def study(study_config):
    def edited(**template):
        config = dict(study_config)
        task = config["tasks"][TASK] | {"template": {"target_prefix": "=>", "stop": "\n", **template}}
        return load_study(config | {"tasks": config["tasks"] | {TASK: task}})

    return edited


def test_the_target_with_the_most_similar_example_is_shown_by_segments(results, study):
    text = view(study(instruction="Do:\n", target_start=" "), TASK, MODEL, results=results)
    assert "target v1" in text and "1 examples" in text
    assert "\nDo:\nturn on=> on()\nthe kitchen=> in(kitchen)\n" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("  ") and line.strip()]
    keys = [row[0] for row in rows if not row[0].isdecimal()]
    block = ["source", "target_prefix", "target", "stop"]
    assert keys[:9] == ["instruction", *block, *block]
    assert "undivided text alike" in text


def test_a_target_can_be_chosen(results, study):
    text = view(study(), TASK, MODEL, "t", results)
    assert "target t1" in text and "2 examples" in text
    with pytest.raises(UserError, match="no target of intents has an id that begins with 'x'"):
        view(study(), TASK, MODEL, "x", results)


def test_without_frozen_contexts_any_arrivals_are_shown(results, study):
    shutil.rmtree(results / "quickstart/contexts")
    text = view(study(), TASK, MODEL, results=results)
    assert "target t1" in text and "desk lamp on" in text


def test_it_says_where_running_text_would_be_read_otherwise(results, study):
    text = view(study(source_prefix="in: "), TASK, MODEL, results=results)
    assert "source_prefix | source: Ġ turn → Ġt urn" in text
    assert "source_start" in text
    assert "alike" in view(study(source_prefix="in:", source_start=" "), TASK, MODEL, results=results)


def test_what_is_missing_is_named(results, study):
    with pytest.raises(UserError, match=r"tasks: no 'intent'; did you mean 'intents'\?; there is"):
        view(study(), "intent", MODEL, results=results)
    with pytest.raises(UserError, match="models: no 'gpt'"):
        view(study(), TASK, "gpt", results=results)
    (results / f"quickstart/models/{MODEL}.json").unlink()
    with pytest.raises(UserError, match=rf"no .*models/{MODEL}\.json yet; make that with snakemake"):
        view(study(), TASK, MODEL, results=results)


def test_the_command_takes_the_options_of_snakemake(results, repository, monkeypatch, capsys):
    monkeypatch.chdir(results.parent)
    shutil.copy(repository / "config.yaml", "config.yaml")
    overlay = str(repository / "envs/overlays/quickstart.yaml")
    monkeypatch.setattr(sys, "argv", ["workflow", "prompt", TASK, MODEL, "--target", "t", "--configfile", overlay])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert "target t1: " in capsys.readouterr().out
