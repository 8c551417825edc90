"""Embedding the splits of a corpus into files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from contrastive_context.config.sources import BM25Encoder, Encoder
from contrastive_context.core import artifacts, cli
from contrastive_context.core.columnar import read_columns
from contrastive_context.core.journal import fingerprint
from contrastive_context.retrieval.encoders import batch_size, embed_to_file, load_encoder


def write_embeddings(
    encoder: Encoder, record: str, corpora: Sequence[str], outs: Sequence[str], statistics: str, version: str
) -> None:
    """Embed the sources of corpus files; an interrupted call goes on where it was.

    Args:
        encoder: its entry.
        record: its hash file, the prepared folder beside it.
        corpora: corpus files (Parquet), the training split first.
        outs: their embeddings (``.npy``), in the same order.
        statistics: the file (JSON) for what the encoder learned from the training split.
        version: what the vectors depend on beside these files.

    Raises:
        UserError: a text has no direction, or a file can't be read or written.
    """
    WRITERS[encoder.kind](encoder, record, corpora, outs, statistics, version)


def _embed(
    encoder: Encoder, record: str, corpora: Sequence[str], outs: Sequence[str], statistics: str, version: str
) -> None:
    encode = load_encoder(encoder, record.removesuffix(".json"))
    for corpus, out in zip(corpora, outs, strict=True):
        shape = embed_to_file(
            out,
            read_columns(corpus, ["source"])["source"],
            encode,
            batch_size(encoder),
            key=fingerprint(version, files={"corpus": corpus, "encoder": record}),
            label=f"embedding {Path(corpus).stem}",
        )
        cli.log.info("%s: %d rows of %d dimensions", corpus, *shape)
    artifacts.write_json(statistics, {"kind": encoder.kind})


def _weigh_words(
    encoder: BM25Encoder, record: str, corpora: Sequence[str], outs: Sequence[str], statistics: str, version: str
) -> None:
    from contrastive_context.retrieval.bm25 import BM25, Statistics

    train, *others = (read_columns(path, ["source"])["source"].to_pylist() for path in corpora)
    learned = Statistics.of(train, (text for texts in others for text in texts))
    encode = BM25(encoder, learned)
    for texts, out in zip((train, *others), outs, strict=True):
        weights = encode(texts).weights
        with artifacts.atomic_path(out) as temporary:
            np.save(temporary, weights)
        cli.log.info("%s: %d rows, %d words", out, len(texts), len(weights))
    learned.write(statistics)


#: Kind of encoder → what writes the embeddings and the statistics.
WRITERS: dict[str, Callable[..., None]] = {
    "positional_words": _embed,
    "word_set": _embed,
    "sentence_transformer": _embed,
    "bm25": _weigh_words,
}
