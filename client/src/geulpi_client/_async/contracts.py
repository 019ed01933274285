"""The contracts of the models that were asked, at most 0.75 s old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from geulpi_client._async.sender import AsyncSender
from geulpi_client._constants import CONTRACT_REFRESH_S, CONTRACT_TTL_S
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import (
    DeadlineExceeded,
    GeulpiError,
    Overloaded,
    Target,
    Unreachable,
)
from geulpi_client._twins_async import Flights


@dataclass(frozen=True, slots=True)
class _Known:
    contract: Contract
    fresh_until_s: float


class AsyncContracts:
    """What models take and give, asked anew every half second, so that a deploy is seen.

    While the server can't be reached, the last one known stays in use: cached answers still come.
    """

    def __init__(self, sender: AsyncSender, clock: Callable[[], float] = time.monotonic) -> None:
        self._sender = sender
        self._clock = clock
        self._known: dict[tuple[str, str], _Known] = {}
        self._lock = threading.Lock()
        self._flights = Flights[Contract]()

    def fresh(self, model: str, version: str) -> Contract | None:
        """Return the contract of a model if it is known and young enough."""
        if type(model) is not str or type(version) is not str:
            return None
        known = self._known.get((model, version))
        return known.contract if known and self._clock() < known.fresh_until_s else None

    async def get(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Return the contract of a model; `version` empty is the newest.

        Raises:
            CallFailed: the server has no such model, or can't be asked and never was.
        """
        key = (model, version)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                if self._clock() < known.fresh_until_s:
                    return known.contract
                # This caller asks anew; the others go on meanwhile with what is known.
                self._known[key] = _Known(known.contract, self._clock() + CONTRACT_REFRESH_S)
        if known is None:
            return await self._first(key, deadline)
        try:
            contract = await self._ask(key, deadline.at_most(CONTRACT_REFRESH_S), patient=False)
        except (Unreachable, DeadlineExceeded, Overloaded):
            return known.contract
        if known.contract == contract:
            contract = known.contract  # with what was computed of it already
        return self._keep(key, contract)

    async def _first(self, key: tuple[str, str], deadline: Deadline) -> Contract:
        """Ask for a contract that is not known, once for all callers."""
        name = ":".join(key)
        while True:
            mine, others = self._flights.claim([name])
            if mine:
                contract = None
                try:
                    contract = self._keep(key, await self._ask(key, deadline, patient=True))
                finally:
                    self._flights.land(name, contract)
                return contract
            other = await self._flights.wait(others[name], deadline)
            if other is not None:
                return other
            if not deadline.remaining_s():
                raise DeadlineExceeded(Target(self._sender.url, *key), deadline.timeout_s)

    async def _ask(self, key: tuple[str, str], deadline: Deadline, *, patient: bool) -> Contract:
        try:
            return await self._sender.contract(*key, deadline, patient=patient)
        except (Unreachable, DeadlineExceeded, Overloaded):
            raise
        except GeulpiError:
            self._known.pop(key, None)  # it is gone
            raise

    def _keep(self, key: tuple[str, str], contract: Contract) -> Contract:
        self._known[key] = _Known(contract, self._clock() + CONTRACT_TTL_S)
        return contract

    def forget(self, model: str, version: str) -> None:
        """Ask anew at the next call: the model answered otherwise than its contract says."""
        self._known.pop((model, version), None)
