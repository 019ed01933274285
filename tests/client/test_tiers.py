"""The cache around calls: what is found where, how it ages, and what a broken Redis may cost."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from typing import Any

import grpc
import numpy as np
import pytest
import redis
from caching import Asyncio, Client, Relay, Threads, firsts, rows, until
from geulpi_client import (
    AsyncModelClient,
    CacheUnavailable,
    CallFailed,
    DeadlineExceeded,
    InferenceFailed,
    _codec,
    _values,
    cache_entries,
    cache_stats,
)
from geulpi_client._async import stores as async_stores
from geulpi_client._async import tiers as async_tiers
from geulpi_client._constants import MAX_CACHED_ROW_BYTES, MAX_WAITING_WRITES_BYTES
from geulpi_client._lookups_async import Lookups
from geulpi_client._sync import stores as sync_stores
from geulpi_client._sync import tiers as sync_tiers
from geulpi_client._values import pack, unpack
from geulpi_client.testing import FakeTriton, MemoryCache
from geulpi_server import EmbeddedValkey
from tritonclient.grpc import service_pb2 as pb

FEATURES = {"X": ("FP32", [-1, 2])}
ANSWERS = {"Y": ("FP32", [-1, 2])}
MEMORY = 1 << 20
DEPLOYS_ARE_SEEN_S = 0.75

Open = Callable[..., Client]


@pytest.fixture(params=[Threads, Asyncio], ids=["threads", "asyncio"])
def opened(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Make clients, which are closed after the test."""
    with ExitStack() as stack:

        def open_one(url: Any, **options: Any) -> Client:
            client = request.param(url, **options)
            stack.callback(client.close)
            return client

        yield open_one


@pytest.fixture
def model() -> str:
    """A name of its own, so that a shared cache knows nothing of it."""
    return f"m{uuid.uuid4().hex}"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a Redis that is well be slow, as it is on a loaded machine."""
    for stores in (async_stores, sync_stores):
        monkeypatch.setattr(stores, "CACHE_TIMEOUT_S", 20.0)


@pytest.fixture
def kept(request: pytest.FixtureRequest, patient: None, valkey_url: str) -> dict[str, Any]:
    """The options of a client with one of the tiers, or with both."""
    return {
        "memory": {"memory_bytes": MEMORY},
        "redis": {"cache": valkey_url},
        "both": {"cache": valkey_url, "memory_bytes": MEMORY},
    }[request.param]


in_every_tier = pytest.mark.parametrize("kept", ["memory", "redis", "both"], indirect=True)


@pytest.fixture
def server(valkey_url: str) -> Iterator[redis.Redis]:
    """A connection to the Redis of the session, beside the clients."""
    with redis.Redis.from_url(valkey_url) as connection:
        yield connection


class WallClock:
    """The wall clock, which a test may set."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._time = time.time

    def __call__(self) -> float:
        return self._time() + self.ahead_s


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    clock = WallClock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chance always say: not yet."""
    monkeypatch.setattr("random.random", lambda: 0.0)


class Counting:
    """A model that answers with how often it was asked, and waits first where a test says so."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.number = 0
        self.go = threading.Event()
        self.go.set()
        self.failing = False
        peer.infer = self._infer

    @property
    def asked(self) -> int:
        return len(self.peer.requests)

    def _infer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        self.number += 1
        number = self.number
        self.go.wait(60)
        if self.failing:
            context.abort(grpc.StatusCode.INTERNAL, "no luck")
        version = self.peer.versions[0]
        response = pb.ModelInferResponse(model_name=request.model_name, model_version=version)
        response.outputs.add(name="Y", datatype="FP32", shape=request.inputs[0].shape)
        answer = np.full(tuple(request.inputs[0].shape), number, dtype=np.float32)
        response.raw_output_contents.append(answer.tobytes())
        return response


@pytest.fixture
def counting(peer: Any) -> Iterator[Counting]:
    model = Counting(peer)
    yield model
    model.go.set()


def fake_of(model: str, **given: Any) -> FakeTriton:
    """Return a server whose model answers each row with itself."""
    fake = FakeTriton()
    fake.serve(model, lambda X: {"Y": X}, inputs=FEATURES, outputs=ANSWERS, **given)  # noqa: N803
    return fake


def numbering_fake_of(model: str) -> FakeTriton:
    """Return a server whose model answers with how often it was asked."""
    fake = FakeTriton()

    def number(X: np.ndarray) -> dict[str, np.ndarray]:  # noqa: N803
        return {"Y": np.full(X.shape, len(fake.requests), dtype=np.float32)}

    fake.serve(model, number, inputs=FEATURES, outputs=ANSWERS)
    return fake


def keys_of(server: redis.Redis, model: str) -> list[bytes]:
    return sorted(server.scan_iter(match=f"ml_cache:{model}:*", count=10_000))


# What is found where


@in_every_tier
def test_only_rows_that_are_not_known_are_asked(opened: Open, kept: dict, model: str) -> None:
    """Answers from everywhere come back in the order of the rows."""
    fake = fake_of(model)
    client = opened(fake, **kept)
    assert firsts(client.ask(model, rows(1, 3))) == [1, 3]
    result = client.ask(model, rows(4, 3, 2, 1, 4))
    assert firsts(result) == [4, 3, 2, 1, 4]
    assert result.cached.tolist() == [False, True, False, True, False]
    assert [came.inputs["X"][:, 0].tolist() for came in fake.requests] == [[1, 3], [4, 2]]


def test_a_row_found_in_redis_comes_to_memory_with_the_time_that_it_has_left(
    opened: Open, patient: None, valkey_url: str, wall: WallClock, late: None, model: str
) -> None:
    """It does not live longer for having moved; the next call finds it without Redis."""
    fake = fake_of(model)
    first = opened(fake, cache=valkey_url, ttl_s={model: 300})
    first.infer(model, rows(1))
    first.written()
    wall.ahead_s = 200
    second = opened(fake, cache=valkey_url, memory_bytes=MEMORY, ttl_s={model: 300})
    from_redis, from_memory = (second.ask(model, rows(1)) for _ in range(2))
    assert (from_redis.source, from_redis.from_memory) == ("cache", 0)
    assert (from_memory.source, from_memory.from_memory) == ("cache", 1)
    (entry,) = second.tiers.memory._entries.values()
    left_s = entry.expires_s - time.monotonic()
    assert 60 < left_s <= 100
    stats = second.stats().models[model]
    assert (stats.redis_hits, stats.memory_hits, stats.misses) == (1, 1, 0)
    assert len(fake.requests) == 1


def test_the_memory_is_bounded_and_what_had_to_go_is_counted(opened: Open, model: str) -> None:
    """The oldest rows go first; calls never fail for it."""
    fake = fake_of(model)
    client = opened(fake, memory_bytes=64 << 10)
    for start in range(0, 1000, 100):
        client.infer(model, rows(*range(start, start + 100)))
    memory = client.stats().memory
    assert memory.bytes <= 64 << 10
    assert memory.evictions == 1000 - memory.entries > 0
    assert client.ask(model, rows(999)).cached.all()
    assert not client.ask(model, rows(0)).cached.any()


@in_every_tier
def test_a_row_over_a_mebibyte_is_answered_and_not_kept(
    opened: Open, kept: dict, model: str
) -> None:
    """Its smaller neighbour in the batch is kept; the values do not shrink."""
    numbers = np.random.default_rng(7).random((2, MAX_CACHED_ROW_BYTES // 4), dtype=np.float32)
    fake = FakeTriton()
    width = numbers.shape[1]
    for name, less in ((model, 0), (f"{model}s", 100)):
        fake.serve(
            name,
            lambda N, less=less: {"Y": numbers[N[:, 0], : width - less]},  # noqa: N803
            inputs={"N": ("INT64", [-1, 1])},
            outputs={"Y": ("FP32", [-1, width - less])},
        )
    client = opened(fake, **kept)
    for _ in range(2):
        result = client.ask(model, {"N": [[0], [1]]})
        assert (result.outputs["Y"] == numbers).all()
        assert not result.cached.any()
    if "cache" in kept:
        client.infer(f"{model}s", {"N": [[0], [1]]})
        assert client.ask(f"{model}s", {"N": [[1], [0]]}).cached.all()
    assert client.errors() == 0


def test_keys_that_go_between_two_calls_are_asked_again(
    opened: Open, patient: None, valkey_url: str, server: redis.Redis, model: str
) -> None:
    """Redis may evict any part of a batch."""
    fake = fake_of(model)
    client = opened(fake, cache=valkey_url)
    client.infer(model, rows(*range(10)))
    client.written()
    server.delete(*keys_of(server, model)[::2])
    result = client.ask(model, rows(*range(10)))
    assert firsts(result) == [*range(10)]
    assert int(result.cached.sum()) == 5
    assert [came.inputs["X"].shape[0] for came in fake.requests] == [10, 5]
    client.written()
    assert len(keys_of(server, model)) == 10


def flipped(raw: bytes, _other: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


POISONS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "empty": lambda _raw, _other: b"",
    "cut short": lambda raw, _other: raw[:-1],
    "head alone": lambda raw, _other: raw[:28],
    "longer": lambda raw, _other: raw + b"\0",
    "flipped": flipped,
    "a pickle": lambda _raw, _other: b"\x80\x04.",
    "a text": lambda _raw, _other: b"OK",
    "another key's": lambda _raw, other: other,
}


@pytest.mark.parametrize("poison", POISONS)
def test_a_value_that_is_not_this_rows_is_a_miss(
    opened: Open, patient: None, valkey_url: str, server: redis.Redis, model: str, poison: str
) -> None:
    """Never a wrong answer; the right one takes its place."""
    client = opened(fake_of(model), cache=valkey_url)
    client.infer(model, rows(1, 2))
    client.written()
    one, other = keys_of(server, model)
    server.set(one, POISONS[poison](server.get(one), server.get(other)))
    for cached in (1, 2):
        result = client.ask(model, rows(1, 2))
        assert firsts(result) == [1, 2]
        assert int(result.cached.sum()) == cached
        client.written()
    assert client.errors() == 0


@pytest.mark.parametrize("format_of", [_values, _codec], ids=["value", "row"])
def test_what_an_older_release_kept_is_a_miss(
    opened: Open,
    patient: None,
    valkey_url: str,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    format_of: Any,
) -> None:
    """A value with another number of the format, sound in itself."""
    with monkeypatch.context() as older:
        older.setattr(format_of, "_FORMAT", 0)
        client = opened(fake_of(model), cache=valkey_url)
        client.infer(model, rows(1))
        assert client.ask(model, rows(1)).cached.all()
        client.close()
    client = opened(fake_of(model), cache=valkey_url)
    assert not client.ask(model, rows(1)).cached.any()
    assert client.ask(model, rows(1)).cached.all()


def test_a_sound_value_of_another_layout_is_a_miss(
    opened: Open, patient: None, valkey_url: str, server: redis.Redis, model: str
) -> None:
    """Also with the right checksum, which whoever may write can make."""
    client = opened(fake_of(model), cache=valkey_url)
    client.infer(model, rows(1))
    client.written()
    (key,) = keys_of(server, model)
    value = unpack(server.get(key), key=key.decode())
    for payload in (b"", b"\1", value.payload + b"\0", value.payload.replace(b"Y", b"Z")):
        raw = pack(payload, value.created_ms, value.ttl_ms, value.cost_ms, key=key.decode())
        server.set(key, raw)
        result = client.ask(model, rows(1))
        assert (firsts(result), result.cached.tolist()) == ([1], [False])
        client.written()


@pytest.fixture
def own_url(valkey: EmbeddedValkey) -> Iterator[str]:
    """A database that nobody else uses."""
    url = f"redis://127.0.0.1:{valkey.port}/7"
    with redis.Redis.from_url(url) as connection:
        connection.flushdb()
        yield url
        connection.flushdb()


def test_keys_of_other_types_cost_no_more_than_what_they_stand_for(
    opened: Open, patient: None, own_url: str, model: str
) -> None:
    """Lists where rows, tags, counters and the log should be: calls answer all the same."""
    with redis.Redis.from_url(own_url) as server:
        client = opened(fake_of(model), cache=own_url)
        client.infer(model, rows(1))
        client.written()
        (key,) = keys_of(server, model)
        names = [key, b"ml_cache_tag:t", f"ml_cache_stats:{model}".encode(), b"ml_cache_log"]
        for name in names:
            server.delete(name)
            server.lpush(name, "a list")
        other = opened(fake_of(model), cache=own_url, memory_bytes=MEMORY)
        for n in (1, 2, 1, 2):
            assert firsts(other.ask(model, rows(n), tags=["t"])) == [n]
        with pytest.raises(CacheUnavailable, match="WRONGTYPE"):
            other.invalidate(model)
        server.delete(*names)
        until(lambda: bool(other.ask(model, rows(2), tags=["t"]).cached.all()))


# How an answer ages


@in_every_tier
def test_a_row_that_expires_soon_is_computed_anew_beside_the_call(
    opened: Open,
    kept: dict,
    counting: Counting,
    wall: WallClock,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller gets the old answer while the new one is still being computed."""
    monkeypatch.setattr("random.random", lambda: 0.9)
    client = opened(counting.peer.url, **kept, ttl_s={model: 100})
    assert firsts(client.ask(model, rows(5))) == [1]
    counting.go.clear()
    wall.ahead_s = 60
    assert firsts(client.ask(model, rows(5))) == [1]
    wall.ahead_s = 98.5
    for _ in range(3):
        result = client.ask(model, rows(5))
        assert (firsts(result), result.cached.all()) == ([1], True)
    until(lambda: counting.asked == 2)
    counting.go.set()
    until(lambda: firsts(client.ask(model, rows(5))) == [2])
    wall.ahead_s = 150
    assert firsts(client.ask(model, rows(5))) == [2]
    assert counting.asked == 2


@in_every_tier
def test_with_an_early_refresh_of_zero_a_row_lives_to_its_end(
    opened: Open,
    kept: dict,
    counting: Counting,
    wall: WallClock,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And is then computed within the call."""
    monkeypatch.setattr("random.random", lambda: 1 - 2**-53)
    client = opened(counting.peer.url, **kept, ttl_s={model: 100}, early_refresh=0)
    for ahead_s, answer in ((0, 1), (50, 1), (99.5, 1), (100.5, 2), (199, 2)):
        wall.ahead_s = ahead_s
        result = client.ask(model, rows(5))
        assert (firsts(result), counting.asked) == ([answer], answer)


@in_every_tier
def test_an_expired_answer_is_given_out_while_one_computes_it_anew(
    opened: Open, kept: dict, counting: Counting, wall: WallClock, late: None, model: str
) -> None:
    """For `stale_s` and no longer; one computation, whoever asks meanwhile."""
    client = opened(counting.peer.url, **kept, ttl_s={model: 100}, stale_s=50, early_refresh=0)
    client.infer(model, rows(5))
    wall.ahead_s = 140
    counting.go.clear()
    for _ in range(5):
        assert firsts(client.ask(model, rows(5))) == [1]
    until(lambda: counting.asked == 2)
    counting.go.set()
    until(lambda: firsts(client.ask(model, rows(5))) == [2])
    assert counting.asked == 2
    wall.ahead_s += 151
    result = client.ask(model, rows(5))
    assert (firsts(result), result.cached.tolist()) == ([3], [False])


@in_every_tier
def test_a_refresh_that_fails_leaves_the_old_answer_until_it_expires(
    opened: Open, kept: dict, counting: Counting, wall: WallClock, late: None, model: str
) -> None:
    """Then the call itself fails, and says why."""
    client = opened(counting.peer.url, **kept, ttl_s={model: 1}, stale_s=100, early_refresh=0)
    client.infer(model, rows(5))
    counting.failing = True
    wall.ahead_s = 50
    until(lambda: (firsts(client.ask(model, rows(5))), counting.asked >= 2) == ([1], True))
    assert firsts(client.ask(model, rows(5))) == [1]
    assert client.stats().models[model].errors == {}
    wall.ahead_s = 102
    with pytest.raises(InferenceFailed, match="no luck"):
        client.ask(model, rows(5))
    counting.failing = False
    assert firsts(client.ask(model, rows(5))) != [1]


@in_every_tier
def test_a_clock_that_jumps_costs_computing_and_nothing_else(
    opened: Open, kept: dict, wall: WallClock, late: None, model: str
) -> None:
    """Forwards and back, by seconds and by centuries."""
    fake = numbering_fake_of(model)
    client = opened(fake, **kept, ttl_s={model: 100}, stale_s=10)
    for ahead_s in (0, 5e9, 0, -1e9, 0, -30, 30, 1e9, -1e9, 0):
        wall.ahead_s = ahead_s
        for _ in range(2):
            answer = firsts(client.ask(model, rows(5)))
            assert 1 <= answer[0] <= len(fake.requests)
    assert len(fake.requests) <= 10
    assert client.errors() == 0


@in_every_tier
def test_an_answer_from_the_future_ends_by_the_clock_of_its_keeper(
    opened: Open, kept: dict, wall: WallClock, model: str
) -> None:
    """What was made before the clock was set back does not live until that time comes again."""
    client = opened(numbering_fake_of(model), **kept, ttl_s={model: 0.2}, early_refresh=0)
    assert firsts(client.ask(model, rows(5))) == [1]
    wall.ahead_s = -1e6
    until(lambda: firsts(client.ask(model, rows(5))) != [1])


# Many who want the same


@pytest.mark.parametrize("kept", ["memory", "both"], indirect=True)
def test_a_hot_row_that_expires_is_computed_once_for_fifty_callers(
    opened: Open, kept: dict, server: redis.Redis, wall: WallClock, late: None, model: str
) -> None:
    """At each of its ends; those who met the old answer late compute nothing either."""
    fake = fake_of(model)
    client = opened(fake, **kept, ttl_s={model: 100}, stale_s=1e6, early_refresh=0)
    client.infer(model, rows(5))
    with ThreadPoolExecutor(50) as pool:
        for end in range(1, 6):
            wall.ahead_s = 150 * end  # and what else Redis had by its own clock is over, too
            server.delete(*[b"ml_cache_lock:" + key for key in keys_of(server, model)], "none")
            answers = pool.map(lambda _: client.ask(model, rows(5)), range(200))
            assert all(answer.cached.all() for answer in answers)
            until(lambda: not client.core.inference._refreshed)
            assert len(fake.requests) == 1 + end


def test_a_caller_who_met_the_old_answer_late_finds_that_it_was_computed_anew(
    wall: WallClock, late: None, model: str
) -> None:
    """Between its look-up and its turn another thread may have done it all."""
    fake = fake_of(model)
    options = {"ttl_s": {model: 100}, "stale_s": 1e6, "early_refresh": 0}
    with closing(Threads(fake, memory_bytes=MEMORY, **options)) as client:
        client.infer(model, rows(5))
        wall.ahead_s = 150
        others = iter([lambda: client.ask(model, rows(5))])

        def let_another_go_first() -> None:
            for other in others:
                other()
                until(lambda: len(fake.requests) == 2 and not client.core.inference._refreshed)

        client.before(client.core.inference, "_refresh_soon", let_another_go_first)
        assert client.ask(model, rows(5)).cached.all()
        until(lambda: not client.core.inference._refreshed)
    assert len(fake.requests) == 2


@in_every_tier
def test_fifty_callers_who_miss_the_same_row_ask_once(
    opened: Open, kept: dict, counting: Counting, model: str
) -> None:
    """One asks, the others wait for its answer."""
    client = opened(counting.peer.url, **kept)
    client.infer(model, rows(1))
    counting.go.clear()
    waiting = those_who_wait(client)
    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(client.ask, model, rows(5), timeout_s=60) for _ in range(50)]
        until(lambda: len(waiting) == 49)
        counting.go.set()
        assert [firsts(call.result()) for call in calls] == [[2]] * 50
    assert counting.asked == 2


def those_who_wait(client: Client) -> list[None]:
    """Return a list that grows with each call that waits for the answer to another one."""
    waiting: list[None] = []
    client.before(client.core.inference._flights, "wait", lambda: waiting.append(None))
    return waiting


@pytest.mark.parametrize("how", ["fails", "times out"])
def test_those_who_wait_for_one_that_gets_no_answer_ask_by_themselves(
    opened: Open, counting: Counting, model: str, how: str
) -> None:
    """Its error is its own; again one asks for all the others."""
    client = opened(counting.peer.url, memory_bytes=MEMORY)
    client.infer(model, rows(1))
    counting.go.clear()
    counting.failing = how == "fails"
    waiting = those_who_wait(client)

    def all_wait_again() -> None:
        until(lambda: len(waiting) == 40 + 39)

    with ThreadPoolExecutor(50) as pool:
        first_s = 0.5 if how == "times out" else 60
        leader = pool.submit(client.ask, model, rows(5), timeout_s=first_s)
        until(lambda: counting.asked == 2)
        calls = [pool.submit(client.ask, model, rows(5), timeout_s=60) for _ in range(40)]
        until(lambda: len(waiting) == 40)
        if how == "fails":
            counting.peer.infer = well_again(counting, all_wait_again)
            counting.go.set()
            with pytest.raises(InferenceFailed):
                leader.result()
        else:
            with pytest.raises(DeadlineExceeded):
                leader.result()
            all_wait_again()
            counting.go.set()
        assert len({firsts(call.result())[0] for call in calls}) == 1
    assert counting.asked == 3


def well_again(counting: Counting, first: Callable[[], None]) -> Any:
    """Return the model as it is from the next request on, which waits for something first."""

    def infer(request: Any, context: Any) -> Any:
        first()
        counting.failing = False
        return counting._infer(request, context)

    return infer


def test_those_who_wait_for_one_that_is_cancelled_ask_by_themselves(
    counting: Counting, model: str
) -> None:
    """Also when it was cancelled while it looked, or all of them but one."""

    async def run() -> None:
        async with AsyncModelClient(counting.peer.url, memory_bytes=MEMORY) as client:
            await client.infer(model, rows(1))
            counting.go.clear()
            calls = [
                asyncio.create_task(client.infer_detailed(model, rows(5), timeout_s=60))
                for _ in range(20)
            ]
            await asyncio.to_thread(until, lambda: counting.asked == 2)
            for call in calls[:10]:
                call.cancel()
            counting.go.set()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[:10])
            assert len({firsts(answer)[0] for answer in answers[10:]}) == 1
            assert not client._core.inference._flights._flying

    asyncio.run(run())
    assert counting.asked <= 3


# What is dropped


@in_every_tier
def test_what_is_dropped_is_not_found_any_more(
    opened: Open, kept: dict, server: redis.Redis, model: str
) -> None:
    """By model or by tag: only that, at once, whether it was written yet or not."""
    fake = fake_of(model)
    fake.serve(f"{model}x", lambda X: {"Y": X}, inputs=FEATURES, outputs=ANSWERS)  # noqa: N803
    client = opened(fake, **kept)
    for settled in (False, True):
        client.infer(f"{model}x", rows(1))
        client.infer(model, rows(1, 2), tags=["user:1", "team:7"])
        client.infer(model, rows(3), tags=["user:2"])
        if settled:
            client.written()
        assert client.invalidate(tag="user:1") == 2
        assert client.ask(model, rows(1, 2, 3)).cached.tolist() == [False, False, True]
        if settled:
            client.written()
        assert client.invalidate(model) == 3
        assert not client.ask(model, rows(1, 2, 3)).cached.any()
        assert client.ask(f"{model}x", rows(1)).cached.all()
        assert client.invalidate(model) == 3
        assert client.invalidate(model) == 0
        assert client.invalidate(tag="user:1") == 0
        assert client.invalidate(f"{model}x") == 1
    assert not keys_of(server, model)


def test_everything_can_be_dropped(opened: Open, patient: None, own_url: str, model: str) -> None:
    """All models at once; counters and what belongs to others stay."""
    with redis.Redis.from_url(own_url) as server:
        server.set("somebody's", "1")
        fake = fake_of(model)
        fake.serve(f"{model}x", lambda X: {"Y": X}, inputs=FEATURES, outputs=ANSWERS)  # noqa: N803
        client = opened(fake, cache=own_url, memory_bytes=MEMORY)
        for name in (model, f"{model}x"):
            client.infer(name, rows(1))
        client.written()
        assert client.invalidate() == 2
        for name in (model, f"{model}x"):
            assert not client.ask(name, rows(1)).cached.any()
        assert server.get("somebody's") == b"1"
        assert server.exists(f"ml_cache_stats:{model}")


def test_the_set_of_a_tag_expires_after_all_its_rows(
    opened: Open, patient: None, valkey_url: str, server: redis.Redis, model: str
) -> None:
    """It holds their keys, and nothing is left of it when it is dropped."""
    client = opened(fake_of(model), cache=valkey_url, ttl_s={model: 9000}, stale_s=60)
    client.infer(model, rows(1, 2), tags=[f"t:{model}"])
    client.written()
    tag = f"ml_cache_tag:t:{model}"
    assert sorted(server.smembers(tag)) == keys_of(server, model)
    (longest_ms,) = {server.pttl(key) // 1000 for key in keys_of(server, model)}
    assert longest_ms <= server.pttl(tag) // 1000 <= 9060
    assert client.invalidate(tag=f"t:{model}") == 2
    assert not server.exists(tag)


@pytest.mark.parametrize("dropped", ["model", "tag", "all"])
def test_a_call_under_way_does_not_put_back_what_was_dropped(
    opened: Open, patient: None, own_url: str, counting: Counting, model: str, dropped: str
) -> None:
    """Its caller gets the answer; later callers get a newer one."""
    client = opened(counting.peer.url, cache=own_url, memory_bytes=MEMORY)
    counting.go.clear()
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(client.ask, model, rows(5), tags=["t"], timeout_s=60)
        until(lambda: counting.asked)
        drop(client, dropped, model)
        after = pool.submit(client.ask, model, rows(5), tags=["t"], timeout_s=60)
        until(lambda: counting.asked == 2)
        counting.go.set()
        assert {*firsts(call.result()), *firsts(after.result())} == {1, 2}
        assert firsts(after.result()) == [2]
    result = client.ask(model, rows(5))
    assert (firsts(result), result.cached.tolist()) == ([2], [True])


def drop(client: Client, what: str, model: str) -> int:
    """Drop what is named so."""
    named: dict[str, dict[str, str]] = {"model": {"model": model}, "tag": {"tag": "t"}, "all": {}}
    return client.invalidate(**named[what])


def test_a_call_that_ends_while_something_is_dropped_does_not_put_it_back(
    patient: None, valkey_url: str, model: str
) -> None:
    """Its rows are kept before all is dropped or not at all, where threads do both at once."""
    with (
        ThreadPoolExecutor(1) as pool,
        closing(Threads(fake_of(model), cache=valkey_url, memory_bytes=MEMORY)) as client,
    ):
        client.infer(model, rows(1))
        dropping = []

        def drop_meanwhile() -> None:
            dropping.append(pool.submit(client.invalidate, model))
            wait(dropping, timeout=0.2)  # it is done by then unless something holds it up

        client.before(client.tiers, "_keep_here", drop_meanwhile)
        client.infer(model, rows(5))
        assert [one.result() >= 1 for one in dropping] == [True]
        client.written()
        assert not client.ask(model, rows(5)).cached.any()


def test_a_row_that_is_found_while_it_is_dropped_is_not_kept_in_memory(
    opened: Open, patient: None, valkey_url: str, model: str
) -> None:
    """Dropping takes a while; what comes from Redis meanwhile is as old as what is dropped."""
    client = opened(fake_of(model), cache=valkey_url, memory_bytes=MEMORY)
    client.infer(model, rows(1))
    client.written()
    client.before(client.tiers._store, "drop", lambda: client.infer(model, rows(1)))
    client.invalidate(model)
    assert not client.ask(model, rows(1)).cached.any()


def test_a_row_that_was_found_before_a_drop_was_heard_of_is_not_kept_in_memory(
    opened: Open, patient: None, valkey_url: str, model: str
) -> None:
    """Another client drops, another caller reads of it, and then the look-up returns."""
    fake = fake_of(model)
    client, other = (opened(fake, cache=valkey_url, memory_bytes=MEMORY) for _ in range(2))
    other.infer(model, rows(1))
    other.written()
    client.infer(model, rows(2))
    once = iter([lambda: other.invalidate(model), lambda: look(client, model)])

    def drop_and_look() -> None:
        for do in once:
            do()

    client.after(client.tiers._lookups, "get", drop_and_look)
    assert client.ask(model, rows(1)).cached.all()
    assert not client.ask(model, rows(1)).cached.any()


def look(client: Client, model: str) -> None:
    """Let a client look now what others dropped."""
    client.tiers._read_at_s = 0.0
    client.infer(model, rows(99))


@pytest.mark.parametrize("drops", [Threads, Asyncio])
def test_another_client_that_looks_while_something_is_dropped_forgets_it_as_well(
    opened: Open, patient: None, valkey_url: str, model: str, drops: type[Client]
) -> None:
    """It may read the log before the rows are gone, and take them from Redis once more."""
    fake = fake_of(model)
    other = opened(fake, cache=valkey_url, memory_bytes=MEMORY)
    client = drops(fake, cache=valkey_url)
    try:
        client.infer(model, rows(1))
        client.written()
        other.infer(model, rows(1))

        def look() -> None:
            other.tiers._read_at_s = 0.0
            other.infer(model, rows(1))

        client.before(client.tiers._store, "_unlink", look)
        assert client.invalidate(model) == 1
        other.tiers._read_at_s = 0.0
        assert not other.ask(model, rows(1)).cached.any()
    finally:
        client.close()


def test_a_row_that_is_tagged_while_its_tag_is_dropped_keeps_its_tag(
    opened: Open, patient: None, valkey_url: str, model: str
) -> None:
    """The next drop finds it."""
    fake = fake_of(model)
    client, other = (opened(fake, cache=valkey_url) for _ in range(2))
    tag = f"t:{model}"
    client.infer(model, rows(1), tags=[tag])
    client.written()

    def tag_another() -> None:
        other.infer(model, rows(2), tags=[tag])
        other.written()

    client.before(client.tiers._store, "_unlink", tag_another)
    assert client.invalidate(tag=tag) == 1
    assert other.ask(model, rows(2)).cached.all()
    assert other.invalidate(tag=tag) == 1
    assert not other.ask(model, rows(2)).cached.any()


def test_dropping_does_not_wait_for_writing_that_never_ends(
    opened: Open, patient: None, valkey_url: str, model: str
) -> None:
    """Under load there is always something being written."""
    client = opened(fake_of(model), cache=valkey_url)
    client.infer(model, rows(1))
    busy = [True]
    client.before(
        client.tiers._store,
        "write",
        lambda: busy[0] and client.tiers.count(model, hits=1, misses=0),
    )
    with ThreadPoolExecutor(1) as pool:
        try:
            client.infer(model, rows(2))
            assert pool.submit(client.invalidate, model).result(15) >= 1
        finally:
            busy[0] = False


def test_dropping_while_redis_is_away_is_told_and_this_process_forgets(
    opened: Open, model: str
) -> None:
    """Nobody can be sure of the others."""
    client = opened(fake_of(model), cache="redis://127.0.0.1:1/0", memory_bytes=MEMORY)
    client.infer(model, rows(1))
    assert client.ask(model, rows(1)).cached.all()
    with pytest.raises(CacheUnavailable, match=r"127\.0\.0\.1:1/"):
        client.invalidate(model)
    assert not client.ask(model, rows(1)).cached.any()


# Deploys


@pytest.mark.parametrize("kept", ["both"], indirect=True)
def test_a_new_version_is_seen_within_three_quarters_of_a_second(
    opened: Open, kept: dict, peer: Any, echoing: Any, model: str
) -> None:
    """From then on no tier answers with the old version's rows, and the new ones are kept."""
    client = opened(peer.url, **kept)
    client.infer(model, rows(1))
    peer.versions, peer.infer = ["1", "2"], echoing("2")
    time.sleep(DEPLOYS_ARE_SEEN_S)
    fresh = client.ask(model, rows(1))
    assert (fresh.version, fresh.cached.tolist()) == ("2", [False])
    again = client.ask(model, rows(1))
    assert (again.version, again.cached.tolist()) == ("2", [True])


@in_every_tier
def test_other_files_under_the_same_version_have_other_rows(
    opened: Open, kept: dict, model: str
) -> None:
    """Somebody replaced a version in place; when the old files return, so do their rows."""
    fake = fake_of(model)
    served = fake._models[model]
    client = opened(fake, **kept)

    def deployed(digest: str) -> list[bool]:
        served.contract = dataclasses.replace(served.contract, digest=digest)
        client.core.contracts.forget(model, "")
        return client.ask(model, rows(1)).cached.tolist()

    client.infer(model, rows(2))
    assert [deployed(digest) for digest in "aabba"] == [[False], [True], [False], [True], [True]]


# A Redis that is not well


@pytest.fixture(scope="module")
def frail() -> Iterator[EmbeddedValkey]:
    """A Valkey that is treated badly."""
    with EmbeddedValkey() as server:
        yield server


@pytest.fixture
def relay(frail: EmbeddedValkey) -> Iterator[Relay]:
    made = Relay(frail.port)
    yield made
    made.stop()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients try again soon."""
    for tiers in (async_tiers, sync_tiers):
        monkeypatch.setattr(tiers, "CACHE_PAUSE_S", 0.05)


TROUBLES: dict[str, str | bytes] = {
    "slow": "slow",
    "hanging": "silent",
    "closing": "closing",
    "loading": b"-LOADING Valkey is loading the dataset in memory\r\n",
    "wanting a password": b"-NOAUTH Authentication required.\r\n",
    "full of clients": b"-ERR max number of clients reached\r\n",
    "without a primary": b"-MASTERDOWN Link with MASTER is down\r\n",
    "answering out of step": b"+OK\r\n",
    "answering numbers": b":1\r\n",
    "answering too little": b"*1\r\n$-1\r\n",
    "answering other things": b"*2\r\n:1\r\n:2\r\n",
    "another program": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_calls_go_on_without_a_redis_that_is_not_well(
    opened: Open, relay: Relay, hasty: None, model: str, trouble: str
) -> None:
    """Its failures are counted, it is left alone, and it is used again once it is well."""
    fake = fake_of(model)
    client = opened(fake, cache=relay.url, memory_bytes=MEMORY)
    client.infer(model, rows(0, 1))
    client.written()
    relay.mode = TROUBLES[trouble]
    for n in itertools.count(2, 2):
        assert firsts(client.ask(model, rows(0, n, n + 1))) == [0, n, n + 1]
        # Where writing seems to go well, the breaker stays closed.
        if client.tiers._breaker.state != "closed" or client.errors() >= 9:
            break
    assert client.errors() >= 2
    assert client.stats().models[model].errors == {}
    relay.mode = "through"
    until(lambda: recovered(client, model))


def recovered(client: Client, model: str) -> bool:
    """Whether Redis is written and read, whatever is in memory."""
    client.ask(model, rows(7))
    client.written()
    if client.client._memory is not None:
        client.client._memory.clear()
    return bool(client.ask(model, rows(7)).cached.all())


@pytest.mark.parametrize(
    ("breaking", "mending"),
    [
        ("CONFIG SET maxmemory 1 maxmemory-policy noeviction", "CONFIG SET maxmemory 100mb"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET requirepass secret", None),
        ("CLIENT PAUSE 400 ALL", "PING"),
    ],
    ids=["full", "read-only", "secured", "paused"],
)
def test_a_real_server_in_trouble_costs_hits_alone(
    opened: Open,
    frail: EmbeddedValkey,
    hasty: None,
    model: str,
    breaking: str,
    mending: str | None,
) -> None:
    """In its own words; connections that were open go on where they may."""
    client = opened(fake_of(model), cache=frail.url)
    client.infer(model, rows(0))
    client.written()
    with redis.Redis(port=frail.port, protocol=2, single_connection_client=True) as operator:
        operator.execute_command(*breaking.split())
        if mending is None:
            operator.execute_command("AUTH", "secret")
            operator.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        try:
            for n in itertools.count(1):
                assert firsts(client.ask(model, rows(0, n))) == [0, n]
                if client.errors() >= 2:
                    break
        finally:
            parts = ("CONFIG", "SET", "requirepass", "") if mending is None else mending.split()
            operator.execute_command(*parts)
    assert client.stats().models[model].errors == {}
    until(lambda: recovered(client, model))


def test_a_redis_that_hangs_makes_few_calls_wait(opened: Open, relay: Relay, model: str) -> None:
    """At first as many as open the breaker, and then one at a time, half a second apart."""
    client = opened(fake_of(model), cache=relay.url, memory_bytes=MEMORY)
    client.infer(model, rows(0))
    client.written()
    relay.mode = "silent"
    began_s = time.monotonic()
    calls = 0
    while time.monotonic() < began_s + 1.2:
        assert firsts(client.ask(model, rows(calls))) == [calls]
        calls += 1
    took_s = time.monotonic() - began_s
    # Two in a row, and one that was under way beside them: writing what the first call answered.
    assert 2 <= client.errors() <= 3 + took_s / 0.5


def test_a_redis_that_refuses_and_is_started_later_is_used_from_then_on(
    opened: Open, frail: EmbeddedValkey, hasty: None, model: str
) -> None:
    """Its place was empty when the client was made."""
    relay = Relay(frail.port)
    port = int(relay.url.split(":")[2].partition("/")[0])
    relay.stop()
    client = opened(fake_of(model), cache=relay.url)
    until(lambda: firsts(client.ask(model, rows(1))) == [1] and client.errors() >= 2)
    relay = Relay(frail.port, port)
    try:
        until(lambda: recovered(client, model))
    finally:
        relay.stop()


# Writing beside the calls


@pytest.fixture
def writes_wait(server: redis.Redis) -> Iterator[Callable[[], None]]:
    """Let Redis answer look-ups only, until the function that comes with it is called."""
    server.execute_command("CLIENT PAUSE 60000 WRITE")
    yield lambda: server.execute_command("CLIENT UNPAUSE")
    server.execute_command("CLIENT UNPAUSE")


def test_what_waits_to_be_written_is_read_at_once(
    opened: Open,
    patient: None,
    valkey_url: str,
    server: redis.Redis,
    writes_wait: Callable[[], None],
    model: str,
) -> None:
    """Callers read what they wrote, and close writes all that waits."""
    fake = fake_of(model)
    client = opened(fake, cache=valkey_url)
    for n in range(20):
        client.infer(model, rows(n))
    assert client.ask(model, rows(*range(20))).cached.all()
    assert client.ask(model, rows(7, 30)).cached.tolist() == [True, False]
    assert keys_of(server, model) == []
    writes_wait()
    client.close()
    assert len(keys_of(server, model)) == 21
    assert client.errors() == 0
    assert len(fake.requests) == 21


def test_no_more_than_its_room_waits_and_the_rest_is_counted(
    opened: Open, patient: None, valkey_url: str, writes_wait: Callable[[], None], model: str
) -> None:
    """Answers come all the same."""
    width = MAX_CACHED_ROW_BYTES // 4 - 100
    numbers = np.random.default_rng(7).random((1, width), dtype=np.float32)
    fake = FakeTriton()
    fake.serve(
        model,
        lambda N: {"Y": numbers + N},  # noqa: N803
        inputs={"N": ("FP32", [-1, 1])},
        outputs={"Y": ("FP32", [-1, width])},
    )
    client = opened(fake, cache=valkey_url)
    for n in range(40):
        assert (client.infer(model, {"N": np.array([[n]], np.float32)})["Y"] == numbers + n).all()
    buffer = client.tiers._buffer
    waiting = sum(len(value.raw) for value in buffer._writes.values.values())
    assert MAX_WAITING_WRITES_BYTES - (1 << 20) < waiting <= MAX_WAITING_WRITES_BYTES
    assert client.errors() == 40 - len(buffer._writes.values) - len(buffer.writing.values) >= 1
    writes_wait()
    client.written()
    client.invalidate(model)


def test_counters_are_there_when_the_client_is_closed(
    opened: Open, patient: None, valkey_url: str, model: str
) -> None:
    """Those of all tiers, of the quick way as well."""
    client = opened(fake_of(model), cache=valkey_url, memory_bytes=MEMORY)
    for _ in range(5):
        client.infer(model, rows(1))
    client.infer(model, rows(1, 2))
    client.close()
    stats = cache_stats(valkey_url)[model]
    assert (stats.hits, stats.misses) == (5, 2)
    assert cache_entries(valkey_url)[model] == 2


def test_rows_of_many_callers_are_written_together(
    opened: Open, patient: None, valkey_url: str, server: redis.Redis, model: str
) -> None:
    """What comes while something is being written is the next thing that is."""
    client = opened(fake_of(model), cache=valkey_url)
    client.infer(model, rows(1000))
    client.written()
    slow, times = threading.Event(), []

    def note() -> None:
        times.append(1)
        slow.wait(60)

    client.before(client.tiers._store, "write", note)
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda n: client.infer(model, rows(n)), range(200)))
    slow.set()
    client.written()
    assert len(keys_of(server, model)) == 201
    assert len(times) == 2


# Look-ups of asyncio


class Slow:
    """A store whose answers wait until a test lets them."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.error: Exception | None = None
        self.go = asyncio.Event()

    async def get(self, keys: Any) -> list[bytes | None]:
        self.asked.append([*keys])
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return [key.encode() for key in keys]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_lookups_that_come_while_one_is_under_way_travel_together() -> None:
    """Each gets its own values, in its order; at most so many keys at a time."""

    async def run() -> None:
        store = Slow()
        lookups = Lookups(store.get)
        calls = [asyncio.create_task(lookups.get([f"{n}", f"{n}b"], None)) for n in range(1200)]
        await turns()
        assert store.asked == [["0", "0b"]]
        store.go.set()
        answers = await asyncio.gather(*calls)
        assert answers == [[f"{n}".encode(), f"{n}b".encode()] for n in range(1200)]
        assert [len(keys) for keys in store.asked] == [2, 1000, 1000, 398]

    asyncio.run(run())


@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1, 2, 3], [2, 4], [1, 2, 3, 4]])
def test_a_lookup_that_is_cancelled_costs_the_others_nothing(cancelled: list[int]) -> None:
    """Whether it was under way or waited; later ones find everything in order."""

    async def run() -> None:
        store = Slow()
        lookups = Lookups(store.get)
        calls = [asyncio.create_task(lookups.get([f"{n}"], None)) for n in range(5)]
        await turns()
        for n in cancelled:
            calls[n].cancel()
        await turns()
        store.go.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for n, answer in enumerate(answers):
            if n in cancelled:
                assert isinstance(answer, asyncio.CancelledError)
            else:
                assert answer == [f"{n}".encode()]
        assert await lookups.get(["x"], None) == [b"x"]

    asyncio.run(run())


def test_a_lookup_that_is_cancelled_on_its_way_with_others_costs_them_nothing() -> None:
    """Their common request goes on."""

    async def run() -> None:
        store = Slow()
        store.go.set()
        lookups = Lookups(store.get)
        store.go.clear()
        calls = [asyncio.create_task(lookups.get([f"{n}"], None)) for n in range(4)]
        await turns()
        store.go.set()
        store.go, first = asyncio.Event(), store.go
        assert first.is_set()
        await calls[0]
        await turns()
        assert store.asked[1] == ["1", "2", "3"]
        calls[1].cancel()
        store.go.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert answers[2:] == [[b"2"], [b"3"]]

    asyncio.run(run())


def test_a_lookup_that_fails_is_told_to_all_who_wait_for_it_and_to_nobody_else() -> None:
    """The next is asked anew."""

    async def run() -> None:
        store = Slow()
        lookups = Lookups(store.get)
        calls = [asyncio.create_task(lookups.get([f"{n}"], None)) for n in range(4)]
        await turns()
        store.error = redis.TimeoutError("late")
        store.go.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(answer, redis.TimeoutError) for answer in answers)
        store.error = None
        assert await lookups.get(["x"], None) == [b"x"]

    asyncio.run(run())


def test_two_hundred_calls_at_once_cost_few_lookups(
    patient: None, valkey_url: str, server: redis.Redis, model: str
) -> None:
    """Redis counts them; some callers give up meanwhile."""
    fake = fake_of(model)

    def lookups() -> int:
        return int(server.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"])

    async def run() -> None:
        async with AsyncModelClient(fake, cache=valkey_url) as client:
            await client.infer(model, rows(*range(200)))
            await asyncio.to_thread(until, lambda: not client._core.tiers._buffer.take_waits())
            before = lookups()
            calls = [asyncio.create_task(client.infer_detailed(model, rows(n))) for n in range(200)]
            await asyncio.sleep(0)
            for call in calls[20::20]:
                call.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert lookups() - before <= 3
        for n, answer in enumerate(answers):
            if n % 20 or not n:
                assert (firsts(answer), answer.cached.all()) == ([n], True)
            else:
                assert isinstance(answer, asyncio.CancelledError)

    asyncio.run(run())
    assert len(fake.requests) == 1


def test_clients_that_share_a_memory_cache_behave_as_with_redis(opened: Open, model: str) -> None:
    """What stands in for Redis in tests of others is shared, counted and dropped alike."""
    fake, cache = fake_of(model), MemoryCache()
    one, other = (opened(fake, cache=cache, memory_bytes=MEMORY) for _ in range(2))
    one.infer(model, rows(1), tags=["t"])
    one.written()
    assert other.ask(model, rows(1), tags=["t"]).source == "cache"
    assert one.invalidate(tag="t") == 1
    other.tiers._read_at_s = 0.0
    assert not other.ask(model, rows(1)).cached.any()
    one.close()
    other.close()
    assert cache.counts == {(model, "hits"): 1, (model, "misses"): 2}


def test_a_call_that_fails_keeps_nothing(opened: Open, model: str) -> None:
    """Not for anybody."""
    fake, cache = fake_of(model), MemoryCache()
    client = opened(fake, cache=cache, memory_bytes=MEMORY)
    fake.fail(model, InferenceFailed, times=1)
    with pytest.raises(CallFailed):
        client.infer(model, rows(1))
    assert cache.keys == []
    assert firsts(client.ask(model, rows(1))) == [1]
