"""Answer every evaluation prompt with the label of its most similar example (no model)."""

import argparse
from pathlib import Path

from contrastive_context.core import cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--contexts", type=Path, required=True, help="frozen evaluation contexts (Parquet)")
    parser.add_argument("--arrivals", type=Path, required=True, help="corpus the examples come from (Parquet)")
    parser.add_argument("--paraphrases", type=Path, nargs="?", help="paraphrases that stand in for some (Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="predictions (JSON lines)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.scoring.nearest_label import predict_file
    from contrastive_context.scoring.settings import PredictNearestLabelSettings

    settings = cli.load_settings(args.settings, PredictNearestLabelSettings)
    count = predict_file(args.contexts, args.arrivals, args.out, args.paraphrases)
    cli.log.info("%s: %d predictions", settings.task, count)
    provenance.write_provenance(
        args.out,
        inputs={"contexts": args.contexts, "arrivals": args.arrivals, "paraphrases": args.paraphrases},
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
