"""What the evaluation's settings bring, and what they leave alone."""

from test_paraphrases import jobs

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
