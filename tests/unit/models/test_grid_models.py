"""The classes of the eight models that the paper grid names, from preparation to probes and paraphrases."""

import importlib.util
import json
import time

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from contrastive_context.config.paraphrasers import LanguageModelParaphraser
from contrastive_context.config.templates import Template
from contrastive_context.core import artifacts
from contrastive_context.inference.generation import generate
from contrastive_context.inference.likelihood import completion_logprobs
from contrastive_context.models.language_models import load_model, load_tokenizer
from contrastive_context.models.preparation import prepare
from contrastive_context.models.settings import PrepareModelSettings
from contrastive_context.paraphrasing import language_model
from contrastive_context.paraphrasing.settings import ParaphraseSettings
from contrastive_context.prompting.prompts import PromptEncoder
from grid_models import GRID_MODELS, grid_tokenizer, save_grid_model

TEMPLATE = {"instruction": "Translate.\n", "source_prefix": "in: ", "target_prefix": "\nout:", "target_start": " "}
TEMPLATE |= {"stop": "\n", "max_new_tokens": 6, "max_prompt_tokens": 200}
RECIPE = {"lora": {"r": 2, "alpha": 4}, "steps": 3, "checkpoints": [0, 3], "examples_per_step": 2}
RECIPE |= {"learning_rate": 0.05, "warmup_steps": 0}
WORDS = ["turn", "on", "the", "desk", "lamp", "in", "kitchen", "please", "good", "morning", "3.50", "euros", "größer"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)

    def words(least, most):
        return " ".join(rng.choice(WORDS, rng.integers(least, most)))

    corpus = pd.DataFrame([(f"t{i}", words(1, 8), words(1, 5)) for i in range(12)], columns=["id", "source", "target"])
    corpus.to_parquet(folder / "corpus.parquet", index=False)
    shown = {name: list(rng.choice(corpus["id"], rng.integers(0, 9), replace=False)) for name in corpus["id"]}
    contexts = [(name, 0, ids, list(rng.random(len(ids))), name) for name, ids in shown.items()]
    columns = ["target_id", "draw", "example_ids", "similarities", "trained_id"]
    pd.DataFrame(contexts, columns=columns).to_parquet(folder / "train.parquet")
    common = {"test_set": "in_domain", "composition": "one_graded", "bucket": "low"}
    frozen = [
        common | {"prompt_id": f"p-{name}", "target_id": name, "example_ids": ids, "similarities": [0.5] * len(ids)}
        for name, ids in shown.items()
    ]
    pd.DataFrame(frozen).to_parquet(folder / "eval.parquet")
    roles = ("irrelevant", "other_irrelevant", "icl_relevant", "icl_control")
    probes = [
        {
            "prompt_id": f"{item}-{role}", "item": item, "role": role, "target_id": "t1", "cluster": "c",
            "source": words(1, 4), "gold": "the lamp is on", "label": "lamp", "matched_labels": ["desk"],
            "example_sources": [words(1, 4)] * item, "example_targets": ["on"] * item,
        }
        for item in range(1, 3) for role in roles
    ]  # fmt: skip
    pd.DataFrame(probes).to_parquet(folder / "probes.parquet")
    return folder


@pytest.fixture
def step(repository):
    def run(name, settings, **options):
        spec = importlib.util.spec_from_file_location(name, repository / f"workflow_scripts/{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        line = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
        args = module.arguments().parse_args([f"--settings={json.dumps(settings)}", *line])
        args.started = time.time()
        module.main(args)

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return the record of a model, prepared from its files as they are published, in bfloat16."""
    folder, records = tmp_path_factory.mktemp("models"), {}

    def make(name):
        if name not in records:
            save_grid_model(name, folder / "published" / name)
            settings = PrepareModelSettings(
                name=name, model={"kind": "folder", "path": str(folder / "published" / name)}
            )
            prepare(settings, folder / name, folder / f"{name}.json")
            records[name] = folder / f"{name}.json"
        return records[name]

    return make


every_model = pytest.mark.parametrize("name", GRID_MODELS)


def test_every_model_of_the_grids_has_its_class_here(repository):
    files = [repository / "config.yaml", repository / "envs/overlays/open-models.yaml"]
    named = {model for file in files for entry in yaml.safe_load(file.read_text())["grid"] for model in entry["models"]}
    assert named == set(GRID_MODELS)


@every_model
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_goes_from_preparation_to_its_probes(name, dtype, data, step, prepared, tmp_path):
    record = prepared(name)
    common = {"task": "toy", "model_name": name, "template": TEMPLATE, "dtype": dtype}
    corpus = data / "corpus.parquet"
    step(
        "finetune", common | {"recipe": RECIPE, "strategy_name": "random", "seed": 0},
        model=record, corpus=corpus, contexts=data / "train.parquet", out_dir=tmp_path / "tuned",
    )  # fmt: skip
    log = [json.loads(line) for line in (tmp_path / "tuned/trainer_log.jsonl").read_text().splitlines()]
    assert np.isfinite([line["loss"] for line in log]).all()
    options = {"model": record, "adapters": tmp_path / "tuned/adapters.json"}
    files = {"arrivals": corpus, "test": corpus, "contexts": data / "eval.parquet"}
    step("generate", common, **options, **files, out=tmp_path / "answers.jsonl")
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 12 and all(answer["step"] == 3 for answer in answers)
    positions = GRID_MODELS[name][1].get("max_position_embeddings", 4096)
    assert max(answer["prompt_tokens"] for answer in answers) <= min(200, positions - 6)
    assert any(answer["dropped_examples"] for answer in answers) == (positions < 200)
    step(
        "run_probes", common | {"agreement": "chrf"}, **options, probes=data / "probes.parquet",
        out=tmp_path / "probes.parquet",
    )  # fmt: skip
    values = artifacts.read_parquet(tmp_path / "probes.parquet")
    assert set(values["measure"]) == {"generation", "likelihood"} and set(values["step"]) == {3}
    assert np.isfinite(values["value"]).all()


@every_model
def test_batches_change_nothing(name, prepared):
    """Answers, likelihoods and what is learned are those of a plain loop over one row at a time."""
    folder = prepared(name).with_suffix("")
    network, words = load_model(folder), load_tokenizer(folder)
    assert network.config._attn_implementation == ("eager" if name == "gemma-2-2b" else "sdpa")
    encoder = PromptEncoder(words, Template(**TEMPLATE), network.config)
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 7))) for _ in range(10)]
    prompts = [encoder.encode([(text, "on")] * rng.integers(0, 4), text).ids for text in texts]
    completions = [encoder.completion(text) for text in texts]
    together = generate(network, encoder, prompts, max_new_tokens=6)
    logprobs, _ = completion_logprobs(network, prompts, completions)
    for prompt, completion, answer, logprob in zip(prompts, completions, together, logprobs, strict=True):
        ids = prompt.tolist()
        with torch.inference_mode():
            for _ in answer.ids:
                ids.append(int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            whole = torch.tensor(np.concatenate([prompt, completion]))[None].long()
            given = network(whole, use_cache=False).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        assert ids[len(prompt) :] == answer.ids
        expected = given.gather(1, whole[0, len(prompt) :, None]).sum().item()
        assert logprob == pytest.approx(expected, abs=1e-3)


def test_what_is_particular_to_gemma_2_acts(prepared):
    """Soft caps and windows: without them the tests above would show nothing."""
    folder = prepared("gemma-2-2b").with_suffix("")
    ids = torch.arange(10, 40)[None]
    with torch.inference_mode():
        logits = load_model(folder)(ids).logits
        network = load_model(folder)
        for layer in network.model.layers:
            layer.self_attn.attn_logit_softcapping = None
        uncapped = network(ids).logits
        other = ids.clone()
        other[0, 0] = 50  # outside the window of every layer but the full one
        changed = load_model(folder)
        changed.model.layers[1].self_attn.v_proj.weight.zero_()
        windowed = [changed(tokens).logits[0, -1] for tokens in (ids, other)]
    assert logits.abs().max() <= 3.0
    assert (logits - uncapped).abs().max() > 1e-3
    torch.testing.assert_close(*windowed, atol=0, rtol=0)


@pytest.mark.parametrize("name", ["gemma-2-2b", "eurollm-1.7b", "qwen2.5-3b"])
def test_the_paraphraser_runs_it(name, prepared):
    template = {"target_prefix": " =>", "target_start": " ", "stop": "\n", "max_new_tokens": 6, "max_prompt_tokens": 60}
    entry = {"kind": "language_model", "model": name, "template": template, "examples": [("lamp", "the lamp")]}
    settings = ParaphraseSettings(
        task="t", paraphraser_name="p", paraphraser=LanguageModelParaphraser(**entry), models={name: {}},
        corpus={"kind": "lexicon"}, encoder={"kind": "bm25"},
    )  # fmt: skip
    assert len(language_model.reword(settings, ["desk lamp", "kitchen"], {name: prepared(name).with_suffix("")})) == 2


@every_model
def test_special_tokens_and_tied_heads_are_as_published(name, prepared):
    folder = prepared(name).with_suffix("")
    words, network = load_tokenizer(folder), load_model(folder)
    tied = network.get_output_embeddings().weight is network.get_input_embeddings().weight
    assert tied == (name in ("llama-3.2-1b", "gemma-2-2b", "qwen2.5-1.5b", "qwen2.5-3b"))
    encoder = PromptEncoder(words, Template(**TEMPLATE), network.config)
    first = {"llama3": "<|begin_of_text|>", "gemma": "<bos>", "eurollm": "<s>"}.get(GRID_MODELS[name][2])
    prompt = encoder.encode([("desk lamp", "on"), ("kitchen", "<|im_end|>")], "größer </s>").ids
    specials = set(words.all_special_ids) - {words.unk_token_id}
    assert [int(i) for i in prompt if i in specials] == ([words.convert_tokens_to_ids(first)] if first else [])
    assert prompt[0] == (words.convert_tokens_to_ids(first) if first else prompt[0])
    for text in ("größer 3.50", "<|im_end|>", "HassTurnOn(name='desk lamp')"):
        assert encoder.decode(encoder.completion(text)) == text
    assert len(grid_tokenizer(GRID_MODELS[name][2])) < network.config.vocab_size
