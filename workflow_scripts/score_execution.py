"""Score segments by running their SQL: 1 where output and gold give the same set of rows."""

import argparse
from collections import Counter

from contrastive_context.core import artifacts, cli, provenance
from contrastive_context.scoring.settings import ScoreExecutionSettings


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--segments", required=True, help="distinct triples (JSON lines)")
    parser.add_argument("--test", required=True, help="corpus file of the targets (Parquet)")
    parser.add_argument("--out", required=True, help="segment scores (JSON lines)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.scoring import execution, segments

    settings = cli.load_settings(args.settings, ScoreExecutionSettings)
    test = artifacts.read_parquet(args.test, ("id", "source", "meta"))
    judged = execution.score(segments.read_segments(args.segments), test, settings)
    scores = {id_: of.score for id_, of in judged.items()}
    status = {id_: of.status for id_, of in judged.items()}
    segments.write_scores(args.out, scores, status)
    count = Counter(status.values())
    cli.log.info(
        "%d distinct outputs run: %d right, %d errors, %d timeouts",
        len(scores), sum(scores.values()), count["error"], count["timeout"],
    )  # fmt: skip
    provenance.write_provenance(
        args.out,
        inputs={"segments": args.segments, "test": args.test},
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
