"""The outputs of the calendar models read by name, each checked; pure.

Every reader raises `UnexpectedAnswer` naming the tensor where it is not what this client knows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from geulpi_client._errors import Target, UnexpectedAnswer, shortened
from geulpi_client._results import InferResult
from geulpi_client._tensors import Array


@dataclass(frozen=True)
class Answered:
    """What a model answered, and who did; the methods are for answers of one row."""

    result: InferResult
    target: Target

    @property
    def cached(self) -> bool:
        """Whether the row came from the cache."""
        return bool(self.result.cached[0])

    def number(self, name: str) -> float:
        """Return the value of a tensor `[1, 1]`."""
        return self.numbers(name, 1)[0]

    def numbers(self, name: str, width: int) -> list[float]:
        """Return the finite values of a tensor `[1, width]`."""
        row = self._row(name, width)
        if row.dtype.kind not in "fiu":
            raise self.unexpected(name, f"holds {row.dtype}, not numbers")
        values: list[float] = row.tolist()
        if not all(map(math.isfinite, values)):
            raise self.unexpected(name, f"holds {values}, which are not all finite")
        return values

    def by_name(self, name: str, names: Sequence[str]) -> dict[str, float]:
        """Return the values of a tensor `[1, len(names)]` by these names."""
        return dict(zip(names, self.numbers(name, len(names)), strict=True))

    def text(self, name: str) -> str:
        """Return the text of a tensor `[1, 1]`."""
        text = self._row(name, 1)[0]
        if not isinstance(text, str):
            raise self.unexpected(name, f"holds {shortened(text)}, no text")
        return text

    @contextmanager
    def document(self, name: str) -> Iterator[Any]:
        """Give the JSON of a tensor `[1, 1]`; what fails while it is read is the answer's fault."""
        text = self.text(name)
        try:
            yield json.loads(text)
        except KeyError as error:
            raise self.unexpected(name, f"lacks {error}") from error
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise self.unexpected(name, f"can't be read: {error}") from error

    def unexpected(self, name: str, problem: str) -> UnexpectedAnswer:
        """Return the error of an output."""
        return UnexpectedAnswer(self.target, f"output '{name}' {problem}")

    def _row(self, name: str, width: int) -> Array:
        array = self.result.outputs.get(name)
        if array is None:
            raise self.unexpected(name, "is missing")
        if array.shape != (1, width):
            raise self.unexpected(name, f"has shape {[*array.shape]} instead of [1, {width}]")
        row: Array = array[0]
        return row


def text_in(row: Mapping[str, Any], field: str) -> str:
    """Return a field that is text; a `TypeError` or `KeyError` says what is there instead."""
    return str(_of_kind(row, field, str))


def number_in(row: Mapping[str, Any], field: str) -> float:
    """Return a field that is a finite number."""
    number = float(_of_kind(row, field, int | float))
    if not math.isfinite(number):
        raise ValueError(f"{field} is {number}")
    return number


def whole_in(row: Mapping[str, Any], field: str) -> int:
    """Return a field that is a whole number."""
    return int(_of_kind(row, field, int))


def flag_in(row: Mapping[str, Any], field: str) -> bool:
    """Return a field that is true or false."""
    return bool(_of_kind(row, field, bool))


def list_in(row: Mapping[str, Any], field: str) -> list[Any]:
    """Return a field that is a list."""
    return list(_of_kind(row, field, list))


def moment_of(text: str, zone: tzinfo) -> datetime:
    """Return a moment, which must have an offset, in a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the moment '{text}' has no offset")
    return moment.astimezone(zone)


def _of_kind(row: Mapping[str, Any], field: str, kind: Any) -> Any:
    value = row[field]
    # JSON's true is no number, though Python's True is an int.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{field} is {shortened(value)}")
    return value
