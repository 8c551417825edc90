"""Embed the sources of a corpus file: unit vectors, one per row."""

import argparse
from pathlib import Path

from contrastive_context import artifacts, cli


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", required=True, help="the corpus file (Parquet)")
    parser.add_argument("--encoder", required=True, help="its hash file encoders/<encoder>.json, the folder beside it")
    parser.add_argument("--out", required=True, help="the embeddings (.npy, float32)")
    return parser


def main(args: argparse.Namespace) -> None:
    import numpy as np

    from contrastive_context.encoders import Settings, embed, load_encoder

    settings = cli.load_settings(args.settings, Settings)
    folder = args.encoder.removesuffix(".json")
    artifacts.check_folder(folder, args.encoder)
    texts = artifacts.read_parquet(args.corpus, columns=["id", "source"])["source"].tolist()
    encode = load_encoder(settings.encoder, folder)
    vectors = embed(
        texts, encode, getattr(settings.encoder, "batch_size", 256), label=f"embedding {Path(args.corpus).stem}"
    )
    cli.log.info("%d rows of %d dimensions", *vectors.shape)
    with artifacts.atomic_path(args.out) as temporary:
        np.save(temporary, vectors)
    inputs = {"corpus": args.corpus, "encoder": args.encoder}
    artifacts.write_provenance(args.out, inputs=inputs, settings=settings.model_dump(mode="json"), started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
