import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_samples import EDGES, embed, gaussian, random_ids, sentences
from contrastive_context.config.strategies import Strategy
from contrastive_context.config.tasks import Index
from contrastive_context.contexts.sampling import iter_contexts, sample_contexts
from contrastive_context.core.buckets import bucket_of
from contrastive_context.core.errors import UserError
from contrastive_context.retrieval.neighbours import find_neighbours
from contrastive_context.retrieval.similarity import DUPLICATE, similarity_between

KINDS = ["zero", "random", "similar", "contrastive", "mixed"]


class Case:
    """A corpus with neighbours and paraphrases of two thirds of it (one in three of them not accepted)."""

    def __init__(self, seed=0, count=200, embeddings=None):
        if embeddings is None:
            self.sources = sentences(seed, count, near=count // 3)
            self.embeddings = embed(self.sources)
        else:
            self.sources, self.embeddings = None, embeddings
        self.ids = random_ids(len(self.embeddings), seed)
        self.neighbours, _ = find_neighbours(self.ids, self.embeddings, Index(kind="exact"), 5)
        parents = [item for i, item in enumerate(self.ids) if i % 3]
        self.paraphrases = pd.DataFrame(
            {
                "id": random_ids(len(parents), seed + 10**6),
                "parent_id": parents,
                "similarity": 0.8,
                "accepted": [i % 3 > 0 for i in range(len(parents))],
            }
        )
        self.row = {item: i for i, item in enumerate(self.ids)}

    def sample(self, strategy, k=4, order=None, **options):
        order = np.arange(len(self.ids)) if order is None else order
        place = np.argsort(order)
        neighbours = type(self.neighbours)(place[self.neighbours.rows[order]], self.neighbours.similarities[order])
        return sample_contexts(
            [self.ids[i] for i in order],
            self.embeddings[order],
            strategy,
            k=k,
            neighbours=neighbours,
            paraphrases=self.paraphrases,
            sources=self.sources and [self.sources[i] for i in order],
            task="t",
            edges=EDGES,
            **options,
        )


def strategy(kind):
    return Strategy(kind=kind, p=0.5, epsilon=0.2 if kind == "contrastive" else 0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.integers(1, 5), st.integers(0, 3))
def test_contexts_keep_their_promises(seed, kind, k, draw_seed):
    case = Case(seed, 80)
    frame = case.sample(strategy(kind), k, seed=draw_seed, draws=2).to_pandas()
    assert len(frame) == 2 * len(case.ids)
    assert frame["target_id"].tolist() == sorted(case.ids) * 2
    parents = dict(zip(case.paraphrases["id"], case.paraphrases["parent_id"], strict=True))
    for row in frame.itertuples():
        assert len(row.example_ids) == len(row.similarities) == (0 if kind == "zero" else k)
        assert len(set(row.example_ids)) == len(row.example_ids)
        assert row.target_id not in row.example_ids
        for example, similarity in zip(row.example_ids, row.similarities, strict=True):
            if example in parents:
                assert parents[example] == row.target_id and similarity == 0.8
            else:
                pair = (np.array([case.row[row.target_id]]), np.array([case.row[example]]))
                assert similarity == similarity_between(case.embeddings, case.embeddings).pairs(*pair)[0] < DUPLICATE
        if kind == "zero":
            assert np.isnan(row.max_similarity) and row.bucket == "none"
        else:
            assert row.max_similarity == max(row.similarities)
            assert row.bucket == bucket_of(row.max_similarity, EDGES)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.randoms(use_true_random=False))
def test_contexts_do_not_depend_on_row_order_or_parts(seed, kind, random):
    case = Case(seed, 60)
    whole = case.sample(strategy(kind))
    order = np.array(random.sample(range(len(case.ids)), len(case.ids)))
    assert case.sample(strategy(kind), order=order).equals(whole)
    half = len(case.ids) // 2
    parts = [case.sample(strategy(kind), targets=part) for part in (case.ids[:half], case.ids[half:])]
    frames = pd.concat([part.to_pandas() for part in parts]).sort_values("target_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(frames, whole.to_pandas())


def test_chunks_change_nothing_and_names_seeds_draws_do():
    case = Case()
    options = {"k": 3, "neighbours": case.neighbours, "task": "t"}
    base = sample_contexts(case.ids, case.embeddings, strategy("random"), **options)
    chunks = list(iter_contexts(case.ids, case.embeddings, strategy("random"), chunk=7, **options))
    assert max(table.num_rows for table in chunks) == 7
    assert [i for table in chunks for i in table["example_ids"].to_pylist()] == base["example_ids"].to_pylist()
    for change in ({"seed": 1}, {"name": "other"}, {"task": "u"}):
        other = sample_contexts(case.ids, case.embeddings, strategy("random"), **{**options, **change})
        assert other["example_ids"].to_pylist() != base["example_ids"].to_pylist()
    draws = sample_contexts(case.ids, case.embeddings, strategy("random"), draws=2, **options).to_pandas()
    lists = draws.groupby("draw")["example_ids"].apply(lambda column: [list(value) for value in column])
    assert lists[0] != lists[1] and lists[0] == base["example_ids"].to_pylist()


def test_grades_come_at_their_rates_and_fall_back():
    case = Case(embeddings=gaussian(600, 8))
    chosen = Strategy(kind="contrastive", p=0.5, epsilon=0.2)
    frame = case.sample(chosen, draws=20).to_pandas()
    n = len(frame)
    for grade, rate in {"similar": 0.5, "paraphrase": 0.2, "random": 0.3}.items():
        assert abs((frame["intended_grade"] == grade).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / n)
    accepted = set(case.paraphrases.loc[case.paraphrases["accepted"], "parent_id"])
    wanted = frame["intended_grade"] == "paraphrase"
    available = frame["target_id"].isin(accepted)
    assert (frame.loc[wanted & available, "actual_grade"] == "paraphrase").all()
    assert (frame.loc[wanted & ~available, "actual_grade"] == "random").all()
    assert (frame.loc[~wanted, "actual_grade"] == frame.loc[~wanted, "intended_grade"]).all()
    nearest = {case.ids[i]: case.ids[row[0]] for i, row in enumerate(case.neighbours.rows)}
    paraphrases = set(case.paraphrases["id"])
    slots = []
    for row in frame.itertuples():
        assert any(item in paraphrases for item in row.example_ids) == (row.actual_grade == "paraphrase")
        if row.actual_grade == "similar":
            slots.append(list(row.example_ids).index(nearest[row.target_id]))
    counts = np.bincount(slots, minlength=4)
    assert np.sum((counts - len(slots) / 4) ** 2 / (len(slots) / 4)) < 21  # 99.99 % of chi-square with 3 d.f.


def test_random_examples_are_uniform():
    n, draws = 40, 1000
    ids = sorted(random_ids(n))
    table = sample_contexts(ids, gaussian(n, 16), strategy("random"), k=3, draws=draws, targets=ids[:1])
    lists = np.array(table["example_ids"].to_pylist())
    for column in (lists.ravel(), lists[:, 0]):
        counts = np.array([np.sum(column == item) for item in ids[1:]])
        assert counts.sum() == len(column)
        assert np.sum((counts - counts.mean()) ** 2 / counts.mean()) < 85  # 99.99 % with 38 d.f. is about 81


def test_duplicates_are_redrawn_uniformly():
    """30 of 40 candidates equal the target: the others come evenly."""
    n = 41
    embeddings = gaussian(n, 16)
    embeddings[:31] = embeddings[0]
    ids = sorted(random_ids(n))
    table = sample_contexts(ids, embeddings, strategy("random"), k=3, draws=1000, targets=ids[:1])
    drawn = np.array(table["example_ids"].to_pylist())
    counts = np.array([np.sum(drawn == item) for item in ids[31:]])
    assert counts.sum() == 3000
    assert np.sum((counts - 300) ** 2 / 300) < 34
    with pytest.raises(UserError, match=r"tasks\.t\.k"):
        sample_contexts(ids, embeddings, strategy("random"), k=11, task="t")


def test_equal_sources_after_normalisation_are_duplicates():
    ids, embeddings = random_ids(12), gaussian(12, 8)
    sources = [f"Text {i // 2}" if i % 2 else f" text  {i // 2}." for i in range(12)]
    neighbours, _ = find_neighbours(ids, embeddings, Index(), 11)
    for kind in ("random", "similar"):
        table = sample_contexts(ids, embeddings, strategy(kind), k=10, neighbours=neighbours, sources=sources)
        for target, examples in zip(table["target_id"].to_pylist(), table["example_ids"].to_pylist(), strict=True):
            assert ids[ids.index(target) ^ 1] not in examples


def test_mixed_is_all_or_nothing():
    case = Case(embeddings=gaussian(300, 8))
    frame = case.sample(Strategy(kind="mixed", p=0.3), draws=10).to_pandas()
    nearest = {case.ids[i]: {case.ids[j] for j in row[:4]} for i, row in enumerate(case.neighbours.rows)}
    similar = np.array([set(row.example_ids) == nearest[row.target_id] for row in frame.itertuples()])
    assert (similar == (frame["actual_grade"] == "similar")).all()
    assert abs(similar.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / len(frame))


def test_similar_takes_the_nearest_and_strategies_share_the_order_of_slots():
    case = Case(embeddings=gaussian(300, 8))
    similar = case.sample(strategy("similar")).to_pandas()
    order = np.argsort(case.ids)
    for row, i in zip(similar.itertuples(), order, strict=True):
        assert set(row.example_ids) == {case.ids[j] for j in case.neighbours.rows[i, :4]}
    contrastive = case.sample(Strategy(kind="contrastive", p=1)).to_pandas()
    for left, right, i in zip(similar["example_ids"], contrastive["example_ids"], order, strict=True):
        nearest = case.ids[case.neighbours.rows[i, 0]]
        assert list(left).index(nearest) == list(right).index(nearest)


def test_what_cannot_be_is_refused():
    case = Case(embeddings=gaussian(30, 8))
    with pytest.raises(UserError, match=r"tasks\.t\.k"):
        case.sample(strategy("random"), k=30)
    with pytest.raises(UserError, match="p \\+ epsilon"):
        case.sample(Strategy(kind="contrastive", p=0.8, epsilon=0.3))
    with pytest.raises(UserError, match=r"index\.neighbours"):
        case.sample(strategy("similar"), k=20)
    with pytest.raises(UserError, match="paraphrasers"):
        sample_contexts(
            case.ids, case.embeddings, Strategy(kind="contrastive", epsilon=0.1), k=2, neighbours=case.neighbours
        )


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["random", "similar", "contrastive", "mixed"]),
    st.sampled_from([["high"], ["medium"], ["medium", "high"]]),
)
def test_no_example_lies_in_a_removed_bucket(seed, kind, removed):
    case = Case(seed, 80)
    chosen = Strategy(kind=kind, p=0.5, epsilon=0.3 if kind == "contrastive" else 0, without=removed)
    frame = case.sample(chosen, draws=2).to_pandas()
    similarities = np.concatenate(frame["similarities"].to_numpy())
    assert not np.isin(bucket_of(similarities, EDGES), removed).any()
    assert (frame["example_ids"].str.len() == 4).all()
    shown = {case.ids[i]: {case.ids[j] for j in row} for i, row in enumerate(case.neighbours.rows)}
    for row in frame[frame["actual_grade"] == "similar"].itertuples():
        assert shown[row.target_id] & set(row.example_ids)


def test_augmentation_trains_on_paraphrases_alike_under_every_strategy():
    case = Case(embeddings=gaussian(300, 8))
    parents = dict(zip(case.paraphrases["id"], case.paraphrases["parent_id"], strict=True))
    accepted = case.paraphrases.loc[case.paraphrases["accepted"]]
    trained = {}
    for kind in ("zero", "random"):
        frame = case.sample(Strategy(kind=kind, augmentation=0.3), draws=10).to_pandas()
        plain = case.sample(Strategy(kind=kind), draws=10).to_pandas()
        assert (plain["trained_id"] == plain["target_id"]).all()
        assert [*map(list, frame["example_ids"])] == [*map(list, plain["example_ids"])]
        replaced = frame[frame["trained_id"] != frame["target_id"]]
        assert (replaced["trained_id"].map(parents) == replaced["target_id"]).all()
        assert set(replaced["trained_id"]) <= set(accepted["id"])
        possible = frame["target_id"].isin(accepted["parent_id"])
        rate = len(replaced) / possible.sum()
        assert abs(rate - 0.3) < 4 * np.sqrt(0.3 * 0.7 / possible.sum())
        trained[kind] = frame["trained_id"].tolist()
    assert trained["zero"] == trained["random"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "random", "epsilon": 0.1}, "epsilon: kind random has no epsilon"),
        ({"kind": "random", "token_matched": True}, "token_matched: kind random has no token_matched"),
        ({"kind": "zero", "k": 3}, "k: kind zero shows no examples"),
        ({"kind": "contrastive", "without": ["low"]}, "'low' can't be removed; known: medium, high"),
        ({"kind": "contrastive", "without": ["top"]}, "'top' can't be removed"),
    ],
)
def test_a_strategy_that_contradicts_itself_is_named(fields, message):
    assert message in next(Strategy(**fields).problems(list(EDGES)))
