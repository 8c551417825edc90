"""Looking for mistakes in a configuration.

Snakemake reads the files of ``--configfile`` before the Snakefile can look at them, and its own messages on broken YAML
name neither file nor line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrastive_context.config.files import check_files
from contrastive_context.config.study import Study, load_study
from contrastive_context.workflow.snakemake_internals import config_of_command, read_config_file

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
    from snakemake.utils import update_config

    files = [*([_FIRST] if _FIRST.is_file() else []), *configfiles]
    check_files(files)
    config: dict[str, Any] = {}
    for content in [*map(read_config_file, files), options or {}]:
        update_config(config, content)
    return load_study(config, files, options)


def check_command(options: Sequence[str]) -> None:
    """Look for mistakes in the configuration that a call of Snakemake would read.

    Mistakes in the options themselves are Snakemake's to tell.

    Args:
        options: of the command line, ``--profile`` among them.

    Raises:
        UserError: lists every problem with its file, line and key path.
    """
    if (found := config_of_command(options)) is not None:
        read_study(*found)
