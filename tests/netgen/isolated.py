# SPDX-License-Identifier: Apache-2.0
"""Calls in a process of their own: what they crash or hang is not the caller."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

_context = multiprocessing.get_context("fork")


class CrashedError(Exception):
    """The process died, or took too long."""


class Call:
    """One call under way; `connection` is ready when there is something to `receive`.

    Args:
      function: called with a way to report, then the arguments; what it reports and returns is
        pickled.
      *arguments: the rest.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.connection, theirs = _context.Pipe(duplex=False)
        self._process = _context.Process(
            target=_run, args=(theirs, function, arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def receive(self, timeout: float) -> Any:
        """The next thing reported.

        Raises:
          CrashedError: there will be none.
        """
        try:
            if self.connection.poll(timeout):
                return pickle.loads(self.connection.recv_bytes())
            why = f"took longer than {timeout:g} s"
        except EOFError:
            self._process.join()
            why = f"ended with code {self._process.exitcode}"
        self.stop()
        raise CrashedError(why)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def call(timeout: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function(report, *arguments)` reports first.

    Raises:
      CrashedError: it crashed or hung.
    """
    made = Call(function, *arguments)
    try:
        return made.receive(timeout)
    finally:
        made.stop()


def _run(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    function(lambda value: connection.send_bytes(pickle.dumps(value)), *arguments)
