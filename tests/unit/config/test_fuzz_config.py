"""Whatever stands at a key of the configuration, it is read or refused in words: never with a traceback.

What is read must do for all that the workflow's files ask of it before a job runs.
"""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_context.config.grid import Grid
from contrastive_context.config.hub_entries import hub_entries
from contrastive_context.config.study import Study, load_study
from contrastive_context.core.errors import UserError
from contrastive_context.workflow.inputs import Inputs
from contrastive_context.workflow.jobs import Jobs
from contrastive_context.workflow.steps import SETTINGS, settings_class
from fuzzing import EXAMPLES

pytestmark = pytest.mark.slow
TEXTS = ("../x", "a/b", "\0")
NUMBERS = (float("inf"), float("nan"), -1, 10**30, 1.5)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(TEXTS)
    | st.sampled_from(NUMBERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a configuration."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
    return [(node, key) for key in keys] + [place for key in keys for place in places(node[key])]


def plan(study: Study) -> None:
    """Ask a study for all that the rules do."""
    grid, inputs, jobs = Grid(study), Inputs(study, "results/x"), Jobs(study)

    def settings_of(step: str, *names) -> None:
        settings_class(step).of(study, *names).model_dump_json()

    for package in study.packages:
        settings_of("fetch_package", package)
    for registry, name, _ in hub_entries(study):
        settings_of("fetch_hub", registry, name)
    for task in grid.tasks:
        encoder = study.tasks[task].encoder
        settings_of("prepare_encoder", encoder), settings_of("rebucket", task, encoder)
        for step in (
            "build_corpus", "embed_corpus", "find_neighbours", "freeze_eval_contexts", "freeze_probes",
            "predict_nearest_label", "list_segments", "score_execution",
        ):  # fmt: skip
            settings_of(step, task)
        inputs.corpus_files(task), inputs.corpus_packages(task), inputs.corpus_hub(task)
        inputs.stand_ins(task), inputs.trained_paraphrases(task), inputs.segment_scores(task, "nearest_label")
        for paraphraser in grid.trained_paraphrasers(task):
            settings_of("paraphrase", task, "train", paraphraser)
            if inputs.endpoint_answers(task, "train", paraphraser):
                settings_of("ask_endpoint", task, "train", paraphraser)
        for metric in grid.learned_metrics(task):
            settings_of("score_comet", metric)
    for task, model in grid.pairs:
        for step in ("generate", "run_probes", "score", "collect_examples"):
            settings_of(step, task, model)
        jobs.resources("finetune")["runtime"](SimpleNamespace(task=task, model=model), attempt=2)
    for entry in study.grid:
        for strategy in entry.strategies:
            settings_of("sample_train_contexts", entry.task, strategy)
            inputs.paraphrases(entry.task, strategy), inputs.neighbours(entry.task, strategy)
            for model in entry.models:
                settings_of("prepare_model", model)
                settings_of("finetune", entry.task, model, strategy, entry.seeds[0])
    for step in SETTINGS:
        if step.startswith(("plot_", "build_tables", "build_report", "simulate", "prefetch", "list_gaps")):
            settings_of(step)
    inputs.hub_used(), inputs.packages_used(), inputs.metric_records(), jobs.safeguards


@settings(EXAMPLES, max_examples=5 * EXAMPLES.max_examples)
@given(data=st.data())
def test_any_value_at_any_key(study_config, data):
    config = copy.deepcopy(study_config)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(config)))
        if data.draw(st.booleans()) or not isinstance(container, dict):
            container[key] = data.draw(values)
        else:
            container[data.draw(st.text(max_size=8) | st.integers())] = container.pop(key)
    try:
        study = load_study(config)
    except UserError as error:
        assert str(error).strip()
    else:
        plan(study)


@pytest.mark.parametrize("number", NUMBERS[:2], ids=str)
def test_any_number_at_any_key(study_config, number):
    for place in range(len(places(study_config))):
        config = copy.deepcopy(study_config)
        container, key = places(config)[place]
        if isinstance(container[key], bool) or not isinstance(container[key], (int, float)):
            continue
        container[key] = number
        try:
            study = load_study(config)
        except UserError as error:
            assert str(error).strip()
            continue
        plan(study)
