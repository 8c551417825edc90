"""Paraphrase the training pairs of a task and keep those that are close to their parents but not equal."""

import argparse
from pathlib import Path

from contrastive_context import artifacts, cli


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", required=True, help="the training corpus (Parquet)")
    parser.add_argument("--embeddings", required=True, help="its embeddings (.npy)")
    parser.add_argument("--encoder", required=True, help="its hash file encoders/<encoder>.json, the folder beside it")
    parser.add_argument(
        "--exclude", nargs="+", action="extend", default=[], help="corpus files whose sources are not allowed"
    )
    parser.add_argument("--out", required=True, help="the paraphrases (.parquet; counts go beside it, .counts.json)")
    return parser


def main(args: argparse.Namespace) -> None:
    import numpy as np

    from contrastive_context.paraphrasing.pairs import Settings, paraphrase
    from contrastive_context.retrieval.encoders import load_encoder

    settings = cli.load_settings(args.settings, Settings)
    folder = args.encoder.removesuffix(".json")
    artifacts.check_folder(folder, args.encoder)
    rows = artifacts.read_parquet(args.corpus, columns=["id", "source", "target", "cluster"])
    excluded = [
        source for path in args.exclude for source in artifacts.read_parquet(path, columns=["source"])["source"]
    ]
    encode = load_encoder(settings.encoder, folder)
    frame, counts = paraphrase(settings, rows, np.load(args.embeddings), encode, excluded)
    cli.log.info(
        "%s: %d of %d paraphrases accepted", settings.paraphraser_name, counts["accepted"], counts["candidates"]
    )
    artifacts.write_parquet(args.out, frame)
    artifacts.write_json(Path(args.out).with_suffix(".counts.json"), counts)
    inputs = {"corpus": args.corpus, "embeddings": args.embeddings, "encoder": args.encoder, "exclude": args.exclude}
    artifacts.write_provenance(args.out, inputs=inputs, settings=settings.model_dump(mode="json"), started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
