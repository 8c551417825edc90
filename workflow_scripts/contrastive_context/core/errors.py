"""The one exception whose message is written for the person at the terminal."""


class UserError(Exception):
    """Something the user can mend: a config key, a file, a missing resource.

    The message says what is wrong, where (file, line or config key) and what to do. Entry points print it
    as one line without a traceback and exit with ``status``.
    """

    status = 2
