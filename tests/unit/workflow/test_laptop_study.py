"""The laptop study's configuration: what is in it, and that models and synthetic tasks are kept apart."""

import pytest
import yaml
from snakemake.utils import update_config

from contrastive_context.config.grid import Grid
from contrastive_context.config.study import load_study
from contrastive_context.core.errors import UserError


@pytest.fixture
def laptop_config(repository, study_config):
    update_config(study_config, yaml.safe_load((repository / "envs/overlays/laptop-study.yaml").read_text()))
    return study_config


def test_four_families_on_both_tasks_with_five_strategies_and_five_seeds(laptop_config):
    study = load_study(laptop_config)
    grid = Grid(study)
    assert len(grid.pairs) == 8
    for task, model in grid.pairs:
        assert study.models[model].language == study.tasks[task].corpus.kind == task
        assert len(grid.systems(task, model)) == 1 + 5 * 5
    families = {task: [study.models[model].family for of, model in grid.pairs if of == task] for task in grid.tasks}
    assert families["lexicon"] == families["idiom"] == ["llama", "qwen3", "gemma3", "gpt_neox"]


def test_the_reported_seeds_are_not_those_of_the_trials(laptop_config):
    study = load_study(laptop_config)
    used = [study.tasks[task].corpus.seed for task in ("lexicon", "idiom")]
    used += [study.models[model].seed for entry in study.grid for model in entry.models]
    used += [seed for entry in study.grid for seed in entry.seeds]
    # Those of an earlier version of the study, which was seen; those of trials are 100 and more.
    assert not {0, 1, 2} & set(used) and max(used) < 100
    assert not {1, 2, 3} & {seed for entry in study.grid for seed in entry.seeds}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("grid", 1, "models"),
            ["tiny-llama"],
            "grid.1.models: tiny-llama knows the language lexicon only, but idiom's",
        ),
        (("grid", 0, "models"), ["idiom-neox"], "idiom-neox knows the language idiom only, but lexicon's corpus is of"),
        (("models", "tiny-llama", "language"), "idiom", "tiny-llama knows the language idiom only"),
        (("models", "idiom-llama", "language"), "idioms", "models.idiom-llama.language: must be 'lexicon' or"),
        (("models", "idiom-llama", "attempts"), 0, "models.idiom-llama.attempts: must be at least 1"),
        (("tasks", "idiom", "encoder"), "positions", "kind word_set goes with corpora of kind idiom"),
        (("tasks", "lexicon", "encoder"), "word-set", "kind positional_words goes with corpora of kind lexicon"),
        (
            ("strategies", "contrastive", "paraphrasers"),
            {"idiom": "lexicon", "lexicon": "lexicon"},
            "contrastive.paraph",
        ),
        (("tasks", "idiom", "corpus", "exceptional"), 1.5, "tasks.idiom.corpus.exceptional: must be "),
    ],
)
def test_what_does_not_fit_is_refused(laptop_config, path, value, message):
    node = laptop_config
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    with pytest.raises(UserError) as caught:
        load_study(laptop_config)
    assert message in str(caught.value)
