"""Draw the figures from the tables, as PNG and PDF."""

import argparse
import logging
from pathlib import Path

from contrastive_context import artifacts, cli


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", type=Path, required=True, help="table of scores (Parquet)")
    parser.add_argument("--probes", type=Path, required=True, help="table of probes (Parquet)")
    parser.add_argument(
        "--out-dir", type=Path, required=True, help="folder for {similarity_grid,probes,probes_likelihood}.{png,pdf}"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.figures import probes, similarity_grid, style

    # Font subsetting for the PDFs is logged glyph by glyph.
    for name in ("fontTools", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    settings = cli.load_settings(args.settings, style.FigureSettings)
    scores_table = artifacts.read_parquet(args.scores, ("task", "model", "bucket", "value"))
    probes_table = artifacts.read_parquet(args.probes, ("task", "model", "probe", "value"))
    figures = {
        "similarity_grid": similarity_grid.draw(scores_table, settings),
        "probes": probes.draw(probes_table, settings, "generation"),
        "probes_likelihood": probes.draw(probes_table, settings, "likelihood"),
    }
    for name, figure in figures.items():
        for path in style.save(figure, args.out_dir / name, settings.style.dpi):
            artifacts.write_provenance(
                path,
                inputs={"scores": args.scores, "probes": args.probes},
                settings=settings.model_dump(mode="json"),
                started=args.started,
            )
            cli.log.info("wrote %s", path)


if __name__ == "__main__":
    cli.run(main, arguments())
