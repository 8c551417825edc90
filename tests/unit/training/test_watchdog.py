"""The watchdog stops explosions and lets hard batches pass."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_context.training.watchdog import Diverged, Watchdog


def watch(losses, factor=5.0):
    watchdog = Watchdog(factor)
    for step, loss in enumerate(losses, 1):
        watchdog.check(step, loss, 1.0)
    return watchdog


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_what_is_not_finite_stops_at_once(loss, norm):
    with pytest.raises(Diverged, match=r"at step 7; lower the recipe's learning_rate"):
        Watchdog(5).check(7, loss, norm)


def test_an_explosion_stops_at_its_third_step():
    losses = [3.0, 2.0, 1.5, 1.4, 9.0, 9.0]
    assert watch(losses).is_suspicious
    with pytest.raises(Diverged, match=r"exploded: 9 at step 7, the third in a row above 5 times the median so far"):
        watch([*losses, 9.0])


@pytest.mark.parametrize(
    "losses",
    [
        [3.0, 2.0, 1.0, 9.0, 9.0, 1.0, 9.0, 9.0, 1.0],  # hard batches, never three in a row
        [2.0, 0.5, 0.01, *[0.001] * 60, 0.4, 0.9, 1.5, 0.7],  # far above the median, but good losses
        [0.1, *[8.0] * 2],
    ],
)
def test_what_may_be_chance_passes(losses):
    watch(losses)


def test_a_higher_factor_is_more_patient():
    losses = [1.0, 6.0, 6.0, 6.0]
    with pytest.raises(Diverged):
        watch(losses, factor=5)
    watch(losses, factor=7)


@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=120))
@settings(deadline=None)
def test_falling_losses_never_stop(losses):
    assert not watch(sorted(losses, reverse=True)).is_suspicious
