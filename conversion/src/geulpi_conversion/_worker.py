"""A process of our own for work that may hang or crash: conversion, and the proof of it.

It is started like the server's Python: without the caller's script, path or working directory. So
what answers there needs nothing of the caller's, and stands on a server as well.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# The package's own folder comes last, for a checkout that is not installed.
CODE = (
    "import sys; sys.path.append(sys.argv[2]); "
    "from geulpi_conversion._worker import serve; serve(int(sys.argv[1]))"
)

START_S = 60.0  # libraries from a cold disk


class WorkerFailed(Exception):
    """The work came to no end: it took too long, or its process died."""


class RemoteError(Exception):
    """What the work raised, of a type that can't be carried over: its name and its words."""


class Worker:
    """Calls functions in a process that is started at need, and ended when it does not answer."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._lock = threading.Lock()

    def call(
        self, function: Callable[P, T], timeout_s: float, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function of a module there.

        Raises:
            WorkerFailed: it took longer than `timeout_s`, or the process died.
            Exception: what the function raised.
        """
        job = pickle.dumps((function.__module__, function.__qualname__, args, kwargs), protocol=5)
        with self._lock:
            try:
                connection = self._running()
                connection.send_bytes(job)
                answered = connection.poll(timeout_s)
                if not answered:
                    self._end()
                    return _too_long(timeout_s)
                done, result = pickle.loads(connection.recv_bytes())  # noqa: S301 -- our own process
            except (EOFError, OSError) as error:
                code = self._end()
                raise WorkerFailed(f"its process died (exit code {code})") from error
            except BaseException:
                self._end()  # the answer of an interrupted call must not reach the next one
                raise
        if done:
            return result  # type: ignore[no-any-return]
        raise result

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _running(self) -> Connection[Any, Any]:
        if self._connection is None or self._process is None or self._process.poll() is not None:
            self._end()
            ours, theirs = Pipe()
            environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHONPATH")}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", CODE, str(theirs.fileno()),
                 str(Path(__file__).parents[1])],
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            theirs.close()
            self._connection = ours
            if not ours.poll(START_S):
                raise EOFError  # told as a death, which ends it
            ours.recv_bytes()
        return self._connection

    def _end(self) -> int | None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is None:
            return None
        self._process.kill()
        code = self._process.wait()
        self._process = None
        return code


def _too_long(timeout_s: float) -> NoReturn:
    raise WorkerFailed(f"it took longer than {timeout_s:g} s")


def serve(fileno: int) -> None:
    """Answer calls until the other side goes away: what the worker's process does."""
    import geulpi_conversion._jobs  # noqa: F401, PLC0415 -- what it will need, before it is timed

    connection: Connection[Any, Any] = Connection(fileno)
    connection.send_bytes(b"ready")
    while True:
        try:
            module, name, args, kwargs = pickle.loads(connection.recv_bytes())  # noqa: S301 -- our parent
            function = getattr(importlib.import_module(module), name)
        except EOFError:
            return
        try:
            answer = (True, function(*args, **kwargs))
            raw = pickle.dumps(answer, protocol=5)
        except Exception as error:  # noqa: BLE001 -- it is the caller's
            raw = pickle.dumps((False, _portable(error)), protocol=5)
        connection.send_bytes(raw)


def _portable(error: Exception) -> Exception:
    """Return the error as one that the other process can make again."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301 -- our own
            return error
    except Exception:  # noqa: BLE001, S110 -- then it is not portable
        pass
    told = traceback.format_exception_only(error)[-1].strip()
    return RemoteError(told.rpartition(".")[2] if ":" not in told else told)
