"""List the distinct (source, output, reference) triples of some predictions, for metrics that run elsewhere."""

import argparse

from contrastive_context.core import cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--predictions", nargs="+", required=True, help="predictions (JSON lines)")
    parser.add_argument("--test", required=True, help="corpus file of the targets (Parquet)")
    parser.add_argument("--out", required=True, help="segments (JSON lines)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.scoring.scoring import triples
    from contrastive_context.scoring.segments import write_segments
    from contrastive_context.scoring.settings import ListSegmentsSettings

    settings = cli.load_settings(args.settings, ListSegmentsSettings)
    count = write_segments(args.out, triples(args.predictions, args.test))
    cli.log.info("%s: %d distinct segments", settings.task, count)
    provenance.write_provenance(
        args.out,
        inputs={"predictions": args.predictions, "test": args.test},
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
