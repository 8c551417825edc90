"""Signatures name what the numbers were computed with."""

import json

import pandas as pd

from contrastive_context.config.study import load_study
from contrastive_context.scoring.signatures import Checkpoint, read_revisions, signature, table
from contrastive_context.tables.settings import BuildTablesSettings
from contrastive_context.workflow.inputs import Inputs


def checkpoint(**changes) -> Checkpoint:
    entry = {"model": "Unbabel/wmt22-comet-da", "sha256": None, "encoder_name": "xlmr", "encoder": "FacebookAI/xlmr"}
    return Checkpoint(**entry | changes)


def test_bleu_names_the_tokenizer_of_each_task():
    scores = pd.DataFrame({"task": ["en-hi", "en-de", "en-de"], "metric": ["bleu", "bleu", "chrf++"]})
    found = table(scores, {"en-hi": "intl", "en-de": "13a"}, {}, {}).set_index(["task", "metric"])["signature"]
    assert "tok:intl" in found["en-hi", "bleu"] and "tok:13a" in found["en-de", "bleu"]
    assert "nw:2" in found["en-de", "chrf++"]


def test_comet_names_model_and_the_revisions_that_were_downloaded(tmp_path):
    for registry, name, revision in (("metrics", "comet", "a" * 40), ("metric_encoders", "xlmr", "b" * 40)):
        (tmp_path / registry).mkdir()
        (tmp_path / registry / f"{name}.json").write_text(json.dumps({"revision": revision}))
    revisions = read_revisions(tmp_path.glob("*/*.json"))
    assert signature("comet", "13a", {"comet": checkpoint()}, revisions) == (
        f"COMET|model:Unbabel/wmt22-comet-da|revision:{'a' * 40}|encoder:FacebookAI/xlmr|revision:{'b' * 40}"
    )


def test_a_local_checkpoint_is_named_by_its_checksum():
    local = checkpoint(model="kiwi/checkpoints/model.ckpt", sha256="c" * 64, encoder="xlmr")
    text = signature("comet_qe", "13a", {"comet_qe": local}, {})
    assert text == f"COMET-QE|model:kiwi/checkpoints/model.ckpt|sha256:{'c' * 64}|encoder:xlmr"


def test_the_paper_grid_hands_on_tokenizers_models_and_records(repository):
    import yaml

    study = load_study(yaml.safe_load((repository / "config.yaml").read_text()))
    settings = BuildTablesSettings.of(study)
    assert settings.tokenizers == {"en-de": "13a", "en-lt": "13a", "en-hi": "intl", "en-ta": "intl"}
    assert settings.learned["comet"].model == study.metrics["comet"].hub
    encoder = study.metrics["comet"].encoder
    assert Inputs(study, "r").metric_records() == ["r/hub/metrics/comet.json", f"r/hub/metric_encoders/{encoder}.json"]
