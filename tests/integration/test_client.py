"""The client against the real Triton and the real Valkey, while they come and go."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import typer
from geulpi_client import (
    CATEGORIES,
    CallFailed,
    Event,
    GeulpiClient,
    InferenceFailed,
    InputRefused,
    InvalidTensor,
    ModelClient,
    ModelNotFound,
    server_status,
)
from geulpi_client.cli import cache, classify, status
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from repositories import write_all, write_model
from typer.testing import CliRunner, Result

CLASSIFIER_CONFIG = """
name: "event_classifier"
backend: "python"
max_batch_size: 8
input [
  { name: "title" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "weekday" data_type: TYPE_INT64 dims: [ 1 ] },
  { name: "hour" data_type: TYPE_INT64 dims: [ 1 ] },
  { name: "duration_minutes" data_type: TYPE_INT64 dims: [ 1 ] }
]
output [
  { name: "label" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "probabilities" data_type: TYPE_FP32 dims: [ 10 ] }
]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
# The category is the one that the hour counts to; the title "boom" is a bug in the model.
CLASSIFIER = f"""
import numpy as np
import triton_python_backend_utils as pb_utils

CATEGORIES = {CATEGORIES!r}

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        titles = pb_utils.get_input_tensor_by_name(request, "title").as_numpy()
        if (titles == b"boom").any():
            return pb_utils.InferenceResponse([], pb_utils.TritonError("boom in the model"))
        hours = pb_utils.get_input_tensor_by_name(request, "hour").as_numpy()[:, 0]
        places = np.maximum(hours, 0) % 10
        labels = np.array([[CATEGORIES[p].encode()] for p in places], dtype=np.object_)
        probabilities = np.full((len(places), 10), 0.05, dtype=np.float32)
        probabilities[np.arange(len(places)), places] = 0.55
        return pb_utils.InferenceResponse([
            pb_utils.Tensor("label", labels), pb_utils.Tensor("probabilities", probabilities),
        ])
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_all(tmp_path_factory.mktemp("models"))
    write_model(folder, CLASSIFIER_CONFIG, "model.py", CLASSIFIER)
    return folder


@pytest.fixture(scope="module")
def served(repository: Path) -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(repository) as triton:
        yield triton


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as valkey:
        yield valkey


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(classify)
    app.command()(status)
    app.add_typer(cache, name="cache")
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_models_of_both_backends_answer(served: EmbeddedTriton, own_valkey: EmbeddedValkey) -> None:
    """Numbers, text and batches above the model's limit; the second time from the cache."""
    with ModelClient(served.grpc_url, cache=own_valkey.url) as client:
        for cached in (False, True):
            twice = client.infer_detailed("twice", {"X": np.arange(40).reshape(20, 2)})
            assert twice.outputs["Y"].tolist() == (2 * np.arange(40.0).reshape(20, 2)).tolist()
            summed = client.infer_detailed("sum", {"X": [[1, 2, 3], [4, 5, 6]]})
            assert summed.outputs["S"].tolist() == [[6], [15]]
            text = client.infer_detailed("text", {"T": ["치과 예약", "", "🎂" * 300]})
            assert text.outputs["L"][:, 0].tolist() == ["치과 예약", "", "🎂" * 300]
            for result in (twice, summed, text):
                assert (result.cached == cached).all()


def test_events_are_classified(served: EmbeddedTriton, own_valkey: EmbeddedValkey) -> None:
    """In order, in pieces where the model takes fewer, cached by the row."""
    seoul = ZoneInfo("Asia/Seoul")
    events = [Event(f"회의 {n}", datetime(2026, 3, 2, n, tzinfo=seoul)) for n in range(20)]
    with GeulpiClient(served.grpc_url, cache=own_valkey.url) as geulpi:
        answers = geulpi.classify(events)
        assert [answer.category for answer in answers] == [CATEGORIES[n % 10] for n in range(20)]
        assert answers[3].confidence == pytest.approx(0.55)
        assert not any(answer.cached for answer in answers)
        assert all(answer.cached for answer in geulpi.classify(events[::-1]))
        assert geulpi.stats().models["event_classifier"].hit_rate == 0.5


def test_wrong_calls_are_refused_in_words(served: EmbeddedTriton) -> None:
    """An unknown model, tensor, dtype, shape or version, and a model that fails."""
    with ModelClient(served.grpc_url) as client:
        with pytest.raises(ModelNotFound, match="'nope'"):
            client.infer("nope", {"X": [[1.0, 2.0]]})
        with pytest.raises(ModelNotFound, match="version 7"):
            client.infer("sum", {"X": [[1.0]]}, version="7")
        with pytest.raises(InvalidTensor, match="'Z'"):
            client.infer("twice", {"Z": [[1.0, 2.0]]})
        with pytest.raises(InvalidTensor, match="dtype"):
            client.infer("twice", {"X": [["a", "b"]]})
        with pytest.raises(InvalidTensor, match="shape"):
            client.infer("twice", {"X": [[1.0, 2.0, 3.0]]})
        with pytest.raises(InputRefused):
            client.infer("sum", {"X": [[1.0]]}, version="99999999999999999999")
        with (
            pytest.raises(InferenceFailed, match="boom in the model"),
            GeulpiClient(served.grpc_url) as geulpi,
        ):
            geulpi.classify([Event("boom")])
        assert client.stats().models["twice"].errors == {"InvalidTensor": 3}


def test_every_call_answers_while_valkey_dies_and_returns(served: EmbeddedTriton) -> None:
    """No call fails or gets slow for it; once it is back, rows are found again."""
    with EmbeddedValkey() as first:
        port = first.port
        client = ModelClient(served.grpc_url, cache=first.url)
        stop = threading.Event()
        took_s: list[float] = []
        wrong: list[object] = []

        def call(worker: int) -> None:
            row = [[worker, 1]]
            while not stop.is_set():
                started_s = time.monotonic()
                try:
                    if client.infer("twice", {"X": row})["Y"].tolist() != [[2 * worker, 2]]:
                        wrong.append(row)
                except Exception as error:  # noqa: BLE001 -- whatever it is, it is the finding
                    wrong.append(error)
                took_s.append(time.monotonic() - started_s)

        threads = [threading.Thread(target=call, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
    # Valkey is gone now, under the running calls.
    time.sleep(1.3)
    with EmbeddedValkey(port=port):
        time.sleep(1.5)
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(took_s) > 100
        assert max(took_s) < 1
        assert client.stats().cache_errors >= 1
        assert client.infer_detailed("twice", {"X": [[0, 1]]}).cached.all()
        client.close()


def test_the_same_client_finds_a_restarted_server(
    repository: Path, own_valkey: EmbeddedValkey
) -> None:
    """While it is away: typed errors within the deadline, and cached rows; then answers again."""
    triton = EmbeddedTriton(repository)
    with triton:
        url = triton.grpc_url
        client = ModelClient(url, cache=own_valkey.url, timeout_s=1)
        client.infer("sum", {"X": [[1, 2]]})
    for _ in range(3):
        started_s = time.monotonic()
        with pytest.raises(CallFailed):
            client.infer("sum", {"X": [[3, 4]]})
        assert time.monotonic() - started_s < 1.2
        assert client.infer("sum", {"X": [[1, 2]]})["S"].tolist() == [[3]]
        time.sleep(0.6)
    with EmbeddedTriton(repository, grpc_port=int(url.rpartition(":")[2])):
        started_s = time.monotonic()
        while time.monotonic() - started_s < 3:
            try:
                assert client.infer("sum", {"X": [[5, 6]]})["S"].tolist() == [[11]]
                break
            except CallFailed:
                time.sleep(0.05)
        assert time.monotonic() - started_s < 2
        client.close()


def test_a_status_says_what_is_served(served: EmbeddedTriton) -> None:
    """Names, versions, backends, without the closed repository API."""
    found = server_status(served.grpc_url)
    assert (found.live, found.ready, found.name, found.problem) == (True, True, "triton", "")
    assert [(m.name, m.versions, m.backend, m.ready) for m in found.models] == [
        ("event_classifier", ("1",), "python", True),
        ("sum", ("1",), "onnxruntime", True),
        ("text", ("1",), "onnxruntime", True),
        ("twice", ("1",), "python", True),
    ]
    # The HTTP port is a common mistake; it is told, not waited for.
    assert "port of its gRPC API" in server_status(served.http_url.removeprefix("http://")).problem


def test_the_commands_answer(served: EmbeddedTriton, own_valkey: EmbeddedValkey) -> None:
    """classify, status, cache stats and cache invalidate, in JSON and in tables."""
    where = ["--url", served.grpc_url, "--cache", own_valkey.url]
    title = "[치과] 예약"
    for cached in (False, True):
        done = run("classify", title, "--start", "2026-03-02T09:00+09:00", *where, "--json")
        (answer,) = json.loads(done.stdout)
        assert (answer["title"], answer["category"], answer["cached"]) == (title, "work", cached)
        assert set(answer["probabilities"]) == set(CATEGORIES)
        assert title in done.stdout
    assert title in run("classify", title, *where).stdout

    found = json.loads(run("status", *where, "--json").stdout)
    assert found["server"]["name"] == "triton"
    assert found["cache"] == {
        "url": own_valkey.url, "reachable": True, "hits": 1, "misses": 2, "hit_rate": 1 / 3,
    }  # fmt: skip
    assert "event_classifier" in run("status", *where).stdout

    counted = json.loads(run("cache", "stats", *where[2:], "--json").stdout)
    assert counted["models"]["event_classifier"]["entries"] == 2
    assert counted["total"]["hits"] == 1
    assert "event_classifier" in run("cache", "stats", *where[2:]).stdout
    assert run("cache", "invalidate", "event_classifier", *where[2:]).stdout.startswith("2 ")
    assert json.loads(run("cache", "invalidate", "--all", *where[2:], "--json").stdout) == {
        "model": None, "dropped": 0,
    }  # fmt: skip
