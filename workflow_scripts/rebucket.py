"""Put existing answers of a task into the similarity buckets of another encoder, and make the table of scores anew."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--contexts", required=True, help="frozen evaluation contexts")
    parser.add_argument("--train", required=True, help="corpus file of the training split; only BM25 counts its words")
    parser.add_argument("--texts", nargs="+", required=True, help="corpus files of targets and examples")
    parser.add_argument("--encoder", required=True, help="its hash file encoders/<encoder>.json, the folder beside it")
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="segment scores (Parquet)")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for scores.{parquet,csv}")
    cli.add_safeguards(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.config.safeguards import Safeguards
    from contrastive_context.core.columnar import read_columns
    from contrastive_context.retrieval import encoders
    from contrastive_context.tables import tidy
    from contrastive_context.tables.rebucketing import load_other, measure, rebucket
    from contrastive_context.tables.settings import RebucketSettings

    settings = cli.load_settings(args.settings, RebucketSettings)
    safeguards = cli.load_settings(args.safeguards, Safeguards, "--safeguards")
    folder = args.encoder.removesuffix(".json")
    artifacts.check_folder(folder, args.encoder)
    sources = {
        row["id"]: row["source"] for path in args.texts for row in read_columns(path, ["id", "source"]).to_pylist()
    }
    train = read_columns(args.train, ["source"])["source"].to_pylist()
    encode = load_other(settings.encoder, folder, train, sources.values())
    encoders.check_read(encode, list(sources.values()), safeguards.max_unread, "the frozen contexts")
    measured = measure(
        artifacts.read_parquet(args.contexts, ("prompt_id", "target_id", "example_ids", "similarities")),
        sources,
        lambda texts: encoders.embed(texts, encode, encoders.batch_size(settings.encoder)),
    )
    scores = rebucket(tidy.read_scores(args.scores), measured, settings.buckets, settings.min_targets)
    table = tidy.score_table(scores, settings.statistics)
    paths = tidy.write_table(table, args.out_dir, "scores")
    cli.log.info("%s by %s: %d rows", settings.task, settings.name, len(table))
    inputs = {name: vars(args)[name] for name in ("contexts", "train", "texts", "encoder", "scores")}
    provenance.write_provenance(*paths, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
