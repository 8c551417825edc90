"""Freeze the probe prompts of a task: which examples, spans and nonces every model will be shown."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--test", required=True, help="the targets: corpus/<task>/test.parquet")
    parser.add_argument("--test-embeddings", required=True, help="their embeddings (.npy)")
    parser.add_argument("--arrivals", required=True, help="the examples: corpus/<task>/arrivals.parquet")
    parser.add_argument("--arrivals-embeddings", required=True, help="their embeddings (.npy)")
    parser.add_argument(
        "--train", nargs="?", help="corpus/<task>/train.parquet, where anchors are learned from the corpus"
    )
    parser.add_argument("--out", required=True, help="the prompts (.parquet); .coverage.json goes beside them")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.contexts.candidates import Examples
    from contrastive_context.contexts.probe_prompts import freeze_probes
    from contrastive_context.contexts.settings import FreezeProbesSettings
    from contrastive_context.core.columnar import read_columns, write_tables

    settings = cli.load_settings(args.settings, FreezeProbesSettings)
    train: tuple[list[str], list[str]] = ([], [])
    if args.train:
        table = read_columns(args.train, ["source", "target"])
        train = table["source"].to_pylist(), table["target"].to_pylist()
    prompts, coverage = freeze_probes(
        Examples.read(args.test, args.test_embeddings, settings.test_set),
        Examples.read(args.arrivals, args.arrivals_embeddings),
        settings,
        train,
    )
    coverage_file = Path(args.out).with_suffix(".coverage.json")
    artifacts.write_json(coverage_file, coverage)
    write_tables(args.out, [prompts])
    provenance.write_provenance(
        args.out,
        coverage_file,
        inputs={
            "test": args.test,
            "test_embeddings": args.test_embeddings,
            "arrivals": args.arrivals,
            "arrivals_embeddings": args.arrivals_embeddings,
            "train": args.train,
        },
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
