"""Existing answers under another encoder."""

import numpy as np
import pandas as pd
import pytest

from context_samples import EDGES
from contrastive_context.config.sources import BM25Encoder
from contrastive_context.config.statistics import Statistics
from contrastive_context.contexts.series import ALL_TARGETS, SAME_TARGETS, STAND_INS
from contrastive_context.core.errors import UserError
from contrastive_context.tables.rebucketing import Resimilarity, load_other, measure, rebucket
from contrastive_context.tables.tidy import score_table

SOURCES = {"t": "red lamp on", "a": "red lamp on", "b": "red lamp off", "c": "green door shut"}


def test_contexts_are_measured_with_the_other_encoder():
    contexts = pd.DataFrame(
        {
            "prompt_id": ["p", "z"],
            "target_id": ["t", "t"],
            "example_ids": [["c", "b"], []],
            "similarities": [[0.1, 0.5], []],
        }
    )
    encode = load_other(BM25Encoder(kind="bm25"), "", list(SOURCES.values()), [])
    measured = measure(contexts, SOURCES, encode)
    assert set(measured) == {"p"}
    assert measured["p"].after[0] == 0 < measured["p"].after[1] < 1
    with pytest.raises(UserError, match="example b of the frozen contexts has no text"):
        measure(contexts, {"t": "x", "c": "y"}, encode)


def test_what_a_prompt_lost_for_length_does_not_count():
    context = Resimilarity(np.array([0.2, 0.1, 0.2, 0.6]), np.array([0.9, 1.0, 0.3, 0.5]))
    assert [context.largest(dropped) for dropped in range(4)] == [1.0, 0.9, 0.5, 0.5]
    assert np.isnan(context.largest(4))


def frame():
    """Twelve targets in two buckets by the first encoder; by the second, half of the low prompts are high ones."""
    rows, measured = [], {}
    for target in range(12):
        for bucket, old in (("low", 0.1), ("high", 0.9), ("none", np.nan)):
            prompt = f"{target}.{bucket}"
            new = 0.8 if bucket == "low" and target % 2 else old
            if bucket != "none":
                measured[prompt] = Resimilarity(np.array([old]), np.array([new]))
            rows.append(
                {"task": "toy", "model": "m", "strategy": "base", "seed": None, "step": 0, "test_set": "in_domain",
                 "series": [SAME_TARGETS], "composition": "zero_context" if bucket == "none" else "one_graded",
                 "bucket": bucket, "prompt_id": prompt, "target_id": f"t{target}", "cluster": f"c{target}",
                 "metric": "exact_match", "value": float(bucket == "low"), "stats": [], "dropped_examples": 0}
            )  # fmt: skip
    return pd.DataFrame(rows).astype({"seed": "Int64"}), measured


def test_answers_move_and_the_same_targets_are_found_anew():
    scores, measured = frame()
    moved = rebucket(scores, measured, EDGES, at_least=3)
    table = score_table(moved, Statistics(resamples=100)).set_index(["series", "composition", "bucket"])
    assert table.loc[(ALL_TARGETS, "one_graded", "low"), "n"] == 6
    assert table.loc[(ALL_TARGETS, "one_graded", "high"), "n"] == 18
    assert table.loc[(ALL_TARGETS, "one_graded", "high"), "value"] == pytest.approx(6 / 18)
    # The same targets: those that still have a low prompt. Each bucket has their own score without any example.
    for place in (("one_graded", "low"), ("one_graded", "high"), ("zero_context", "none")):
        assert table.loc[(SAME_TARGETS, *place), "n"] == 6
    assert table.loc[(ALL_TARGETS, "zero_context", "low"), "n"] == 6
    assert table.loc[(ALL_TARGETS, "zero_context", "high"), "n"] == 12
    # The value of an answer is what it was, and so is the number of answers.
    pd.testing.assert_series_equal(
        moved.set_index("prompt_id")["value"].sort_index(), scores.set_index("prompt_id")["value"].sort_index()
    )


def test_under_the_same_encoder_nothing_moves_and_stand_ins_stay_out():
    scores, measured = frame()
    same = {name: Resimilarity(context.before, context.before) for name, context in measured.items()}
    replaced = scores[scores["bucket"] == "high"].assign(prompt_id="s", series=[[STAND_INS]] * 12)
    moved = rebucket(pd.concat([scores, replaced]), same, EDGES, at_least=3)
    assert len(moved) == len(scores)
    assert moved.set_index("prompt_id")["bucket"].to_dict() == scores.set_index("prompt_id")["bucket"].to_dict()
    assert all(SAME_TARGETS in series for series in moved["series"])
