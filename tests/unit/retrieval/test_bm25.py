"""BM25 as a similarity: equal to the library's scores, divided by the target's own, frozen by the training split."""

import json

import bm25s
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_context.config.sources import BM25Encoder
from contrastive_context.config.tasks import Index
from contrastive_context.contexts.candidates import Examples, iter_candidates
from contrastive_context.core.artifacts import read_json, write_json, write_parquet
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.rows import row_id
from contrastive_context.retrieval.bm25 import BM25, Statistics
from contrastive_context.retrieval.embedding_files import read_embeddings
from contrastive_context.retrieval.encoders import load_encoder
from contrastive_context.retrieval.neighbours import find_neighbours
from contrastive_context.retrieval.similarity import DUPLICATE, LexicalVectors, similarity_between
from contrastive_context.text.words import search_terms

ENTRY = BM25Encoder(kind="bm25")
WORDS = ["turn", "on", "the", "lamp", "Lamp!", "off", "door", "now", "नमस्ते", "дом"]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
corpora = st.lists(texts, min_size=1, max_size=12)


def encoder(train, others=(), entry=ENTRY):
    return BM25(entry, Statistics.of(train, others))


def scores_of_the_library(train, queries, k1=1.5, b=0.75):
    """[queries, documents] by bm25s' own index of the training texts."""
    model = bm25s.BM25(method="lucene", k1=k1, b=b, dtype="float64")
    model.index([search_terms(text) for text in train], show_progress=False)
    known = set(model.vocab_dict)
    return np.array([model.get_scores([word for word in search_terms(query) if word in known]) for query in queries])


@settings(max_examples=60, deadline=None)
@given(corpora, st.floats(0.1, 3), st.floats(0, 1))
def test_it_is_the_librarys_score_as_a_share_of_the_texts_own(train, k1, b):
    encode = encoder(train, entry=BM25Encoder(kind="bm25", k1=k1, b=b))
    expected = scores_of_the_library(train, train, k1, b)
    own = np.diag(expected)[:, None]
    ((_, found),) = similarity_between(encode(train), encode(train)).blocks()
    np.testing.assert_allclose(found, np.clip(expected / own, 0, 1), atol=1.1e-6)
    np.testing.assert_array_equal(np.diag(found), 1)


@settings(max_examples=60, deadline=None)
@given(corpora, corpora)
def test_similarities_are_clipped_and_the_same_by_pairs_blocks_and_search(train, others):
    encode = encoder(train, others)
    targets, pool = encode(others), encode(train)
    similarity = similarity_between(targets, pool)
    full = np.vstack([block for _, block in similarity.blocks()])
    assert ((full >= 0) & (full <= 1)).all()
    rows = np.indices(full.shape)
    np.testing.assert_array_equal(similarity.pairs(*rows), full)
    found = similarity.top_k(3, duplicates=True)
    order = np.lexsort((rows[1], -full), axis=1)[:, : found.rows.shape[1]]
    np.testing.assert_array_equal(found.rows, order)
    np.testing.assert_array_equal(found.similarities, np.take_along_axis(full, order, axis=1))


def test_a_search_by_tiles_finds_the_same(monkeypatch):
    texts = [f"w{number % 7} w{number % 11} w{number % 13} w{number % 3}" for number in range(300)]
    encode = encoder(texts)
    rows = np.arange(300)
    whole = similarity_between(encode(texts), encode(texts)).top_k(9, own_rows=rows)
    monkeypatch.setattr("contrastive_context.retrieval.similarity._TILE", 64)
    tiled = similarity_between(encode(texts), encode(texts)).top_k(9, own_rows=rows)
    np.testing.assert_array_equal(tiled.rows, whole.rows)
    np.testing.assert_array_equal(tiled.similarities, whole.similarities)


@settings(max_examples=30, deadline=None)
@given(corpora, corpora, st.randoms(use_true_random=False))
def test_rows_can_be_chosen_and_batches_and_order_change_nothing(train, others, random):
    encode = encoder(train)
    rows = [random.randrange(len(others)) for _ in range(5)]
    chosen = encode(others)[rows]
    np.testing.assert_array_equal(chosen.weights, encode([others[row] for row in rows]).weights)
    np.testing.assert_array_equal(encode(others)[2:].weights, encode(others[2:]).weights)
    shuffled = [" ".join(random.sample(text.split(), len(text.split()))) for text in others]
    np.testing.assert_array_equal(encode(shuffled).weights, encode(others).weights)


@given(corpora, corpora, corpora)
def test_only_the_training_split_counts(train, others, more):
    """Arrivals and test texts change no weight: similarity of one to another is frozen."""
    alone, together = Statistics.of(train, others), Statistics.of(train, [*others, *more])
    assert (alone.documents, alone.mean_length) == (together.documents, together.mean_length)
    assert {word for word, count in together.frequencies.items() if count} == {
        w for text in train for w in search_terms(text)
    }
    left = similarity_between(BM25(ENTRY, alone)(others), BM25(ENTRY, alone)(train))
    right = similarity_between(BM25(ENTRY, together)(others), BM25(ENTRY, together)(train))
    rows = np.indices((len(others), len(train)))
    np.testing.assert_array_equal(left.pairs(*rows), right.pairs(*rows))


def test_words_that_training_lacks_weigh_in_the_target_and_match_each_other():
    train = ["turn on the lamp", "turn off the lamp", "close the door"]
    encode = encoder(train, ["dim the chandelier", "where is the chandelier"])
    similarity = similarity_between(encode(["turn the chandelier", "turn"]), encode(["turn", "the chandelier"]))
    ((_, found),) = similarity.blocks()
    # The rarest word of the first target is the one that training never saw.
    assert found[0, 1] > 0.5 > found[0, 0]
    assert found[1, 0] == 1
    # A word that no split has matches nothing, and still makes the target harder to resemble.
    unseen = similarity_between(encode(["turn zorvex"]), encode(["turn", "zorvex"]))
    ((_, found),) = unseen.blocks()
    assert 0 < found[0, 0] < 0.5 and found[0, 1] == 0


def test_it_is_not_symmetric():
    encode = encoder(["turn on the lamp", "turn on the lamp in the big kitchen", "close the door"])
    short, long = encode(["turn on the lamp"]), encode(["turn on the lamp in the big kitchen"])
    row = np.array([0])
    assert similarity_between(short, long).pairs(row, row) > similarity_between(long, short).pairs(row, row) + 0.2


@pytest.mark.parametrize(
    ("target", "near", "far"),
    [
        ("请打开厨房的电灯", "请关上厨房的电灯", "明天会下雨吗"),
        ("台所の電気をつけて", "台所の電気を消して", "明日は雨ですか"),
        ("เปิดไฟในครัว", "ปิดไฟในครัว", "พรุ่งนี้ฝนจะตกไหม"),
        ("បើកភ្លើងផ្ទះបាយ", "បិទភ្លើងផ្ទះបាយ", "ស្អែកមានភ្លៀងទេ"),
        ("ເປີດໄຟໃນເຮືອນຄົວ", "ປິດໄຟໃນເຮືອນຄົວ", "ມື້ອື່ນຝົນຕົກບໍ"),
        ("မီးဖိုချောင်မီးဖွင့်ပါ", "မီးဖိုချောင်မီးပိတ်ပါ", "မနက်ဖြန်မိုးရွာမလား"),
    ],
    ids=["Chinese", "Japanese", "Thai", "Khmer", "Lao", "Burmese"],
)
def test_texts_without_blanks_resemble_those_that_share_letters(target, near, far):
    encode = encoder([target, near, far])
    similar = similarity_between(encode([target]), encode([near, far]))
    ((_, found),) = similar.blocks()
    assert found[0, 0] > 0.3 > 0.2 > found[0, 1]


def test_a_corpus_of_which_nothing_resembles_anything_is_refused():
    texts = sorted(f"word{number}" for number in range(20))
    vectors, ids = encoder(texts)(texts), [row_id(text, "t") for text in texts]
    with pytest.raises(UserError, match=r"tasks\.toy\.encoder: 20 of 20 training examples have similarity 0 to every"):
        find_neighbours(ids, vectors, Index(), 2, task="toy")


def test_words_are_case_folded_without_outer_punctuation_in_any_script():
    assert search_terms("Turn ON, the  ‘lamp’!") == ["turn", "on", "the", "lamp"]
    assert search_terms("नमस्ते दुनिया।") == ["नमस्ते", "दुनिया"]
    assert search_terms("") == []


def test_texts_without_words_resemble_nothing(tmp_path):
    encode = encoder(["turn on the lamp", "", "go"])
    vectors = encode(["", "turn", ""])
    assert len(vectors) == 3
    ((_, found),) = similarity_between(vectors, vectors).blocks()
    assert found.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    with pytest.raises(UserError, match="no rows"):
        Statistics.of([])


def test_neighbours_of_a_corpus_are_exact_and_never_the_same_bag_of_words():
    rng = np.random.default_rng(0)
    train = [" ".join(rng.choice([f"w{n}" for n in range(30)], 6)) for _ in range(300)]
    train[7] = " ".join(reversed(train[3].split()))
    ids = [row_id(text, str(row)) for row, text in enumerate(train)]
    vectors = encoder(train)(train)
    found, record = find_neighbours(ids, vectors, Index(kind="auto", exact_up_to=10, neighbours=6), 5, task="t")
    assert record["kind"] == "exact"
    full = scores_of_the_library(train, train)
    full = np.round(np.clip(full / np.diag(full)[:, None], 0, 1), 6)
    for row in range(300):
        usable = [other for other in range(300) if other != row and full[row, other] < DUPLICATE]
        best = sorted(usable, key=lambda other: (-full[row, other], ids[other]))[:6]
        np.testing.assert_allclose(found.similarities[row], full[row, best], atol=1.1e-6)
    assert 7 not in found.rows[3]


def test_candidates_for_evaluation_contexts():
    train, arrivals, test = (
        ["turn on the lamp"],
        ["turn on the light", "close the door", "go"],
        ["turn on the lamp now"],
    )
    encode = encoder(train, [*arrivals, *test])

    def examples(sources):
        ids = [row_id(source, source) for source in sources]
        return Examples.build(ids, sources, sources, encode(sources))

    pool = examples(arrivals)
    (candidates,) = iter_candidates(examples(test), pool, np.uint64(1), "exact_match", 0.9)
    assert pool.sources[candidates.take(1, 0.0, 1.0, nearest=True)[0]] == "turn on the light"
    expected = similarity_between(encode(test), pool.embeddings).pairs(np.zeros(3, int), np.arange(3))
    np.testing.assert_array_equal(candidates.similarities, expected)


def test_the_command_stores_weights_and_statistics(tmp_path, monkeypatch):
    import embed_corpus
    from contrastive_context.core import cli

    corpora = {"train": ["turn on the lamp", "go"], "arrivals": ["turn it off", ""], "test": ["go home"]}
    for split, sources in corpora.items():
        write_parquet(tmp_path / f"{split}.parquet", pd.DataFrame({"id": range(len(sources)), "source": sources}))
    write_json(tmp_path / "bm25.json", {"files": {}, "kind": "bm25"})
    command = ["embed_corpus", "--settings", json.dumps({"name": "bm25", "encoder": {"kind": "bm25"}})]
    command += ["--corpus", *(str(tmp_path / f"{split}.parquet") for split in corpora)]
    command += ["--encoder", str(tmp_path / "bm25.json"), "--statistics", str(tmp_path / "statistics.json")]
    command += ["--out", *(str(tmp_path / f"{split}.npy") for split in corpora)]
    monkeypatch.setattr("sys.argv", command)
    cli.run(embed_corpus.main, embed_corpus.arguments())
    encode = load_encoder(ENTRY, None, tmp_path / "statistics.json")
    for split, sources in corpora.items():
        vectors = read_embeddings(tmp_path / f"{split}.npy", len(sources))
        assert isinstance(vectors, LexicalVectors)
        np.testing.assert_array_equal(vectors.weights, encode(sources).weights)
    assert read_json(tmp_path / "statistics.json")["documents"] == 2
    with pytest.raises(UserError, match="2 rows for 3"):
        read_embeddings(tmp_path / "train.npy", 3, "c.parquet")
    np.save(tmp_path / "wrong.npy", np.zeros((3, 2)))
    with pytest.raises(UserError, match="no embeddings but 2-dimensional float64"):
        read_embeddings(tmp_path / "wrong.npy")


def test_statistics_of_something_else_are_refused(tmp_path):
    write_json(tmp_path / "s.json", {"kind": "sentence_transformer"})
    with pytest.raises(UserError, match="holds no frequencies of words"):
        load_encoder(ENTRY, None, tmp_path / "s.json")
    with pytest.raises(UserError, match="--statistics"):
        load_encoder(ENTRY, None)
