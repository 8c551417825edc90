"""What a study sets is noted once, and again when it has changed."""

from contrastive_context.config.claims import CLAIMS
from contrastive_context.config.study import load_study
from contrastive_context.report import registration


def test_a_study_is_noted_before_results_and_when_it_changes(study_config, tmp_path):
    path = tmp_path / registration.FILE
    registration.record(load_study(study_config), tmp_path)
    first = path.read_bytes()
    registration.record(load_study(study_config), tmp_path)
    assert path.read_bytes() == first
    (told,) = registration.read(path).entries
    assert told[0].endswith("UTC, before any answer") and told[1].startswith(f"{len(CLAIMS)} claims")

    answers = tmp_path / "predictions/lexicon/tiny-llama"
    answers.mkdir(parents=True)
    (answers / "base.jsonl").write_text("{}")
    registration.record(load_study(study_config | {"statistics": {"level_margin": 0.2}}), tmp_path)
    found = registration.read(path)
    assert found.changed and found.entries[0] == told
    assert found.entries[1][0].endswith("UTC, with answers of 1 systems")
    assert found.entries[1][1] == "statistics.level_margin: 0.05 → 0.2"


def test_without_a_record_nothing_is_said():
    assert registration.read(None) is None
