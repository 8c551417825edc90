"""Download one pinned package (a wheel, or Debian's) into the cache, or find it there, and record where it lies."""

import argparse
import os
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance
from contrastive_context.core.errors import UserError


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--cache",
        default=os.environ.get("CONTRASTIVE_CONTEXT_CACHE"),
        help="folder of downloaded files, shared by runs; else in the user's cache folder",
    )
    parser.add_argument("--out", required=True, help="the record: packages/<package>.json")
    return parser


def default_cache() -> Path:
    """The user's cache folder by the XDG convention: it outlives results and checkouts."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contrastive-context"
    except RuntimeError:
        raise UserError(
            "there is no home folder to keep packages in; set CONTRASTIVE_CONTEXT_CACHE to a folder for them"
        ) from None


def main(args: argparse.Namespace) -> None:
    from contrastive_context.downloads.fetching import fetch
    from contrastive_context.downloads.settings import FetchPackageSettings

    settings = cli.load_settings(args.settings, FetchPackageSettings)
    record = fetch(settings.name, settings.package, Path(args.cache or default_cache()))
    artifacts.write_json(args.out, record)
    provenance.write_provenance(args.out, inputs={}, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
