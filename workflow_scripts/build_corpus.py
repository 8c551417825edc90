"""Build a task's corpus: train, dev, arrivals and test sets, without duplicates, as Parquet."""

import argparse
from pathlib import Path

from contrastive_context import artifacts, cli


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--packages", nargs="*", default=[], help="the package's record, if the corpus needs one")
    parser.add_argument("--hub", nargs="*", default=[], help="records hub/datasets/<name>.json of its data sets")
    parser.add_argument("--out-dir", required=True, help="the folder corpus/<task>")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.corpora.build import Settings, build, write

    settings = cli.load_settings(args.settings, Settings)
    packages = {artifacts.read_json(path)["package"]: Path(path) for path in args.packages}
    hub = {Path(path).name.removesuffix(".json"): Path(path) for path in args.hub}
    frames, counts = build(settings, packages, hub)
    write(frames, counts, Path(args.out_dir))
    for split, entry in counts.items():
        cli.log.info("%s/%s: %d rows kept of %d", settings.task, split, entry["kept"], entry["generated"])
    counts_file = Path(args.out_dir) / "counts.json"
    artifacts.write_provenance(
        counts_file, inputs={"packages": args.packages, "hub": args.hub}, settings=settings.model_dump(mode="json"), started=args.started
    )


if __name__ == "__main__":
    cli.run(main, arguments())
