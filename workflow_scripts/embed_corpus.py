"""Embed the sources of corpus files; an interrupted job goes on where it was."""

import argparse

from contrastive_context.core import artifacts, cli, provenance
from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.errors import UserError


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", nargs="+", required=True, help="corpus files (Parquet), the training split first")
    parser.add_argument("--encoder", required=True, help="its hash file encoders/<encoder>.json, the folder beside it")
    parser.add_argument("--out", nargs="+", required=True, help="their embeddings, in the same order (.npy)")
    parser.add_argument(
        "--statistics", required=True, help="what the encoder learned from the training split is written here (.json)"
    )
    cli.add_safeguards(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.config.safeguards import Safeguards
    from contrastive_context.retrieval.embedding import write_embeddings
    from contrastive_context.retrieval.settings import EmbedCorpusSettings

    settings = cli.load_settings(args.settings, EmbedCorpusSettings)
    safeguards = cli.load_settings(args.safeguards, Safeguards, "--safeguards")
    if len(args.corpus) != len(args.out):
        raise UserError(f"--out: {len(args.out)} files for {len(args.corpus)} corpora")
    artifacts.check_folder(args.encoder.removesuffix(".json"), args.encoder)
    version = canonical_json(provenance.read_settings(args.settings))
    write_embeddings(
        settings.encoder, args.encoder, args.corpus, args.out, args.statistics, version, safeguards.max_unread
    )
    provenance.write_provenance(
        *args.out,
        args.statistics,
        inputs={"corpus": args.corpus, "encoder": args.encoder},
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
