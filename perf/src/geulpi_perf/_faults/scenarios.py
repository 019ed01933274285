"""The faults: each a context that injects one on entering and ends it on leaving."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import redis
from geulpi_server._watchdog import living_stubs

from geulpi_perf._faults.models import ONNX, PYTHON
from geulpi_perf._faults.servers import Servers, repeated, silent_listener

# How long a fault lasts, and what a call may take where the server is at fault: less.
FAULT_S: Final = 1.0
SERVER_TIMEOUT_S: Final = 0.5
CACHE_TIMEOUT_S: Final = 5.0

Fault = Callable[[Servers], AbstractContextManager[None]]


@dataclass(frozen=True)
class Scenario:
    """A fault, and what callers may feel of it.

    Attributes:
        name: for people and for `--only`.
        subject: what is at fault: the cache, the server, or nothing (a new version goes live).
        fault: injects the fault on entering, ends it on leaving.
        lasts_s: how long it stays.
        spared: models whose calls must not fail, also where those of others may.
        settings: of the client, besides the usual.
    """

    name: str
    subject: Literal["cache", "server", "rollover"]
    fault: Fault
    lasts_s: float = FAULT_S
    spared: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def timeout_s(self) -> float:
        """Seconds that a call may take."""
        return SERVER_TIMEOUT_S if self.subject == "server" else CACHE_TIMEOUT_S


@contextmanager
def _paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def cache_paused(servers: Servers) -> AbstractContextManager[None]:
    """Valkey gets no time, as on a machine that swaps."""
    return _paused(servers.valkey.pid)


@contextmanager
def cache_killed(servers: Servers) -> Iterator[None]:
    """Valkey dies at once, and is started again, empty."""
    os.kill(servers.valkey.pid, signal.SIGKILL)
    servers.valkey.stop()
    try:
        yield
    finally:
        servers.valkey.start()


@contextmanager
def cache_restarted(servers: Servers) -> Iterator[None]:
    """Valkey is stopped in order and started again, empty."""
    servers.valkey.stop()
    servers.valkey.start()
    yield


@contextmanager
def cache_full(servers: Servers) -> Iterator[None]:
    """Valkey takes nothing more, and says so."""
    with servers.store() as store:
        before: Any = store.config_get("maxmemory*")
        store.config_set("maxmemory-policy", "noeviction")
        store.config_set("maxmemory", 1)
        try:
            yield
        finally:
            for setting in ("maxmemory", "maxmemory-policy"):
                store.config_set(setting, before[setting])


@contextmanager
def cache_emptied(servers: Servers) -> Iterator[None]:
    """Every value goes, again and again, between a caller's look-up and the next."""
    with servers.store() as store, repeated(store.flushall, every_s=0.02):
        yield


@contextmanager
def cache_corrupted(servers: Servers) -> Iterator[None]:
    """Other values stand under the client's keys: foreign, damaged, of other rows."""
    with servers.store() as store, repeated(partial(_corrupt, store), every_s=0.05):
        yield


def _corrupt(store: redis.Redis) -> None:
    keys: list[bytes] = list(store.scan_iter("ml_cache:*", count=1000, _type="string"))
    if not keys:
        return
    values: Any = store.mget(keys)
    values = [value or b"" for value in values]
    pipeline = store.pipeline(transaction=False)
    for key, value in zip(keys, values, strict=True):
        damage = random.randrange(6)
        if damage == 5:
            pipeline.delete(key)
            pipeline.rpush(key, "a list")
        else:
            bad = (
                random.choice(values),  # the answer to another row, or of another model
                _flipped(value),
                value[: len(value) // 2],
                b"",
                random.randbytes(len(value)),
            )[damage]
            pipeline.set(key, bad, ex=300)
    pipeline.execute()


def _flipped(value: bytes) -> bytes:
    """Return a value with one bit turned."""
    if not value:
        return value
    damaged = bytearray(value)
    damaged[random.randrange(len(value))] ^= 1 << random.randrange(8)
    return bytes(damaged)


@contextmanager
def cache_silent(servers: Servers) -> Iterator[None]:
    """What listens in Valkey's place never answers."""
    servers.valkey.stop()
    try:
        with silent_listener(servers.valkey.port):
            yield
    finally:
        servers.valkey.start()


def server_paused(servers: Servers) -> AbstractContextManager[None]:
    """Triton gets no time."""
    return _paused(servers.triton.pid)


@contextmanager
def server_killed(servers: Servers) -> Iterator[None]:
    """Triton dies at once, and is started again on the same ports."""
    os.kill(servers.triton.pid, signal.SIGKILL)
    servers.triton.stop()
    try:
        yield
    finally:
        servers.triton.start()


@contextmanager
def server_restarted(servers: Servers) -> Iterator[None]:
    """Triton is stopped in order and started again on the same ports."""
    servers.triton.stop()
    servers.triton.start()
    yield


@contextmanager
def stub_killed(servers: Servers) -> Iterator[None]:
    """The Python process of a model dies; the server's watchdog is to revive it."""
    stubs = living_stubs(servers.triton.pid)
    pid = next(pid for pid, (model, _) in stubs.items() if model == PYTHON)
    os.kill(pid, signal.SIGKILL)
    yield


@contextmanager
def server_silent(servers: Servers) -> Iterator[None]:
    """What listens in Triton's place never answers."""
    port = int(servers.url.rpartition(":")[2])
    servers.triton.stop()
    try:
        with silent_listener(port):
            yield
    finally:
        servers.triton.start()


@contextmanager
def model_slow(servers: Servers) -> Iterator[None]:
    """A model needs twice the time that its callers have."""
    servers.slow.write_text(str(2 * SERVER_TIMEOUT_S), encoding="ascii")
    try:
        yield
    finally:
        servers.slow.unlink()


@contextmanager
def model_unloaded(servers: Servers) -> Iterator[None]:
    """One of the two models is taken out of service, and put back."""
    servers.control(ONNX, "unload")
    try:
        yield
    finally:
        servers.control(ONNX, "load")


@contextmanager
def rolled_over(servers: Servers) -> Iterator[None]:
    """A new version of both models goes live under the callers."""
    servers.roll_over()
    yield


SCENARIOS: Final = (
    Scenario("Valkey paused", "cache", cache_paused),
    Scenario("Valkey killed", "cache", cache_killed),
    Scenario("Valkey restarted", "cache", cache_restarted, lasts_s=0),
    Scenario("Valkey full", "cache", cache_full),
    Scenario("Valkey emptied", "cache", cache_emptied),
    Scenario("Valkey's values corrupted", "cache", cache_corrupted),
    Scenario("Valkey silent", "cache", cache_silent),
    Scenario("Triton paused", "server", server_paused),
    Scenario("Python process killed", "server", stub_killed, lasts_s=0),
    Scenario("model slow", "server", model_slow, lasts_s=2 * FAULT_S),
    Scenario("model unloaded", "server", model_unloaded, spared=(PYTHON,)),
    Scenario("Triton killed", "server", server_killed),
    Scenario("Triton restarted", "server", server_restarted, lasts_s=0),
    Scenario("Triton silent", "server", server_silent),
    Scenario(
        "new version", "rollover", rolled_over, lasts_s=1.5, settings={"memory_bytes": 64 << 20}
    ),
)
