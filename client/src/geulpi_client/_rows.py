"""Which rows of a call are known, which must be asked, and how both become one answer; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from geulpi_client._messages import Answer
from geulpi_client._tensors import MalformedTensor, Spec, Tensor, join_rows, spec_of, split_rows

Row: TypeAlias = tuple[bytes, ...]
"""The raw bytes of each output, in the outputs' order."""


class Landed(NamedTuple):
    """A fresh row: the version that answered, what its outputs are, and the row."""

    version: str
    specs: tuple[Spec, ...]
    row: Row


@dataclass(slots=True)
class Found:
    """The rows that the cache knew of a call, by key.

    `ageing` are those to be computed anew beside the call, `from_memory` those of the tier in the
    process, and `young` those in the first half of their life. `asked` is whether there was a cache
    that could be asked, `drops` how often something was dropped before.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    ageing: list[str] = field(default_factory=list)
    from_memory: set[str] = field(default_factory=set)
    young: set[str] = field(default_factory=set)
    asked: bool = False
    drops: int = 0


def missing(keys: Sequence[str], known: Mapping[str, Row]) -> dict[str, int]:
    """Return where each row that is not known stands first; equal rows are asked once."""
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        if key not in known:
            first.setdefault(key, position)
    return first


def taken(tensors: Sequence[Tensor], positions: Sequence[int]) -> Sequence[Tensor]:
    """Return the tensors with only the rows at these positions."""
    if [*positions] == [*range(tensors[0].shape[0])]:
        return tensors
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
