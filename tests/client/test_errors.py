"""Every way a server says no is told apart, by code and by text."""

from __future__ import annotations

import pickle
import time

import geulpi_client
import grpc
import pytest
from geulpi_client import (
    AccessDenied,
    CacheUnavailable,
    CallFailed,
    ClientClosed,
    DeadlineExceeded,
    GeulpiError,
    InferenceFailed,
    InputRefused,
    InvalidEvent,
    InvalidInput,
    InvalidSetting,
    InvalidTask,
    InvalidTensor,
    InvalidUrl,
    MissingExtra,
    ModelClient,
    ModelNotFound,
    ModelUnavailable,
    OtherEventLoop,
    Overloaded,
    Target,
    UnexpectedAnswer,
    Unreachable,
)
from geulpi_client._translation import BY_CODE

Code = grpc.StatusCode
ROW = {"X": [[1.0, 2.0]]}


def test_every_status_of_grpc_is_mapped() -> None:
    """A status that nobody thought of would be a KeyError in production."""
    assert set(Code) == set(BY_CODE) | {Code.DEADLINE_EXCEEDED}


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (Code.UNAVAILABLE, "Exceeds maximum queue size", Overloaded),
        (Code.UNAVAILABLE, "Request timeout expired", Overloaded),
        (Code.UNAVAILABLE, "This protocol is restricted, expecting header 'k'", AccessDenied),
        (
            Code.UNAVAILABLE,
            "Request for unknown model: 'm' version 1 is not at ready state",
            ModelUnavailable,
        ),
        (Code.UNAVAILABLE, "Socket closed", Unreachable),
        (
            Code.INTERNAL,
            "Stub process 'm_0_0' is not healthy.",
            ModelUnavailable,
        ),
        (Code.INTERNAL, "division by zero", InferenceFailed),
        (Code.NOT_FOUND, "Request for unknown model: 'm' is not found", ModelNotFound),
        (Code.INVALID_ARGUMENT, "title 0 is not UTF-8", InputRefused),
        (Code.RESOURCE_EXHAUSTED, "too many", Overloaded),
        (Code.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)", InputRefused),
        (Code.PERMISSION_DENIED, "", AccessDenied),
        (Code.UNKNOWN, "Exception calling application", InferenceFailed),
        (Code.DEADLINE_EXCEEDED, "slow", DeadlineExceeded),
    ],
)
def test_a_refusal_becomes_the_error_that_says_what_to_do(peer, code, text, kind) -> None:
    """The error is of one kind, names model and address, and keeps what gRPC said as its cause."""
    peer.infer = lambda _request, context: context.abort(code, text)
    with ModelClient(peer.url) as client, pytest.raises(GeulpiError) as caught:
        client.infer("m", ROW)
    error = caught.value
    assert type(error) is kind
    assert (error.url, error.model) == (peer.url, "m")
    assert isinstance(error.__cause__, grpc.RpcError)
    assert error.exit_code == (2 if kind is InputRefused else 1)
    assert "m" in str(error)


def test_a_server_that_is_away_is_told_at_once() -> None:
    """Nobody listens: a typed error, long before the time-out."""
    started_s = time.monotonic()
    with (
        ModelClient("127.0.0.1:1") as client,
        pytest.raises(Unreachable, match="8001"),
    ):
        client.infer("m", ROW)
    assert time.monotonic() - started_s < 2


def test_a_slow_model_is_left_at_the_deadline(peer, echoing) -> None:
    """The time-out is of the call, given to it or to the client, and an error of its own kind."""

    def slowly(request, context):
        time.sleep(1)
        return echoing("1")(request, context)

    peer.infer = slowly
    started_s = time.monotonic()
    with ModelClient(peer.url) as client:
        with pytest.raises(DeadlineExceeded, match=r"0\.2 s") as caught:
            client.infer("m", ROW, timeout_s=0.2)
        assert 0.2 <= time.monotonic() - started_s < 0.7
    assert isinstance(caught.value, TimeoutError)


def test_a_closed_client_says_so(peer) -> None:
    """A call after the `with` block is misuse."""
    with ModelClient(peer.url) as client:
        client.infer("m", ROW)
    with pytest.raises(ClientClosed, match="with"):
        client.infer("m", ROW)


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "ftp://localhost:8001", "localhost:0", "localhost:70000", "a b:1", 8001],
)
def test_an_address_that_cant_be_one_is_refused_at_once(url: object) -> None:
    """Before anything is connected."""
    with pytest.raises(InvalidUrl, match="host:port"):
        ModelClient(url)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://u:hunter2@localhost",
        "redis://u:hunter2@localhost:port/0",
        "redis://:hunter2@localhost:6379/zero",
        "redis://:hun/ter2@localhost:6379/0",
        "redis://localhost:6379/0?socket_timeout=hunter2",
    ],
)
def test_a_cache_address_that_cant_be_one_is_refused_without_its_password(url: str) -> None:
    """The error shows where, never the secret, not even in its causes."""
    with pytest.raises(InvalidUrl, match="Cache address") as caught:
        ModelClient(cache=url)
    assert "ter2" not in f"{caught.value} {caught.value!r}"
    # No secret in what a traceback prints beneath it either.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", None])
def test_a_timeout_that_cant_be_is_refused(seconds: object) -> None:
    """Zero would fail every call and infinity hang one."""
    with pytest.raises(InvalidSetting, match="timeout_s"):
        ModelClient(timeout_s=seconds)


def test_other_settings_that_cant_be_are_refused(peer) -> None:
    """Times to live, versions and model names are checked too."""
    with pytest.raises(InvalidSetting, match=r"ttl_s\['m'\]"):
        ModelClient(ttl_s={"m": -1})
    with ModelClient(peer.url) as client:
        for version in ("latest", "-1", 1):
            with pytest.raises(InvalidSetting, match="version"):
                client.infer("m", ROW, version=version)
        for model in ("", "\ud800", "a\nb", 3):
            with pytest.raises(InvalidSetting, match="model"):
                client.infer(model, ROW)
    assert peer.requests == []


TARGET = Target("localhost:8001", "m", "2")
SAMPLES: dict[type[GeulpiError], tuple[object, ...]] = {
    InvalidEvent: ("title", "", "text"),
    InvalidTask: ("priority", 9, "a whole number from 1 to 5"),
    InvalidTensor: ("m", "X", "nothing", "X FP32 [-1, 2]"),
    InvalidUrl: ("Server address", "x", "host:port"),
    InvalidSetting: ("timeout_s", 0, "seconds"),
    ClientClosed: ("localhost:8001",),
    OtherEventLoop: ("localhost:8001",),
    MissingExtra: ("httpx", "http"),
    DeadlineExceeded: (TARGET, 0.5),
    CacheUnavailable: ("redis://***@h", "refused"),
    AccessDenied: (TARGET, "the text"),
    InferenceFailed: (TARGET, "the text"),
    InputRefused: (TARGET, "the text"),
    ModelNotFound: (TARGET, "the text"),
    ModelUnavailable: (TARGET, "the text"),
    Overloaded: (TARGET, "the text"),
    UnexpectedAnswer: (TARGET, "the text"),
    Unreachable: (TARGET, "the text"),
}
GROUPS = {GeulpiError, InvalidInput, CallFailed}


def test_every_public_error_is_sampled_here() -> None:
    """A new error class must join the test below."""
    public = {
        value
        for value in vars(geulpi_client).values()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert public == set(SAMPLES) | GROUPS


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_errors_survive_a_process_boundary(kind: type[GeulpiError]) -> None:
    """A worker's error arrives as itself: same kind, same sentence, same attributes."""
    error = kind(*SAMPLES[kind])
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert str(error).rstrip().endswith((".", "the text", "--cache."))
    assert kind.exit_code == (2 if issubclass(kind, InvalidInput) else 1)
