"""Embed the sources of corpus files; an interrupted job goes on where it was."""

import argparse
from pathlib import Path

from contrastive_context.config.sources import BM25Encoder, Encoder
from contrastive_context.core import artifacts, cli, provenance
from contrastive_context.core.errors import UserError


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", nargs="+", required=True, help="corpus files (Parquet), the training split first")
    parser.add_argument("--encoder", required=True, help="its hash file encoders/<encoder>.json, the folder beside it")
    parser.add_argument("--out", nargs="+", required=True, help="their embeddings, in the same order (.npy)")
    parser.add_argument(
        "--statistics", required=True, help="what the encoder learned from the training split is written here (.json)"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.retrieval.settings import EmbedCorpusSettings

    settings = cli.load_settings(args.settings, EmbedCorpusSettings)
    if len(args.corpus) != len(args.out):
        raise UserError(f"--out: {len(args.out)} files for {len(args.corpus)} corpora")
    artifacts.check_folder(args.encoder.removesuffix(".json"), args.encoder)
    WRITERS[settings.encoder.kind](settings.encoder, args)
    provenance.write_provenance(
        *args.out,
        args.statistics,
        inputs={"corpus": args.corpus, "encoder": args.encoder},
        settings=args.settings,
        started=args.started,
    )


def _embed(encoder: Encoder, args: argparse.Namespace) -> None:
    from contrastive_context.core.columnar import read_columns
    from contrastive_context.retrieval.encoders import batch_size, embed_to_file, load_encoder

    encode = load_encoder(encoder, args.encoder.removesuffix(".json"))
    for corpus, out in zip(args.corpus, args.out, strict=True):
        shape = embed_to_file(
            out,
            read_columns(corpus, ["source"])["source"],
            encode,
            batch_size(encoder),
            key=_key(args, corpus),
            label=f"embedding {Path(corpus).stem}",
        )
        cli.log.info("%s: %d rows of %d dimensions", corpus, *shape)
    artifacts.write_json(args.statistics, {"kind": encoder.kind})


def _weigh_words(encoder: BM25Encoder, args: argparse.Namespace) -> None:
    import numpy as np

    from contrastive_context.core.columnar import read_columns
    from contrastive_context.retrieval.bm25 import BM25, Statistics

    train, *others = (read_columns(path, ["source"])["source"].to_pylist() for path in args.corpus)
    statistics = Statistics.of(train, (text for texts in others for text in texts))
    encode = BM25(encoder, statistics)
    for texts, out in zip((train, *others), args.out, strict=True):
        weights = encode(texts).weights
        with artifacts.atomic_path(out) as temporary:
            np.save(temporary, weights)
        cli.log.info("%s: %d rows, %d words", out, len(texts), len(weights))
    statistics.write(args.statistics)


def _key(args: argparse.Namespace, corpus: str) -> str:
    from contrastive_context.core.canonical import canonical_json
    from contrastive_context.core.journal import fingerprint

    return fingerprint(
        canonical_json(provenance.read_settings(args.settings)), files={"corpus": corpus, "encoder": args.encoder}
    )


#: Kind of encoder → what writes the embeddings and the statistics.
WRITERS = {"positional_words": _embed, "word_set": _embed, "sentence_transformer": _embed, "bm25": _weigh_words}


if __name__ == "__main__":
    cli.run(main, arguments())
