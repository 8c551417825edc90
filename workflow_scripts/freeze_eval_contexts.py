"""Freeze the evaluation contexts of every test set, in every composition and similarity bucket."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--test", required=True, help="the targets: corpus/<task>/test.parquet")
    parser.add_argument("--test-embeddings", required=True, help="their embeddings (.npy)")
    parser.add_argument("--arrivals", required=True, help="the examples: corpus/<task>/arrivals.parquet")
    parser.add_argument("--arrivals-embeddings", required=True, help="their embeddings (.npy)")
    parser.add_argument("--train-embeddings", required=True, help="embeddings of the training set (.npy)")
    parser.add_argument("--paraphrases", nargs="?", help="paraphrases of the test pairs, for stand-ins; none if absent")
    parser.add_argument("--trained", nargs="*", default=[], help="paraphrases trained on: none of them stands in")
    parser.add_argument("--out", required=True, help="the contexts (.parquet); .coverage.json goes beside them")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.contexts import stand_ins
    from contrastive_context.contexts.candidates import Examples
    from contrastive_context.contexts.evaluation_contexts import freeze_contexts
    from contrastive_context.contexts.settings import FreezeEvalContextsSettings
    from contrastive_context.core.columnar import read_columns, write_tables
    from contrastive_context.retrieval.embedding_files import read_embeddings

    settings = cli.load_settings(args.settings, FreezeEvalContextsSettings)
    arrivals = Examples.read(args.arrivals, args.arrivals_embeddings)
    train_embeddings = read_embeddings(args.train_embeddings)
    paraphrases = read_columns(args.paraphrases, stand_ins.COLUMNS) if args.paraphrases else None
    trained = {text for path in args.trained for text in read_columns(path, ["source"])["source"].to_pylist()}
    contexts, coverage = [], {}
    for test_set in sorted(set(read_columns(args.test, ["test_set"])["test_set"].to_pylist())):
        targets = Examples.read(args.test, args.test_embeddings, test_set)
        chosen, counts = None, {}
        if paraphrases is not None:
            limit = settings.evaluation.max_agreement
            chosen, counts = stand_ins.choose_stand_ins(targets, paraphrases, trained, settings.agreement, limit)
        table, coverage[test_set] = freeze_contexts(targets, arrivals, train_embeddings, settings, test_set, chosen)
        if counts:
            coverage[test_set]["stand_ins"]["paraphrases"] = counts
        contexts.append(table)
    coverage_file = Path(args.out).with_suffix(".coverage.json")
    artifacts.write_json(coverage_file, coverage)
    write_tables(args.out, contexts)
    provenance.write_provenance(
        args.out,
        coverage_file,
        inputs={
            "test": args.test,
            "test_embeddings": args.test_embeddings,
            "arrivals": args.arrivals,
            "arrivals_embeddings": args.arrivals_embeddings,
            "train_embeddings": args.train_embeddings,
            "paraphrases": args.paraphrases,
            "trained": args.trained,
        },
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
