"""One call: which rows the cache knows, which the model is asked for, and the answer of both."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from geulpi_client._async.contracts import AsyncContracts
from geulpi_client._async.requests import AsyncRequests
from geulpi_client._async.tiers import AsyncTiers
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import DeadlineExceeded, GeulpiError, Target, UnexpectedAnswer
from geulpi_client._hits import Hits
from geulpi_client._keys import row_keys
from geulpi_client._log import DEBUG, WARNING, event
from geulpi_client._results import Call, InferResult, arrays, none_of
from geulpi_client._rows import Found, Landed, joined, missing, rows_of, specs_of, taken
from geulpi_client._settings import Ttls
from geulpi_client._tensors import MalformedTensor, Spec, Tensor
from geulpi_client._twins_async import Background, Flights

# So many others may fail at a row before those who wait for it ask at once.
_FLIGHTS: Final = 2


class AsyncInference:
    """Runs calls over the tiers of a cache and the requests to a server."""

    def __init__(
        self,
        requests: AsyncRequests,
        contracts: AsyncContracts,
        tiers: AsyncTiers,
        *,
        background: Background,
        ttls: Ttls,
        timeout_s: float,
        traced: bool,
    ) -> None:
        self._requests = requests
        self._contracts = contracts
        self._tiers = tiers
        self._ttls = ttls
        self._background = background
        self._timeout_s = timeout_s
        self._flights = Flights[Landed]()
        self._hits = None if tiers.memory is None or traced else Hits(tiers.memory)
        self._refreshed: set[str] = set()
        self._refreshing = threading.Lock()
        self._unlike: set[str] = set()

    def at_hand(self, contract: Contract, inputs: Mapping[str, ArrayLike]) -> InferResult | None:
        """Return the answer to a plain question that the memory of this process knows."""
        if self._hits is None or self._tiers.looks_into_log() or not self._ttls.of(contract.model):
            return None
        try:
            found = self._hits.find(contract, inputs)
        except (TypeError, AttributeError):
            return None  # the long way says what is wrong with them
        if found is not None:
            self._tiers.count(contract.model, hits=1, misses=0)
        return found

    async def run(self, call: Call, contract: Contract, tensors: Sequence[Tensor]) -> InferResult:
        """Answer a call whose tensors keep to the contract.

        Raises:
            CallFailed, InputRefused.
        """
        try:
            if self._tiers.enabled and contract.row_wise and self._ttls.of(call.model):
                return await self._by_rows(call, contract, tensors)
            answer = await self._requests.ask(call, contract, tensors)
            rows = tensors[0].shape[0] if contract.batched else 1
            return InferResult(arrays(answer.outputs), answer.version, none_of(rows), 0)
        except MalformedTensor as error:
            raise UnexpectedAnswer(self._target(call), str(error)) from error

    async def _by_rows(
        self, call: Call, contract: Contract, tensors: Sequence[Tensor]
    ) -> InferResult:
        keys = row_keys(contract, tensors)
        found = await self._tiers.find(contract, keys, call.tags, call.deadline)
        if found.ageing:
            places = missing(keys, {})
            ageing = {key: places[key] for key in found.ageing}
            self._refresh_soon(call, contract, tensors, ageing)
        wanted = missing(keys, found.rows)
        version, specs, known = contract.version, contract.outputs, found.rows
        if wanted:
            fresh = await self._fresh(call, contract, tensors, wanted, found)
            rows = {key: landed.row for key, landed in fresh.items()}
            first = fresh[keys[0]] if not found.rows else Landed(version, specs, ())
            if _same(fresh.values(), first.version, first.specs):
                version, specs, known = first.version, first.specs, {**found.rows, **rows}
            else:
                # Another version went live since the look-up. Its rows never stand beside older
                # ones in one answer, so the whole batch is asked.
                found = Found(asked=found.asked)
                whole = missing(keys, {})
                answer = await self._requests.ask(call, contract, taken(tensors, [*whole.values()]))
                version, specs = answer.version, specs_of(answer)
                known = dict(zip(whole, rows_of(answer, len(whole)), strict=True))
            if version != contract.version:
                self._contracts.forget(call.model, call.version)
        return self._result(call, keys, found, version, joined(specs, [known[k] for k in keys]))

    async def _fresh(
        self,
        call: Call,
        contract: Contract,
        tensors: Sequence[Tensor],
        wanted: Mapping[str, int],
        found: Found,
    ) -> dict[str, Landed]:
        """Return the rows that the model is asked for, by this caller or by another one."""
        fresh: dict[str, Landed] = {}
        # Who comes after something was dropped does not wait for an answer from before.
        names = {f"{found.drops}:{key}": key for key in wanted}
        for _ in range(_FLIGHTS):
            mine, others = self._flights.claim([n for n, key in names.items() if key not in fresh])
            try:
                # Another caller's answer may have come between the look-up and the claim.
                kept = self._tiers.just_kept(contract, [names[name] for name in mine])
                version, specs = contract.version, contract.outputs
                fresh.update({key: Landed(version, specs, row) for key, row in kept.items()})
                asked = [names[name] for name in mine if names[name] not in kept]
                if asked:
                    places = {key: wanted[key] for key in asked}
                    fresh.update(await self._asked(call, contract, tensors, places, found.drops))
            finally:
                for name in mine:  # with `None`, those who wait ask by themselves
                    self._flights.land(name, fresh.get(names[name]))
            for name, flight in others.items():
                other = await self._flights.wait(flight, call.deadline)
                if other is not None:
                    fresh[names[name]] = other
            if len(fresh) == len(wanted):
                return fresh
            if not call.deadline.remaining_s():
                raise DeadlineExceeded(self._target(call), call.deadline.timeout_s)
        # It is likely a row's fault, of which all shall hear, and not one after another.
        places = {key: place for key, place in wanted.items() if key not in fresh}
        return fresh | await self._asked(call, contract, tensors, places, found.drops)

    async def _asked(
        self,
        call: Call,
        contract: Contract,
        tensors: Sequence[Tensor],
        wanted: Mapping[str, int],
        drops: int,
    ) -> dict[str, Landed]:
        """Ask the model for the rows at these places, keep them, and return them."""
        started_s = time.monotonic()
        answer = await self._requests.ask(call, contract, taken(tensors, [*wanted.values()]))
        cost_ms = 1000 * (time.monotonic() - started_s)
        version, specs = answer.version, specs_of(answer)
        rows = dict(zip(wanted, rows_of(answer, len(wanted)), strict=True))
        if (version, specs) == (contract.version, contract.outputs):
            self._tiers.keep(
                contract,
                rows,
                ttl_s=self._ttls.of(call.model),
                cost_ms=cost_ms,
                tags=call.tags,
                drops=drops,
            )
        elif version == contract.version and call.model not in self._unlike:
            self._unlike.add(call.model)
            event(WARNING, "answers are unlike the metadata: not cached", model=call.model)
        return {key: Landed(version, specs, row) for key, row in rows.items()}

    def _refresh_soon(
        self, call: Call, contract: Contract, tensors: Sequence[Tensor], wanted: Mapping[str, int]
    ) -> None:
        """Compute ageing rows anew beside the call, once for all callers."""
        with self._refreshing:
            due = {key: place for key, place in wanted.items() if key not in self._refreshed}
            self._refreshed.update(due)
        if due and not self._background.run(lambda: self._refresh(call, contract, tensors, due)):
            self._refreshed.difference_update(due)

    async def _refresh(
        self, call: Call, contract: Contract, tensors: Sequence[Tensor], due: Mapping[str, int]
    ) -> None:
        try:
            newer = await self._tiers.newer(contract, [*due], call.tags)
            old = [key for key in due if key not in newer.rows]
            lock_s = min(self._timeout_s, self._ttls.of(call.model) / 4)
            mine = await self._tiers.claim(old, lock_s) if old else []
            if mine:
                call = call._replace(deadline=Deadline.after(self._timeout_s))
                places = {key: due[key] for key in mine}
                await self._asked(call, contract, tensors, places, newer.drops)
        except (GeulpiError, MalformedTensor) as error:
            event(DEBUG, "ageing rows stay", model=call.model, error=type(error).__name__)
        finally:
            self._refreshed.difference_update(due)

    def _result(
        self,
        call: Call,
        keys: Sequence[str],
        found: Found,
        version: str,
        outputs: Sequence[Tensor],
    ) -> InferResult:
        cached = [key in found.rows for key in keys]
        hits = sum(cached)
        looked_up = len(keys) if found.asked else 0
        if looked_up:
            self._tiers.count(call.model, hits=hits, misses=looked_up - hits)
        return InferResult(
            arrays(outputs),
            version,
            np.array(cached),
            looked_up,
            source="cache" if hits == len(keys) else "server",
            hits=hits,
            from_memory=sum(key in found.from_memory for key in keys),
        )

    def _target(self, call: Call) -> Target:
        return Target(self._requests.url, call.model, call.version)


def _same(rows: Iterable[Landed], version: str, specs: tuple[Spec, ...]) -> bool:
    """Return whether all rows are of this version, with these outputs."""
    return all(landed.version == version and landed.specs == specs for landed in rows)
