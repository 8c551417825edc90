"""Build the tidy tables of scores, probes and findings."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="scores files (Parquet)")
    parser.add_argument(
        "--probes", type=Path, nargs="*", default=[], help="probe files, …/<task>/<model>/<system>.parquet"
    )
    parser.add_argument(
        "--records", type=Path, nargs="*", default=[], help="records of downloads of learned metrics and their encoders"
    )
    parser.add_argument(
        "--out-dir", type=Path, required=True, help="folder for {scores,probes,findings}.{parquet,csv}, signatures.csv"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.scoring import signatures
    from contrastive_context.tables import findings, tidy
    from contrastive_context.tables.settings import BuildTablesSettings

    settings = cli.load_settings(args.settings, BuildTablesSettings)
    segments = tidy.read_scores(args.scores)
    scores = tidy.score_cells(segments, settings.statistics)
    probes = tidy.probe_cells(tidy.read_probes(args.probes), settings.statistics)
    frames = {
        "scores": tidy.score_table(segments, settings.statistics),
        "probes": tidy.table(probes, settings.statistics, "probe"),
        "findings": findings.build(scores, probes, settings),
    }
    paths = []
    for name, frame in frames.items():
        paths += tidy.write_table(frame, args.out_dir, name)
        cli.log.info("%s: %d rows", name, len(frame))
    revisions = signatures.read_revisions(args.records)
    paths.append(args.out_dir / "signatures.csv")
    artifacts.write_csv(paths[-1], signatures.table(segments, settings.tokenizers, settings.learned, revisions))
    inputs = {"scores": args.scores, "probes": args.probes, "records": args.records}
    provenance.write_provenance(*paths, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
