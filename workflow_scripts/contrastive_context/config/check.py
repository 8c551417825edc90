"""Look for mistakes in a configuration: ``python -m contrastive_context.config.check config.yaml mine.yaml``.

Snakemake reads the files of ``--configfile`` before the Snakefile can look at them, and its own messages on broken YAML
name neither file nor line.
"""

import argparse
import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrastive_context.config.files import check_files
from contrastive_context.config.study import Study, load_study
from contrastive_context.core.errors import UserError

#: What the Snakefile reads before all others.
_FIRST = Path("config.yaml")


def read_study(configfiles: Sequence[str | Path], options: Mapping[str, Any] | None = None) -> Study:
    """Read a study as ``snakemake --configfile … --config …`` does.

    Args:
        configfiles: in the order in which they are merged, over config.yaml if that is here.
        options: what ``--config`` gives.

    Raises:
        UserError: lists every problem with its file, line and key path.
    """
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    files = [*([_FIRST] if _FIRST.is_file() else []), *configfiles]
    check_files(files)
    config: dict[str, Any] = {}
    for content in [*map(load_configfile, files), options or {}]:
        update_config(config, content)
    return load_study(config, files, options)


def check_command(options: Sequence[str]) -> None:
    """Look for mistakes in the configuration that a call of Snakemake would read.

    Args:
        options: of the command line, ``--profile`` among them.

    Raises:
        UserError: lists every problem with its file, line and key path.
    """
    from snakemake import cli

    try:
        # It says on stderr which profile it uses, and the real call says so again.
        with contextlib.redirect_stderr(io.StringIO()):
            _, args = cli.parse_args(list(options))
        given = cli.parse_config(args.config)
    except (SystemExit, Exception):
        return  # mistakes in the options themselves are Snakemake's to tell
    read_study(args.configfile or [], given)


def main() -> None:
    """Check the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("configfiles", nargs="+", type=Path, help="as for snakemake --configfile, in that order")
    args = parser.parse_args()
    try:
        study = read_study(args.configfiles)
    except UserError as error:
        sys.exit(f"error: {error}")
    trainings = sum(len(entry.models) * len(entry.strategies) * len(entry.seeds) for entry in study.grid)
    print(f"no mistakes found; run: {study.run}, entries of the grid: {len(study.grid)}, fine-tunings: {trainings}")


if __name__ == "__main__":
    main()
