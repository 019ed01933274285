"""What a model takes and gives, as the server's metadata says it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from geulpi_client._codec import layout
from geulpi_client._constants import CONTRACT_REFRESH_S, CONTRACT_TTL_S
from geulpi_client._deadline import Deadline
from geulpi_client._errors import CallFailed, DeadlineExceeded, Unreachable
from geulpi_client._tensors import Spec


@dataclass(frozen=True)
class Contract:
    """A model's version and tensors; outputs are in the order of their names."""

    model: str
    version: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]

    @property
    def batched(self) -> bool:
        """Whether the first dimension of every input is that of the rows."""
        return bool(self.inputs) and all(spec.shape[:1] == (-1,) for spec in self.inputs)

    @property
    def row_wise(self) -> bool:
        """Whether an answer can be cut into rows of one shape, so that each may be cached."""
        return self.batched and all(
            spec.shape[:1] == (-1,) and -1 not in spec.shape[1:] for spec in self.outputs
        )

    @cached_property
    def layout(self) -> bytes:
        """How cached rows of this model begin."""
        return layout(self.outputs)


class AsksForContracts(Protocol):
    """The part of a transport that learns what models take."""

    def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask the server; `version` empty is the newest."""


@dataclass(frozen=True)
class _Known:
    contract: Contract
    fresh_until_s: float


class Contracts:
    """The contracts of the models that were asked, each at most a second old.

    While the server can't be reached, the last one known stays in use: cached answers still come.
    """

    def __init__(self, transport: AsksForContracts) -> None:
        self._transport = transport
        self._known: dict[tuple[str, str], _Known] = {}
        self._lock = threading.Lock()

    def get(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Return the contract of a model; `version` empty is the newest.

        Raises:
            CallFailed: the server has no such model, or can't be asked and never was.
        """
        key = (model, version)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                if time.monotonic() < known.fresh_until_s:
                    return known.contract
                # This thread refreshes; the others go on with what is known.
                self._keep(key, known.contract)
        if known is not None:
            deadline = deadline.at_most(CONTRACT_REFRESH_S)
        try:
            contract = self._transport.contract(model, version, deadline)
        except (Unreachable, DeadlineExceeded):
            if known is None:
                raise
            return known.contract
        except CallFailed:
            self._known.pop(key, None)
            raise
        self._keep(key, contract)
        return contract

    def forget(self, model: str, version: str) -> None:
        """Ask anew at the next call: the model answered otherwise than its contract says."""
        self._known.pop((model, version), None)

    def _keep(self, key: tuple[str, str], contract: Contract) -> None:
        self._known[key] = _Known(contract, time.monotonic() + CONTRACT_TTL_S)
