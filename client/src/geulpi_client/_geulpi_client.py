"""The calendar's questions as typed methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Self

from geulpi_client._classify import (
    MODEL,
    Classification,
    checked_events,
    classifications,
    event_tensors,
)
from geulpi_client._constants import DEFAULT_TIMEOUT_S, DEFAULT_URL
from geulpi_client._errors import Target
from geulpi_client._event import Event
from geulpi_client._model_client import ModelClient
from geulpi_client._statistics import Stats


class GeulpiClient:
    """Asks the calendar models of a Triton server; takes what `ModelClient` takes.

    Safe to share between threads; one for a process is enough.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        cache: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        ttl_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._models = ModelClient(url, cache=cache, timeout_s=timeout_s, ttl_s=ttl_s)

    def classify(
        self, events: Sequence[Event], *, timeout_s: float | None = None
    ) -> list[Classification]:
        """Say of each event which category it belongs to, in the order of the events.

        Raises:
            InvalidInput: there is no event, or something else among them.
            CallFailed: the server could not be reached, was too slow, or said no.
        """
        events = checked_events(events)
        result = self._models.infer_detailed(MODEL, event_tensors(events), timeout_s=timeout_s)
        return classifications(events, result, Target(self._models.url, MODEL, result.version))

    def stats(self) -> Stats:
        """Return hit rates, latencies and errors since this client was made."""
        return self._models.stats()

    def close(self) -> None:
        """Let go of the connections; calls after it raise `ClientClosed`."""
        self._models.close()

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
        return f"{type(self).__name__}({self._models.url!r})"
