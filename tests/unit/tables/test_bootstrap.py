import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.bootstrap import Bootstrap, Runs, generator, holm, interval, p_value

MEAN = get_metric("token_accuracy")


def _replicates(boot, clusters, values):
    return boot.replicates(clusters, MEAN.matrix(values, []), MEAN.from_sums)


def test_constant_data_has_an_interval_of_zero_width():
    clusters = [f"c{i % 7}" for i in range(50)]
    boot = Bootstrap(clusters, 200, generator(0, "t"))
    assert interval(1.0, _replicates(boot, clusters, [1.0] * 50), 0.95, 7) == (1.0, 1.0)
    assert interval(0.3, _replicates(boot, clusters, [0.3] * 50), 0.95, 7) == pytest.approx((0.3, 0.3), abs=1e-12)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # Clusters with a strong common effect: an interval that ignored them would cover far less often.
    rng = np.random.default_rng(1)
    covered = {"clusters": 0, "segments": 0}
    trials = 200
    for trial in range(trials):
        names = np.repeat(np.arange(40), 5)
        values = 0.5 + rng.normal(0, 0.1, 40)[names] + rng.normal(0, 0.05, 200)
        for kind, ids in (("clusters", names), ("segments", np.arange(200))):
            ids = [str(i) for i in ids]
            boot = Bootstrap(ids, 300, generator(trial, kind))
            low, high = interval(values.mean(), _replicates(boot, ids, values), 0.95, len(set(ids)))
            covered[kind] += low <= 0.5 <= high
    assert 0.89 <= covered["clusters"] / trials <= 0.98
    assert covered["segments"] / trials < 0.8


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    clusters = [str(i) for i in range(100)]
    hard = rng.normal(0.5, 0.2, 100)
    boot = Bootstrap(clusters, 500, generator(0, "t"))
    left, right = _replicates(boot, clusters, hard + 0.02), _replicates(boot, clusters, hard)
    low, high = interval(0.02, left - right, 0.95, 100)
    assert low == pytest.approx(0.02) and high == pytest.approx(0.02)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(12)))
def test_order_of_rows_does_not_matter(order):
    clusters = [f"c{i % 5}" for i in range(12)]
    values = [i / 12 for i in range(12)]
    boot = Bootstrap(clusters, 20, generator(3, "t"))
    again = Bootstrap([clusters[i] for i in order], 20, generator(3, "t"))
    assert np.allclose(
        _replicates(boot, clusters, values),
        _replicates(again, [clusters[i] for i in order], [values[i] for i in order]),
    )


def _runs(common, own, values):
    """Replicates of runs in which clusters cause noise in common and in each for itself, and how they vary."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (len(values) + 1, 20000))
    replicates = np.asarray(values)[:, None] + common * noise[0] + own * noise[1:]
    return replicates.mean(axis=0), Runs.of([values], [replicates])


def test_runs_widen_the_interval_by_students_t():
    values = [0.2, 0.3, 0.4]
    replicates, runs = _runs(0, 0, values)
    half = 4.302653 * 0.1 / np.sqrt(3)  # t with two degrees of freedom
    assert interval(0.3, replicates, 0.95, 50, runs) == pytest.approx((0.3 - half, 0.3 + half), rel=1e-5)
    assert interval(0.3, replicates, 0.95, 50) == pytest.approx((0.3, 0.3))
    # The p-value is where the interval touches 0.
    p = p_value(0.3, replicates, 50, runs)
    assert interval(0.3, replicates, 1 - p, 50, runs)[0] == pytest.approx(0, abs=1e-6)


def test_squared_half_widths_add_up():
    replicates, runs = _runs(0.1, 0, [-0.1, 0.1])
    low, high = interval(0.0, replicates, 0.95, 10_000, runs)
    expected = np.hypot(1.96 * 0.1, 12.7062 * 0.1)
    assert (-low, high) == pytest.approx((expected, expected), rel=0.03)


def test_noise_of_single_runs_counts_once():
    # It is in the runs' spread; of the bootstrap's variance only what they have in common is added.
    values = [-0.3, 0.0, 0.3]
    replicates, runs = _runs(0.1, 0.3, values)
    assert runs.models[0].own == pytest.approx(0.09, rel=0.03)
    assert runs.share == pytest.approx(np.sqrt(0.01 / (0.01 + 0.09 / 3)), rel=0.05)
    low, high = interval(0.0, replicates, 0.95, 10_000, runs)
    expected = np.hypot(1.96 * 0.1, 4.302653 * 0.3 / np.sqrt(3))
    assert (-low, high) == pytest.approx((expected, expected), rel=0.03)


def test_runs_that_agree_by_chance_are_taken_to_differ_by_a_part_of_their_own_noise():
    replicates, runs = _runs(0, 0.1, [0.3, 0.3, 0.3])
    least = np.sqrt(-np.log(0.9)) * 0.1  # a tenth of chi-squared with two degrees of freedom lies below it
    half = 4.302653 * least / np.sqrt(3)
    assert interval(0.3, replicates, 0.95, 10_000, runs) == pytest.approx((0.3 - half, 0.3 + half), rel=0.03)
    assert p_value(0.3, replicates, 10_000, runs) > 1e-3


def test_of_several_models_each_has_its_own_variance():
    # Two runs each: one model's differ by 0.2, the other's by 2.
    none = np.zeros((2, 100))
    runs = Runs.of([[-0.1, 0.1], [-1.0, 1.0]], [none, none])
    variances = np.array([0.02, 2.0]) / 2
    assert runs.error(50) == pytest.approx(np.sqrt(variances.sum()) / 2)
    assert runs.freedom(50) == pytest.approx(variances.sum() ** 2 / (variances**2).sum())  # Satterthwaite, near 1
    same = Runs.of([[-1.0, 1.0], [-1.0, 1.0]], [none, none])
    assert same.freedom(50) == pytest.approx(2) and same.error(50) == pytest.approx(np.sqrt(2 / 2 / 2))
    assert Runs.of([[0.0, 0.0], [0.0, 0.0]], [none, none]).freedom(50) == 2


def test_what_a_base_gives_all_runs_of_its_model_is_no_noise_of_the_runs():
    rng = np.random.default_rng(0)
    base, own = rng.normal(0, 1, (2, 1, 20000)), rng.normal(0, 0.5, (2, 3, 20000))
    replicates = [b + o for b, o in zip(base, own, strict=True)]
    runs = Runs.of([[0.0, 0.1, 0.2]] * 2, replicates)
    # Of the mean: the bases' (1 + 1) / 4, and the runs' own .25 / 6.
    assert runs.share == pytest.approx(np.sqrt(0.5 / (0.5 + 0.25 / 6)), rel=0.02)
    assert [model.own for model in runs.models] == pytest.approx([0.25, 0.25], rel=0.05)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_equal_systems_are_rarely_told_apart_over_few_runs(seeds, spread):
    # Differences of two equal systems: per run, per cluster (shared by the runs) and per run and cluster.
    rng, trials, clusters, resamples = np.random.default_rng(seeds), 1000, 25, 100
    weights = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples) / clusters
    effects = rng.normal(0, spread, (trials, seeds, 1))
    noise = rng.normal(0, 1, (trials, 1, clusters)) + rng.normal(0, 0.5, (trials, seeds, clusters))
    wrong = 0
    for values in effects + noise:
        by_seed, replicates = values.mean(axis=1), values @ weights.T
        mean, of_mean, runs = by_seed.mean(), replicates.mean(axis=0), Runs.of([by_seed], [replicates])
        low, _ = interval(mean, of_mean, 0.95, clusters, runs)
        wrong += low > 0 and p_value(mean, of_mean, clusters, runs) < 0.05
    assert wrong / trials <= 0.035


def test_a_cell_that_no_resample_reaches_is_nan_not_zero():
    boot = Bootstrap(["a", "b"], 200, generator(0, "t"))
    replicates = _replicates(boot, ["a"], [0.7])
    assert np.isnan(replicates).any() and np.nanmin(replicates) == pytest.approx(0.7)
    assert all(np.isnan(interval(np.nan, np.full(10, np.nan), 0.95, 2)))
    assert all(np.isnan(interval(0.5, np.full(10, 0.5), 0.95, 1)))


def test_generator_depends_on_seed_and_names():
    draw = lambda *key: generator(*key).integers(0, 1 << 30)  # noqa: E731
    assert draw(0, "a", "b") == draw(0, "a", "b")
    assert len({draw(0, "a", "b"), draw(1, "a", "b"), draw(0, "ab"), draw(0, "a", "c")}) == 4


def test_holm_against_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    nan = float("nan")
    assert holm([nan, 0.02]) == pytest.approx([nan, 0.02], nan_ok=True)


def test_p_value():
    rng = np.random.default_rng(0)
    assert p_value(1.96, rng.normal(1.96, 1, 20000), 10_000) == pytest.approx(0.05, abs=0.005)
    assert p_value(1.96, rng.normal(1.96, 1, 20000), 10) == pytest.approx(0.095, abs=0.005)  # t, and 10/9 the variance
    assert p_value(0.0, np.zeros(10), 20) == 1.0
    assert p_value(0.5, np.full(10, 0.5), 20) == 0.0
    assert p_value(0.0, np.ones(10), 20, Runs.of([[-1.0, 1.0]], [np.ones((2, 10))])) == pytest.approx(1.0)
    assert 0 < p_value(50.0, rng.normal(50, 1, 100), 200) < 1e-50
