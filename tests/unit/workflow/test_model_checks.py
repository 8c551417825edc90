"""`make check` says what can't work of the models that are here, before anything is trained."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5ForConditionalGeneration

import small_models
from contrastive_context.config.study import load_study
from contrastive_context.core.errors import UserError
from contrastive_context.models.preparation import prepare
from contrastive_context.models.settings import PrepareModelSettings
from contrastive_context.workflow import __main__ as commands
from contrastive_context.workflow.model_checks import check_models
from grid_models import GRID_MODELS, save_grid_model


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    for name in GRID_MODELS:
        save_grid_model(name, folder / name)
    return folder


@pytest.fixture
def study(repository, tmp_path, monkeypatch):
    """Return a function: config.yaml with changes at its top level, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((repository / "config.yaml").read_text())

    def changed(**changes):
        return load_study(config | {key: config.get(key, {}) | value for key, value in changes.items()})

    return changed


def folders(**paths):
    return {name: {"kind": "folder", "path": str(path)} for name, path in paths.items()}


def with_models(study, *names):
    """Let the grid be one entry that trains these models."""
    return study.model_copy(update={"grid": [study.grid[0].model_copy(update={"models": list(names)})]})


def test_the_models_of_the_grids_can_work(published, repository, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((repository / "config.yaml").read_text())
    config["models"] = folders(**{name: published / name for name in GRID_MODELS})
    Path("config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    seen = []
    for overlay in ([], [str(repository / "envs/overlays/open-models.yaml")]):
        monkeypatch.setattr(sys, "argv", ["workflow", "check", "config.yaml", *overlay])
        with pytest.raises(SystemExit, match="0"):
            commands.main()
        said, noise = capsys.readouterr()
        assert said.startswith("no mistakes found") and "not looked at" not in said and noise == ""
        seen += re.search("models looked at: (.*)", said)[1].split(", ")
    assert set(seen) == set(GRID_MODELS)


def test_a_prepared_model_is_looked_at_and_an_absent_one_is_named(study, published, tmp_path):
    settings = PrepareModelSettings(name="eurollm-1.7b", model=folders(x=published / "eurollm-1.7b")["x"])
    models = tmp_path / "results/paper/models"
    prepare(settings, models / "eurollm-1.7b", models / "eurollm-1.7b.json")
    # One made by the workflow itself; the hub's record would be looked at in its place.
    tiny = {"eurollm-1.7b": {"kind": "pretrain", "family": "llama"}}
    changed = with_models(study(models=tiny), "eurollm-1.7b", "olmo-2-7b")
    assert check_models(changed) == (["eurollm-1.7b"], ["olmo-2-7b"])


def _lacks(folder):
    file = folder / "model.safetensors"
    save_file({k: v.clone() for k, v in load_file(file).items() if "layers.1." not in k}, file, {"format": "pt"})


def _adapter(folder):
    (folder / "adapter_config.json").write_text("{}")


def _few_embeddings(folder):
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    words.add_tokens([f"<extra{i}>" for i in range(60)])
    words.add_tokens(["German"])
    words.save_pretrained(folder)


def _other_class(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "unheard-of"}))


MISTAKES = {
    "weights": (_lacks, r"^models\.mine: the stored weights aren't those of the model: lacks model\.layers\.1\."),
    "adapter": (_adapter, r"^models\.mine\.path: .*: refused, adapter_config\.json"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"^models\.mine: its tokenizer can't be"),
    "class": (_other_class, r"^models\.mine: can't be loaded by AutoModelForCausalLM .*unheard-of"),
    "token of a template": (_few_embeddings, r"^models\.mine: the text '.*German.*' has 'German' in it, token \d+"),
    "nowhere": (shutil.rmtree, r"^models\.mine\.path: .*mine is not a folder"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_work_is_told(mistake, study, published, tmp_path):
    change, message = MISTAKES[mistake]
    shutil.copytree(published / "olmo-2-7b", tmp_path / "mine")
    changed = with_models(study(models=folders(mine=tmp_path / "mine")), "mine")
    assert check_models(changed) == (["mine"], [])
    change(tmp_path / "mine")
    with pytest.raises(UserError, match=message) as caught:
        check_models(changed)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("name", "targets", "message"),
    [
        ("qwen2.5-1.5b", ["q_proj", "lm_head"], r"lm_head shares its weights with model\.embed_tokens"),
        ("olmo-2-7b", ["embed_tokens"], r"model\.embed_tokens is no linear layer \(Embedding\)"),
        ("gemma-2-2b", ["q_proj", "query_key_value"], "the model has no module called query_key_value"),
        ("olmo-2-7b", ["q_proj", "lm_head"], None),  # a head of its own
    ],
)
def test_layers_that_cannot_be_adapted_are_told(name, targets, message, study, published):
    entry = folders(mine=published / name)["mine"] | {"target_modules": targets}
    changed = with_models(study(models={"mine": entry}), "mine")
    if message is None:
        assert check_models(changed) == (["mine"], [])
    else:
        with pytest.raises(UserError, match=rf"^models\.mine: lora\.target_modules: {message}"):
            check_models(changed)


def test_a_paraphrasers_models_are_looked_at_as_what_it_takes_them_for(study, published, tmp_path):
    t5 = T5Config(vocab_size=700, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
    T5ForConditionalGeneration(t5).save_pretrained(tmp_path / "t5")
    small_models.tokenizer("gpt2").save_pretrained(tmp_path / "t5")
    models = folders(there=tmp_path / "t5", back=published / "olmo-2-7b", mine=published / "olmo-2-7b")
    ways = {"forward": {"model": "there"}, "backward": {"model": "back"}}
    changed = study(models=models, paraphrasers={"round": {"kind": "back_translation"} | ways})
    strategy = changed.strategies["contrastive"].model_copy(update={"paraphrasers": {"en-de": "round"}})
    row = changed.grid[0].model_copy(update={"models": ["mine"], "strategies": ["contrastive"]})
    changed = changed.model_copy(update={"grid": [row], "strategies": {"contrastive": strategy}})
    with pytest.raises(UserError, match=r"^models\.back: can't be loaded by AutoModelForSeq2SeqLM") as caught:
        check_models(changed)
    assert "models.there" not in str(caught.value) and "models.mine" not in str(caught.value)


def test_all_are_told_at_once(study, published, tmp_path):
    for name in ("olmo-2-7b", "gemma-2-2b"):
        shutil.copytree(published / name, tmp_path / name)
        _lacks(tmp_path / name)
    models = folders(one=tmp_path / "olmo-2-7b", two=tmp_path / "gemma-2-2b")
    changed = with_models(study(models=models), "one", "two")
    with pytest.raises(UserError, match=r"^models\.one: .*lacks.*\nmodels\.two: .*lacks"):
        check_models(changed)


def test_what_was_downloaded_is_looked_at(study, published, tmp_path, monkeypatch):
    from contrastive_context.models import preparation

    def link(record, folder):
        for file in (published / "eurollm-1.7b").iterdir():
            (folder / file.name).symlink_to(file)
        return {"repository": "", "revision": "", "licence": "", "files": {}}

    monkeypatch.setattr(preparation, "link", link)
    changed = with_models(study(), "eurollm-1.7b")
    assert check_models(changed) == ([], ["eurollm-1.7b"])
    record = tmp_path / "results/paper/hub/models/eurollm-1.7b.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert check_models(changed) == (["eurollm-1.7b"], [])
