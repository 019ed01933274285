"""What holds whatever lies between a caller and a model: one suite over caches, servers, clients.

Every test takes `setup`, one of all combinations of a cache (or none), a server (the fake, a real
one by gRPC or HTTP) and a kind of client (threads, asyncio). The tests below "By transport" are of
what only servers differ in.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import geulpi_client._async.tiers
import geulpi_client._sync.tiers
import numpy as np
import pytest
import redis
from contract_setups import BAD, Client, Fake, Real, Tasks, Threads, mixed, outcomes, write_models
from geulpi_client import (
    CATEGORIES,
    AsyncGeulpiClient,
    AsyncModelClient,
    ClientClosed,
    DeadlineExceeded,
    Event,
    GeulpiClient,
    InferenceFailed,
    InputRefused,
    InvalidSetting,
    InvalidTensor,
    ModelClient,
    ModelNotFound,
    Task,
)
from geulpi_client._async.sender import AsyncSender
from geulpi_client._async.transports import open_async_transport
from geulpi_client._connection import Credentials
from geulpi_client._deadline import Deadline
from geulpi_client._messages import Request
from geulpi_client._sync.sender import Sender
from geulpi_client._sync.transports import open_transport
from geulpi_client._tensors import from_array
from geulpi_client.testing import FakeTriton, MemoryCache
from geulpi_server import EmbeddedTriton

CACHES = ("no cache", "memory", "Valkey", "memory over Valkey", "MemoryCache")
SERVERS = ("fake", "gRPC", "HTTP")
KINDS = ("sync", "async")
REAL = [(server, kind) for server in ("gRPC", "HTTP") for kind in KINDS]

# Long enough that no machine is too slow; tests of time-outs give shorter ones.
PATIENT_S = 30.0
MEMORY_BYTES = 8 << 20
TEXTS = ["치과 예약", "", "a", "🎂 생일", "회의 " * 20_000, " \t\n", "ß\u0301"]
SEOUL = ZoneInfo("Asia/Seoul")


@dataclass
class Setup:
    """A combination, and the clients of one test.

    Attributes:
        asked: the requests that any client sent for an inference: model, version, rows.
    """

    cache: str
    server: Real | Fake
    kind: str
    valkey_url: str
    callers: dict[str, Threads | Tasks]
    asked: list[tuple[str, str, int]]
    memory_cache: MemoryCache = field(default_factory=MemoryCache)
    clients: list[Client] = field(default_factory=list)

    @property
    def cached(self) -> bool:
        """Whether there is a cache."""
        return self.cache != "no cache"

    @property
    def shared(self) -> bool:
        """Whether clients share it."""
        return self.cache in {"Valkey", "memory over Valkey", "MemoryCache"}

    @property
    def in_memory(self) -> bool:
        """Whether a client has a cache of its own."""
        return self.cache in {"memory", "memory over Valkey"}

    @property
    def rows_asked(self) -> int:
        """How many rows were sent since the last time that this was asked."""
        rows = sum(rows for _, _, rows in self.asked)
        self.asked.clear()
        return rows

    def client(self, kind: str = "", *, typed: bool = False, **options: Any) -> Client:
        """Return a new client, of any model or typed; of this setup's kind or another one."""
        kind = kind or self.kind
        if "Valkey" in self.cache:
            options["cache"] = self.valkey_url
        elif self.cache == "MemoryCache":
            options["cache"] = self.memory_cache
        if self.in_memory:
            options["memory_bytes"] = MEMORY_BYTES
        made = CLIENTS[kind][typed](self.server.at, **{"timeout_s": PATIENT_S, **options})
        self.clients.append(Client(made, self.callers[kind]))
        return self.clients[-1]

    def close(self) -> None:
        """Close the clients."""
        for client in self.clients:
            client.close()


CLIENTS: dict[str, dict[bool, Any]] = {
    "sync": {False: ModelClient, True: GeulpiClient},
    "async": {False: AsyncModelClient, True: AsyncGeulpiClient},
}
"""By kind, and whether they are typed."""


@pytest.fixture(scope="module")
def callers() -> Iterator[dict[str, Threads | Tasks]]:
    threads, tasks = Threads(), Tasks()
    yield {"sync": threads, "async": tasks}
    threads.stop()
    tasks.stop()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[dict[str, Real]]:
    """A server of the models, and of the real classifier of events, by its two addresses."""
    folder = tmp_path_factory.mktemp("contract")
    slow = folder / "slow_s"
    write_models(folder / "repository", slow)
    name = "event_classifier"
    shutil.copytree(root / "model_repository" / name, folder / "repository" / name)
    with EmbeddedTriton(folder / "repository") as triton:
        yield {"gRPC": Real(triton.grpc_url, slow), "HTTP": Real(triton.http_url, slow)}


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, str, int]]:
    """What is sent to any server for an inference; metadata is not counted."""
    sent = []
    for sender in (Sender, AsyncSender):

        def infer(self, model, version, tensors, deadline, *, on=sender.infer) -> Any:
            sent.append((model, version, tensors[0].shape[0]))
            return on(self, model, version, tensors, deadline)

        monkeypatch.setattr(sender, "infer", infer)
    return sent


@pytest.fixture(
    params=[*product(CACHES, SERVERS, KINDS)], ids=lambda one: "-".join(one).replace(" ", "_")
)
def setup(request, real, valkey_url, callers, asked) -> Iterator[Setup]:
    """Each combination, with an empty cache."""
    cache, server, kind = request.param
    if "Valkey" in cache:
        with redis.Redis.from_url(valkey_url) as store:
            store.flushdb()
    at = Fake() if server == "fake" else real[server]
    setup = Setup(cache, at, kind, valkey_url, callers, asked)
    yield setup
    setup.close()


def rows(*firsts: float) -> dict[str, np.ndarray]:
    """Rows of `mixed`, told apart by their first numbers."""
    return {
        "X": np.array([[first, 0.5, -1] for first in firsts], dtype=np.float32),
        "K": np.array([[first] for first in firsts], dtype=np.int64),
    }


def same(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> bool:
    """Whether outputs are equal: names, dtypes, shapes and every bit."""
    return list(some) == list(others) and all(
        array.dtype == other.dtype
        and array.shape == other.shape
        and (array.tolist() == other.tolist() if array.dtype == object else _bits(array, other))
        for array, other in zip(some.values(), others.values(), strict=True)
    )


def _bits(array: np.ndarray, other: np.ndarray) -> bool:
    return array.tobytes() == other.tobytes()


def right(outputs: dict[str, np.ndarray], *firsts: float) -> bool:
    """Whether these are the answers of `mixed` to `rows`, in the order of the outputs' names."""
    return same(outputs, dict(sorted(mixed(**rows(*firsts)).items())))


def until(holds: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + PATIENT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def at_once(setup: Setup, client: Client, inputs: list[dict[str, np.ndarray]]) -> list[Any]:
    """What came of calls of `mixed`, of which the first is not answered before the last came."""
    with setup.server.slowed(0.01):
        calls = [client.begin("mixed", one) for one in inputs]
        until(lambda: client.client._core.gate.inside == len(calls) or calls[0].done())
    return outcomes(calls)


# --- Answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 300])
def test_every_row_gets_its_own_answer(setup, count: int) -> None:
    """Of every type, in the order of the rows; more than the model takes go in pieces."""
    result = setup.client().infer_detailed("mixed", rows(*range(count)))
    assert right(result.outputs, *range(count))
    assert (result.version, result.source) == ("1", "server")
    assert result.cached.tolist() == [False] * count
    assert max(sent for _, _, sent in setup.asked) <= 64
    assert setup.rows_asked == count


def test_an_answer_is_the_callers_own(setup) -> None:
    """What a caller writes into it, or into what was asked, is nobody else's."""
    client = setup.client()
    for _ in range(3):
        for firsts in ((1,), (1, 2)):
            inputs = rows(*firsts)
            outputs = client.infer("mixed", inputs)
            assert right(outputs, *firsts)
            for array in (*outputs.values(), *inputs.values()):
                array[:] = 0


def test_inputs_are_cast_where_nothing_is_lost(setup) -> None:
    """Lists, other widths of numbers and `[N]` for `[N, 1]` are the same question."""
    client = setup.client()
    plain = client.infer("mixed", rows(1, 2))
    for inputs in (
        {"X": [[1, 0.5, -1], [2, 0.5, -1]], "K": [1, 2]},
        {"X": rows(1, 2)["X"].astype(np.float64), "K": np.array([1, 2], dtype=np.uint8)},
        {"K": rows(1, 2)["K"], "X": np.asfortranarray(rows(1, 2)["X"])},
        {"X": rows(1, 2)["X"].astype(">f4"), "K": rows(1, 0, 2)["K"][::2]},
    ):
        assert same(client.infer("mixed", inputs), plain)
    assert setup.rows_asked == (2 if setup.cached else 10)
    for text in (["회의"], np.array([["회의"]]), ["회의".encode()], np.array(["회의"], object)):
        assert client.infer("text", {"T": text})["L"].tolist() == [["회의"]]
    assert setup.rows_asked == (1 if setup.cached else 4)


@pytest.mark.parametrize("model", ["text", "chain"])
def test_text_comes_back_as_it_was(setup, model: str) -> None:
    """Korean, empty, long; from a model and from an ensemble; alone and with others."""
    client = setup.client()
    batch = {"T": np.array([[text] for text in TEXTS], dtype=object)}
    for again in (False, True):
        result = client.infer_detailed(model, batch)
        assert result.outputs["L"].tolist() == [[text] for text in TEXTS]
        assert {type(text) for text in result.outputs["L"].flat} == {str}
        assert result.cached.tolist() == [again and setup.cached] * len(TEXTS)
    for text in TEXTS:
        result = client.infer_detailed(model, {"T": np.array([[text]], dtype=object)})
        assert (result.outputs["L"].dtype, result.outputs["L"].tolist()) == (object, [[text]])
        assert result.cached.tolist() == [setup.cached]


def test_odd_numbers_come_back_bit_by_bit(setup) -> None:
    """NaN, −0.0, infinities and the smallest: as the server answers, and so the second time."""
    odd = np.array([np.nan, -0.0, np.inf, -np.inf, 1e-45, np.finfo(np.float32).max], np.float32)
    inputs = {"X": odd.reshape(2, 3), "K": np.array([[-(2**63)], [2**63 - 1]])}
    single_rows = [{name: array[n : n + 1] for name, array in inputs.items()} for n in range(2)]
    client = setup.client()
    first = client.infer("mixed", inputs)
    assert first["echo"].tobytes() == odd.tobytes()
    assert same(client.infer("mixed", inputs), first)
    for n, one in enumerate(single_rows):
        for _ in range(2):
            outputs = client.infer("mixed", one)
            assert same(outputs, {name: array[n : n + 1] for name, array in first.items()})


def test_zeros_of_both_signs_are_one_question(setup) -> None:
    """To a cache: without one, each has its own answer."""
    client = setup.client()
    zero, minus = ({"X": np.full((1, 3), x, np.float32), "K": [0]} for x in (0.0, -0.0))
    assert not np.signbit(client.infer("mixed", zero)["echo"]).any()
    result = client.infer_detailed("mixed", minus)
    assert result.cached.tolist() == [setup.cached]
    assert np.signbit(result.outputs["echo"]).all() != setup.cached


def test_a_model_without_batches_is_asked_as_it_is(setup) -> None:
    """Nothing of it is cached."""
    client = setup.client()
    for _ in range(2):
        result = client.infer_detailed("single", {"X": [1, 2]})
        assert result.outputs["Y"].tolist() == [2, 4]
        assert (result.cached.tolist(), result.looked_up) == ([False], 0)
    assert len(setup.asked) == 2


# --- The cache -------------------------------------------------------------------------------


def test_a_second_call_is_the_caches(setup) -> None:
    """The same bits, and where they came from; without a cache the model is asked again."""
    client = setup.client()
    for firsts in ((1,), (2, 3)):
        first = client.infer_detailed("mixed", rows(*firsts))
        for _ in range(2):
            again = client.infer_detailed("mixed", rows(*firsts))
            assert same(again.outputs, first.outputs)
            assert again.version == first.version
            assert again.cached.tolist() == [setup.cached] * len(firsts)
            assert again.source == ("cache" if setup.cached else "server")
            assert again.looked_up == (len(firsts) if setup.cached else 0)
            assert again.from_memory == (len(firsts) if setup.in_memory else 0)
    assert setup.rows_asked == (3 if setup.cached else 9)


def test_clients_share_what_they_know(setup) -> None:
    """Also a client of threads and one of asyncio, where the cache is no process's own."""
    first = setup.client()
    answer = first.infer("mixed", rows(1, 2))
    text = first.infer("text", {"T": TEXTS})
    first.written()
    for kind in KINDS:
        other = setup.client(kind)
        result = other.infer_detailed("mixed", rows(1, 2))
        assert same(result.outputs, answer)
        assert result.cached.tolist() == [setup.shared] * 2
        result = other.infer_detailed("text", {"T": TEXTS})
        assert same(result.outputs, text)
        assert result.cached.tolist() == [setup.shared] * len(TEXTS)
        assert result.from_memory == 0


def test_a_client_that_closes_leaves_its_rows_to_the_next(setup) -> None:
    """What waited to be written is, unless it was in its memory alone."""
    with setup.client() as client:
        client.infer("mixed", rows(*range(300)))
    result = setup.client().infer_detailed("mixed", rows(*range(300)))
    assert result.cached.tolist() == [setup.shared] * 300
    assert right(result.outputs, *range(300))


def test_only_rows_that_are_missing_are_asked(setup) -> None:
    """Answers of both kinds are one, in the order of the rows."""
    client = setup.client()
    client.infer("mixed", rows(2, 4))
    assert setup.rows_asked == 2
    result = client.infer_detailed("mixed", rows(1, 2, 3, 4))
    assert right(result.outputs, 1, 2, 3, 4)
    assert result.cached.tolist() == [False, setup.cached, False, setup.cached]
    assert result.source == "server"
    assert setup.rows_asked == (2 if setup.cached else 4)
    client.infer("mixed", rows(*range(300)))
    assert setup.rows_asked == (296 if setup.cached else 300)


def test_equal_rows_of_a_call_are_asked_once(setup) -> None:
    """Each has its answer; without a cache a batch goes as it is."""
    client = setup.client()
    result = client.infer_detailed("mixed", rows(5, 6, 5, 5))
    assert right(result.outputs, 5, 6, 5, 5)
    assert result.cached.tolist() == [False] * 4
    assert setup.rows_asked == (2 if setup.cached else 4)
    assert right(client.infer("mixed", rows(5, 5)), 5, 5)


def test_without_a_time_to_live_nothing_is_kept(setup) -> None:
    """Of that model; others are."""
    client = setup.client(ttl_s={"mixed": 0})
    for _ in range(2):
        for firsts in ((1,), (1, 1)):
            result = client.infer_detailed("mixed", rows(*firsts))
            assert right(result.outputs, *firsts)
            assert (result.cached.any(), result.looked_up) == (False, 0)
    assert setup.rows_asked == 6
    client.infer("text", {"T": ["a"]})
    assert client.infer_detailed("text", {"T": ["a"]}).cached.tolist() == [setup.cached]


def test_what_is_dropped_is_asked_again(setup) -> None:
    """A model's rows, a tag's, or all; and nothing else."""
    client = setup.client()
    here = [setup.cached]

    def known() -> list[bool]:
        return [
            client.infer_detailed(model, inputs, tags=tags).cached.all()
            for model, inputs, tags in (
                ("mixed", rows(1), ["user:1"]),
                ("mixed", rows(2), ["user:2", "team"]),
                ("mixed", rows(3, 4), []),
                ("text", {"T": ["a"]}, ["user:1"]),
            )
        ]

    assert known() == 4 * [False]
    for named, dropped, kept in (
        ({"model": "mixed"}, 4, [False, False, False, True]),
        ({"tag": "user:1"}, 2, [False, True, True, False]),
        ({"tag": "team"}, 1, [True, False, True, True]),
        ({"tag": "user"}, 0, [True] * 4),
        ({"model": "mix"}, 0, [True] * 4),
        ({}, 5, [False] * 4),
    ):
        assert known() == 4 * here
        client.written()
        assert client.invalidate(**named) == (dropped if setup.cached else 0)
        assert known() == [one and setup.cached for one in kept]


def test_what_another_client_drops_is_forgotten(setup, monkeypatch) -> None:
    """Where it is shared, also in the memory of each; looked for more often than usual here."""
    for tiers in (geulpi_client._async.tiers, geulpi_client._sync.tiers):
        monkeypatch.setattr(tiers, "LOG_READ_S", 0.0)
    client = setup.client()
    others = [setup.client(kind) for kind in KINDS]
    for named in ({"model": "mixed"}, {"tag": "user:1"}, {}):
        client.infer("mixed", rows(1), tags=["user:1"])
        client.written()
        for other in others:
            other.infer("mixed", rows(1), tags=["user:1"])
            assert other.infer_detailed("mixed", rows(1)).cached.tolist() == [setup.cached]
            other.written()
        client.invalidate(**named)
        for other in others:
            result = other.infer_detailed("mixed", rows(1), tags=["user:1"])
            assert right(result.outputs, 1)
            # Who has a memory of its own alone was not told.
            assert result.cached.tolist() == [setup.cached and not setup.shared]
            if setup.shared:
                other.written()
                other.invalidate()
    with pytest.raises(InvalidSetting, match="either a model or a tag"):
        client.invalidate("mixed", tag="user:1")


# --- Versions and errors ---------------------------------------------------------------------


def test_a_version_can_be_pinned(setup) -> None:
    """Unless it is, the newest answers, which is then the same question."""
    client = setup.client()
    for version, cached in (("", False), ("2", True), ("", True), ("2", True)):
        result = client.infer_detailed("text", {"T": ["a"]}, version=version)
        assert (result.outputs["L"].tolist(), result.version) == ([["a"]], "2")
        assert result.cached.tolist() == [cached and setup.cached]


def test_who_is_not_there_is_named(setup) -> None:
    """A model or a version; nobody is asked, and others still answer."""
    client = setup.client()
    for model, version in (("none", ""), ("text", "7"), ("none", "7"), ("none", "")):
        with pytest.raises(ModelNotFound) as caught:
            client.infer(model, {"T": ["a"]}, version=version)
        assert (caught.value.model, caught.value.version) == (model, version)
        assert model in str(caught.value)
    assert setup.asked == []
    assert client.infer("text", {"T": ["a"]})["L"].tolist() == [["a"]]


ONE = rows(1)
REFUSED: dict[str, tuple[type[Exception], dict[str, Any]]] = {
    "no tensors": (InvalidTensor, {"inputs": {}}),
    "nothing": (InvalidTensor, {"inputs": None}),
    "no mapping": (InvalidTensor, {"inputs": [1]}),
    "one missing": (InvalidTensor, {"inputs": {"X": ONE["X"]}}),
    "another name": (InvalidTensor, {"inputs": {"X": ONE["X"], "k": ONE["K"]}}),
    "one too many": (InvalidTensor, {"inputs": {**ONE, "Z": ONE["X"]}}),
    "text": (InvalidTensor, {"inputs": {**ONE, "X": [["1", "2", "3"]]}}),
    "objects": (InvalidTensor, {"inputs": {**ONE, "X": np.array([[1, 2, None]], object)}}),
    "fractions": (InvalidTensor, {"inputs": {**ONE, "K": [[1.5]]}}),
    "too large": (InvalidTensor, {"inputs": {**ONE, "K": np.array([[2**63]], np.uint64)}}),
    "narrow": (InvalidTensor, {"inputs": {**ONE, "X": np.zeros((1, 2), np.float32)}}),
    "wide": (InvalidTensor, {"inputs": {**ONE, "X": np.zeros((1, 4), np.float32)}}),
    "flat": (InvalidTensor, {"inputs": {**ONE, "X": np.zeros(3, np.float32)}}),
    "deep": (InvalidTensor, {"inputs": {**ONE, "X": np.zeros((1, 1, 3), np.float32)}}),
    "one number": (InvalidTensor, {"inputs": {**ONE, "K": 1}}),
    "ragged": (InvalidTensor, {"inputs": {**ONE, "X": [[1, 2, 3], [1]]}}),
    "no rows": (
        InvalidTensor,
        {"inputs": {"X": np.zeros((0, 3), np.float32), "K": np.zeros((0, 1), np.int64)}},
    ),
    "other rows": (InvalidTensor, {"inputs": {**ONE, "K": [1, 2]}}),
    "no model": (InvalidSetting, {"model": ""}),
    "a list of models": (InvalidSetting, {"model": ["mixed"]}),
    "a version as number": (InvalidSetting, {"version": 1}),
    "a version as word": (InvalidSetting, {"version": "newest"}),
    "no time": (InvalidSetting, {"timeout_s": 0}),
    "endless time": (InvalidSetting, {"timeout_s": float("inf")}),
    "one tag": (InvalidSetting, {"tags": "user:1"}),
    "an empty tag": (InvalidSetting, {"tags": [""]}),
}


def test_what_the_model_does_not_take_is_not_sent(setup) -> None:
    """Before and after the same model was asked; the error is one of misuse."""
    client = setup.client()
    for _ in range(2):
        for what, (kind, changed) in REFUSED.items():
            with pytest.raises(ValueError) as caught:
                client.infer_detailed(**{"model": "mixed", "inputs": ONE, **changed})
            assert type(caught.value) is kind, what
        assert setup.asked == []
        assert right(client.infer("mixed", ONE), 1)
        setup.asked.clear()
    for text in (1, None, "a\0b", "\ud800", b"\xff"):
        with pytest.raises(InvalidTensor):
            client.infer("text", {"T": np.array([[text]], dtype=object)})
    assert setup.asked == []


def test_a_row_that_fails_is_nobody_elses(setup) -> None:
    """Of fifty callers who come at once one has it; all others are answered."""
    client = setup.client()
    client.infer("mixed", rows(0))
    firsts = [float(n) for n in range(1, 51)]
    firsts[25] = BAD
    answers = at_once(setup, client, [rows(first) for first in firsts])
    failed = answers.pop(25)
    assert type(failed) is InferenceFailed
    assert "row -13" in failed.said
    del firsts[25]
    assert all(right(answer.outputs, first) for answer, first in zip(answers, firsts, strict=True))
    stats = client.stats().models["mixed"]
    assert stats.batches.count < stats.batched_calls  # they did travel together
    assert stats.errors == {"InferenceFailed": 1}
    with pytest.raises(InferenceFailed):  # a failure is not kept
        client.infer("mixed", rows(BAD))


def test_a_row_that_fails_fails_for_all_who_ask_it(setup) -> None:
    """With the same error, and not one after another, until there is no time left."""
    client = setup.client()
    client.infer("mixed", rows(0))
    with setup.server.slowed(0.01):
        answers = outcomes([client.begin("mixed", rows(BAD)) for _ in range(12)])
    assert {type(answer) for answer in answers} == {InferenceFailed}
    stats = client.stats().models["mixed"]
    assert stats.batches.count < stats.batched_calls
    assert stats.errors == {"InferenceFailed": 12}


def test_a_row_that_fails_fails_its_own_call(setup) -> None:
    """As a whole, once; what the others of it were is asked again."""
    client = setup.client()
    with pytest.raises(InferenceFailed) as caught:
        client.infer("mixed", rows(1, BAD, 2))
    assert (caught.value.model, caught.value.url) == ("mixed", client.url)
    assert len(setup.asked) == 1
    result = client.infer_detailed("mixed", rows(1, 2))
    assert right(result.outputs, 1, 2)
    assert not result.cached.any()


# --- Time and many callers -------------------------------------------------------------------


def test_callers_wait_for_their_own_time_and_no_longer(setup) -> None:
    """A model is slow: who can't wait is told so, who can is answered, as is who asks another.

    The time is the client's or, before it, the call's.
    """
    client = setup.client(timeout_s=0.02)
    assert client.timeout_s == 0.02
    single = {"X": [1, 2]}
    for model, inputs in (("mixed", rows(0)), ("text", {"T": ["a"]}), ("single", single)):
        client.infer(model, inputs, timeout_s=PATIENT_S)
    with setup.server.slowed(0.04):
        impatient = [client.begin("mixed", rows(n)) for n in (1, 2)]
        patient = [client.begin("mixed", rows(n), timeout_s=PATIENT_S) for n in (3, 4)]
        impatient += [client.begin("single", single), client.begin("mixed", rows(5))]
        text = client.infer("text", {"T": ["b"]}, timeout_s=PATIENT_S)
        assert text["L"].tolist() == [["b"]]
        late, answered = outcomes(impatient), outcomes(patient)
    assert {type(error) for error in late} == {DeadlineExceeded}
    assert [error.model for error in late] == ["mixed", "mixed", "single", "mixed"]
    assert {error.timeout_s for error in late} == {0.02}
    assert all(right(answer.outputs, n) for n, answer in enumerate(answered, 3))
    assert right(client.infer("mixed", rows(6), timeout_s=PATIENT_S), 6)


def test_a_time_that_has_passed_already_is_exceeded(setup) -> None:
    """Whether the model is known by then or not."""
    client = setup.client()
    for _ in range(2):
        for model, inputs in (("mixed", rows(1)), ("single", {"X": [1, 2]})):
            with pytest.raises(DeadlineExceeded) as caught:
                client.infer(model, inputs, timeout_s=1e-9)
            assert caught.value.timeout_s == 1e-9
            client.infer(model, {"X": [[2, 2, 2]], "K": [2]} if "K" in inputs else inputs)


@pytest.mark.parametrize("delay_s", [0.0, None])
def test_fifty_callers_get_their_own_rows(setup, delay_s: float | None) -> None:
    """However many rows each has, and whether some of them are known."""
    client = setup.client(coalesce_delay_s=delay_s)
    client.infer("mixed", rows(*range(0, 100, 10)))
    asked = [[n + k for k in range(n % 3 + 1)] for n in range(0, 100, 2)]
    answers = at_once(setup, client, [rows(*firsts) for firsts in asked])
    for answer, firsts in zip(answers, asked, strict=True):
        assert right(answer.outputs, *firsts)
    stats = client.stats().total
    assert (stats.calls, stats.errors) == (51, {})
    if delay_s is None:
        assert stats.batched_calls == 0
    else:
        assert stats.batches.count < stats.batched_calls


def test_what_many_want_at_once_is_asked_once_or_so(setup) -> None:
    """Where it is kept: who comes just as it lands may still ask by himself."""
    client = setup.client()
    client.infer("mixed", rows(0))
    setup.asked.clear()
    answers = at_once(setup, client, [rows(1)] * 50)
    assert all(right(answer.outputs, 1) for answer in answers)
    assert setup.rows_asked < 10 if setup.cached else setup.rows_asked == 50


# --- Figures and the end ---------------------------------------------------------------------


def test_figures_add_up(setup) -> None:
    """Calls, rows, hits, misses and errors, by model and together."""
    client = setup.client()
    client.infer("mixed", rows(1, 2, 3))
    client.infer("mixed", rows(2, 3, 4, 4))
    client.infer("mixed", rows(1))
    client.infer("text", {"T": ["a", "b"]})
    for model, error in (("mixed", InvalidTensor), ("none", ModelNotFound)):
        with pytest.raises(error):
            client.infer(model, {})
    stats = client.stats()
    mixed, text, none = (stats.models[model] for model in ("mixed", "text", "none"))
    assert set(stats.models) == {"mixed", "text", "none"}
    assert (mixed.calls, mixed.rows, mixed.errors) == (4, 8, {"InvalidTensor": 1})
    assert (mixed.hits, mixed.misses) == ((3, 5) if setup.cached else (0, 0))
    assert mixed.memory_hits == (3 if setup.in_memory else 0)
    assert mixed.memory_hits + mixed.redis_hits == mixed.hits
    assert (text.calls, text.rows, text.hits) == (1, 2, 0)
    assert (none.calls, none.rows, none.errors) == (1, 0, {"ModelNotFound": 1})
    for name in ("calls", "rows", "hits", "misses", "memory_hits", "redis_hits", "retries"):
        assert getattr(stats.total, name) == sum(getattr(m, name) for m in (mixed, text, none))
    assert stats.total.errors == {"InvalidTensor": 1, "ModelNotFound": 1}
    assert mixed.latencies.count == 3
    assert 0 < mixed.latency_p50_ms <= mixed.latency_p99_ms
    assert (stats.in_flight, stats.waiting, stats.cache_errors) == (0, 0, 0)
    assert [(one.failures, one.in_flight) for one in stats.endpoints] == [(0, 0)]
    assert (stats.memory is not None) is setup.in_memory


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_client_says_so(setup, used: bool) -> None:
    """Also of rows that it knew; a second close does nothing, and figures can still be read."""
    client, other = setup.client(), setup.client()
    if used:
        client.infer("mixed", rows(1))
    client.close()
    for call in (
        lambda: client.infer("mixed", rows(1)),
        lambda: client.infer("mixed", {}),
        lambda: client.infer_detailed("none", {}),
        client.invalidate,
    ):
        with pytest.raises(ClientClosed) as caught:
            call()
        assert caught.value.url == client.url
    client.close()
    assert client.stats().total.rows == used
    assert right(other.infer("mixed", rows(1, 2)), 1, 2)


def test_a_client_is_open_within_its_block(setup) -> None:
    """The block closes it, also where it is left by an error, which is passed on."""
    with setup.client() as client:
        assert right(client.infer("mixed", rows(1)), 1)
    with pytest.raises(ClientClosed):
        client.infer("mixed", rows(1))
    with pytest.raises(InferenceFailed), setup.client() as client:
        client.infer("mixed", rows(BAD))
    with pytest.raises(ClientClosed):
        client.infer("mixed", rows(1))


def test_calls_under_way_are_answered_before_the_end(setup) -> None:
    """Whoever closes waits for them."""
    client = setup.client()
    client.infer("mixed", rows(0))
    with setup.server.slowed(0.03):
        calls = [client.begin("mixed", rows(n)) for n in (1, 2)]
        until(lambda: client.client._core.gate.inside == 2 or calls[0].done())
        client.close()
    answers = outcomes(calls)
    assert right(answers[0].outputs, 1)
    # On a busy machine the other one may not have begun.
    assert isinstance(answers[1], ClientClosed) or right(answers[1].outputs, 2)


# --- The calendar ----------------------------------------------------------------------------

NINE = datetime(2026, 3, 9, 9, tzinfo=SEOUL)
HOUR = timedelta(hours=1)
WEEK = [Event("회의", NINE + n * timedelta(days=7), NINE + n * timedelta(days=7) + HOUR)
        for n in range(4)]  # fmt: skip


def cached_as(answer: Any, cached: bool) -> str:
    """An answer in full, but as if the cache had known it or not."""
    return repr(answer).replace(f"cached={not cached}", f"cached={cached}")


@pytest.mark.parametrize(
    ("cache", "kind"), [*product(CACHES, KINDS)], ids=lambda one: one.replace(" ", "_")
)
def test_the_calendars_questions_have_typed_answers(
    cache: str, kind: str, valkey_url, callers, asked
) -> None:
    """All six of them, and the same from a cache, by rows."""
    with redis.Redis.from_url(valkey_url) as store:
        store.flushdb()
    calendar = FakeTriton()
    calendar.calendar()
    setup = Setup(cache, SimpleNamespace(at=calendar), kind, valkey_url, callers, asked)
    client = setup.client(typed=True)
    questions = (
        lambda: client.classify([Event("회의"), Event("Gym"), Event("회의")]),
        lambda: client.optimize_schedule(
            [Task("report", HOUR)], window=(NINE, NINE + timedelta(days=1))
        ),
        lambda: client.detect_patterns(WEEK),
        lambda: client.analyze_balance(WEEK, tags=["user:1"]),
        lambda: client.predict_burnout(WEEK),
        lambda: client.week_insights(WEEK),
    )
    try:
        classified, schedule, patterns, balance, burnout, insights = first = [
            ask() for ask in questions
        ]
        assert [one.category for one in classified] == ["meeting", "exercise", "meeting"]
        assert [one.task for one in schedule.placements] == ["report"]
        assert [one.title for one in patterns] == ["회의"]
        assert 0 <= balance.score <= 100
        assert 0 < burnout.probability < 1
        assert insights.balance == balance
        sent = len(calendar.requests)
        again = [ask() for ask in questions]
        assert [cached_as(one, False) for one in again] == [cached_as(one, False) for one in first]
        assert again[3].cached is setup.cached
        assert len(calendar.requests) == (sent if setup.cached else 2 * sent)
        assert client.stats().total.calls == 12
    finally:
        setup.close()


@pytest.mark.parametrize(("server", "kind"), REAL)
def test_the_real_classifier_answers_by_every_way(real, callers, server: str, kind: str) -> None:
    """With the categories of both kinds of client, and probabilities that are some."""
    events = [Event("치과 예약", NINE, NINE + HOUR), Event("주간 회의"), Event("Gym"), Event("…")]
    with Client(CLIENTS[kind][True](real[server].at, timeout_s=PATIENT_S), callers[kind]) as client:
        answers = client.classify(events)
        assert [one.title for one in answers] == [event.title for event in events]
        assert answers[1].category == "meeting"
        for one in answers:
            assert set(one.probabilities) == set(CATEGORIES)
            assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
            assert one.category == max(one.probabilities, key=one.probabilities.get)
        assert client.classify(events) == answers


# --- By transport ----------------------------------------------------------------------------


class Way:
    """A transport to a server of one kind, asked without a client's checks."""

    def __init__(self, server: Real | Fake, caller: Threads | Tasks) -> None:
        opened = open_transport if isinstance(caller, Threads) else open_async_transport
        self._caller = caller
        self._transport = (
            caller.run(opened_in_loop, opened, server.at)
            if isinstance(caller, Tasks)
            else opened(server.at, Credentials(), None)
        )

    def ask(
        self,
        model: str,
        inputs: dict[str, np.ndarray],
        *,
        version: str = "",
        within_s: float = PATIENT_S,
    ) -> Any:
        """Send a request."""
        tensors = [
            from_array(name, TYPES[array.dtype.kind], array) for name, array in inputs.items()
        ]
        request = Request(model, version, tensors, id="r1")
        return self._caller.run(self._transport.infer, request, Deadline.after(within_s))

    def contract(self, model: str, version: str = "") -> Any:
        """Ask for a model's contract."""
        return self._caller.run(self._transport.contract, model, version, Deadline.after(PATIENT_S))

    def close(self) -> None:
        """Close it."""
        threads = isinstance(self._caller, Threads)
        self._caller.run(self._transport.close if threads else self._transport.aclose)


async def opened_in_loop(opened: Callable[..., Any], server: Any) -> Any:
    """Open a transport within the event loop that it belongs to."""
    return opened(server, Credentials(), None)


TYPES = {"f": "FP32", "i": "INT64", "O": "BYTES"}


@pytest.fixture(params=[*product(SERVERS, KINDS)], ids="-".join)
def way(request, real, callers) -> Iterator[Way]:
    server, kind = request.param
    way = Way(Fake() if server == "fake" else real[server], callers[kind])
    yield way
    way.close()


WRONG: dict[str, tuple[type[Exception], dict[str, Any]]] = {
    "no such model": (ModelNotFound, {"model": "none"}),
    "no such version": (ModelNotFound, {"version": "7"}),
    "too many rows": (InputRefused, {"inputs": rows(*range(65))}),
    "another shape": (InputRefused, {"inputs": {**ONE, "X": np.zeros((1, 2), np.float32)}}),
    "another type": (InputRefused, {"inputs": {**ONE, "X": np.zeros((1, 3), np.int64)}}),
    "another name": (InputRefused, {"inputs": {"X": ONE["X"], "k": ONE["K"]}}),
    "one missing": (InputRefused, {"inputs": {"X": ONE["X"]}}),
    "a bad row": (InferenceFailed, {"inputs": rows(BAD)}),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_fault_is_the_same_error_by_every_transport(way: Way, what: str) -> None:
    """With whom it was about, and in the server's words; the next request is answered."""
    kind, changed = WRONG[what]
    asked = {"model": "mixed", "inputs": ONE, **changed}
    with pytest.raises(kind) as caught:
        way.ask(**asked)
    assert type(caught.value) is kind
    assert (caught.value.model, caught.value.request_id) == (asked["model"], "r1")
    assert caught.value.version == asked.get("version", "")
    assert caught.value.said
    answer = way.ask("mixed", ONE)
    assert (answer.version, [tensor.name for tensor in answer.outputs]) == (
        "1",
        ["above", "echo", "sum", "twice"],
    )


def test_all_transports_know_the_same_of_a_model(way: Way) -> None:
    """Its tensors in order, its newest version, how many rows it takes; and who is not there."""
    contract = way.contract("mixed")
    assert [str(spec) for spec in contract.inputs] == ["X FP32 [-1, 3]", "K INT64 [-1, 1]"]
    assert [spec.name for spec in contract.outputs] == ["above", "echo", "sum", "twice"]
    assert (contract.version, contract.max_batch_size) == ("1", 64)
    assert way.contract("text").version == way.contract("text", "2").version == "2"
    assert not way.contract("single").batched
    for model, version in (("none", ""), ("mixed", "7")):
        with pytest.raises(ModelNotFound) as caught:
            way.contract(model, version)
        assert (caught.value.model, caught.value.version) == (model, version)


@pytest.mark.parametrize(
    "name", ["no such", "a/b", "a?b", "a#b", "없음", "mixed?", "../mixed", "%41"]
)
def test_a_name_that_is_no_word_is_a_model_that_is_not_there(way: Way, name: str) -> None:
    """Whatever its signs mean elsewhere."""
    for ask in (lambda: way.contract(name), lambda: way.ask(name, ONE)):
        with pytest.raises(ModelNotFound) as caught:
            ask()
        assert caught.value.model == name


@pytest.mark.parametrize(("server", "kind"), REAL)
def test_an_older_version_can_be_pinned(real, callers, server: str, kind: str) -> None:
    """Beside the newest, of which the cache keeps its own answers."""
    client = Client(
        CLIENTS[kind][False](real[server].at, memory_bytes=MEMORY_BYTES, timeout_s=PATIENT_S),
        callers[kind],
    )
    with client:
        for cached in (False, True):
            for version, answers in (("1", "1"), ("", "2")):
                result = client.infer_detailed("text", {"T": ["a"]}, version=version)
                assert (result.version, result.cached.tolist()) == (answers, [cached])
