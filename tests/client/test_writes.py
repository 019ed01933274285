"""What waits to be written to the shared cache: nothing is lost, nothing comes back."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from geulpi_client._constants import MAX_WAITING_WRITES_BYTES
from geulpi_client._writes import Drop, Kept, WriteBuffer, Writes, drop_of, literally
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

MODELS = ("churn", "churn:2", "text")
TAGS = ("user:1", "user:2", "team")
KEYS = [f"ml_cache:{model}:1:{number:02x}" for model in MODELS for number in range(4)]


def model_in(key: str) -> str:
    return key.removeprefix("ml_cache:").rsplit(":", 2)[0]


def kept(size: int = 10) -> Kept:
    return Kept(bytes(size), 1000)


def test_what_waits_can_be_read_until_it_is_written() -> None:
    """Also while it is being written; and a newer value in place of that."""
    buffer = WriteBuffer(1000)
    assert buffer.waiting(KEYS[0]) is None
    buffer.put({KEYS[0]: Kept(b"old", 1000)})
    assert buffer.waiting(KEYS[0]) == b"old"
    assert buffer.take() is not None
    assert buffer.waiting(KEYS[0]) == b"old"
    buffer.put({KEYS[0]: Kept(b"new", 1000)})
    assert buffer.waiting(KEYS[0]) == b"new"
    buffer.written()
    assert buffer.waiting(KEYS[0]) == b"new"
    assert buffer.take_waits()


def test_one_writes_at_a_time_and_what_comes_meanwhile_is_next() -> None:
    """Nobody takes what another is writing."""
    buffer = WriteBuffer(5000)
    assert buffer.take() is None
    buffer.put({KEYS[0]: kept()}, ["team"])
    buffer.count("churn", hits=2, misses=0)
    first = buffer.take()
    assert first is buffer.writing
    assert (first.values, first.tags) == ({KEYS[0]: kept()}, {"team": {KEYS[0]}})
    assert (first.counts, first.tags_keep_ms) == (Counter({("churn", "hits"): 2}), 5000)
    buffer.put({KEYS[1]: kept()})
    assert buffer.take() is None
    buffer.written()
    assert [*buffer.take().values] == [KEYS[1]]
    buffer.written()
    assert (buffer.take(), buffer.writing, buffer.take_waits()) == (None, None, False)


def test_counters_alone_are_written_too_and_zeros_are_not() -> None:
    """A call that only hits writes nothing else."""
    buffer = WriteBuffer(1000)
    buffer.count("churn", hits=0, misses=0)
    assert buffer.take() is None
    buffer.count("churn", hits=1, misses=0)
    buffer.count("churn", hits=1, misses=3)
    buffer.count("text", hits=0, misses=1)
    assert buffer.take().counts == {
        ("churn", "hits"): 2,
        ("churn", "misses"): 3,
        ("text", "misses"): 1,
    }


def test_values_beyond_the_room_are_not_taken() -> None:
    """All of a call or nothing of it; what is being written takes no room."""
    size = MAX_WAITING_WRITES_BYTES // 2 - len(KEYS[0])
    buffer = WriteBuffer(1000)
    assert buffer.put({KEYS[0]: kept(size)})
    assert buffer.put({KEYS[1]: kept(size)})
    assert not buffer.put({KEYS[2]: kept(1)}, ["team"])
    assert (buffer.waiting(KEYS[2]), buffer._writes.tags) == (None, {})
    buffer.count("churn", hits=1, misses=0)
    assert len(buffer.take().values) == 2
    assert buffer.put({KEYS[2]: kept(size), KEYS[3]: kept(size)})
    assert not buffer.put({KEYS[4]: kept(1)})


def test_a_value_in_place_of_another_and_one_that_was_dropped_give_their_room_back() -> None:
    """However often that happens before somebody writes."""
    size = MAX_WAITING_WRITES_BYTES // 2 - len(KEYS[0])
    for drop in (None, Drop("model", "churn"), Drop("model", ""), Drop("tag", "team")):
        buffer = WriteBuffer(1000)
        for _ in range(5):
            assert buffer.put({KEYS[0]: kept(size)}, ["team"])
            if drop is not None:
                assert buffer.drop(drop) == 1
        assert buffer.put({KEYS[1]: kept(size)})


def test_dropping_forgets_what_waits_of_a_model_a_tag_or_all() -> None:
    """And says how many values that were; what is being written is its writer's."""
    buffer = WriteBuffer(1000)
    buffer.put({KEYS[0]: kept(), KEYS[4]: kept()}, ["user:1", "team"])
    buffer.take()
    assert buffer.drop(Drop("model", "")) == 0
    assert buffer.waiting(KEYS[0]) is not None
    buffer.put({KEYS[0]: kept(), KEYS[4]: kept()}, ["user:1", "team"])
    buffer.put({KEYS[1]: kept()}, ["user:2"])
    assert buffer.drop(Drop("model", "churn")) == 2  # `churn:2` is another model
    assert buffer.drop(Drop("tag", "user:1")) == 1
    assert buffer.drop(Drop("tag", "user:1")) == 0
    assert buffer.drop(Drop("tag", "nobody")) == 0
    buffer.written()
    assert buffer.take() is None


class Buffer(RuleBasedStateMachine):
    """Whatever is done in whatever order, against a list of what should wait."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = WriteBuffer(1000)
        self.waiting: dict[str, Kept] = {}
        self.tags: dict[str, set[str]] = {}
        self.writing: dict[str, Kept] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.taken: Writes | None = None

    @rule(
        keys=st.sets(st.sampled_from(KEYS), min_size=1, max_size=3),
        tags=st.sets(st.sampled_from(TAGS), max_size=2),
        content=st.binary(min_size=1, max_size=3),
    )
    def put(self, keys: set[str], tags: set[str], content: bytes) -> None:
        values = {key: Kept(content + key.encode(), 1000) for key in sorted(keys)}
        assert self.buffer.put(values, tags)
        self.waiting.update(values)
        for tag in tags:
            self.tags.setdefault(tag, set()).update(keys)

    @rule(model=st.sampled_from(MODELS), hits=st.integers(0, 2), misses=st.integers(0, 2))
    def count(self, model: str, hits: int, misses: int) -> None:
        self.buffer.count(model, hits=hits, misses=misses)
        self.counts.update({(model, "hits"): hits, (model, "misses"): misses})

    @rule(model=st.sampled_from(["", *MODELS]))
    def drop_model(self, model: str) -> None:
        gone = [key for key in self.waiting if model in {"", model_in(key)}]
        assert self.buffer.drop(Drop("model", model)) == len(gone)
        for key in gone:
            del self.waiting[key]

    @rule(tag=st.sampled_from(TAGS))
    def drop_tag(self, tag: str) -> None:
        gone = [key for key in self.tags.pop(tag, ()) if key in self.waiting]
        assert self.buffer.drop(Drop("tag", tag)) == len(gone)
        for key in gone:
            del self.waiting[key]

    @rule()
    def take(self) -> None:
        taken = self.buffer.take()
        if self.taken is not None or not (self.waiting or +self.counts):
            assert taken is None
            return
        self.taken = taken
        assert taken.values == self.waiting
        assert taken.counts == +self.counts
        for tag, keys in self.tags.items():
            assert keys & self.waiting.keys() <= taken.tags[tag]
        self.writing, self.waiting = self.waiting, {}
        self.tags, self.counts = {}, Counter()

    @precondition(lambda self: self.taken is not None)
    @rule()
    def written(self) -> None:
        self.buffer.written()
        self.taken, self.writing = None, {}

    @invariant()
    def what_waits_is_read(self) -> None:
        expected = {**self.writing, **self.waiting}
        found = {key: self.buffer.waiting(key) for key in KEYS}
        assert found == {key: expected[key].raw if key in expected else None for key in KEYS}
        assert self.buffer.writing is self.taken
        assert self.buffer._bytes == sum(len(k) + len(v.raw) for k, v in self.waiting.items())


TestBuffer = Buffer.TestCase


def test_threads_lose_nothing_and_write_nothing_twice() -> None:
    """Eight put, count and read while two write."""
    buffer = WriteBuffer(1000)
    written: Counter[str] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    done = threading.Event()

    def put(thread: int) -> None:
        for number in range(100):
            key = f"ml_cache:m:1:{thread}-{number}"
            assert buffer.put({key: Kept(key.encode(), 1000)}, ["team"])
            buffer.count("m", hits=1, misses=2)
            assert buffer.waiting(key) in {key.encode(), None}

    def write() -> None:
        while not done.is_set() or buffer.take_waits():
            writes = buffer.take()
            if writes is not None:
                try:
                    written.update([*writes.values])
                    counts.update(writes.counts)
                    assert writes.tags.get("team", set()) == writes.values.keys()
                finally:
                    buffer.written()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-3)
    try:
        with ThreadPoolExecutor(10) as pool:
            writers = [pool.submit(write) for _ in range(2)]
            putters = [pool.submit(put, thread) for thread in range(8)]
            wait(putters)
            done.set()
            for one in (*putters, *writers):
                one.result()
    finally:
        sys.setswitchinterval(interval)
    last = buffer.take()
    if last is not None:
        counts.update(last.counts)
    assert len(written) == 800
    assert set(written.values()) == {1}
    assert counts == {("m", "hits"): 800, ("m", "misses"): 1600}


def test_a_reader_that_is_overtaken_by_the_writer_finds_nothing() -> None:
    """It may have seen that something is being written just before it was done."""

    class Overtaken(WriteBuffer):
        @property
        def _writing(self) -> Writes | None:
            return self.now.pop() if len(self.now) > 1 else self.now[0]

        @_writing.setter
        def _writing(self, writes: Writes | None) -> None:
            self.now = [None] if writes is None else [None, writes]

    buffer = Overtaken(1000)
    buffer.put({KEYS[0]: kept()})
    buffer._writing = buffer._writes
    assert buffer.waiting(KEYS[1]) is None
    assert buffer.waiting(KEYS[1]) is None


@pytest.mark.parametrize(
    ("fields", "drop"),
    [
        ({b"model": b"churn"}, Drop("model", "churn")),
        ({b"model": b""}, Drop("model", "")),
        ({b"tag": "사용자:1".encode()}, Drop("tag", "사용자:1")),
        ({b"model": b"\xff"}, Drop("model", "�")),
        ({b"of a later release": b"x", b"tag": b"t"}, Drop("tag", "t")),
        ({b"of a later release": b"x"}, None),
        ({}, None),
    ],
)
def test_an_entry_of_the_log_is_read_or_passed_over(
    fields: dict[bytes, bytes], drop: Drop | None
) -> None:
    """Later releases may write what this one does not know."""
    assert drop_of(fields) == drop


@given(st.text(max_size=20))
def test_a_pattern_escapes_what_redis_would_read_as_a_sign(name: str) -> None:
    """Without the escapes it is the name, and each sign has one."""
    pattern = literally(name)
    plain, escaped = [], iter(pattern)
    for character in escaped:
        assert character not in "*?[]"
        plain.append(next(escaped) if character == "\\" else character)
    assert "".join(plain) == name
