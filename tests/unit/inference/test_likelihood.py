"""Likelihood of completions against a plain loop."""

import numpy as np
import pytest
import torch

from contrastive_context.inference.likelihood import completion_logprobs
from small_models import FAMILIES, model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_tokens", [1, 60, 10_000])
def test_equals_a_plain_loop(family, batch_tokens):
    network, rng = model(family), np.random.default_rng(0)
    prompts = [rng.integers(0, 600, rng.integers(1, 30)) for _ in range(7)]
    completions = [rng.integers(0, 600, rng.integers(1, 6)) for _ in range(7)]
    sums, counts = completion_logprobs(network, prompts, completions, batch_tokens=batch_tokens)
    for prompt, completion, total, count in zip(prompts, completions, sums, counts, strict=True):
        with torch.inference_mode():
            logprobs = network(torch.tensor(np.concatenate([prompt, completion]))[None]).logits[0].log_softmax(-1)
        expected = sum(logprobs[len(prompt) - 1 + i, token].item() for i, token in enumerate(completion))
        assert total == pytest.approx(expected, abs=1e-4)
        assert count == len(completion)


def test_only_counted_tokens_are_summed():
    network, rng = model("llama"), np.random.default_rng(0)
    prompts = [rng.integers(0, 600, 9) for _ in range(5)]
    completions = [rng.integers(0, 600, 6) for _ in range(5)]
    first = [np.arange(6) < cut for cut in range(1, 6)]
    sums, counts = completion_logprobs(network, prompts, completions, counted=first)
    cut = [ids[mask] for ids, mask in zip(completions, first, strict=True)]
    expected, lengths = completion_logprobs(network, prompts, cut)
    np.testing.assert_allclose(sums, expected, atol=1e-4)
    assert counts.tolist() == lengths.tolist() == [1, 2, 3, 4, 5]
    last = [~mask for mask in first[:-1]]
    rest, _ = completion_logprobs(network, prompts[:-1], completions[:-1], counted=last)
    whole, _ = completion_logprobs(network, prompts[:-1], completions[:-1])
    np.testing.assert_allclose(sums[:-1] + rest, whole, atol=1e-4)


def test_nothing_to_score():
    sums, counts = completion_logprobs(model("llama"), [], [])
    assert len(sums) == len(counts) == 0
