"""Draw fig1: score against target–context similarity, averaged over the grid's cells."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", type=Path, required=True, help="table of scores (Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="figure without suffix (.png, .pdf, .csv)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.figures import saving, summary
    from contrastive_context.tables.cells import summary_cells
    from contrastive_context.tables.settings import PresentationSettings

    settings = cli.load_settings(args.settings, PresentationSettings)
    points = summary_cells(artifacts.read_parquet(args.scores, ("task", "model", "bucket", "value")), settings)
    outputs = saving.save(summary.draw(points, settings), args.out, settings.style, points)
    provenance.write_provenance(*outputs, inputs={"scores": args.scores}, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
