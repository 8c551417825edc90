import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_samples import embed, gaussian, random_ids, sentences
from contrastive_context.config.tasks import Index
from contrastive_context.core.columnar import write_tables
from contrastive_context.core.errors import UserError
from contrastive_context.retrieval.neighbours import (
    find_neighbours,
    measure_recall,
    neighbour_tables,
    read_neighbours,
)
from contrastive_context.retrieval.similarity import DUPLICATE, Neighbours, similarity_between


def by_hand(embeddings, k, ids):
    """The definition: sort all others by (−similarity, id); duplicates out."""
    full = embeddings.astype(np.float64)
    similarities = np.round(np.clip(full @ full.T, 0, 1), 6)
    result = []
    for i in range(len(ids)):
        others = [j for j in range(len(ids)) if j != i and similarities[i, j] < DUPLICATE]
        result.append(sorted(others, key=lambda j: (-similarities[i, j], ids[j]))[:k])
    return result, similarities


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 300), st.integers(1, 12), st.booleans(), st.sampled_from([64, 192, 1024]))
def test_exact_search_follows_the_definition_ties_included(seed, count, k, ties, tile):
    embeddings = embed(sentences(seed, count, near=count // 4)) if ties else gaussian(count, 8, seed)
    ids = random_ids(len(embeddings), seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrastive_context.retrieval.similarity._TILE", tile)
        found, record = find_neighbours(ids, embeddings, Index(kind="exact", neighbours=k), k, task="t")
    expected, similarities = by_hand(embeddings, k, ids)
    assert found.rows.tolist() == expected
    np.testing.assert_array_equal(found.similarities, similarities[np.arange(len(ids))[:, None], found.rows])
    assert record["recall"] == 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 200))
def test_hnswlib_equals_exact_on_small_data(seed, count):
    embeddings, ids = gaussian(count, 16, seed), random_ids(count, seed)
    exact, _ = find_neighbours(ids, embeddings, Index(kind="exact", neighbours=6), 5)
    approximate, record = find_neighbours(ids, embeddings, Index(kind="hnswlib", neighbours=6), 5)
    np.testing.assert_array_equal(exact.rows, approximate.rows)
    np.testing.assert_array_equal(exact.similarities, approximate.similarities)
    assert record == {"kind": "hnswlib", "k": 5, "sample": count, "recall": 1.0}


@pytest.mark.parametrize("kind", ["exact", "hnswlib"])
def test_duplicates_and_self_never_count(kind):
    base = gaussian(40, 8)
    embeddings = np.repeat(base, 30, axis=0)  # 29 copies of each: the search must go deep
    found, _ = find_neighbours(random_ids(1200), embeddings, Index(kind=kind, neighbours=6, ef=8, min_recall=0.5), 6)
    assert (found.rows >= 0).all() and (found.similarities < DUPLICATE).all()
    assert (found.rows // 30 != np.arange(1200)[:, None] // 30).all()


def test_too_few_neighbours_and_too_large_k_are_user_errors():
    embeddings = np.repeat(gaussian(3, 8), 5, axis=0)
    with pytest.raises(UserError, match=r"tasks\.lex\.k"):
        find_neighbours(random_ids(15), embeddings, Index(), 11, task="lex")
    with pytest.raises(UserError, match=r"tasks\.lex\.k"):
        find_neighbours(random_ids(15), embeddings, Index(), 15, task="lex")
    find_neighbours(random_ids(15), embeddings, Index(), 10, task="lex")


def test_recall_counts_what_is_missing_and_is_enforced():
    embeddings = gaussian(300, 16)
    exact = similarity_between(embeddings, embeddings).top_k(4, own_rows=np.arange(300))
    assert measure_recall(embeddings, exact, 4, 300) == 1
    worse = Neighbours(exact.rows, np.where(np.arange(4) == 3, -1, exact.similarities))
    assert measure_recall(embeddings, worse, 4, 300) == 0.75
    bad = Index(kind="hnswlib", m=2, ef=8, ef_construction=8, neighbours=4, min_recall=1.0)
    big = gaussian(4000, 64)
    with pytest.raises(UserError, match=r"tasks\.lex\.index"):
        find_neighbours(random_ids(4000), big, bad, 4, task="lex")


def test_hnswlib_is_the_same_twice():
    embeddings, ids = gaussian(500, 16), random_ids(500)
    index = Index(kind="hnswlib", min_recall=0.5)
    first, second = (find_neighbours(ids, embeddings, index, 4)[0] for _ in range(2))
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.similarities, second.similarities)


def test_auto_chooses_by_size():
    embeddings, ids = gaussian(60, 8), random_ids(60)
    assert find_neighbours(ids, embeddings, Index(exact_up_to=60), 3)[1]["kind"] == "exact"
    assert find_neighbours(ids, embeddings, Index(exact_up_to=59), 3)[1]["kind"] == "hnswlib"


def test_similarities_do_not_depend_on_blocks_or_order():
    embeddings = gaussian(400, 384)
    rows, similarity = np.arange(400), similarity_between(embeddings, embeddings)
    there = similarity.pairs(rows, rows[::-1])
    back = similarity.pairs(rows[::-1].copy(), rows)
    np.testing.assert_array_equal(there, back)
    blocks = np.vstack([block for _, block in similarity.blocks()])
    np.testing.assert_array_equal(blocks[rows, rows[::-1]], there)


def test_table_round_trip_in_another_row_order(tmp_path):
    embeddings, ids = gaussian(100, 8), random_ids(100)
    found, _ = find_neighbours(ids, embeddings, Index(neighbours=7), 5)
    write_tables(tmp_path / "n.parquet", neighbour_tables(ids, found, block=33))
    back = read_neighbours(tmp_path / "n.parquet", ids, 5)
    np.testing.assert_array_equal(back.rows, found.rows[:, :5])
    np.testing.assert_array_equal(back.similarities, found.similarities[:, :5])
    with pytest.raises(UserError, match="not in the corpus"):
        read_neighbours(tmp_path / "n.parquet", ids[:-1], 5)
    (tmp_path / "n.parquet").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"n\.parquet"):
        read_neighbours(tmp_path / "n.parquet", ids, 5)
