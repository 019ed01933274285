"""Requests on their way: to an endpoint that is up, so many at a time, again where that helps.

One deadline holds for all of it:

    permit ──▶ endpoint ──▶ transport
       ▲                        │ unreachable, overloaded
       └── retry budget, pause ◀┘
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Sequence

from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._endpoints import AllDown, Endpoint, Endpoints
from geulpi_client._errors import CallFailed, Overloaded, Target, Unreachable
from geulpi_client._limits import NoPermit
from geulpi_client._log import DEBUG, event
from geulpi_client._messages import Answer, Request
from geulpi_client._retries import RetryBudget, should_retry
from geulpi_client._statistics import Recorder
from geulpi_client._sync.transports import Transport
from geulpi_client._tensors import Tensor
from geulpi_client._tracing import Tracer, request_span, trace_headers
from geulpi_client._twins_threads import Limiter, sleep


class Sender:
    """Sends requests to the servers of a client, within their deadlines; safe to share."""

    def __init__(
        self,
        transports: Sequence[Transport],
        *,
        limiter: Limiter,
        recorder: Recorder,
        tracer: Tracer | None,
    ) -> None:
        self._transports: dict[str, Transport] = {}
        for transport in transports:
            # All fakes have one name.
            known = transport.url in self._transports
            name = f"{transport.url}#{len(self._transports) + 1}" if known else transport.url
            self._transports[name] = transport
        self.endpoints = Endpoints([*self._transports])
        self.url = ", ".join(self._transports)
        self.limiter = limiter
        self._recorder = recorder
        self._tracer = tracer
        self._budget = RetryBudget()
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def infer(
        self, model: str, version: str, tensors: Sequence[Tensor], deadline: Deadline
    ) -> Answer:
        """Ask a model; `version` empty is the newest.

        Raises:
            CallFailed, InputRefused: the last attempt's.
        """
        request_id = f"{self._prefix}-{next(self._numbers):x}"
        request = Request(model, version, tensors, request_id)
        self._budget.deposit()
        attempt = 1
        avoid: Collection[str] = ()
        while True:
            self._permit(request, deadline)
            try:
                endpoint = self._choose(request.target(self.url), avoid)
                try:
                    with endpoint.attempt(), request_span(self._tracer, request, endpoint.url):
                        if self._tracer is not None:
                            request = request._replace(headers=trace_headers(self._tracer))
                        return self._transports[endpoint.url].infer(request, deadline)
                except (Unreachable, Overloaded) as error:
                    failure = error
            finally:
                self.limiter.release()
            if not self._pauses(failure, attempt, deadline):
                raise failure
            avoid = (endpoint.url,)
            attempt += 1

    def contract(self, model: str, version: str, deadline: Deadline, *, patient: bool) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest.

        It needs no permit: while requests queue, cached answers still come. `patient` is whether to
        try again after a pause, as for a request.

        Raises:
            CallFailed, InputRefused.
        """
        attempt = 1
        avoid: list[str] = []
        while True:
            endpoint = self._choose(Target(self.url, model, version), avoid)
            try:
                with endpoint.attempt():
                    return self._transports[endpoint.url].contract(model, version, deadline)
            except (Unreachable, Overloaded) as error:
                failure = error
            avoid.append(endpoint.url)
            if len(avoid) < len(self._transports) and deadline.remaining_s():
                continue  # another server may know
            if not patient or not self._pauses(failure, attempt, deadline):
                raise failure
            avoid.clear()
            attempt += 1

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        for transport in self._transports.values():
            transport.close()

    def _pauses(self, failure: CallFailed, attempt: int, deadline: Deadline) -> bool:
        """Wait for the next attempt, or return `False`: there is to be none."""
        pause_s = should_retry(failure, attempt, deadline, self._budget)
        if pause_s is None:
            return False
        self._recorder.retried(failure.model)
        event(
            DEBUG,
            "request is tried again",
            model=failure.model,
            endpoint=failure.url,
            request_id=failure.request_id,
            attempt=attempt,
            error=type(failure).__name__,
        )
        sleep(pause_s)
        return True

    def _permit(self, request: Request, deadline: Deadline) -> None:
        try:
            self.limiter.acquire(deadline)
        except NoPermit as error:
            raise Overloaded(request.target(self.url), str(error)) from error

    def _choose(self, target: Target, avoid: Collection[str]) -> Endpoint:
        try:
            return self.endpoints.choose(avoid)
        except AllDown as error:
            raise Unreachable(target, str(error)) from error
