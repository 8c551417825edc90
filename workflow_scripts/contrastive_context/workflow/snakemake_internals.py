"""The only module that uses more of Snakemake than its documentation promises.

Snakemake may move any of this in its next version. ``tests/unit/test_library_internals.py`` then says what is gone.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contrastive_context.core.json_types import JsonDict

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

_DEFAULT_RATE_LIMIT = (100, 1)  # jobs in so many seconds: of --max-jobs-per-timespan


class Records:
    """What Snakemake notes of every output: the rule's parameter, inputs, and whether its job has ended.

    Args:
        folder: Snakemake's own folder.
    """

    def __init__(self, folder: str | Path = ".snakemake") -> None:
        from snakemake.persistence.file import FilePersistence

        self._store = FilePersistence(nolock=True, path=Path(folder).absolute())

    def known(self, path: str) -> bool:
        """Return whether there is a record of an output."""
        return Path(self._store._record_path(self._store._metadata_path, path)).is_file()

    def unfinished(self, paths: Iterable[str]) -> set[str]:
        """Return those outputs whose job was started and has not ended well."""
        return set(self._store._filter_incomplete_keys(list(paths)))

    def add(self, path: str, settings: str, inputs: Mapping[str, str], started: float) -> None:
        """Note an output as if Snakemake had run its job.

        Args:
            path: of the output.
            settings: the rule's only parameter.
            inputs: path → SHA-256.
            started: when the job began, in seconds since 1970.
        """
        from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

        record = MetadataRecord(
            record_format_version=RECORD_FORMAT_VERSION,
            input=sorted(inputs),
            params=[repr(settings)],
            input_checksums={path: f"sha256:{digest}" for path, digest in inputs.items()},
            starttime=started,
            incomplete=False,
        )
        self._store._write_record(path, record)

    def forget_inputs(self, path: str, inputs: Iterable[str]) -> None:
        """Leave no other inputs than these in the record of an output, if there is one."""
        record, kept = self._store._read_record(path), set(inputs)
        if record is not None and record.input is not None and not set(record.input) <= kept:
            record.input = [name for name in record.input if name in kept]
            self._store._write_record(path, record)

    def replace_settings(self, path: str, old: str, new: str) -> None:
        """Note another parameter for an output, if there is a record of it that has the old one."""
        record = self._store._read_record(path)
        if record is not None and record.params == [repr(old)]:
            record.params = [repr(new)]
            self._store._write_record(path, record)


def config_files(workflow: "Workflow") -> list[Path]:
    """Return the files that ``--configfile`` names, for a Snakefile's ``workflow``."""
    return list(workflow.overwrite_configfiles)


def config_options(workflow: "Workflow") -> JsonDict:
    """Return what ``--config`` gives, for a Snakefile's ``workflow``."""
    return dict(workflow.config_settings.config)


def is_main_process(workflow: "Workflow") -> bool:
    """Return whether this process was started by the user, not by Snakemake for one of its jobs."""
    return workflow.is_main_process


def lift_default_rate_limit(workflow: "Workflow") -> None:
    """Start jobs as soon as they can, unless ``--max-jobs-per-timespan`` asks for another limit than Snakemake's own.

    That limit, 100 jobs a second, is never reached here. But with one, every finished job starts a timer that makes the
    scheduler look at all jobs again a second later, and then again: after some hundred jobs it does nothing else. To be
    called from ``onstart``, when the scheduler is there and has not begun.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == _DEFAULT_RATE_LIMIT:
        workflow.scheduler.job_rate_limiter = None


def read_config_file(path: str | Path) -> JsonDict:
    """Read a configuration file as ``--configfile`` does."""
    from snakemake.common.configfile import load_configfile

    return load_configfile(path)


class Command(NamedTuple):
    """What a command line gives, or its profile.

    Attributes:
        files: by ``--configfile``, absolute.
        options: by ``--config``.
        folder: by ``--directory``: where it runs.
    """

    files: list[Path]
    options: dict[str, Any]
    folder: Path


def parse_command(options: Sequence[str]) -> Command | None:
    """Parse the options of a command line; None where Snakemake refuses them."""
    from snakemake import cli

    try:
        # It says on stderr which profile it uses, and the real call says so again.
        with contextlib.redirect_stderr(io.StringIO()):
            _, args = cli.parse_args(list(options))
        files = [Path(path).absolute() for path in args.configfile or []]
        return Command(files, cli.parse_config(args.config), Path(args.directory or "."))
    except (SystemExit, Exception):
        return None
