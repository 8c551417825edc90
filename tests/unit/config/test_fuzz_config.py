"""Whatever stands at a key of the configuration, it is read or refused in words: never with a traceback.

What is read must do for all that the workflow's files ask of it before a job runs.
"""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrastive_context.config.study import Study, load_study
from contrastive_context.core.errors import UserError
from contrastive_context.workflow.stages import Stages

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


@pytest.fixture(scope="module")
def plan(repository, tmp_path_factory):
    """A function that asks the stages of a study for all that the rules do."""
    cache = tmp_path_factory.mktemp("fuzz") / "versions.json"
    every_version = Stages(load_shipped(repository), repository / "workflow_scripts", cache)._versions

    def plan(study: Study) -> None:
        stages = Stages(study, repository / "workflow_scripts", cache)
        stages._versions = every_version
        for package in stages.packages_used:
            stages.fetch_package(package)
        for registry, name in stages.hub_used:
            stages.fetch_hub(registry, name)
        for task in stages.tasks:
            encoder = study.tasks[task].encoder
            stages.prepare_encoder(encoder), stages.rebucket(task, encoder)
            for step in (
                stages.build_corpus, stages.embed_corpus, stages.find_neighbours, stages.freeze_eval_contexts,
                stages.freeze_probes, stages.predict_nearest_label, stages.corpus_files, stages.list_segments,
            ):  # fmt: skip
                step(task)
            for paraphraser in stages.trained_paraphrasers(task):
                stages.paraphrase(task, "train", paraphraser)
            for metric in stages.learned_metrics(task):
                stages.score_comet(metric)
        for task, model in stages.pairs:
            for step in (stages.generate, stages.run_probes, stages.score, stages.collect_examples):
                step(task, model)
            wildcards = SimpleNamespace(task=task, model=model)
            stages.resources("finetune")["runtime"](wildcards, attempt=2)
        for entry in study.grid:
            for strategy in entry.strategies:
                stages.sample_train_contexts(entry.task, strategy)
                for model in entry.models:
                    stages.prepare_model(model)
                    stages.finetune(entry.task, model, strategy, entry.seeds[0])
        stages.simulate_minimal_model(), stages.plot_minimal_model(), stages.plot("plot_summary")
        stages.build_tables(), stages.build_report(), stages.prefetch(), stages.safeguards

    return plan


def load_shipped(repository) -> Study:
    import yaml

    return load_study(yaml.safe_load((repository / "config.yaml").read_text()))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_at_any_key(study_config, plan, data):
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
def test_any_number_at_any_key(study_config, plan, number):
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
