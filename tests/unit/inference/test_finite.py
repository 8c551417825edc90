"""Logits that aren't finite are refused with the prompt's name: an answer or a likelihood would come all the same."""

import copy

import numpy as np
import pytest
import torch

from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError
from contrastive_context.inference.finite import FiniteLogits
from contrastive_context.inference.generation import answer, generate
from contrastive_context.inference.likelihood import completion_logprobs
from contrastive_context.prompting.prompts import PromptEncoder
from small_models import model, tokenizer

TEMPLATE = Template(source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_new_tokens=12)
BAD = 77  # the token after which the model's numbers are no longer finite
PROMPTS = {"p1": [5, 6, 7], "p2": [5, BAD, 7, 8], "p3": [9], "p4": [BAD, 4]}


def overflowing(value=torch.nan, dtype=torch.float32):
    network = copy.deepcopy(model("llama"))
    network.lm_head.weight = torch.nn.Parameter(network.lm_head.weight.clone())
    with torch.no_grad():
        network.get_input_embeddings().weight[BAD] = value
    return network.to(dtype)


@pytest.mark.parametrize("batch_tokens", [1, 1000])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_generation(batch_tokens, temperature):
    prompts = [np.array(ids, np.int32) for ids in PROMPTS.values()]
    options = {"max_new_tokens": 3, "batch_tokens": batch_tokens, "temperature": temperature}
    encoder = PromptEncoder(tokenizer("llama"), TEMPLATE)
    with pytest.raises(UserError, match=r"^prompt p2: the model's logits aren't finite.*overflow in float32; look at"):
        generate(overflowing(), encoder, prompts, names=list(PROMPTS), **options)
    with pytest.raises(UserError, match=r"^prompt number 1: .*overflow in bfloat16; set its dtype to float32"):
        generate(overflowing(dtype=torch.bfloat16), encoder, prompts, **options)
    assert len(generate(overflowing(), encoder, [prompts[0], prompts[2]], **options)) == 2


def test_answers_are_named_as_their_prompts():
    prompts = {name: np.array(ids, np.int32) for name, ids in PROMPTS.items() if name != "p2"}
    encoder = PromptEncoder(tokenizer("llama"), TEMPLATE)
    with pytest.raises(UserError, match=r"^prompt p4: "):
        answer(overflowing(), encoder, prompts, None, batch_tokens=1000, label="")


@pytest.mark.parametrize("batch_tokens", [1, 1000])
def test_likelihood(batch_tokens):
    prompts, completions = list(PROMPTS.values()), [[3, 4]] * 4
    options = {"batch_tokens": batch_tokens}
    arrays = [np.array(ids) for ids in prompts], [np.array(ids) for ids in completions]
    with pytest.raises(UserError, match=r"^prompt p2: the model's logits aren't finite"):
        completion_logprobs(overflowing(), *arrays, names=list(PROMPTS), **options)
    with pytest.raises(UserError, match=r"^prompt number 0: "):
        completion_logprobs(overflowing(), [np.array([3])], [np.array([BAD, 4])], **options)


@pytest.mark.parametrize(
    ("row", "beams", "name"),
    [
        ([torch.nan] * 4, 1, "b"),
        ([0.0, torch.nan, 0.0, 0.0], 1, "b"),
        ([0.0, torch.inf, 0.0, 0.0], 1, "b"),
        ([-torch.inf] * 4, 2, "a"),
        ([0.0, -torch.inf, 0.0, 0.0], 1, None),  # a token that can't come
    ],
)
def test_which_logits_are_refused(row, beams, name):
    ordinary = torch.zeros(2, 4)
    check = FiniteLogits(["a", "b"], model("llama"), beams=beams)
    for scores in (ordinary, torch.tensor([[0.0] * 4, row]), ordinary):
        assert check(None, scores) is scores
    if name is None:
        check.check()
    else:
        with pytest.raises(UserError, match=f"^prompt {name}: "):
            check.check()


def test_nothing_is_read_from_the_device_before_all_tokens_are_there(monkeypatch):
    """Each reading would make the CPU wait for the GPU: greedy decoding does so once per token already."""
    reads = []
    check = FiniteLogits.check
    monkeypatch.setattr(FiniteLogits, "check", lambda self: (reads.append(1), check(self)))
    encoder = PromptEncoder(tokenizer("llama"), TEMPLATE)
    answers = generate(model("llama"), encoder, [np.array([5, 6, 7])], max_new_tokens=8)
    assert len(answers[0].ids) > 1 and len(reads) == 1
