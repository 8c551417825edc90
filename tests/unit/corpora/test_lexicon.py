import json
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.config.sources import LexiconCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import lexicon

SMALL = LexiconCorpus(kind="lexicon", seed=100, train_clusters=60, heldout_clusters=20)
SPLITS = ["train", "dev", "arrivals", "test.in_domain"]


@pytest.fixture(scope="module")
def corpus():
    return lexicon.build(SMALL)


def with_ids(frame):
    """Give rows an id as the corpus stage does; only that it is unique hexadecimal matters."""
    return frame.drop_duplicates("source").assign(
        id=lambda rows: [sha256(text.encode()).hexdigest()[:16] for text in rows.source]
    )


def indices(texts):
    return np.array([[int(word[1:]) for word in text.split()] for text in texts])


def test_splits_columns_and_format(corpus):
    assert list(corpus) == SPLITS
    for frame in corpus.values():
        assert list(frame.columns) == ["source", "target", "cluster", "domain", "meta"]
        assert frame.source.str.fullmatch(r"s\d{3}( s\d{3}){5}").all()
        assert frame.target.str.fullmatch(r"t\d{3}( t\d{3}){5}").all()
        assert (frame.domain == "in").all()
    assert len(corpus["train"]) == 60 * SMALL.members


def test_clusters_of_splits_are_disjoint_except_arrivals_and_test(corpus):
    names = {split: set(frame.cluster) for split, frame in corpus.items()}
    assert not names["train"] & names["dev"]
    assert not (names["train"] | names["dev"]) & (names["arrivals"] | names["test.in_domain"])
    assert names["test.in_domain"] <= names["arrivals"]


def test_arrivals_and_test_share_no_sentence_within_a_cluster(corpus):
    both = pd.concat([corpus["arrivals"], corpus["test.in_domain"]])
    assert not both.duplicated(["cluster", "source"]).any()
    assert 0.55 < len(corpus["arrivals"]) / len(both) < 0.75


def test_meta_names_the_ambiguous_slots(corpus):
    for frame in corpus.values():
        source = indices(frame.source)
        for row, meta in zip(source, frame.meta, strict=True):
            assert np.flatnonzero(row >= lexicon.PLAIN).tolist() == json.loads(meta)["ambiguous"]
            assert len(json.loads(meta)["ambiguous"]) == lexicon.AMBIGUOUS_SLOTS


def test_labels_are_consistent(corpus):
    """Plain words have one label everywhere, ambiguous ones one per cluster and many over clusters."""
    frame = pd.concat(corpus.values())
    words = pd.DataFrame(
        {
            "word": indices(frame.source).ravel(),
            "label": indices(frame.target).ravel(),
            "cluster": np.repeat(frame.cluster.to_numpy(), lexicon.WORDS),
        }
    )
    plain = words[words.word < lexicon.PLAIN]
    ambiguous = words[words.word >= lexicon.PLAIN]
    assert (plain.groupby("word").label.nunique() == 1).all()
    assert (ambiguous.groupby(["cluster", "word"]).label.nunique() == 1).all()
    assert ambiguous.groupby("word").label.nunique().mean() > 5


def test_task_keeps_half_of_the_general_lexicon():
    words = np.arange(lexicon.PLAIN)
    same = lexicon.label(SMALL, 0, words) == lexicon.general_lexicon()[: lexicon.PLAIN]
    assert same[: lexicon.KNOWN_PLAIN].all()
    assert same[lexicon.KNOWN_PLAIN :].mean() < 0.1


def test_nonces_never_occur_in_the_task(corpus):
    paraphrases = lexicon.paraphrase(with_ids(corpus["train"]), SMALL, seed=3)
    sources = [*(text for frame in corpus.values() for text in frame.source), *(pair[0] for pair in paraphrases)]
    targets = [*(text for frame in corpus.values() for text in frame.target), *(pair[1] for pair in paraphrases)]
    assert indices(sources).max() < lexicon.SOURCES
    assert indices(targets).max() < lexicon.TARGETS
    assert lexicon.SOURCE_NONCE_WORDS[0] == "s160" and lexicon.SOURCE_NONCE_WORDS[-1] == "s175"
    assert lexicon.LABEL_NONCE_WORDS[0] == "t128" and lexicon.LABEL_NONCE_WORDS[-1] == "t135"


def test_same_seed_same_corpus_and_other_seed_another(corpus):
    again = lexicon.build(SMALL)
    other = lexicon.build(SMALL.model_copy(update={"seed": 101}))
    for split in SPLITS:
        pd.testing.assert_frame_equal(corpus[split], again[split])
    assert not corpus["train"].source.equals(other["train"].source)


@pytest.mark.slow
def test_default_corpus_has_enough_targets_with_arrivals_of_both_grades():
    corpus = lexicon.build(LexiconCorpus(kind="lexicon", seed=100))
    arrivals, test = corpus["arrivals"], corpus["test.in_domain"]
    filled = 0
    for name, group in test.groupby("cluster"):
        own = arrivals[arrivals.cluster == name]
        equal = (indices(group.source)[:, None] == indices(own.source)).sum(-1)
        usable = (indices(group.target)[:, None] == indices(own.target)).mean(-1) < 0.9
        filled += (((equal == 5) & usable).any(1) & ((equal >= 2) & (equal <= 4) & usable).any(1)).sum()
    assert filled >= 300


def test_paraphrase_changes_one_word_within_its_kind_and_keeps_the_cluster_senses(corpus):
    rows = with_ids(corpus["train"])
    pairs = lexicon.paraphrase(rows, SMALL, seed=0)
    before, after = indices(rows.source), indices(source for source, _ in pairs)
    changed = before != after
    assert (changed.sum(1) == 1).all()
    assert ((before < lexicon.PLAIN) == (after < lexicon.PLAIN)).all()
    cluster = rows.cluster.str[1:].astype(int).to_numpy()
    assert (indices(target for _, target in pairs) == lexicon.label(SMALL, cluster[:, None], after)).all()
    unchanged = (indices(rows.target) == indices(target for _, target in pairs))[~changed]
    assert unchanged.all()
    assert set(changed.argmax(1)) == set(range(lexicon.WORDS))


@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_paraphrase_depends_on_the_row_alone(random, seed):
    rows = with_ids(lexicon.build(SMALL)["dev"])
    pairs = dict(zip(rows.id, lexicon.paraphrase(rows, SMALL, seed), strict=True))
    chosen = random.sample(range(len(rows)), random.randint(0, len(rows)))
    assert lexicon.paraphrase(rows.iloc[chosen], SMALL, seed) == [pairs[identity] for identity in rows.id.iloc[chosen]]


def test_paraphrase_seed_matters(corpus):
    rows = with_ids(corpus["train"])
    first, second = lexicon.paraphrase(rows, SMALL, 0), lexicon.paraphrase(rows, SMALL, 1)
    assert np.mean([a == b for a, b in zip(first, second, strict=True)]) < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "turn on the light in hall"}, "'turn'"),
        ({"source": "s000 s001"}, "2 words"),
        ({"source": "s000 s001 s002 s003 s004 s160"}, "'s160'"),
        ({"cluster": "kitchen"}, "'kitchen'"),
    ],
)
def test_paraphrase_refuses_rows_of_another_corpus(corpus, change, message):
    rows = with_ids(corpus["train"]).head(1).assign(**change)
    with pytest.raises(UserError, match=message):
        lexicon.paraphrase(rows, SMALL, 0)
