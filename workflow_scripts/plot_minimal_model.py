"""Draw fig2: the minimal model and its simulated training."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--table", type=Path, required=True, help="table of the simulation (Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="figure without suffix (.png, .pdf, .csv)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.figures import minimal_model, saving
    from contrastive_context.figures.settings import MinimalModelFigureSettings

    settings = cli.load_settings(args.settings, MinimalModelFigureSettings)
    table = artifacts.read_parquet(args.table, ("variant", "condition", "probe", "value"))
    points = minimal_model.select(table)
    figures = minimal_model.draw(points, settings, minimal_model.caption(table))
    outputs = saving.save(figures, args.out, settings.style, points)
    provenance.write_provenance(*outputs, inputs={"table": args.table}, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
