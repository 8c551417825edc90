"""Paraphrase the pairs of a split and keep those that are close to their parents but not equal."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", required=True, help="the split: corpus/<task>/<split>.parquet")
    parser.add_argument("--embeddings", required=True, help="its embeddings (.npy)")
    parser.add_argument("--statistics", help="what the encoder learned from the training split; only BM25 needs it")
    parser.add_argument("--encoder", required=True, help="its hash file encoders/<encoder>.json, the folder beside it")
    parser.add_argument("--exclude", nargs="*", default=[], help="corpus files whose sources are not allowed")
    parser.add_argument("--models", nargs="*", default=[], help="hash files models/<model>.json, if it runs models")
    parser.add_argument("--answers", nargs="?", help="what ask_endpoint.py has brought, if it asks an endpoint")
    parser.add_argument("--out", required=True, help="the paraphrases (.parquet; counts go beside it, .counts.json)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.core.devices import require_gpu
    from contrastive_context.paraphrasing.proposals import propose
    from contrastive_context.paraphrasing.settings import ParaphraseSettings

    settings = cli.load_settings(args.settings, ParaphraseSettings)
    for name, model in settings.models.items():
        require_gpu(model.device, f"models.{name}")
    require_gpu(getattr(settings.encoder, "device", "cpu"), f"encoders.{Path(args.encoder).stem}")

    from contrastive_context.paraphrasing.pairs import accept
    from contrastive_context.retrieval.embedding_files import read_embeddings
    from contrastive_context.retrieval.encoders import check_read, load_encoder

    folders = {Path(record).stem: Path(record.removesuffix(".json")) for record in args.models}
    for record in (*args.models, args.encoder):
        artifacts.check_folder(record.removesuffix(".json"), record)
    rows = artifacts.read_parquet(args.corpus, columns=["id", "source", "target", "cluster"])
    embeddings = read_embeddings(args.embeddings, len(rows), args.corpus)
    excluded = [
        source for path in args.exclude for source in artifacts.read_parquet(path, columns=["source"])["source"]
    ]
    proposals = propose(settings, rows, folders, args.answers)
    encode = load_encoder(settings.encoder, args.encoder.removesuffix(".json"), args.statistics)
    frame, counts = accept(settings, rows, proposals, embeddings, encode, excluded)
    # Sources above the safeguard were refused when they were embedded; here the costly work is done.
    counts["noted"] = check_read(encode, [one.source for one in proposals if not one.problem], 1, "the paraphrases")
    cli.log.info(
        "%s: %d of %d paraphrases accepted", settings.paraphraser_name, counts["accepted"], counts["candidates"]
    )
    for reason, count in counts["rejected"].items():
        cli.log.info("  %d rejected: %s", count, reason)
    if not counts["accepted"]:
        cli.log.warning(
            "%s accepted nothing for %s: strategies that want a paraphrase do without, as with epsilon 0",
            settings.paraphraser_name, settings.task,
        )  # fmt: skip
    artifacts.write_parquet(args.out, frame)
    counts_file = Path(args.out).with_suffix(".counts.json")
    artifacts.write_json(counts_file, counts)
    inputs = {
        "corpus": args.corpus,
        "embeddings": args.embeddings,
        "statistics": args.statistics,
        "encoder": args.encoder,
        "exclude": args.exclude,
        "models": args.models,
        "answers": args.answers,
    }
    provenance.write_provenance(args.out, counts_file, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
