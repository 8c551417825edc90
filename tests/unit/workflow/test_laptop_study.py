"""The laptop study's configuration: what is in it, and that models and synthetic tasks are kept apart."""

import copy

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from contrastive_context.config.grid import Grid
from contrastive_context.config.study import load_study
from contrastive_context.core.errors import UserError
from contrastive_context.tables import markdown
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.workflow.checking import read_study


@pytest.fixture
def laptop_config(repository, study_config):
    update_config(study_config, yaml.safe_load((repository / "envs/overlays/laptop-study.yaml").read_text()))
    return study_config


def test_three_families_on_both_tasks_with_five_strategies_and_five_seeds(laptop_config):
    study = load_study(laptop_config)
    grid = Grid(study)
    for task, model in grid.pairs:
        assert study.models[model].language == study.tasks[task].corpus.kind
        main = [name for name in grid.systems(task, model) if not name.startswith("plane-")]
        assert len(main) == 1 + 5 * 5
    families = {task: [study.models[model].family for of, model in grid.pairs if of == task] for task in grid.tasks}
    assert families.pop("idiom-default") == ["llama"]
    assert families == {task: ["llama", "qwen3", "gpt_neox"] for task in ("lexicon", "idiom")}
    assert len(set(grid.planes["contrastive"].values())) == 4 * 3 - 1  # p + epsilon is at most 1


def test_tuning_changes_seeds_alone(laptop_config, repository):
    reported = load_study(copy.deepcopy(laptop_config))
    tuning = yaml.safe_load((repository / "envs/overlays/laptop-study-tuning.yaml").read_text())
    update_config(laptop_config, tuning)
    study = load_study(laptop_config)
    used = [study.tasks[task].corpus.seed for task in study.tasks if task in Grid(study).tasks]
    used += [study.models[model].seed for model in Grid(study).models]
    used += [seed for entry in study.grid for seed in entry.seeds]
    assert min(used) >= 100
    for entry, other in zip(study.grid, reported.grid, strict=False):  # the reported one has the plane beside it
        assert entry.model_copy(update={"seeds": other.seeds}) == other
    for task in Grid(study).tasks:
        corpus = study.tasks[task].corpus.model_copy(update={"seed": reported.tasks[task].corpus.seed})
        assert study.tasks[task].model_copy(update={"corpus": corpus}) == reported.tasks[task]
    for name in Grid(study).models:
        seed = reported.models[name].seed
        assert study.models[name].model_copy(update={"seed": seed}) == reported.models[name]
    assert study.finetuning == reported.finetuning and study.strategies == reported.strategies


def test_the_readme_says_what_the_findings_say(repository):
    folder = repository / "docs/laptop_study"
    findings = pd.read_csv(folder / "findings.csv", keep_default_na=False, na_values=[""])
    study = read_study([repository / "envs/overlays/laptop-study.yaml"])
    said = markdown.summary(findings.fillna({"reason": ""}), PresentationSettings.of(study))
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert readme.count("<!-- make verdicts RUN=laptop-study -->") == 1
    assert f"<!-- make verdicts RUN=laptop-study -->\n{said}<!-- end -->\n" in readme


def test_the_reported_seeds_are_not_those_of_the_trials(laptop_config):
    study = load_study(laptop_config)
    used = [study.tasks[task].corpus.seed for task in Grid(study).tasks]
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
