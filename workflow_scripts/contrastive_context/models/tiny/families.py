"""The four families at laptop size: two layers of width 96, with an initialisation that brings induction early.

The initialisation takes its idea from Trockman & Kolter, "Mimetic Initialization of Self-Attention Layers" (2023).
Ours: the output is the transpose of an orthogonal value matrix, queries equal keys in the upper layer only, and all
embeddings share a common vector.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from contrastive_context.core.json_types import JsonDict

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel

WIDTH = 96
LAYERS = 2
HEADS = 4
FEED_FORWARD = 192
POSITIONS = 512
_INITIAL_STD = 0.05
_COMMON_VECTOR = 0.5
_HEAD = WIDTH // HEADS
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}


def build(family: str, vocabulary: int, seed: int) -> "PreTrainedModel":
    """Return an untrained float32 model of a family, a key of ``FAMILIES``.

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


def _llama(shared: JsonDict) -> "PretrainedConfig":
    from transformers import LlamaConfig

    return LlamaConfig(**shared, num_key_value_heads=HEADS, rope_parameters=_ROPE)


def _qwen3(shared: JsonDict) -> "PretrainedConfig":
    from transformers import Qwen3Config

    # With grouped keys and values, two heads write through one value matrix: two of three seeds on "idiom" then never
    # learned to copy what they attend to. Gemma's norm after attention makes up for it.
    return Qwen3Config(**shared, head_dim=_HEAD, num_key_value_heads=HEADS, rope_parameters=_ROPE)


def _gemma3(shared: JsonDict) -> "PretrainedConfig":
    from transformers import Gemma3TextConfig

    return Gemma3TextConfig(
        **shared,
        head_dim=_HEAD,
        num_key_value_heads=HEADS // 2,
        query_pre_attn_scalar=_HEAD,
        layer_types=["full_attention"] * LAYERS,  # a sliding window makes no sense for prompts of a hundred tokens
        rope_parameters={"full_attention": _ROPE, "sliding_attention": _ROPE},
    )


def _gpt_neox(shared: JsonDict) -> "PretrainedConfig":
    from transformers import GPTNeoXConfig

    rope = {**_ROPE, "partial_rotary_factor": 0.25}
    return GPTNeoXConfig(**shared, use_parallel_residual=True, rope_parameters=rope)


FAMILIES: dict[str, Callable[[JsonDict], "PretrainedConfig"]] = {
    "llama": _llama,
    "qwen3": _qwen3,
    "gemma3": _gemma3,
    "gpt_neox": _gpt_neox,
}
"""Family → its configuration, given what all have in common."""


def _config(family: str, vocabulary: int) -> "PretrainedConfig":
    from contrastive_context.models.tiny import tokenizer

    return FAMILIES[family](
        {
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
    )


def _initialise_attention(layer: "nn.Module", match_queries: bool) -> None:
    """Set output = valueᵀ (orthogonal) in place and, if ``match_queries``, query = key ~ N(0, 1/width), by head."""
    import torch

    attention: Any = (
        layer.self_attn if hasattr(layer, "self_attn") else layer.attention
    )  # whose layers differ by family
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
