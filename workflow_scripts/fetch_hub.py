"""Download one entry from the Hugging Face hub into the hub's cache (HF_HOME), and record revision and hashes."""

import argparse

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--out", required=True, help="the record: hub/<registry>/<name>.json")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.downloads.hub import fetch
    from contrastive_context.downloads.settings import FetchHubSettings

    settings = cli.load_settings(args.settings, FetchHubSettings)
    artifacts.write_json(args.out, fetch(settings))
    provenance.write_provenance(args.out, inputs={}, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments(), online=True)
