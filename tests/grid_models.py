"""The classes of the paper grid's eight models with a few thousand weights each.

What may go wrong in their published configurations and tokenizers is kept, at lengths at which it acts.
"""

import functools
import json
from pathlib import Path

_SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "initializer_range": 0.2,
}  # fmt: skip
_ROPE = {"rope_type": "llama3", "rope_theta": 500000.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_ROPE |= {"original_max_position_embeddings": 16}
#: Positions: of Llama 3 and Qwen2.5 more than any prompt needs, of the others fewer than some would take.
_MANY, _FEW = 4096, 96

#: Model of config.yaml → (class of its configuration, what its configuration has, kind of tokenizer).
GRID_MODELS = {
    "llama-3.2-1b": (
        "LlamaConfig",
        {"rope_parameters": _ROPE | {"factor": 32.0}, "tie_word_embeddings": True, "head_dim": 8},
        "llama3",
    ),
    "llama-3.1-8b": ("LlamaConfig", {"rope_parameters": _ROPE | {"factor": 8.0}}, "llama3"),
    "gemma-2-2b": (
        "Gemma2Config",
        {
            "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8, "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 3.0, "max_position_embeddings": _FEW,
        },
        "gemma",
    ),
    "qwen2.5-1.5b": ("Qwen2Config", {"tie_word_embeddings": True, "sliding_window": 8}, "qwen"),
    "qwen2.5-3b": ("Qwen2Config", {"tie_word_embeddings": True, "max_window_layers": 2}, "qwen"),
    "qwen2.5-7b": ("Qwen2Config", {"use_sliding_window": False, "sliding_window": 8}, "qwen"),
    "eurollm-1.7b": ("LlamaConfig", {"max_position_embeddings": _FEW, "head_dim": 8}, "eurollm"),
    "olmo-2-7b": ("Olmo2Config", {"max_position_embeddings": _FEW}, "olmo"),
}  # fmt: skip


@functools.cache
def grid_tokenizer(kind: str):
    """Return a tokenizer with the published one's algorithm and special tokens.

    Llama 3 adds <|begin_of_text|> and has no padding; Gemma adds <bos>; EuroLLM adds <s> and a blank before every text;
    Qwen2.5 and OLMo 2 add nothing, and pad with a token that also ends, or with one of its own.
    """
    from tokenizers import AddedToken, processors
    from transformers import PreTrainedTokenizerFast

    import small_models

    base = small_models.tokenizer("llama" if kind in ("gemma", "eurollm") else "gpt2")
    raw = type(base.backend_tokenizer).from_str(base.backend_tokenizer.to_str())
    specials = {
        "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
        "gemma": {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"},
        "qwen": {"pad_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
        "eurollm": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"},
        "olmo": dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>") | {"pad_token": "<|pad|>"},
    }[kind]
    chat = {"llama3": "<|eot_id|>", "gemma": "<start_of_turn>", "olmo": "<|im_start|>"}.get(kind, "<|im_end|>")
    raw.add_special_tokens([AddedToken(text, special=True) for text in dict.fromkeys([*specials.values(), chat])])
    if kind == "gemma":
        from tokenizers import decoders, normalizers

        raw.normalizer = normalizers.Replace(" ", "▁")  # no blank is put before a text
        raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    begin = specials.get("bos_token") if kind in ("llama3", "gemma", "eurollm") else None
    if begin:
        tokens = [(begin, raw.token_to_id(begin))]
        raw.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=tokens)
    else:
        raw.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=raw, **specials, extra_special_tokens=[chat])


def save_grid_model(name: str, folder: Path, dtype: str = "bfloat16"):
    """Save a model of random weights with its tokenizer, as published ones are; return its configuration."""
    import torch
    import transformers

    kind, values, words = GRID_MODELS[name]
    tokenizer = grid_tokenizer(words)
    config = getattr(transformers, kind)(
        **{"max_position_embeddings": _MANY, **_SIZES, **values},
        vocab_size=len(tokenizer) + 37,  # more than there are tokens, as in Qwen2.5 and OLMo 2
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=dtype,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # The published files name a class of transformers, which may read them in a way of its own.
    named = {"gemma": "GemmaTokenizer", "qwen": "Qwen2Tokenizer", "eurollm": "LlamaTokenizer", "olmo": "GPT2Tokenizer"}
    file = folder / "tokenizer_config.json"
    stated = json.loads(file.read_text())
    file.write_text(json.dumps(stated | {"tokenizer_class": named.get(words, "PreTrainedTokenizerFast")}))
    return config
