"""Embedding the splits of a corpus into files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from contrastive_context.config.sources import BM25Encoder, Encoder
from contrastive_context.core import artifacts, cli
from contrastive_context.core.columnar import read_columns
from contrastive_context.core.journal import fingerprint
from contrastive_context.retrieval.encoders import batch_size, check_read, embed_to_file, load_encoder


def write_embeddings(
    encoder: Encoder,
    record: str,
    corpora: Sequence[str],
    outs: Sequence[str],
    statistics: str,
    version: str,
    max_unread: float = 1.0,
) -> None:
    """Embed the sources of corpus files; an interrupted call goes on where it was.

    Args:
        encoder: its entry.
        record: its hash file, the prepared folder beside it.
        corpora: corpus files (Parquet), the training split first.
        outs: their embeddings (``.npy``), in the same order.
        statistics: the file (JSON) for what the encoder learned from the training split, and how many sources of each
            split it doesn't read whole.
        version: what the vectors depend on beside these files.
        max_unread: share of a split's sources that it may not read whole.

    Raises:
        UserError: more sources aren't read whole, a text has no direction, or a file can't be read or written.
    """
    WRITERS[encoder.kind](encoder, record, corpora, outs, statistics, version, max_unread)


def _embed(
    encoder: Encoder,
    record: str,
    corpora: Sequence[str],
    outs: Sequence[str],
    statistics: str,
    version: str,
    max_unread: float,
) -> None:
    encode = load_encoder(encoder, record.removesuffix(".json"))
    names = [Path(corpus).stem for corpus in corpora]
    sources = [read_columns(corpus, ["source"])["source"] for corpus in corpora]
    noted = {name: check_read(encode, texts, max_unread, name) for name, texts in zip(names, sources, strict=True)}
    for name, corpus, texts, out in zip(names, corpora, sources, outs, strict=True):
        shape = embed_to_file(
            out,
            texts,
            encode,
            batch_size(encoder),
            key=fingerprint(version, files={"corpus": corpus, "encoder": record}),
            label=f"embedding {name}",
        )
        cli.log.info("%s: %d rows of %d dimensions", corpus, *shape)
    artifacts.write_json(statistics, {"kind": encoder.kind, "noted": noted})


def _weigh_words(
    encoder: BM25Encoder,
    record: str,
    corpora: Sequence[str],
    outs: Sequence[str],
    statistics: str,
    version: str,
    max_unread: float,
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
