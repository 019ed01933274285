"""What is to be written to the shared cache, gathered until somebody writes it; pure."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from geulpi_client._constants import MAX_WAITING_WRITES_BYTES
from geulpi_client._keys import model_of


class Kept(NamedTuple):
    """A value as it is kept, and for how many milliseconds."""

    raw: bytes
    keep_ms: int


class Drop(NamedTuple):
    """Whose values are forgotten: a model's, all (a model without a name), or a tag's."""

    kind: Literal["model", "tag"]
    name: str


@dataclass
class Writes:
    """Values by key, the keys of each tag, and what is added to the counters of each model."""

    values: dict[str, Kept] = field(default_factory=dict)
    tags: dict[str, set[str]] = field(default_factory=dict)
    tags_keep_ms: int = 1
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)


class WriteBuffer:
    """Gathers what calls want written, so that one round-trip writes it; safe between threads.

    What waits can be read already. It takes at most `MAX_WAITING_WRITES_BYTES`: values beyond are
    not kept, which costs a cache hit and no more.
    """

    def __init__(self, tags_keep_ms: int) -> None:
        self._lock = threading.Lock()
        self._tags_keep_ms = tags_keep_ms
        self._writes = self._new()
        self._writing: Writes | None = None
        self._bytes = 0

    def put(self, values: Mapping[str, Kept], tags: Collection[str] = ()) -> bool:
        """Gather values; return whether there was room."""
        with self._lock:
            known = self._writes.values
            size = _size(values) - _size({key: known[key] for key in values if key in known})
            if self._bytes + size > MAX_WAITING_WRITES_BYTES:
                return False
            self._bytes += size
            self._writes.values.update(values)
            for tag in tags:
                self._writes.tags.setdefault(tag, set()).update(values)
            return True

    def count(self, model: str, *, hits: int, misses: int) -> None:
        """Gather what a call found and did not find."""
        with self._lock:
            counts = self._writes.counts
            if hits:
                counts[model, "hits"] += hits
            if misses:
                counts[model, "misses"] += misses

    @property
    def writing(self) -> Writes | None:
        """What is being written in this moment."""
        return self._writing

    def take_waits(self) -> bool:
        """Return whether anything is not written yet."""
        return self.writing is not None or bool(self._writes.values)

    def waiting(self, key: str) -> bytes | None:
        """Return a value that is not written yet."""
        value = self._writes.values.get(key)
        writing = self._writing  # read once: its writer may be done in any moment
        if value is None and writing is not None:
            value = writing.values.get(key)
        return None if value is None else value.raw

    def take(self) -> Writes | None:
        """Return what one writer is to write now, and then says `written`; `None`: nothing."""
        with self._lock:
            writes = self._writes
            if self._writing is not None or not (writes.values or writes.counts):
                return None
            self._writing, self._writes = writes, self._new()
            self._bytes = 0
            return writes

    def written(self) -> None:
        """Forget what was taken, whether it could be written or not."""
        self._writing = None

    def drop(self, drop: Drop) -> int:
        """Forget the values of a model or tag that wait; return how many."""
        with self._lock:
            writes = self._writes
            if drop.kind == "tag":
                keys = writes.tags.pop(drop.name, set())
            else:
                keys = {key for key in writes.values if drop.name in {"", model_of(key)}}
            dropped = {key: writes.values.pop(key) for key in keys & writes.values.keys()}
            self._bytes -= _size(dropped)
            return len(dropped)

    def _new(self) -> Writes:
        return Writes(tags_keep_ms=self._tags_keep_ms)


def _size(values: Mapping[str, Kept]) -> int:
    return sum(len(key) + len(value.raw) for key, value in values.items())


def drop_of(fields: Mapping[bytes, bytes]) -> Drop | None:
    """Return what an entry of the log says, `None` for what this release does not know."""
    for kind, name in fields.items():
        if kind == b"model":
            return Drop("model", name.decode(errors="replace"))
        if kind == b"tag":
            return Drop("tag", name.decode(errors="replace"))
    return None


def literally(name: str) -> str:
    """Return a pattern of Redis that matches this name alone."""
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in name)
