"""Probe scores: formulas on outputs made by hand, and the whole pass on a random model."""

import contextlib
import types
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import LlamaConfig

from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal
from contrastive_context.inference.probing import (
    COLUMNS,
    check_rows,
    generation_values,
    label_span,
    label_tokens,
    likelihood_values,
    probe_model,
)
from contrastive_context.models.tiny import lexicon as language
from contrastive_context.models.tiny import tokenizer as words
from contrastive_context.prompting.prompts import PromptEncoder
from contrastive_context.text.agreement import token_accuracy
from contrastive_context.text.words import contains
from small_models import model, tokenizer

TEMPLATE = Template(source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_new_tokens=6)
SPACED = TEMPLATE.model_copy(update={"target_prefix": "\nout:", "target_start": " "})


def frame() -> pd.DataFrame:
    def row(role, gold, label, shown, matched=()):
        sources = ["desk", "kitchen"][: len(shown)]
        values = (role, 0, role, "t", "c", "the lamp", gold, label, list(matched), sources, list(shown))
        return dict(zip(COLUMNS, values, strict=True))

    return pd.DataFrame(
        [
            row("irrelevant", "a b c d", "a b x y", ["a b x y", "k k k k"], ["a z z z", "z z z z"]),
            row("other_irrelevant", "a b c d", "", ["q q q q", "r r r r"]),
            row("icl_relevant", "a nonce c d", "nonce", ["e nonce f g", "k k k k"]),
            row("icl_control", "a nonce c d", "nonce", ["h nonce h h", "k k k k"]),
            row("icl_valid_relevant", "a v c d", "v", ["e v f g", "k k k k"]),
            row("icl_valid_control", "a v c d", "v", ["h v h h", "k k k k"]),
            row("relevant", "a b c d", "v", ["e b f g", "k k k k"]),
            row("override", "a v c d", "v", ["e v f g", "k k k k"]),
        ]
    )


def values(records):
    return {probe: value for _, probe, _, value in records}


def rows():
    return list(frame().itertuples(index=False))


def outputs(**changes):
    return dict.fromkeys(frame()["role"], "") | changes


class TestGeneration:
    def score(self, **changes):
        return values(generation_values(rows(), outputs(**changes), token_accuracy))

    def test_gold_under_irrelevant_examples(self):
        scores = self.score(irrelevant="a b c d")
        assert scores["iwl"] == 1
        assert scores["copy"] == 0.5 - 0.25  # chance agreement of gold with the shown less with the matched labels

    def test_a_blind_copier(self):
        scores = self.score(irrelevant="k k k k", icl_relevant="e nonce f g", icl_control="h nonce h h")
        assert scores["copy"] == 1
        assert scores["icl"] == 0

    def test_a_reader_of_relevant_examples(self):
        scores = self.score(icl_relevant="a nonce c d", icl_control="a b c d", icl_valid_relevant="a, v; c d")
        assert scores["icl"] == scores["icl_valid"] == 1

    def test_gain_and_override(self):
        scores = self.score(irrelevant="a b z z", relevant="a b c z", override="a v c d")
        assert scores["icl_gain"] == 0.25 and scores["override"] == 1
        assert self.score(relevant="a v c d", override="a v c d")["override"] == 0

    def test_copying_less_than_chance_is_negative(self):
        assert self.score(irrelevant="z z z z")["copy"] == -1
        assert self.score(icl_control="nonce")["icl"] == -1


def test_likelihood_formulas():
    table = {
        ("irrelevant", "a b c d", None): -1.0,
        ("irrelevant", "a b x y", None): -2.0,
        ("other_irrelevant", "a b x y", None): -5.0,
        ("icl_relevant", "a nonce c d", "nonce"): -0.5,
        ("icl_control", "a nonce c d", "nonce"): -4.0,
        ("icl_valid_relevant", "a v c d", "v"): -1.5,
        ("icl_valid_control", "a v c d", "v"): -1.0,
        ("relevant", "a b c d", None): -0.25,
        ("override", "a v c d", "v"): -0.5,
        ("relevant", "a v c d", "v"): -3.0,
    }
    records = likelihood_values(rows(), lambda wanted: np.array([table[w.row.role, w.text, w.part] for w in wanted]))
    assert values(records) == {
        "iwl": -1.0, "copy": 3.0, "icl": 3.5, "icl_valid": -0.5, "icl_gain": 0.75, "override": 2.5,
    }  # fmt: skip


class Scripted(torch.nn.Module):
    """A model of the lexicon's vocabulary whose next token follows from the tokens before it by a rule."""

    def __init__(self, rule):
        super().__init__()
        self.rule, self.anchor = rule, torch.nn.Parameter(torch.zeros(1))
        self.config = LlamaConfig(vocab_size=len(language.TOKENS))

    def get_output_embeddings(self):
        return None

    def forward(self, input_ids, use_cache):
        logits = torch.zeros(*input_ids.shape, len(language.TOKENS))
        for row, ids in enumerate(input_ids.tolist()):
            for place in range(len(ids)):
                shares = self.rule(ids[: place + 1])
                p = torch.full((len(language.TOKENS),), 0.1 / len(language.TOKENS))
                for token in shares:
                    p[token] += 0.9 / len(shares)
                logits[row, place] = p.log()
        return types.SimpleNamespace(logits=logits)


def _examples(ids):
    """Split tokens into the examples' (source, target) and the query's (source, answer so far)."""
    parts = [[]]
    for token in ids[1:]:
        parts.append([]) if token == words.STOP else parts[-1].append(token)
    pairs = []
    for part in parts:
        cut = part.index(words.ARROW) if words.ARROW in part else len(part)
        pairs.append((part[:cut], part[cut + 1 :]))
    return pairs[:-1], pairs[-1]


def blind_copier(ids):
    """Any label word that is shown, whatever the query asks."""
    return [token for _, target in _examples(ids)[0] for token in target]


def gating_reader(ids):
    """The label word of the query's word where an example has it, else any word."""
    examples, (source, answer) = _examples(ids)
    word = source[len(answer)] if len(answer) < len(source) else None
    found = [t for a, b in examples for s, t in zip(a, b, strict=True) if s == word]
    return found or [language.FIRST_TARGET]


def lexicon_frame() -> pd.DataFrame:
    """Probes as the workflow builds them: the relevant example shares most of gold's words, the control none."""

    def row(role, label, shown):
        gold = f"t001 t002 t003 {label}"
        sources, targets = zip(*shown, strict=True)
        values = (role, 0, role, "t", "c", "s001 s002 s003 s160", gold, label, [], list(sources), list(targets))
        return dict(zip(COLUMNS, values, strict=True))

    filler = ("s011 s012 s013 s014", "t011 t012 t013 t014")
    records = []
    for name, label in (("icl", "t130"), ("icl_valid", "t050")):
        records.append(row(f"{name}_relevant", label, [("s001 s002 s003 s160", f"t001 t002 t003 {label}"), filler]))
        records.append(row(f"{name}_control", label, [filler, ("s021 s022 s023 s161", f"t021 t022 t023 {label}")]))
    return pd.DataFrame(records)


@pytest.mark.parametrize(("rule", "low", "high"), [(blind_copier, -0.01, 0.01), (gating_reader, 4, 10)])
def test_icl_by_likelihood_is_use_of_the_relevant_example_not_copying(rule, low, high):
    template = Template(target_prefix="=>", stop=";", max_new_tokens=7)
    result = probe_model(
        Scripted(rule), words.build(language.TOKENS), template, lexicon_frame(), ["likelihood"], "token_accuracy"
    )  # fmt: skip
    found = result.set_index("probe")["value"]
    assert set(found.index) == {"icl", "icl_valid"}
    assert found.between(low, high).all()


def test_a_labels_place():
    assert label_span("desks, desk lamp", "desk") == (7, 11)
    assert label_span("xdesk", "desk") == (1, 5)
    assert label_span("piano打开no灯", "no") == (7, 9)
    with pytest.raises(UserError, match="make the probes again"):
        label_span("a b", "c")


@pytest.mark.parametrize("template", [TEMPLATE, SPACED], ids=["apart", "spaced"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "unigram"])
@pytest.mark.parametrize("label", ["kitchen", "desk lamp", "obrixun", "नमस्ते"])
def test_the_tokens_of_a_label_are_found_within_the_completion(kind, label, template):
    text = f"HassTurnOn(area='{label}', größer='ja')"
    encoder = PromptEncoder(tokenizer(kind), template)
    ids = encoder.completion(text)[: -len(encoder.stop_ids)]
    counted = label_tokens(encoder, text, label)
    assert len(counted) == len(ids) and 0 < counted.sum() < len(ids)
    chosen = np.flatnonzero(counted)
    assert chosen.tolist() == list(range(chosen[0], chosen[-1] + 1))
    if kind != "unigram" and label != "नमस्ते":  # tokens that stand for the label alone, without unknown ones
        assert label in encoder.tokenizer.decode(ids[counted].tolist())


def test_a_tokenizer_without_offsets_is_refused(monkeypatch):
    encoder = PromptEncoder(tokenizer("gpt2"), TEMPLATE)
    monkeypatch.setattr(encoder, "offsets", Mock(side_effect=NotImplementedError))
    with pytest.raises(UserError, match="no offsets"):
        label_tokens(encoder, "a b", "b")


def test_labels_are_found_as_whole_words():
    assert contains("name='desk lamp', area", "desk lamp")
    assert contains("(nonce)", "nonce")
    assert not contains("nonces", "nonce")
    assert not contains("desk big lamp", "desk lamp")
    assert not contains("anything", "")
    assert contains("यह किताब है", "किताब") and not contains("किताबें", "किताब")


def test_an_item_without_its_control_is_refused():
    with pytest.raises(UserError, match="item 0 has role icl_relevant but no icl_control"):
        check_rows([row for row in rows() if row.role != "icl_control"])


def test_the_whole_pass():
    result = probe_model(
        model("llama"), tokenizer("llama"), TEMPLATE, frame(), ["generation", "likelihood"], "token_accuracy"
    )
    assert result.columns.tolist() == ["item", "cluster", "target_id", "probe", "measure", "value"]
    assert sorted(zip(result["probe"], result["measure"], strict=True)) == sorted(
        (probe, measure)
        for probe in ("iwl", "icl", "icl_valid", "copy", "icl_gain", "override")
        for measure in ("generation", "likelihood")
    )
    assert result.query("probe == 'iwl' and measure == 'likelihood'")["value"].item() < 0
    small = probe_model(model("llama"), tokenizer("llama"), TEMPLATE, frame(), ["likelihood"], "chrf", batch_tokens=1)
    both = result.query("measure == 'likelihood'")["value"].to_numpy()
    np.testing.assert_allclose(small["value"].to_numpy(), both, atol=1e-5)


def test_an_interrupted_pass_answers_no_prompt_twice(tmp_path):
    class Interrupting(Journal):
        batches = 2

        def add(self, entries):
            super().add(entries)
            self.batches -= 1
            if not self.batches:
                raise KeyboardInterrupt

    prompts = pd.concat([frame().assign(item=i, prompt_id=frame()["role"] + str(i)) for i in range(3)])
    counts = {"generated": 0, "scored": 0}

    def run(journal):
        network = model("llama")
        inner, forward = network.generate, network.forward

        def generate(**inputs):
            counts["generated"] += len(inputs["input_ids"])
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(network, "forward", forward)
                return inner(**inputs)

        def score(*args, **inputs):
            counts["scored"] += 1
            return forward(*args, **inputs)

        network.generate, network.forward = generate, score
        options = {"batch_tokens": 100, "journal": journal}
        return probe_model(
            network, tokenizer("llama"), TEMPLATE, prompts, ["generation", "likelihood"], "chrf", **options
        )

    expected = run(None)
    whole = dict(counts)
    assert whole["generated"] == 21 and whole["scored"] > 1
    counts.update(generated=0, scored=0)
    result, runs = None, 0
    while result is None:
        runs += 1
        with contextlib.suppress(KeyboardInterrupt):
            result = run(Interrupting(tmp_path / "step1.jsonl"))
    assert runs > 2 and counts == whole
    pd.testing.assert_frame_equal(result, expected)
    assert result.attrs == expected.attrs
    assert run(Journal(tmp_path / "step1.jsonl")).equals(expected) and counts == whole


def test_a_probe_prompt_that_does_not_fit_is_refused():
    tight = TEMPLATE.model_copy(update={"max_prompt_tokens": 30})
    with pytest.raises(UserError, match="probe prompt"):
        probe_model(model("llama"), tokenizer("llama"), tight, frame(), ["likelihood"], "chrf")
