"""Whose text and weights the report names."""

from pathlib import PurePath

import pytest
import yaml
from snakemake.utils import update_config

from contrastive_context.config.study import load_study
from contrastive_context.report.licences import licences
from contrastive_context.report.usage import effective_config, usage


def effective(repository, *overlays) -> dict:
    config = yaml.safe_load((repository / "config.yaml").read_text())
    for overlay in overlays:
        update_config(config, yaml.safe_load((repository / f"envs/overlays/{overlay}.yaml").read_text()))
    study = load_study(config)
    tasks = list(dict.fromkeys(entry.task for entry in study.grid))
    models = list(dict.fromkeys(model for entry in study.grid for model in entry.models))
    return effective_config(study.model_dump(mode="json"), tasks, models)


def test_the_paper_grid_names_everything_from_the_hub(repository):
    revision = "0123456789abcdef" * 2 + "01234567"
    records = {("models", "llama-3.2-1b"): {"revision": revision, "licence": "llama3.2"}}
    rows = {row.name: row for row in licences(effective(repository), records)}
    llama = rows["meta-llama/Llama-3.2-1B"]
    assert llama.version == revision[:12]
    assert (
        llama.licence == "Llama 3.2 Community License"
    )  # what the configuration says goes before the hub's short name
    assert llama.origin == "https://huggingface.co/meta-llama/Llama-3.2-1B"
    assert rows["google/wmt24pp en-ta_IN"].licence == "Apache-2.0"
    assert rows["google/wmt24pp en-ta_IN"].origin == "https://huggingface.co/datasets/google/wmt24pp"
    assert rows["sentence-transformers/all-MiniLM-L6-v2"].version == "main"
    assert "Qwen/Qwen2.5-7B" not in rows  # not in this grid


def test_open_models_need_no_licence_click(repository):
    rows = licences(effective(repository, "open-models"), {})
    models = [row for row in rows if row.contents == "language model"]
    assert len(models) == 4
    assert {row.licence for row in models} == {"Apache-2.0"}


@pytest.mark.parametrize(
    "overlays",
    [
        (), ("open-models",), ("paper-other-tasks",), ("quickstart",), ("laptop-study",),
        ("laptop-study", "laptop-study-tuning"),
        ("quickstart", "translation"), ("quickstart", "other-tasks"),
    ],
    ids="-".join,
)  # fmt: skip
def test_every_text_and_weight_has_a_licence_and_an_origin_before_any_download(repository, overlays):
    config = effective(repository, *overlays)
    rows = licences(config, {})
    assert [row for row in rows if not row.licence or row.licence.startswith("not stated") or not row.origin] == []
    named = {row.name for row in rows}
    for name in config["tasks"]:
        taken = usage(config, [name], []).names
        assert taken["packages"] | taken["datasets"] or name in named


def test_every_overlay_is_among_them(repository):
    (marked,) = test_every_text_and_weight_has_a_licence_and_an_origin_before_any_download.pytestmark
    tried = {overlay for overlays in marked.args[1] for overlay in overlays}
    assert tried == {path.stem for path in (repository / "envs/overlays").glob("*.yaml")}


def test_the_readme_names_whose_text_and_weights_the_configurations_use(repository):
    table = (repository / "README.md").read_text().partition("\n## Licences\n")[2]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0]] == ["what", "used by", "licence", "origin"]
    assert all(len(row) == 4 and all(cell.strip() for cell in row) for row in rows)
    for name in (
        "OPUS-100",
        "WMT24++",
        "BIRD",
        "Spider",
        "MTOP",
        "generated SQL",
        "lexicon",
        "Chromium",
        "xlm-roberta",
    ):
        assert name in table


def test_the_quickstart_takes_nothing_from_the_hub(repository):
    config = effective(repository, "quickstart")
    assert not any(config[registry] for registry in ("datasets", "metrics", "metric_encoders"))
    assert not any(entry.get("hub") for entry in config["encoders"].values())
    assert "hub" not in {entry["kind"] for entry in config["models"].values()}


@pytest.mark.parametrize(
    ("entry", "record", "licence"),
    [({}, {}, "not stated"), ({"licence": "not stated"}, {"licence": "mit"}, "mit"), ({"licence": "X"}, {}, "X")],
)
def test_licence_of_the_configuration_or_of_the_hub(entry, record, licence):
    config = {"models": {"m": {"kind": "hub", "name": "o/m", **entry}}, "tasks": {"t": {"corpus": {}}}}
    (row,) = licences(config, {("models", "m"): record})
    assert row.licence == licence


def test_own_files_state_theirs():
    corpus = {"kind": "files", "licence": "CC0", "origin": "written by us"}
    (row,) = licences({"tasks": {"mine": {"corpus": corpus}}}, {})
    assert (row.name, row.licence) == ("mine", "CC0")
    assert row.origin == "written by us"


def test_downloads_of_the_grid_are_the_runs_own(repository):
    config = effective(repository)
    used = usage(config, list(config["tasks"]), list(config["models"]))
    assert used.has_made(PurePath("hub/datasets/opus-en-de.json.provenance.json"))
    assert used.has_made(PurePath("hub/models/llama-3.2-1b.json.provenance.json"))
    assert not used.has_made(PurePath("hub/models/qwen2.5-7b.json.provenance.json"))
