"""Which waiting calls of one model leave together, and what of the answer is whose; pure.

A call leaves at once while nothing is under way. Otherwise it waits until one of the few requests
in flight is answered, and leaves with all that came meanwhile: the slower the server, the larger
the batches, without a timer (as Nagle's algorithm does with small segments, RFC 896). `Line`
decides; it never waits, locks or looks at a clock, so the asyncio and the threaded coalescer do the
same.
"""

from __future__ import annotations

import copy
import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final, Generic, TypeAlias, TypeVar

from geulpi_client._deadline import Deadline
from geulpi_client._errors import (
    DeadlineExceeded,
    GeulpiError,
    InferenceFailed,
    InputRefused,
    InvalidSetting,
    Target,
    UnexpectedAnswer,
)
from geulpi_client._messages import Answer
from geulpi_client._tensors import BYTES, DTYPES, MalformedTensor, Tensor, split_rows
from geulpi_client._translation import batch_limit

Kind: TypeAlias = tuple[tuple[str, str, tuple[int, ...]], ...]
"""Names, datatypes and row shapes: calls that agree in them can be one request."""

MAX_DELAY_S: Final = 0.002
ASKED_AGAIN_AT_A_TIME: Final = 8
"""Requests in flight, beside those of fresh calls, for the members of refused batches."""


class Waiting:
    """A call: its tensors and until when it waits; no kind: it is asked alone.

    `checked` is whether the tensors are known to hold the rows that they claim.
    """

    __slots__ = ("deadline", "kind", "rows", "tensors")

    def __init__(
        self, tensors: Sequence[Tensor], deadline: Deadline, *, checked: bool = False
    ) -> None:
        self.tensors = tensors
        self.deadline = deadline
        self.rows = rows_of_call(tensors)
        self.kind: Kind | None = _kind(tensors, self.rows, checked=checked)


W = TypeVar("W", bound=Waiting)


@dataclass(eq=False)
class Batch(Generic[W]):
    """Calls that are one request."""

    members: list[W]
    again: bool = False
    over: bool = field(default=False, init=False)

    @property
    def rows(self) -> int:
        """Return how many rows they are together."""
        return sum(member.rows for member in self.members)

    @property
    def deadline(self) -> Deadline:
        """Return the latest of the members' deadlines: the others give up by themselves."""
        return max((member.deadline for member in self.members), key=lambda deadline: deadline.at_s)

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Return the rows of all members below each other."""
        if len(self.members) == 1:
            return self.members[0].tensors
        rows = self.rows
        calls = [member.tensors for member in self.members]
        return [
            Tensor(
                parts[0].name,
                parts[0].datatype,
                (rows, *parts[0].shape[1:]),
                b"".join([part.raw for part in parts]),
            )
            for parts in zip(*calls, strict=True)
        ]

    def split(self, answer: Answer, target: Target) -> list[Answer]:
        """Return each member's part of the answer to all; the only member's is the whole.

        Raises:
            UnexpectedAnswer: the answer does not hold the batch's rows.
        """
        if len(self.members) == 1:
            return [answer]
        ends = [0, *accumulate(member.rows for member in self.members)]
        try:
            outputs = [_parts(tensor, ends) for tensor in answer.outputs]
        except MalformedTensor as error:
            raise UnexpectedAnswer(target, str(error)) from error
        if not outputs:
            return [answer] * len(self.members)
        version = answer.version
        return [Answer(version, parts) for parts in zip(*outputs, strict=True)]


class Line(Generic[W]):
    """The calls that wait for one model, and how many requests are under way.

    Its owner asks `next_batch` whenever a call came or a request ended, sends what it gets, and
    says `finished` of each. Every step takes constant time per call, however many wait.
    """

    def __init__(
        self, *, max_rows: Callable[[], int] | int, delay_s: float, in_flight: int
    ) -> None:
        if not callable(max_rows) and max_rows < 1:
            raise InvalidSetting("max_rows", max_rows, "a number of rows, at least 1")
        if not 0 <= delay_s <= MAX_DELAY_S:
            raise InvalidSetting("delay_s", delay_s, f"seconds, from 0 to {MAX_DELAY_S}")
        if in_flight < 1:
            raise InvalidSetting("in_flight", in_flight, "a number of requests, at least 1")
        self._max_rows = max_rows
        self._learned_max_rows = sys.maxsize
        self._delay_s = delay_s
        self._in_flight = in_flight
        # Ordered dictionaries as lines: a call that gives up leaves its place at once, and the
        # first is found at once, neither of which a deque or a plain dict can do.
        self._waiting: OrderedDict[W, float] = OrderedDict()
        self._lanes: dict[Kind, _Lane[W]] = {}
        self._again: OrderedDict[W, None] = OrderedDict()
        self._under_way = 0
        self._under_way_again = 0

    @property
    def idle(self) -> bool:
        """Whether a call may leave at once: nothing is under way and nobody waits."""
        return not (self._under_way or self._waiting)

    @property
    def empty(self) -> bool:
        """Whether no call is left, neither waiting nor under way."""
        return not (self._under_way or self._waiting or self._under_way_again or self._again)

    @property
    def first(self) -> W | None:
        """Return the fresh call that came first."""
        return next(iter(self._waiting), None)

    @property
    def has_room(self) -> bool:
        """Whether a request of fresh calls may leave."""
        return self._under_way < self._in_flight

    def take_slot(self) -> None:
        """Count a call that is sent past the line, because it is idle."""
        self._under_way += 1

    def free_slot(self) -> None:
        """Count such a call as answered."""
        self._under_way -= 1

    def add(self, call: W, now_s: float) -> None:
        """Let a call wait. The time is that of any steady clock; it matters only with a delay."""
        self._waiting[call] = now_s
        if call.kind is not None:
            lane = self._lanes.get(call.kind)
            if lane is None:
                lane = self._lanes[call.kind] = _Lane()
            lane.add(call)

    def remove(self, call: W) -> None:
        """Forget a call that gave up; one that was sent already, or never came, is none of ours."""
        if self._waiting.pop(call, None) is not None:
            self._leave_lane(call)
        else:
            self._again.pop(call, None)

    def clear(self) -> list[W]:
        """Forget the calls that wait, and return them."""
        calls = [*self._again, *self._waiting]
        self._again.clear()
        self._waiting.clear()
        self._lanes.clear()
        return calls

    def next_batch(self, now_s: float) -> Batch[W] | None:
        """Return what is to be sent now and count it as under way, or `None`.

        It begins with the call that came first, and holds those that came next and can be joined.
        A call of more rows than a batch may have goes alone, as it is.
        """
        if self._again and self._under_way_again < ASKED_AGAIN_AT_A_TIME:
            self._under_way_again += 1
            return Batch([self._again.popitem(last=False)[0]], again=True)
        if not self._waiting or not self.has_room or self.pause_s(now_s) > 0:
            return None
        self._under_way += 1
        first = next(iter(self._waiting))
        if first.kind is None:
            del self._waiting[first]
            return Batch([first])
        members = self._lanes[first.kind].first(self._limit())
        for member in members:
            del self._waiting[member]
            self._leave_lane(member)
        return Batch(members)

    def pause_s(self, now_s: float) -> float:
        """Return the seconds for which the first batch still waits for more calls.

        0 when there is no room, too: the next one that ends asks again.
        """
        if not (self._delay_s and self._under_way and self._waiting and self.has_room):
            return 0.0
        first, since_s = next(iter(self._waiting.items()))
        if first.kind is None or self._lanes[first.kind].rows >= self._limit():
            return 0.0
        return max(0.0, since_s + self._delay_s - now_s)

    def finished(self, batch: Batch[W]) -> None:
        """Count a batch as answered; a second time does nothing."""
        if batch.over:
            return
        batch.over = True
        if batch.again:
            self._under_way_again -= 1
        else:
            self._under_way -= 1

    def asks_again(self, batch: Batch[W], alive: Sequence[W], error: Exception) -> bool:
        """Take the members back that are still alive, if the error may be due to one of them.

        A batch of more rows than the model takes is asked in smaller ones from now on. Of any
        other that was refused, or failed, each member is asked alone, so that the one with the bad
        row fails by itself. Errors of the server are everybody's.
        """
        if len(batch.members) == 1 or not isinstance(error, InputRefused | InferenceFailed):
            return False
        limit = batch_limit(error) if isinstance(error, InputRefused) else None
        if limit is not None and 0 < limit < batch.rows:
            self._learned_max_rows = min(limit, self._learned_max_rows)
            for call in reversed(alive):
                self._put_first(call)
        else:
            self._again.update(dict.fromkeys(alive))
        return True

    def _limit(self) -> int:
        limit = self._max_rows() if callable(self._max_rows) else self._max_rows
        return min(limit, self._learned_max_rows)

    def _put_first(self, call: W) -> None:
        self.add(call, -math.inf)
        self._waiting.move_to_end(call, last=False)
        if call.kind is not None:
            self._lanes[call.kind].move_first(call)

    def _leave_lane(self, call: W) -> None:
        if call.kind is not None:
            lane = self._lanes[call.kind]
            lane.remove(call)
            if not lane.rows:
                del self._lanes[call.kind]


class _Lane(Generic[W]):
    """The calls of one kind, in their order."""

    def __init__(self) -> None:
        self.rows = 0
        self._calls: OrderedDict[W, None] = OrderedDict()

    def add(self, call: W) -> None:
        self._calls[call] = None
        self.rows += call.rows

    def move_first(self, call: W) -> None:
        self._calls.move_to_end(call, last=False)

    def remove(self, call: W) -> None:
        del self._calls[call]
        self.rows -= call.rows

    def first(self, limit: int) -> list[W]:
        found: list[W] = []
        rows = 0
        for call in self._calls:
            rows += call.rows
            if found and rows > limit:
                break
            found.append(call)
        return found


def rows_of_call(tensors: Sequence[Tensor]) -> int:
    """Return the rows of a call, 1 for a model without batches."""
    return tensors[0].shape[0] if tensors and tensors[0].shape else 1


def own_error(error: Exception, deadline: Deadline) -> Exception:
    """Return an exception for one caller alone: one that is raised twice grows its traceback.

    A deadline that passed is told with the caller's own time-out.
    """
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 -- of a foreign exception, whose constructor wants otherwise
        own = RuntimeError(f"{type(error).__name__}: {error}")
    if isinstance(own, DeadlineExceeded):
        own.timeout_s = deadline.timeout_s
        own.args = (own.target, deadline.timeout_s)
    # Ours were translated and say why. Any other is a defect, which its traceback helps to find.
    own.__cause__ = error.__cause__ if isinstance(error, GeulpiError) else error
    return own


def _kind(tensors: Sequence[Tensor], rows: int, *, checked: bool) -> Kind | None:
    """Return what the tensors of other calls must agree in, `None` if they can't be joined at all.

    A tensor that does not hold the rows it claims would shift those of its neighbours.
    """
    kind = []
    for tensor in tensors:
        name, datatype, shape, _ = tensor
        if not shape or shape[0] != rows or not (checked or _holds_its_rows(tensor)):
            return None
        kind.append((name, datatype, shape[1:]))
    return tuple(kind) if kind and rows else None


def _holds_its_rows(tensor: Tensor) -> bool:
    if tensor.datatype == BYTES:
        try:
            split_rows(tensor)
        except MalformedTensor:
            return False
        return True
    dtype = DTYPES.get(tensor.datatype)
    return dtype is not None and len(tensor.raw) == math.prod(tensor.shape) * dtype.itemsize


def _parts(tensor: Tensor, ends: Sequence[int]) -> list[Tensor]:
    """Return the tensor cut at these rows; the first is 0, the last is how many there must be."""
    if tensor.shape[:1] != (ends[-1],):
        raise MalformedTensor(f"'{tensor.name}' has shape {[*tensor.shape]} for {ends[-1]} rows")
    name, datatype, row_shape, raw = tensor.name, tensor.datatype, tensor.shape[1:], tensor.raw
    if datatype == BYTES:
        rows = split_rows(tensor)
        return [
            Tensor(name, datatype, (end - start, *row_shape), b"".join(rows[start:end]))
            for start, end in pairwise(ends)
        ]
    if not _holds_its_rows(tensor):
        raise MalformedTensor(f"'{name}' has {len(raw)} bytes, which is not {[*tensor.shape]}")
    size = len(raw) // ends[-1]
    return [
        Tensor(name, datatype, (end - start, *row_shape), raw[start * size : end * size])
        for start, end in pairwise(ends)
    ]
