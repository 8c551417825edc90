"""Adapters: what is saved is what is loaded, strictly; walking along checkpoints adds no error."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from contrastive_context.config.finetuning import Lora
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.models.adapters import (
    CONFIG,
    WEIGHTS,
    AdapterSwitcher,
    attach,
    load_adapter,
    read_checkpoints,
    save_adapter,
)  # fmt: skip
from small_models import FAMILIES, model
from small_runs import RECIPE, tune

IDS = torch.arange(20)[None]
LORA = Lora(r=4, alpha=8)


def logits(network):
    with torch.inference_mode():
        return network(IDS).logits


def trained(family, seed=0, size=0.1, lora=LORA):
    """A peft model whose adapter is random instead of zero."""
    adapted = attach(model(family), lora, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(size * torch.randn(weight.shape, generator=generator))
    return adapted


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_and_loaded_adapters_equal_the_trained_model(family, tmp_path):
    adapted = trained(family)
    save_adapter(adapted, tmp_path, "base")
    expected, base = logits(adapted), logits(model(family))
    assert (expected - base).abs().max() > 0.01
    torch.testing.assert_close(logits(load_adapter(model(family), tmp_path).eval()), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(logits(AdapterSwitcher(model(family)).apply(tmp_path)), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_adapter_is_the_base(family, tmp_path):
    save_adapter(attach(model(family), LORA, 0), tmp_path, "base")
    torch.testing.assert_close(
        logits(AdapterSwitcher(model(family)).apply(tmp_path)), logits(model(family)), atol=1e-5, rtol=0
    )


def test_walking_does_not_add_up_errors(tmp_path):
    folders = [tmp_path / str(step) for step in range(3)]
    for step, folder in enumerate(folders):
        save_adapter(trained("llama", seed=step, size=3.0), folder, "base")
    base = model("llama")
    switcher = AdapterSwitcher(base)
    fresh = logits(AdapterSwitcher(copy.deepcopy(base)).apply(folders[2]))
    original = logits(base)
    for _ in range(5):
        for folder in folders:
            switcher.apply(folder)
    assert torch.equal(logits(base), fresh)
    assert torch.equal(logits(switcher.restore()), original)


def change(family, before, after):
    """What an adapter does to the logits of many tokens, as one vector."""
    ids = torch.randint(0, 600, (16, 60), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return (after(ids).logits.double() - before(ids).logits.double()).flatten().cpu()


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_small_updates_survive_on_a_bfloat16_base(family, device, tmp_path):
    base = model(family).to(device, torch.bfloat16)
    exact = copy.deepcopy(base).float()
    adapted = attach(copy.deepcopy(exact), LORA, 0).eval()
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(3e-4 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    save_adapter(adapted, tmp_path, "base")
    expected = change(family, exact, adapted)
    switched = change(family, base, AdapterSwitcher(copy.deepcopy(base)).apply(tmp_path))
    merging = AdapterSwitcher(copy.deepcopy(base))
    with torch.no_grad():
        merged = change(family, base, merging._merge(tmp_path))
    size = expected @ expected
    # Rounding of activations hides a single logit's change; what counts is that it is right on average.
    assert switched @ expected / size == pytest.approx(1, abs=0.2)
    assert merged @ expected / size < 0.6  # what this is for


def test_walking_on_a_bfloat16_base_leaves_nothing_behind(tmp_path):
    folders = [tmp_path / str(step) for step in range(2)]
    for step, folder in enumerate(folders):
        save_adapter(trained("llama", seed=step, size=1.0), folder, "base")
    base = model("llama").to(torch.bfloat16)
    original = logits(base)
    fresh = logits(AdapterSwitcher(copy.deepcopy(base)).apply(folders[1]))
    switcher = AdapterSwitcher(base)
    for folder in [*folders, *folders]:
        assert switcher.apply(folder) is base
    assert torch.equal(logits(base), fresh)
    assert base.dtype == torch.bfloat16 and not any(module.training for module in base.modules())
    exact = logits(AdapterSwitcher(model("llama").to(torch.bfloat16).float()).apply(folders[1]))
    assert (fresh.float() - exact).norm() < 0.05 * exact.norm()
    assert torch.equal(logits(switcher.restore()), original)


def test_initial_weights_depend_on_the_seed_alone(tmp_path):
    digests = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(digests))
        digests.append(save_adapter(attach(model("llama"), LORA, seed), tmp_path / str(len(digests)), "base"))
    assert digests[0] == digests[1] != digests[2]


def test_the_configuration_file_is_reproducible_and_names_no_path(tmp_path):
    save_adapter(attach(model("llama"), LORA, 0), tmp_path, "smol")
    config = json.loads((tmp_path / CONFIG).read_text())
    assert config["base_model_name_or_path"] == "smol"
    assert config["target_modules"] == sorted(config["target_modules"])


class TestStrictness:
    @pytest.fixture
    def folder(self, tmp_path):
        save_adapter(trained("llama"), tmp_path, "base")
        return tmp_path

    def change(self, folder, edit):
        tensors = load_file(folder / WEIGHTS)
        edit(tensors, sorted(tensors))
        save_file(tensors, folder / WEIGHTS)

    @pytest.fixture(params=["load", "apply", "bfloat16"])
    def load(self, request):
        if request.param == "load":
            return lambda folder: load_adapter(model("llama"), folder)
        if request.param == "bfloat16":
            return lambda folder: AdapterSwitcher(model("llama").to(torch.bfloat16)).apply(folder)
        return lambda folder: AdapterSwitcher(model("llama")).apply(folder)

    def test_missing_tensor(self, folder, load):
        self.change(folder, lambda tensors, names: tensors.pop(names[0]))
        with pytest.raises(UserError, match=r"adapter_model\.safetensors: lacks .*lora_A"):
            load(folder)

    def test_extra_tensor(self, folder, load):
        self.change(folder, lambda tensors, names: tensors.update(surprise=torch.zeros(2)))
        with pytest.raises(UserError, match="holds surprise"):
            load(folder)

    def test_other_shape(self, folder, load):
        self.change(folder, lambda tensors, names: tensors.update({names[0]: torch.zeros(4, 31)}))
        with pytest.raises(UserError, match="another shape"):
            load(folder)

    def test_torn_file(self, folder, load):
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
        with pytest.raises(UserError, match="can't be read as safetensors"):
            load(folder)

    def test_another_kind_of_model(self, folder):
        for base in (model("gpt2"), model("gpt2").to(torch.bfloat16)):
            config = json.loads((folder / CONFIG).read_text())
            (folder / CONFIG).write_text(json.dumps(config | {"target_modules": ["q_proj"]}))
            with pytest.raises(UserError, match="belongs to another"):
                AdapterSwitcher(base).apply(folder)

    def test_options_that_change_the_meaning(self, folder, load):
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(config | {"use_rslora": True}))
        with pytest.raises(UserError, match="use_rslora"):
            load(folder)


def test_unknown_target_modules_are_the_users_error():
    with pytest.raises(UserError, match="target_modules"):
        attach(model("llama"), Lora(target_modules=["nowhere"]), 0)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], r".*\.(q|k)_proj"])
def test_chosen_modules_only(targets, tmp_path):
    adapted = trained("llama", lora=Lora(r=2, alpha=4, target_modules=targets))
    save_adapter(adapted, tmp_path, "base")
    torch.testing.assert_close(
        logits(AdapterSwitcher(model("llama")).apply(tmp_path)), logits(adapted), atol=1e-4, rtol=0
    )


def test_checkpoints_are_checked_against_base_and_hashes(tmp_path):
    digest = save_adapter(trained("llama"), tmp_path / "step-000010", "base")
    record = {"base_sha256": "abc", "steps": {"10": {"folder": "step-000010", "sha256": digest}}}
    artifacts.write_json(tmp_path / "adapters.json", record)
    assert read_checkpoints(tmp_path / "adapters.json", "abc") == {10: tmp_path / "step-000010"}
    with pytest.raises(UserError, match="another base"):
        read_checkpoints(tmp_path / "adapters.json", "def")
    save_adapter(trained("llama", seed=1), tmp_path / "step-000010", "base")
    with pytest.raises(UserError, match="missing or altered"):
        read_checkpoints(tmp_path / "adapters.json", "abc")


class TestUnfitTargets:
    def network(self, tied):
        network = model("llama")
        if not tied:
            network.lm_head.weight = torch.nn.Parameter(network.lm_head.weight.detach().clone() + 0.1)
            network.config.tie_word_embeddings = False
        return network

    @pytest.mark.parametrize(
        ("targets", "message"),
        [
            (["q_proj", "embed_tokens"], r"model\.embed_tokens is no linear layer \(Embedding\)"),
            (["lm_head"], r"lm_head shares its weights with model\.embed_tokens"),
            (r".*(q_proj|lm_head)", r"lm_head shares its weights with model\.embed_tokens"),
            (["q_proj", "k_prj"], "the model has no module called k_prj"),
            (["input_layernorm"], "input_layernorm"),
        ],
    )
    def test_they_are_refused_before_training(self, targets, message, tmp_path):
        recipe = RECIPE.model_copy(update={"lora": Lora(r=2, alpha=4, target_modules=targets)})
        with pytest.raises(UserError, match=rf"^lora\.target_modules.*{message}"):
            tune(tmp_path, recipe, network=self.network(tied=True))
        assert not list(tmp_path.iterdir())

    def test_a_layer_whose_weights_another_one_has_too(self, tmp_path):
        """Both layers' updates would be added to the one weight."""
        network = self.network(tied=True)
        first, second = (layer.self_attn for layer in network.model.layers)
        second.v_proj.weight = first.v_proj.weight
        with pytest.raises(UserError, match=r"layers\.0\.self_attn\.v_proj shares its weights with model\.layers\.1"):
            tune(tmp_path, RECIPE, network=network)

    def test_an_output_layer_of_its_own_is_trained_saved_and_read_again(self, tmp_path):
        recipe = RECIPE.model_copy(update={"lora": Lora(r=2, alpha=4, target_modules=["q_proj", "lm_head"])})
        folder = tune(tmp_path, recipe, network=self.network(tied=False)).path(4)
        assert any("lm_head.lora_B" in name for name in load_file(folder / WEIGHTS))
        expected = logits(load_adapter(self.network(tied=False), folder).eval())
        merged = logits(AdapterSwitcher(self.network(tied=False)).apply(folder))
        torch.testing.assert_close(merged, expected, atol=1e-4, rtol=0)
        assert (expected - logits(self.network(tied=False))).abs().max() > 1e-3
