"""The only module that uses more of transformers than its documentation promises.

Transformers may move any of this in its next version. ``tests/unit/test_library_internals.py`` then says what is gone.
"""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel


def cache_by_rows(model: "PreTrainedModel") -> "DynamicCache | None":
    """Return an empty cache that rows can be dropped from, None if the model keeps a state of another kind."""
    from transformers import DynamicCache
    from transformers.cache_utils import LinearAttentionCacheLayerMixin

    if model._is_stateful or "past_key_values" not in inspect.signature(model.forward).parameters:
        return None
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    return None if any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in cache.layers) else cache


def forget_attention(config: "PreTrainedConfig") -> None:
    """Let a model have the fastest attention that its class supports, whatever the file of its configuration names."""
    config._attn_implementation = None


def checkpointed_layers(network: "PreTrainedModel") -> "Iterator[nn.Module]":
    """Yield the layers whose activations gradient checkpointing computes again, if they are in training mode."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return (module for module in network.modules() if isinstance(module, GradientCheckpointingLayer))


def prepare_loading() -> None:
    """Make what transformers makes once per process when it loads weights: its table of renamed ones, in .3 seconds."""
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("llama")
