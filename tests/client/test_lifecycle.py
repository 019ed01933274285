"""From a client's first call to its end: cancelled calls, closing, forks, event loops, exits."""

from __future__ import annotations

import asyncio
import gc
import pickle
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from both_clients import KINDS, PATIENCE_S, Kind, Place, firsts, opened, rows, soon, until
from geulpi_client import (
    AsyncModelClient,
    ClientClosed,
    DeadlineExceeded,
    GeulpiError,
    ModelClient,
    OtherEventLoop,
)

both = pytest.mark.parametrize("kind", KINDS)
joined_or_not = pytest.mark.parametrize("delay_s", [0.0, None])

SRC = str(Path(sys.modules["geulpi_client"].__file__).parents[1])


@pytest.fixture
def place() -> Place:
    return Place()


class Hanging:
    """The peer's answer, held until it is let go; it notes the requests that were cancelled."""

    def __init__(self, peer) -> None:
        self.let_go = threading.Event()
        self.came = self.cancelled = 0
        self._lock = threading.Lock()
        self._answer = peer.infer
        peer.infer = self.infer

    def infer(self, request, context):
        def ended() -> None:
            with self._lock:
                self.cancelled += not self.let_go.is_set()

        context.add_callback(ended)
        with self._lock:
            self.came += 1
        end_s = time.monotonic() + PATIENCE_S
        while not self.let_go.wait(0.005) and context.is_active() and time.monotonic() < end_s:
            pass
        return self._answer(request, context)


@pytest.fixture
def hanging(peer) -> Iterator[Hanging]:
    held = Hanging(peer)
    yield held
    held.let_go.set()


def run_script(script: str, *arguments: str, dev: bool = False) -> str:
    """Run a script in a process of its own, which must end soon and without a word on stderr.

    But for gRPC's, which says at a fork that it leaves its own threads alone.
    """
    flags = ["-X", "dev", "-W", "error"] if dev else []
    command = [sys.executable, *flags, "-c", script, *arguments]
    done = subprocess.run(  # noqa: PLW1510 -- the status is looked at below
        command,
        env={"PYTHONPATH": SRC, "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = [line for line in done.stderr.splitlines() if "skipping fork() handlers" not in line]
    assert (done.returncode, said) == (0, []), done.stdout + done.stderr
    return done.stdout


def nothing_is_left(client: AsyncModelClient | ModelClient) -> bool:
    """Whether no call and no request of a client is under way or waits."""
    core, stats = client._core, client.stats()
    return (
        (core.gate.inside, stats.in_flight, stats.waiting) == (0, 0, 0)
        and core.sender.limiter.waiting == 0
        and all(endpoint.in_flight == 0 for endpoint in stats.endpoints)
        and all(one._line.empty for one in core.requests._coalescers.values())
        and not core.inference._flights._flying
        and not core.contracts._flights._flying
    )


# --- Cancelled calls --------------------------------------------------------------------------


@joined_or_not
@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
def test_nothing_is_left_of_a_thousand_calls_cancelled_at_once(
    peer, hanging, delay_s, memory_bytes
) -> None:
    """Wherever each was: asking, waiting for others, for a permit, for a contract."""

    async def run() -> None:
        options = {"coalesce_delay_s": delay_s, "memory_bytes": memory_bytes, "timeout_s": 20.0}
        async with AsyncModelClient(peer.url, **options) as client:
            tasks = [
                asyncio.create_task(client.infer(f"m{i % 3}", rows(i % 400))) for i in range(1000)
            ]
            await soon(lambda: hanging.came)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends)
            await soon(lambda: nothing_is_left(client))
            hanging.let_go.set()
            answers = await asyncio.gather(*(client.infer("m0", rows(i)) for i in range(100)))
            assert [firsts(answer) for answer in answers] == [[i] for i in range(100)]
            assert nothing_is_left(client)

    asyncio.run(run())


def test_a_call_that_is_cancelled_before_it_began_leaves_nothing(place) -> None:
    """In every turn of the loop that a call takes."""

    async def run() -> None:
        async with AsyncModelClient(place, memory_bytes=1 << 20) as client:
            for turns in range(12):
                task = asyncio.create_task(client.infer("m", rows(turns)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                await soon(lambda: client._core is None or nothing_is_left(client))
            assert firsts(await client.infer("m", rows(1))) == [1]

    asyncio.run(run())


@joined_or_not
@pytest.mark.parametrize("gone", range(4))
def test_a_cancelled_caller_does_no_harm_to_the_others(place, delay_s, gone) -> None:
    """Whether it asked for all, asked with them, or waited for the same row."""

    async def run() -> None:
        async with AsyncModelClient(
            place, coalesce_delay_s=delay_s, memory_bytes=1 << 20
        ) as client:
            await client.infer("m", rows(0))
            place.held = True
            numbers = (1, 2, 2, 2, 3, 3)
            tasks = [asyncio.create_task(client.infer("m", rows(i))) for i in numbers]
            await soon(lambda: place.under_way and client._core.gate.inside == 6)
            await asyncio.sleep(0.01)
            tasks[gone].cancel()
            await asyncio.wait([tasks[gone]])
            await asyncio.sleep(0.01)
            place.held = False
            for i, (number, task) in enumerate(zip(numbers, tasks, strict=True)):
                if i != gone:
                    assert firsts(await asyncio.wait_for(task, PATIENCE_S)) == [number]
            await soon(lambda: nothing_is_left(client))

    asyncio.run(run())


@joined_or_not
def test_the_server_is_told_of_a_cancelled_call(peer, hanging, delay_s) -> None:
    """It need not go on computing for nobody; of a joined request the last caller decides."""

    async def run() -> None:
        async with AsyncModelClient(peer.url, coalesce_delay_s=delay_s) as client:
            tasks = [asyncio.create_task(client.infer("m", rows(i))) for i in range(4)]
            await soon(lambda: hanging.came == (4 if delay_s is None else 2))
            for task in tasks:
                task.cancel()
            await soon(lambda: hanging.cancelled == hanging.came)

    asyncio.run(run())


def test_a_joined_request_goes_on_while_somebody_wants_it(place) -> None:
    """Only when all of its callers are cancelled it is."""

    async def run() -> None:
        async with AsyncModelClient(place) as client:
            await client.infer("m", rows(0))
            place.held = True
            tasks = [asyncio.create_task(client.infer("m", rows(i))) for i in range(4)]
            await soon(lambda: place.under_way == 2)
            joined = place.requests[-1]
            assert joined.tensors[0].shape[0] == 3
            for task in tasks[1:3]:
                task.cancel()
            await asyncio.wait(tasks[1:3])
            assert place.cancelled == 0
            tasks[3].cancel()
            await soon(lambda: place.cancelled == 1)
            place.held = False
            assert firsts(await tasks[0]) == [0]

    asyncio.run(run())


# --- Closing ----------------------------------------------------------------------------------


@both
@joined_or_not
def test_closing_lets_calls_end_and_takes_no_more(kind: Kind, place, delay_s) -> None:
    """Those under way are answered, those that wait for them too."""

    async def run() -> None:
        options = {"coalesce_delay_s": delay_s, "max_in_flight": 2, "timeout_s": 20.0}
        async with opened(kind, place, **options) as client:
            place.held = True
            calls = [asyncio.ensure_future(client.infer("m", rows(i))) for i in range(10)]
            await soon(lambda: place.under_way and client.core.gate.inside == 10)
            closing = asyncio.ensure_future(client.close())
            await soon(lambda: client.core is None)
            with pytest.raises(ClientClosed, match="is closed"):
                await client.infer("m", rows(99))
            await asyncio.sleep(0.05)
            assert not closing.done()
            place.held = False
            assert [firsts(answer) for answer in await asyncio.gather(*calls)] == [
                [i] for i in range(10)
            ]
            await closing
            with pytest.raises(ClientClosed):
                await client.infer("m", rows(1))

    asyncio.run(run())


@both
@joined_or_not
@pytest.mark.parametrize("real", [True, False])
def test_closing_does_not_wait_for_a_server_that_hangs(
    kind: Kind, peer, hanging, place, delay_s, real
) -> None:
    """Not longer than the client's time-out; then calls that had more time are told why they end.

    A task that nobody cancelled never sees a cancellation.
    """

    async def run() -> None:
        place.held = True
        server = peer.url if real else place
        async with opened(kind, server, timeout_s=0.2, coalesce_delay_s=delay_s) as client:
            calls = [
                asyncio.ensure_future(client.infer("m", rows(i), timeout_s=PATIENCE_S))
                for i in range(5)
            ]
            await soon(lambda: hanging.came >= 2 or place.under_way >= 2)
            started_s = time.monotonic()
            await client.close()
            assert time.monotonic() - started_s < PATIENCE_S / 2
            await asyncio.wait(calls)
            assert time.monotonic() - started_s < PATIENCE_S / 2
            for call in calls:
                assert not call.cancelled()
                assert isinstance(call.exception(), ClientClosed)

    asyncio.run(run())


@both
def test_closing_again_and_closing_unused_do_nothing(kind: Kind, place) -> None:
    """Also at once, from several places."""

    async def run() -> None:
        async with opened(kind, place) as client:
            await client.close()
            with pytest.raises(ClientClosed):
                await client.infer("m", rows(1))
        async with opened(kind, place) as client:
            await client.infer("m", rows(1))
            await asyncio.gather(*(client.close() for _ in range(10)))
            await client.close()
            assert client.client.stats().total.calls == 1

    asyncio.run(run())


def test_threads_that_open_while_another_one_closes_leave_nothing_open(place) -> None:
    """Who comes too late is refused; who came in time is answered."""
    for _ in range(30):
        client = ModelClient(place)
        gate = threading.Barrier(9)

        def call(client=client, gate=gate) -> bool:
            gate.wait()
            try:
                return firsts(client.infer("m", rows(1))) == [1]
            except ClientClosed:
                return True

        with ThreadPoolExecutor(8) as threads:
            calls = [threads.submit(call) for _ in range(8)]
            gate.wait()
            client.close()
            assert all(call.result() for call in calls)
        assert client._core is None


# --- Threads ----------------------------------------------------------------------------------


def test_fifty_threads_share_a_client(peer, valkey_url) -> None:
    """Each gets what is its own, and nothing is left."""
    model = f"m{uuid.uuid4().hex}"

    def ask(client: ModelClient, thread: int) -> None:
        for i in range(20):
            number = (thread * 7 + i) % 90
            assert firsts(client.infer(model, rows(number, number + 0.5))) == [
                number,
                number + 0.5,
            ]

    with (
        ModelClient(peer.url, cache=valkey_url, memory_bytes=1 << 20, timeout_s=20) as client,
        ThreadPoolExecutor(50) as threads,
    ):
        for call in [threads.submit(ask, client, i) for i in range(50)]:
            call.result()
        assert nothing_is_left(client)
        assert client.stats().total.calls == 1000


# --- Event loops ------------------------------------------------------------------------------


@pytest.mark.parametrize("real", [True, False])
def test_a_client_outlives_its_event_loop(peer, place, real) -> None:
    """Each `asyncio.run` has connections of its own; the figures and the memory stay."""
    client = AsyncModelClient(peer.url if real else place, memory_bytes=1 << 20)
    for i in range(3):
        assert firsts(asyncio.run(client.infer("m", rows(9, i)))) == [9, i]
    stats = client.stats()
    assert (stats.total.calls, stats.total.memory_hits) == (3, 2)

    async def end() -> None:
        await client.infer("m", rows(1))
        await client.aclose()

    asyncio.run(end())
    with pytest.raises(ClientClosed):
        asyncio.run(client.infer("m", rows(1)))


def test_what_was_answered_is_cached_when_the_event_loop_ends(peer, valkey_url) -> None:
    """Though it is written beside the calls."""
    model = f"m{uuid.uuid4().hex}"
    for client in (AsyncModelClient(peer.url, cache=valkey_url) for _ in range(2)):
        result = asyncio.run(client.infer_detailed(model, rows(1, 2)))
    assert result.cached.all()


def test_an_event_loop_that_is_closed_by_hand_is_left_too(place) -> None:
    """It tells nobody that it ends."""
    client = AsyncModelClient(place)
    for i in range(2):
        loop = asyncio.new_event_loop()
        assert firsts(loop.run_until_complete(client.infer("m", rows(i)))) == [i]
        if not i:
            with pytest.raises(OtherEventLoop):
                asyncio.run(client.infer("m", rows(1)))
        loop.close()


def test_calls_that_their_loop_took_along_do_not_count_in_the_next(peer, hanging) -> None:
    """A loop that ends in the middle of calls leaves no permit taken."""
    client = AsyncModelClient(peer.url, max_in_flight=2)

    async def leave() -> None:
        tasks = [asyncio.create_task(client.infer("m", rows(i))) for i in range(5)]
        await soon(lambda: hanging.came == 2)
        del tasks  # asyncio.run cancels them

    asyncio.run(leave())
    hanging.let_go.set()

    async def again() -> None:
        assert firsts(await client.infer("m", rows(7))) == [7]
        assert nothing_is_left(client)
        await client.aclose()

    asyncio.run(again())


def test_a_second_event_loop_is_refused_while_the_first_runs(peer) -> None:
    """In words; the first one goes on."""

    async def first() -> None:
        async with AsyncModelClient(peer.url) as client:
            await client.infer("m", rows(1))

            def second() -> None:
                with pytest.raises(OtherEventLoop, match="one client per event loop"):
                    asyncio.run(client.infer("m", rows(2)))

            await asyncio.to_thread(second)
            assert firsts(await client.infer("m", rows(3))) == [3]

    asyncio.run(first())


def test_event_loops_do_not_pile_up_connections(peer, valkey_url) -> None:
    """A client that is used in one `asyncio.run` after the other, as in the tasks of a queue."""
    client = AsyncModelClient(peer.url, cache=valkey_url)
    model = f"m{uuid.uuid4().hex}"

    def open_files() -> int:
        gc.collect()
        return len([*Path("/proc/self/fd").iterdir()])

    asyncio.run(client.infer(model, rows(1)))
    before = open_files()
    for i in range(20):
        asyncio.run(client.infer(model, rows(i)))
    assert open_files() - before < 20


def test_the_client_works_in_uvloop(peer, valkey_url) -> None:
    """Calls together, cached ones, one that is cancelled, and closing."""
    uvloop = pytest.importorskip("uvloop")
    model = f"m{uuid.uuid4().hex}"

    async def run() -> None:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        async with AsyncModelClient(peer.url, cache=valkey_url, memory_bytes=1 << 20) as client:
            answers = await asyncio.gather(*(client.infer(model, rows(i)) for i in range(50)))
            assert [firsts(answer) for answer in answers] == [[i] for i in range(50)]
            assert (await client.infer_detailed(model, rows(1, 2))).cached.all()
            held = Hanging(peer)
            tasks = [asyncio.create_task(client.infer(model, rows(100 + i))) for i in range(5)]
            await soon(lambda: held.came)
            tasks[0].cancel()
            with pytest.raises(DeadlineExceeded):
                await client.infer(model, rows(200), timeout_s=0.1)
            held.let_go.set()
            assert [firsts(answer) for answer in await asyncio.gather(*tasks[1:])] == [
                [101],
                [102],
                [103],
                [104],
            ]
            await soon(lambda: nothing_is_left(client))
        with pytest.raises(ClientClosed):
            await client.infer(model, rows(1))

    uvloop.run(run())


# --- Forks ------------------------------------------------------------------------------------

FORKS = """
import os, signal, sys, threading
import numpy as np
from geulpi_client import ModelClient

url, cache, model, children = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
client = ModelClient(url, cache=cache, memory_bytes=1 << 20, timeout_s=10)

def right(number):
    x = np.array([[number, 0], [number + 0.5, 0]], dtype=np.float32)
    return client.infer(model, {"X": x})["Y"].tolist() == x.tolist()

assert right(1)
stop, wrong = threading.Event(), []

def others(first):
    number = first
    while not stop.is_set():
        number += 1
        if not right(number % 5000):
            wrong.append(number)

threads = [threading.Thread(target=others, args=(1000 * i,)) for i in range(4)]
for thread in threads:
    thread.start()
statuses = []
for child in range(children):
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        calls = client.stats().total.calls
        good = calls == 0 and all(right(number) for number in (1, 2, 2, 6000 + child))
        if child % 2:
            client.close()
            os._exit(0 if good else 3)
        sys.exit(0 if good else 3)
    statuses.append(os.waitpid(pid, 0)[1])
stop.set()
for thread in threads:
    thread.join()
assert right(1) and right(7000)
client.close()
print(statuses, wrong)
"""


def test_parent_and_children_of_a_fork_are_right(peer, valkey_url) -> None:
    """While other threads call, with both tiers of the cache, and however the child ends."""
    said = run_script(FORKS, peer.url, valkey_url, f"m{uuid.uuid4().hex}", "6")
    assert said == "[0, 0, 0, 0, 0, 0] []\n"


ASYNC_FORK = """
import asyncio, os, signal, sys
import numpy as np
from geulpi_client import AsyncModelClient, InvalidSetting, ModelClient

url, cache, model, how = sys.argv[1:]
x = np.array([[1, 0]], dtype=np.float32)
client = AsyncModelClient(url, cache=cache, memory_bytes=1 << 20, timeout_s=10)

async def both():
    await client.infer(model, {"X": x})
    if how == "closed":
        await client.aclose()

def right():
    other = AsyncModelClient(url) if how == "closed" else client
    return asyncio.run(other.infer(model, {"X": x}))["Y"].tolist() == x.tolist()

def right_with_threads():
    with ModelClient(url, timeout_s=10) as threaded:
        return threaded.infer(model, {"X": x})["Y"].tolist() == x.tolist()

asyncio.run(both())
pid = os.fork()
if not pid:
    signal.alarm(20)
    status = 3
    try:
        status = 0 if right() else 4
    except InvalidSetting as error:
        status = 5 if "this process was forked" in str(error) and right_with_threads() else 6
    finally:
        os._exit(status)
child = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(child, right())
"""


@pytest.mark.parametrize("how", ["open", "closed"])
def test_grpc_of_asyncio_says_that_it_does_not_survive_a_fork(peer, valkey_url, how) -> None:
    """It would hang or crash, and the parent with it; threads may go on in the child."""
    said = run_script(ASYNC_FORK, peer.url, valkey_url, f"m{uuid.uuid4().hex}", how)
    assert said == "5 True\n"


# --- The end of the process -------------------------------------------------------------------

UNCLOSED_THREADS = """
import sys
import numpy as np
from geulpi_client import ModelClient

url, cache, model, how = sys.argv[1:]

def use():
    client = ModelClient(url, cache=cache, memory_bytes=1 << 20)
    for number in range(3):
        client.infer(model, {"X": np.array([[number, 0]], dtype=np.float32)})
    return client

client = use()
if how == "collected":
    import gc, threading, time
    del client
    gc.collect()
    end_s = time.monotonic() + 10
    while any(thread.name.startswith("geulpi") for thread in threading.enumerate()):
        assert time.monotonic() < end_s, threading.enumerate()
        time.sleep(0.01)
"""

UNCLOSED_ASYNCIO = """
import asyncio, sys
import numpy as np
from geulpi_client import AsyncModelClient

url, cache, model, how = sys.argv[1:]

async def use():
    client = AsyncModelClient(url, cache=cache, memory_bytes=1 << 20)
    for number in range(3):
        await client.infer(model, {"X": np.array([[number, 0]], dtype=np.float32)})
    return client

client = asyncio.run(use())
if how == "collected":
    import gc
    del client
    gc.collect()
elif how == "closed":
    asyncio.run(client.aclose())
    del client
elif how == "again":
    asyncio.run(client.infer(model, {"X": np.array([[9, 0]], dtype=np.float32)}))
elif how == "lost":
    async def lose():
        await use()
    asyncio.run(lose())
"""


@pytest.mark.parametrize("dev", [False, True])
@pytest.mark.parametrize("how", ["kept", "collected"])
def test_a_process_ends_without_closing_its_client(peer, valkey_url, how, dev) -> None:
    """Within seconds and without a word, whether the client was collected before or not."""
    run_script(UNCLOSED_THREADS, peer.url, valkey_url, f"m{uuid.uuid4().hex}", how, dev=dev)


@pytest.mark.parametrize("dev", [False, True])
@pytest.mark.parametrize("how", ["kept", "collected", "closed", "again", "lost"])
def test_a_process_ends_without_closing_its_client_of_asyncio(peer, valkey_url, how, dev) -> None:
    """Whose event loop is closed already."""
    run_script(UNCLOSED_ASYNCIO, peer.url, valkey_url, f"m{uuid.uuid4().hex}", how, dev=dev)


# --- Others -----------------------------------------------------------------------------------


@both
def test_a_client_can_not_be_pickled(kind: Kind, place) -> None:
    """It says so at once: connections are of one process."""

    async def run() -> None:
        async with opened(kind, "localhost:1") as client:
            with pytest.raises(TypeError, match="pickle"):
                pickle.dumps(client.client)

    asyncio.run(run())


def test_errors_that_nobody_catches_hold_no_client(place) -> None:
    """What a failed call raised does not keep the client, its sockets and threads alive."""
    place.metadata_fails = lambda target: DeadlineExceeded(target, 1.0)
    client = ModelClient(place)
    with pytest.raises(GeulpiError) as caught:
        client.infer("m", rows(1))
    client.close()
    assert caught.value.__traceback__ is not None
    until(lambda: client._core is None)
