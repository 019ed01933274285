"""The servers of the fault suite: one Triton and one Valkey, each on the same ports all along."""

from __future__ import annotations

import random
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from geulpi_server import EmbeddedTriton, EmbeddedValkey

from geulpi_perf._faults.models import MODELS, publish, stage

HOST = "127.0.0.1"


class Servers:
    """Triton with the two models, and Valkey; a context manager.

    Attributes:
        url: of Triton's gRPC API; it stays the same over restarts, as `cache_url` does.
        newest: the newest version of both models.
        ready_s: by model, when its newest version was ready, in monotonic seconds.
        repository: the folder that Triton loads.
        slow: a file; while it is there, `row_sum` sleeps for the seconds that it says.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.repository = folder / "repository"
        self.slow = folder / "slow_s"
        self._staged = folder / "staged"
        self.newest = 0
        self.ready_s: dict[str, float] = {}
        ports = free_ports(4)
        self.triton = EmbeddedTriton(
            self.repository, http_port=ports[0], grpc_port=ports[1], metrics_port=ports[2]
        )
        self.valkey = EmbeddedValkey(port=ports[3])
        self.url = f"{HOST}:{ports[1]}"
        self.cache_url = self.valkey.url

    def __enter__(self) -> Self:
        """Write the models and start both servers."""
        with self._stack as stack:
            self.stage_next()
            self.newest = 1
            for model in MODELS:
                publish(self._staged, self.repository, model, 1)
            stack.enter_context(self.valkey)
            stack.enter_context(self.triton)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop both servers, whatever state a scenario left them in."""
        self._stack.close()

    def store(self) -> redis.Redis:
        """Return a connection to Valkey that is not the client's."""
        return redis.Redis.from_url(self.cache_url)

    def fresh(self) -> None:
        """Empty the cache, and wait until both models answer, whatever happened to them before."""
        with self.store() as store:
            store.flushall()
        for model in MODELS:
            while not self._is_ready(model):
                self.triton.raise_if_dead()
                time.sleep(0.05)

    def stage_next(self) -> None:
        """Prepare the next version of both models."""
        stage(self._staged, self.newest + 1, self.slow)

    def roll_over(self) -> None:
        """Publish the version that was prepared, and load it, model by model."""
        self.newest += 1
        for model in MODELS:
            publish(self._staged, self.repository, model, self.newest)
            self.control(model, "load")
            self.ready_s[model] = time.monotonic()

    def control(self, model: str, action: str) -> None:
        """Let Triton `load` or `unload` a model, and wait until it has."""
        request = urllib.request.Request(
            f"{self.triton.http_url}/v2/repository/models/{model}/{action}",
            data=b"{}",
            headers=dict([self.triton.control_header]),
        )
        urllib.request.urlopen(request, timeout=60).close()

    def _is_ready(self, model: str) -> bool:
        url = f"{self.triton.http_url}/v2/models/{model}/ready"
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return True
        return False


def free_ports(count: int) -> list[int]:
    """Return ports that stay free while their server is away.

    They are below those that the system gives to outgoing connections: one of these may otherwise
    take the port of a server that is about to be started again.
    """
    with ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            port = random.randint(20_000, 32_000)
            with suppress(OSError):
                stack.enter_context(socket.create_server((HOST, port)))
                ports.append(port)
        return ports


@contextmanager
def silent_listener(port: int) -> Iterator[None]:
    """Take every connection at a port, and never say a word."""
    taken: list[socket.socket] = []
    with socket.create_server((HOST, port), backlog=1024) as listener:

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # a close alone does not wake the accept
            thread.join()
            for connection in taken:
                connection.close()


@contextmanager
def repeated(action: Callable[[], Any], *, every_s: float) -> Iterator[None]:
    """Do something again and again; what it raises is raised in the end."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every_s):
            action()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield
        finally:
            ended.set()
        running.result()
