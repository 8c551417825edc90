import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.core.randomness import below, id_bits, mix, numbers, ranking, shuffled, states, stream, uniform


def test_id_bits_are_the_ids_in_order():
    ids = [hashlib.sha256(str(i).encode()).hexdigest()[:16] for i in range(50)]
    assert id_bits(ids).tolist() == [int(item, 16) for item in ids]
    assert [ids[i] for i in np.argsort(id_bits(ids))] == sorted(ids)
    assert id_bits([]).shape == (0,)


@pytest.mark.parametrize("bad", ["", "12", "0" * 15 + "g", "0" * 15 + "A", "0" * 17])
def test_other_ids_are_refused(bad):
    with pytest.raises(ValueError, match="16"):
        id_bits(["0" * 16, bad])


def test_mixer_is_splitmix64():
    # Reference values of SplitMix64 started at 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64").
    state = np.array([1234567], dtype=np.uint64)
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [int(numbers(state, i)[0]) for i in range(5)] == expected


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**31))
def test_below_is_the_exact_product(bits, bound):
    assert int(below(np.array([bits], dtype=np.uint64), bound)[0]) == bits * bound >> 64


@pytest.mark.parametrize("ids", ["counting", "hashed"])
@pytest.mark.parametrize("counter", [0, 1, 7])
def test_numbers_are_uniform_and_independent_of_each_other(ids, counter):
    """Chi-square over 64 cells (99.99 % quantile about 112), for neighbouring ids too, which differ in few bits."""
    n = 64_000
    bits = np.arange(n, dtype=np.uint64)
    if ids == "hashed":
        bits = mix(bits)
    state = states(stream("grade", 0, "task", "name", 0), bits)
    first, second = uniform(numbers(state, counter)), uniform(numbers(state, counter + 1))
    for values in (first, (first + second) % 1):
        counts = np.bincount((values * 64).astype(int), minlength=64)
        assert np.sum((counts - n / 64) ** 2) / (n / 64) < 112
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(n)
    other = uniform(numbers(states(stream("grade", 1, "task", "name", 0), bits), counter))
    assert abs(np.corrcoef(first, other)[0, 1]) < 4 / np.sqrt(n)


def test_shuffles_are_uniform():
    bits = mix(np.arange(24_000, dtype=np.uint64))
    orders = shuffled(stream("slots", 0), bits, 4)
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert np.sum((counts - 1000) ** 2 / 1000) < 60


def test_ranking_ignores_what_is_left_out():
    bits = mix(np.arange(100, dtype=np.uint64))
    full = bits[ranking(np.uint64(5), bits)]
    half = bits[::2]
    assert [b for b in full if b in set(half)] == list(half[ranking(np.uint64(5), half)])
