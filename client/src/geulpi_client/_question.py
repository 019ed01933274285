"""A question to a model: what is sent, and how its answer is read. Pure, for any kind of client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from numpy.typing import ArrayLike

from geulpi_client._answers import Answered

T = TypeVar("T")


@dataclass(frozen=True)
class Question(Generic[T]):
    """What is asked of a model.

    `read` makes the typed answer, and raises `UnexpectedAnswer` where the model's is another.
    `extra_s` is how many seconds the model may compute beyond a usual call.
    """

    model: str
    inputs: Mapping[str, ArrayLike]
    read: Callable[[Answered], T]
    extra_s: float = 0.0
