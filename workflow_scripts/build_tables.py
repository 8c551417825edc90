"""Build the tidy tables of scores, probes and findings."""

import argparse
from pathlib import Path

from contrastive_context import cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="scores files (Parquet)")
    parser.add_argument(
        "--probes", type=Path, nargs="*", default=[], help="probe files, …/<task>/<model>/<system>.parquet"
    )
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for {scores,probes,findings}.{parquet,csv}")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.evaluation import findings, tables

    settings = cli.load_settings(args.settings, tables.Settings)
    scores = tables.score_cells(tables.read_scores(args.scores), settings.statistics)
    probes = tables.probe_cells(tables.read_probes(args.probes), settings.statistics)
    frames = {
        "scores": tables.table(scores, settings.statistics, "bucket"),
        "probes": tables.table(probes, settings.statistics, "probe"),
        "findings": findings.build(scores, probes, settings),
    }
    paths = []
    for name, frame in frames.items():
        paths += tables.write_table(frame, args.out_dir, name)
        cli.log.info("%s: %d rows", name, len(frame))
    inputs = {"scores": args.scores, "probes": args.probes}
    provenance.write_provenance(*paths, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
