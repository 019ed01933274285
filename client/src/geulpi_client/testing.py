"""A server for the tests of what uses a client: no process, no port, answers from functions.

    fake = FakeTriton()
    fake.serve(
        "churn",
        lambda X: {"prediction": X.sum(axis=1, keepdims=True)},
        inputs={"X": ("FP32", [-1, 4])},
        outputs={"prediction": ("FP32", [-1, 1])},
    )
    with ModelClient(fake) as client:
        client.infer("churn", {"X": rows})

All clients work with it as with a server: they check, cache, coalesce and try again. `MemoryCache`
is to Redis what `FakeTriton` is to Triton.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from geulpi_client._checks import checked_whole
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import (
    CallFailed,
    ClientClosed,
    DeadlineExceeded,
    InferenceFailed,
    InputRefused,
    InvalidSetting,
    ModelNotFound,
    Target,
    listed,
)
from geulpi_client._fake_cache import MemoryCache
from geulpi_client._fake_calendar import CALENDAR_MODELS
from geulpi_client._fake_checks import Unfit, outputs_of, refusal, specs_of
from geulpi_client._messages import Answer, Request
from geulpi_client._tensors import Array, to_array

__all__ = ["FakeRequest", "FakeTriton", "MemoryCache"]

Failure: TypeAlias = type[CallFailed] | type[InputRefused]
ModelFunction: TypeAlias = Callable[..., Mapping[str, Array]]
Shapes: TypeAlias = Mapping[str, tuple[str, Sequence[int]]]

URL: Final = "fake"
_TOLD = "the fake server was told to fail"
_MOST = 2**31 - 1


@dataclass(frozen=True, eq=False)
class FakeRequest:
    """A request that came: one of a client's, which may hold the rows of several calls.

    Attributes:
        model: whom it asks.
        version: in which version; empty is the newest.
        inputs: the tensors by name, text as objects of `str`.
        id: the request's id, empty where it has none.
        headers: those of this request alone; a client's `token` and `headers` are not among them.
    """

    model: str
    version: str
    inputs: dict[str, Array]
    id: str
    headers: dict[str, str]


class FakeTriton:
    """A server that a client takes in place of an address; any number of clients and threads may.

    Attributes:
        requests: what came so far, the refused and failed included; `requests.clear()` forgets it.
    """

    def __init__(self) -> None:
        self.requests: list[FakeRequest] = []
        self._models: dict[str, _Model] = {}
        self._lock = threading.Lock()

    def serve(
        self,
        model: str,
        function: ModelFunction,
        *,
        inputs: Shapes,
        outputs: Shapes,
        version: str = "1",
        max_batch_size: int | None = None,
    ) -> None:
        """Serve a model. Serving it again is a deploy; `fail` and `slow` of it are then over.

        Args:
            model: its name.
            function: gets the inputs of a request as arrays, by name (text as objects of `str`),
                and returns the outputs as arrays, by name. What it raises is `InferenceFailed`. It
                runs in the caller's thread, or event loop.
            inputs: datatype and shape by name, as the server's metadata has them: −1 is any length.
            outputs: likewise.
            version: a whole number, as text.
            max_batch_size: the most rows at a time; more are refused. `None` is any number.

        Raises:
            InvalidSetting: an argument can't be.
        """
        if not isinstance(model, str) or not model:
            raise InvalidSetting("model", model, "a name")
        if not callable(function):
            raise InvalidSetting("function", function, "a function of the inputs, by name")
        if not isinstance(version, str) or not version.isdecimal():
            raise InvalidSetting("version", version, "a whole number as text, such as '1'")
        takes, gives = specs_of("inputs", inputs), specs_of("outputs", outputs)
        if max_batch_size is not None:
            checked_whole(InvalidSetting, "max_batch_size", max_batch_size, 1, _MOST)
            for spec in (*takes, *gives):
                if spec.shape[:1] != (-1,):
                    raise InvalidSetting(f"shape of '{spec.name}'", [*spec.shape], "-1 rows first")
        by_name = tuple(sorted(gives, key=lambda spec: spec.name))
        contract = Contract(model, version, tuple(takes), by_name, max_batch_size=max_batch_size)
        with self._lock:
            self._models[model] = _Model(contract, function)

    def calendar(self) -> None:
        """Serve the calendar's six models, so that every typed question has an answer.

        The answers are of the right form, plain and always the same; they judge nothing. Serve a
        model of the same name again for others.
        """
        for name, model in CALENDAR_MODELS.items():
            self.serve(
                name,
                model.function,
                inputs=model.inputs,
                outputs=model.outputs,
                max_batch_size=model.max_batch_size,
            )

    def unload(self, model: str) -> None:
        """Serve a model no more: asking it is `ModelNotFound`.

        Raises:
            InvalidSetting: it is not served.
        """
        with self._lock:
            self._served(model)
            del self._models[model]

    def fail(self, model: str, error: Failure, times: int | None = None) -> None:
        """Let requests for a model fail; its metadata is still answered.

        Args:
            model: its name.
            error: what they raise: an error of this package about a call, such as `Unreachable`.
            times: how many requests fail; `None` is all until `recover`.

        Raises:
            InvalidSetting: the model is not served, or an argument can't be.
        """
        if not isinstance(error, type) or not issubclass(error, CallFailed | InputRefused):
            raise InvalidSetting("error", error, "a class of CallFailed, or InputRefused")
        if times is not None:
            checked_whole(InvalidSetting, "times", times, 1, _MOST)
        with self._lock:
            served = self._served(model)
            served.error, served.failures = error, math.inf if times is None else times

    def slow(self, model: str, seconds: float) -> None:
        """Let requests for a model take so long; past the caller's deadline they raise at it.

        Raises:
            InvalidSetting: the model is not served, or the time can't be.
        """
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not 0 <= seconds < math.inf:
            raise InvalidSetting("seconds", seconds, "0 seconds or more")
        with self._lock:
            self._served(model).slow_s = seconds

    def recover(self, model: str) -> None:
        """Undo `fail` and `slow`.

        Raises:
            InvalidSetting: the model is not served.
        """
        with self._lock:
            served = self._served(model)
            served.failures, served.slow_s = 0, 0.0

    def open_transport(self) -> _Transport:
        """Return a way for a client of threads; clients call it."""
        return _Transport(self._contract, self._come)

    def open_async_transport(self) -> _AsyncTransport:
        """Return a way for a client of asyncio; clients call it."""
        return _AsyncTransport(self._contract, self._come)

    def _served(self, model: str) -> _Model:
        if model not in self._models:
            raise InvalidSetting("model", model, f"one that is served: {listed([*self._models])}")
        return self._models[model]

    def _contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        target = Target(URL, model, version)
        _in_time(target, deadline)
        with self._lock:
            return self._asked(target).contract

    def _come(self, request: Request, deadline: Deadline) -> _Pending:
        """Take a request; which model answers it, and how, is settled now and said later."""
        target, left_s = request.target(URL), deadline.remaining_s()
        _in_time(target, deadline)
        came = FakeRequest(
            request.model, request.version, _arrays(request), request.id, dict(request.headers)
        )
        with self._lock:
            self.requests.append(came)
            model = self._asked(target)
            error = model.error if model.failures else None
            model.failures = max(0, model.failures - 1)
            wait_s, late = min(model.slow_s, left_s), model.slow_s >= left_s
            return _Pending(request, deadline, model.contract, model.function, error, wait_s, late)

    def _asked(self, target: Target) -> _Model:
        model = self._models.get(target.model)
        if model is None or target.version not in {"", model.contract.version}:
            version = "" if model is None else f" version {target.version}"
            said = f"Request for unknown model: '{target.model}'{version} is not found"
            raise ModelNotFound(target, said)
        return model


@dataclass
class _Model:
    contract: Contract
    function: ModelFunction
    error: Failure | None = None
    failures: float = 0
    slow_s: float = 0.0


@dataclass(frozen=True)
class _Pending:
    """A request that came, for `wait_s` before its answer; `late` if the deadline is before it."""

    request: Request
    deadline: Deadline
    contract: Contract
    function: ModelFunction
    error: Failure | None
    wait_s: float
    late: bool

    def answer(self) -> Answer:
        """Return the answer, or raise what came of it instead."""
        target = self.request.target(URL)
        too_late = DeadlineExceeded(target, self.deadline.timeout_s)
        if self.late:
            raise too_late
        if self.error is not None:
            timed = issubclass(self.error, DeadlineExceeded)
            raise too_late if timed else self.error(target, _TOLD)
        if refused := refusal(self.contract, self.request):
            raise InputRefused(target, refused)
        try:
            # Arrays of its own: what it changes in them is not what came.
            outputs = outputs_of(
                self.contract, self.request, self.function(**_arrays(self.request))
            )
        except Unfit as error:
            raise InferenceFailed(target, str(error)) from None
        except Exception as error:
            raise InferenceFailed(target, f"{type(error).__name__}: {error}") from error
        if not self.deadline.remaining_s():
            raise too_late
        return Answer(self.contract.version, outputs)


class _Transport:
    """A way to the fake for a client of threads."""

    def __init__(self, ask: _Ask, come: _Come) -> None:
        self.url = URL
        self._ask, self._come, self._closed = ask, come, False

    def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Say what a model takes and gives."""
        _check_open(self._closed)
        return self._ask(model, version, deadline)

    def infer(self, request: Request, deadline: Deadline) -> Answer:
        """Answer a request."""
        _check_open(self._closed)
        pending = self._come(request, deadline)
        time.sleep(pending.wait_s)
        return pending.answer()

    def close(self) -> None:
        """Close this way; there may be others."""
        self._closed = True


class _AsyncTransport:
    """A way to the fake for a client of asyncio."""

    def __init__(self, ask: _Ask, come: _Come) -> None:
        self.url = URL
        self._ask, self._come, self._closed = ask, come, False

    async def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Say what a model takes and gives."""
        _check_open(self._closed)
        return self._ask(model, version, deadline)

    async def infer(self, request: Request, deadline: Deadline) -> Answer:
        """Answer a request."""
        _check_open(self._closed)
        pending = self._come(request, deadline)
        await asyncio.sleep(pending.wait_s)
        return pending.answer()

    async def aclose(self) -> None:
        """Close this way; there may be others."""
        self._closed = True


_Ask: TypeAlias = Callable[[str, str, Deadline], Contract]
_Come: TypeAlias = Callable[[Request, Deadline], _Pending]


def _check_open(closed: bool) -> None:
    if closed:
        raise ClientClosed(URL)


def _in_time(target: Target, deadline: Deadline) -> None:
    if not deadline.remaining_s():
        raise DeadlineExceeded(target, deadline.timeout_s)


def _arrays(request: Request) -> dict[str, Array]:
    return {tensor.name: to_array(tensor) for tensor in request.tensors}
