"""Put every evaluation prompt, its context, gold and the systems' answers into one table, to look at."""

import argparse

from contrastive_context.core import cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--predictions", nargs="+", required=True, help="JSON lines, one file per system")
    parser.add_argument("--scores", required=True, help="segment scores of the same systems")
    parser.add_argument("--contexts", required=True, help="frozen evaluation contexts")
    parser.add_argument("--arrivals", required=True, help="corpus file of the examples")
    parser.add_argument(
        "--paraphrases", nargs="?", help="paraphrases that stand in for examples, if the contexts do so"
    )
    parser.add_argument("--test", required=True, help="corpus file of the targets")
    parser.add_argument("--out", required=True, help="the table: examples/<task>/<model>.parquet")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.core.columnar import write_tables
    from contrastive_context.tables.examples import collect
    from contrastive_context.tables.settings import CollectExamplesSettings

    settings = cli.load_settings(args.settings, CollectExamplesSettings)
    table = collect(settings, args.predictions, args.scores, args.contexts, args.arrivals, args.test, args.paraphrases)
    write_tables(args.out, [table])
    cli.log.info("%s: %d prompts", args.out, table.num_rows)
    provenance.write_provenance(
        args.out,
        inputs={
            "predictions": args.predictions,
            "scores": args.scores,
            "contexts": args.contexts,
            "arrivals": args.arrivals,
            "paraphrases": args.paraphrases,
            "test": args.test,
        },
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
