"""Draw fig4: IWL-, ICL- and Copy-score against training steps, from generated answers and from likelihoods."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--probes", type=Path, required=True, help="table of probes (Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="figure without suffix (.png, .pdf, .csv)")
    parser.add_argument("--likelihood", type=Path, required=True, help="the same by likelihood, without suffix")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.figures import probes_over_training, saving
    from contrastive_context.tables.cells import probe_cells
    from contrastive_context.tables.settings import PresentationSettings

    settings = cli.load_settings(args.settings, PresentationSettings)
    table = artifacts.read_parquet(args.probes, ("task", "model", "probe", "value"))
    outputs = []
    for stem, measure in ((args.out, "generation"), (args.likelihood, "likelihood")):
        cells = probe_cells(table, settings, measure)
        without = sorted(set(table["task"]) - set(cells["task"]))
        outputs += saving.save(
            probes_over_training.draw(cells, settings, measure, without), stem, settings.style, cells
        )
    provenance.write_provenance(*outputs, inputs={"probes": args.probes}, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
