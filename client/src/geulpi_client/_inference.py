"""One call: which rows the cache knows, which the model is asked for, and the answer of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geulpi_client._cache import ResultCache
from geulpi_client._contract import Contract, Contracts
from geulpi_client._deadline import Deadline
from geulpi_client._errors import InputRefused, Target, UnexpectedAnswer
from geulpi_client._grpc import Transport
from geulpi_client._keys import cache_key, row_digests
from geulpi_client._messages import Answer
from geulpi_client._rows import (
    chunks,
    concatenated,
    joined,
    looked_up,
    rows_of,
    specs_of,
    taken,
    values_to_keep,
)
from geulpi_client._settings import Ttls
from geulpi_client._tensors import Array, MalformedTensor, Tensor, to_array
from geulpi_client._translation import batch_limit


@dataclass(frozen=True)
class InferResult:
    """The answer to a call.

    `outputs` are arrays `[N, …]` of the dtypes that the model declares, BYTES as objects of `str`.
    `version` is that of the model that answered, empty where it changed within a split batch.
    `cached` is bool `[N]` (`[1]` for a model without batches): whether the row came from the cache.
    `looked_up` is how many rows the cache was asked for.
    """

    outputs: dict[str, Array]
    version: str
    cached: NDArray[np.bool_]
    looked_up: int


@dataclass(frozen=True)
class Call:
    """Which model is asked, in which version (empty is the newest), until when."""

    model: str
    version: str
    deadline: Deadline


class Inference:
    """Runs calls over a transport and a cache."""

    def __init__(
        self, transport: Transport, contracts: Contracts, cache: ResultCache, ttls: Ttls
    ) -> None:
        self._transport = transport
        self._contracts = contracts
        self._cache = cache
        self._ttls = ttls
        self._row_limits: dict[str, int] = {}

    def run(self, call: Call, contract: Contract, tensors: Sequence[Tensor]) -> InferResult:
        """Answer a call whose tensors keep to the contract."""
        try:
            if self._cache.enabled and contract.row_wise and self._ttls.of(call.model):
                return self._by_rows(call, contract, tensors)
            return self._as_it_is(call, contract, tensors)
        except MalformedTensor as error:
            target = Target(self._transport.url, call.model, call.version)
            raise UnexpectedAnswer(target, str(error)) from error

    def _as_it_is(self, call: Call, contract: Contract, tensors: Sequence[Tensor]) -> InferResult:
        answer = self._ask(call, contract, tensors)
        rows = tensors[0].shape[0] if contract.batched else 1
        cached = np.zeros(rows, dtype=np.bool_)
        return InferResult(_arrays(answer.outputs), answer.version, cached, looked_up=0)

    def _by_rows(self, call: Call, contract: Contract, tensors: Sequence[Tensor]) -> InferResult:
        digests = row_digests(tensors)
        values = self._cache.get([cache_key(call.model, contract.version, d) for d in digests])
        lookup = looked_up(contract, digests, values)
        specs, version = contract.outputs, contract.version
        fresh = {}
        to_keep: dict[str, bytes] = {}
        if lookup.missing:
            answer = self._ask(call, contract, taken(tensors, lookup.missing))
            if (answer.version, specs_of(answer)) != (version, specs):
                # Another version went live since the look-up. Its rows never stand beside older
                # ones in one answer, so the whole batch is asked.
                self._contracts.forget(call.model, call.version)
                if lookup.found:
                    lookup = lookup.without_found()
                    answer = self._ask(call, contract, taken(tensors, lookup.missing))
            rows = rows_of(answer, len(lookup.missing))
            fresh = {digests[i]: row for i, row in zip(lookup.missing, rows, strict=True)}
            specs, version = specs_of(answer), answer.version
            if version:
                to_keep = values_to_keep(call.model, answer, fresh)
        cached = np.array(lookup.cached)
        asked = 0 if values is None else len(digests)
        if values is not None:
            hits = int(cached.sum())
            ttl_s = self._ttls.of(call.model)
            self._cache.put(call.model, to_keep, ttl_s, hits=hits, misses=asked - hits)
        known = {**lookup.found, **fresh}
        outputs = joined(specs, [known[digest] for digest in digests])
        return InferResult(_arrays(outputs), version, cached, asked)

    def _ask(self, call: Call, contract: Contract, tensors: Sequence[Tensor]) -> Answer:
        """Ask the model, in chunks where it takes fewer rows at a time."""
        if not contract.batched:
            return self._transport.infer(call.model, call.version, tensors, call.deadline)
        rows = tensors[0].shape[0]
        limit = self._row_limits.get(call.model, rows)
        if rows <= limit:
            try:
                return self._transport.infer(call.model, call.version, tensors, call.deadline)
            except InputRefused as refusal:
                # The metadata does not tell how many rows a model takes; its refusal does.
                learned = batch_limit(refusal)
                if learned is None or not 0 < learned < rows:
                    raise
                self._row_limits[call.model] = limit = learned
        return concatenated([self._ask(call, contract, part) for part in chunks(tensors, limit)])


def _arrays(outputs: Sequence[Tensor]) -> dict[str, Array]:
    return {tensor.name: to_array(tensor) for tensor in outputs}
