"""COMET's real code, offline, on a checkpoint built here: the step gives COMET's own scores and repeats nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contrastive_context.core.artifacts import sha256_file
from contrastive_context.scoring.segments import read_scores, write_segments

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-comet/bin/python"
pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason="COMET IS NOT TESTED: no .venv-comet; `make comet-env`")
TRIPLES = [
    ("Hello world", "Hallo Welt", "Hallo, Welt!"),
    ("Good morning everyone", "Guten Morgen", "Guten Morgen allerseits"),
    ("x", "", "z"),
    ("a much longer source than the others have", "eine längere Ausgabe " * 9, "eine lange Ausgabe"),
]


@pytest.fixture(scope="module", params=["regression_metric", "referenceless_regression_metric"])
def model(request, tmp_path_factory) -> tuple[str, Path]:
    """The metric's name and a folder with its checkpoint."""
    folder = tmp_path_factory.mktemp(request.param)
    command = [PYTHON, REPOSITORY / "tests/comet/tiny_checkpoint.py", folder, request.param]
    subprocess.run(command, check=True, capture_output=True)
    return ("comet" if request.param == "regression_metric" else "comet_qe"), folder


def run(folder: Path, model: tuple[str, Path], triples=TRIPLES, **changes) -> tuple[dict[str, float], str]:
    """Run the step with the workflow's Python, as a rule does; return the scores and what it said.

    PYTHONPATH leads to the workflow's own packages, whose transformers COMET can't use: once that broke the step.
    """
    metric, source = model
    checkpoint = source / "checkpoints/model.ckpt"
    entry = {"checkpoint": str(checkpoint), "sha256": sha256_file(checkpoint), "encoder": "tiny", "batch_size": 2}
    settings = {"metric": metric, "model": entry | changes, "encoder": {"folder": str(source / "encoder")}}
    write_segments(folder / "qwen2.5.jsonl", triples)
    command = [sys.executable, REPOSITORY / "workflow_scripts/score_comet.py", "--settings", json.dumps(settings)]
    command += ["--segments", folder / "qwen2.5.jsonl", "--model", "--encoder", "--state-dir", folder / "state"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [*command, "--out", folder / "out.jsonl"], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert "Traceback" not in done.stderr, done.stderr
    return (read_scores(folder / "out.jsonl") if done.returncode == 0 else {}), done.stderr


def reference(folder: Path, model: tuple[str, Path]) -> list[float]:
    """COMET's own scores of TRIPLES, by its public functions."""
    metric, source = model
    samples = [dict(zip(("src", "mt", "ref"), triple, strict=True)) for triple in TRIPLES]
    if metric == "comet_qe":
        samples = [{name: sample[name] for name in ("src", "mt")} for sample in samples]
    script = (
        "import comet, json, sys; folder, samples = sys.argv[1], json.loads(sys.argv[2]);"
        "model = comet.load_from_checkpoint(folder + '/checkpoints/model.ckpt', local_files_only=True);"
        "print(json.dumps(model.predict(samples, gpus=0, num_workers=0, progress_bar=False).scores))"
    )
    link = folder / "xlm-roberta-tiny"  # COMET looks for the name that the checkpoint has
    link.symlink_to(source / "encoder")
    command = [PYTHON, "-c", script, str(source), json.dumps(samples)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_scores_are_comets_own_and_another_system_adds_only_its_own_segments(tmp_path, model):
    first, said = run(tmp_path, model, TRIPLES[:2])
    assert "2 segments: 2 scored now" in said
    (tmp_path / "out.jsonl").unlink()
    scores, said = run(tmp_path, model)
    assert "4 segments: 2 scored now, 2 known" in said
    assert first.items() <= scores.items()
    assert list(scores.values()) == pytest.approx(reference(tmp_path, model), abs=1e-5)
    assert len({round(score, 4) for score in scores.values()}) == len(TRIPLES)  # not a constant
    record = json.loads((tmp_path / "out.jsonl.provenance.json").read_text())
    assert record["versions"]["unbabel-comet"] and record["versions"]["transformers"].startswith("4.")
    _, said = run(tmp_path, model)
    assert "0 scored now, 4 known" in said


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("del state['estimator.ff.0.weight']", "lacks estimator.ff.0.weight"),
        ("state['estimator.ff.0.bias'] *= float('nan')", "the score of segment .* isn't finite"),
        ("state['encoder.model.embeddings.position_ids'] = torch.arange(3)", ""),  # as in published checkpoints
    ],
)
def test_a_checkpoint_without_all_of_its_weights_is_refused(tmp_path, model, edit, message):
    metric, source = model
    shutil.copytree(source, tmp_path / "changed")
    file = str(tmp_path / "changed/checkpoints/model.ckpt")
    script = (
        "import sys, torch; all_ = torch.load(sys.argv[1], weights_only=False); state = all_['state_dict'];"
        f"{edit}; torch.save(all_, sys.argv[1])"
    )
    subprocess.run([PYTHON, "-c", script, file], check=True, capture_output=True)
    scores, said = run(tmp_path, (metric, tmp_path / "changed"), TRIPLES[:2])
    assert bool(scores) == (not message) and re.search(message, said), said


def test_what_is_refused(tmp_path, model):
    metric, source = model
    scores, said = run(tmp_path, model, sha256="0" * 64)
    assert not scores and "is not loaded" in said
    scores, said = run(tmp_path, model, checkpoint="/nowhere/checkpoints/model.ckpt")
    assert not scores and "/nowhere/checkpoints/model.ckpt is missing" in said
    scores, said = run(tmp_path, ("comet_qe" if metric == "comet" else "comet", source))
    assert not scores and f"put it under metrics.{metric}" in said
