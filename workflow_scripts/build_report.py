"""Build the report: one HTML file with findings, figures, tables and provenance."""

import argparse
from pathlib import Path

from contrastive_context.core import cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the run's folder, results/<run>")
    parser.add_argument("--inputs", nargs="*", default=[], help="files that the report is made from, for its sidecar")
    parser.add_argument("--out", type=Path, required=True, help="report (HTML)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.report.build import Inputs, build
    from contrastive_context.report.settings import BuildReportSettings

    settings = cli.load_settings(args.settings, BuildReportSettings)
    inputs = Inputs.of_run(args.results, settings)
    build(inputs, settings, args.out)
    cli.log.info("wrote %s", args.out)
    provenance.write_provenance(args.out, inputs={"files": args.inputs}, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
