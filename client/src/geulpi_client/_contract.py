"""What a model takes and gives, as the server's metadata says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from geulpi_client._codec import layout
from geulpi_client._tensors import Spec

if TYPE_CHECKING:
    import hashlib


@dataclass(frozen=True)
class Contract:
    """A model's version and tensors; outputs are in the order of their names.

    `digest` is of the version's files and `max_batch_size` how many rows it takes at a time (0: it
    has no batches), as its configuration says; empty and `None` where that is not to be had.
    """

    model: str
    version: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    digest: str = ""
    max_batch_size: int | None = None
    key_heads: dict[tuple[tuple[int, ...], ...], hashlib.blake2b] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What `_keys` hashed of it already, by the shapes of the inputs' rows."""

    @cached_property
    def batched(self) -> bool:
        """Whether the first dimension of every input is that of the rows."""
        return bool(self.inputs) and all(spec.shape[:1] == (-1,) for spec in self.inputs)

    @cached_property
    def row_wise(self) -> bool:
        """Whether an answer can be cut into rows of one shape, so that each may be cached."""
        return self.batched and all(
            spec.shape[:1] == (-1,) and -1 not in spec.shape[1:] for spec in self.outputs
        )

    @cached_property
    def layout(self) -> bytes:
        """How cached rows of this model begin."""
        return layout(self.outputs)
