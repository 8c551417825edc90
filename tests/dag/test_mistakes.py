"""Typical mistakes in a configuration, as a new user writes them, and the message that is read for each."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from kept_results import snakemake
from snakemake.utils import update_config

from contrastive_context.config.study import load_study
from contrastive_context.core.errors import UserError
from contrastive_context.workflow import __main__ as commands
from contrastive_context.workflow.checking import check_command

GRID = "task: lexicon, models: [tiny-llama], strategies: [zero], finetuning: tiny"

MISTAKES = {
    "a section's name": ("task: {mine: {k: 3}}", "task: unknown key; did you mean 'tasks'?"),
    "a key of a list entry": (
        "grid: [{task: lexicon, model: [tiny-llama], strategies: [zero], seeds: [0], finetuning: tiny}]",
        "grid.0.model: unknown key; did you mean 'models'?",
    ),
    "a key of the cluster": ("cluster: {partitions: gpu}", "unknown key; did you mean 'partition'?"),
    "a number as a key": ("2026: mine", "2026: keys must be text; put them in quotes"),
    "a list for a mapping": ("tasks: [lexicon, intents]", "tasks: must be a mapping, with lines of 'key: value'"),
    "a value for a mapping": ("finetuning: {tiny: {lora: 16}}", "finetuning.tiny.lora: must be a mapping, with lines"),
    "an entry without content": ("models: {tiny-llama: }", "models.tiny-llama: must be a mapping"),
    "a mapping for a list": (f"grid: {{{GRID}, seeds: [0]}}", "grid: must be a list, as in [a, b]"),
    "text for a list": (
        "tasks: {lexicon: {metrics: chrf++}}",
        "tasks.lexicon.metrics: must be a list, as in [a, b] (found 'chrf++')",
    ),
    "a number for a list": (f"grid: [{{{GRID}, seeds: 3}}]", "grid.0.seeds: must be a list, as in [a, b] (found 3)"),
    "a number for text": ("run: 2026", "run: must be text; put it in quotes (found 2026)"),
    "text for a number": ("figures: {dpi: high}", "figures.dpi: must be a whole number, without a unit (found 'high')"),
    "a fraction": ("tasks: {lexicon: {k: 3.5}}", "tasks.lexicon.k: must be a whole number, without a unit (found 3.5)"),
    "a decimal comma": (
        "finetuning: {tiny: {learning_rate: '0,001'}}",
        "learning_rate: must be a number, without a unit and with a decimal point (found '0,001')",
    ),
    "a unit": ("models: {tiny-llama: {mem_mb: 8GB}}", "mem_mb: must be a whole number, without a unit (found '8GB')"),
    "percent for a share": ("strategies: {contrastive: {p: 50}}", "contrastive.p: must be at most 1.0 (found 50)"),
    "percent for a level": ("statistics: {confidence: 95}", "statistics.confidence: must be below 1.0 (found 95)"),
    "percent for edges": ("buckets: {low: 0, medium: 33, high: 67}", "buckets: lower edges must start at 0, ascend"),
    "edges out of order": ("buckets: {medium: 0.8}", "buckets: lower edges must start at 0, ascend and stay below 1"),
    "a negative number": ("tasks: {lexicon: {k: -1}}", "tasks.lexicon.k: must be at least 1 (found -1)"),
    "a negative step": ("finetuning: {tiny: {checkpoints: [-1, 120]}}", "[-1] not within 0 and steps (120)"),
    "fewer steps, the same checkpoints": (
        "finetuning: {tiny: {steps: 100, warmup_steps: 150}}",
        "finetuning.tiny.warmup_steps: 150 is more than steps (100)",
    ),
    "neither true nor false": ("only_finished: maybe", "only_finished: must be true or false (found 'maybe')"),
    "a metric's near name": ("tasks: {lexicon: {metrics: [chrf]}}", "did you mean 'chrf++'? (found 'chrf')"),
    "an unknown metric": ("tasks: {lexicon: {metrics: [rouge]}}", "tasks.lexicon.metrics.0: must be 'token_accuracy',"),
    "a kind's near name": (
        "tasks: {lexicon: {corpus: {kind: lexikon}}}",
        "tasks.lexicon.corpus.kind: must be one of 'lexicon', 'idiom', 'home_assistant_intents', 'hub', ",
    ),
    "no kind": ("models: {mine: {name: a/b}}", "models.mine.kind: this key is required; it says"),
    "half an entry": ("models: {mine: {kind: hub}}", "models.mine.name: this key is required"),
    "a seed twice": (f"grid: [{{{GRID}, seeds: [0, 0]}}]", "grid.0.seeds: 0 is listed twice"),
    "no seeds": (f"grid: [{{{GRID}}}]", "grid.0.seeds: this key is required"),
    "a paraphraser for a task that isn't there": (
        "strategies: {contrastive: {paraphrasers: {lexikon: lexicon}}}",
        "strategies.contrastive.paraphrasers: 'lexikon' is not in tasks; did you mean 'lexicon'?",
    ),
    "an ablation without a paraphraser": (
        "strategies: {p0.9: {kind: contrastive, p: 0.9, epsilon: 0.1}}\n"
        "grid: [{task: lexicon, models: [tiny-llama], strategies: [p0.9], seeds: [0], finetuning: tiny}]",
        "strategies.p0.9.paraphrasers: none for task 'lexicon', which grid.0 trains",
    ),
    "a setting of another strategy": (
        "strategies: {random: {epsilon: 0.1}}",
        "strategies.random.epsilon: kind random has no epsilon; leave it out, or take another kind",
    ),
    "no such metric": ("statistics: {min_effects: {chrf: 2}}", "min_effects.chrf: unknown key; did you mean 'chrf++'?"),
    "a limit for no split": (
        "tasks: {lexicon: {corpus: {kind: files, files: a.tsv, limits: {valid: 9}}}}",
        "tasks.lexicon.corpus.limits.valid: no such split; there is: train, dev, arrivals, in_domain",
    ),
    "a switch for text": ("title: no", "title: must be text; put it in quotes (found false)"),
    "a switch as a key": ("tasks: {no: {k: 3}}", "tasks.False: keys must be text; put them in quotes"),
    "neither text nor a list": (
        "finetuning: {tiny: {lora: {target_modules: 5}}}",
        "finetuning.tiny.lora.target_modules: must be text or a list, as in [a, b] (found 5)",
    ),
    "a list of other things": (
        "finetuning: {tiny: {lora: {target_modules: [q_proj, 5]}}}",
        "finetuning.tiny.lora.target_modules.1: must be text; put it in quotes (found 5)",
    ),
    "two sources": ("encoders: {minilm: {folder: x}}", "encoders.minilm: give exactly one of package, folder and hub"),
    "a blank in a name": ("run: my run", "run: 'my run' can't be used as a name"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), [pytest.param(*row, id=name) for name, row in MISTAKES.items()])
def test_a_mistake_is_told_in_plain_words(study_config, text, message):
    config: dict = {}
    update_config(config, study_config)
    update_config(config, yaml.safe_load(text))
    with pytest.raises(UserError) as caught:
        load_study(config)
    assert message in str(caught.value)
    assert "Input should" not in str(caught.value)


def refused(checkout: Path, *options: str, targets: Iterable[str] = ()) -> str:
    """Return what Snakemake says when it refuses to plan."""
    status, output = snakemake(checkout, "-n", *options, targets=targets)
    assert status != 0
    assert "Traceback" not in output
    return output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: mine\ntasks:\n\tlexicon: {k: 3}\n", "config.yaml:3: not valid YAML: found"),
        ("run: mine\nrun: yours\n", "config.yaml:2: run stands twice, before in line 1"),
        ("run: mine\n", "grid: this key is required"),
    ],
)
def test_snakemake_stops_with_the_message_alone(checkout, text, message):
    (checkout / "config.yaml").unlink()
    (checkout / "config.yaml").write_text(text)
    assert message in refused(checkout)
    assert not (checkout / "results").exists()


OVERLAY_MISTAKES = {
    "a tab": (b"run: mine\ntasks:\n\tlexicon: {k: 3}\n", "mine.yaml:3: not valid YAML: found"),
    "an alias without its anchor": (b"run: mine\ngrid: *all\n", "mine.yaml:2: not valid YAML: found undefined alias"),
    "comments only": (b"# nothing yet\n", "mine.yaml: must be a mapping of keys to values"),
    "a list": (b"- run: mine\n", "mine.yaml: must be a mapping of keys to values"),
    "another encoding": ("title: Übung\n".encode("latin-1"), "mine.yaml: not UTF-8 text (byte 7); save it as UTF-8"),
    "no file": (None, "mine.yaml: no such file"),
    "a time": (b"models:\n  tiny-llama: {runtime: 4:00:00}\n", "mine.yaml:2: models.tiny-llama.runtime: YAML takes"),
    "a key": (b"run: mine\ntasks:\n  lexicon: {kk: 3}\n", "mine.yaml:3: tasks.lexicon.kk: unknown key"),
}


@pytest.mark.parametrize(("text", "message"), [pytest.param(*row, id=name) for name, row in OVERLAY_MISTAKES.items()])
def test_a_mistake_in_an_overlay_is_told_with_file_and_line(checkout, monkeypatch, capsys, text, message):
    monkeypatch.chdir(checkout)
    if text is not None:
        Path("mine.yaml").write_bytes(text)
    monkeypatch.setattr(sys, "argv", ["workflow", "check", "envs/overlays/quickstart.yaml", "mine.yaml"])
    with pytest.raises(SystemExit, match="2"):
        commands.main()
    assert message in capsys.readouterr().err


def test_before_a_plan_the_files_are_checked(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    Path("mine.yaml").write_text("run: mine\ntasks:\n\tlexicon: {k: 3}\n")
    profile = ["--profile", "envs/profiles/quickstart"]
    check_command(profile)
    with pytest.raises(UserError, match=r"mine\.yaml:3: not valid YAML"):
        check_command([*profile, "--configfile", "envs/overlays/quickstart.yaml", "mine.yaml"])
    with pytest.raises(UserError, match=r"--config: tasks\.lexicon\.kk: unknown key"):
        check_command([*profile, "--config", "tasks={lexicon: {kk: 3}}"])
    check_command([*profile, "--no-such-option"])  # Snakemake's to tell


def test_a_plan_passes_on_the_message_alone(checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(sys, "argv", ["workflow", "plan", "--configfile", "mine.yaml"])
    with pytest.raises(SystemExit, match="2"):
        commands.main()
    assert capsys.readouterr().err == "error: mine.yaml: no such file\n"


def test_snakemake_names_the_file_of_a_key(checkout):
    (checkout / "mine.yaml").write_text("run: mine\ntasks:\n  lexicon: {kk: 3}\n")
    files = ["--configfile", "envs/overlays/quickstart.yaml", "mine.yaml"]
    output = refused(checkout, *files, "--config", "strategies={contrastive: {p: 0.95}}")
    assert "mine.yaml:3: tasks.lexicon.kk: unknown key; did you mean 'k'?" in output
    assert "--config: strategies.contrastive.p: p + epsilon is 1.05" in output


def test_a_sound_configuration_passes(checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(sys, "argv", ["workflow", "check", "envs/overlays/quickstart.yaml"])
    with pytest.raises(SystemExit, match="0"):
        commands.main()
    assert capsys.readouterr().out.startswith(
        "no mistakes found; run: quickstart, entries of the grid: 2, fine-tunings: 20"
    )


def test_a_folder_that_is_not_there_is_named(checkout):
    (checkout / "mine.yaml").write_text("""
models: {own: {kind: folder, path: no-model}}
encoders: {own: {kind: sentence_transformer, folder: no-encoder}}
""")
    files = ["--configfile", "config.yaml", "envs/overlays/quickstart.yaml", "mine.yaml"]
    for rule, name in (("model", "no-model/config.json"), ("encoder", "no-encoder/modules.json")):
        output = refused(checkout, *files, targets=[f"results/quickstart/{rule}s/own.json"])
        assert f"Missing input files for rule prepare_{rule}" in output and name in output


def test_a_file_that_is_not_there_is_named(checkout):
    (checkout / "mine.yaml").write_text("""
tasks:
  own:
    corpus: {kind: files, files: not-there.tsv, cleaning: {target_script: Latin}}
    template: {target_prefix: "=>", stop: ";"}
    encoder: bm25
    metrics: [chrf++]
    agreement: chrf
    probes: {anchors: shared_words, source_nonces: [zorvex, blimtar], label_nonces: [mirvoth, teskall]}
grid: [{task: own, models: [smollm2-135m], strategies: [zero], seeds: [0], finetuning: smollm2}]
""")
    output = refused(checkout, "--configfile", "config.yaml", "envs/overlays/quickstart.yaml", "mine.yaml")
    assert "Missing input files for rule build_corpus" in output and "not-there.tsv" in output
