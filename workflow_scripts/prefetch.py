"""Write the revisions of everything downloaded from the hub as a configuration overlay that pins them."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--records", nargs="*", default=[], help="records hub/<registry>/<name>.json")
    parser.add_argument("--packages", nargs="*", default=[], help="records of packages, which are pinned already")
    parser.add_argument("--out", required=True, help="the overlay: hub.lock.yaml")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.downloads.hub import lock_text
    from contrastive_context.downloads.settings import PrefetchSettings

    cli.load_settings(args.settings, PrefetchSettings)
    records: dict[str, dict[str, Path]] = {}
    for path in map(Path, args.records):
        records.setdefault(path.parent.name, {})[path.name.removesuffix(".json")] = path
    with artifacts.atomic_path(args.out) as temporary:
        temporary.write_text(lock_text(records), encoding="utf-8")
    inputs = {"records": args.records, "packages": args.packages}
    provenance.write_provenance(args.out, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
