"""Build a task's corpus: train, dev, arrivals and test sets, without duplicates, as Parquet."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--packages", nargs="*", default=[], help="records of the packages that the corpus is read from"
    )
    parser.add_argument("--hub", nargs="*", default=[], help="records hub/datasets/<name>.json of its data sets")
    parser.add_argument("--out-dir", required=True, help="the folder corpus/<task>")
    parser.add_argument("--refused", type=Path, help="the list of rows left out (.csv), if the corpus is refused")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.core.errors import UserError
    from contrastive_context.corpora.build import Refused, build, write, write_list
    from contrastive_context.corpora.settings import BuildCorpusSettings

    settings = cli.load_settings(args.settings, BuildCorpusSettings)
    packages = {artifacts.read_json(path)["package"]: Path(path) for path in args.packages}
    hub = {Path(path).name.removesuffix(".json"): Path(path) for path in args.hub}
    folder = Path(args.out_dir)
    refused = args.refused or folder / "rejected.csv"
    try:
        built = build(settings, packages, hub)
    except Refused as error:
        write_list(refused, error.listed)
        raise UserError(f"{error}. All {len(error.listed)}, with what is known of each: {refused}") from error
    refused.unlink(missing_ok=True)  # of an earlier try
    write(built, folder)
    for split, entry in built.counts.items():
        cli.log.info("%s/%s: %d rows kept of %d", settings.task, split, entry["kept"], entry["generated"])
    provenance.write_provenance(
        folder / "counts.json",
        *(folder / f"{split}.parquet" for split in ("train", "dev", "arrivals", "test")),
        folder / "rejected.csv",
        inputs={"packages": args.packages, "hub": args.hub, "files": getattr(settings.corpus, "paths", [])},
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
