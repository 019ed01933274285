"""Redis as the client meets it: one server, a primary behind Sentinels, or a cluster.

What comes back are redis-py's own clients, with its retries off and one time-out for every step of
connecting, discovering and reading: the cache decides by itself when it tries again.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qsl, unquote

import redis
import redis.asyncio.cluster
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MaxConnectionsError,
    MovedError,
    RedisClusterException,
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from geulpi_client._errors import InvalidUrl

Client: TypeAlias = redis.Redis | redis.cluster.RedisCluster
AsyncClient: TypeAlias = redis.asyncio.Redis | redis.asyncio.cluster.RedisCluster
Command: TypeAlias = Sequence[str | bytes | int]

# Of one client, to each server. One more raises redis-py's MaxConnectionsError at once: a full pool
# neither grows nor waits, and the server is not away.
MAX_CONNECTIONS: Final = 100

_EXPECTED = (
    "a Redis URL: redis://[user:password@]host:port/db, rediss:// for TLS, unix:///path, "
    "redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,host:port; "
    "what is special in a user or password is percent-encoded"
)
_URL = re.compile(
    r"(?P<scheme>redis(?P<tls>s?)(?:\+(?P<kind>sentinel|cluster))?)://"
    r"(?:(?P<user>[^/?#]*)@)?(?P<hosts>[^/?#@]+)(?P<path>/[^?#@]*)?(?:\?(?P<options>[^#]*))?"
)
_UNIX = re.compile(r"unix://(?:(?P<user>[^/?#]*)@)?(?P<path>/[^?#@]+)(?:\?(?P<options>[^#]*))?")
_HOST = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.%]+\])(?::(?P<port>\d{1,5}))?")
# What can be shown of an address: hosts with ports that are numbers, and a plain path.
_PLACE = r"(?:[\w.-]+|\[[0-9A-Fa-f:.%]+\])(?::\d*)?"
_HARMLESS = re.compile(rf"(?:{_PLACE}(?:,{_PLACE})*)?(?:/[\w./-]*)?")

# The slots of a cluster may be elsewhere, and: this key is elsewhere. A MovedError is an AskError.
_STALE = (redis.ConnectionError, redis.TimeoutError, ClusterDownError, RedisClusterException)
_REDIRECTIONS = (AskError, TryAgainError)
# redis-py types its methods, but not these constructors.
_node: Any = redis.cluster.ClusterNode
_queued: Any = redis.cluster.PipelineCommand

_DEFAULT_PORT = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}
_TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
_YES_OR_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class CacheAddress:
    """A Redis URL that was understood.

    Attributes:
        kind: one server, a primary behind Sentinels, or a cluster.
        url: the URL without user, password and options, for logs and errors.
        hosts: whom to ask first: the server, the Sentinels or some nodes; none for a Unix socket.
        service: the name that the Sentinels know the primary by.
        settings: redis-py's settings of connections to the servers that keep values.
        sentinel_settings: the same of connections to the Sentinels.
    """

    kind: Literal["standalone", "sentinel", "cluster"]
    url: str
    hosts: tuple[tuple[str, int], ...]
    service: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    sentinel_settings: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


def checked_cache_url(url: object) -> CacheAddress:
    """Return what a Redis URL says. Nothing is connected; files of certificates are read once.

    Raises:
        InvalidUrl: it is no Redis URL, or has options that can't be used.
    """
    text = url if isinstance(url, str) else repr(url)
    unix = _UNIX.fullmatch(text)
    if unix is not None:
        options = _options(text, unix["options"], ("db",))
        database = _database(text, options.get("db", "0"))
        settings = _credentials(unix["user"]) | {
            "unix_socket_path": unquote(unix["path"]),
            "db": database,
        }
        return CacheAddress("standalone", masked(text), (), settings=settings)
    parts = _URL.fullmatch(text)
    if parts is None:
        raise _refusal(text, _EXPECTED)
    kind = cast("Literal['standalone', 'sentinel', 'cluster']", parts["kind"] or "standalone")
    more = {
        "standalone": ("db",),
        "sentinel": ("sentinel_username", "sentinel_password"),
        "cluster": (),
    }[kind]
    options = _options(text, parts["options"], (*more, *(_TLS_OPTIONS if parts["tls"] else ())))
    hosts = _hosts(text, parts["hosts"], _DEFAULT_PORT[kind])
    if kind == "standalone" and len(hosts) > 1:
        raise _refusal(text, "one host; redis+sentinel:// and redis+cluster:// have several")
    tls = _tls(text, options) if parts["tls"] else {}
    service, database = _place(text, kind, parts["path"] or "", options.get("db"))
    settings = _credentials(parts["user"]) | tls | ({"db": database} if database else {})
    sentinel_settings = {
        name: options[f"sentinel_{name}"]
        for name in ("username", "password")
        if options.get(f"sentinel_{name}")
    }
    return CacheAddress(kind, masked(text), hosts, service, settings, tls | sentinel_settings)


def masked(url: str) -> str:
    """Return a URL without user, password and options; what could be a secret is `***`."""
    before, separator, rest = url.rpartition("://")
    scheme = before + separator if re.fullmatch(r"[a-z+]*", before) else "***://"
    address, question, options = rest.partition("?")
    user, at, place = address.rpartition("@")  # the last one: a password may hold others
    if (question and "@" in options) or not _HARMLESS.fullmatch(place):
        return f"{scheme}***"  # a password may hold a question mark, too, or lack its host
    return scheme + ("***" if user or at else "") + at + place


def connect(address: CacheAddress, timeout_s: float) -> Client:
    """Return a client for threads, to be let go of with `close`.

    Of one server and of Sentinels nothing is connected yet. A cluster is asked here for its slots,
    and if that fails the call may be repeated at any time: call it at the first use.

    A command to a server that is away costs two time-outs (connecting and reading); each Sentinel
    that is away costs two more, and so does each node of a cluster's URL, whose slots are asked
    for again. Threads share the client; after a fork the child gets connections of its own.

    Raises:
        redis.RedisError: no node of the cluster can be asked.
    """
    common = _common(timeout_s) | {"retry": Retry(NoBackoff(), 0)}
    settings = {**address.settings, **common}
    if address.kind == "cluster":
        with _errors_of_redis():
            return redis.cluster.RedisCluster(
                startup_nodes=[_node(*host) for host in address.hosts],
                **_cluster_settings(settings),
            )
    if address.kind == "sentinel":
        asked = {**address.sentinel_settings, **common}
        sentinels: Any = _Sentinel(address.hosts, 0, asked, **settings)  # type: ignore[no-untyped-call]
        return cast("redis.Redis", sentinels.master_for(address.service))
    return redis.Redis(**_host(address), **settings)


def connect_async(address: CacheAddress, timeout_s: float) -> AsyncClient:
    """Return a client for the running loop, to be let go of with `close_async`.

    Nothing is connected yet: a cluster is asked for its slots by its first command. A command costs
    what it does with `connect`. The connections belong to the loop and the process: another loop,
    or the child of a fork, needs a client of its own.
    """
    common = _common(timeout_s) | {"retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}
    settings = {**address.settings, **common}
    if address.kind == "cluster":
        return redis.asyncio.cluster.RedisCluster(
            startup_nodes=[redis.asyncio.cluster.ClusterNode(*host) for host in address.hosts],
            **_cluster_settings(settings),
        )
    if address.kind == "sentinel":
        asked = {**address.sentinel_settings, **common}
        sentinels: Any = _AsyncSentinel(address.hosts, 0, asked, **settings)  # type: ignore[no-untyped-call]
        return cast("redis.asyncio.Redis", sentinels.master_for(address.service))
    return redis.asyncio.Redis(**_host(address), **settings)


def close(client: Client) -> None:
    """Let go of all connections; those to Sentinels, too, which redis-py keeps."""
    client.close()
    for sentinel in _sentinels(client):
        sentinel.close()


async def close_async(client: AsyncClient) -> None:
    """Let go of all connections; those to Sentinels, too, which redis-py keeps."""
    await client.aclose()
    for sentinel in _sentinels(client):
        await sentinel.aclose()


def mget(client: Client, keys: Sequence[str | bytes]) -> list[bytes | None]:
    """Return one value or `None` per key.

    On a cluster these are GETs in one round trip: an MGET must stay in a slot, and keys that end
    in a digest hardly ever share one.

    Raises:
        redis.RedisError: the values can't be had.
    """
    if not keys:
        return []
    if isinstance(client, redis.cluster.RedisCluster):
        return _on_cluster(client, [("GET", key) for key in keys])
    return cast("list[bytes | None]", client.mget(keys))


async def mget_async(client: AsyncClient, keys: Sequence[str | bytes]) -> list[bytes | None]:
    """Return one value or `None` per key, as `mget` does."""
    if not keys:
        return []
    if isinstance(client, redis.asyncio.cluster.RedisCluster):
        return await _on_async_cluster(client, [("GET", key) for key in keys])
    return cast("list[bytes | None]", await client.mget(keys))


def pipelined(client: Client, commands: Sequence[Command]) -> list[Any]:
    """Run commands of one key each, which stands second, in one round trip; return the answers.

    On a cluster each goes to its node, all nodes work at a time, and what moved is found again.
    redis-py's own pipeline of a cluster would ask key by key when a node hangs, a time-out each.

    Raises:
        redis.RedisError: one of them failed; others may have been run.
    """
    if isinstance(client, redis.cluster.RedisCluster):
        return _on_cluster(client, commands)
    pipeline: Any = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return cast("list[Any]", pipeline.execute())


async def pipelined_async(client: AsyncClient, commands: Sequence[Command]) -> list[Any]:
    """Run commands of one key each, as `pipelined` does."""
    if isinstance(client, redis.asyncio.cluster.RedisCluster):
        return await _on_async_cluster(client, commands)
    pipeline: Any = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return cast("list[Any]", await pipeline.execute())


class _Sentinel(redis.sentinel.Sentinel):
    """Discovers without two flaws of redis-py's own.

    That swaps the Sentinels in place, so that two threads or tasks can lose one for good, and it
    writes the settings of all connections into its error.
    """

    def discover_master(self, service_name: str) -> tuple[str, int]:
        asked, said = self.sentinels, []
        for sentinel in asked:
            try:
                masters = sentinel.sentinel_masters()
            except redis.RedisError as error:
                said.append(_said(sentinel, error))
                continue
            if found := _primary(self, masters, service_name):
                self.sentinels = _first(sentinel, asked)
                return found
            said.append(_said(sentinel, "no primary of that name is up"))
        raise MasterNotFoundError(f"no Sentinel names a primary '{service_name}': {said}")


class _AsyncSentinel(redis.asyncio.sentinel.Sentinel):
    """The same between tasks."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        asked, said = self.sentinels, []
        for sentinel in asked:
            try:
                masters = await sentinel.sentinel_masters()
            except redis.RedisError as error:
                said.append(_said(sentinel, error))
                continue
            if found := _primary(self, masters, service_name):
                self.sentinels = _first(sentinel, asked)
                return found
            said.append(_said(sentinel, "no primary of that name is up"))
        raise MasterNotFoundError(f"no Sentinel names a primary '{service_name}': {said}")


def _primary(manager: Any, masters: Any, service: str) -> tuple[str, int] | None:
    state = masters.get(service)
    usable = state and manager.check_master_state(state, service)
    return (state["ip"], state["port"]) if usable else None


def _first(answering: Any, asked: Sequence[Any]) -> list[Any]:
    return [answering, *(sentinel for sentinel in asked if sentinel is not answering)]


def _said(sentinel: Any, what: object) -> str:
    place = sentinel.connection_pool.connection_kwargs
    return f"{place['host']}:{place['port']} {what}"


def _on_cluster(client: Any, commands: Sequence[Command]) -> list[Any]:
    with _errors_of_redis():
        answers = _sent(client, commands)
        moved = [at for at, answer in enumerate(answers) if isinstance(answer, MovedError)]
        if moved:
            client.nodes_manager.initialize()
            again = _sent(client, [commands[at] for at in moved])
            for at, answer in zip(moved, again, strict=True):
                answers[at] = answer
        for at in _redirected(client, answers):
            answers[at] = client.execute_command(*commands[at])
        return answers


def _sent(client: Any, commands: Sequence[Command]) -> list[Any]:
    try:
        stack = [
            _queued(command, {"target_nodes": client.get_node_from_key(command[1])}, position)
            for position, command in enumerate(commands)
        ]
        return _raised(
            client.pipeline().send_cluster_commands(
                stack, raise_on_error=False, allow_redirections=False
            )
        )
    except MaxConnectionsError:
        raise
    except _STALE:
        # The slots may be elsewhere by now: a later call finds them there.
        with suppress(*_STALE):
            client.nodes_manager.initialize()
        raise


async def _on_async_cluster(client: Any, commands: Sequence[Command]) -> list[Any]:
    with _errors_of_redis():
        answers = await _sent_async(client, commands)
        moved = [at for at, answer in enumerate(answers) if isinstance(answer, MovedError)]
        if moved:
            await client.nodes_manager.initialize()
            again = await _sent_async(client, [commands[at] for at in moved])
            for at, answer in zip(moved, again, strict=True):
                answers[at] = answer
        for at in _redirected(client, answers):
            answers[at] = await client.execute_command(*commands[at])
        return answers


async def _sent_async(client: Any, commands: Sequence[Command]) -> list[Any]:
    await client.initialize()
    try:
        pipeline = client.pipeline()
        for command in commands:
            node = client.get_node_from_key(command[1])
            pipeline.execute_command(*command, target_nodes=node)
        return _raised(await pipeline.execute(raise_on_error=False, allow_redirections=False))
    except MaxConnectionsError:
        raise
    except _STALE:
        with suppress(*_STALE):
            await client.nodes_manager.initialize()
        # Unlike the pools of threads these do not notice that an idle connection is dead. Those in
        # use stay, so not `aclose`: it closes them under their readers.
        for node in client.get_nodes():
            await node.disconnect_free_connections()
        raise


@contextmanager
def _errors_of_redis() -> Iterator[None]:
    try:
        yield
    except (RedisClusterException, AttributeError) as error:
        # redis-py derives the first from no error of its own. The second is what it has for those
        # who use a node that another call found gone.
        raise redis.ConnectionError(str(error)) from error


def _redirected(client: Any, answers: Sequence[Any]) -> Iterator[int]:
    """Yield where redis-py must ask elsewhere: keys whose slot is on its way, few at a time."""
    for at, answer in enumerate(answers):
        if isinstance(answer, AskError) and client.get_node(answer.host, answer.port) is None:
            raise answer  # it follows only to nodes that have a slot already
        if isinstance(answer, _REDIRECTIONS):
            yield at


def _raised(answers: Iterable[Any]) -> list[Any]:
    answers = list(answers)
    for answer in answers:
        if isinstance(answer, Exception) and not isinstance(answer, _REDIRECTIONS):
            raise answer
    return answers


def _sentinels(client: Any) -> Iterable[Any]:
    pool = getattr(client, "connection_pool", None)  # a cluster has none
    manager = getattr(pool, "sentinel_manager", None)
    return () if manager is None else manager.sentinels


def _common(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "decode_responses": False,
        "max_connections": MAX_CONNECTIONS,
        "protocol": 2,  # with 3 redis-py asks for notices of maintenance: a round trip more
    }


def _cluster_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    # Startup nodes stay those of the URL: names outlive the addresses that they stand for.
    return {**settings, "require_full_coverage": False, "dynamic_startup_nodes": False}


def _host(address: CacheAddress) -> dict[str, Any]:
    return dict(zip(("host", "port"), address.hosts[0], strict=True)) if address.hosts else {}


def _refusal(url: str, expected: str) -> InvalidUrl:
    return InvalidUrl("Cache address", masked(url), expected)


def _options(url: str, query: str | None, known: Sequence[str]) -> dict[str, str]:
    options = dict(parse_qsl(query or "", keep_blank_values=True))
    if not options.keys() <= set(known):
        # Time-outs and retries are the client's own. The names given may be parts of a password.
        raise _refusal(url, f"only these options behind '?': {', '.join(known) or 'none'}")
    return options


def _credentials(user: str | None) -> dict[str, str]:
    name, _, password = (user or "").partition(":")
    given = {"username": unquote(name), "password": unquote(password)}
    return {key: value for key, value in given.items() if value}


def _hosts(url: str, hosts: str, default_port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for host in hosts.split(","):
        parts = _HOST.fullmatch(host)
        port = int(parts["port"] or default_port) if parts else 0
        if parts is None or not 1 <= port <= 65535:
            raise _refusal(url, "host:port, with a port from 1 to 65535; several behind commas")
        found.append((parts["host"].strip("[]"), port))
    return tuple(found)


def _place(url: str, kind: str, path: str, option: str | None) -> tuple[str, int]:
    """Return the service and the database that the path of a URL names."""
    if kind == "sentinel":
        service, _, database = path.removeprefix("/").partition("/")
        if not service:
            raise _refusal(
                url,
                "behind the Sentinels /service/db, as in redis+sentinel://host:26379/mymaster/0",
            )
        return unquote(service), _database(url, database or "0")
    number = _database(url, option or path.removeprefix("/") or "0")
    if kind == "cluster" and number:
        raise _refusal(url, "no database: a cluster has only the database 0")
    return "", number


def _database(url: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _refusal(url, "a number as the database")
    return int(text)


def _tls(url: str, options: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {name: options[name] for name in _TLS_OPTIONS if name in options}
    requirement = options.get("ssl_cert_reqs", "required")
    if requirement not in {"none", "optional", "required"}:
        raise _refusal(url, "none, optional or required as ssl_cert_reqs")
    check = options.get("ssl_check_hostname", "true").lower()
    if check not in _YES_OR_NO:
        raise _refusal(url, "true or false as ssl_check_hostname")
    settings["ssl_check_hostname"] = _YES_OR_NO[check] and requirement != "none"
    _try_certificates(url, options)
    return settings | {"ssl": True}


def _try_certificates(url: str, options: Mapping[str, str]) -> None:
    """Refuse now what would make every connection fail, and the cache seem away."""
    context = ssl.create_default_context()
    authorities = options.get("ssl_ca_certs")
    certificate, key = options.get("ssl_certfile"), options.get("ssl_keyfile")
    try:
        if authorities is not None:
            context.load_verify_locations(authorities)
    except OSError as error:
        raise _refusal(url, "a file of certificates (PEM) as ssl_ca_certs") from error
    if key is not None and certificate is None:
        raise _refusal(url, "an ssl_certfile with the ssl_keyfile")
    try:
        if certificate is not None:
            # The empty password: OpenSSL would ask the terminal for one.
            context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise _refusal(
            url, "a certificate and its key, not encrypted (PEM), as ssl_certfile and ssl_keyfile"
        ) from error
