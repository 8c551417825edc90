"""Greedy generation: batching changes nothing, answers end where they should."""

import copy
import functools
import json

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal
from contrastive_context.inference.generation import Generation, _Rows, generate, predict
from contrastive_context.models.transformers_internals import cache_by_rows
from contrastive_context.prompting.prompts import PromptEncoder
from small_models import FAMILIES, model, tokenizer

TEMPLATE = Template(source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_new_tokens=12)


def encoder(kind="llama"):
    return PromptEncoder(tokenizer(kind), TEMPLATE)


def prompts(count=9):
    rng = np.random.default_rng(0)
    return [rng.integers(3, 500, rng.integers(2, 30)).astype(np.int32) for _ in range(count)]


TIE = 1e-3  # of the two largest logits: where they are closer than that, the answers may go apart


def differences(network, prompts, together, alone) -> tuple[int, int]:
    """Return in how many answers a token differs, and in how many of these the first one that does is no near-tie."""
    differing = unexplained = 0
    for prompt, one, other in zip(prompts, together, alone, strict=True):
        if one == other:
            continue
        differing += 1
        at = next(
            (i for i, (a, b) in enumerate(zip(one.ids, other.ids, strict=False)) if a != b),
            min(len(one.ids), len(other.ids)),
        )
        with torch.inference_mode():
            logits = network(torch.tensor([[*prompt.tolist(), *one.ids[:at]]])).logits[0, -1]
        first, second = logits.topk(2).values.tolist()
        unexplained += first - second >= TIE
    return differing, unexplained


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "unigram"])
@pytest.mark.parametrize("family", FAMILIES)
def test_batched_equals_one_by_one_whatever_side_the_tokenizer_pads(family, kind, side, record_property):
    reading = copy.deepcopy(tokenizer(kind))
    reading.padding_side = side
    network, names = model(family), PromptEncoder(reading, TEMPLATE)
    words = ["turn", "on", "the", "desk", "lamp", "in", "the", "kitchen", "please"]
    rng = np.random.default_rng(1)
    texts = [
        names.encode(
            [(" ".join(rng.choice(words, rng.integers(1, 6))), "on")] * rng.integers(0, 4), rng.choice(words)
        ).ids
        for _ in range(24)
    ]
    together = generate(network, names, texts, max_new_tokens=6, batch_tokens=600)
    alone = generate(network, names, texts, max_new_tokens=6, batch_tokens=1)
    differing, unexplained = differences(network, texts, together, alone)
    record_property("near_ties", differing)
    assert unexplained == 0
    assert differing < 0.001 * len(texts)


def test_a_real_difference_is_no_near_tie():
    network, texts = model("llama"), prompts(2)
    found = generate(network, encoder(), texts, max_new_tokens=6)
    wrong = [answer._replace(ids=[*answer.ids[:2], answer.ids[2] + 1, *answer.ids[3:]]) for answer in found]
    assert differences(network, texts, found, wrong) == (2, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_equals_one_by_one_and_a_plain_loop(family):
    network, texts = model(family), prompts()
    together = generate(network, encoder(), texts, max_new_tokens=8, batch_tokens=200)
    alone = generate(network, encoder(), texts, max_new_tokens=8, batch_tokens=1)
    assert together == alone
    for prompt, output in zip(texts, together, strict=True):
        ids = prompt.tolist()
        with torch.inference_mode():
            for _ in output.ids:
                ids.append(int(network(torch.tensor([ids])).logits[0, -1].argmax()))
        assert ids[len(prompt) :] == output.ids


def biased(token: int, network=None):
    """A model that answers the same token after everything."""
    network = network or model("gpt_neox")
    with torch.no_grad():
        network.embed_out.weight.zero_() if hasattr(network, "embed_out") else network.lm_head.weight.zero_()
    head = network.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, output: output.index_fill(-1, torch.tensor([token]), 9.0))
    return network


def test_stop_eos_and_length():
    names = encoder()
    letter = int(names.completion("a")[-len(names.stop_ids) - 1])
    newline, eos = int(names.stop_ids[-1]), names.tokenizer.eos_token_id
    options = {"max_new_tokens": 3, "batch_tokens": 1000}
    assert generate(biased(newline), names, prompts(2), **options) == [Generation([newline], "stop")] * 2
    assert generate(biased(eos), names, prompts(2), **options) == [Generation([], "eos")] * 2
    assert generate(biased(letter), names, prompts(2), **options) == [Generation([letter] * 3, "length")] * 2


def test_what_comes_first_ends_the_answer():
    names = encoder()
    newline, eos = int(names.stop_ids[-1]), names.tokenizer.eos_token_id

    def ends(answer, eos=(eos,), limit=4):
        rows = _Rows(names, eos, 0, limit)
        rows.ended = [None]
        for end in range(1, len(answer) + 1):
            rows(torch.tensor([answer[:end]]), None)
        return rows.ended[0]

    assert ends([5, newline, eos, 0]) == Generation([5, newline], "stop")
    assert ends([5, eos, newline, 0]) == Generation([5], "eos")
    assert ends([5, newline], eos=(newline,)) == Generation([5, newline], "stop")
    assert ends([5, 6, 7, newline]) == Generation([5, 6, 7, newline], "stop")
    assert ends([5, 6, 7, 8]) == Generation([5, 6, 7, 8], "length")
    assert ends([5, 6, 7]) is None


def test_rows_are_dropped_where_nothing_is_padded(monkeypatch):
    network, names = model("llama"), encoder()
    texts = list(np.random.default_rng(2).integers(3, 500, (12, 9)).astype(np.int32))
    expected = generate(network, names, texts, max_new_tokens=12, batch_tokens=1)
    ends = [answer.ids[at] for answer, at in zip(expected[::2], (1, 2, 3, 4, 5, 6), strict=True)]
    monkeypatch.setattr("contrastive_context.inference.generation._eos_ids", lambda *_: ends)
    together = generate(network, names, texts, max_new_tokens=12)
    assert together == generate(network, names, texts, max_new_tokens=12, batch_tokens=1)
    assert len({len(answer.ids) for answer in together}) > 2
    sampled = [generate(network, names, texts, max_new_tokens=12, temperature=1.0, seed=seed) for seed in (0, 0, 1)]
    assert sampled[0] == sampled[1] != sampled[2]
    assert [answer.ids for answer in generate(network, names, texts, max_new_tokens=1)] == [
        [] if answer.ids[0] in ends else answer.ids[:1] for answer in expected
    ]


def test_rows_of_a_recurrent_state_stay_together():
    from transformers import MambaConfig, MambaForCausalLM

    network = MambaForCausalLM(MambaConfig(vocab_size=512, hidden_size=32, num_hidden_layers=2, state_size=4))
    assert cache_by_rows(network) is None
    assert cache_by_rows(model("llama")) is not None
    texts = [text[:9] for text in prompts() if len(text) >= 9]
    found = generate(network, encoder(), texts, max_new_tokens=6)
    assert found == generate(network, encoder(), texts, max_new_tokens=6, batch_tokens=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_ended_are_dropped_and_the_others_answers_stay(family, monkeypatch):
    network, names = model(family), encoder()
    texts = prompts(12)
    expected = generate(network, names, texts, max_new_tokens=12, batch_tokens=1)
    # What the model says after some tokens becomes an end: answers then end one after the other.
    ends = [expected[row].ids[column] for row, column in ((0, 2), (3, 2), (5, 3), (7, 4), (9, 5))]
    monkeypatch.setattr("contrastive_context.inference.generation._eos_ids", lambda *_: ends)
    sizes, forward = [], network.forward

    @functools.wraps(forward)  # generate() looks at its parameters
    def counting(*args, **options):
        sizes.append(len(options["input_ids"]))
        return forward(*args, **options)

    monkeypatch.setattr(network, "forward", counting)
    dropping = generate(network, names, texts, max_new_tokens=12)
    assert sizes[0] == 12
    assert sizes[-1] < 12
    calls = len(sizes)
    monkeypatch.setattr("contrastive_context.inference.generation.cache_by_rows", lambda _: None)
    assert generate(network, names, texts, max_new_tokens=12) == dropping
    assert set(sizes[calls:]) == {12}
    assert dropping == generate(network, names, texts, max_new_tokens=12, batch_tokens=1)
    assert {answer.stop_reason for answer in dropping} == {"eos", "length"}


def test_the_models_own_sampling_options_are_ignored_and_kept():
    network, texts = model("llama"), prompts(4)
    expected = generate(network, encoder(), texts, max_new_tokens=6)
    network.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=3.0, max_length=5)
    assert generate(network, encoder(), texts, max_new_tokens=6) == expected
    assert network.generation_config.repetition_penalty == 3.0


def test_no_prompts():
    assert generate(model("llama"), encoder(), [], max_new_tokens=2) == []


class TestPredict:
    @pytest.fixture
    def files(self, tmp_path):
        arrivals = pd.DataFrame({"id": ["a", "b"], "source": ["desk lamp", "kitchen"], "target": ["lamp", "on"]})
        test = pd.DataFrame({"id": ["t"], "source": ["good morning"], "target": ["x"]})
        rows = [
            ("p1", "t", "in_domain", "one_graded", "low", ["b", "a"], [0.1, 0.2]),
            ("p2", "t", "in_domain", "zero_context", "none", [], []),
        ]
        names = ["prompt_id", "target_id", "test_set", "composition", "bucket", "example_ids", "similarities"]
        contexts = pd.DataFrame(rows, columns=names)
        for name, frame in {"arrivals": arrivals, "test": test, "contexts": contexts}.items():
            frame.to_parquet(tmp_path / f"{name}.parquet", index=False)
        return tmp_path

    def run(self, files, template=TEMPLATE):
        paths = [files / f"{name}.parquet" for name in ("arrivals", "test", "contexts")]
        return list(predict(model("llama"), tokenizer("llama"), template, 7, *paths, 1000))

    def test_records(self, files):
        first, second = self.run(files)
        assert first["prompt_id"] == "p1" and first["bucket"] == "low" and first["step"] == 7
        assert first["test_set"] == "in_domain" and second["composition"] == "zero_context"
        expected = encoder().encode([("kitchen", "on"), ("desk lamp", "lamp")], "good morning")
        assert first["prompt_tokens"] == len(expected.ids) > second["prompt_tokens"]
        assert first["dropped_examples"] == 0
        json.dumps([first, second])

    def test_the_start_of_a_target_is_no_part_of_the_output(self, files):
        spaced = TEMPLATE.model_copy(update={"target_prefix": "\nout:", "target_start": " "})
        names = PromptEncoder(tokenizer("gpt2"), spaced)
        blank = names.tokenizer.convert_tokens_to_ids("Ġlamp")
        paths = [files / f"{name}.parquet" for name in ("arrivals", "test", "contexts")]
        first, _ = predict(biased(blank), tokenizer("gpt2"), spaced, 0, *paths, 1000, task="toy")
        assert first["output"] == " ".join(["lamp"] * 12)
        expected = names.encode([("kitchen", "on"), ("desk lamp", "lamp")], "good morning").ids
        assert first["prompt_tokens"] == len(expected)

    def test_dropped_examples_are_counted(self, files):
        room = len(encoder().encode([], "good morning").ids)
        first, second = self.run(files, TEMPLATE.model_copy(update={"max_prompt_tokens": room}))
        assert (first["dropped_examples"], second["dropped_examples"]) == (2, 0)

    def many(self, files, journal=None):
        """Predict 30 prompts in many batches; return the records and the prompts that the model was given."""
        rows = [
            (f"p{i}", "t", "in_domain", "one_graded", "low", ["b", "a"] * (i % 7), [0.1, 0.2] * (i % 7))
            for i in range(30)
        ]
        pd.DataFrame(rows, columns=pd.read_parquet(files / "contexts.parquet").columns).to_parquet(
            files / "many.parquet", index=False
        )
        network, given = model("llama"), []
        inner = network.generate

        def counted(**inputs):
            given.append(len(inputs["input_ids"]))
            return inner(**inputs)

        network.generate = counted
        paths = [files / f"{name}.parquet" for name in ("arrivals", "test", "many")]
        try:
            return list(predict(network, tokenizer("llama"), TEMPLATE, 7, *paths, 360, journal=journal)), sum(given)
        except KeyboardInterrupt:
            return None, sum(given)

    def test_an_interrupted_run_answers_no_prompt_twice(self, files, tmp_path):
        class Interrupting(Journal):
            batches = 2

            def add(self, entries):
                super().add(entries)
                self.batches -= 1
                if not self.batches:
                    raise KeyboardInterrupt

        expected, total = self.many(files)
        assert total == 30
        seen = []
        for _ in range(20):
            records, given = self.many(files, Interrupting(tmp_path / "state/answers.jsonl"))
            seen.append(given)
            if records is not None:
                break
        assert len(seen) > 3 and sum(seen) == 30 and min(seen) > 0
        assert records == expected

    def test_a_torn_line_costs_one_answer(self, files, tmp_path):
        path = tmp_path / "answers.jsonl"
        expected, _ = self.many(files, Journal(path))
        path.write_bytes(path.read_bytes()[:-10])
        assert self.many(files, Journal(path)) == (expected, 1)

    def test_unknown_id(self, files):
        frame = pd.read_parquet(files / "contexts.parquet").assign(target_id="gone")
        frame.to_parquet(files / "contexts.parquet", index=False)
        with pytest.raises(UserError, match="id gone is in neither"):
            self.run(files)
