"""The tier within the process: what was put is got until it expires, is dropped or has no room."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import pytest
from clocks import Clock
from geulpi_client._memory import ENTRY_OVERHEAD_BYTES, TAG_OVERHEAD_BYTES, MemoryTier, NewEntry
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

KIB = 1024


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tier(clock: Clock) -> MemoryTier:
    return MemoryTier(64 * KIB, clock)


def new(
    value: bytes = b"v", *, ttl_s: float = 60.0, model: str = "m", tags: Collection[str] = ()
) -> NewEntry:
    return NewEntry(value, len(value), ttl_s, model, tags)


def values(tier: MemoryTier, *keys: str) -> dict[str, bytes]:
    return {key: entry.value for key, entry in tier.get_many(keys).items()}


def test_what_was_put_is_got(tier: MemoryTier) -> None:
    """Of the keys that are known; with all that was said about them."""
    tier.put_many({"a": new(b"1", tags=["t"]), "b": new(b"2")})
    assert values(tier, "a", "b", "c") == {"a": b"1", "b": b"2"}
    entry = tier.get_many(["a"])["a"]
    assert (entry.expires_s, entry.model, entry.tags) == (1060.0, "m", ("t",))


def test_a_newer_value_takes_the_place_of_the_older(tier: MemoryTier) -> None:
    """Also its tags and the bytes it takes."""
    tier.put_many({"a": new(b"x" * 500, tags=["old"])})
    tier.put_many({"a": new(b"2", tags=["new"])})
    tier.drop_tag("old")
    assert values(tier, "a") == {"a": b"2"}
    expected = len("a") + 1 + ENTRY_OVERHEAD_BYTES + len("new") + TAG_OVERHEAD_BYTES
    assert tier.stats().bytes == expected
    tier.drop_tag("new")
    assert values(tier, "a") == {}


@pytest.mark.parametrize(("passed_s", "known"), [(0.0, True), (59.999, True), (60.0, False)])
def test_an_expired_entry_is_unknown_and_gone(
    tier: MemoryTier, clock: Clock, passed_s: float, known: bool
) -> None:
    """From its time to live on; who asks for it clears it away."""
    tier.put_many({"a": new(tags=["t"])})
    clock.now_s += passed_s
    assert ("a" in tier.get_many(["a"])) == known
    assert tier.stats().entries == known
    assert (tier.stats().bytes > 0) == known


@pytest.mark.parametrize("ttl_s", [0.0, -1.0])
def test_what_has_no_time_to_live_is_not_kept(tier: MemoryTier, ttl_s: float) -> None:
    """Nor is what it would replace."""
    tier.put_many({"a": new()})
    tier.put_many({"a": new(ttl_s=ttl_s)})
    assert tier.stats().entries == 0


def test_what_was_used_longest_ago_goes_first(tier: MemoryTier) -> None:
    """To put or to get is to use."""
    room = 64 * KIB // (ENTRY_OVERHEAD_BYTES + 3 + 100)
    tier.put_many({f"{i:03}": new(b"x" * 100) for i in range(room)})
    assert tier.stats().evictions == 0
    tier.get_many(["000"])
    tier.put_many({"001": new(b"y" * 100)})
    tier.put_many({"new": new(b"x" * 100)})
    assert sorted(values(tier, "000", "001", "002", "003", "new")) == ["000", "001", "003", "new"]
    assert tier.stats().evictions == 1


def test_an_entry_takes_at_most_an_eighth_of_the_room(tier: MemoryTier) -> None:
    """A larger one is not kept, and drives nothing out but what it replaces."""
    largest = 64 * KIB // 8 - ENTRY_OVERHEAD_BYTES - 1
    tier.put_many({"a": new(), "b": new(), "c": new(b"x" * largest)})
    assert [*values(tier, "a", "b", "c")] == ["a", "b", "c"]
    tier.put_many({"b": new(b"x" * (largest + 1))})
    assert [*values(tier, "a", "b", "c")] == ["a", "c"]
    assert tier.stats().evictions == 0


def test_a_model_is_dropped_and_the_others_stay(tier: MemoryTier) -> None:
    """All its entries, in all versions."""
    tier.put_many({"a": new(model="m"), "b": new(model="n"), "c": new(model="m", tags=["t"])})
    tier.drop_model("m")
    assert [*values(tier, "a", "b", "c")] == ["b"]
    tier.drop_model("unknown")
    assert tier.stats().entries == 1


def test_a_tag_is_dropped_and_the_others_stay(tier: MemoryTier) -> None:
    """Of an entry with several tags each one drops it."""
    tier.put_many({"a": new(tags=["t", "u"]), "b": new(tags=["u"]), "c": new()})
    tier.drop_tag("t")
    assert [*values(tier, "a", "b", "c")] == ["b", "c"]
    tier.drop_tag("u")
    tier.drop_tag("u")
    assert [*values(tier, "a", "b", "c")] == ["c"]


def test_what_fits_to_the_byte_is_kept() -> None:
    """The room is all there for use."""
    tier = MemoryTier(8 * (ENTRY_OVERHEAD_BYTES + 1 + 9))
    tier.put_many({key: new(b"123456789") for key in "abcdefgh"})
    assert (tier.stats().entries, tier.stats().evictions) == (8, 0)


def test_nobody_else_comes_in_between(clock: Clock) -> None:
    """The lock is held while entries are looked at, as when the clock is."""
    held = []

    def looked_at() -> float:
        held.append(tier._lock.locked())
        return clock()

    tier = MemoryTier(64 * KIB, looked_at)
    tier.put_many({"a": new()})
    tier.get_many(["a"])
    assert held == [True, True]


def test_clear_forgets_all_entries(tier: MemoryTier) -> None:
    """But not what was counted."""
    tier.put_many({"a": new(tags=["t"]), "b": new()})
    tier.get_many(["a", "x"])
    tier.clear()
    assert values(tier, "a", "b") == {}
    stats = tier.stats()
    assert (stats.entries, stats.bytes, stats.hits, stats.misses) == (0, 0, 1, 3)
    tier.put_many({"a": new()})
    tier.drop_tag("t")  # which "a" had before
    assert tier.stats().entries == 1


def test_hits_and_misses_are_keys_that_were_asked_for(tier: MemoryTier, clock: Clock) -> None:
    """Each as often as it stands there: equal rows of a batch are hits of their own."""
    tier.put_many({"a": new(), "b": new(ttl_s=1.0)})
    tier.get_many(["a", "a", "x"])
    clock.now_s += 1.0
    tier.get_many(["a", "b"])
    assert (tier.stats().hits, tier.stats().misses) == (3, 2)


@pytest.mark.parametrize("tags", [[], ["user:{}"], ["user:{}", "team:{}"]])
def test_the_bytes_that_are_counted_are_those_that_are_taken(tags: list[str]) -> None:
    """As Python's own book-keeping has it, within a fifth."""
    tier = MemoryTier()
    tracemalloc.start()
    try:
        for i in range(3000):
            value = i.to_bytes(4, "little") * 30
            tagged = [tag.format(i) for tag in tags]
            tier.put_many({f"ml_cache:event_classifier:3:{i:032x}": new(value, tags=tagged)})
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tier.stats().bytes == pytest.approx(taken, rel=0.2)


def test_threads_share_it(clock: Clock) -> None:
    """Whatever they do at once, nobody gets another's value, and the books are right."""
    tier = MemoryTier(16 * KIB, clock)
    threads = 4
    start = threading.Barrier(threads)

    def use(thread: int) -> None:
        start.wait()
        for i in range(300):
            keys = [f"{(thread * 7 + i + k) % 60}" for k in range(5)]
            tier.put_many({key: new(key.encode() * 10, tags=[f"t{i % 5}"]) for key in keys})
            for key, entry in tier.get_many(keys).items():
                assert entry.value == key.encode() * 10
            if i % 50 == 0:
                tier.drop_tag(f"t{thread}")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(use, range(threads)))
    left = tier.get_many([str(i) for i in range(60)])
    assert tier.stats().entries == len(left)
    assert tier.stats().bytes == sum(entry.size for entry in left.values()) <= 16 * KIB


keys = st.sampled_from("abcdefghijklmnop")
models = st.sampled_from(["m", "n"])
tags = st.lists(st.sampled_from(["t", "u", "v"]), max_size=2)


class MemoryUnderCalls(RuleBasedStateMachine):
    """It does what a list in the order of use does."""

    ROOM = 8 * KIB  # for half of the keys, and for entries with two tags

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.tier = MemoryTier(self.ROOM, self.clock)
        self.kept: list[tuple[str, bytes, float, str, list[str], int]] = []
        self.evictions = 0

    def forget(self, *keys: str) -> None:
        self.kept = [kept for kept in self.kept if kept[0] not in keys]

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule(
        key=keys,
        size=st.integers(0, 700),
        ttl_s=st.sampled_from([0.0, 1.0, 4.0]),
        model=models,
        tags=tags,
    )
    def put(self, key: str, size: int, ttl_s: float, model: str, tags: list[str]) -> None:
        value = b"v" * size
        self.tier.put_many({key: new(value, ttl_s=ttl_s, model=model, tags=tags)})
        self.forget(key)
        taken = 1 + size + ENTRY_OVERHEAD_BYTES + sum(1 + TAG_OVERHEAD_BYTES for _ in tags)
        if ttl_s > 0 and taken <= self.ROOM // 8:
            self.kept.append((key, value, self.clock.now_s + ttl_s, model, tags, taken))
        while sum(kept[-1] for kept in self.kept) > self.ROOM:
            self.kept.pop(0)
            self.evictions += 1

    @rule(asked=st.lists(keys, max_size=4))
    def get(self, asked: list[str]) -> None:
        expected = {}
        for key in asked:
            for kept in self.kept:
                if kept[0] == key:
                    self.forget(key)
                    if kept[2] > self.clock.now_s:
                        self.kept.append(kept)
                        expected[key] = kept[1]
        assert values(self.tier, *asked) == expected

    @rule(model=models)
    def drop_model(self, model: str) -> None:
        self.tier.drop_model(model)
        self.kept = [kept for kept in self.kept if kept[3] != model]

    @rule(tag=st.sampled_from(["t", "u", "v"]))
    def drop_tag(self, tag: str) -> None:
        self.tier.drop_tag(tag)
        self.kept = [kept for kept in self.kept if tag not in kept[4]]

    @invariant()
    def the_books_are_right(self) -> None:
        stats = self.tier.stats()
        assert stats.entries == len(self.kept)
        assert stats.bytes == sum(kept[-1] for kept in self.kept) <= self.ROOM
        assert stats.evictions == self.evictions
        assert {tag for kept in self.kept for tag in kept[4]} == set(self.tier._keys_by_tag)


TestMemoryUnderCalls = MemoryUnderCalls.TestCase
TestMemoryUnderCalls.settings = settings(max_examples=60, stateful_step_count=50)
