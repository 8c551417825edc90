"""The configuration as files: mistakes that reading hides, and the record of a run, which is a configuration again."""

import pytest
import yaml
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config

from contrastive_context.config.files import check_files, write_effective
from contrastive_context.config.study import load_study
from contrastive_context.errors import UserError
from contrastive_context.reruns.adoption import adopt
from contrastive_context.reruns.verification import verify


def merged(*paths) -> dict:
    """Merge as Snakemake does: an empty mapping first, so that entries don't share what an alias names."""
    config: dict = {}
    for path in paths:
        update_config(config, load_configfile(path))
    return config


@pytest.mark.parametrize("overlays", [[], ["quickstart"], ["quickstart", "laptop-study"], ["open-models"]])
def test_what_a_run_leaves_is_the_same_configuration_again(repository, tmp_path, overlays):
    files = [repository / "config.yaml", *(repository / f"envs/overlays/{name}.yaml" for name in overlays)]
    study = load_study(merged(*files))
    path = tmp_path / "results/mine/config.yaml"
    write_effective(study, path)
    check_files([path])
    assert load_study(yaml.safe_load(path.read_text())) == study
    # As the only --configfile: Snakemake merges it over config.yaml.
    assert load_study(merged(repository / "config.yaml", path)) == study


def test_the_record_is_neither_an_orphan_nor_a_stranger(study_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_effective(load_study(study_config), "results/mine/config.yaml")
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
    ],
)
def test_mistakes_in_a_file_are_named_by_line(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        check_files([path])
    assert message in str(caught.value)


def test_text_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes("title: Übung\n".encode("latin-1"))
    with pytest.raises(UserError, match="save it as UTF-8"):
        check_files([path])


def test_merge_keys_and_aliases_are_no_duplicates(repository, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 2}\nc: [*a, *a]\n")
    check_files([path, tmp_path / "not-there.yaml", repository / "config.yaml", *repository.glob("envs/overlays/*")])
