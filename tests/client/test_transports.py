"""What lies between a client and a server: TLS, credentials, addresses, gateways, connections."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest
import trustme
from both_clients import KINDS, PATIENCE_S, Kind, firsts, opened, rows, soon
from cryptography.hazmat.primitives import serialization
from geulpi_client import (
    AccessDenied,
    AsyncModelClient,
    CallFailed,
    ClientClosed,
    DeadlineExceeded,
    GeulpiError,
    InferenceFailed,
    InvalidSetting,
    InvalidUrl,
    ModelClient,
    ModelNotFound,
    Overloaded,
    Tls,
    UnexpectedAnswer,
    Unreachable,
)
from geulpi_server import EmbeddedTriton
from repositories import SUM_CONFIG, sum_graph, write_model
from tritonclient.grpc import service_pb2_grpc

both = pytest.mark.parametrize("kind", KINDS)
SECRET = "s3cr3t-0f-this-test"


# --- A server of KServe v2 by HTTP that says what a test wants --------------------------------


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON part of its body."""
        return json.loads(self.body[: int(self.headers["inference-header-content-length"])])


Said = bytes | Iterable[bytes]


def said(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """An answer with its length; underscores in names of headers are hyphens."""
    every = {"content-length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}"]
    lines += [f"{name}: {value}" for name, value in every.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def document_of(outputs: list[dict[str, Any]]) -> bytes:
    """The JSON of an answer."""
    return json.dumps({"model_name": "m", "model_version": "1", "outputs": outputs}).encode()


def echoed(request: HttpRequest) -> tuple[bytes, dict[str, str]]:
    """The first input as output Y in binary, and the headers of that."""
    tensor = request.document["inputs"][0]
    raw = request.body[int(request.headers["inference-header-content-length"]) :]
    output = {"name": "Y", "datatype": tensor["datatype"], "shape": tensor["shape"]}
    head = document_of([output | {"parameters": {"binary_data_size": len(raw)}}])
    return head + raw, {"inference-header-content-length": str(len(head))}


class HttpPeer:
    """Serves one model by HTTP, X FP32 [N, 2] → Y, and does with each request what a test says.

    Attributes:
        infer, metadata: what is sent for a request; `None` is to hang up without an answer.
        hangs_up: whether every connection is closed after an answer, without having said so.
        connections: how many there were.
    """

    def __init__(self, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        self.infer: Callable[[HttpRequest], Said | None] = lambda request: said(
            *echoed(request)[:1], **echoed(request)[1]
        )
        self.metadata: Callable[[HttpRequest], Said | None] = lambda _: said(
            json.dumps(
                {
                    "name": "m",
                    "versions": ["1"],
                    "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 2]}],
                    "outputs": [{"name": "Y", "datatype": "FP32", "shape": [-1, 2]}],
                }
            ).encode()
        )
        self.hangs_up = False
        self.requests: list[HttpRequest] = []
        self.connections = self.gone = 0
        self._context = context
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.place = f"{shown}:{self.port}"
        self.url = f"http{'s' if context else ''}://{self.place}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def asked(self) -> list[HttpRequest]:
        """The requests for inferences."""
        return [request for request in self.requests if request.method == "POST"]

    def stop(self) -> None:
        """Close everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in [*self._open]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.add(connection)
            with connection, connection.makefile("rb") as lines:
                while (request := self._read(lines)) is not None:
                    self.requests.append(request)
                    if not self._answer(connection, request) or self.hangs_up:
                        break
        self.gone += 1

    def _answer(self, connection: socket.socket, request: HttpRequest) -> bool:
        if request.path.endswith("/config"):
            answer: Said | None = said(b'{"error": "no such path"}', 404)
        else:
            answer = (self.infer if request.method == "POST" else self.metadata)(request)
        if answer is None:
            return False
        for part in [answer] if isinstance(answer, bytes) else answer:
            connection.sendall(part)
        return True

    @staticmethod
    def _read(lines: Any) -> HttpRequest | None:
        if not lines.peek(1)[:1].isalpha():  # over, or not HTTP
            return None
        first = lines.readline().split()
        headers = {}
        while line := lines.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = lines.read(int(headers.get("content-length", 0)))
        return HttpRequest(first[0].decode(), first[1].decode(), headers, body)


@pytest.fixture
def http_peer() -> Iterator[HttpPeer]:
    server = HttpPeer()
    yield server
    server.stop()


# --- TLS --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Papers:
    """Certificates: of one authority for servers and clients, and of another one."""

    ca: Path
    other_ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    elsewhere: Path
    elsewhere_key: Path

    @property
    def mutual(self) -> Tls:
        return Tls(ca=self.ca, certificate=self.client, key=self.client_key)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other_ca.pem")
    for name, names in (
        ("server", ("127.0.0.1", "localhost")),
        ("client", ("caller@geulpi.example",)),
        ("elsewhere", ("elsewhere.example",)),
    ):
        certificate = authority.issue_cert(*names)
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
    files = [folder / "ca.pem", folder / "other_ca.pem"]
    for name in ("server", "client", "elsewhere"):
        files += [folder / f"{name}.pem", folder / f"{name}.key"]
    return Papers(*files)


class SecureTriton(EmbeddedTriton):
    """Triton whose gRPC API is under TLS; its HTTP API is not."""

    def __init__(self, repository: Path, papers: Papers, *, mutual: bool) -> None:
        super().__init__(repository)
        self._papers = papers
        self._mutual = mutual

    def _flags(self, backends: Path, shm_prefix: str) -> list[str]:
        flags = [
            *super()._flags(backends, shm_prefix),
            "--grpc-use-ssl=true",
            f"--grpc-server-cert={self._papers.server}",
            f"--grpc-server-key={self._papers.server_key}",
        ]
        if self._mutual:
            flags += ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={self._papers.ca}"]
        return flags

    def _wait_until_ready(self, deadline: float) -> None:
        while not (self._listens_everywhere() and self._is_ready()):
            self._running().process.raise_if_dead()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(urlsplit(self.http_url).netloc, timeout=5)
        connection.request("GET", "/v2/health/ready")
        ready = connection.getresponse().status == 200
        connection.close()
        return ready


@pytest.fixture(scope="module")
def summing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the model `sum`."""
    folder = tmp_path_factory.mktemp("summing")
    write_model(folder, SUM_CONFIG, "model.onnx", sum_graph().SerializeToString())
    return folder


@pytest.fixture(scope="module")
def secure(summing: Path, papers: Papers) -> Iterator[SecureTriton]:
    with SecureTriton(summing, papers, mutual=False) as server:
        yield server


@pytest.fixture(scope="module")
def strict(summing: Path, papers: Papers) -> Iterator[SecureTriton]:
    """As `secure`, and clients must show a certificate."""
    with SecureTriton(summing, papers, mutual=True) as server:
        yield server


class Relay:
    """Takes TLS off, as a gateway before a server does."""

    def __init__(self, to: str, papers: Papers, *, mutual: bool) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(papers.server, papers.server_key)
        if mutual:
            self._context.load_verify_locations(papers.ca)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._to = (urlsplit(to).hostname, urlsplit(to).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        # One request after the other: a TLS socket may not be read and written by two threads.
        with contextlib.suppress(OSError, ValueError), plain:
            secured = self._context.wrap_socket(plain, server_side=True)
            with secured, socket.create_connection(self._to) as server:
                answers = server.makefile("rb")
                with secured.makefile("rb") as asked:
                    while head := _head(asked):
                        server.sendall(head + asked.read(_length(head)))
                        head = _head(answers)
                        secured.sendall(head + answers.read(_length(head)))


def _head(lines: Any) -> bytes:
    found = [*itertools.takewhile(lambda line: line != b"\r\n", iter(lines.readline, b""))]
    return b"".join([*found, b"\r\n"]) if found else b""


def _length(head: bytes) -> int:
    lengths = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    return int(lengths[0].split(b":")[1]) if lengths else 0


async def sums(client) -> list[float]:
    """Ask the model `sum` of a real server."""
    rows_ = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
    return (await client.infer("sum", {"X": rows_}))["S"][:, 0].tolist()


@both
def test_triton_answers_over_tls(kind: Kind, secure, papers) -> None:
    """By gRPC, with an authority of one's own."""

    async def run() -> None:
        url = f"grpcs://{secure.grpc_url}"
        async with opened(kind, url, tls=Tls(ca=papers.ca), timeout_s=20) as client:
            assert await sums(client) == [6, 15]

    asyncio.run(run())


@both
def test_triton_that_wants_to_know_who_asks_gets_to_know(kind: Kind, strict, papers) -> None:
    """With a certificate it answers; without one it does not, and the error says what it was."""

    async def run() -> None:
        url = f"grpcs://{strict.grpc_url}"
        async with opened(kind, url, tls=papers.mutual, timeout_s=20) as client:
            assert await sums(client) == [6, 15]
        async with opened(kind, url, tls=Tls(ca=papers.ca), timeout_s=5) as client:
            with pytest.raises(Unreachable) as caught:
                await sums(client)
            assert caught.value.url == url

    asyncio.run(run())


@both
@pytest.mark.parametrize("mutual", [False, True])
def test_triton_answers_behind_a_gateway_with_tls(kind: Kind, secure, papers, mutual) -> None:
    """By HTTPS, and likewise with a certificate of the client."""

    async def run() -> None:
        tls = papers.mutual if mutual else Tls(ca=papers.ca)
        async with opened(kind, relay.url, tls=tls, timeout_s=20) as client:
            assert await sums(client) == [6, 15]
        if mutual:
            async with opened(kind, relay.url, tls=Tls(ca=papers.ca), timeout_s=5) as client:
                with pytest.raises(Unreachable):
                    await sums(client)

    relay = Relay(secure.http_url, papers, mutual=mutual)
    asyncio.run(run())
    relay.stop()


@pytest.fixture(scope="module")
def https_peer(papers: Papers) -> Iterator[HttpPeer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.server, papers.server_key)
    server = HttpPeer(context=context)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def impostor(papers: Papers) -> Iterator[HttpPeer]:
    """A server with the certificate of another host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.elsewhere, papers.elsewhere_key)
    server = HttpPeer(context=context)
    yield server
    server.stop()


@both
@pytest.mark.parametrize("trust", ["another authority", "the system's"])
@pytest.mark.parametrize("protocol", ["grpcs", "https"])
def test_a_server_that_is_not_trusted_is_unreachable_and_it_says_why(
    kind: Kind, secure, https_peer, papers, protocol, trust
) -> None:
    """Long before the deadline."""

    async def run() -> None:
        url = f"grpcs://{secure.grpc_url}" if protocol == "grpcs" else https_peer.url
        tls = Tls(ca=papers.other_ca) if trust == "another authority" else None
        async with opened(kind, url, tls=tls, timeout_s=PATIENCE_S) as client:
            started_s = time.monotonic()
            with pytest.raises(Unreachable, match=r"(?i)certificate.?verify.?failed") as caught:
                await client.infer("m", rows(1))
            assert time.monotonic() - started_s < PATIENCE_S / 2
            assert caught.value.url == url

    asyncio.run(run())


@both
def test_the_certificate_of_another_host_is_not_trusted(kind: Kind, impostor, papers) -> None:
    """Though its authority is."""

    async def run() -> None:
        async with opened(kind, impostor.url, tls=Tls(ca=papers.ca), timeout_s=20) as client:
            with pytest.raises(Unreachable, match=r"(?i)certificate"):
                await client.infer("m", rows(1))

    asyncio.run(run())


@both
@pytest.mark.parametrize(
    ("asked", "served"),
    [("https", "http"), ("http", "https"), ("grpcs", "http"), ("grpc", "https"), ("http", "grpc")],
)
def test_the_wrong_protocol_is_unreachable(
    kind: Kind, http_peer, https_peer, peer, papers, asked, served
) -> None:
    """Whatever it is that answers there, and long before the deadline."""

    async def run() -> None:
        place = {"http": http_peer.place, "https": https_peer.place, "grpc": peer.url}[served]
        tls = Tls(ca=papers.ca) if asked in {"https", "grpcs"} else None
        async with opened(kind, f"{asked}://{place}", tls=tls, timeout_s=PATIENCE_S) as client:
            started_s = time.monotonic()
            with pytest.raises((Unreachable, UnexpectedAnswer)):
                await client.infer("m", rows(1))
            assert time.monotonic() - started_s < PATIENCE_S / 2

    asyncio.run(run())


def test_papers_that_can_not_be_used_are_named(papers, tmp_path) -> None:
    """Before anything is connected; a key with a password is not asked for it."""
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    key = serialization.load_pem_private_key(papers.client_key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(SECRET.encode()),
        )
    )
    for name, files in {
        "tls.ca": {"ca": rubbish},
        "tls.certificate": {"certificate": papers.client, "key": papers.server_key},
        "certificate": {"certificate": rubbish, "key": papers.client_key},
        "password": {"certificate": papers.client, "key": locked},
        "together": {"certificate": papers.client},
        "that is there": {"ca": tmp_path / "missing.pem"},
    }.items():
        with pytest.raises(InvalidSetting, match=name):
            Tls(**files)
    with pytest.raises(InvalidSetting, match="grpcs or https"):
        ModelClient("localhost:8001", tls=Tls(ca=papers.ca))


# --- Token and headers ------------------------------------------------------------------------


def metadata_of(context: grpc.ServicerContext) -> dict[str, str]:
    return dict(context.invocation_metadata())


@both
def test_token_and_headers_reach_the_server_by_grpc(kind: Kind, peer) -> None:
    """With every request, the questions for contracts included; the token is the current one."""
    seen: list[dict[str, str]] = []

    class Noting(type(peer)):
        def ModelMetadata(self, request, context):  # noqa: N802 -- the protocol's name
            seen.append(metadata_of(context))
            return super().ModelMetadata(request, context)

        def ModelConfig(self, request, context):  # noqa: N802 -- the protocol's name
            seen.append(metadata_of(context))
            return super().ModelConfig(request, context)

        def ModelInfer(self, request, context):  # noqa: N802 -- the protocol's name
            seen.append(metadata_of(context))
            return super().ModelInfer(request, context)

    numbers = itertools.count(1)
    options = {"token": lambda: f"t{next(numbers)}", "headers": {"x-tenant": "geulpi"}}

    async def run() -> None:
        async with opened(kind, noting.url, **options) as client:
            await client.infer("m", rows(1))
            await client.infer("m", rows(2))

    noting = Noting()
    asyncio.run(run())
    noting.stop()
    assert [one["authorization"] for one in seen] == [f"Bearer t{i}" for i in (1, 2, 3, 4)]
    assert {one["x-tenant"] for one in seen} == {"geulpi"}


@both
def test_token_and_headers_reach_the_server_by_http(kind: Kind, http_peer) -> None:
    """Likewise; a token that stays the same is a text."""
    numbers = itertools.count(1)

    async def run(token) -> None:
        async with opened(
            kind, http_peer.url, token=token, headers={"x-tenant": "geulpi", "tenant": "a"}
        ) as client:
            await client.infer("m", rows(1))
            await client.infer("m", rows(2))

    asyncio.run(run(lambda: f"t{next(numbers)}"))
    seen = [request.headers for request in http_peer.requests]
    assert [one["authorization"] for one in seen] == [f"Bearer t{i}" for i in (1, 2, 3, 4)]
    assert {(one["x-tenant"], one["tenant"]) for one in seen} == {("geulpi", "a")}
    http_peer.requests.clear()
    asyncio.run(run("always"))
    assert {one.headers["authorization"] for one in http_peer.requests} == {"Bearer always"}


@both
@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("no_token", [lambda: None, lambda: "", None])
def test_without_a_token_there_is_none(kind: Kind, peer, http_peer, protocol, no_token) -> None:
    """Nor the word that goes before it."""
    seen: list[dict[str, str]] = []
    answer = peer.infer

    def infer(request, context):
        seen.append(metadata_of(context))
        return answer(request, context)

    peer.infer = infer

    async def run() -> None:
        url = peer.url if protocol == "grpc" else http_peer.url
        async with opened(kind, url, token=no_token) as client:
            await client.infer("m", rows(1))

    asyncio.run(run())
    seen += [request.headers for request in http_peer.asked]
    assert len(seen) == 1
    assert "authorization" not in seen[0]


@both
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_token_that_is_not_to_be_had_is_said_and_no_more(
    kind: Kind, peer, http_peer, protocol
) -> None:
    """The call fails with the cause, and the next one that has a token is answered."""

    async def run() -> None:
        tokens: list[Any] = []

        def token() -> str:
            one = tokens.pop(0) if tokens else "good"
            if isinstance(one, Exception):
                raise one
            return one

        url = peer.url if protocol == "grpc" else http_peer.url
        async with opened(kind, url, token=token) as client:
            for bad in (
                ValueError("no vault"),
                f"{SECRET}\n",
                f"{SECRET} ",
                b"bytes",
                7,
                "schlüssel",
            ):
                assert firsts(await client.infer("m", rows(1))) == [1]
                tokens.append(bad)
                with pytest.raises(AccessDenied, match="token") as caught:
                    await client.infer("m", rows(2))
                told = str(caught.value) + repr(caught.value)
                assert SECRET not in told
                if isinstance(bad, Exception):
                    assert caught.value.__cause__ is bad
                    assert "ValueError" in told

    asyncio.run(run())


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Tenant": "a"},
        {"": "a"},
        {"x tenant": "a"},
        {"x-tenant\n": "a"},
        {7: "a"},
        {"host": "a"},
        {"te": "a"},
        {"content-type": "a"},
        {"grpc-timeout": "1S"},
        {"user-agent": "a"},
        {"x-tenant-bin": "a"},
        {"transfer-encoding": "chunked"},
        {"inference-header-content-length": "7"},
        {"x-tenant": f"{SECRET}\r\nx: y"},
        {"x-tenant": f" {SECRET}"},
        {"x-tenant": f"{SECRET}ü"},
        {"x-tenant": SECRET.encode()},
        [("x-tenant", SECRET)],
    ],
)
def test_a_header_that_can_not_be_is_refused_before_any_call(headers) -> None:
    """By its name; its value, which may be a secret, is not shown."""
    with pytest.raises(InvalidSetting, match="headers") as caught:
        ModelClient("localhost:8001", headers=headers)
    assert SECRET not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("name", ["tenant", "team", "hostname", "x-content-id", "x.y_z-1", "a"])
def test_a_header_that_is_like_one_of_the_protocols_is_not_refused(name, http_peer, peer) -> None:
    """And reaches the server."""
    for url in (http_peer.url, peer.url):
        with ModelClient(url, headers={name: ""}) as client:
            client.infer("m", rows(1))
    assert http_peer.asked[0].headers[name] == ""


@pytest.mark.parametrize("token", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}é", SECRET.encode(), 7])
def test_a_token_that_can_not_be_is_refused_before_any_call(token) -> None:
    """Such as one with the end of the line that it was read from."""
    with pytest.raises(InvalidSetting, match="token") as caught:
        ModelClient("localhost:8001", token=token)
    assert SECRET not in str(caught.value) + repr(caught.value)
    with pytest.raises(InvalidSetting, match="not both"):
        ModelClient("localhost:8001", token="a", headers={"authorization": "Basic b"})


@both
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_secrets_are_never_told(kind: Kind, peer, http_peer, protocol, caplog) -> None:
    """Neither by what a client looks like, nor by what goes wrong, nor in a log of everything."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    async def run() -> None:
        url = peer.url if protocol == "grpc" else http_peer.url
        options = {"token": SECRET, "headers": {"x-key": SECRET}}
        async with opened(kind, url, timeout_s=1.0, **options) as client:
            await client.infer("m", rows(1))
            told.extend(map(repr, (client.client, client.client._settings, client.core)))

            def abort(_request, context):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

            peer.infer, http_peer.infer = abort, lambda _: said(b"{}", 401)
            await failing(client, AccessDenied)
            peer.stop()
            http_peer.stop()
            for _ in range(3):
                await failing(client, Unreachable)

    async def failing(client, error: type[Exception]) -> None:
        with pytest.raises(error) as caught:
            await client.infer("m", rows(2))
        one: BaseException | None = caught.value
        while one is not None:
            told.extend((str(one), repr(one), repr(one.args)))
            one = one.__cause__ or one.__context__

    asyncio.run(run())
    told += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert len(told) > 10
    assert not [one for one in told if SECRET in one]


# --- Addresses --------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("form", ["{}", "grpc://{}", "grpc://{}/"])
def test_every_form_of_a_grpc_address_is_understood(kind: Kind, peer, form) -> None:
    """`host:port` alone is gRPC."""

    async def run() -> None:
        async with opened(kind, form.format(peer.url)) as client:
            assert firsts(await client.infer("m", rows(1))) == [1]

    asyncio.run(run())


@both
def test_an_http_address_may_end_with_a_slash(kind: Kind, http_peer) -> None:
    """And the errors name it without."""

    async def run() -> None:
        async with opened(kind, f"{http_peer.url}/") as client:
            assert firsts(await client.infer("m", rows(1))) == [1]
            assert client.client.stats().endpoints[0].url == http_peer.url

    asyncio.run(run())


@both
@pytest.mark.parametrize("scheme", ["", "grpc://", "http://"])
def test_an_ipv6_address_is_written_in_brackets(kind: Kind, peer, scheme) -> None:
    """By both transports."""
    try:
        by_http = HttpPeer("::1")
    except OSError:
        pytest.skip("there is no IPv6 here")
    by_grpc = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(peer, by_grpc)
    port = by_grpc.add_insecure_port("[::1]:0")
    by_grpc.start()
    port = by_http.port if scheme == "http://" else port

    async def run() -> None:
        async with opened(kind, f"{scheme}[::1]:{port}/") as client:
            assert firsts(await client.infer("m", rows(1))) == [1]

    asyncio.run(run())
    by_http.stop()
    by_grpc.stop(None).wait()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "::1:8001",
        "[::1]",
        "ftp://localhost:21",
        "http://localhost:8000/v2",
        "http://localhost:8000?x=y",
        f"http://user:{SECRET}@localhost:8000",
        "http://localhost:8000\n",
        "local host:8001",
        b"localhost:8001",
        None,
        8001,
        ["localhost:8001", "nowhere"],
    ],
)
def test_what_is_no_address_is_refused(url) -> None:
    """Before anything is connected, and without a password in it."""
    for made in (ModelClient, AsyncModelClient):
        with pytest.raises(InvalidUrl) as caught:
            made(url)
        assert SECRET not in str(caught.value)


@both
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_proxy_of_the_environment_is_not_asked(
    kind: Kind, peer, http_peer, protocol, monkeypatch
) -> None:
    """The address is that of the server, and nobody else gets what is sent to it."""
    proxy = HttpPeer()
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv(name.upper(), proxy.url)
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)

    async def run() -> None:
        url = peer.url if protocol == "grpc" else http_peer.url
        async with opened(kind, url) as client:
            assert firsts(await client.infer("m", rows(1))) == [1]

    asyncio.run(run())
    proxy.stop()
    assert proxy.connections == 0


# --- Gateways ---------------------------------------------------------------------------------

HTML = b"<html><body><h1>Sorry</h1></body></html>"


def truncated(request: HttpRequest) -> bytes:
    """An answer whose length is right and whose tensors end early."""
    body, headers = echoed(request)
    return said(body[:-3], **headers)


def broken_off(request: HttpRequest) -> bytes:
    """An answer that is cut before its length."""
    body, headers = echoed(request)
    return said(body, **headers)[:-3]


@both
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: said(HTML, 200, content_type="text/html"), UnexpectedAnswer),
        (lambda _: said(), UnexpectedAnswer),
        (lambda _: said(b"null"), UnexpectedAnswer),
        (lambda _: said(b"[1, 2]"), UnexpectedAnswer),
        (lambda _: said(b"\xff\xfe"), UnexpectedAnswer),
        (lambda _: said(b"", 302, location="http://127.0.0.1:1/"), UnexpectedAnswer),
        (lambda _: said(HTML, 418), UnexpectedAnswer),
        (lambda _: said(status=204), UnexpectedAnswer),
        (lambda _: said(HTML, 401), AccessDenied),
        (lambda _: said(HTML, 403), AccessDenied),
        (lambda _: said(HTML, 404), ModelNotFound),
        (lambda _: said(HTML, 429), Overloaded),
        (lambda _: said(HTML, 500), InferenceFailed),
        (lambda _: said(HTML, 502), Unreachable),
        (lambda _: said(HTML, 503), Unreachable),
        (lambda _: said(HTML, 504), Overloaded),
        (lambda _: b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Unreachable),
        (lambda _: None, Unreachable),
    ],
)
def test_what_a_gateway_says_instead_of_the_server_is_an_error_of_ours(
    kind: Kind, http_peer, answer, error
) -> None:
    """Whether it is about the model's contract or its answer; the next call may be right."""

    async def run() -> None:
        async with opened(kind, http_peer.url, timeout_s=PATIENCE_S) as client:
            metadata, infer = http_peer.metadata, http_peer.infer
            http_peer.metadata = answer
            with pytest.raises(error):
                await client.infer("m", rows(1))
            http_peer.metadata = metadata
            await eventually_right(client)
            http_peer.infer = answer
            with pytest.raises(error) as caught:
                await client.infer("m", rows(1))
            assert (caught.value.url, caught.value.model) == (http_peer.url, "m")
            assert "Traceback" not in str(caught.value)
            http_peer.infer = infer
            await eventually_right(client)

    asyncio.run(run())


async def eventually_right(client) -> None:
    """Ask until the breaker lets a request through, which must be answered."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            assert firsts(await client.infer("m", rows(1))) == [1]
        except Unreachable:
            if client.client.stats().endpoints[0].state == "closed" or time.monotonic() > end_s:
                raise
            await asyncio.sleep(0.02)
        else:
            return


@both
@pytest.mark.parametrize(
    ("answer", "error"), [(truncated, UnexpectedAnswer), (broken_off, Unreachable)]
)
def test_an_answer_that_ends_early_is_not_taken(kind: Kind, http_peer, answer, error) -> None:
    """One whose connection broke is asked for again, as it was never whole."""

    async def run() -> None:
        async with opened(kind, http_peer.url) as client:
            await client.infer("m", rows(1))
            http_peer.hangs_up = True
            http_peer.infer, right = answer, http_peer.infer
            asked = len(http_peer.asked)
            with pytest.raises(error):
                await client.infer("m", rows(1))
            assert len(http_peer.asked) - asked == (4 if error is Unreachable else 1)
            http_peer.infer = right
            await eventually_right(client)

    asyncio.run(run())


@both
def test_an_answer_in_chunks_is_read_right(kind: Kind, http_peer) -> None:
    """Cut wherever the gateway likes."""

    def infer(request: HttpRequest) -> Iterator[bytes]:
        body, headers = echoed(request)
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        yield f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{''.join(lines)}\r\n".encode()
        for start in range(0, len(body), 7):
            part = body[start : start + 7]
            yield f"{len(part):x}\r\n".encode() + part + b"\r\n"
        yield b"0\r\n\r\n"

    async def run() -> None:
        http_peer.infer = infer
        async with opened(kind, http_peer.url) as client:
            for _ in range(3):
                assert firsts(await client.infer("m", rows(1, 2, 3))) == [1, 2, 3]
            assert http_peer.connections == 1

    asyncio.run(run())


def described(datatype: str, shape: list[int]) -> bytes:
    tensor = {"datatype": datatype, "shape": shape}
    return said(
        json.dumps(
            {
                "name": "m",
                "versions": ["1"],
                "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 2]}],
                "outputs": [{"name": "Y", **tensor}],
            }
        ).encode()
    )


@both
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("FP32", [[1.5, -2.0], [0.1, 3e8]]),
        ("FP64", [[1.5, -2.0], [0.1, 3e300]]),
        ("INT64", [[-(2**63), 2**63 - 1], [0, 7]]),
        ("UINT8", [[0, 255], [1, 2]]),
        ("BOOL", [[True, False], [False, True]]),
        ("BYTES", [["한글", ""], ["a b", "[1]"]]),
    ],
)
def test_an_answer_in_json_is_read_as_one_in_binary(
    kind: Kind, http_peer, datatype, values, nested
) -> None:
    """Flat or nested as the shape is: both are the protocol's."""
    data = values if nested else [value for row in values for value in row]
    http_peer.metadata = lambda _: described(datatype, [-1, 2])
    http_peer.infer = lambda _: said(
        document_of([{"name": "Y", "datatype": datatype, "shape": [2, 2], "data": data}])
    )

    async def run() -> None:
        async with opened(kind, http_peer.url, memory_bytes=1 << 20) as client:
            answer = (await client.infer("m", rows(1, 2)))["Y"]
            assert answer.tolist() == np.array(values, dtype=answer.dtype).tolist()
            result = await client.infer_detailed("m", rows(1, 2))
            assert result.cached.all()
            assert result.outputs["Y"].tolist() == answer.tolist()

    asyncio.run(run())


@both
@pytest.mark.parametrize(
    "output",
    [
        {},
        {"datatype": "FP33"},
        {"datatype": ["FP32"]},
        {"name": 7},
        {"name": None},
        {"shape": [3, 2]},
        {"shape": [-1, -2]},
        {"shape": ["a", 2]},
        {"shape": 2},
        {"shape": None},
        {"data": [1]},
        {"data": [[1, 2], [3]]},
        {"data": ["a", "b"]},
        {"data": {"a": 1}},
        {"data": None},
        {"datatype": "UINT8", "data": [300, -1]},
        {"datatype": "INT64", "data": [2**70, 1]},
        {"parameters": {"binary_data_size": 8}},
        {"parameters": {"binary_data_size": -8}},
        {"parameters": {"binary_data_size": "8"}},
        {"parameters": None},
    ],
)
def test_an_answer_that_is_none_is_said_to_be(kind: Kind, http_peer, output) -> None:
    """Whatever it is: nothing but errors of this package reaches the caller."""
    whole = {"name": "Y", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    http_peer.infer = lambda _: said(
        document_of([whole | output] if output else [{}]),
    )

    async def run() -> None:
        async with opened(kind, http_peer.url, memory_bytes=1 << 20) as client:
            with contextlib.suppress(UnexpectedAnswer):
                answer = await client.infer("m", rows(1))
                assert set(output) == {"name"}  # another output than was said, with what it holds
                assert next(iter(answer.values())).tolist() == [[1, 2]]

    asyncio.run(run())


@pytest.mark.parametrize(
    "change",
    [
        {"versions": None},
        {"versions": []},
        {"versions": ["first"]},
        {"name": None, "inputs": None},
        {"inputs": [{}]},
        {"inputs": ["X"]},
        {"inputs": [{"name": "X", "datatype": "FP32", "shape": ["a"]}]},
        {"outputs": [{"name": "Y", "datatype": "FP32", "shape": None}]},
        {"outputs": 3},
    ],
)
def test_metadata_that_is_none_is_said_to_be(http_peer, change) -> None:
    """Likewise."""
    whole = json.loads(described("FP32", [-1, 2]).partition(b"\r\n\r\n")[2])
    http_peer.metadata = lambda _: said(json.dumps(whole | change).encode())
    with ModelClient(http_peer.url) as client, pytest.raises(UnexpectedAnswer):
        client.infer("m", rows(1))


# --- Connections and deadlines by HTTP --------------------------------------------------------


@both
def test_a_hundred_calls_are_one_connection(kind: Kind, http_peer) -> None:
    """It is kept between them."""

    async def run() -> None:
        async with opened(kind, http_peer.url) as client:
            for i in range(100):
                assert firsts(await client.infer("m", rows(i))) == [i]
            assert http_peer.connections == 1
        await soon(lambda: http_peer.gone == 1)

    asyncio.run(run())


@both
def test_connections_that_are_closed_between_calls_are_no_error(kind: Kind, http_peer) -> None:
    """The server had enough of an idle one; the client sees it, and opens another."""

    async def run() -> None:
        http_peer.hangs_up = True
        async with opened(kind, http_peer.url) as client:
            for i in range(20):
                assert firsts(await client.infer("m", rows(i))) == [i]
                gone = http_peer.connections
                await soon(lambda gone=gone: http_peer.gone == gone)
            assert client.client.stats().total.errors == {}
            assert len(http_peer.asked) == 20

    asyncio.run(run())


@both
def test_a_connection_that_is_closed_as_a_request_comes_is_no_error(kind: Kind, http_peer) -> None:
    """It is tried again: a contract, too, at which a new model's first call begins."""

    async def run() -> None:
        async with opened(kind, http_peer.url) as client:
            await client.infer("m", rows(1))
            infer, metadata = http_peer.infer, http_peer.metadata

            def hang_up(_request: HttpRequest) -> None:
                http_peer.infer, http_peer.metadata = infer, metadata

            http_peer.infer = hang_up
            assert firsts(await client.infer("m", rows(2))) == [2]
            http_peer.metadata = hang_up
            assert firsts(await client.infer("other", rows(3))) == [3]
            assert client.client.stats().total.retries == 2
            first, again = (request.document["id"] for request in http_peer.asked[1:3])
            assert first == again

    asyncio.run(run())


@both
def test_the_server_is_told_by_http_how_long_a_request_may_wait(kind: Kind, http_peer) -> None:
    """In microseconds, as by gRPC: what is left of the caller's time."""

    async def run() -> None:
        async with opened(kind, http_peer.url) as client:
            await client.infer("m", rows(1), timeout_s=2.0)
        (request,) = http_peer.asked
        assert 500_000 < request.document["parameters"]["timeout"] <= 2_000_000
        assert request.document["id"]

    asyncio.run(run())


def held(_request: HttpRequest) -> Iterator[bytes]:
    """Nothing, for long."""
    time.sleep(PATIENCE_S / 2)
    yield b""


def dripping(request: HttpRequest) -> Iterator[bytes]:
    """A byte now and then, each long before a time-out."""
    body, headers = echoed(request)
    whole = said(body, **headers)
    start = len(whole) - len(body)
    yield whole[:start]
    for byte in whole[start:]:
        time.sleep(0.1)
        yield bytes([byte])


@both
@pytest.mark.parametrize("answer", [held, dripping])
@pytest.mark.parametrize("of", ["metadata", "infer"])
def test_the_deadline_ends_an_answer_that_does_not_come(kind: Kind, http_peer, answer, of) -> None:
    """Or comes too slowly: it is over the whole call and not over each part of an answer."""

    async def run() -> None:
        async with opened(kind, http_peer.url, timeout_s=0.4) as client:
            await client.infer("first", rows(1), timeout_s=PATIENCE_S)
            setattr(http_peer, of, answer if of == "infer" else slow_metadata)
            started_s = time.monotonic()
            with pytest.raises(DeadlineExceeded) as caught:
                await client.infer("m", rows(1))
            assert 0.35 < time.monotonic() - started_s < 2
            assert caught.value.timeout_s == 0.4

    def slow_metadata(request: HttpRequest) -> Iterator[bytes]:
        if answer is held:
            return held(request)
        whole = metadata(request)
        return (time.sleep(0.02) or bytes([byte]) for byte in whole)

    metadata = http_peer.metadata
    asyncio.run(run())


def test_a_thousand_calls_cancelled_at_once_leave_the_connections_usable(http_peer) -> None:
    """All of those that the pool may have."""

    async def run() -> None:
        options = {"coalesce_delay_s": None, "max_in_flight": 100, "timeout_s": PATIENCE_S}
        async with AsyncModelClient(http_peer.url, **options) as client:
            await client.infer("m", rows(1))
            infer, http_peer.infer = http_peer.infer, held
            tasks = [asyncio.create_task(client.infer("m", rows(i))) for i in range(1000)]
            await soon(lambda: len(http_peer.asked) > 50)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends)
            stats = client.stats()
            assert (stats.in_flight, stats.waiting) == (0, 0)
            http_peer.infer = infer
            answers = await asyncio.gather(*(client.infer("m", rows(i)) for i in range(200)))
            assert [firsts(answer) for answer in answers] == [[i] for i in range(200)]

    asyncio.run(run())


@both
def test_closing_ends_calls_that_wait_for_an_answer(kind: Kind, http_peer) -> None:
    """After the client's time-out, when they were not answered."""

    async def run() -> None:
        async with opened(kind, http_peer.url, timeout_s=0.2) as client:
            await client.infer("m", rows(1), timeout_s=PATIENCE_S)
            http_peer.infer = held
            calls = [
                asyncio.ensure_future(client.infer("m", rows(i), timeout_s=1)) for i in range(3)
            ]
            await soon(lambda: len(http_peer.asked) == 3)
            started_s = time.monotonic()
            await client.close()
            assert time.monotonic() - started_s < 2
            for end in await asyncio.gather(*calls, return_exceptions=True):
                # A thread that reads from a socket does not notice that it was closed.
                assert isinstance(end, ClientClosed | DeadlineExceeded)
                assert kind == "threads" or isinstance(end, ClientClosed)

    asyncio.run(run())


@both
def test_a_server_that_does_not_take_connections_is_unreachable_or_too_late(kind: Kind) -> None:
    """A full backlog: the connection is never made."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))

        async def run() -> None:
            for url in (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"):
                async with opened(kind, url, timeout_s=0.3) as client:
                    started_s = time.monotonic()
                    with pytest.raises(CallFailed) as caught:
                        await client.infer("m", rows(1))
                    assert isinstance(caught.value, DeadlineExceeded | Unreachable)
                    assert time.monotonic() - started_s < 2

        asyncio.run(run())
        for one in waiting:
            one.close()


def test_large_rows_pass_by_http(http_peer) -> None:
    """Sent and read in many parts."""
    numbers = np.arange(2_000_000, dtype=np.float32).reshape(-1, 2)
    with ModelClient(http_peer.url, timeout_s=PATIENCE_S) as client:
        answer = client.infer("m", {"X": numbers})["Y"]
    assert np.array_equal(answer, numbers)
    assert struct.pack("<f", answer[-1, -1]) == struct.pack("<f", 1_999_999)


def test_every_error_of_a_gateway_is_one_of_ours(http_peer) -> None:
    """For each status that there is."""
    with ModelClient(http_peer.url, timeout_s=PATIENCE_S) as client:
        client.infer("m", rows(1))
        for status in range(201, 600):
            if status not in {502, 503}:  # after which the server is left alone for a while
                http_peer.infer = lambda _, status=status: said(HTML, status)
                with pytest.raises(GeulpiError):
                    client.infer("m", rows(1))
