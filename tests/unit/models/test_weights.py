"""A checkpoint that isn't wholly the model's is refused by name: what is missing would be drawn at random."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSeq2SeqLM,
    M2M100Config,
    M2M100ForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

import small_models
from contrastive_context.core.errors import UserError
from contrastive_context.models.language_models import load_model, load_weights
from contrastive_context.models.preparation import prepare
from contrastive_context.models.settings import PrepareModelSettings


def save(folder, family="llama", **changes):
    small_models.model(family).save_pretrained(folder)
    small_models.tokenizer("gpt2").save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def rewrite(folder, edit):
    """Change a saved checkpoint: ``edit`` takes and returns name → tensor."""
    file = folder / "model.safetensors"
    save_file({name: tensor.clone() for name, tensor in edit(load_file(file)).items()}, file, metadata={"format": "pt"})


def prepared(folder, tmp_path):
    settings = PrepareModelSettings(name="m", model={"kind": "folder", "path": str(folder)})
    return prepare(settings, tmp_path / "m", tmp_path / "m.json")


def renamed(old, new):
    return lambda tensors: {name.replace(old, new, 1): tensor for name, tensor in tensors.items()}


FAULTS = {
    "compiled": (renamed("model.", "_orig_mod.model."), "has unknown _orig_mod.*'_orig_mod.' is of a wrapper"),
    "data parallel": (renamed("model.", "module.model."), "lacks .*'module.' is of a wrapper"),
    "adapter not merged": (renamed("_proj.weight", "_proj.base_layer.weight"), "'base_layer.' is of a wrapper"),
    "of peft": (renamed("model.", "base_model.model.model."), "'base_model.model.' is of a wrapper"),
    "a layer less": (
        lambda tensors: {name: tensor for name, tensor in tensors.items() if "layers.1." not in name},
        r"lacks model\.layers\.1\.input_layernorm\.weight, .* and 6 more",
    ),
    "a layer more": (
        lambda tensors: tensors | {"model.layers.2.mlp.up_proj.weight": torch.zeros(64, 32)},
        r"has unknown model\.layers\.2\.mlp\.up_proj\.weight\.",
    ),
    "other embeddings": (
        lambda tensors: tensors | {"model.embed_tokens.weight": torch.zeros(500, 32)},
        r"has shapes: .*model\.embed_tokens\.weight \[500, 32\] instead of \[600, 32\]",
    ),
    "no embeddings": (
        lambda tensors: {name: tensor for name, tensor in tensors.items() if "embed" not in name},
        r"lacks lm_head\.weight, model\.embed_tokens\.weight",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_checkpoint_with_other_weights_is_refused_by_their_names(fault, tmp_path):
    edit, message = FAULTS[fault]
    folder = save(tmp_path / "saved")
    rewrite(folder, edit)
    for load in (load_model, lambda folder: prepared(folder, tmp_path)):
        with pytest.raises(UserError, match=f"the stored weights aren't those of the model: .*{message}"):
            load(folder)
    assert not (tmp_path / "m").exists()


def test_an_untied_head_must_be_there(tmp_path):
    folder = save(tmp_path / "saved", tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"lacks lm_head\.weight"):
        prepared(folder, tmp_path)


@pytest.mark.parametrize(
    ("family", "buffers"),
    [
        ("llama", [f"model.layers.0.self_attn.rotary_emb.{name}" for name in ("inv_freq", "cos_cached", "sin_cached")]),
        ("gpt2", ["transformer.h.0.attn.bias", "transformer.h.0.attn.masked_bias"]),
        ("gpt_neox", ["gpt_neox.layers.0.attention.bias", "gpt_neox.layers.0.attention.masked_bias"]),
    ],
)
def test_buffers_of_older_versions_and_names_without_the_models_prefix_are_no_fault(family, buffers, tmp_path):
    folder = save(tmp_path / "saved", family)
    rewrite(folder, lambda tensors: tensors | {name: torch.zeros(1) for name in buffers})
    if family == "llama":
        rewrite(folder, lambda tensors: {name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    prepared(folder, tmp_path)
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        torch.testing.assert_close(load_model(tmp_path / "m")(ids).logits, small_models.model(family)(ids).logits)


def test_preparing_reads_no_weights(tmp_path, monkeypatch):
    """Models of the paper grid are larger than the memory of the machine that prepares them may be."""
    from contrastive_context.models import preparation

    loaded = []
    monkeypatch.setattr(preparation, "load_model", loaded.append)
    prepared(save(tmp_path / "saved"), tmp_path)
    assert not loaded


def test_a_shard_that_is_missing(tmp_path):
    small_models.model("llama").save_pretrained(tmp_path / "saved", max_shard_size="60KB")
    small_models.tokenizer("gpt2").save_pretrained(tmp_path / "saved")
    prepared(tmp_path / "saved", tmp_path)
    sorted((tmp_path / "saved").glob("model-*.safetensors"))[1].unlink()
    with pytest.raises(UserError, match=r"^models\.m: can't be loaded by AutoModelForCausalLM .*model-00002-of"):
        prepared(tmp_path / "saved", tmp_path)


def test_sequence_to_sequence_models_are_checked_too(tmp_path):
    config = T5Config(
        vocab_size=60, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2, decoder_start_token_id=0, pad_token_id=0
    )
    T5ForConditionalGeneration(config).save_pretrained(tmp_path / "saved")
    prepared(tmp_path / "saved", tmp_path)
    rewrite(
        tmp_path / "saved", lambda tensors: {name: t for name, t in tensors.items() if "decoder.block.1" not in name}
    )
    for load in (
        lambda: prepared(tmp_path / "saved", tmp_path),
        lambda: load_weights(AutoModelForSeq2SeqLM, tmp_path / "saved"),
    ):
        with pytest.raises(UserError, match=r"lacks decoder\.block\.1\.layer\.0\.SelfAttention\.k\.weight"):
            load()


def test_tables_of_positions_that_older_translation_models_hold_are_no_fault(tmp_path):
    """As M2M-100's and NLLB's published files have them."""
    config = M2M100Config(
        vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
    )  # fmt: skip
    M2M100ForConditionalGeneration(config).save_pretrained(tmp_path / "saved")
    small_models.tokenizer("gpt2").save_pretrained(tmp_path / "saved")
    tables = {f"model.{side}.embed_positions.weights": torch.zeros(66, 16) for side in ("encoder", "decoder")}
    rewrite(tmp_path / "saved", lambda tensors: tensors | tables)
    prepared(tmp_path / "saved", tmp_path)


class TestAdapterBesideWeights:
    @pytest.fixture(params=["merged", "alone"])
    def folder(self, request, tmp_path):
        from peft import LoraConfig, get_peft_model

        adapted = get_peft_model(small_models.model("llama"), LoraConfig(task_type="CAUSAL_LM"))
        adapted.save_pretrained(tmp_path / "saved")
        if request.param == "merged":
            adapted.merge_and_unload().save_pretrained(tmp_path / "saved")
        return tmp_path / "saved"

    def test_a_local_folder(self, folder, tmp_path):
        message = r"refused, adapter_config\.json, adapter_model\.safetensors would be applied on top of the weights"
        with pytest.raises(UserError, match=rf"models\.m\.path: .*saved: {message}"):
            prepared(folder, tmp_path)
        with pytest.raises(UserError, match=message):
            load_model(folder)

    def test_a_repository(self, folder):
        from contrastive_context.config.hub_entries import HubEntry
        from contrastive_context.downloads.hub import _choose

        names = [file.name for file in folder.iterdir()]
        entry = HubEntry(repository="somebody/tuned", use="language_model")
        with pytest.raises(UserError, match=r"models\.m: somebody/tuned: refused, adapter_config\.json"):
            _choose("models.m", entry, dict.fromkeys(names), api=None)


@pytest.mark.parametrize("method", ["bitsandbytes", "fp8", "gptq"])
def test_quantized_weights_are_refused(method, tmp_path):
    folder = save(tmp_path / "saved", quantization_config={"quant_method": method})
    with pytest.raises(UserError, match=rf"^models\.m: config\.json: the weights are quantized \({method}\)"):
        prepared(folder, tmp_path)


def cut(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def configured(**values):
    return lambda file: file.write_text(json.dumps(json.loads(file.read_text()) | values))


def pointer(file):
    file.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 99\n")


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("config.json", cut, r"config\.json: not JSON \(.*\); is the file whole\?"),
        ("config.json", lambda file: file.write_text("[]"), r"config\.json: not a model's configuration"),
        ("config.json", configured(hidden_size="x"), r"can't be loaded by AutoModelForCausalLM \(.*hidden_size.*"),
        ("config.json", configured(hidden_act="unheard-of"), r"can't be loaded by .* \(KeyError: 'unheard-of'\)"),
        ("model.safetensors", cut, r"can't be loaded by AutoModelForCausalLM \(SafetensorError: .*"),
        ("model.safetensors", pointer, r"model\.safetensors: only Git LFS's pointer .* call `git lfs pull`"),
        ("tokenizer.json", cut, r"its tokenizer can't be loaded \(.*"),
        ("tokenizer.json", lambda file: file.write_text("{}"), r"its tokenizer can't be loaded \(KeyError.*"),
        ("tokenizer.json", pointer, r"tokenizer\.json: only Git LFS's pointer"),
        ("tokenizer_config.json", lambda file: file.write_text("[]"), r"its tokenizer can't be loaded \(.*"),
    ],
)
def test_damaged_files_are_told_in_one_line(name, damage, message, tmp_path):
    damage(save(tmp_path / "saved") / name)
    with pytest.raises(UserError, match=rf"^models\.m: {message}") as caught:
        prepared(tmp_path / "saved", tmp_path)
    assert "\n" not in str(caught.value)
