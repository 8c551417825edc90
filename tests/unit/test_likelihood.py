"""Likelihood of completions against a plain loop."""

import numpy as np
import pytest
import torch
from small_models import FAMILIES, model

from contrastive_context.likelihood import completion_logprobs


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


def test_nothing_to_score():
    sums, counts = completion_logprobs(model("llama"), [], [])
    assert len(sums) == len(counts) == 0
