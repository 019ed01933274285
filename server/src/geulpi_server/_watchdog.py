"""Notices a dead Python stub and revives its model: Triton itself goes on saying "ready"."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import grpc

from geulpi_server._process import GuardedProcess

log = logging.getLogger(__name__)

_INTERVAL_S = 0.5
_STUB = "triton_python_backend_stub"

Stub: TypeAlias = tuple[str, str]
"""The model and version that a stub serves."""


class Watchdog:
    """Watches the Python stubs of one tritonserver.

    A stub's death is seen in the process table, not by asking the model: that costs nothing, tells
    every instance apart, and a model that is merely busy is never taken for dead.
    """

    def __init__(
        self,
        process: GuardedProcess,
        *,
        ready: Callable[[], set[Stub]],
        reload: Callable[[str], None],
        ask: Callable[[str], str | None],
    ) -> None:
        self._process = process
        self._ready = ready
        self._reload = reload
        self._ask = ask
        self._stopping = threading.Event()
        self._stubs = living_stubs(process.pid)
        self._thread = threading.Thread(target=self._run, name="geulpi-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; waits for a revival under way."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        lost: set[Stub] = set()
        dead: set[str] = set()
        while not self._stopping.wait(_INTERVAL_S):
            if not self._process.alive:
                return
            stubs = living_stubs(self._process.pid)
            # A version whose stubs are all new ones was just reloaded by an operator; one whose
            # stub vanished while the rest of its set stayed, or which has none, has lost it.
            lost |= {
                stub
                for pid, stub in self._stubs.items()
                if pid not in stubs and not _was_replaced(stub, self._stubs, stubs)
            }
            self._stubs = stubs
            if lost:
                dead |= {model for model, _ in self._still_ready(lost)}
            for model in sorted(dead):
                if self._revive(model):
                    dead.discard(model)
                    self._stubs = living_stubs(self._process.pid)

    def _still_ready(self, lost: set[Stub]) -> set[Stub]:
        """Return those of versions that Triton calls ready, and forget the others: unloaded."""
        try:
            ready = self._ready()
        except grpc.RpcError:
            return set()  # it is asked again
        died = lost & ready
        lost.clear()
        return died

    def _revive(self, model: str) -> bool:
        log.warning("a Python process of model '%s' died; reloading the model", model)
        try:
            self._reload(model)
            failure = self._ask(model)
        except grpc.RpcError as error:
            failure = str(error.details()) if hasattr(error, "details") else str(error)
        if failure is None:
            log.warning("model '%s' answers again", model)
            return True
        log.error("model '%s' could not be revived (will try again): %s", model, failure)
        return False


def _was_replaced(stub: Stub, before: dict[int, Stub], now: dict[int, Stub]) -> bool:
    """Whether all stubs of a version are new ones: it was reloaded, nothing died."""
    old = {pid for pid, served in before.items() if served == stub}
    new = {pid for pid, served in now.items() if served == stub}
    return bool(new) and not old & new


def living_stubs(pid: int) -> dict[int, Stub]:
    """Return process id → model and version of the Python stubs of a tritonserver."""
    stubs = {}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                if stub := _served_by(child):
                    stubs[int(child)] = stub
    return stubs


def _served_by(pid: str) -> Stub | None:
    """Return what a stub serves; None for other processes and for dead ones."""
    with suppress(OSError):
        arguments = Path("/proc", pid, "cmdline").read_text().split("\0")
        if arguments and arguments[0].endswith(_STUB):  # a zombie's command line is empty
            *_, model, version, _ = Path(arguments[1]).parts  # …/<model>/<version>/<file>
            return model, version
    return None
