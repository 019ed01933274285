"""Any model of a Triton server, row by row through the cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, Unpack

from numpy.typing import ArrayLike

from geulpi_client._async.contracts import AsyncContracts
from geulpi_client._async.inference import AsyncInference
from geulpi_client._async.requests import AsyncRequests
from geulpi_client._async.sender import AsyncSender
from geulpi_client._async.stores import open_async_store
from geulpi_client._async.tiers import AsyncTiers
from geulpi_client._async.transports import AsyncServer, open_async_transport
from geulpi_client._constants import DEFAULT_URL
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import (
    ClientClosed,
    DeadlineExceeded,
    GeulpiError,
    InvalidSetting,
    ModelUnavailable,
    OtherEventLoop,
    Overloaded,
    Target,
    Unreachable,
)
from geulpi_client._freshness import KeptRow
from geulpi_client._inputs import checked_inputs
from geulpi_client._left_behind import leave, watch
from geulpi_client._local import LocalModels
from geulpi_client._memory import MemoryTier
from geulpi_client._results import Call, InferResult, arrays, none_of
from geulpi_client._settings import (
    Options,
    Settings,
    checked_model,
    checked_tags,
    checked_timeout,
    checked_version,
    servers_of,
)
from geulpi_client._statistics import EndpointStats, Recorder, Stats
from geulpi_client._tensors import Array
from geulpi_client._tracing import call_answered, call_span
from geulpi_client._twins_async import Background, Gate, Home, Limiter
from geulpi_client._writes import Drop


@dataclass(frozen=True, slots=True)
class _Core:
    """What belongs to one process and one event loop."""

    home: Home
    gate: Gate
    background: Background
    sender: AsyncSender
    requests: AsyncRequests
    contracts: AsyncContracts
    tiers: AsyncTiers
    inference: AsyncInference


class AsyncModelClient:
    """Asks any model of a Triton server, and the cache first where rows were asked before.

    Safe to share between callers, and usable again after the server or Redis was away. Rows are
    cached one by one under the version that answered, for models whose inputs and outputs all
    begin with a batch dimension and whose rows have a fixed shape; calls for such a model that
    come at once travel together. A model whose rows depend on each other must not be cached or
    joined: give it a time to live of 0, and the client a `coalesce_delay_s` of `None`.

    Args:
        url: `host:port` of the gRPC API, or a URL with `grpc`, `grpcs`, `http` or `https`; several
            of servers with the same models, among which requests are balanced.
        options: see `Options`.

    Raises:
        InvalidUrl, InvalidSetting, MissingExtra: before anything is connected.
    """

    def __init__(
        self,
        url: str | AsyncServer | Sequence[str | AsyncServer] = DEFAULT_URL,
        **options: Unpack[Options],
    ) -> None:
        self._settings = Settings(servers=servers_of(url), **options)
        self._local = LocalModels(self._settings.local)
        self._closed = False
        self._core: _Core | None = None
        self._begin()
        watch(self)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._settings.url

    @property
    def timeout_s(self) -> float:
        """Seconds that a call may take unless it says otherwise."""
        return self._settings.timeout_s

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        timeout_s: float | None = None,
        tags: Collection[str] = (),
    ) -> dict[str, Array]:
        """Ask a model; return its outputs by name.

        Args:
            model: its name on the server.
            inputs: one array `[N, …]` per input; values are cast where nothing is lost but digits.
            version: of the model; empty is the newest.
            timeout_s: in place of the client's.
            tags: names under which the cached rows can be dropped, such as `user:42`.

        Raises:
            InvalidInput: the inputs can't be used; nothing was computed.
            CallFailed: the server could not be reached, was too slow, or said no.
        """
        result = await self.infer_detailed(
            model, inputs, version=version, timeout_s=timeout_s, tags=tags
        )
        return result.outputs

    async def infer_detailed(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        timeout_s: float | None = None,
        tags: Collection[str] = (),
    ) -> InferResult:
        """Ask a model as `infer` does; return also the version and which rows were cached."""
        core = self._opened()
        started_s = time.monotonic()
        seconds = self._settings.timeout_s if timeout_s is None else checked_timeout(timeout_s)
        tags = checked_tags(tags) if tags else ()
        # What the server was asked before under this name is a name.
        contract = core.contracts.fresh(model, version)
        if contract is None:
            checked_model(model), checked_version(version)
        else:
            result = core.inference.at_hand(contract, inputs)
            if result is not None:
                self._answered(model, result, started_s)
                return result
        call = Call(model, version, Deadline(seconds, started_s + seconds), tags)
        if not core.gate.enter(self._settings.max_waiting):
            said = f"{self._settings.max_waiting} calls of this client are under way"
            raise Overloaded(Target(self.url, model, version), said)
        try:
            with call_span(self._settings.tracer, model) as span:
                result = await self._answer(core, call, contract, inputs)
                call_answered(span, result)
        except GeulpiError as error:
            self._recorder.failed(model, error)
            raise
        finally:
            core.gate.leave()
        self._answered(model, result, started_s)
        return result

    async def invalidate(self, model: str | None = None, *, tag: str | None = None) -> int:
        """Drop the cached answers of a model, with a tag, or all; return how many there were.

        Other processes forget what is in their memory within a second.

        Raises:
            InvalidSetting: both a model and a tag.
            CacheUnavailable: Redis could not be told; this process has forgotten them.
        """
        if model is not None and tag is not None:
            raise InvalidSetting("tag", tag, "either a model or a tag")
        core = self._opened()
        if tag is not None:
            return await core.tiers.drop(Drop("tag", checked_tags([tag])[0]))
        return await core.tiers.drop(Drop("model", "" if model is None else checked_model(model)))

    def stats(self) -> Stats:
        """Return what this client did so far, and how its servers look now."""
        memory = None if self._memory is None else self._memory.stats()
        core = self._core
        if core is None:
            return self._recorder.stats(memory=memory)
        return self._recorder.stats(
            in_flight=core.sender.limiter.in_flight,
            waiting=max(0, core.gate.inside - core.sender.limiter.in_flight),
            endpoints=[
                EndpointStats(e.url, e.breaker.state, e.in_flight, e.failures, e.latency_s)
                for e in core.sender.endpoints.all
            ],
            memory=memory,
        )

    async def aclose(self) -> None:
        """Let calls under way end, then let go of the connections; later calls are refused.

        What is still under way after the client's `timeout_s` fails with `ClientClosed`.
        """
        with self._opening:
            self._closed = True
            core, self._core = self._core, None
        if core is not None and core.home.is_here():  # of another loop nobody is left who waits
            await self._let_go(core)

    async def __aenter__(self) -> Self:
        """Return the client; nothing is connected before the first call."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self.aclose()

    def __repr__(self) -> str:
        """Return the address; never the cache's, which may hold a password."""
        return f"{type(self).__name__}({self.url!r})"

    def after_fork(self) -> None:
        """Begin anew in the child of a fork: with own connections, figures and memory."""
        if self._core is not None:
            leave(self._core)
        self._core = None
        self._begin()

    async def _answer(
        self,
        core: _Core,
        call: Call,
        contract: Contract | None,
        inputs: Mapping[str, ArrayLike],
    ) -> InferResult:
        if call.model in self._local:
            return await self._served_or_local(core, call, inputs)
        if contract is None:
            contract = await core.contracts.get(call.model, call.version, call.deadline)
        return await core.inference.run(call, contract, checked_inputs(contract, inputs))

    async def _served_or_local(
        self, core: _Core, call: Call, inputs: Mapping[str, ArrayLike]
    ) -> InferResult:
        # The server has until there is just the time left that the file needs.
        at_s = call.deadline.at_s - self._local.usual_s(call.model)
        early = call._replace(deadline=Deadline(call.deadline.timeout_s, at_s))
        contract = self._local.contract(call.model)
        try:
            served = await core.contracts.get(call.model, call.version, early.deadline)
            return await core.inference.run(early, served, checked_inputs(served, inputs))
        except (Unreachable, DeadlineExceeded, Overloaded, ModelUnavailable):
            if call.version not in {"", contract.version}:
                raise
        answer = self._local.infer(call.model, checked_inputs(contract, inputs))
        outputs = arrays(answer.outputs)
        rows = len(next(iter(outputs.values()))) if contract.batched else 1
        return InferResult(outputs, answer.version, none_of(rows), 0, source="local")

    def _answered(self, model: str, result: InferResult, started_s: float) -> None:
        self._recorder.answered(
            model,
            rows=result.cached.size,
            memory_hits=result.from_memory,
            redis_hits=result.hits - result.from_memory,
            local=result.source == "local",
            misses=result.looked_up - result.hits,
            took_s=time.monotonic() - started_s,
        )

    def _opened(self) -> _Core:
        core = self._core
        if core is None or not core.home.is_here():
            with self._opening:
                core = self._core = self._reopened(self._core)
        return core

    def _reopened(self, core: _Core | None) -> _Core:
        if self._closed:
            raise ClientClosed(self.url)
        if core is not None:
            if core.home.is_here():
                return core  # another caller opened it just now
            if not core.home.is_gone():
                raise OtherEventLoop(self.url)
            leave(core)
        settings = self._settings
        background = Background()
        sender = AsyncSender(
            [
                open_async_transport(server, settings.credentials, settings.tls)
                for server in settings.servers
            ],
            limiter=Limiter(settings.max_in_flight, settings.max_waiting),
            recorder=self._recorder,
            tracer=settings.tracer,
        )
        tiers = AsyncTiers(
            memory=self._memory,
            store=open_async_store(settings.cache, settings.cache_address),
            background=background,
            recorder=self._recorder,
            longest_ttl_s=settings.ttls.longest_s,
            stale_s=settings.stale_s,
            beta=settings.early_refresh,
        )
        requests = AsyncRequests(sender, self._recorder, settings.coalesce_delay_s)
        contracts = AsyncContracts(sender)
        inference = AsyncInference(
            requests,
            contracts,
            tiers,
            background=background,
            ttls=settings.ttls,
            timeout_s=settings.timeout_s,
            traced=settings.tracer is not None,
        )
        home = Home()
        home.at_end(lambda: self._leave(home))
        return _Core(home, Gate(), background, sender, requests, contracts, tiers, inference)

    async def _leave(self, home: Home) -> None:
        """Let go of what belongs to an event loop that ends; the client may go on in another."""
        with self._opening:
            core = self._core
            if core is None or core.home is not home:
                return
            self._core = None
        await self._let_go(core)

    async def _let_go(self, core: _Core) -> None:
        end = Deadline.after(self._settings.timeout_s)
        await core.gate.wait_empty(end.remaining_s())
        await core.background.aclose(end.remaining_s())
        await core.requests.aclose()
        await core.tiers.aclose()
        await core.sender.aclose()

    def _begin(self) -> None:
        """Make what a process has of its own; connections are opened at the first call."""
        self._opening = threading.Lock()
        self._recorder = Recorder()
        size = self._settings.memory_bytes
        self._memory = MemoryTier[KeptRow](size) if size else None
