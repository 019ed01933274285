"""Any model of a Triton server, row by row through the cache."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from numpy.typing import ArrayLike

from geulpi_client._cache import open_cache
from geulpi_client._constants import DEFAULT_TIMEOUT_S, DEFAULT_URL
from geulpi_client._contract import Contracts
from geulpi_client._deadline import Deadline
from geulpi_client._errors import ClientClosed, GeulpiError
from geulpi_client._grpc import GrpcTransport
from geulpi_client._inference import Call, Inference, InferResult
from geulpi_client._inputs import checked_inputs
from geulpi_client._settings import Ttls, checked_model, checked_timeout, checked_version
from geulpi_client._statistics import Recorder, Stats
from geulpi_client._tensors import Array


class ModelClient:
    """Asks any model of a Triton server, and Redis first where rows were asked before.

    Safe to share between threads, and usable again after the server or Redis was away. Rows are
    cached one by one under the version that answered, for models whose inputs and outputs all
    begin with a batch dimension and whose rows have a fixed shape; a model whose rows depend on
    each other must not be cached: give it a time to live of 0.

    Args:
        url: `host:port` of the gRPC API.
        cache: a Redis URL; `None` is no cache. Redis being away or slow never fails a call.
        timeout_s: seconds that a call may take, over all it does.
        ttl_s: seconds that answers are kept, by model, in place of the defaults; 0 is not at all.

    Raises:
        InvalidUrl, InvalidSetting: before anything is connected.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        cache: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        ttl_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._timeout_s = checked_timeout(timeout_s)
        ttls = Ttls(ttl_s)
        self._cache = open_cache(cache)
        self._transport = GrpcTransport(url)
        self._contracts = Contracts(self._transport)
        self._inference = Inference(self._transport, self._contracts, self._cache, ttls)
        self._recorder = Recorder()
        self._closed = False

    @property
    def url(self) -> str:
        """The server's address."""
        return self._transport.url

    @property
    def timeout_s(self) -> float:
        """Seconds that a call may take unless it says otherwise."""
        return self._timeout_s

    def infer(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        timeout_s: float | None = None,
    ) -> dict[str, Array]:
        """Ask a model; return its outputs by name.

        Args:
            model: its name on the server.
            inputs: one array `[N, …]` per input; values are cast where nothing is lost but digits.
            version: of the model; empty is the newest.
            timeout_s: in place of the client's.

        Raises:
            InvalidInput: the inputs can't be used; nothing was computed.
            CallFailed: the server could not be reached, was too slow, or said no.
        """
        return self.infer_detailed(model, inputs, version=version, timeout_s=timeout_s).outputs

    def infer_detailed(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        timeout_s: float | None = None,
    ) -> InferResult:
        """Ask a model as `infer` does; return also the version and which rows were cached."""
        if self._closed:
            raise ClientClosed(self.url)
        started_s = time.monotonic()
        seconds = self._timeout_s if timeout_s is None else checked_timeout(timeout_s)
        deadline = Deadline.after(seconds)
        call = Call(checked_model(model), checked_version(version), deadline)
        try:
            contract = self._contracts.get(model, version, deadline)
            result = self._inference.run(call, contract, checked_inputs(contract, inputs))
        except GeulpiError as error:
            self._recorder.failed(model, error)
            raise
        self._recorder.answered(model, result, took_s=time.monotonic() - started_s)
        return result

    def stats(self) -> Stats:
        """Return what this client did so far."""
        return self._recorder.stats(self._cache.errors)

    def close(self) -> None:
        """Let go of the connections; calls after it raise `ClientClosed`."""
        self._closed = True
        self._transport.close()
        self._cache.close()

    def __enter__(self) -> Self:
        """Return the client; nothing is connected before the first call."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    def __repr__(self) -> str:
        """Return the address; never the cache's, which may hold a password."""
        return f"{type(self).__name__}({self.url!r})"
