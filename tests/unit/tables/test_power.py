"""Power by simulation, against what is known of it."""

import numpy as np
import pytest
from scipy import stats

from contrastive_context.config.statistics import Statistics
from contrastive_context.tables import power, tidy
from contrastive_context.tables.settings import BuildTablesSettings
from simulated_studies import study
from synthetic_results import scores_frame

SETTINGS = BuildTablesSettings(statistics=Statistics(min_targets=1), buckets={"high": 0.0})


def _study(rng, runs=5, **options):
    means = {"base": 0.5, "zero": 0.5, "mixed": 9.0}
    return study(rng, means, 60, models=("a", "b"), runs=runs, scale=0.05, **options)


@pytest.mark.parametrize("settings", [{"confidence": 0.95}, {"confidence": 0.8}])
def test_without_noise_of_targets_it_is_that_of_a_t_test(settings):
    # One model, so all degrees of freedom are its runs'. Mixed has learned something, so that the claim is judged.
    systems = {"base": {None: 0.5}, "zero": {0: 0.01, 1: 0.03, 2: 0.05}, "mixed": {0: 0.9}}
    scores = tidy.Cells(headline={"t": "token_accuracy"})
    for strategy, values in systems.items():
        key = tidy.CellKey("t", "in_domain", "m", strategy, "one_graded", "high", "token_accuracy")
        scores.cells[key] = {9: {seed: tidy.Cell(v, np.full(100, v), 500, 100) for seed, v in values.items()}}
    effect = 0.05
    statistics = Statistics(min_effects={"token_accuracy": effect}, **settings)
    found = power.table(scores, tidy.Cells(), SETTINGS.model_copy(update={"statistics": statistics}), [3, 6], [1])
    found = found[found["claim"] == "zero_below_base_high"]
    assert found["run_sd"].tolist() == pytest.approx([0.02, 0.02]) and (found["target_se"] == 0).all()
    for count, value in zip(found["runs"], found["power"], strict=True):
        critical = stats.t.isf((1 - statistics.confidence) / 2, count - 1)
        expected = stats.nct.sf(critical, count - 1, effect / (0.02 / np.sqrt(count)))
        assert value == pytest.approx(expected, abs=0.025)
    # With the effect that is said to be detectable, the power is what is planned for.
    for count, least in zip(found["runs"], found["detectable"], strict=True):
        critical = stats.t.isf((1 - statistics.confidence) / 2, count - 1)
        assert stats.nct.sf(critical, count - 1, least / (0.02 / np.sqrt(count))) == pytest.approx(0.8, abs=0.025)


def test_more_runs_and_more_targets_give_more_of_it():
    found = power.table(_study(np.random.default_rng(1), run=0.5), tidy.Cells(), SETTINGS, [2, 5, 10], [1, 4])
    by_size = found.set_index(["runs", "targets"])["power"]
    sizes = sorted(set(found["targets"]))
    for few, many in ((2, 5), (5, 10)):
        assert (by_size[few] <= by_size[many] + 0.02).all()
    for count in (2, 5, 10):
        assert by_size[count, sizes[0]] <= by_size[count, sizes[1]] + 0.02


def test_what_was_not_repeated_or_not_judged_is_left_out():
    one = power.table(tidy.score_cells(scores_frame(), Statistics(resamples=100)), tidy.Cells(), SETTINGS, [3], [1])
    assert not len(one)
