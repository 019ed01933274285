"""Requests on their way: tried again where that helps, so many at a time, within their deadlines.

Also the contracts that every call needs: asked once for all callers, and kept while nobody answers.
"""

from __future__ import annotations

import asyncio
import pickle
import re
import time
from collections.abc import Callable

import grpc
import pytest
from both_clients import KINDS, Either, Kind, Place, firsts, opened, rows, soon
from clocks import Clock
from geulpi_client import AccessDenied as Denied
from geulpi_client import (
    DeadlineExceeded,
    GeulpiError,
    InferenceFailed,
    InputRefused,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    Target,
    UnexpectedAnswer,
    Unreachable,
)
from geulpi_client._async import sender as async_sender
from geulpi_client._async.contracts import AsyncContracts
from geulpi_client._constants import CONTRACT_REFRESH_S, CONTRACT_TTL_S
from geulpi_client._deadline import Deadline
from geulpi_client._sync import sender as sync_sender
from geulpi_client._sync.contracts import Contracts
from geulpi_client.testing import MemoryCache

both = pytest.mark.parametrize("kind", KINDS)

MOST_BUDGET = 10
NEVER_AGAIN = (
    InputRefused,
    InferenceFailed,
    ModelNotFound,
    ModelUnavailable,
    UnexpectedAnswer,
    Denied,
)


def away(target: Target) -> Exception:
    return Unreachable(target, "connection refused")


def busy(target: Target) -> Exception:
    return Overloaded(target, "the queue is full")


def late(target: Target) -> Exception:
    return DeadlineExceeded(target, 5.0)


def of(kind: type[GeulpiError]) -> Callable[[Target], Exception]:
    return lambda target: kind(target, "as told")


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the clients wanted to wait before they tried again; they don't."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(async_sender, "sleep", sleep)
    monkeypatch.setattr(sync_sender, "sleep", slept.append)
    return slept


async def ended(client: Either, *calls: float, **options) -> list[object]:
    """Ask for a row each at once; return the answers' first numbers and the errors."""
    answers = await asyncio.gather(
        *(client.infer("m", rows(call), **options) for call in calls), return_exceptions=True
    )
    return [x if isinstance(x, BaseException) else firsts(x)[0] for x in answers]


# --- Tried again ------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("failure", [away, busy])
def test_what_another_attempt_can_mend_is_tried_again(kind: Kind, place, failure) -> None:
    """Callers notice nothing, and the request keeps its id, by which the server's log has it."""

    async def run() -> None:
        async with opened(kind, place) as client:
            place.failures = [failure, failure]
            assert firsts(await client.infer("m", rows(7))) == [7]
            assert len(place.requests) == 3
            assert len({*place.ids}) == 1
            assert client.client.stats().total.retries == 2
            await client.infer("m", rows(8))
            assert len({*place.ids}) == 2

    asyncio.run(run())


@both
@pytest.mark.parametrize("error", NEVER_AGAIN)
def test_what_the_server_said_is_not_asked_again(kind: Kind, place, error) -> None:
    """The same question has the same answer, and costs as much."""

    async def run() -> None:
        async with opened(kind, place, coalesce_delay_s=None) as client:
            place.fails = of(error)
            with pytest.raises(error):
                await client.infer("m", rows(1))
            assert len(place.requests) == 1

    asyncio.run(run())


@both
def test_what_was_too_slow_is_not_asked_again(kind: Kind, place) -> None:
    """Even if the caller's own time is not over."""

    async def run() -> None:
        async with opened(kind, place) as client:
            place.fails = late
            with pytest.raises(DeadlineExceeded):
                await client.infer("m", rows(1))
            assert len(place.requests) == 1

    asyncio.run(run())


@both
def test_four_attempts_are_the_most(kind: Kind, place, pauses) -> None:
    """The pauses between them are by chance, up to twice as long each time."""

    async def run() -> None:
        async with opened(kind, place) as client:
            for _ in range(3):
                place.requests.clear()
                place.fails = busy
                with pytest.raises(Overloaded):
                    await client.infer("m", rows(1))
                assert len(place.requests) == 4

    asyncio.run(run())
    assert len({*pauses}) == len(pauses) == 9
    for pause, longest in zip(pauses, [0.02, 0.04, 0.08] * 3, strict=True):
        assert 0 <= pause <= longest


@both
def test_an_outage_of_many_calls_is_met_by_few_retries(kind: Kind, place, pauses) -> None:
    """A tenth of the calls, and ten; not three times the load on a server that has too much."""

    async def run() -> None:
        async with opened(kind, place, coalesce_delay_s=None) as client:
            place.fails = busy
            for _ in range(4):
                assert all(isinstance(end, Overloaded) for end in await ended(client, *range(50)))
            assert 200 < len(place.requests) <= 200 + 200 / 10 + MOST_BUDGET
            assert client.client.stats().total.retries == len(pauses) == len(place.requests) - 200

    asyncio.run(run())


@both
def test_retries_end_with_the_deadline(kind: Kind, place, monkeypatch) -> None:
    """A pause that would last longer is not begun, so the failure comes early and not late."""

    async def run() -> None:
        for sender in (async_sender, sync_sender):
            monkeypatch.setattr(sender, "should_retry", slow_retries(sender.should_retry))
        async with opened(kind, place) as client:
            await client.infer("m", rows(0))
            place.fails = busy
            started_s = time.monotonic()
            with pytest.raises(Overloaded):
                await client.infer("m", rows(1), timeout_s=0.3)
            assert time.monotonic() - started_s < 0.3
            assert len(place.requests) < 5

    asyncio.run(run())


def slow_retries(decide: Callable) -> Callable:
    """Draw the longest pause of each, ten times as long."""

    def should_retry(error, attempt, deadline, budget):
        return decide(error, attempt, deadline, budget, random=lambda: 10.0)

    return should_retry


# --- So many at a time ------------------------------------------------------------------------


@both
def test_no_more_requests_are_under_way_than_allowed(kind: Kind, place) -> None:
    """All are answered; those that came later wait."""

    async def run() -> None:
        async with opened(kind, place, max_in_flight=3, coalesce_delay_s=None) as client:
            place.held = True
            calls = asyncio.ensure_future(ended(client, *range(30)))
            await soon(lambda: client.client.stats().waiting == 27)
            assert (place.under_way, client.client.stats().in_flight) == (3, 3)
            place.held = False
            assert await calls == [*range(30)]
            assert place.most == 3
            stats = client.client.stats()
            assert (stats.in_flight, stats.waiting) == (0, 0)

    asyncio.run(run())


@both
def test_a_request_that_got_no_permit_in_time_says_so(kind: Kind, place) -> None:
    """It was never sent: not that the server was too slow for it."""

    async def run() -> None:
        async with opened(kind, place, max_in_flight=1, coalesce_delay_s=None) as client:
            await client.infer("m", rows(0))
            place.held = True
            first = asyncio.ensure_future(client.infer("m", rows(1)))
            await soon(lambda: place.under_way)
            with pytest.raises(Overloaded, match="1 requests of this client are in flight"):
                await client.infer("m", rows(2), timeout_s=0.1)
            place.held = False
            await first
            assert len(place.requests) == 2

    asyncio.run(run())


@both
def test_more_callers_than_may_wait_fail_at_once(kind: Kind, place) -> None:
    """With minutes left: an answer now is worth more than one that comes too late."""

    async def run() -> None:
        options = {"max_in_flight": 1, "max_waiting": 5, "coalesce_delay_s": None}
        async with opened(kind, place, timeout_s=60, **options) as client:
            await client.infer("m", rows(0))
            place.held = True
            calls = asyncio.ensure_future(ended(client, *range(5)))
            await soon(lambda: client.client.stats().waiting == 4)
            started_s = time.monotonic()
            with pytest.raises(Overloaded, match="5 calls of this client are under way") as caught:
                await client.infer("m", rows(9))
            assert time.monotonic() - started_s < 5
            assert caught.value.model == "m"
            place.held = False
            assert await calls == [*range(5)]
            assert await ended(client, *range(5)) == [*range(5)]

    asyncio.run(run())


@both
def test_cached_answers_come_while_all_permits_are_taken(kind: Kind, place) -> None:
    """From memory and from the shared cache, also when the contract must be asked anew."""

    async def run() -> None:
        for tier in ({"memory_bytes": 1 << 20}, {"cache": MemoryCache()}):
            options = {"max_in_flight": 1, "coalesce_delay_s": None, **tier}
            async with opened(kind, place, **options) as client:
                await client.infer("m", rows(1, 2))
                place.held = True
                blocked = asyncio.ensure_future(client.infer("m", rows(3)))
                await soon(lambda: place.under_way)
                await asyncio.sleep(CONTRACT_TTL_S + 0.05)
                for numbers in ((1,), (2, 1)):
                    result = await client.infer_detailed("m", rows(*numbers))
                    assert result.cached.all()
                assert not blocked.done()
                place.held = False
                assert firsts(await blocked) == [3]

    asyncio.run(run())


# --- The deadline -----------------------------------------------------------------------------


@both
def test_the_deadline_covers_all_that_a_call_does(kind: Kind, place) -> None:
    """Contract, permit, attempts and pauses: each gets what the ones before it left."""

    async def run() -> None:
        async with opened(kind, place, max_in_flight=1, coalesce_delay_s=None) as client:
            place.metadata_held = place.held = True
            started_s = time.monotonic()
            late_calls = [
                asyncio.ensure_future(client.infer("m", rows(i), timeout_s=0.6)) for i in range(3)
            ]
            await asyncio.sleep(0.3)
            place.metadata_held = False
            await asyncio.wait(late_calls)
            assert 0.55 < time.monotonic() - started_s < 5
            for call in late_calls:  # one request was sent and held, the others had no permit
                assert isinstance(call.exception(), DeadlineExceeded | Overloaded)
            assert place.deadlines
            for deadline in place.deadlines:
                assert deadline.timeout_s == 0.6
                assert deadline.at_s - started_s < 0.7

    asyncio.run(run())


# --- Breaker and several servers --------------------------------------------------------------


@both
def test_a_server_that_fails_is_left_alone_and_then_probed(kind: Kind, place, pauses) -> None:
    """After five failures nobody asks; then one caller does, and its success lets all through."""

    async def run() -> None:
        async with opened(kind, place, coalesce_delay_s=None) as client:
            await client.infer("m", rows(0))
            place.requests.clear()
            place.fails = away
            for _ in range(2):
                with pytest.raises(Unreachable):
                    await client.infer("m", rows(1))
            assert len(place.requests) == 5
            assert endpoint(client).state == "open"
            with pytest.raises(Unreachable, match=r"it is tried again within 0\.\d+ s") as caught:
                await client.infer("m", rows(1))
            assert len(place.requests) == 5
            assert caught.value.url == place.url
            assert caught.value.model == "m"
            place.fails, place.held = None, True
            await soon(lambda: endpoint(client).state == "half_open")
            ends = asyncio.ensure_future(ended(client, *range(10)))
            await soon(lambda: place.under_way)
            await asyncio.sleep(0.05)
            place.held = False
            answers = await ends
            assert sum(not isinstance(end, Exception) for end in answers) == 1
            assert len(place.requests) == 6
            assert endpoint(client).state == "closed"
            assert await ended(client, *range(10)) == [*range(10)]

    asyncio.run(run())


def endpoint(client: Either):
    return client.client.stats().endpoints[0]


@both
def test_a_busy_server_is_not_left_alone(kind: Kind, place, pauses) -> None:
    """It answers, if only that it is busy."""

    async def run() -> None:
        async with opened(kind, place) as client:
            place.fails = busy
            for _ in range(10):
                with pytest.raises(Overloaded):
                    await client.infer("m", rows(1))
            place.fails = None
            assert firsts(await client.infer("m", rows(1))) == [1]

    asyncio.run(run())


@both
def test_a_failed_attempt_is_tried_again_elsewhere(kind: Kind) -> None:
    """The caller gets the answer of a server that has one."""

    async def run() -> None:
        places = [Place("one:1"), Place("two:2")]
        async with opened(kind, places) as client:
            await client.infer("m", rows(0))
            for place, other in (places, places[::-1]):
                place.requests.clear()
                other.requests.clear()
                place.fails, other.fails = away, None
                while len(place.requests) < 4:
                    assert firsts(await client.infer("m", rows(3))) == [3]
                assert len({*place.ids}) == 4
                assert {*place.ids} <= {*other.ids}

    asyncio.run(run())


@both
def test_requests_go_to_the_servers_that_are_up(kind: Kind, pauses) -> None:
    """All that one has is a probe now and then, whose caller is answered by another."""

    async def run() -> None:
        places = [Place(f"place:{i}") for i in (1, 2, 3)]
        places[0].fails = places[0].metadata_fails = away
        async with opened(kind, places, coalesce_delay_s=None) as client:
            for i in range(120):
                assert firsts(await client.infer("m", rows(i))) == [i]
            down, *up = client.client.stats().endpoints
            assert down.url == "place:1"
            assert down.state in {"open", "half_open"}
            assert down.failures < 12
            assert len(places[0].requests) < 12
            assert all(place.requests for place in places[1:])
            assert [one.state for one in up] == ["closed", "closed"]

    asyncio.run(run())


@both
def test_when_all_are_down_the_error_says_when_they_are_tried_again(kind: Kind, pauses) -> None:
    """And names them all."""

    async def run() -> None:
        places = [Place("one:1"), Place("two:2")]
        async with opened(kind, places) as client:
            await client.infer("m", rows(0))
            for place in places:
                place.fails = away
            for _ in range(10):
                with pytest.raises(Unreachable) as caught:
                    await client.infer("m", rows(1))
            message = str(caught.value)
            assert re.search(r"tried again within [\d.]+ s", message)
            assert "one:1, two:2" in message
            asked = sum(len(place.requests) for place in places)
            with pytest.raises(Unreachable):
                await client.infer("m", rows(1))
            assert sum(len(place.requests) for place in places) == asked

    asyncio.run(run())


@both
def test_a_contract_is_asked_for_elsewhere_too(kind: Kind) -> None:
    """A client that starts while one server is away is none the wiser."""

    async def run() -> None:
        for _ in range(10):  # which server is first is by chance
            places = [Place("one:1"), Place("two:2")]
            places[0].metadata_fails = away
            async with opened(kind, places) as client:
                await client.infer("m", rows(1))
                if places[0].asked:
                    assert places[1].asked == ["m"]
                    return
        pytest.fail("the first server was never asked first")

    asyncio.run(run())


@both
@pytest.mark.parametrize("failure", [away, busy])
def test_a_first_contract_is_tried_again(kind: Kind, place, failure) -> None:
    """A connection that broke between two calls is no error of a model's first call either."""

    async def run() -> None:
        def once(target: Target) -> Exception:
            place.metadata_fails = None
            return failure(target)

        place.metadata_fails = once
        async with opened(kind, place) as client:
            assert firsts(await client.infer("m", rows(1))) == [1]
            assert place.asked == ["m", "m"]

    asyncio.run(run())


# --- Errors -----------------------------------------------------------------------------------


@both
def test_an_error_says_whom_it_is_about(kind: Kind, peer) -> None:
    """Address, model, version and request, and gRPC's own error as the cause."""

    def infer(_request, context):
        context.abort(grpc.StatusCode.INTERNAL, "it broke")

    async def run() -> None:
        async with opened(kind, peer.url) as client:
            await client.infer("m", rows(1))
            peer.infer = infer
            with pytest.raises(InferenceFailed, match="it broke") as caught:
                await client.infer("m", rows(1), version="1")
        error = caught.value
        assert (error.url, error.model, error.version) == (peer.url, "m", "1")
        assert error.request_id == peer.requests[-1].id != ""
        assert error.__cause__.code().name == "INTERNAL"
        again = pickle.loads(pickle.dumps(error))
        assert (again.target, again.said) == (error.target, error.said)

    asyncio.run(run())


@both
def test_an_unreachable_server_is_named(kind: Kind, peer) -> None:
    """With the last attempt's reason."""

    async def run() -> None:
        async with opened(kind, peer.url) as client:
            await client.infer("m", rows(1))
            peer.stop()
            with pytest.raises(Unreachable) as caught:
                await client.infer("m", rows(1))
        assert (caught.value.url, caught.value.model) == (peer.url, "m")
        assert caught.value.request_id
        assert caught.value.__cause__ is not None

    asyncio.run(run())


@both
def test_the_server_is_told_how_long_a_request_may_wait(kind: Kind, peer) -> None:
    """In microseconds, as Triton's queue takes them: what is left of the caller's time."""

    async def run() -> None:
        async with opened(kind, peer.url) as client:
            await client.infer("m", rows(1), timeout_s=2.0)
            timeout_us = peer.requests[0].parameters["timeout"].int64_param
            assert 500_000 < timeout_us <= 2_000_000

    asyncio.run(run())


# --- Contracts --------------------------------------------------------------------------------


class Contracted:
    """Contracts of either kind, asked as a client does."""

    def __init__(self, kind: Kind, client: Either, clock: Clock) -> None:
        made = Contracts if kind == "threads" else AsyncContracts
        self.contracts = made(client.core.sender, clock)

    async def version(self, timeout_s: float = 5.0) -> str:
        contract = self.contracts.fresh("m", "")
        if contract is None:
            deadline = Deadline.after(timeout_s)
            if isinstance(self.contracts, Contracts):
                contract = await asyncio.to_thread(self.contracts.get, "m", "", deadline)
            else:
                contract = await self.contracts.get("m", "", deadline)
        return contract.version


@both
def test_fifty_callers_ask_for_a_contract_once(kind: Kind, place) -> None:
    """The first one does, the others wait for it."""

    async def run() -> None:
        async with opened(kind, place) as client:
            place.metadata_held = True
            calls = asyncio.ensure_future(ended(client, *range(50)))
            await soon(lambda: place.asked and client.core.gate.inside == 50)
            await asyncio.sleep(0.05)
            place.metadata_held = False
            assert await calls == [*range(50)]
            assert place.asked == ["m"]

    asyncio.run(run())


@both
def test_each_caller_waits_for_a_contract_as_long_as_it_may(kind: Kind, place) -> None:
    """One that asked for all and gave up is followed by another one, which asks again."""

    async def run() -> None:
        async with opened(kind, place) as client:
            place.metadata_held = True
            hasty = asyncio.ensure_future(client.infer("m", rows(1), timeout_s=0.1))
            await soon(lambda: place.asked)
            patient = asyncio.ensure_future(client.infer("m", rows(2), timeout_s=20))
            with pytest.raises(DeadlineExceeded):
                await hasty
            await soon(lambda: len(place.asked) == 2)
            place.metadata_held = False
            assert firsts(await patient) == [2]

    asyncio.run(run())


@both
def test_a_contract_is_asked_anew_every_half_second(kind: Kind, place) -> None:
    """So a deploy is seen, and requests between two such questions cost none of their own."""

    async def run() -> None:
        async with opened(kind, place) as client:
            await client.infer("m", rows(1))
            clock = Clock()
            asked = Contracted(kind, client, clock)
            assert await asked.version() == "1"
            place.version = "2"
            place.asked.clear()
            clock.now_s += CONTRACT_TTL_S - 0.001
            assert await asked.version() == "1"
            assert place.asked == []
            clock.now_s += 0.001
            assert await asked.version() == "2"
            assert place.asked == ["m"]

    asyncio.run(run())


@both
def test_while_the_server_hangs_one_caller_waits_a_little_and_the_others_not(
    kind: Kind, place
) -> None:
    """And all go on with the contract that is known; it is asked for a quarter of a second."""

    async def run() -> None:
        async with opened(kind, place) as client:
            await client.infer("m", rows(1))
            clock = Clock()
            asked = Contracted(kind, client, clock)
            await asked.version()
            place.metadata_held = True
            place.asked.clear()
            clock.now_s += CONTRACT_TTL_S
            started_s = time.monotonic()
            first = asyncio.ensure_future(asked.version(timeout_s=60))
            await soon(lambda: place.asked)
            for _ in range(20):
                assert await asked.version(timeout_s=60) == "1"
            assert await first == "1"
            assert CONTRACT_REFRESH_S - 0.01 < time.monotonic() - started_s < 10
            assert place.asked == ["m"]
            clock.now_s += CONTRACT_REFRESH_S
            assert await asked.version(timeout_s=60) == "1"
            assert place.asked == ["m", "m"]

    asyncio.run(run())


@both
@pytest.mark.parametrize("failure", [away, busy, late])
def test_cached_rows_come_while_the_server_is_away(kind: Kind, place, failure) -> None:
    """Whatever the question for the contract fails with."""

    async def run() -> None:
        async with opened(kind, place, memory_bytes=1 << 20) as client:
            await client.infer("m", rows(1))
            place.metadata_fails = place.fails = failure
            end_s = time.monotonic() + CONTRACT_TTL_S + CONTRACT_REFRESH_S + 0.1
            place.asked.clear()
            while time.monotonic() < end_s:
                assert (await client.infer_detailed("m", rows(1))).cached.all()
                await asyncio.sleep(0.01)
            assert place.asked

    asyncio.run(run())


@both
def test_a_model_that_is_gone_is_forgotten(kind: Kind, place) -> None:
    """Its cached rows are given out no more, nor when the server is away after that."""

    async def run() -> None:
        async with opened(kind, place) as client:
            await client.infer("m", rows(1))
            clock = Clock()
            asked = Contracted(kind, client, clock)
            await asked.version()
            clock.now_s += CONTRACT_TTL_S
            place.metadata_fails = of(ModelNotFound)
            with pytest.raises(ModelNotFound):
                await asked.version()
            place.metadata_fails = away
            with pytest.raises(Unreachable):
                await asked.version()
            place.metadata_fails = None
            assert await asked.version() == "1"

    asyncio.run(run())


@both
def test_an_unchanged_contract_stays_the_same_object(kind: Kind, place) -> None:
    """With all that was computed of it."""

    async def run() -> None:
        async with opened(kind, place) as client:
            await client.infer("m", rows(1))
            clock = Clock()
            asked = Contracted(kind, client, clock)
            await asked.version()
            before = asked.contracts.fresh("m", "")
            clock.now_s += CONTRACT_TTL_S
            assert asked.contracts.fresh("m", "") is None
            await asked.version()
            assert asked.contracts.fresh("m", "") is before

    asyncio.run(run())
