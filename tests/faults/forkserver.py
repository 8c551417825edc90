"""A server from which children are forked: a new interpreter for each would take most of a fault test's time.

All that tests use of multiprocessing beyond its documentation is here.
"""

import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.process
import os
import sys
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def forkserver(preload: list[str], **environment: str) -> Iterator[multiprocessing.context.BaseContext]:
    """Yield the context in which children start, with ``preload`` imported already.

    Python has one such server per process: an earlier test's is stopped, or its imports would be taken for these. Only
    the server sees the environment given; what the test process starts otherwise does not.
    """
    own = multiprocessing.forkserver._forkserver
    own._stop()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preload)
    with pytest.MonkeyPatch.context() as patch:
        # The server has its own idea of where modules are.
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        for name, value in environment.items():
            patch.setenv(name, value)
        own.ensure_running()
    try:
        yield context
    finally:
        own._stop()


def start_uncollected(process: multiprocessing.process.BaseProcess) -> None:
    """Start a child whose exit status no later start of another one collects: it is left for who waits for this one."""
    process.start()
    multiprocessing.process._children.discard(process)
