"""Callers in a loop, threads over the sync client or tasks over the async one, and their calls."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from geulpi_client import CallFailed, InferResult, ModelClient

from geulpi_perf._faults.models import MODELS, version_told

ClientKind = Literal["sync", "async"]
Row = tuple[int, int]

# Rows that were asked before: no fresh one has a negative number.
KNOWN: Final[tuple[Row, ...]] = tuple((-number, 0) for number in range(1, 21))
# Without a pause between calls there would be a hot loop wherever calls fail at once.
PAUSE_S = 0.01
PRIME_TIMEOUT_S = 20.0

_fresh = itertools.count()


@dataclass(frozen=True)
class Load:
    """Who calls: how many, whom, with which cache, time-out and other settings of the client."""

    callers: int
    url: str
    cache_url: str
    timeout_s: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    def client_settings(self) -> dict[str, Any]:
        """Return the keyword arguments of the client."""
        return {"cache": self.cache_url, "timeout_s": self.timeout_s, **self.settings}


@dataclass(frozen=True, slots=True)
class Question:
    """One row for one model, and whether it was asked before."""

    model: str
    row: Row
    known: bool

    @property
    def inputs(self) -> dict[str, list[Row]]:
        """The inputs of the call."""
        return {"X": [self.row]}


@dataclass(frozen=True, slots=True)
class Call:
    """What became of a question.

    `version` is the one whose right answer came; None if the answer was no version's, or none came.
    `error` is the name of the error, and `typed` whether it is a `CallFailed`.
    """

    caller: int
    question: Question
    started_s: float
    ended_s: float
    version: int | None = None
    cached: bool = False
    error: str = ""
    typed: bool = True


class Callers(Protocol):
    """Calls in a loop, from entering to leaving; `calls` grows meanwhile."""

    load: Load
    calls: list[Call]
    cache_errors: int


def question_of(caller: int, number: int) -> Question:
    """Return what a caller asks: always the same model, known and fresh rows in turn."""
    model = MODELS[caller % len(MODELS)]
    if number % 2:
        return Question(model, (caller, next(_fresh)), known=False)
    return Question(model, KNOWN[(caller + number // 2) % len(KNOWN)], known=True)


def answered(caller: int, question: Question, started_s: float, result: InferResult) -> Call:
    """Return the call that got an answer, right or wrong."""
    ended_s = time.monotonic()
    version = version_told(question.row, int(result.outputs["S"].item()))
    return Call(caller, question, started_s, ended_s, version, cached=bool(result.cached.all()))


def failed(caller: int, question: Question, started_s: float, error: Exception) -> Call:
    """Return the call that ended with an error."""
    return Call(
        caller, question, started_s, time.monotonic(),
        error=type(error).__name__, typed=isinstance(error, CallFailed),
    )  # fmt: skip


def ask(client: ModelClient, caller: int, question: Question) -> Call:
    """Ask, and return what became of it."""
    started_s = time.monotonic()
    try:
        result = client.infer_detailed(question.model, question.inputs)
        return answered(caller, question, started_s, result)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the finding
        return failed(caller, question, started_s, error)


async def ask_async(client: Any, caller: int, question: Question) -> Call:
    """Ask, and return what became of it."""
    started_s = time.monotonic()
    try:
        result = await client.infer_detailed(question.model, question.inputs)
        return answered(caller, question, started_s, result)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the finding
        return failed(caller, question, started_s, error)


def async_client(load: Load) -> Any:
    """Return the async client, to be made within its event loop."""
    made: Any = importlib.import_module("geulpi_client").AsyncModelClient
    return made(load.url, **load.client_settings())


def prime(client: ModelClient) -> None:
    """Let every known row be asked once."""
    for model in MODELS:
        client.infer(model, {"X": KNOWN}, timeout_s=PRIME_TIMEOUT_S)


async def prime_async(client: Any) -> None:
    """Let every known row be asked once."""
    for model in MODELS:
        await client.infer(model, {"X": KNOWN}, timeout_s=PRIME_TIMEOUT_S)


class ThreadCallers:
    """Threads that share a sync client."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.calls: list[Call] = []
        self.cache_errors = 0
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        """Ask the known rows once, then let the callers begin."""
        self._client = ModelClient(self.load.url, **self.load.client_settings())
        try:
            prime(self._client)
        except BaseException:
            self._client.close()
            raise
        self._pool = ThreadPoolExecutor(self.load.callers)
        self._loops = [self._pool.submit(self._call, n) for n in range(self.load.callers)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the callers end, and close the client."""
        self._ended.set()
        self._pool.shutdown()
        self.cache_errors = self._client.stats().cache_errors
        self._client.close()
        for loop in self._loops:
            loop.result()

    def _call(self, caller: int) -> None:
        for number in itertools.count():
            self.calls.append(ask(self._client, caller, question_of(caller, number)))
            if self._ended.wait(PAUSE_S):
                return


class TaskCallers:
    """Tasks that share an async client, in an event loop of their own thread."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.calls: list[Call] = []
        self.cache_errors = 0
        self._ended = threading.Event()
        self._primed = threading.Event()

    def __enter__(self) -> Self:
        """Ask the known rows once, then let the callers begin."""
        self._pool = ThreadPoolExecutor(1)
        self._loop: Future[None] = self._pool.submit(lambda: asyncio.run(self._run()))
        while not self._primed.wait(0.01):
            if self._loop.done():
                self._pool.shutdown()
                self._loop.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the callers end, and close the client."""
        self._ended.set()
        self._pool.shutdown()
        self._loop.result()

    async def _run(self) -> None:
        async with async_client(self.load) as client:
            await prime_async(client)
            self._primed.set()
            await asyncio.gather(*(self._call(client, n) for n in range(self.load.callers)))
            self.cache_errors = client.stats().cache_errors

    async def _call(self, client: Any, caller: int) -> None:
        for number in itertools.count():
            self.calls.append(await ask_async(client, caller, question_of(caller, number)))
            if self._ended.is_set():
                return
            await asyncio.sleep(PAUSE_S)


def calling(kind: ClientKind, load: Load) -> AbstractContextManager[Callers]:
    """Return callers over a client of a kind."""
    return ThreadCallers(load) if kind == "sync" else TaskCallers(load)
