"""The tier of the cache within the process: the rows that were used last, in a bounded space."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

MAX_MEMORY_BYTES: Final = 64 << 20
ENTRY_OVERHEAD_BYTES: Final = 360
"""What an entry takes besides key, value and tags: tracemalloc, 64-bit CPython 3.11 to 3.13."""
TAG_OVERHEAD_BYTES: Final = 320
"""What a tag of an entry takes besides its text, if no other entry has it."""

# One large answer must not drive out many small ones.
_LARGEST_SHARE = 8

V = TypeVar("V")


class NewEntry(NamedTuple, Generic[V]):
    """A value, the bytes it takes, for how many seconds it is kept, its model and its tags."""

    value: V
    size: int
    ttl_s: float
    model: str
    tags: Collection[str] = ()


class Entry(NamedTuple, Generic[V]):
    """A value, until when it is kept (by the tier's clock), whose it is, the bytes it takes."""

    value: V
    expires_s: float
    model: str
    tags: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class MemoryStats:
    """What the tier holds, and how many keys it was asked for since it was made.

    `bytes` counts the overhead of entries too. `evictions` are entries that went for want of room.
    """

    entries: int
    bytes: int
    hits: int
    misses: int
    evictions: int


class MemoryTier(Generic[V]):
    """Keeps values by key for their time to live, in at most `max_bytes`; safe between threads.

    The entry that was used longest ago goes first, whether it has expired or not: one that expired
    is not used any more, so it comes to the end of the line by itself. A value that takes more than
    an eighth of the room is not kept.

    `clock` tells monotonic seconds.
    """

    def __init__(
        self, max_bytes: int = MAX_MEMORY_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry[V]] = OrderedDict()  # the least recently used first
        self._keys_by_tag: dict[str, set[str]] = {}
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0

    def get_many(self, keys: Collection[str]) -> dict[str, Entry[V]]:
        """Return the entries of those keys that are known."""
        found: dict[str, Entry[V]] = {}
        with self._lock:
            entries = self._entries
            known, used = entries.get, entries.move_to_end
            now_s = self._clock()
            misses = 0
            for key in keys:
                entry = known(key)
                if entry is not None and entry.expires_s > now_s:
                    used(key)
                    found[key] = entry
                    continue
                misses += 1
                if entry is not None:
                    self._remove(key)
            self._hits += len(keys) - misses
            self._misses += misses
        return found

    def put_many(self, new: Mapping[str, NewEntry[V]]) -> None:
        """Keep values, in place of what is kept under their keys."""
        with self._lock:
            now_s = self._clock()
            for key, (value, value_bytes, ttl_s, model, tags) in new.items():
                if key in self._entries:
                    self._remove(key)
                size = _size(key, value_bytes, tags)
                if ttl_s > 0 and size <= self._max_bytes // _LARGEST_SHARE:
                    self._add(key, Entry(value, now_s + ttl_s, model, tuple(tags), size))
            while self._bytes > self._max_bytes:
                self._remove(next(iter(self._entries)))
                self._evictions += 1

    def get_if(self, key: str, fits: Callable[[V], bool]) -> V | None:
        """Return the value of a key that is known and fits; any other is not counted as a miss."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.expires_s <= self._clock() or not fits(entry.value):
                return None
            self._entries.move_to_end(key)
            self._hits += 1
            return entry.value

    def drop_model(self, model: str) -> int:
        """Forget the entries of a model, and return how many; this looks at all entries."""
        with self._lock:
            return self._remove_all(
                [k for k, entry in self._entries.items() if entry.model == model]
            )

    def drop_tag(self, tag: str) -> int:
        """Forget the entries that have a tag, and return how many."""
        with self._lock:
            return self._remove_all([*self._keys_by_tag.get(tag, ())])

    def clear(self) -> int:
        """Forget all entries, and return how many."""
        with self._lock:
            dropped = len(self._entries)
            self._entries.clear()
            self._keys_by_tag.clear()
            self._bytes = 0
            return dropped

    def stats(self) -> MemoryStats:
        """Return the figures so far."""
        with self._lock:
            return MemoryStats(
                len(self._entries), self._bytes, self._hits, self._misses, self._evictions
            )

    # The methods below are called with the lock held.

    def _add(self, key: str, entry: Entry[V]) -> None:
        self._entries[key] = entry
        self._bytes += entry.size
        for tag in entry.tags:
            self._keys_by_tag.setdefault(tag, set()).add(key)

    def _remove_all(self, keys: Collection[str]) -> int:
        for key in keys:
            self._remove(key)
        return len(keys)

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(key)
        self._bytes -= entry.size
        for tag in entry.tags:
            keys = self._keys_by_tag.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._keys_by_tag[tag]


def _size(key: str, value_bytes: int, tags: Collection[str]) -> int:
    size = len(key) + value_bytes + ENTRY_OVERHEAD_BYTES
    return size + sum(len(tag) + TAG_OVERHEAD_BYTES for tag in tags) if tags else size
