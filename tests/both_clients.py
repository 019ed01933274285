"""One way to call both clients, and a server without a process that does what a test says.

async with opened(kind, Place()) as client:
assert firsts(await client.infer("m", rows(1))) == [1]
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import numpy as np
from geulpi_client import AsyncModelClient, ModelClient
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import ClientClosed, DeadlineExceeded, Target
from geulpi_client._messages import Answer, Request
from geulpi_client._tensors import Spec, Tensor

Kind = Literal["threads", "asyncio"]
KINDS: Final[tuple[Kind, ...]] = ("threads", "asyncio")
PATIENCE_S: Final = 20.0
"""For what must happen soon: much longer than it takes, so that a busy machine fails no test."""


def rows(*numbers: float) -> dict[str, np.ndarray]:
    """Rows of X, FP32 [N, 2], by their first numbers."""
    return {"X": np.array([[number, 0] for number in numbers], dtype=np.float32)}


def firsts(outputs: Mapping[str, np.ndarray]) -> list[float]:
    """The first numbers of the rows of Y."""
    return outputs["Y"][:, 0].tolist()


def until(what: Callable[[], object]) -> None:
    """Wait until something is so."""
    end_s = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end_s, "it never became so"
        time.sleep(0.002)


async def soon(what: Callable[[], object]) -> None:
    """Wait until something is so, within an event loop."""
    end_s = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end_s, "it never became so"
        await asyncio.sleep(0.002)


class Either:
    """A client of one kind behind an asyncio face; each call of a threaded one has a thread."""

    def __init__(self, client: ModelClient | AsyncModelClient) -> None:
        self.client = client
        self._threads = ThreadPoolExecutor(200)

    async def infer(self, *args: Any, **options: Any) -> dict[str, np.ndarray]:
        """Ask a model."""
        return await self._call("infer", *args, **options)

    async def infer_detailed(self, *args: Any, **options: Any) -> Any:
        """Ask a model, and learn more of the answer."""
        return await self._call("infer_detailed", *args, **options)

    async def close(self) -> None:
        """Close the client."""
        await self._call("close" if isinstance(self.client, ModelClient) else "aclose")

    @property
    def core(self) -> Any:
        """What the client has of its own in this process and event loop."""
        return self.client._core

    async def _call(self, method: str, *args: Any, **options: Any) -> Any:
        call = functools.partial(getattr(self.client, method), *args, **options)
        if isinstance(self.client, AsyncModelClient):
            return await call()
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


@asynccontextmanager
async def opened(kind: Kind, server: Any, **options: Any) -> AsyncIterator[Either]:
    """Open a client for a block."""
    made = ModelClient if kind == "threads" else AsyncModelClient
    either = Either(made(server, **options))
    try:
        yield either
    finally:
        await either.close()
        either._threads.shutdown(wait=False)


class Place:
    """A server at an address of its own. It serves any model: X FP32 [N, 2] → Y, the same.

    Attributes:
        failures: what the next requests raise, by their target; then they are answered.
        fails: what every request raises.
        metadata_fails: what every question for a contract raises.
        held: requests wait as long as this is true, until their deadline at most.
        metadata_held: so do questions for a contract.
        requests, asked: the requests and questions for contracts that came.
        most: how many requests were under way at most.
    """

    def __init__(self, url: str = "place:1", version: str = "1") -> None:
        self.url = url
        self.version = version
        self.failures: list[Callable[[Target], Exception]] = []
        self.fails: Callable[[Target], Exception] | None = None
        self.metadata_fails: Callable[[Target], Exception] | None = None
        self.held = self.metadata_held = False
        self.requests: list[Request] = []
        self.deadlines: list[Deadline] = []
        self.asked: list[str] = []
        self.under_way = self.most = self.cancelled = 0
        self._lock = threading.Lock()

    @property
    def ids(self) -> list[str]:
        """The ids of the requests."""
        return [request.id for request in self.requests]

    def open_transport(self) -> _Transport:
        return _Transport(self)

    def open_async_transport(self) -> _AsyncTransport:
        return _AsyncTransport(self)

    def came(self, request: Request, deadline: Deadline) -> Exception | None:
        with self._lock:
            self.requests.append(request)
            self.deadlines.append(deadline)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            fails = self.failures.pop(0) if self.failures else self.fails
            return fails and fails(request.target(self.url))

    def ended(self) -> None:
        with self._lock:
            self.under_way -= 1

    def contract(self, model: str, version: str) -> Contract:
        if self.metadata_fails:
            raise self.metadata_fails(Target(self.url, model, version))
        return Contract(
            model,
            version or self.version,
            (Spec("X", "FP32", (-1, 2)),),
            (Spec("Y", "FP32", (-1, 2)),),
        )

    def answer(self, request: Request) -> Answer:
        first = request.tensors[0]
        return Answer(self.version, (Tensor("Y", first.datatype, first.shape, first.raw),))


class _Transport:
    def __init__(self, place: Place) -> None:
        self.url = place.url
        self._place = place
        self._closed = False

    def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        self._check()
        self._place.asked.append(model)
        self._wait(lambda: self._place.metadata_held, Target(self.url, model), deadline)
        return self._place.contract(model, version)

    def infer(self, request: Request, deadline: Deadline) -> Answer:
        self._check()
        failure = self._place.came(request, deadline)
        try:
            self._wait(lambda: self._place.held, request.target(self.url), deadline)
            if failure is not None:
                raise failure
            return self._place.answer(request)
        finally:
            self._place.ended()

    def close(self) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise ClientClosed(self.url)

    def _wait(self, held: Callable[[], bool], target: Target, deadline: Deadline) -> None:
        while held():
            self._check()
            if not deadline.remaining_s():
                raise DeadlineExceeded(target, deadline.timeout_s)
            time.sleep(0.002)


class _AsyncTransport:
    def __init__(self, place: Place) -> None:
        self.url = place.url
        self._place = place
        self._closed = False

    async def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        self._check()
        self._place.asked.append(model)
        await self._wait(lambda: self._place.metadata_held, Target(self.url, model), deadline)
        return self._place.contract(model, version)

    async def infer(self, request: Request, deadline: Deadline) -> Answer:
        self._check()
        failure = self._place.came(request, deadline)
        try:
            await self._wait(lambda: self._place.held, request.target(self.url), deadline)
            if failure is not None:
                raise failure
            return self._place.answer(request)
        except asyncio.CancelledError:
            self._place.cancelled += 1
            raise
        finally:
            self._place.ended()

    async def aclose(self) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise ClientClosed(self.url)

    async def _wait(self, held: Callable[[], bool], target: Target, deadline: Deadline) -> None:
        while held():
            self._check()
            if not deadline.remaining_s():
                raise DeadlineExceeded(target, deadline.timeout_s)
            await asyncio.sleep(0.002)
