"""Encoders: texts to unit vectors whose cosine is the similarity of the whole study."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context import artifacts, cli
from contrastive_context.config.base import Model
from contrastive_context.config.models import Device
from contrastive_context.config.sources import Encoder
from contrastive_context.devices import require_gpu
from contrastive_context.errors import UserError
from contrastive_context.models.language_models import PICKLES
from contrastive_context.retrieval.word_vectors import ENCODERS

if TYPE_CHECKING:
    import numpy as np

Encode = Callable[[Sequence[str]], "np.ndarray"]
"""Texts → float32 [texts, dimensions], rows of unit norm."""

_BATCHES_PER_CHUNK = 16


class Settings(Model):
    """Settings of ``embed_corpus.py``."""

    name: str
    encoder: Encoder


def load_encoder(settings: Encoder, folder: str | Path | None) -> Encode:
    """Return the function that embeds texts.

    Args:
        settings: the encoder's entry under ``encoders``.
        folder: the prepared folder; ignored for kinds without files (``word_vectors.ENCODERS``).

    Returns:
        A function from texts to float32 [texts, dimensions], rows of unit norm. Its device is the entry's alone,
        whatever is visible: similarities must not depend on where a job happens to run.

    Raises:
        UserError: no GPU is visible for ``cuda``; the folder is missing, is not a sentence-transformers model, or holds
            a file that could run code.
    """
    if settings.kind in ENCODERS:
        return ENCODERS[settings.kind]
    if folder is None:
        raise UserError("--encoder: the encoder's folder is missing")
    return _load_sentence_transformer(Path(folder), settings.batch_size, settings.device)


def _load_sentence_transformer(folder: Path, batch_size: int, device: Device) -> Encode:
    require_gpu(device, f"encoders.{folder.name}")

    import numpy as np
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as chatter

    _check_safe(folder)
    chatter.disable_progress_bar()
    try:
        model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: can't be loaded with sentence-transformers ({error})") from error

    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors = model.encode(
            list(texts),
            batch_size=batch_size,
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), -1)

    return encode


def _check_safe(folder: Path) -> None:
    if not (folder / "modules.json").is_file():
        raise UserError(f"{folder}: not a sentence-transformers folder (no modules.json)")
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in (*PICKLES, ".py"):
            raise UserError(f"{file}: refused, such a file can run code when loaded; only safetensors are read")
    # sentence-transformers imports whatever class modules.json names.
    for module in artifacts.read_json(folder / "modules.json"):
        if not str(module.get("type")).startswith("sentence_transformers."):
            raise UserError(f"{folder}/modules.json: refused, {module.get('type')!r} is not one of its modules")


def embed(texts: Sequence[str], encode: Encode, batch_size: int, label: str = "embedding") -> "np.ndarray":
    """Embed many texts with a progress bar.

    Texts are taken in order of length, so that batches carry little padding; the result is in the order given.

    Args:
        texts: what to embed, at least one.
        encode: from :func:`load_encoder`.
        batch_size: texts per batch.
        label: the bar's label.

    Returns:
        float32 [texts, dimensions], rows of unit norm.

    Raises:
        UserError: a text has no direction (a zero or non-finite vector).
    """
    import numpy as np

    order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), texts[index]))
    size = batch_size * _BATCHES_PER_CHUNK
    result: np.ndarray | None = None
    with cli.progress(label=label, total=len(texts), unit="rows") as bar:
        for start in range(0, len(order), size):
            chunk = order[start : start + size]
            vectors = encode([texts[index] for index in chunk])
            if result is None:
                result = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
            result[chunk] = vectors
            bar.update(len(chunk))
    if result is None:
        raise UserError("nothing to embed: the corpus has no rows")
    norms = np.linalg.norm(result, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
    if len(bad):
        raise UserError(f"the encoder gives no direction to the text {texts[bad[0]]!r} (and {len(bad) - 1} more)")
    return result / norms
