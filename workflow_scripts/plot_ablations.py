"""Draw fig5: one factor of a strategy at a time, against the strategy itself."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", type=Path, required=True, help="table of scores (Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="figure without suffix (.png, .pdf, .csv)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.figures import ablations, saving
    from contrastive_context.tables.cells import ablation_cells
    from contrastive_context.tables.settings import PresentationSettings

    settings = cli.load_settings(args.settings, PresentationSettings)
    cells = ablation_cells(artifacts.read_parquet(args.scores, ("task", "model", "bucket", "value")), settings)
    outputs = saving.save(ablations.draw(cells, settings), args.out, settings.style, cells)
    provenance.write_provenance(*outputs, inputs={"scores": args.scores}, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
