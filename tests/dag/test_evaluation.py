"""What the evaluation's settings bring, and what they leave alone."""

import copy

import pytest
from test_paraphrases import jobs

from contrastive_context.config.study import load_study
from contrastive_context.workflow.steps import Steps

EVAL = "results/quickstart/contexts/intents/eval.parquet"


def test_without_an_evaluation_paraphraser_nothing_is_paraphrased(checkout, tmp_path):
    assert not {"paraphrase", "prepare_model"} & jobs(checkout, tmp_path, {}, EVAL).keys()


def test_stand_ins_bring_their_paraphraser_and_those_trained_on(checkout, tmp_path):
    overlay = {
        "paraphrasers": {"small": {"kind": "language_model", "model": "smollm2-135m"}},
        "tasks": {"intents": {"evaluation": {"paraphraser": "small"}}},
    }
    found = jobs(checkout, tmp_path, overlay, EVAL)
    # Of the test pairs by the one, of the training pairs by the other: none of these may be shown.
    assert found["paraphrase"] == "2" and found["prepare_model"] == "1"


def test_another_encoder_rebuckets_without_generating_when_scores_are_there(checkout, tmp_path):
    found = jobs(checkout, tmp_path, {}, "results/quickstart/rebucketed/lexicon/bm25/scores.csv")
    assert found["rebucket"] == "1" and found["score"] == "4" and "build_tables" not in found


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": {"intents": {"metrics": ["exact_match", "bleu"], "bleu": {"tokenize": "char"}}}},
        {"figures": {"dpi": 90}},
        {"statistics": {"resamples": 500}},
        {"title": "Another title"},
    ],
    ids=["metrics", "figures", "statistics", "title"],
)
def test_predictions_survive_a_change_of_metric_or_plot(study_config, repository, tmp_path, change):
    from snakemake.utils import update_config

    def of_steps(config):
        settings = Steps(load_study(config), repository / "workflow_scripts", tmp_path / "versions.json").settings
        pair = ("intents", "smollm2-135m")
        return (
            settings("freeze_eval_contexts", "intents"),
            settings("finetune", *pair, "zero", 0),
            settings("generate", *pair),
            settings("run_probes", *pair),
        ), (settings("score", *pair), settings("build_tables"), settings("plot_summary"), settings("build_report"))

    before = of_steps(copy.deepcopy(study_config))
    update_config(study_config, change)
    after = of_steps(study_config)
    assert after[0] == before[0] and after[1] != before[1]
