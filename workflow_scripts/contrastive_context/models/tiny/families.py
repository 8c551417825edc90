"""The four families at laptop size: two layers of width 96, with an initialisation that brings induction early.

The initialisation takes its idea from Trockman & Kolter, "Mimetic Initialization of Self-Attention Layers" (2023).
Ours: the output is the transpose of an orthogonal value matrix, queries equal keys in the upper layer only, and all
embeddings share a common vector.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

WIDTH = 96
LAYERS = 2
HEADS = 4
FEED_FORWARD = 192
POSITIONS = 512
_INITIAL_STD = 0.05
_COMMON_VECTOR = 0.5


def build(family: str, vocabulary: int, seed: int) -> "PreTrainedModel":
    """Return an untrained float32 model of the family ("llama", "qwen3", "gemma3", "gpt_neox").

    Its weights are a function of the arguments. The global random state of torch is left as it was.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            _config(family, vocabulary), attn_implementation="sdpa", dtype=torch.float32
        )
        with torch.no_grad():
            for number, layer in enumerate(model.base_model.layers):
                _initialise_attention(layer, match_queries=number > 0)
            table = model.get_input_embeddings().weight
            table += torch.randn(WIDTH) * table.std() * _COMMON_VECTOR
            table[model.config.pad_token_id] = 0
    return model


def _config(family: str, vocabulary: int):
    from transformers import Gemma3TextConfig, GPTNeoXConfig, LlamaConfig, Qwen3Config

    from contrastive_context.models.tiny import tokenizer

    rope = {"rope_type": "default", "rope_theta": 10_000.0}
    shared = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": FEED_FORWARD,
        "max_position_embeddings": POSITIONS,
        "initializer_range": _INITIAL_STD,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.PAD,
        "bos_token_id": tokenizer.BOS,
        "eos_token_id": tokenizer.EOS,
    }
    head = {"head_dim": WIDTH // HEADS}
    if family == "llama":
        return LlamaConfig(**shared, num_key_value_heads=HEADS, rope_parameters=rope)
    if family == "qwen3":
        # With grouped keys and values, two heads write through one value matrix: two of three seeds on "idiom" then
        # never learned to copy what they attend to. Gemma's norm after attention makes up for it.
        return Qwen3Config(**shared, **head, num_key_value_heads=HEADS, rope_parameters=rope)
    if family == "gemma3":
        kinds = ["full_attention"] * LAYERS  # a sliding window makes no sense for prompts of a hundred tokens
        return Gemma3TextConfig(
            **shared,
            **head,
            num_key_value_heads=HEADS // 2,
            query_pre_attn_scalar=WIDTH // HEADS,
            layer_types=kinds,
            rope_parameters={"full_attention": rope, "sliding_attention": rope},
        )
    if family == "gpt_neox":
        return GPTNeoXConfig(
            **shared, use_parallel_residual=True, rope_parameters={**rope, "partial_rotary_factor": 0.25}
        )
    raise ValueError(f"no such family: {family}")


def _initialise_attention(layer: "nn.Module", match_queries: bool) -> None:
    """Set output = valueᵀ (orthogonal) in place and, if ``match_queries``, query = key ~ N(0, 1/width), by head."""
    import torch

    attention = layer.self_attn if hasattr(layer, "self_attn") else layer.attention
    fused = hasattr(attention, "query_key_value")
    key_heads = HEADS if fused else attention.k_proj.out_features // (WIDTH // HEADS)
    group, head = HEADS // key_heads, WIDTH // HEADS
    key = torch.randn(key_heads, head, WIDTH) / WIDTH**0.5
    value = torch.linalg.qr(torch.randn(WIDTH, key_heads * head))[0].T.reshape(key_heads, head, WIDTH)

    def per_query_head(weight: "Tensor") -> "Tensor":
        return weight.repeat_interleave(group, 0).reshape(WIDTH, WIDTH)

    output = per_query_head(value).T / group
    if fused:  # rows are [head, (query, key, value), head width]
        weight = attention.query_key_value.weight.view(HEADS, 3, head, WIDTH)
        if match_queries:
            weight[:, 0] = weight[:, 1] = key
        weight[:, 2] = value
        attention.dense.weight.copy_(output)
        return
    if match_queries:
        attention.k_proj.weight.copy_(key.reshape(-1, WIDTH))
        attention.q_proj.weight.copy_(per_query_head(key))
    attention.v_proj.weight.copy_(value.reshape(-1, WIDTH))
    attention.o_proj.weight.copy_(output)
