"""Probe scores: formulas on outputs made by hand, and the whole pass on a random model."""

import numpy as np
import pandas as pd
import pytest
from small_models import model, tokenizer

from contrastive_context.agreement import token_accuracy
from contrastive_context.config.tasks import Template
from contrastive_context.errors import UserError
from contrastive_context.probes import (
    COLUMNS,
    check_rows,
    contains_words,
    generation_values,
    likelihood_values,
    probe_model,
)  # fmt: skip

TEMPLATE = Template(source_prefix="in: ", target_prefix="\nout: ", stop="\n", max_new_tokens=6)


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

    def test_copying_less_than_chance_is_negative(self):
        assert self.score(irrelevant="z z z z")["copy"] == -1
        assert self.score(icl_control="nonce")["icl"] == -1


def test_likelihood_formulas():
    table = {
        ("irrelevant", "a b c d"): -1.0,
        ("irrelevant", "a b x y"): -2.0,
        ("other_irrelevant", "a b x y"): -5.0,
        ("icl_relevant", "a nonce c d"): -0.5,
        ("icl_control", "a nonce c d"): -4.0,
        ("icl_valid_relevant", "a v c d"): -1.5,
        ("icl_valid_control", "a v c d"): -1.0,
    }
    records = likelihood_values(rows(), lambda pairs: np.array([table[row.role, text] for row, text in pairs]))
    assert values(records) == {"iwl": -1.0, "copy": 3.0, "icl": 3.5, "icl_valid": -0.5}


def test_labels_are_found_as_whole_words():
    assert contains_words("name='desk lamp', area", "desk lamp")
    assert contains_words("(nonce)", "nonce")
    assert not contains_words("nonces", "nonce")
    assert not contains_words("desk big lamp", "desk lamp")
    assert not contains_words("anything", "")
    assert contains_words("यह किताब है", "किताब") and not contains_words("किताबें", "किताब")


def test_an_item_without_its_control_is_refused():
    with pytest.raises(UserError, match="item 0 has role icl_relevant but no icl_control"):
        check_rows([row for row in rows() if row.role != "icl_control"])


def test_the_whole_pass():
    result = probe_model(
        model("llama"), tokenizer("llama"), TEMPLATE, frame(), ["generation", "likelihood"], "token_accuracy"
    )
    assert result.columns.tolist() == ["item", "cluster", "target_id", "probe", "measure", "value"]
    assert sorted(zip(result["probe"], result["measure"], strict=True)) == sorted(
        (probe, measure) for probe in ("iwl", "icl", "icl_valid", "copy") for measure in ("generation", "likelihood")
    )
    assert result.query("probe == 'iwl' and measure == 'likelihood'")["value"].item() < 0
    small = probe_model(model("llama"), tokenizer("llama"), TEMPLATE, frame(), ["likelihood"], "chrf", batch_tokens=1)
    both = result.query("measure == 'likelihood'")["value"].to_numpy()
    np.testing.assert_allclose(small["value"].to_numpy(), both, atol=1e-5)


def test_a_probe_prompt_that_does_not_fit_is_refused():
    tight = TEMPLATE.model_copy(update={"max_prompt_tokens": 30})
    with pytest.raises(UserError, match="probe prompt"):
        probe_model(model("llama"), tokenizer("llama"), tight, frame(), ["likelihood"], "chrf")
