"""Notices a dead Python stub and revives its model: Triton itself goes on saying "ready"."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
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

    `needed` tells how many instances each version of some models that is ready has, `reload` and
    `ask` revive a model and put a question to it.
    """

    def __init__(
        self,
        process: GuardedProcess,
        *,
        needed: Callable[[set[str]], Mapping[Stub, int]],
        reload: Callable[[str], None],
        ask: Callable[[str], str | None],
    ) -> None:
        self._process = process
        self._needed = needed
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
            stubs = still_living(self._stubs) | living_stubs(self._process.pid)
            lost |= {stub for pid, stub in self._stubs.items() if pid not in stubs}
            self._stubs = stubs
            if lost:
                dead |= self._with_too_few(lost)
            for model in sorted(dead):
                if self._revive(model):
                    dead.discard(model)
                    self._stubs = living_stubs(self._process.pid)

    def _with_too_few(self, lost: set[Stub]) -> set[str]:
        """Return the models that miss some of these stubs, and forget the others.

        A stub that goes is not always missed: of an unloaded version nothing is needed, and after a
        reload the old stubs live on for a while beside the new ones.
        """
        try:
            needed = self._needed({model for model, _ in lost})
        except grpc.RpcError:
            return set()  # it is asked again
        living = Counter(self._stubs.values())
        missed = {stub[0] for stub in lost if living[stub] < needed.get(stub, 0)}
        lost.clear()
        return missed

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


def living_stubs(pid: int) -> dict[int, Stub]:
    """Return process id → model and version of the Python stubs of a tritonserver."""
    stubs = {}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                if stub := _served_by(child):
                    stubs[int(child)] = stub
    return stubs


def still_living(known: Mapping[int, Stub]) -> dict[int, Stub]:
    """Return those of the known stubs that live.

    A look through the threads' children misses one now and then: the child of a thread that ends
    meanwhile, such as the one that loaded a model, becomes another thread's.
    """
    return {pid: stub for pid, stub in known.items() if _served_by(str(pid)) == stub}


def _served_by(pid: str) -> Stub | None:
    """Return what a stub serves; None for other processes and for dead ones."""
    with suppress(OSError):
        arguments = Path("/proc", pid, "cmdline").read_text().split("\0")
        if arguments and arguments[0].endswith(_STUB):  # a zombie's command line is empty
            *_, model, version, _ = Path(arguments[1]).parts  # …/<model>/<version>/<file>
            return model, version
    return None
