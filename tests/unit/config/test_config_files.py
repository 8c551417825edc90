"""The configuration as files: mistakes that reading hides, and the record of a run, which is a configuration again."""

import pytest
import yaml
from snakemake.utils import update_config

from contrastive_context.config.files import check_files, write_effective
from contrastive_context.config.study import load_study
from contrastive_context.core.errors import UserError
from contrastive_context.workflow.adoption import adopt
from contrastive_context.workflow.snakemake_internals import read_config_file
from contrastive_context.workflow.verification import verify


def merged(*paths) -> dict:
    """Merge as Snakemake does: an empty mapping first, so that entries don't share what an alias names."""
    config: dict = {}
    for path in paths:
        update_config(config, read_config_file(path))
    return config


@pytest.mark.parametrize(
    "overlays",
    [
        [], ["open-models"], ["paper-other-tasks"], ["quickstart"], ["laptop-study"],
        ["quickstart", "translation"], ["quickstart", "other-tasks"],
    ],
)  # fmt: skip
def test_what_a_run_leaves_is_the_same_configuration_again(repository, tmp_path, overlays):
    files = [repository / "config.yaml", *(repository / f"envs/overlays/{name}.yaml" for name in overlays)]
    study = load_study(merged(*files))
    path = tmp_path / "results/mine/config.yaml"
    write_effective(study, path)
    check_files([path])
    assert load_study(yaml.safe_load(path.read_text())) == study
    # As the only --configfile: Snakemake merges it over config.yaml.
    assert load_study(merged(repository / "config.yaml", path)) == study


@pytest.mark.parametrize("name", ["config", "config.only_finished"])
def test_the_record_is_neither_orphaned_nor_undescribed(study_config, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_effective(load_study(study_config), f"results/mine/{name}.yaml")
    assert list(verify("results/mine")) == []
    assert adopt("results/mine") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks:\n\tlexicon: {k: 3}\n", "mine.yaml:2: not valid YAML: found"),
        ("tasks:\n\tlexicon: {k: 3}\n", "indent with spaces, not with tabs"),
        ("grid: [{task: lexicon}\n", "mine.yaml:2: not valid YAML: "),
        ("title: mine: all of it\n", "mine.yaml:1: not valid YAML: mapping values are not allowed"),
        ("title: mine: all of it\n", "put text with a colon in quotes"),
        ("run: a\nrun: b\n", "mine.yaml:2: run stands twice, before in line 1"),
        ("tasks:\n  a: {k: 1}\n  b:\n    k: 1\n    k: 2\n", "mine.yaml:5: tasks.b.k stands twice, before in line 4"),
        ("- run: mine\n", "mine.yaml: must be a mapping of keys to values, as in 'run: mine'"),
        ("# nothing yet\n", "mine.yaml: must be a mapping of keys to values"),
        ("a: 1\nb: *c\n", "mine.yaml:2: not valid YAML: found undefined alias"),
        ("a: 1\nb: {<<: 3}\n", "mine.yaml:2: not valid YAML: expected a mapping"),
        ("a: &a\n  b: {<<: *a}\n", "mine.yaml:1: a.b.<< is an alias of what it stands in"),
        ("a: 1\nwhen: 2026-13-01\n", "mine.yaml: not valid YAML: month must be in 1..12"),
        ("models:\n  a:\n    runtime: 4:00:00\n", "mine.yaml:3: models.a.runtime: YAML takes 4:00:00 for a number"),
        ("cluster: {max_runtime: 1:30}\n", "give minutes as a whole number, or put text in quotes"),
        (
            "tasks:\n  a:\n    target: no\n",
            "mine.yaml:3: tasks.a.target: YAML takes no for a switch; write true or false",
        ),
        (
            "tasks:\n  no: {k: 3}\n",
            "mine.yaml:2: tasks.no: YAML takes no for a switch; write true or false, or put text",
        ),
        ("a: [x, On]\n", "mine.yaml:1: a.1: YAML takes On for a switch"),
        ("seeds: [010]\n", "mine.yaml:1: seeds.0: YAML takes 010 for a number to base 8; write it without the leading"),
        ("a: [1, 0:30.5]\n", "mine.yaml:1: a.1: YAML takes 0:30.5 for a number to base 60"),
    ],
)
def test_mistakes_in_a_file_are_named_by_line(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        check_files([path])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "title: '4:00:00'\n", "title: 4:00 and later\n", "title: 2026-01-01 10:00:00\n",
        "a: {'no': 'off', x: true, y: 0, z: 0x1F}\n",
    ],
)  # fmt: skip
def test_what_yaml_reads_as_it_is_meant_passes(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    check_files([path])


def test_what_is_no_file_is_named_and_all_files_are_told_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text("a: [\n")
    with pytest.raises(UserError) as caught:
        check_files(["not-there.yaml", tmp_path, "broken.yaml", tmp_path / "broken.yaml"])
    first, second, third = str(caught.value).splitlines()
    assert first == "not-there.yaml: no such file"
    assert second.endswith(": this is a folder; name a file in it")
    assert third.startswith("broken.yaml:2: not valid YAML")


def test_text_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes("title: Übung\n".encode("latin-1"))
    with pytest.raises(UserError, match="save it as UTF-8"):
        check_files([path])


def test_merge_keys_and_aliases_are_no_duplicates(repository, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 2}\nc: [*a, *a]\n")
    check_files([path, repository / "config.yaml", *repository.glob("envs/overlays/*")])
