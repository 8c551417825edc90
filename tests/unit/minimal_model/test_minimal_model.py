"""The minimal model: its parts, what analysis says of it, and how its training ends, negative controls included.

The outcomes hold for every one of five seeds and both variants; nothing here is averaged over seeds.
"""

import numpy as np
import pytest

from contrastive_context.config.minimal_model import Condition, MinimalModel
from contrastive_context.minimal_model.model import best_weight, in_weights, mix
from contrastive_context.minimal_model.table import COLUMNS, simulate
from contrastive_context.minimal_model.task import Generators, Task, graded_contexts, sample_contexts
from contrastive_context.minimal_model.training import Learner, train

VARIANTS = ("gate", "softmax")
SETTINGS = MinimalModel(probe_every=2000)
SMALL = MinimalModel(seeds=[0, 1], steps=30, probe_every=10, probe_targets=50, dimensions=6, features=16)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(SETTINGS)


@pytest.fixture(scope="module")
def ends():
    """Probes before and after training: (variant, condition, probe) → (first, last), each one value per seed."""
    names = ("zero", "random", "similar", "contrastive", "contrastive-p0", "similar-k1", "similar-all-grades",
             "random-strong-start")  # fmt: skip
    frame = simulate(SETTINGS, [(name, SETTINGS.conditions[name]) for name in names])
    frame = frame[frame["seed"].notna() & (frame["probe"] != "weight")].sort_values("seed")
    result = {}
    for key, rows in frame.groupby(["variant", "condition", "probe"]):
        first, last = (rows.loc[rows["step"] == step, "value"].to_numpy() for step in (0, SETTINGS.steps))
        assert len(first) == len(last) == 5
        result[key] = first, last
    return result


@pytest.fixture(params=VARIANTS)
def last(request, ends):
    """(condition, probe) → values after training of one variant, one per seed."""
    return lambda condition, probe: ends[request.param, condition, probe][1]


@pytest.fixture(params=VARIANTS)
def first(request, ends):
    return lambda condition, probe: ends[request.param, condition, probe][0]


# The task.


def test_both_parts_have_their_variance_and_h_is_free_of_constant_and_slope(task):
    draws = Generators(SETTINGS.seeds, 9)
    x = draws.sphere(60_000, SETTINGS.dimensions)
    g, h = task.learnable(x), task.unlearnable(x)
    assert np.abs((g**2).mean(1) - 1).max() < 0.03
    assert np.abs((h**2).mean(1) - 1).max() < 0.03
    assert np.abs(h.mean(1)).max() < 0.02
    assert np.abs(np.einsum("sn,snd->sd", h, x) / 60_000).max() * np.sqrt(16) < 0.03


@pytest.mark.parametrize("dimensions", [3, 5])
def test_the_closed_form_of_h_holds_in_few_dimensions_too(dimensions):
    settings = MinimalModel(seeds=[3], dimensions=dimensions, features=5)
    x = Generators([3], 9).sphere(200_000, dimensions)
    h = Task(settings).unlearnable(x)
    assert abs(h.mean()) < 0.02 and abs((h**2).mean() - 1) < 0.03
    assert np.abs(np.einsum("sn,snd->d", h, x) / 200_000).max() < 0.01


def test_neighbours_have_the_similarity_asked_for():
    draws = Generators([0, 1], 9)
    x = draws.sphere(100, 16)
    similarity = np.tile(np.linspace(-1, 1, 100), (2, 1))
    near = draws.neighbours(x, similarity)
    assert np.allclose((near**2).sum(-1), 1, atol=1e-5)
    assert np.allclose((near * x).sum(-1), similarity, atol=1e-5)


def test_graded_contexts_stay_below_their_ceiling():
    draws = Generators([0], 9)
    x = draws.sphere(2000, 16)
    similarity = np.einsum("snd,snkd->snk", x, graded_contexts(x, 0.67, 1.0, 0.33, 5, draws))
    assert similarity[..., 0].min() > 0.66 and similarity[..., 1:].max() < 0.331
    assert similarity[..., 1:].min() < -0.4  # dissimilar ones are not cut off


@pytest.mark.parametrize(
    "condition, share",
    [
        (Condition(kind="random"), [0] * 3),
        (Condition(kind="similar"), [1] * 3),
        (Condition(kind="contrastive", grades=(0.8, 0.9)), [0.5, 0, 0]),
        (Condition(kind="contrastive", p=0), [0] * 3),
        (Condition(kind="mixed", grades=(0.8, 0.9)), [0.5] * 3),
    ],
)
def test_contexts_hold_near_examples_where_their_condition_says(condition, share):
    draws = Generators([0, 1], 9)
    x = draws.sphere(3000, 40)
    similarity = np.einsum("snd,snkd->snk", x, sample_contexts(x, condition, 3, draws))
    assert np.allclose((similarity > 0.69).mean(1), share, atol=0.04)


def test_a_seed_draws_the_same_whatever_other_seeds_are_run():
    alone = simulate(SMALL.model_copy(update={"seeds": [1]}), [("random", Condition(kind="random"))])
    both = simulate(SMALL, [("random", Condition(kind="random"))])
    of_one = [frame.loc[frame["seed"] == 1, "value"].to_numpy() for frame in (alone, both)]
    assert len(of_one[0]) > 20 and np.allclose(*of_one, rtol=1e-5)


# The model.


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradient_matches_finite_differences(variant):
    random = np.random.default_rng(0)
    own, label, similarity = random.normal(size=(2, 7)), random.normal(size=(2, 7, 5)), random.uniform(-1, 1, (2, 7, 5))
    theta = np.array([[1.3, 0.7, -0.4], [4, 3, -1.5]])
    exact = mix(variant, theta, own, similarity, label).gradient
    for place in range(3):
        step = 1e-5 * np.eye(3)[place]
        ends = [mix(variant, theta + sign * step, own, similarity, label).answer for sign in (1, -1)]
        assert np.abs((ends[0] - ends[1]) / 2e-5 - exact[..., place]).max() < 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_step_descends_the_loss(variant):
    """The step of a learner is minus the learning rate times the numerical gradient of the mean of ½(ŷ − y)²."""
    random = np.random.default_rng(1)
    settings = MinimalModel(seeds=[0], dimensions=3, theta_gradient_limit=1e6)
    x, y = random.normal(size=(1, 9, 3)), random.normal(size=(1, 9))
    similarity, label = random.uniform(-1, 1, (1, 9, 5)), random.normal(size=(1, 9, 5))
    learner = Learner(settings, variant, Condition(kind="random"))
    learner.weights = random.normal(size=(1, 4))

    def loss(theta, weights):
        return 0.5 * ((mix(variant, theta, in_weights(weights, x), similarity, label).answer - y) ** 2).mean()

    before = learner.theta.copy(), learner.weights.copy()
    learner.step(x, y, similarity, label)
    rates = settings.learning_rate_theta, settings.learning_rate_weights
    after = learner.theta, learner.weights
    for which, rate in enumerate(rates):
        for place in range(before[which].shape[1]):
            ends = []
            for sign in (1, -1):
                moved = [array.copy() for array in before]
                moved[which][0, place] += sign * 1e-6
                ends.append(loss(*moved))
            slope = (ends[0] - ends[1]) / 2e-6
            assert (before[which] - after[which])[0, place] / rate == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_on_context_and_on_the_in_weights_answer_sum_to_one(variant):
    random = np.random.default_rng(0)
    similarity, label = random.uniform(-1, 1, (1, 50, 5)), random.normal(size=(1, 50, 5))
    mixed = mix(variant, np.array([[4.0, 3, -1.5]]), np.zeros((1, 50)), similarity, label)
    assert np.allclose(mixed.on_context.sum(-1) + mixed.on_weights, 1)
    assert np.allclose((mixed.on_context * label).sum(-1), mixed.answer)


# What analysis says.


def test_the_best_weight_matches_a_regression(task):
    draws, worst = Generators(SETTINGS.seeds, 9), 0.0
    x = draws.sphere(60_000, SETTINGS.dimensions)
    y, own = task.values(x), task.learnable(x)
    for s in (0.6, 0.8, 0.9, 0.95, 1.0):
        near = draws.neighbours(x, np.full(x.shape[:2], s))
        label = task.labels(near, draws)
        regression = ((y - own) * (label - own)).mean(1) / ((label - own) ** 2).mean(1)
        # κ from pairs of its own
        other = draws.sphere(60_000, SETTINGS.dimensions)
        h = task.unlearnable(other), task.unlearnable(draws.neighbours(other, np.full(x.shape[:2], s)))
        correlation = (h[0] * h[1]).mean(1) / np.sqrt((h[0] ** 2).mean(1) * (h[1] ** 2).mean(1))
        predicted = best_weight(correlation, s, 1.0, 1.0, SETTINGS.noise_variance)
        worst = max(worst, np.abs(predicted - regression).max())
    assert worst < 0.02


@pytest.mark.parametrize("grade", [0.8, 0.9])
@pytest.mark.parametrize("variant", VARIANTS)
def test_with_one_grade_the_slope_in_relevance_is_not_identified(task, variant, grade):
    """Statement 2, by full-batch gradient descent on Similar with one grade and an untrained f̂."""
    n, k = 3000, 5
    draws = Generators(SETTINGS.seeds, 9)
    x = draws.sphere(n, SETTINGS.dimensions)
    y = task.labels(x, draws)
    near = draws.neighbours(np.repeat(x[:, :, None], k, axis=2), np.full((5, n, k), grade))
    label = task.labels(near, draws).astype(float)
    similarity = np.full((5, n, k), grade)
    start = np.tile([4.0, 0, 0] if variant == "gate" else [0.0, 0, 0], (5, 1))
    theta = start.copy()
    for _ in range(500):
        mixed = mix(variant, theta, np.zeros((5, n)), similarity, label)
        theta -= 0.5 * np.einsum("sn,snp->sp", mixed.answer - y, mixed.gradient) / n
    moved = theta - start
    slope, intercept = (moved[:, 1], moved[:, 2]) if variant == "gate" else (moved[:, 0], moved[:, 2])
    assert (intercept > 0.3).all()
    assert np.abs(slope / intercept - grade).max() < 1e-3
    if variant == "gate":
        assert np.abs(moved[:, 0]).max() < 1e-9
        learned = theta[:, 1] * grade + theta[:, 2]
        predicted = learned / (1 + grade**2)
    else:
        learned = np.log(k) + theta[:, 0] * grade + theta[:, 2] - theta[:, 1]
        predicted = np.log(k) + 2 * (learned - np.log(k)) / (2 + grade**2)
    unrelated = mix(variant, theta, np.zeros((5, 1)), np.zeros((5, 1, k)), np.zeros((5, 1, k)))
    assert np.abs(unrelated.on_context.sum(-1)[:, 0] - 1 / (1 + np.exp(-predicted))).max() < 1e-3


# The outcomes of training.


def test_zero_does_not_move_theta_at_all(ends):
    for variant in VARIANTS:
        for place in (1, 2, 3):
            before, after = ends[variant, "zero", f"theta{place}"]
            assert (before == after).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_random_loses_in_context_learning(ends, variant):
    before, after = ends[variant, "random", "icl"]
    assert (after <= 0.35).all() and (after <= before / 2).all()
    assert (ends[variant, "random", "iwl"][1] >= 0.45).all()
    assert (ends[variant, "random", "copy"][1] <= 0.10).all()


def test_similar_copies_blindly_and_starves_the_weights(last):
    assert (last("similar", "copy") >= 0.6).all()
    assert (last("similar", "iwl") <= 0.1).all()
    assert (last("similar", "in_weights_r2") <= 0.2).all()
    assert (last("similar", "mse_low") >= 1.7 * last("contrastive", "mse_low")).all()


def test_contrastive_mixes(last):
    assert ((last("contrastive", "icl") >= 0.5) & (last("contrastive", "icl") <= 0.8)).all()
    assert (last("contrastive", "copy") <= 0.15).all()
    assert (np.abs(last("contrastive", "iwl") - last("random", "iwl")) <= 0.03).all()
    assert (last("contrastive", "mse_low") <= 1.05 * last("random", "mse_low")).all()
    assert (last("contrastive", "mse_high") <= 0.9 * last("random", "mse_high")).all()
    assert (last("contrastive", "mse_high") <= 0.98 * last("zero", "mse_high")).all()


def test_contrastive_without_its_neighbour_is_random(last):
    assert (np.abs(last("contrastive-p0", "icl") - last("random", "icl")) < 0.05).all()


def test_what_must_not_collapse_does_not(last):
    """Negative controls: were the outcomes built into the model, these would collapse too."""
    assert (last("similar-k1", "copy") < 0.2).all()
    assert (last("similar-all-grades", "copy") < 0.35).all()
    assert (last("random-strong-start", "icl") > 0.6).all()


# The table.


def test_the_table_is_tidy_and_its_means_are_the_seeds_means():
    frame = simulate(SMALL, [("zero", Condition(kind="zero")), ("similar", Condition(kind="similar", k=2))])
    assert tuple(frame.columns) == COLUMNS
    keys = ["variant", "condition", "seed", "step", "probe", "similarity"]
    frame["similarity"] = frame["similarity"].fillna(-1)
    assert not frame.duplicated(keys).any() and frame["value"].notna().all()
    assert set(frame["step"]) == {0, 10, 20, 30} and set(frame["n"]) == {50}
    single, pooled = frame[frame["seeds"] == 1], frame[frame["seeds"] == 2]
    keys.remove("seed")
    means = single.groupby(keys)["value"].mean()
    assert len(means) == len(pooled)
    for row in pooled.itertuples():
        assert row.value == pytest.approx(means[tuple(getattr(row, name) for name in keys)])
        assert row.ci_low <= row.value <= row.ci_high
    assert single["ci_low"].isna().all()


def test_one_seed_has_no_interval():
    frame = simulate(SMALL.model_copy(update={"seeds": [4]}), [("random", Condition(kind="random"))])
    assert frame["ci_low"].isna().all() and set(frame["seeds"]) == {1}
    assert set(frame["seed"]) == {4}


def test_training_starts_where_the_condition_says():
    condition = Condition(kind="random", starts={"gate": (8, 8, -4)})
    paths = train(SMALL, Task(SMALL), condition)
    assert paths["gate"].values["theta1"][0].tolist() == [8, 8]
    assert paths["softmax"].values["theta1"][0].tolist() == [4, 4]


@pytest.mark.parametrize("change", [{"seeds": [1, 1]}, {"starts": {"gate": (1, 2, 3)}}, {"conditions": {}}])
def test_settings_that_contradict_themselves_are_refused(change):
    with pytest.raises(ValueError, match=r"twice|softmax|at least 1"):
        MinimalModel(**change)
