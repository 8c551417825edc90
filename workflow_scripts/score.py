"""Score the predictions of one task and model, per segment."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        required=True,
        help="predictions (JSON lines), <system>.jsonl with system base, nearest_label or <strategy>-seed<seed>",
    )
    parser.add_argument("--test", type=Path, required=True, help="corpus file of the targets (Parquet)")
    parser.add_argument(
        "--learned", type=Path, nargs="*", default=[], help="segment scores of learned metrics, ….<metric>.jsonl"
    )
    parser.add_argument("--out", type=Path, required=True, help="scores (Parquet)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.scoring.scoring import score
    from contrastive_context.scoring.segments import read_scores
    from contrastive_context.scoring.settings import ScoreSettings

    settings = cli.load_settings(args.settings, ScoreSettings)
    learned = {path.stem.rpartition(".")[2]: read_scores(path) for path in args.learned}
    frame, scorer = score({path.stem: path for path in args.predictions}, args.test, settings, learned)
    artifacts.write_parquet(args.out, frame)
    cli.log.info("%d rows; %d segment scores computed, the rest were repeats", len(frame), scorer.computed)
    provenance.write_provenance(
        args.out,
        inputs={"predictions": args.predictions, "test": args.test, "learned": args.learned},
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
