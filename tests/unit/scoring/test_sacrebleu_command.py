"""BLEU and chrF++ equal sacrebleu's command line to the last digit that it shows, its bootstrap included."""

import json
import subprocess
import sys

import numpy as np
import pytest

from contrastive_context.scoring.metrics import get_metric

SENTENCES = {
    "13a": ["Der schnelle Fuchs, der 3.50 Euro kostet, springt.", "Guten Morgen!", "Kaip sekasi? Ąžuolas – didelis."],
    "intl": ["यह एक अच्छा दिन है।", "नमस्ते दुनिया, कैसे हैं आप?", "இது ஒரு நல்ல நாள்; வணக்கம்!", "மொழி 3.5 மில்லியன்."],
}
RESAMPLES = 200


def corpus(tokenize: str, count: int = 60) -> tuple[list[str], list[str]]:
    """Hypotheses and references: references with words left out, doubled or exchanged; one hypothesis is empty."""
    rng = np.random.default_rng(0)
    references, hypotheses = [], []
    for _ in range(count):
        words = " ".join(rng.choice(SENTENCES[tokenize], 2)).split()
        references.append(" ".join(words))
        kept = [word for word in words for _ in range(rng.choice([0, 1, 1, 1, 2]))]
        if rng.random() < 0.3:
            rng.shuffle(kept)
        hypotheses.append(" ".join(kept))
    hypotheses[3] = ""
    return hypotheses, references


def command(tmp_path, hypotheses, references, *options: str):
    for name, lines in (("hyp", hypotheses), ("ref", references)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    call = [sys.executable, "-m", "sacrebleu", tmp_path / "ref", "-i", tmp_path / "hyp", "-w", "8", *options]
    return json.loads(subprocess.run(call, capture_output=True, check=True, text=True).stdout)


@pytest.mark.parametrize("tokenize", ["13a", "intl"])
@pytest.mark.parametrize("name", ["bleu", "chrf++"])
def test_corpus_value_and_bootstrap(tmp_path, name, tokenize):
    hypotheses, references = corpus(tokenize)
    options = ["-m", "bleu", "--tokenize", tokenize] if name == "bleu" else ["-m", "chrf", "--chrf-word-order", "2"]
    metric = get_metric(name, tokenize)
    segments = [metric.segment(*pair) for pair in zip(hypotheses, references, strict=True)]
    values, stats = [segment.value for segment in segments], [segment.stats for segment in segments]

    shown = command(tmp_path, hypotheses, references, *options)
    assert f"{metric.aggregate(values, stats):.8f}" == f"{shown['score']:.8f}"
    assert shown["signature"] in metric.signature()

    # The same draws as sacrebleu's: its interval is half the distance of the 2.5th and 97.5th percentile. It counts in
    # single precision there, hence four digits here; by default it shows one.
    shown = command(tmp_path, hypotheses, references, *options, "--confidence", "--confidence-n", str(RESAMPLES))
    draws = np.random.default_rng(12345).choice(len(segments), size=(RESAMPLES, len(segments)), replace=True)
    weights = np.stack([np.bincount(draw, minlength=len(segments)) for draw in draws]).astype(float)
    replicates = np.sort(metric.from_sums(weights @ metric.matrix(values, stats)))
    edge = RESAMPLES // 40
    half = 0.5 * (replicates[RESAMPLES - edge - 1] - replicates[edge])
    assert f"{replicates.mean():.4f}" == f"{shown['confidence_mean']:.4f}"
    assert f"{half:.4f}" == f"{shown['confidence_var']:.4f}"


@pytest.mark.parametrize("tokenize", ["13a", "intl"])
def test_segments(tmp_path, tokenize):
    hypotheses, references = corpus(tokenize, 8)
    for name, options in (
        ("bleu", ["-m", "bleu", "--tokenize", tokenize]),
        ("chrf++", ["-m", "chrf", "--chrf-word-order", "2"]),
    ):
        (tmp_path / name).mkdir()
        call = [sys.executable, "-m", "sacrebleu", "-sl", "-w", "8", *options]
        for role, lines in (("hyp", hypotheses), ("ref", references)):
            (tmp_path / name / role).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        call += [tmp_path / name / "ref", "-i", tmp_path / name / "hyp", "-f", "text"]
        printed = subprocess.run(call, capture_output=True, check=True, text=True).stdout.strip().splitlines()
        metric = get_metric(name, tokenize)
        for line, pair in zip(printed, zip(hypotheses, references, strict=True), strict=True):
            assert f"{metric.segment(*pair).value:.8f}" in line
