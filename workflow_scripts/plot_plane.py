"""Draw fig6: accuracy and probes over the plane of p and epsilon."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", type=Path, required=True, help="table of scores (Parquet)")
    parser.add_argument("--probes", type=Path, required=True, help="table of probes (Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="figure without suffix (.png, .pdf, .csv)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.figures import plane, saving
    from contrastive_context.tables.cells import plane_cells
    from contrastive_context.tables.settings import PresentationSettings

    settings = cli.load_settings(args.settings, PresentationSettings)
    tables = (
        artifacts.read_parquet(args.scores, ("task", "model", "bucket", "value")),
        artifacts.read_parquet(args.probes, ("task", "model", "probe", "value")),
    )
    cells = plane_cells(*tables, settings)
    outputs = saving.save(plane.draw(cells, settings), args.out, settings.style, cells)
    inputs = {"scores": args.scores, "probes": args.probes}
    provenance.write_provenance(*outputs, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
