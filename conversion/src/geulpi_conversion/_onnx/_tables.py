"""What flows between the parts of a graph: typed tensors `[N, width]`, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from onnx import TensorProto

Kind = Literal["bool", "int64", "float", "double", "string"]

ELEMENT_TYPES: dict[Kind, int] = {
    "bool": TensorProto.BOOL,
    "double": TensorProto.DOUBLE,
    "float": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
}


@dataclass(frozen=True)
class Value:
    """A tensor of the graph, `[N, width]`, by its name and type of element.

    Attributes:
        missing: the text that stands for a missing string; None where none can be missing.
        none: whether the estimator sees `None` there; it sees NaN otherwise.
    """

    name: str
    kind: Kind
    width: int
    missing: str | None = None
    none: bool = False


@dataclass(frozen=True)
class Table:
    """Columns side by side, in one or more tensors: a matrix is a table of one value.

    Attributes:
        values: the tensors, from left to right.
    """

    values: tuple[Value, ...]

    @classmethod
    def of(cls, *parts: Value | Table) -> Table:
        """Put values and tables side by side."""
        return cls(
            tuple(chain.from_iterable(p.values if isinstance(p, Table) else (p,) for p in parts))
        )

    @property
    def width(self) -> int:
        """The number of columns."""
        return sum(value.width for value in self.values)

    @property
    def kinds(self) -> set[Kind]:
        """The types of element that occur."""
        return {value.kind for value in self.values}

    def places(self, columns: Iterable[int]) -> list[tuple[Value, int]]:
        """Return for each column the tensor that holds it, and its place in there."""
        held = [(value, place) for value in self.values for place in range(value.width)]
        return [held[column] for column in columns]
