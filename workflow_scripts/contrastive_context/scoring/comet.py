"""COMET (Rei et al. 2022) on a segments file. Runs in COMET's own environment; imports nothing that it lacks."""

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from contrastive_context.config.learned_metrics import CometModel, LearnedMetric
from contrastive_context.core import artifacts, cli
from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal
from contrastive_context.core.weights import refuse_wrong_weights
from contrastive_context.scoring.settings import ScoreCometSettings

CHECKPOINT, HPARAMS = "checkpoints/model.ckpt", "hparams.yaml"
_BATCHES_AT_ONCE = 32  # scores are kept after so many


class Files(NamedTuple):
    """Where a COMET model is: its checkpoint, the SHA-256 that this must have, and its encoder's folder."""

    checkpoint: Path
    sha256: str
    encoder: Path


def locate(settings: ScoreCometSettings, record: str | None, encoder_record: str | None) -> Files:
    """Find a model's files without network.

    Args:
        settings: the model and its encoder.
        record: of the model's download from the hub; None for a local checkpoint.
        encoder_record: the same for its encoder.

    Raises:
        UserError: a file is missing, or the hub's checkpoint isn't the one that the configuration asks for.
    """
    from contrastive_context.downloads.hub import stored

    model = settings.model
    if record is None:
        checkpoint, sha256 = Path(str(model.checkpoint)).expanduser().absolute(), str(model.sha256)
    else:
        content, folder = stored(Path(record))
        checkpoint, sha256 = folder / CHECKPOINT, content["files"][CHECKPOINT]["sha256"]
        if model.sha256 not in (None, sha256):
            raise UserError(f"metrics.{settings.metric}.sha256: {model.hub} has a checkpoint with {sha256}")
    if encoder_record is None:
        encoder = Path(str(settings.encoder.folder)).expanduser().absolute()
    else:
        _, encoder = stored(Path(encoder_record))
    for file in (checkpoint, checkpoint.parents[1] / HPARAMS, encoder / "config.json"):
        if not file.is_file():
            raise UserError(f"metrics.{settings.metric}: {file} is missing")
    return Files(checkpoint, sha256, encoder)


def load(files: Files, metric: LearnedMetric) -> Any:
    """Load a COMET model offline, after checking that its checkpoint is the expected one.

    Args:
        files: from :func:`locate`.
        metric: "comet" needs a model that reads references, "comet_qe" one that does without.

    Raises:
        UserError: the checkpoint is another one, can't be loaded, lacks weights, or isn't of the metric's kind.
    """
    if (digest := artifacts.sha256_file(files.checkpoint)) != files.sha256:
        raise UserError(f"{files.checkpoint}: its SHA-256 is {digest}, not {files.sha256}; it is not loaded")
    # Read by the hub's client when it is imported: nothing may be fetched here.
    missing: list[str] = []
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    with _quiet():
        import yaml
        from comet.models import str2model

        try:
            hparams = yaml.safe_load((files.checkpoint.parents[1] / HPARAMS).read_text(encoding="utf-8"))
            # As comet.load_from_checkpoint, which has no way to say where the encoder's files are.
            patched = hparams.get("layer_transformation") == "sparsemax_patch"
            model = _noting(str2model[hparams["class_identifier"]], missing).load_from_checkpoint(
                files.checkpoint,
                map_location="cpu",
                strict=False,
                load_pretrained_weights=False,
                local_files_only=True,
                pretrained_model=str(files.encoder),
                **({"layer_transformation": "softmax"} if patched else {}),
            )
        except Exception as error:  # whatever torch, transformers or the checkpoint's own settings lead to
            reason = (str(error).strip().splitlines() or ["no message"])[0]
            raise UserError(
                f"metrics.{metric}: {files.checkpoint} can't be loaded ({type(error).__name__}: {reason})"
            ) from error
    found = {"missing_keys": missing, "unexpected_keys": (), "mismatched_keys": ()}
    refuse_wrong_weights(f"metrics.{metric}: {files.checkpoint}", found)
    if model.requires_references() != (metric == "comet"):
        other = "comet_qe" if metric == "comet" else "comet"
        raise UserError(f"metrics.{metric}: {files.checkpoint} is of the other kind; put it under metrics.{other}")
    return model


def _noting(kind: Any, missing: list[str]) -> Any:  # classes of COMET, which has no types
    """Return a COMET class that notes which of its weights a checkpoint lacks; they would stay random.

    Its own strictness can't be asked for: published checkpoints have buffers that newer models lack.
    """

    class Noting(kind):
        def load_state_dict(self, *args: Any, **options: Any) -> Any:
            found = super().load_state_dict(*args, **options)
            missing.extend(found.missing_keys)
            return found

    return Noting


def score(
    model: Any, segments: dict[str, dict[str, str]], settings: CometModel, journal: Journal, label: str
) -> dict[str, float]:
    """Score segments, those that the journal has excepted.

    Args:
        model: from :func:`load`.
        segments: id → src, mt and ref.
        settings: batch size and device.
        journal: scores by id; new ones are added as they come.
        label: shown beside the progress bar.

    Returns:
        id → score, in the order of ``segments``.

    Raises:
        UserError: a score isn't finite.
    """
    pending = [id_ for id_ in segments if id_ not in journal]
    pending.sort(key=lambda id_: -sum(map(len, segments[id_].values())))
    step = settings.batch_size * _BATCHES_AT_ONCE
    with _quiet(), cli.progress(label=label, total=len(pending), unit="segment") as bar:
        for start in range(0, len(pending), step):
            ids = pending[start : start + step]
            prediction = model.predict(
                [segments[id_] for id_ in ids],
                batch_size=settings.batch_size,
                gpus=int(settings.device == "cuda"),
                accelerator="cuda" if settings.device == "cuda" else "cpu",
                num_workers=0,
                progress_bar=False,
            )
            scores = dict(zip(ids, map(float, prediction.scores), strict=True))
            if wrong := [id_ for id_, value in scores.items() if not math.isfinite(value)]:
                raise UserError(f"{label}: the score of segment {wrong[0]} isn't finite; is the model damaged?")
            journal.add(scores)
            bar.update(len(ids))
    return {id_: journal[id_] for id_ in segments}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on hardware and checkpoints out of the log."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "comet", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
