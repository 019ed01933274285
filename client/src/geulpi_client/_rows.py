"""Which rows of a call are known, which must be asked, and how both become one answer; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from geulpi_client._codec import decode_row, encode_row, layout
from geulpi_client._constants import MAX_CACHED_ROW_BYTES
from geulpi_client._contract import Contract
from geulpi_client._keys import cache_key
from geulpi_client._messages import Answer
from geulpi_client._tensors import MalformedTensor, Spec, Tensor, join_rows, spec_of, split_rows

Row = tuple[bytes, ...]


@dataclass(frozen=True)
class Lookup:
    """The rows of a call by digest: what the cache knew of them, and which to ask the model for."""

    digests: Sequence[str]
    found: Mapping[str, Row]

    @property
    def cached(self) -> list[bool]:
        """Whether each row came from the cache."""
        return [digest in self.found for digest in self.digests]

    @cached_property
    def missing(self) -> list[int]:
        """Return where each row that is not known stands first; equal rows are asked once."""
        first: dict[str, int] = {}
        for position, digest in enumerate(self.digests):
            if digest not in self.found:
                first.setdefault(digest, position)
        return list(first.values())

    def without_found(self) -> Lookup:
        """Return the same call with nothing known."""
        return Lookup(self.digests, {})


def looked_up(
    contract: Contract, digests: Sequence[str], values: Iterable[bytes | None] | None
) -> Lookup:
    """Return what the cache's values, one per digest, say; what can't be decoded is not known."""
    found = {}
    for digest, value in zip(digests, values or [None] * len(digests), strict=True):
        row = value and decode_row(contract.outputs, contract.layout, value)
        if row:
            found[digest] = row
    return Lookup(digests, found)


def taken(tensors: Sequence[Tensor], positions: Sequence[int]) -> list[Tensor]:
    """Return the tensors with only the rows at these positions."""
    return [
        join_rows(spec_of(tensor), [rows[position] for position in positions])
        for tensor, rows in ((tensor, split_rows(tensor)) for tensor in tensors)
    ]


def chunks(tensors: Sequence[Tensor], limit: int) -> list[list[Tensor]]:
    """Return the tensors in pieces of at most `limit` rows."""
    split = [(spec_of(tensor), split_rows(tensor)) for tensor in tensors]
    return [
        [join_rows(spec, rows[start : start + limit]) for spec, rows in split]
        for start in range(0, tensors[0].shape[0], limit)
    ]


def rows_of(answer: Answer, count: int) -> list[Row]:
    """Return the rows of an answer, each in the outputs' order.

    Raises:
        MalformedTensor: an output does not hold that many rows.
    """
    for tensor in answer.outputs:
        if tensor.shape[:1] != (count,):
            raise MalformedTensor(f"'{tensor.name}' has shape {[*tensor.shape]} for {count} rows")
    return list(zip(*(split_rows(tensor) for tensor in answer.outputs), strict=True))


def concatenated(answers: Sequence[Answer]) -> Answer:
    """Return the answers to the chunks of one call as one; its version is empty if they disagree.

    Raises:
        MalformedTensor: their outputs can't stand below each other.
    """
    specs = specs_of(answers[0])
    if any(specs_of(answer) != specs for answer in answers):
        raise MalformedTensor("chunks of one batch were answered with different outputs")
    versions = {answer.version for answer in answers}
    outputs = tuple(
        Tensor(
            parts[0].name,
            parts[0].datatype,
            (sum(part.shape[0] for part in parts), *parts[0].shape[1:]),
            b"".join(part.raw for part in parts),
        )
        for parts in zip(*(answer.outputs for answer in answers), strict=True)
    )
    return Answer(versions.pop() if len(versions) == 1 else "", outputs)


def specs_of(answer: Answer) -> tuple[Spec, ...]:
    """Return what the outputs of a row-wise answer would be declared as."""
    return tuple(spec_of(tensor) for tensor in answer.outputs)


def joined(specs: Sequence[Spec], rows: Sequence[Row]) -> tuple[Tensor, ...]:
    """Return the outputs that hold these rows."""
    return tuple(join_rows(spec, [row[i] for row in rows]) for i, spec in enumerate(specs))


def values_to_keep(model: str, answer: Answer, rows: Mapping[str, Row]) -> dict[str, bytes]:
    """Return the cache entries of fresh rows by digest, under the version that answered."""
    head = layout(specs_of(answer))
    values = {
        cache_key(model, answer.version, digest): encode_row(head, row)
        for digest, row in rows.items()
    }
    return {key: value for key, value in values.items() if len(value) <= MAX_CACHED_ROW_BYTES}
