"""The README's example of a task with one's own data, run as it stands there."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from contrastive_context.core.artifacts import read_json
from frozen_contexts import check_task
from software_strings import LANGUAGES, PLACES, THINGS, VERBS, say

MARKER = "<!-- example: own data -->"


def example(repository: Path) -> str:
    """The shell block after the marker."""
    found = re.search(rf"{re.escape(MARKER)}\n```bash\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    assert found, f"README.md has no block of bash after {MARKER}"
    return found.group(1)


def run_in(folder: Path, script: str) -> subprocess.CompletedProcess:
    # The example calls `snakemake`, and its steps `python`: those that run the tests.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-e", "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def empty_checkout(repository: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow_scripts"):
        (folder / name).symlink_to(repository / name)
    return folder


@pytest.fixture(scope="module")
def folder(repository, tmp_path_factory) -> Path:
    """A checkout in which the example was run."""
    folder = empty_checkout(repository, tmp_path_factory.mktemp("own") / "checkout")
    result = run_in(folder, example(repository))
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_corpus_holds_the_file_and_rooms_stay_together(folder):
    corpus = folder / "results/mine/corpus/home"
    splits = {name: pd.read_parquet(corpus / f"{name}.parquet") for name in ("train", "dev", "arrivals", "test")}
    written = pd.read_csv(folder / "mine.tsv", sep="\t")
    assert sum(map(len, splits.values())) == len(written)
    assert set(splits["test"]["cluster"]) | set(splits["arrivals"]["cluster"]) <= set(written["room"])
    assert not set(splits["train"]["cluster"]) & (set(splits["test"]["cluster"]) | set(splits["arrivals"]["cluster"]))
    assert read_json(corpus / "counts.json")["read"] == {"generated": len(written), "dropped": {}, "kept": len(written)}


def test_contexts_were_drawn(folder):
    contexts = pd.read_parquet(folder / "results/mine/contexts/home/train/similar.parquet")
    assert {len(ids) for ids in contexts["example_ids"]} == {2}
    frozen = pd.read_parquet(folder / "results/mine/contexts/home/eval.parquet")
    assert {"low", "medium", "high"} <= set(frozen["bucket"])
    assert check_task(folder / "results/mine", "home") > 0


def test_a_damaged_file_stops_the_run_with_its_lines(folder):
    damage = "printf 'torn\\ntorn\\n' >> mine.tsv"
    command = "snakemake --cores 1 --configfile config.yaml envs/overlays/quickstart.yaml mine.yaml"
    result = run_in(folder, f"{damage}; {command} --config run=damaged -- results/damaged/corpus/home/counts.json")
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert "tasks.home.corpus: 2 of 122 rows are malformed" in output
    assert "mine.tsv, 122: not 3 columns; mine.tsv, 123: not 3 columns" in output
    assert "Traceback" not in output
    assert not (folder / "results/damaged/corpus/home/counts.json").exists()


@pytest.fixture(scope="module")
def hindi(repository, tmp_path_factory) -> tuple[Path, str]:
    """Results of the example's task on English–Hindi pairs, by two kinds of anchors; and what Snakemake printed."""
    folder = empty_checkout(repository, tmp_path_factory.mktemp("hindi") / "checkout")
    language = LANGUAGES.index("hi")
    lines = [
        f"{say(0, verb, thing, place)}\t{say(language, verb, thing, place)}\t{verb[0]} {place[0]}"
        for verb, place, thing in itertools.product(VERBS, PLACES[:4], THINGS)
    ]
    (folder / "hindi.tsv").write_text("\n".join(["english\thindi\taction", *lines]) + "\n")
    written = re.search(r"cat > mine.yaml <<'EOF'\n(.*?)^EOF$", example(repository), re.DOTALL | re.MULTILINE)
    study = yaml.safe_load(written.group(1))
    (task,), (entry,) = study["tasks"].values(), study["grid"]
    task["corpus"] |= {"files": "hindi.tsv", "columns": {"source": "english", "target": "hindi", "cluster": "action"}}
    task["corpus"]["cleaning"] = {"target_script": "Devanagari"}
    task["template"]["target_prefix"] = "\nHindi:"
    kinds = ("aligned_words", "shared_words")
    study["tasks"] = {kind: task | {"probes": task["probes"] | {"anchors": kind}} for kind in kinds}
    study["strategies"]["contrastive"]["paraphrasers"] = dict.fromkeys(kinds, "rules")
    study["grid"] = [entry | {"task": kind} for kind in kinds]
    (folder / "mine.yaml").write_text(yaml.safe_dump(study, allow_unicode=True))
    result = run_in(
        folder,
        "snakemake --cores 2 --configfile config.yaml envs/overlays/quickstart.yaml mine.yaml --until freeze_probes",
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    return folder / "results/mine", output


def test_words_of_another_script_are_probed_when_aligned(hindi):
    results, output = hindi
    prompts = pd.read_parquet(results / "contexts/aligned_words/probes.parquet")
    coverage = read_json(results / "contexts/aligned_words/probes.coverage.json")
    assert coverage["used_icl"] == 5 and not coverage["missing"]
    assert "tasks.aligned_words.probes" not in output
    relevant = prompts.loc[prompts["role"] == "icl_relevant"]
    assert len(relevant) == 5
    gold = pd.read_parquet(results / "corpus/aligned_words/test.parquet").set_index("id")["target"]
    for _, prompt in relevant.iterrows():
        assert prompt["label"] in {"mirvoth", "teskall"}
        # One word of the target, in its script, was replaced by the label.
        before, after = gold[prompt["target_id"]].split(), prompt["gold"].split()
        assert [new for old, new in zip(before, after, strict=True) if old != new] == [prompt["label"]]


def test_without_a_shared_word_the_probe_is_left_out_and_said_so(hindi):
    results, output = hindi
    coverage = read_json(results / "contexts/shared_words/probes.coverage.json")
    missing = {entry["probe"]: entry["reason"] for entry in coverage["missing"]}
    prompts = pd.read_parquet(results / "contexts/shared_words/probes.parquet")
    assert set(missing) == {"icl", "icl_valid"}
    assert set(prompts["role"]) == {"irrelevant", "other_irrelevant"}
    reason = (
        f"0 of {coverage['fillable_irrelevant']} targets have an anchor (shared_words), fewer than 5; another kind of "
        "anchors (aligned_words: for any scripts) would help"
    )
    assert set(missing.values()) == {reason}
    assert f"tasks.shared_words.probes: without icl, icl_valid: {reason}" in output
