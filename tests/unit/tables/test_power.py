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
    # One model, so all degrees of freedom are its runs'.
    rng = np.random.default_rng(0)
    values = np.array([0.01, 0.03, 0.05])
    cells = {seed: tidy.Cell(value, np.full(100, value), 500, 100) for seed, value in enumerate(values)}
    base = tidy.Cell(0.0, np.zeros(100), 500, 100)
    scores = tidy.Cells(headline={"t": "token_accuracy"})
    for strategy, by_seed in (("base", {None: tidy.Cell(0.5, np.full(100, 0.5), 500, 100)}), ("zero", cells)):
        key = tidy.CellKey("t", "in_domain", "m", strategy, "one_graded", "high", "token_accuracy")
        scores.cells[key] = {0 if strategy == "base" else 9: by_seed}
    del base, rng
    effect = 0.05
    statistics = Statistics(min_effects={"token_accuracy": effect}, min_learned=0, **settings)
    # The trained one is below the base, so nothing was learned: it stands for Zero only.
    mixed = tidy.CellKey("t", "in_domain", "m", "mixed", "one_graded", "high", "token_accuracy")
    scores.cells[mixed] = {9: {0: tidy.Cell(0.9, np.full(100, 0.9), 500, 100)}}
    found = power.table(scores, tidy.Cells(), SETTINGS.model_copy(update={"statistics": statistics}), [3, 6], [1])
    found = found[found["claim"] == "zero_below_base_high"]
    assert found["run_sd"].tolist() == pytest.approx([0.02, 0.02]) and (found["target_se"] == 0).all()
    for count, value in zip(found["runs"], found["power"], strict=True):
        critical = stats.t.isf((1 - statistics.confidence) / 2, count - 1)
        expected = stats.nct.sf(critical, count - 1, effect / (0.02 / np.sqrt(count)))
        assert value == pytest.approx(expected, abs=0.025)


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
