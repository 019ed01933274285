"""A model asked for rows: joined with those of other callers, in pieces where it takes fewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from geulpi_client._async.sender import AsyncSender
from geulpi_client._contract import Contract
from geulpi_client._errors import InputRefused, Target
from geulpi_client._messages import Answer
from geulpi_client._results import Call
from geulpi_client._rows import chunks, concatenated
from geulpi_client._statistics import Recorder
from geulpi_client._tensors import Tensor
from geulpi_client._translation import batch_limit
from geulpi_client._twins_async import Coalescer

JOINED_ROWS: Final = 64
"""How many rows a joined request has at most, where the model does not say what it takes."""


class AsyncRequests:
    """Asks models over a sender. With a delay of `None`, each call is a request of its own."""

    def __init__(self, sender: AsyncSender, recorder: Recorder, delay_s: float | None) -> None:
        self.url = sender.url
        self._sender = sender
        self._recorder = recorder
        self._delay_s = delay_s
        self._limits: dict[str, int] = {}
        self._coalescers: dict[tuple[str, str], Coalescer] = {}

    async def ask(self, call: Call, contract: Contract, tensors: Sequence[Tensor]) -> Answer:
        """Ask the model that a call is about.

        Raises:
            CallFailed, InputRefused.
            MalformedTensor: the answers to its pieces can't stand below each other.
        """
        if not contract.batched:
            return await self._alone(call, tensors)
        rows = tensors[0].shape[0]
        limit = self._limit(contract) or rows
        if rows <= limit:
            try:
                return await self._joined(call, contract, tensors)
            except InputRefused as refusal:
                # Where the configuration is not to be had, the refusal tells how many rows.
                learned = batch_limit(refusal)
                if learned is None or not 0 < learned < rows:
                    raise
                self._limits[call.model] = limit = learned
        return concatenated(
            [await self.ask(call, contract, part) for part in chunks(tensors, limit)]
        )

    async def aclose(self) -> None:
        """Take no more calls; those that wait fail, those under way when the sender is closed."""
        for coalescer in [*self._coalescers.values()]:
            await coalescer.aclose(drain=False)

    async def _joined(self, call: Call, contract: Contract, tensors: Sequence[Tensor]) -> Answer:
        # Where a request of several rows is not a batch, the rows may depend on each other.
        if self._delay_s is None or not contract.row_wise or contract.max_batch_size in {0, 1}:
            return await self._alone(call, tensors)
        key = (call.model, call.version)
        coalescer = self._coalescers.get(key)
        if coalescer is None:
            coalescer = self._coalescers[key] = self._coalescer(call, contract)
        return await coalescer.infer(tensors, call.deadline)

    async def _alone(self, call: Call, tensors: Sequence[Tensor]) -> Answer:
        return await self._sender.infer(call.model, call.version, tensors, call.deadline)

    def _limit(self, contract: Contract) -> int | None:
        return contract.max_batch_size or self._limits.get(contract.model)

    def _coalescer(self, call: Call, contract: Contract) -> Coalescer:
        model, version = call.model, call.version
        return Coalescer(
            lambda tensors, deadline: self._sender.infer(model, version, tensors, deadline),
            target=Target(self._sender.url, model, version),
            max_rows=lambda: self._limit(contract) or JOINED_ROWS,
            delay_s=self._delay_s or 0.0,
            on_batch=lambda calls, rows: self._recorder.batch(model, calls, rows),
            checked=True,
        )
