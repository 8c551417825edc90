import json
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.config.sources import IdiomCorpus, WordSetEncoder
from contrastive_context.config.tasks import TaskProbes
from contrastive_context.contexts.anchors import sentence_label
from contrastive_context.contexts.candidates import Examples
from contrastive_context.contexts.probe_prompts import freeze_probes
from contrastive_context.contexts.settings import FreezeProbesSettings
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import idiom
from contrastive_context.paraphrasing.pairs import accept
from contrastive_context.paraphrasing.proposals import propose
from contrastive_context.paraphrasing.settings import ParaphraseSettings
from contrastive_context.retrieval.encoders import load_encoder
from contrastive_context.retrieval.word_vectors import word_set

SMALL = IdiomCorpus(kind="idiom", seed=100, train_clusters=80, heldout_clusters=40)
SPLITS = ["train", "dev", "arrivals", "test.in_domain"]


@pytest.fixture(scope="module")
def corpus():
    return idiom.build(SMALL)


def with_ids(frame):
    """Give rows an id as the corpus stage does; only that it is unique hexadecimal matters."""
    return frame.drop_duplicates("source").assign(
        id=lambda rows: [sha256(text.encode()).hexdigest()[:16] for text in rows.source]
    )


def indices(texts):
    return np.array([[int(word[1:]) for word in text.split()] for text in texts])


def clusters(frame):
    return frame.cluster.str[1:].astype(int).to_numpy()


def test_splits_columns_and_format(corpus):
    assert list(corpus) == SPLITS
    for frame in corpus.values():
        assert list(frame.columns) == ["source", "target", "cluster", "domain", "meta"]
        assert frame.source.str.fullmatch(r"w\d{3}( w\d{3}){5}").all()
        assert frame.target.str.fullmatch(r"a\d{2} b\d{2}").all()
    assert len(corpus["train"]) == 80 * SMALL.members


def test_clusters_of_splits_are_disjoint_except_arrivals_and_test(corpus):
    names = {split: set(frame.cluster) for split, frame in corpus.items()}
    assert not names["train"] & names["dev"]
    assert not (names["train"] | names["dev"]) & (names["arrivals"] | names["test.in_domain"])
    assert names["test.in_domain"] <= names["arrivals"]
    both = pd.concat([corpus["arrivals"], corpus["test.in_domain"]])
    assert 0.55 < len(corpus["arrivals"]) / len(both) < 0.75


def test_sentences_are_sets_and_equal_sets_are_equal_sentences(corpus):
    frame = pd.concat(corpus.values()).drop_duplicates(["cluster", "source"])
    words = np.sort(indices(frame.source), axis=1)
    assert (np.diff(words, axis=1) > 0).all()
    bags = pd.DataFrame(words).assign(cluster=frame.cluster.to_numpy())
    assert not bags.duplicated().any()


def test_labels_follow_the_rule_or_the_cluster(corpus):
    """Held-out labels have no noise: the rule's everywhere but in exceptional slots, one per cluster there."""
    frame = pd.concat([corpus["arrivals"], corpus["test.in_domain"]])
    labels, rule = indices(frame.target), idiom.task_label(SMALL, indices(frame.source))
    exceptional = np.array([[slot in json.loads(meta)["exceptional"] for slot in (0, 1)] for meta in frame.meta])
    assert (labels == rule)[~exceptional].all()
    assert 0.3 < exceptional.mean() < 0.7
    assert (labels == rule)[exceptional].mean() < 0.3
    for slot in (0, 1):
        inside = pd.DataFrame({"cluster": frame.cluster.to_numpy(), "label": labels[:, slot]})[exceptional[:, slot]]
        assert (inside.groupby("cluster").label.nunique() == 1).all()
    assert rule.max(0)[0] < idiom.A_LABELS
    assert rule.max(0)[1] < idiom.B_LABELS
    assert [len(np.unique(rule[:, slot])) for slot in (0, 1)] == [idiom.CLASSES] * 2


def test_the_rule_is_the_class_with_the_largest_sum_of_strengths():
    """A sentence of one class has that class's token; the order of words and the nonces' place don't matter."""
    classes = idiom._task_classes(SMALL)
    for slot in (0, 1):
        tokens = set()
        for value in range(idiom.CLASSES):
            words = np.flatnonzero(classes[slot] == value)[:6]
            token = idiom.task_label(SMALL, np.resize(words, 6))[slot]
            assert token == idiom.task_label(SMALL, np.resize(words, 6)[::-1])[slot]
            tokens.add(int(token))
        assert len(tokens) == idiom.CLASSES


def test_the_task_keeps_half_of_the_general_rule():
    general, task = idiom._general_classes(), idiom._task_classes(SMALL)
    assert (general == task)[:, : idiom.KNOWN].all()
    assert (general == task)[:, idiom.KNOWN : idiom.SOURCES].mean() < 0.3
    assert (general == task)[:, idiom.SOURCES :].all()


def test_noise_is_on_training_labels_alone(corpus):
    def wrong(frame):
        return (indices(frame.target) != idiom.label(SMALL, clusters(frame), indices(frame.source))).mean()

    assert [wrong(corpus[split]) for split in SPLITS[1:]] == [0, 0, 0]
    assert 0.02 < wrong(corpus["train"]) < 0.08


def test_words_of_a_cluster_come_from_its_topics():
    coherent = idiom.build(SMALL.model_copy(update={"coherence": 0.9}))["train"]
    mixed = idiom.build(SMALL.model_copy(update={"coherence": 0.0}))["train"]
    classes = idiom._task_classes(SMALL)[0]

    def largest_class(frame):
        rows = classes[indices(frame.source)]
        return np.mean([np.bincount(row).max() for row in rows])

    assert largest_class(coherent) > largest_class(mixed) + 0.5


def test_nonces_never_occur_in_the_task(corpus):
    pairs = idiom.paraphrase(with_ids(corpus["train"]), SMALL, seed=3)
    assert indices([*(text for frame in corpus.values() for text in frame.source), *(a for a, _ in pairs)]).max() < 120
    assert indices([*(text for frame in corpus.values() for text in frame.target), *(b for _, b in pairs)]).max() < 32
    assert (idiom.SOURCE_NONCE_WORDS[0], idiom.SOURCE_NONCE_WORDS[-1]) == ("w120", "w135")
    assert (idiom.LABEL_NONCE_WORDS[0], idiom.LABEL_NONCE_WORDS[-1]) == ("b32", "b39")


def test_same_seed_same_corpus_and_other_seed_another(corpus):
    again, other = idiom.build(SMALL), idiom.build(SMALL.model_copy(update={"seed": 101}))
    for split in SPLITS:
        pd.testing.assert_frame_equal(corpus[split], again[split])
    assert not corpus["train"].source.equals(other["train"].source)


def test_paraphrase_replaces_one_word_by_a_new_one_and_labels_by_the_cluster(corpus):
    rows = with_ids(corpus["train"])
    pairs = idiom.paraphrase(rows, SMALL, seed=0)
    before, after = indices(rows.source), indices(source for source, _ in pairs)
    assert ((before != after).sum(1) == 1).all()
    assert all(len(set(row)) == 6 for row in after.tolist())
    assert set((before != after).argmax(1)) == set(range(6))
    assert (indices(target for _, target in pairs) == idiom.label(SMALL, clusters(rows), after)).all()
    new = after[before != after]
    assert new.min() == 0 or new.max() == idiom.SOURCES - 1  # both ends of the vocabulary are in reach
    assert len(np.unique(new)) == idiom.SOURCES


@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_paraphrase_depends_on_the_row_alone(corpus, random, seed):
    rows = with_ids(corpus["dev"])
    pairs = dict(zip(rows.id, idiom.paraphrase(rows, SMALL, seed), strict=True))
    chosen = random.sample(range(len(rows)), random.randint(0, len(rows)))
    assert idiom.paraphrase(rows.iloc[chosen], SMALL, seed) == [pairs[identity] for identity in rows.id.iloc[chosen]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "turn on the light in hall"}, "'turn'"),
        ({"source": "w000 w001"}, "2 words"),
        ({"source": "w000 w001 w002 w003 w004 w120"}, "'w120'"),
        ({"cluster": "kitchen"}, "'kitchen'"),
    ],
)
def test_paraphrase_refuses_rows_of_another_corpus(corpus, change, message):
    with pytest.raises(UserError, match=message):
        idiom.paraphrase(with_ids(corpus["train"]).head(1).assign(**change), SMALL, 0)


sentences = st.lists(st.integers(0, idiom.SOURCES - 1), min_size=6, max_size=6, unique=True)


@given(sentences, sentences)
def test_cosine_is_the_share_of_common_words_in_any_order(left, right):
    vectors = word_set([" ".join(idiom.SOURCE_WORDS[index] for index in words) for words in (left, right)])
    assert vectors.shape == (2, idiom.SOURCES)
    assert float(vectors[0] @ vectors[1]) == pytest.approx(len({*left} & {*right}) / 6, abs=1e-6)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)


@pytest.mark.parametrize("text", ["turn on the lamp", "", "w000 " * 7, idiom.SOURCE_NONCE_WORDS[0], "s000"])
def test_encoder_refuses_other_texts(text):
    with pytest.raises(UserError, match="word_set"):
        load_encoder(WordSetEncoder(kind="word_set"), None)([text])


def test_every_single_word_is_tied_to_the_last_label():
    anchors = list(sentence_label("w001 w002 w001 w003", "a05 b12"))
    assert [(a.source_text, a.target_text, a.target) for a in anchors] == [
        ("w002", "b12", (4, 7)),
        ("w003", "b12", (4, 7)),
    ]
    assert list(sentence_label("w001", "")) == []


@pytest.mark.slow
def test_default_corpus_has_enough_targets_with_arrivals_of_both_grades():
    """As the study needs them: near arrivals whose label is not gold as a whole."""
    corpus = idiom.build(IdiomCorpus(kind="idiom", seed=100))
    arrivals, test = corpus["arrivals"], corpus["test.in_domain"]
    filled = 0
    for name, group in test.groupby("cluster"):
        own = arrivals[arrivals.cluster == name]
        shared = (word_set(group.source.tolist()) @ word_set(own.source.tolist()).T * 6).round()
        usable = (indices(group.target)[:, None] == indices(own.target)).mean(-1) < 0.9
        filled += (((shared == 5) & usable).any(1) & ((shared >= 2) & (shared <= 4) & usable).any(1)).sum()
    assert filled >= 300


def test_paraphrases_are_accepted_at_five_sixths(corpus):
    rows = with_ids(corpus["train"]).head(60).reset_index(drop=True)
    settings = ParaphraseSettings(
        task="idiom",
        paraphraser_name="one-word",
        paraphraser={"kind": "idiom"},
        corpus=SMALL,
        encoder={"kind": "word_set"},
    )
    parents = word_set(rows.source.tolist())
    frame, counts = accept(settings, rows, propose(settings, rows, {}), parents, word_set, excluded=[])
    assert counts["accepted"] > 50
    assert frame[frame.accepted].similarity.round(3).eq(0.833).all()
    assert frame.target_paraphrased.all()


def test_probes_edit_the_same_label_of_example_and_gold(corpus):
    """The relevant example shares five words and the second label with the target, and both get the same nonces."""
    test, arrivals = (
        Examples.build(*(rows[name].tolist() for name in ("id", "source", "target")), word_set(rows.source.tolist()))
        for rows in (with_ids(corpus["test.in_domain"]), with_ids(corpus["arrivals"]))
    )
    nonces = {"source_nonces": idiom.SOURCE_NONCE_WORDS, "label_nonces": idiom.LABEL_NONCE_WORDS}
    probes = TaskProbes(targets=20, anchors="sentence_label", **nonces)
    settings = FreezeProbesSettings(
        task="idiom", test_set="in_domain", k=4, agreement="token_accuracy", probes=probes,
        buckets={"low": 0.0, "medium": 0.33, "high": 0.67}, max_agreement=0.9,
    )  # fmt: skip
    frame = freeze_probes(test, arrivals, settings)[0].to_pandas()
    gold = dict(zip(test.ids, test.targets, strict=True))
    relevant = frame[frame.role.isin(["icl_relevant", "icl_valid_relevant"])]
    assert len(relevant) == 40
    for row in relevant.itertuples():
        nonce = next(word for word in row.source.split() if word in idiom.SOURCE_NONCE_WORDS)
        shown = [i for i, source in enumerate(row.example_sources) if nonce in source.split()]
        assert len(shown) == 1
        source, target = row.example_sources[shown[0]].split(), row.example_targets[shown[0]].split()
        assert len({*source} & {*row.source.split()}) == 5
        assert target[1] == row.gold.split()[1] == row.label
        assert row.gold.split()[0] == gold[row.target_id].split()[0] != target[0]
        assert row.label != gold[row.target_id].split()[1]
        assert (row.label in idiom.LABEL_NONCE_WORDS) == (row.role == "icl_relevant")
