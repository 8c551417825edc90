"""The three entry points that run a language model, one after the other on a small one."""

import argparse
import importlib.util
import json
import shutil
import time

import pandas as pd
import pytest
import torch

from contrastive_context.core import artifacts, cli
from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal
from contrastive_context.inference import generation
from contrastive_context.inference import probing as probing_module
from contrastive_context.models import language_models
from small_models import model, tokenizer

TEMPLATE = {"source_prefix": "in: ", "target_prefix": "\nout: ", "stop": "\n", "max_new_tokens": 6}
COMMON = {"task": "toy", "model_name": "small", "template": TEMPLATE}
RECIPE = {"lora": {"r": 2, "alpha": 4}, "steps": 3, "checkpoints": [0, 1, 3], "examples_per_step": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, repository):
    folder = tmp_path_factory.mktemp("run")
    model("llama").save_pretrained(folder / "models/small")
    tokenizer("llama").save_pretrained(folder / "models/small")
    artifacts.write_folder_hashes(folder / "models/small", folder / "models/small.json")
    texts = [("t1", "desk lamp", "lamp"), ("t2", "kitchen", "on"), ("t3", "good morning", "off")]
    corpus = pd.DataFrame(texts, columns=["id", "source", "target"])
    corpus.to_parquet(folder / "corpus.parquet", index=False)
    train = [(target, 0, ["t2"], [0.5], target) for target in corpus["id"]]
    columns = ["target_id", "draw", "example_ids", "similarities", "trained_id"]
    pd.DataFrame(train, columns=columns).to_parquet(folder / "train.parquet")
    frozen = {
        "prompt_id": "p",
        "target_id": "t1",
        "test_set": "in_domain",
        "composition": "one_graded",
        "bucket": "low",
    }
    frozen = pd.DataFrame([frozen | {"example_ids": ["t2", "t3"], "similarities": [0.1, 0.2]}])
    frozen.to_parquet(folder / "eval.parquet")
    probe = {"item": 0, "target_id": "t1", "cluster": "c", "source": "lamp", "gold": "on", "label": "off"}
    probe |= {"matched_labels": ["x"], "example_sources": ["desk"], "example_targets": ["off"]}
    rows = [probe | {"prompt_id": role, "role": role} for role in ("irrelevant", "other_irrelevant")]
    pd.DataFrame(rows).to_parquet(folder / "probes.parquet")
    return folder


@pytest.fixture
def step(folder, repository):
    def run(name, settings, **options):
        spec = importlib.util.spec_from_file_location(name, repository / f"workflow_scripts/{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        line = [f"--{key}={value}" for key, value in {"model": folder / "models/small.json", **options}.items()]
        args = module.arguments().parse_args([f"--settings={json.dumps(settings)}", *line])
        args.started = time.time()
        module.main(args)

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def finetuned(folder, step):
    if not (folder / "tuned").exists():
        settings = COMMON | {"recipe": RECIPE, "strategy_name": "random", "seed": 0}
        files = {"corpus": folder / "corpus.parquet", "contexts": folder / "train.parquet"}
        step("finetune", settings, **{"out-dir": folder / "tuned"}, **files)
    return folder / "tuned/adapters.json"


def generated(folder, step, name, **options):
    out = folder / f"{name}.jsonl"
    files = {"arrivals": folder / "corpus.parquet", "test": folder / "corpus.parquet"}
    step("generate", COMMON, contexts=folder / "eval.parquet", out=out, **files, **options)
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_finetune(finetuned):
    assert list(json.loads(finetuned.read_text())["steps"]) == ["0", "1", "3"]
    provenance = json.loads((finetuned.parent / "adapters.json.provenance.json").read_text())
    assert provenance["settings"]["strategy_name"] == "random"
    assert provenance["inputs"].keys() == {"model", "corpus", "contexts"}


def test_a_run_that_fails_leaves_its_log(folder, step, tmp_path, caplog):
    recipe = RECIPE | {"learning_rate": 1.0, "warmup_steps": 0, "lora": {"r": 2, "alpha": 10**9}}
    settings = COMMON | {"recipe": recipe, "strategy_name": "random", "seed": 0}
    files = {"corpus": folder / "corpus.parquet", "contexts": folder / "train.parquet"}
    with pytest.raises(UserError, match="lower the recipe's learning_rate"):
        step("finetune", settings, **{"out-dir": tmp_path / "tuned"}, **files, log=tmp_path / "step.log")
    kept = tmp_path / "step.log.trainer_log.jsonl"
    assert json.loads(kept.read_text().splitlines()[0])["step"] == 1
    assert str(kept) in caplog.text
    assert list(tmp_path.iterdir()) == [kept]


def test_finished_training_is_published_again_without_training(folder, step, tmp_path, caplog):
    settings = COMMON | {"recipe": RECIPE, "strategy_name": "random", "seed": 0}
    options = {"corpus": folder / "corpus.parquet", "contexts": folder / "train.parquet"}
    options |= {"state-dir": tmp_path / "state", "out-dir": tmp_path / "tuned"}
    step("finetune", settings, **options)
    first = (tmp_path / "tuned/adapters.json").read_bytes(), (tmp_path / "tuned/trainer_log.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "tuned")
    caplog.clear()
    with caplog.at_level("INFO"):
        step("finetune", settings, **options)
    # The log has each step's seconds: trained again, they would differ.
    assert first == (
        (tmp_path / "tuned/adapters.json").read_bytes(),
        (tmp_path / "tuned/trainer_log.jsonl").read_bytes(),
    )
    assert "already trained: publishing" in caplog.text
    # Other settings: other state, and that of the replaced results goes.
    step("finetune", settings | {"seed": 1}, **options)
    assert len([path for path in (tmp_path / "state").iterdir() if path.is_dir()]) == 1
    assert (tmp_path / "tuned/adapters.json").read_bytes() != first[0]


def leaves(value, path=()):
    """Every leaf of nested settings: its path and its value."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from leaves(entry, (*path, key))
    else:
        yield path, value


def changed(value, path):
    if path:
        return {**value, path[0]: changed(value[path[0]], path[1:])}
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 + 0.1
    if isinstance(value, list):
        return [value[0], *value[2:]] if isinstance(value[0], int) else [entry / 2 for entry in value]
    return {"float32": "bfloat16", "cpu": "cuda", "sdpa": "eager"}.get(value, f"{value}x")


def test_another_setting_input_or_code_never_resumes(folder, repository, tmp_path):
    from contrastive_context.training.settings import FinetuneSettings

    spec = importlib.util.spec_from_file_location("finetune", repository / "workflow_scripts/finetune.py")
    finetune = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(finetune)
    base = {"recipe": RECIPE, "strategy_name": "random", "seed": 0, "code_version": "1"} | COMMON
    settings = FinetuneSettings(**{key: value for key, value in base.items() if key != "code_version"}).model_dump(
        mode="json"
    )
    files = {name: tmp_path / name for name in ("model", "corpus", "contexts", "paraphrases")}
    for name, file in files.items():
        file.write_text(name)

    def print_of(settings, code="1"):
        args = argparse.Namespace(settings=json.dumps(settings | {"code_version": code}), state_dir=tmp_path)
        return finetune.fingerprint(args, FinetuneSettings(**settings), files)

    seen = {"as it is": print_of(settings)}
    for path, _ in leaves(settings):
        other = print_of(changed(settings, path))
        if path == ("recipe", "checkpoints"):
            assert other == seen["as it is"]
        else:
            seen[path] = other
    seen["code"] = print_of(settings, "2")
    for name, file in files.items():
        file.write_text(f"another {name}")
        seen[name] = print_of(settings)
        file.write_text(name)
    assert print_of(settings) == seen["as it is"]
    assert len(set(seen.values())) == len(seen) > 30


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_bfloat16_base_goes_the_same_way(folder, step, finetuned, tmp_path, dtype):
    out = {"out": tmp_path / "predictions.jsonl"}
    files = {"arrivals": folder / "corpus.parquet", "test": folder / "corpus.parquet"}
    settings = COMMON | {"dtype": dtype}
    step("generate", settings, contexts=folder / "eval.parquet", adapters=finetuned, **files, **out)
    assert json.loads(out["out"].read_text())["step"] == 3
    options = {"probes": folder / "probes.parquet", "out": tmp_path / "probed.parquet"}
    step("run_probes", settings | {"agreement": "chrf"}, adapters=finetuned, **options)
    assert list(artifacts.read_parquet(options["out"])["step"].unique()) == [1, 3]


def test_generate_uses_the_last_step(folder, step, finetuned):
    (tuned,) = generated(folder, step, "tuned-predictions", adapters=finetuned)
    (base,) = generated(folder, step, "base")
    assert (base["step"], tuned["step"]) == (0, 3)
    assert base["prompt_tokens"] == tuned["prompt_tokens"]


def test_generate_goes_on_where_it_was(folder, step, tmp_path, monkeypatch, caplog):
    frame = pd.read_parquet(folder / "eval.parquet")
    frames = [frame.assign(prompt_id=f"p{i}", example_ids=[["t2", "t3"][:i]]) for i in range(3)]
    pd.concat(frames).to_parquet(tmp_path / "eval.parquet", index=False)
    state, inner = tmp_path / "state", Journal.add

    def full_disk(self, entries):
        inner(self, entries)
        raise UserError("no space left")

    def run(batch_tokens=1):
        files = {"arrivals": folder / "corpus.parquet", "test": folder / "corpus.parquet"}
        options = {"contexts": tmp_path / "eval.parquet", "out": tmp_path / "out.jsonl", "state-dir": state}
        step("generate", COMMON | {"batch_tokens": batch_tokens}, **files, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", full_disk)
        with pytest.raises(UserError, match="no space"):
            run()
    assert not (tmp_path / "out.jsonl").exists()
    caplog.set_level("INFO")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", full_disk)
        with pytest.raises(UserError, match="no space"):
            run(batch_tokens=2)  # other settings begin anew
    assert "answered before" not in caplog.text
    run()
    assert "1 of 3 prompts were answered before" in caplog.text
    whole = (tmp_path / "out.jsonl").read_bytes()
    assert len(whole.splitlines()) == 3
    # What is left is the result alone, from which the file is written again without a model.
    (kept,) = state.iterdir()
    assert kept.name.endswith(".result.jsonl")
    (tmp_path / "out.jsonl").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(language_models, "load_model", None)
        run()
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    run(batch_tokens=2)
    assert [path.name == kept.name for path in state.iterdir()] == [False]


def test_a_new_checkpoint_generates_nothing_and_is_probed_alone(folder, step, finetuned, tmp_path, monkeypatch):
    """The list of checkpoints grows, their files stay."""
    listed = json.loads(finetuned.read_text())
    less = finetuned.parent / "fewer.json"
    less.write_text(json.dumps(listed | {"steps": {name: listed["steps"][name] for name in ("0", "3")}}))
    files = {"arrivals": folder / "corpus.parquet", "test": folder / "corpus.parquet"}
    generating = {"contexts": folder / "eval.parquet", "state-dir": tmp_path / "generate", **files}
    probing = {"probes": folder / "probes.parquet", "state-dir": tmp_path / "probe"}
    settings = COMMON | {"agreement": "chrf"}
    step("generate", COMMON, adapters=less, out=tmp_path / "few.jsonl", **generating)
    step("run_probes", settings, adapters=less, out=tmp_path / "few.parquet", **probing)
    assert list(artifacts.read_parquet(tmp_path / "few.parquet")["step"].unique()) == [3]
    inner, asked = probing_module.probe_model, []
    with monkeypatch.context() as patch:
        patch.setattr(generation, "generate", None)
        step("generate", COMMON, adapters=finetuned, out=tmp_path / "more.jsonl", **generating)
    assert (tmp_path / "more.jsonl").read_bytes() == (tmp_path / "few.jsonl").read_bytes()
    monkeypatch.setattr(
        probing_module,
        "probe_model",
        lambda *args, **options: asked.append(options["label"]) or inner(*args, **options),
    )
    step("run_probes", settings, adapters=finetuned, out=tmp_path / "more.parquet", **probing)
    assert [label.split(" (")[0][-6:] for label in asked] == ["step 1"]
    step("run_probes", settings, adapters=finetuned, out=tmp_path / "anew.parquet", probes=probing["probes"])
    assert (tmp_path / "more.parquet").read_bytes() == (tmp_path / "anew.parquet").read_bytes()


def test_probes_of_base_and_of_later_checkpoints(folder, step, finetuned):
    options = {"probes": folder / "probes.parquet", "out": folder / "probed.parquet"}
    settings = COMMON | {"agreement": "chrf"}
    step("run_probes", settings, **options)
    base = probed(folder)
    assert set(base["step"]) == {0} and set(base["probe"]) == {"iwl", "copy"}
    step("run_probes", settings, adapters=finetuned, **options)
    assert list(probed(folder)["step"].unique()) == [1, 3]


def test_probes_go_on_where_they_were(folder, step, finetuned, tmp_path, monkeypatch):
    settings, inner, asked = COMMON | {"agreement": "chrf"}, generation.generate, []

    def counted(model, encoder, prompts, **options):
        asked.append(len(prompts))
        return inner(model, encoder, prompts, **options)

    def run(state):
        options = {"probes": folder / "probes.parquet", "out": tmp_path / "probed.parquet", "state-dir": state}
        step("run_probes", settings, adapters=finetuned, **options)
        return artifacts.read_parquet(tmp_path / "probed.parquet", ["step", "value"])

    monkeypatch.setattr(generation, "generate", counted)
    expected = run(tmp_path / "other")
    each, again = asked
    assert each == again > 0
    asked.clear()
    with monkeypatch.context() as patch:  # the disk is full when the second checkpoint's answers are to be kept
        add, left = Journal.add, [3]

        def full_disk(self, entries):
            if not left[0]:
                raise UserError("no space left")
            left[0] -= 1
            add(self, entries)

        patch.setattr(Journal, "add", full_disk)
        with pytest.raises(UserError, match="no space"):
            run(tmp_path / "state")
    assert asked == [each, each]
    asked.clear()
    assert run(tmp_path / "state").equals(expected)
    assert asked == [each]
    asked.clear()
    assert run(tmp_path / "state").equals(expected) and not asked


def probed(folder):
    return artifacts.read_parquet(folder / "probed.parquet", ["step", "item", "probe", "measure", "value"])


def test_adapters_of_another_base_are_refused(folder, step, finetuned):
    model("llama", seed=1).save_pretrained(folder / "models/other")
    artifacts.write_folder_hashes(folder / "models/other", folder / "models/other.json")
    with pytest.raises(UserError, match="trained on another base"):
        generated(folder, step, "refused", adapters=finetuned, model=folder / "models/other.json")


def test_cuda_is_refused_where_there_is_none(folder, step, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="no GPU is visible"):
        step("run_probes", COMMON | {"agreement": "chrf", "device": "cuda"}, probes="x", out="y")


def test_settings_errors_name_the_key():
    from contrastive_context.training.settings import FinetuneSettings

    with pytest.raises(UserError, match="recipe"):
        cli.load_settings(json.dumps(COMMON | {"strategy_name": "zero", "seed": 0}), FinetuneSettings)
