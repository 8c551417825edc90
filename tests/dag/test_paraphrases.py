"""Which jobs a paraphraser brings: none that talks to an endpoint unless the grid names it."""

import re

import pytest
import yaml
from kept_results import snakemake


def jobs(checkout, tmp_path, overlay, *targets):
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    files = ["config.yaml", "envs/overlays/quickstart.yaml", str(tmp_path / "overlay.yaml")]
    status, output = snakemake(checkout, "-n", "--configfile", *files, targets=targets)
    assert status == 0, output
    return dict(re.findall(r"^(\w+) +(\d+)$", output.split("Job stats:")[-1], flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("paraphraser", "asks", "prepares"), [("rules", None, None), ("gemini", "1", None), ("small", None, "1")]
)
def test_each_paraphraser_brings_what_it_needs(checkout, tmp_path, paraphraser, asks, prepares):
    overlay = {
        "paraphrasers": {"small": {"kind": "language_model", "model": "smollm2-135m"}},
        "strategies": {"contrastive": {"paraphrasers": {"intents": paraphraser}}},
    }
    found = jobs(checkout, tmp_path, overlay, "results/quickstart/contexts/intents/train/contrastive.parquet")
    assert found["paraphrase"] == "1"
    assert (found.get("ask_endpoint"), found.get("prepare_model")) == (asks, prepares)


def test_the_default_grid_paraphrases_with_a_model_and_asks_no_endpoint(checkout):
    status, output = snakemake(checkout, "-n")
    assert status == 0, output
    assert "paraphrases/en-de/train/qwen.parquet" in output
    assert "gemini" not in output and "ask_endpoint" not in output


def test_test_pairs_are_paraphrased_for_the_evaluation(checkout, tmp_path):
    found = jobs(checkout, tmp_path, {}, "results/quickstart/paraphrases/intents/test/rules.parquet")
    assert found["paraphrase"] == "1" and "sample_train_contexts" not in found
