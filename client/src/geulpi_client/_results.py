"""What a call returns, and what it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geulpi_client._deadline import Deadline
from geulpi_client._tensors import Array, Tensor, to_array

Source: TypeAlias = Literal["server", "cache", "local"]


@dataclass(slots=True)
class InferResult:
    """The answer to a call.

    `outputs` are arrays `[N, …]` of the dtypes that the model declares, BYTES as objects of `str`.
    `version` is that of the model that answered, empty where it changed within a split batch.
    `cached` is bool `[N]` (`[1]` for a model without batches): whether the row came from the cache.
    `looked_up` is how many rows the cache was asked for. `source` is "cache" where all rows came
    from there, "local" where a file at hand answered in place of the server, else "server".
    """

    outputs: dict[str, Array]
    version: str
    cached: NDArray[np.bool_]
    looked_up: int
    source: Source = "server"
    hits: int = field(default=0, repr=False)
    """How many rows came from the cache."""
    from_memory: int = field(default=0, repr=False)
    """How many of these from the memory of this process."""


class Call(NamedTuple):
    """Which model is asked, in which version (empty is the newest), until when, with which tags."""

    model: str
    version: str
    deadline: Deadline
    tags: Collection[str] = ()


_NONE: Final = np.zeros(1, dtype=np.bool_)
_NONE.flags.writeable = False


def none_of(rows: int) -> NDArray[np.bool_]:
    """Return that none of these rows came from the cache."""
    return _NONE if rows == 1 else np.zeros(rows, dtype=np.bool_)


def arrays(outputs: Sequence[Tensor]) -> dict[str, Array]:
    """Return the outputs as arrays, by name.

    Raises:
        MalformedTensor: their bytes do not fit their types and shapes.
    """
    return {tensor.name: to_array(tensor) for tensor in outputs}
