"""The one exception whose message is written for the person at the terminal."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


class UserError(Exception):
    """Something the user can mend: a config key, a file, a missing resource.

    The message says what is wrong, where (file, line or config key) and what to do. Entry points print it
    as one line without a traceback and exit with ``status``.
    """

    status = 2


@contextlib.contextmanager
def about(key: str, folder: Path) -> Iterator[None]:
    """Let messages on a folder that is still being made name a configuration key instead of its temporary path.

    Raises:
        UserError: the block's, so changed.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}: {str(error).replace(f'{folder}: ', '').replace(f'{folder}/', '')}") from error
