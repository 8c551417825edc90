import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context_samples import EDGES, examples, label, sentences
from contrastive_context.config.tasks import TaskProbes
from contrastive_context.contexts.probe_prompts import freeze_probes
from contrastive_context.contexts.settings import FreezeProbesSettings
from contrastive_context.core.columnar import write_tables
from contrastive_context.text.agreement import token_accuracy
from contrastive_context.text.words import contains

ROLES = ["irrelevant", "other_irrelevant", "icl_relevant", "icl_control", "icl_valid_relevant", "icl_valid_control"]


def config(**probes):
    values = {
        "targets": 20, "anchors": "positional_words", "source_nonces": ["zu", "zv", "zw"],
        "label_nonces": ["yu", "yv"], **probes,
    }  # fmt: skip
    return FreezeProbesSettings(
        task="lex", test_set="in_domain", k=3, agreement="token_accuracy", probes=TaskProbes(**values), buckets=EDGES,
        max_agreement=0.9,
    )  # fmt: skip


def corpora(seed, relevant=True):
    rng = np.random.default_rng(seed)
    sources = sentences(seed, 30)
    arrivals = sentences(seed + 1, 150)
    for source in sources[:25] if relevant else []:
        words = source.split()
        words[rng.integers(6)] = "s11" if words[0] != "s11" else "s10"
        arrivals.append(" ".join(words))
    arrivals = [source for source in dict.fromkeys(arrivals) if source not in sources]
    return examples(sources), examples(arrivals)


def word_by_word(prompt):
    """A reader that uses a relevant example: it looks every source word up in the context, at its own place."""
    known = {}
    for source, target in zip(prompt["example_sources"], prompt["example_targets"], strict=True):
        known |= dict(zip(source.split(), target.split(), strict=True))
    return " ".join(known.get(word, label(word)) for word in prompt["source"].split())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6))
def test_prompts_are_what_the_definitions_say(seed):
    test, arrivals = corpora(seed)
    table, coverage = freeze_probes(test, arrivals, config())
    frame = table.to_pandas()
    assert frame["prompt_id"].is_unique and coverage["used_irrelevant"] == frame["item"].nunique() == 20
    source_of = dict(zip(test.ids, test.sources, strict=True))
    gold_of = dict(zip(test.ids, test.targets, strict=True))
    for _, rows in frame.groupby("item"):
        prompt = {row["role"]: row for row in rows.to_dict("records")}
        assert list(prompt) in (ROLES, ROLES[:2])
        assert rows["target_id"].nunique() == 1
        assert all(len(row["example_sources"]) == len(row["example_targets"]) == 3 for row in prompt.values())
        first, second = prompt["irrelevant"], prompt["other_irrelevant"]
        source, gold = source_of[first["target_id"]], gold_of[first["target_id"]]
        assert (first["source"], first["gold"]) == (source, gold)
        assert not set(first["example_targets"]) & set(second["example_targets"])
        assert set(first["matched_labels"]) == set(second["example_targets"])
        assert first["label"] in first["example_targets"] and first["label"] == second["label"]
        for row in (first, second):
            shared = [token_accuracy(text, source) for text in row["example_sources"]]
            assert max(shared) < 0.33
            assert max(token_accuracy(text, gold) for text in row["example_targets"]) < 0.9
        if len(prompt) == 2:
            continue
        for name in ("icl", "icl_valid"):
            relevant, control = prompt[f"{name}_relevant"], prompt[f"{name}_control"]
            for key in ("source", "gold", "label"):
                assert relevant[key] == control[key]
            word = relevant["label"]
            assert contains(relevant["gold"], word) and not contains(gold, word)
            pairs = [
                list(zip(row["example_sources"], row["example_targets"], strict=True)) for row in (relevant, control)
            ]
            differ = [slot for slot in range(3) if pairs[0][slot] != pairs[1][slot]]
            assert len(differ) == 1  # the same other examples, in the same slots
            (near, near_label), (far, far_label) = (side[differ[0]] for side in pairs)
            fillers = [source for slot, (source, _) in enumerate(pairs[1]) if slot != differ[0]]
            assert all(token_accuracy(source, far) < 5 / 6 for source in fillers)
            for side in pairs:
                assert [slot for slot in range(3) if contains(side[slot][1], word)] == differ
            nonce = next(w for w in relevant["source"].split() if w.startswith("z"))
            other = next(w for w in far.split() if w.startswith("z"))
            assert nonce in near.split() and nonce != other and nonce not in far.split()
            assert near_label.split()[near.split().index(nonce)] == word
            assert far_label.split()[far.split().index(other)] == word
            assert token_accuracy(near, relevant["source"]) >= 0.67
            assert contains(word_by_word(relevant), word) and not contains(word_by_word(control), word)
        assert prompt["icl_relevant"]["label"] in ("yu", "yv")
        assert prompt["icl_valid_relevant"]["label"].startswith("t")


def test_matched_labels_were_not_shown_even_where_labels_repeat():
    test, arrivals = corpora(3)
    coarse = [f"{text.split()[0]} {'t00' if i % 2 else 't01'}" for i, text in enumerate(arrivals.targets)]
    frame = freeze_probes(test, examples(arrivals.sources, coarse), config())[0].to_pandas()
    for row in frame[frame["role"] == "irrelevant"].itertuples():
        assert len(row.matched_labels) == 3 and not set(row.example_targets) & set(row.matched_labels)


def test_secondary_prompts_edit_one_label_and_no_source():
    test, arrivals = corpora(5)
    plain, with_more = (freeze_probes(test, arrivals, config(secondary=on))[0].to_pandas() for on in (False, True))
    more = with_more["role"].isin(["relevant", "override"])
    assert with_more[~more].reset_index(drop=True).equals(plain)
    assert more.sum() == 2 * plain["role"].eq("icl_relevant").sum() > 0
    prompts = with_more.set_index(["item", "role"])

    def pairs(item, role):
        row = prompts.loc[item, role]
        return list(zip(row["example_sources"], row["example_targets"], strict=True))

    for item in with_more.loc[more, "item"].unique():
        without, plain_row, edited = (prompts.loc[item, role] for role in ("irrelevant", "relevant", "override"))
        assert without["source"] == plain_row["source"] == edited["source"]
        assert without["gold"] == plain_row["gold"] and plain_row["label"] == edited["label"]
        assert contains(edited["gold"], edited["label"]) and not contains(plain_row["gold"], edited["label"])
        replaced = set(pairs(item, "relevant")) - set(pairs(item, "irrelevant"))
        ((source, target),) = replaced
        assert token_accuracy(source, without["source"]) >= 0.67 and target == label(source)
        changed = [(a, b) for a, b in zip(pairs(item, "relevant"), pairs(item, "override"), strict=True) if a != b]
        (((before, _), (after, edited_target)),) = changed
        assert before == after == source
        assert token_accuracy(edited_target, target) == pytest.approx(5 / 6) and contains(
            edited_target, edited["label"]
        )


def test_frozen_files_are_identical(tmp_path):
    for name in ("a", "b"):
        test, arrivals = corpora(7)
        write_tables(tmp_path / name, [freeze_probes(test, arrivals, config())[0]])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_seed_changes_nonces():
    test, arrivals = corpora(7)
    labels = [freeze_probes(test, arrivals, config(seed=s))[0].to_pandas()["label"].tolist() for s in (0, 1)]
    assert labels[0] != labels[1]


def missing(coverage):
    return {entry["probe"]: entry["reason"] for entry in coverage["missing"]}


def test_a_probe_that_the_data_cant_give_is_left_out_with_what_would_help():
    test, arrivals = corpora(8, relevant=False)
    keep = np.flatnonzero((test.embeddings @ arrivals.embeddings.T < 0.6).all(axis=0))
    far = examples([arrivals.sources[i] for i in keep])
    table, coverage = freeze_probes(test, far, config(secondary=True))
    assert set(table["role"].to_pylist()) == {"irrelevant", "other_irrelevant"}
    assert missing(coverage).keys() == {"icl", "icl_valid", "icl_gain", "override"}
    assert coverage["with_anchor"] == coverage["fillable_irrelevant"] == 30 and coverage["used_irrelevant"] == 20
    reason = "30 of 30 targets have an anchor (positional_words), 0 share one with an arrival of the highest bucket, "
    assert missing(coverage)["icl"] == f"{reason}fewer than 10; more arrivals or other edges in buckets would help"

    _, coverage = freeze_probes(*corpora(8), config(source_nonces=["zu", "zv"], label_nonces=["zu", "zv"]))
    assert "more or other nonces would help" in missing(coverage)["icl"]

    _, coverage = freeze_probes(*corpora(8), config(anchors="shared_words"))
    assert "0 of 30 targets have an anchor (shared_words), fewer than 10; another kind" in missing(coverage)["icl"]

    few = examples(arrivals.sources[:4])
    table, coverage = freeze_probes(test, few, config())
    assert table.num_rows == 0 and missing(coverage).keys() == {"iwl", "copy", "icl", "icl_valid"}
    assert "more arrivals, a lower k or other edges in buckets would help" in missing(coverage)["iwl"]


def test_few_targets_are_enough_where_few_are_asked_for():
    whole = missing(freeze_probes(*corpora(8), config())[1])
    assert not whole
    assert missing(freeze_probes(*corpora(8), config(targets=200, min_targets=200))[1])
    assert not missing(freeze_probes(*corpora(8), config(targets=2, min_targets=200))[1])


def test_nonces_that_occur_in_the_texts_are_not_used():
    words = [f"s{i:02d}" for i in range(12)]
    table, _ = freeze_probes(*corpora(8), config(source_nonces=[*words, "zu", "zv"]))
    prompts = table.to_pandas().set_index(["item", "role"])
    for item in prompts.index.unique("item"):
        if (item, "icl_relevant") in prompts.index:
            original, edited = (prompts.loc[(item, role)] for role in ("irrelevant", "icl_relevant"))
            nonce = (set(edited["source"].split()) - set(original["source"].split())).pop()
            assert sum(nonce in text.split() for text in edited["example_sources"]) == 1
            assert edited["source"].split().count(nonce) == 1


def test_items_without_a_relevant_example_fill_up():
    test, arrivals = corpora(9)
    table, coverage = freeze_probes(test, arrivals, config(targets=30))
    roles = table.to_pandas().groupby("item").size()
    assert coverage["used_icl"] < coverage["used_irrelevant"] == 30
    assert (roles == 6).sum() == coverage["used_icl"] and (roles == 2).sum() == 30 - coverage["used_icl"]
