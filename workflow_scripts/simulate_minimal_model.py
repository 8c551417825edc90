"""Simulate the training of the minimal model under every condition; needs no data and no language model."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for minimal_model.{parquet,csv}")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.minimal_model.settings import SimulateMinimalModelSettings
    from contrastive_context.minimal_model.table import simulate

    settings = cli.load_settings(args.settings, SimulateMinimalModelSettings).minimal_model
    conditions = cli.progress(settings.conditions.items(), label="conditions trained", unit="condition")
    frame = simulate(settings, conditions)
    table, csv = args.out_dir / "minimal_model.parquet", args.out_dir / "minimal_model.csv"
    artifacts.write_parquet(table, frame)
    artifacts.write_csv(csv, frame)
    provenance.write_provenance(table, csv, inputs={}, settings=args.settings, started=args.started)
    cli.log.info("%d rows", len(frame))


if __name__ == "__main__":
    cli.run(main, arguments())
