"""Helpers of the cache's tests: both clients behind one face, and a Redis that can misbehave."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import numpy as np
from geulpi_client import AsyncModelClient, InferResult, ModelClient

PATIENT_S = 30.0  # what comes about comes about sooner, on any machine


def until(done: Callable[[], Any], limit_s: float = PATIENT_S) -> Any:
    """Try until it gives something true."""
    end_s = time.monotonic() + limit_s
    while True:
        if answer := done():
            return answer
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.002)


def rows(*firsts: float) -> dict[str, np.ndarray]:
    """Return inputs with rows of two numbers, told apart by the first."""
    return {"X": np.array([[first, 0] for first in firsts], dtype=np.float32)}


def firsts(result: InferResult) -> list[float]:
    """Return the first number of each row that was answered."""
    return result.outputs["Y"][:, 0].tolist()


class Client:
    """What both faces have; `core` is where a client keeps what a test looks into."""

    client: Any

    @property
    def core(self) -> Any:
        return self.client._core

    @property
    def tiers(self) -> Any:
        return self.core.tiers

    def written(self) -> None:
        """Wait until what was to be cached is in Redis, or was given up."""
        until(lambda: not self.tiers._buffer.take_waits())

    def errors(self) -> int:
        return self.client.stats().cache_errors

    def before(self, owner: Any, method: str, action: Callable[[], Any]) -> None:
        """Let something happen before a method, which may use this client, too."""
        original = getattr(owner, method)

        async def later(*args: Any, **kwargs: Any) -> Any:
            await asyncio.to_thread(action)
            return await original(*args, **kwargs)

        def now(*args: Any, **kwargs: Any) -> Any:
            action()
            return original(*args, **kwargs)

        setattr(owner, method, later if inspect.iscoroutinefunction(original) else now)

    def after(self, owner: Any, method: str, action: Callable[[], Any]) -> None:
        """Let something happen before a method returns."""
        original = getattr(owner, method)

        async def later(*args: Any, **kwargs: Any) -> Any:
            answer = await original(*args, **kwargs)
            await asyncio.to_thread(action)
            return answer

        def now(*args: Any, **kwargs: Any) -> Any:
            answer = original(*args, **kwargs)
            action()
            return answer

        setattr(owner, method, later if inspect.iscoroutinefunction(original) else now)


class Threads(Client):
    """The client for threads."""

    def __init__(self, url: Any, **options: Any) -> None:
        self.client = ModelClient(url, **options)
        self.infer = self.client.infer
        self.ask = self.client.infer_detailed
        self.invalidate = self.client.invalidate
        self.stats = self.client.stats
        self.close = self.client.close


class Asyncio(Client):
    """The client for asyncio, in the loop of a thread of its own: callers may be threads."""

    def __init__(self, url: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.client = AsyncModelClient(url, **options)
        self.stats = self.client.stats

    def infer(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self.client.infer(*args, **kwargs))

    def ask(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self.client.infer_detailed(*args, **kwargs))

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self.client.invalidate(*args, **kwargs))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(2 * PATIENT_S)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        try:
            self.run(self.client.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class Relay:
    """Stands before a Redis: lets everything through, or does what a broken one does.

    `mode` is "through", "slow" (answers come 0.15 s late), "silent" (accepts, never answers),
    "closing", or the bytes that answer each command.
    """

    def __init__(self, port: int, own_port: int = 0) -> None:
        self._port = port
        self._mode: str | bytes = "through"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", own_port))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._begin(self._accept)

    @property
    def mode(self) -> str | bytes:
        return self._mode

    @mode.setter
    def mode(self, mode: str | bytes) -> None:
        self._mode = mode
        self._drop_all()

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop_all()
        for thread in self._threads:
            while thread.is_alive():  # one may have been taken since
                self._drop_all()
                thread.join(0.05)
        for one in self._open:
            one.close()

    def _begin(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _drop_all(self) -> None:
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._begin(self._serve, accepted)

    def _serve(self, accepted: socket.socket) -> None:
        behind = socket.create_connection(("127.0.0.1", self._port))
        with self._lock:
            self._open |= {accepted, behind}
        mode = self._mode
        if mode in {"through", "slow"}:
            self._begin(self._pass_on, behind, accepted, 0.15 if mode == "slow" else 0.0)
            self._pass_on(accepted, behind, 0.0)
        else:
            with suppress(OSError):
                while mode != "closing" and (data := accepted.recv(1 << 16)):
                    if isinstance(mode, bytes):
                        accepted.sendall(mode * data.count(b"*"))
            for one in (accepted, behind):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, source: socket.socket, target: socket.socket, late_s: float) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(late_s)
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
