"""What the entry points share: settings, log file, progress, and errors that a person can read."""

import argparse
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from contrastive_context.core import surroundings
from contrastive_context.core.artifacts import disk_errors
from contrastive_context.core.errors import UserError
from contrastive_context.core.provenance import check_inputs, read_settings, step_name

if TYPE_CHECKING:
    from tqdm import tqdm

Settings = TypeVar("Settings")
log = logging.getLogger("contrastive_context")


def parser(description: str) -> argparse.ArgumentParser:
    """Return an argument parser with the options that every step has: ``--settings`` and ``--log``."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    result.add_argument(
        "--settings",
        required=True,
        help="the step's settings as a JSON object, or @FILE to read one from a file",
    )
    result.add_argument("--log", default=argparse.SUPPRESS, help="also write messages to this file")
    return result


def add_safeguards(parser: argparse.ArgumentParser) -> None:
    """Give an entry point the option ``--safeguards``: no result depends on it, so it is no part of the settings."""
    parser.add_argument("--safeguards", default="{}", metavar="JSON", help="when to save and when to stop")


def add_execution(parser: argparse.ArgumentParser) -> None:
    """Give an entry point the options that say how it runs where the settings don't."""
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads, unless the settings say them")
    parser.add_argument(
        "--batch-tokens", type=int, default=8192, metavar="N", help="padded tokens of a batch, unless the settings do"
    )


def load_settings(text: str, model: Callable[..., Settings], option: str = "--settings") -> Settings:
    """Build a step's typed settings from the ``--settings`` argument, or another option's.

    The key ``code_version``, which only Snakemake looks at, is dropped.

    Raises:
        UserError: not JSON, or a key is unknown, missing or of the wrong type.
    """
    from pydantic import ValidationError

    try:
        values = read_settings(text)
        values.pop("code_version", None)
        return model(**values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, ValidationError):
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise UserError(f"{option}: {problems}") from error
        raise UserError(f"{option}: {error}") from error


def run(
    main: Callable[[argparse.Namespace], None],
    arguments: argparse.ArgumentParser,
    *,
    online: bool = False,
    preload: bool = False,
) -> None:
    """Parse the command line, set up logging and call ``main``; a :class:`UserError` becomes one line and its status.

    Files named on the command line that another step made are read only if they are as it left them.

    Unless ``online`` is set the Hugging Face libraries stay offline: a step computes from what was downloaded before.

    SIGTERM (Snakemake, SLURM before its time limit) ends the step as Ctrl-C does: temporary files are removed.

    With ``preload`` and the setting ``device`` "cpu" the step runs, where it can, in a process that has imported torch
    and transformers already (:mod:`~contrastive_context.core.preloading`).
    """
    args = arguments.parse_args()
    if preload and _on_cpu(args.settings):
        from contrastive_context.core import preloading

        if (status := preloading.run_in_child()) is not None:
            sys.exit(status)
    args.started = time.time()
    # Importing torch and transformers makes a million objects that stay. Looking for garbage after every 700 new ones
    # would take a tenth of a short step's time.
    gc.set_threshold(50_000, 20, 20)
    surroundings.fix_variables()
    if not online:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, which main does
    # A disk too full for the log is told by what the step can't write; nobody needs the logging module's traceback.
    logging.raiseExceptions = False
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    # What libraries report (weight-loading bars, HTTP requests) would bury our messages.
    for name in ("httpx", "httpx2", "huggingface_hub", "sentence_transformers", "transformers", "datasets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # peft calls names that transformers is about to rename; nobody who runs a step can act on it.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    output = vars(args).get("out") or vars(args).get("out_dir")
    try:
        with _sigterm_raises():
            if path := getattr(args, "log", None):
                _log_to(Path(path))
            log.info("%s → %s", step_name(), " ".join(output) if isinstance(output, list) else output)
            surroundings.check()
            check_inputs(_existing_paths(args))
            main(args)
    except UserError as error:
        log.error("error: %s", error)
        sys.exit(error.status)
    except _Terminated:
        log.error("terminated (SIGTERM: cancelled, or out of time); run the same command again")
        sys.exit(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        log.error("interrupted; run the same command again")
        sys.exit(128 + signal.SIGINT)
    except Exception:
        # The traceback must be in the log file too: it is all that a cluster job leaves behind.
        log.exception("unexpected error; this is a bug in the step, not in your input")
        sys.exit(1)


def _on_cpu(settings: str) -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # told by load_settings
        return read_settings(settings).get("device") == "cpu"
    return False


def _log_to(path: Path) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger().addHandler(handler)


def _existing_paths(args: argparse.Namespace) -> Iterator[str]:
    for value in vars(args).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (str, Path)) and os.path.exists(item):  # noqa: PTH110 (settings are no paths)
                yield str(item)


class _Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Like Ctrl-C it passes every ``except Exception``."""


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
        raise _Terminated

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def progress(
    items: Iterable[object] | None = None, *, label: str, total: int | None = None, unit: str = "it"
) -> "tqdm[Any]":
    """Return a tqdm bar: live on a terminal, one line every ten seconds elsewhere (log files, SLURM)."""
    from tqdm import tqdm

    live = sys.stderr.isatty()
    return tqdm(
        items,
        desc=label,
        total=total,
        unit=unit,
        leave=not live,
        dynamic_ncols=live,
        mininterval=0.5 if live else 10,
        maxinterval=10 if live else 60,
    )
