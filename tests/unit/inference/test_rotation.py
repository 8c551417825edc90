"""Under longrope the longest row of a batch decides how positions are rotated: no row changes for it."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config

from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError
from contrastive_context.core.model_limits import rope_limit
from contrastive_context.inference.generation import generate
from contrastive_context.inference.likelihood import completion_logprobs
from contrastive_context.prompting.batches import length_batches
from contrastive_context.prompting.prompts import PromptEncoder
from contrastive_context.training.optimization import Optimization
from small_models import model, tokenizer
from small_runs import RECIPE

LIMIT = 24
TEMPLATE = Template(source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_new_tokens=8)
USUAL = {
    "vocab_size": 600, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "initializer_range": 0.2, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
}  # fmt: skip
SHORT = [1.0] * 4
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": SHORT, "long_factor": [8.0, 6.0, 4.0, 2.0]}


def network(kind):
    original = {"original_max_position_embeddings": LIMIT}
    config = {
        "llama": lambda: LlamaConfig(**USUAL, max_position_embeddings=512, rope_parameters=LONG | original),
        # As Phi-3.5 has it, which starts its cache anew where an answer crosses the limit.
        "phi3": lambda: Phi3Config(**USUAL, **original, max_position_embeddings=512, rope_parameters=LONG),
        "dynamic": lambda: LlamaConfig(
            **USUAL,
            max_position_embeddings=LIMIT,
            rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
        ),
    }[kind]()
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def rows(longest=60, count=14):
    rng = np.random.default_rng(0)
    return [rng.integers(3, 500, length).astype(np.int32) for length in rng.integers(2, longest, count)]


@pytest.mark.parametrize("kind", ["llama", "phi3"])
def test_answers(kind):
    """Some prompts stay below the limit, some cross it while they are answered, some are beyond it."""
    prompts = [*rows(), *[np.arange(3, 3 + n, dtype=np.int32) for n in (16, 17, 18, 23, 24, 25)]]
    encoder = PromptEncoder(tokenizer("llama"), TEMPLATE)
    together = generate(network(kind), encoder, prompts, max_new_tokens=8, batch_tokens=10_000)
    alone = [generate(network(kind), encoder, [prompt], max_new_tokens=8)[0] for prompt in prompts]
    assert together == alone


def test_answers_of_short_prompts_are_batched_all_the_same(monkeypatch):
    given, scaled = [], network("llama")
    inner = scaled.generate
    monkeypatch.setattr(scaled, "generate", lambda **inputs: given.append(len(inputs["input_ids"])) or inner(**inputs))
    generate(scaled, PromptEncoder(tokenizer("llama"), TEMPLATE), rows(longest=17), max_new_tokens=8)
    assert given[0] == 14


@pytest.mark.parametrize("kind", ["llama", "phi3"])
def test_likelihoods(kind):
    prompts = rows()
    completions = [prompt[:4] for prompt in reversed(rows())]
    together, _ = completion_logprobs(network(kind), prompts, completions, batch_tokens=10_000)
    pairs = zip(prompts, completions, strict=True)
    alone = [completion_logprobs(network(kind), [a], [b])[0][0] for a, b in pairs]
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "phi3"])
def test_micro_batches_of_training(kind):
    pairs = [(prompt, prompt[:3]) for prompt in rows()]
    losses = [
        Optimization(network(kind), RECIPE.model_copy(update={"micro_batch_tokens": size}), 0).forward_backward(pairs)
        for size in (1, 10_000)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_dynamic_scaling_never_begins():
    """How it rotates would depend on the longest row that a model has seen so far."""
    scaled = network("dynamic")
    encoder = PromptEncoder(tokenizer("llama"), TEMPLATE, scaled.config)
    prompts = [encoder.encode([("lamp", "on")] * count, "lamp").ids for count in range(6)]
    assert max(map(len, prompts)) + TEMPLATE.max_new_tokens <= LIMIT
    with pytest.raises(UserError, match="the model's positions"):
        encoder.encode([], "turn on the desk lamp in the kitchen " * 9)
    assert generate(scaled, encoder, prompts, max_new_tokens=8) == [
        generate(network("dynamic"), encoder, [prompt], max_new_tokens=8)[0] for prompt in prompts
    ]


def test_limits():
    assert [rope_limit(network(kind).config) for kind in ("llama", "phi3", "dynamic")] == [LIMIT] * 3
    assert rope_limit(model("llama").config) is rope_limit(model("gemma3").config) is None
    layered = copy.deepcopy(model("gemma3").config)
    layered.rope_parameters["full_attention"] |= LONG | {"original_max_position_embeddings": LIMIT}
    assert rope_limit(layered) == LIMIT
    assert length_batches([3, 30, 25, 24, 2], 1000, alone_above=24) == [[1], [2], [3, 0, 4]]
