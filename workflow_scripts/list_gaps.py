"""List what tables and figures do not have, and why: missing cells, dropped rows, answers and prompts that were cut."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--scores", type=Path, required=True, help="table of scores (Parquet)")
    parser.add_argument("--probes", type=Path, required=True, help="table of probes (Parquet)")
    parser.add_argument("--segments", type=Path, nargs="*", default=[], help="scores files (Parquet)")
    parser.add_argument(
        "--counts", type=Path, nargs="*", default=[], help="counts of the corpora, …/<task>/counts.json"
    )
    parser.add_argument(
        "--embeddings", type=Path, nargs="*", default=[], help="what encoders note, …/<task>/statistics.json"
    )
    parser.add_argument(
        "--coverage", type=Path, nargs="*", default=[], help="coverage of the contexts, …/<task>/eval.coverage.json"
    )
    parser.add_argument(
        "--probe-coverage",
        type=Path,
        nargs="*",
        default=[],
        help="coverage of the probes, …/<task>/probes.coverage.json",
    )
    parser.add_argument(
        "--out-dir", type=Path, required=True, help="folder for {missing,dropped,truncated}.{parquet,csv,tex}"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.tables import gaps, latex, presentation, tidy
    from contrastive_context.tables.settings import PresentationSettings

    settings = cli.load_settings(args.settings, PresentationSettings)
    scores, probes = (
        artifacts.read_parquet(path, ("task", "model", "metric", "value")) for path in (args.scores, args.probes)
    )
    columns = ("task", "model", "strategy", "metric", "stop_reason", "dropped_examples")
    segments = (artifacts.read_parquet(path, columns)[list(columns)] for path in args.segments)
    counts, embeddings, coverage, probe_coverage = (
        {path.parent.name: artifacts.read_json(path) for path in paths}
        for paths in (args.counts, args.embeddings, args.coverage, args.probe_coverage)
    )
    noted = {task: record.get("noted", {}) for task, record in embeddings.items()}
    listed = {
        "missing": (gaps.missing(scores, probes, coverage, settings, probe_coverage), presentation.missing_tables),
        "dropped": (gaps.dropped(counts, noted), presentation.dropped_tables),
        "truncated": (gaps.truncated(segments), presentation.truncated_tables),
    }
    paths = []
    for name, (frame, tables) in listed.items():
        paths += [*tidy.write_table(frame, args.out_dir, name), args.out_dir / f"{name}.tex"]
        latex.write(paths[-1], tables(frame, settings))
        cli.log.info("%s: %d rows", name, len(frame))
    names = ("scores", "probes", "segments", "counts", "embeddings", "coverage", "probe_coverage")
    inputs = {name: vars(args)[name] for name in names}
    provenance.write_provenance(*paths, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
