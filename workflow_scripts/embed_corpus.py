"""Embed the sources of corpus files: unit vectors, one per row."""

import argparse
from pathlib import Path

from contrastive_context import artifacts, cli
from contrastive_context.errors import UserError


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", nargs="+", required=True, help="corpus files (Parquet)")
    parser.add_argument("--encoder", required=True, help="its hash file encoders/<encoder>.json, the folder beside it")
    parser.add_argument("--out", nargs="+", required=True, help="their embeddings, in the same order (.npy, float32)")
    return parser


def main(args: argparse.Namespace) -> None:
    import numpy as np

    from contrastive_context.retrieval.encoders import Settings, embed, load_encoder

    settings = cli.load_settings(args.settings, Settings)
    if len(args.corpus) != len(args.out):
        raise UserError(f"--out: {len(args.out)} files for {len(args.corpus)} corpora")
    folder = args.encoder.removesuffix(".json")
    artifacts.check_folder(folder, args.encoder)
    encode = load_encoder(settings.encoder, folder)
    batch_size = getattr(settings.encoder, "batch_size", 256)
    for corpus, out in zip(args.corpus, args.out, strict=True):
        texts = artifacts.read_parquet(corpus, columns=["id", "source"])["source"].tolist()
        vectors = embed(texts, encode, batch_size, label=f"embedding {Path(corpus).stem}")
        cli.log.info("%s: %d rows of %d dimensions", corpus, *vectors.shape)
        with artifacts.atomic_path(out) as temporary:
            np.save(temporary, vectors)
        artifacts.write_provenance(
            out,
            inputs={"corpus": corpus, "encoder": args.encoder},
            settings=settings.model_dump(mode="json"),
            started=args.started,
        )


if __name__ == "__main__":
    cli.run(main, arguments())
