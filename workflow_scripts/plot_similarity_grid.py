"""Draw fig3: score against context similarity, a panel per model, task and test set; the full grid as an appendix."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", type=Path, required=True, help="table of scores (Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="figure without suffix (.png, .pdf, .csv)")
    parser.add_argument(
        "--appendix", type=Path, required=True, help="the same with every metric and every ablation, without suffix"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.figures import saving, similarity_grid
    from contrastive_context.tables.cells import grid_cells
    from contrastive_context.tables.settings import PresentationSettings

    settings = cli.load_settings(args.settings, PresentationSettings)
    scores = artifacts.read_parquet(args.scores, ("task", "model", "bucket", "value"))
    outputs = []
    for stem, everything in ((args.out, False), (args.appendix, True)):
        cells = grid_cells(scores, settings, everything=everything)
        outputs += saving.save(similarity_grid.draw(cells, settings), stem, settings.style, cells)
    provenance.write_provenance(*outputs, inputs={"scores": args.scores}, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
