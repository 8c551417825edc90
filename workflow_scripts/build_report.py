"""Build the report: one HTML file with findings, figures, tables and provenance."""

import argparse
from pathlib import Path

from contrastive_context import artifacts, cli


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the run's folder, results/<run>")
    parser.add_argument("--out", type=Path, required=True, help="report (HTML)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.report.build import Inputs, Settings, build

    settings = cli.load_settings(args.settings, Settings)
    inputs = Inputs.of_run(args.results, settings)
    build(inputs, settings, args.out)
    cli.log.info("wrote %s", args.out)
    artifacts.write_provenance(
        args.out,
        inputs={"scores": inputs.scores, "probes": inputs.probes, "findings": inputs.findings},
        settings=settings.model_dump(mode="json"),
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
