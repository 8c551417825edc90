"""Looking for mistakes in a configuration.

Snakemake reads the files of ``--configfile`` before the Snakefile can look at them, and its own messages on broken YAML
name neither file nor line.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context.config.files import check_files, first_file
from contrastive_context.config.study import Study, load_study
from contrastive_context.core import surroundings
from contrastive_context.core.json_types import JsonDict, JsonMapping
from contrastive_context.workflow import snakemake_internals
from contrastive_context.workflow.snakemake_internals import parse_command, read_config_file

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

_CHECKOUT = Path(__file__).parents[3]


def begin(workflow: "Workflow") -> list[Path]:
    """Check what the workflow runs in, and its configuration files; return them in the order of merging.

    Raises:
        UserError: names the variable to change, or lists every problem with its file and line.
    """
    surroundings.check()
    surroundings.fix_variables_of_jobs()
    files = [first_file(workflow.basedir), *snakemake_internals.config_files(workflow)]
    check_files(files)
    return files


def scripts_folder(checkout: str | Path) -> str:
    """Return the folder of the entry points, as commands name it from where Snakemake runs.

    Results, and paths of the configuration, are there (``--directory``); in the checkout itself commands name no path
    of this machine.
    """
    return "workflow_scripts" if Path.cwd().samefile(checkout) else str(Path(checkout, "workflow_scripts"))


def read_study(configfiles: Sequence[str | Path], options: JsonMapping | None = None) -> Study:
    """Read a study as ``snakemake --configfile … --config …`` does.

    Args:
        configfiles: in the order in which they are merged, over :func:`~.files.first_file`.
        options: what ``--config`` gives.

    Raises:
        UserError: lists every problem with its file, line and key path.
    """
    from snakemake.utils import update_config

    files = [first_file(_CHECKOUT), *configfiles]
    check_files(files)
    config: JsonDict = {}
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
    if (command := parse_command(options)) is not None:
        with contextlib.chdir(command.folder if command.folder.is_dir() else "."):
            read_study(command.files, command.options)
