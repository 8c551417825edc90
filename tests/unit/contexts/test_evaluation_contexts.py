import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context_samples import EDGES, VOCABULARY, embed, examples, label, sentences
from contrastive_context.config.tasks import TaskEvaluation
from contrastive_context.contexts.candidates import Examples
from contrastive_context.contexts.evaluation_contexts import compared_cells, freeze_contexts
from contrastive_context.contexts.series import ALL_TARGETS, SAME_TARGETS, STAND_INS
from contrastive_context.contexts.settings import FreezeEvalContextsSettings
from contrastive_context.contexts.stand_ins import choose_stand_ins
from contrastive_context.core.buckets import bounds_of
from contrastive_context.core.columnar import write_tables
from contrastive_context.core.errors import UserError
from contrastive_context.retrieval.similarity import DUPLICATE
from contrastive_context.text.agreement import token_accuracy


def config(**evaluation):
    return FreezeEvalContextsSettings(
        task="lex", k=3, agreement="token_accuracy",
        evaluation=TaskEvaluation(**{"targets": 25, "max_agreement": 0.8, **evaluation}), buckets=EDGES,
    )  # fmt: skip


def corpora(seed, noise=True):
    """Targets; arrivals that share words with them at every degree, some with labels that give gold away."""
    rng = np.random.default_rng(seed)
    sources = sentences(seed, 40)
    near = []
    for source in sources:
        for equal in (0, 2, 3, 5, 5, 5):
            words = source.split()
            for place in rng.permutation(6)[equal:]:
                words[place] = f"s{rng.integers(0, 12):02d}"
            near.append(" ".join(words))
    near = [source for source in dict.fromkeys(near) if source not in sources]
    labels = [label(source) for source in near]
    if noise:
        labels = [" ".join(["t99", "t98", *text.split()[2:]]) if i % 2 else text for i, text in enumerate(labels)]
    return examples(sources), examples(near, labels)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6))
def test_every_context_is_what_it_says(seed):
    test, arrivals = corpora(seed)
    table, coverage = freeze_contexts(test, arrivals, arrivals.embeddings, config())
    frame = table.to_pandas()
    row = {item: i for i, item in enumerate(arrivals.ids)}
    gold = dict(zip(test.ids, test.targets, strict=True))
    similarity = np.round(np.clip(test.embeddings.astype(float) @ arrivals.embeddings.astype(float).T, 0, 1), 6)
    of = {item: similarity[i] for i, item in enumerate(test.ids)}
    assert coverage["used"] == frame["target_id"].nunique() == min(25, coverage["fillable_all"])
    assert frame.groupby("target_id").size().eq(7).all() and frame["prompt_id"].is_unique
    for prompt in frame.itertuples():
        rows = [row[item] for item in prompt.example_ids]
        values = of[prompt.target_id]
        assert prompt.max_similarity_to_train == values.max()
        if prompt.composition == "zero_context":
            assert rows == [] and prompt.bucket == "none" and np.isnan(prompt.max_similarity)
            continue
        low, high = bounds_of(EDGES)[prompt.bucket]
        assert list(prompt.similarities) == values[rows].tolist() and len(set(rows)) == 3
        assert low <= prompt.max_similarity < min(high, DUPLICATE)
        assert max(token_accuracy(arrivals.targets[i], gold[prompt.target_id]) for i in rows) < 0.8
        if prompt.composition == "one_graded" and prompt.bucket != "low":
            assert sorted(prompt.similarities)[-2] < low
        if prompt.composition == "top_k":
            allowed = [
                i
                for i in range(len(arrivals.ids))
                if values[i] < min(high, DUPLICATE)
                and token_accuracy(arrivals.targets[i], gold[prompt.target_id]) < 0.8
            ]
            assert sorted(rows) == sorted(sorted(allowed, key=lambda i: (-values[i], arrivals.ids[i]))[:3])


def test_buckets_differ_in_one_slot_only():
    test, arrivals = corpora(3)
    frame = freeze_contexts(test, arrivals, arrivals.embeddings, config())[0].to_pandas()
    graded = frame[frame["composition"] == "one_graded"].pivot(
        index="target_id", columns="bucket", values="example_ids"
    )
    assert all(sum(a != b for a, b in zip(row.low, row.medium, strict=True)) == 1 for row in graded.itertuples())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6))
def test_the_graded_example_may_be_the_one_nearest_to_its_buckets_middle(seed):
    test, arrivals = corpora(seed)
    drawn, middle = (
        freeze_contexts(test, arrivals, arrivals.embeddings, config(graded=graded))[0]
        .to_pandas()
        .set_index("prompt_id")
        for graded in ("any", "middle")
    )
    assert list(drawn.index) == list(middle.index)
    gold = dict(zip(test.ids, test.targets, strict=True))
    similarity = np.round(np.clip(test.embeddings.astype(float) @ arrivals.embeddings.astype(float).T, 0, 1), 6)
    of = {item: similarity[i] for i, item in enumerate(test.ids)}
    for prompt in middle.itertuples():
        if prompt.composition != "one_graded" or prompt.bucket == "low":
            assert list(prompt.example_ids) == list(drawn.loc[prompt.Index, "example_ids"])
            continue
        low, high = bounds_of(EDGES)[prompt.bucket]
        values = of[prompt.target_id]
        usable = [
            value for value, label in zip(values, arrivals.targets, strict=True)
            if low <= value < min(high, DUPLICATE) and token_accuracy(label, gold[prompt.target_id]) < 0.8
        ]  # fmt: skip
        centre = (low + min(high, 1.0)) / 2
        nearest = min(abs(value - centre) for value in usable)
        assert abs(prompt.max_similarity - centre) == pytest.approx(nearest)


def test_frozen_files_are_identical_and_independent_of_row_order(tmp_path):
    test, arrivals = corpora(1)
    for name in ("a", "b"):
        table, coverage = freeze_contexts(test, arrivals, arrivals.embeddings, config())
        write_tables(tmp_path / name, [table])
        (tmp_path / f"{name}.json").write_text(json.dumps(coverage))
        order = np.random.default_rng(0).permutation(len(arrivals.ids))
        arrivals = Examples.build(
            *([column[i] for i in order] for column in (arrivals.ids, arrivals.sources, arrivals.targets)),
            arrivals.embeddings[order],
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_duplicates_of_the_target_are_no_examples():
    test, arrivals = corpora(2)
    respaced = [source.replace(" ", "  ") for source in test.sources]
    labels = ["t00"] * len(respaced)
    more = examples([*arrivals.sources, *respaced], [*arrivals.targets, *labels])
    # An encoder that sees the spaces: these texts are duplicates by their text alone.
    spaced = np.array(["  " in source for source in more.sources])
    more.embeddings[spaced, -VOCABULARY:] = np.roll(more.embeddings[spaced, -VOCABULARY:], 1, axis=1)
    frame = freeze_contexts(test, more, arrivals.embeddings, config())[0].to_pandas()
    respaced_id = {text.replace("  ", " "): i for i, text in zip(more.ids, more.sources, strict=True) if "  " in text}
    own = dict(zip(test.ids, (respaced_id[source] for source in test.sources), strict=True))
    assert len(frame) and not any(own[row.target_id] in row.example_ids for row in frame.itertuples())


def test_a_bucket_that_nothing_fills_is_left_out_and_reported(caplog):
    test, arrivals = corpora(4)
    similarity = test.embeddings @ arrivals.embeddings.T
    keep = np.flatnonzero((similarity < 0.6).all(axis=0))
    far = examples([arrivals.sources[i] for i in keep], [arrivals.targets[i] for i in keep])
    table, coverage = freeze_contexts(test, far, embed(far.sources), config())
    missing = {(cell["composition"], cell["bucket"]): cell["reason"] for cell in coverage["missing"]}
    assert missing[("one_graded", "high")] == missing[("top_k", "high")] == "0 targets fill it, fewer than 10"
    assert "no top_k in bucket 'high'" in caplog.text
    frame = table.to_pandas()
    assert "high" not in set(frame["bucket"]) and "low" in set(frame["bucket"])
    assert frame.groupby("target_id")["bucket"].agg(tuple).nunique() == 1  # the same targets in all that is left


def test_nothing_to_compare_is_an_error():
    test, arrivals = corpora(4)
    with pytest.raises(UserError, match=r"tasks\.lex\.evaluation.*no bucket has enough targets"):
        freeze_contexts(test, arrivals, arrivals.embeddings, config().model_copy(update={"k": 400}))


def test_cells_that_no_target_fills_together_are_dropped_fewest_first():
    filled = np.zeros((30, 3), dtype=bool)
    filled[:, 0], filled[:20, 1], filled[18:, 2] = True, True, True
    compared, missing = compared_cells(filled, 10)
    assert compared == [0, 1] and missing == [(2, "with it only 2 targets fill all that is compared, fewer than 10")]
    assert compared_cells(filled, 2) == ([0, 1, 2], [])


def test_fewer_targets_than_asked_for_is_a_warning(caplog):
    test, arrivals = corpora(5)
    _, coverage = freeze_contexts(test, arrivals, arrivals.embeddings, config(targets=1000))
    assert coverage["used"] == coverage["fillable_all"] < 1000
    assert "1000 targets asked for" in caplog.text


def lacking(seed):
    """Targets and arrivals as in ``corpora``, but about half of the targets have no arrival of high similarity."""
    test, arrivals = corpora(seed)
    near = (test.embeddings[::2] @ arrivals.embeddings.T > 0.6).any(axis=0)
    keep = np.flatnonzero(~near)
    return test, examples([arrivals.sources[i] for i in keep], [arrivals.targets[i] for i in keep])


def paraphrases(test, agreeing=()):
    """One word of each target replaced, in source and label; those in ``agreeing`` keep the label."""
    rows = []
    for row, (source, target) in enumerate(zip(test.sources, test.targets, strict=True)):
        new = f"s{(int(source[1:3]) + 1) % VOCABULARY:02d}{source[3:]}"
        text = target if row in agreeing else " ".join(["t99", "t98", *target.split()[2:]])
        rows.append({"id": f"{row:016x}", "parent_id": test.ids[row], "source": new, "target": text,
                     "similarity": 0.833333, "accepted": row % 10 != 9})  # fmt: skip
    return pa.Table.from_pylist(rows)


def test_the_sample_of_all_targets_is_not_chosen_by_what_they_fill():
    test, arrivals = lacking(7)
    plain, _ = freeze_contexts(test, arrivals, arrivals.embeddings, config(targets=8, min_targets=2))
    table, coverage = freeze_contexts(
        test, arrivals, arrivals.embeddings, config(targets=8, min_targets=2, all_targets=20)
    )
    frame = table.to_pandas()
    of = {name: frame[[name in series for series in frame["series"]]] for name in (SAME_TARGETS, ALL_TARGETS)}
    # The headline is what it is without the appendix.
    pd.testing.assert_frame_equal(
        of[SAME_TARGETS].drop(columns="series").reset_index(drop=True), plain.to_pandas().drop(columns="series")
    )
    sampled = of[ALL_TARGETS]
    counts = sampled.groupby("bucket")["target_id"].nunique()
    assert counts["low"] == 20 == coverage["all_targets"]["drawn"]
    assert 0 < counts["high"] < counts["low"]
    # A target counts in a bucket with all compositions or not at all, and has one prompt without examples.
    graded = sampled[sampled["bucket"] != "none"]
    assert graded.groupby(["target_id", "bucket"])["composition"].nunique().eq(2).all()
    assert counts["none"] == 20 and frame["prompt_id"].is_unique


def test_a_stand_in_is_shown_where_no_arrival_is_similar_enough_and_nowhere_else():
    test, arrivals = lacking(7)
    pairs = paraphrases(test, agreeing={0, 3})
    usable, counts = choose_stand_ins(test, pairs, {pairs["source"][1].as_py()}, "token_accuracy", 0.8)
    assert counts == {"accepted": 36, "usable": 33, "source was trained on": 1, "target agrees with gold": 2}
    table, coverage = freeze_contexts(test, arrivals, arrivals.embeddings, config(min_targets=2), stand_ins=usable)
    frame = table.to_pandas()
    shown = {row.id: test.ids[target] for target, row in usable.items()}
    held = frame[[bool(shown.keys() & set(ids)) for ids in frame["example_ids"]]]
    similarity = np.clip(test.embeddings.astype(float) @ arrivals.embeddings.astype(float).T, 0, 1)
    best = dict(zip(test.ids, similarity.max(axis=1), strict=True))
    assert len(held) == 2 * coverage["stand_ins"]["used"]["high"] > 20
    assert {tuple(series) for series in held["series"]} == {(STAND_INS,)} and set(held["bucket"]) == {"high"}
    for row in held.itertuples():
        own = [(id_, value) for id_, value in zip(row.example_ids, row.similarities, strict=True) if id_ in shown]
        assert [shown[id_] for id_, _ in own] == [row.target_id] and own[0][1] == row.max_similarity == 0.833333
        assert best[row.target_id] < 0.67 and len(row.example_ids) == 3
        others = [value for id_, value in zip(row.example_ids, row.similarities, strict=True) if id_ not in shown]
        assert max(others) < 0.67
    counted = frame[[STAND_INS in series for series in frame["series"]]]
    bare = counted[counted["composition"] == "zero_context"]
    assert set(bare["target_id"]) == set(held["target_id"])
    # The headline knows nothing of it.
    plain, _ = freeze_contexts(test, arrivals, arrivals.embeddings, config(min_targets=2))
    same = frame[[SAME_TARGETS in series for series in frame["series"]]].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, plain.to_pandas())


def test_too_few_stand_ins_are_left_out_and_reported():
    test, arrivals = lacking(7)
    usable, _ = choose_stand_ins(test, paraphrases(test), set(), "token_accuracy", 0.8)
    few = dict(list(usable.items())[:3])
    table, coverage = freeze_contexts(test, arrivals, arrivals.embeddings, config(min_targets=5), stand_ins=few)
    assert coverage["stand_ins"]["used"]["high"] == 0
    assert "fewer than 5" in coverage["stand_ins"]["missing"][0]["reason"]
    assert not any(STAND_INS in series for series in table["series"].to_pylist())


def test_a_test_set_is_read_with_its_own_embeddings(tmp_path):
    test, _ = corpora(6)
    names = ["in_domain" if i % 3 else "out_of_domain" for i in range(len(test.ids))]
    columns = {"id": test.ids, "source": test.sources, "target": test.targets, "cluster": test.clusters}
    write_tables(tmp_path / "test.parquet", [pa.table({**columns, "test_set": names})])
    np.save(tmp_path / "test.npy", test.embeddings)
    for name in ("in_domain", "out_of_domain"):
        part = Examples.read(tmp_path / "test.parquet", tmp_path / "test.npy", name)
        assert part.ids == [item for item, own in zip(test.ids, names, strict=True) if own == name]
        np.testing.assert_array_equal(part.embeddings, embed(part.sources))
    np.save(tmp_path / "test.npy", test.embeddings[1:])
    with pytest.raises(UserError, match=r"test\.npy"):
        Examples.read(tmp_path / "test.parquet", tmp_path / "test.npy")
