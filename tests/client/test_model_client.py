"""Calls: what reaches the server, what the cache answers, and what both may do meanwhile."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import redis
from geulpi_client import (
    CacheUnavailable,
    InputRefused,
    ModelClient,
    UnexpectedAnswer,
    cache_entries,
    cache_stats,
    invalidate,
)
from geulpi_server import EmbeddedValkey
from tritonclient.grpc import service_pb2 as pb


@pytest.fixture
def model() -> str:
    """A name of its own, so that a shared cache knows nothing of it."""
    return f"m{uuid.uuid4().hex}"


@pytest.fixture
def client(peer, valkey_url):
    with ModelClient(peer.url, cache=valkey_url) as client:
        yield client


def written(client: ModelClient) -> None:
    """Wait until what was to be cached is in Redis."""
    deadline_s = time.monotonic() + 10
    while client._core.tiers._buffer.take_waits():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def rows(*firsts: float) -> dict[str, np.ndarray]:
    return {"X": np.array([[first, 0] for first in firsts], dtype=np.float32)}


def test_only_rows_that_the_cache_misses_are_asked(peer, client, model) -> None:
    """Answers from both come back in the order of the rows."""
    client.infer(model, rows(1, 3))
    result = client.infer_detailed(model, rows(1, 2, 3, 4))
    assert result.outputs["Y"][:, 0].tolist() == [1, 2, 3, 4]
    assert result.cached.tolist() == [True, False, True, False]
    assert result.version == "1"
    assert peer.rows_asked == [2, 2]


def test_rows_that_are_all_known_ask_nobody(peer, client, model) -> None:
    """A second call of the same rows is the cache's alone."""
    first = client.infer(model, rows(1, 2))
    again = client.infer_detailed(model, rows(2, 1))
    assert again.cached.all()
    assert again.outputs["Y"].tolist() == first["Y"][::-1].tolist()
    assert again.outputs["Y"].dtype == np.float32
    assert len(peer.requests) == 1


def test_equal_rows_of_a_batch_are_asked_once(peer, client, model) -> None:
    """Each caller's row still gets its answer."""
    assert client.infer(model, rows(5, 6, 5, 5))["Y"][:, 0].tolist() == [5, 6, 5, 5]
    assert peer.rows_asked == [2]


def test_without_a_cache_rows_go_as_they_are(peer) -> None:
    """Nothing is dropped, nothing counted as looked up."""
    with ModelClient(peer.url) as client:
        for _ in range(2):
            assert client.infer("m", rows(5, 5))["Y"].shape == (2, 2)
        assert peer.rows_asked == [2, 2]
        assert (client.stats().total.hits, client.stats().total.misses) == (0, 0)


def test_a_model_with_no_time_to_live_is_not_cached(peer, valkey_url, model) -> None:
    """For models whose rows depend on each other."""
    with ModelClient(peer.url, cache=valkey_url, ttl_s={model: 0}) as client:
        for _ in range(2):
            client.infer(model, rows(5, 5))
    assert peer.rows_asked == [2, 2]


def test_two_models_and_two_shapes_never_share_an_answer(peer, client, model) -> None:
    """Keys hold the model's name and the row's shape."""
    client.infer(model, rows(1))
    assert not client.infer_detailed(model + "b", rows(1)).cached.any()
    peer.input_shape = peer.output_shape = [-1, 1]
    time.sleep(1.05)  # metadata is trusted for a second
    assert not client.infer_detailed(model, {"X": [[1.0], [0.0]]}).cached.any()


def test_a_new_version_sees_no_old_answer(peer, client, model, echoing) -> None:
    """From the first call after the metadata's second; then its own answers are cached."""
    client.infer(model, rows(1))
    peer.versions, peer.infer = ["1", "10", "9"], echoing("10")
    time.sleep(1.05)
    fresh = client.infer_detailed(model, rows(1))
    assert (fresh.version, fresh.cached.tolist()) == ("10", [False])
    assert client.infer_detailed(model, rows(1)).cached.all()


def test_versions_do_not_mix_within_an_answer(peer, client, model, echoing) -> None:
    """A version that goes live between look-up and answer gets the whole batch."""
    client.infer(model, rows(1))
    peer.versions, peer.infer = ["2"], echoing("2")
    result = client.infer_detailed(model, rows(1, 2))
    assert (result.version, result.cached.tolist()) == ("2", [False, False])
    assert peer.rows_asked == [1, 1, 2]
    client.infer(model, rows(1, 2))
    assert client.infer_detailed(model, rows(1, 2)).cached.all()


def test_entries_are_kept_for_the_models_time(peer, valkey_url, model) -> None:
    """The default of 300 s, or what the client was told."""
    server = redis.Redis.from_url(valkey_url)
    for ttl_s, expected_ms in (({}, 300_000), ({model: 2.5}, 2_500)):
        invalidate(valkey_url, model)
        with ModelClient(peer.url, cache=valkey_url, ttl_s=ttl_s) as client:
            client.infer(model, rows(1))
        (key,) = server.scan_iter(match=f"ml_cache:{model}:1:*", count=10_000)
        assert expected_ms - 1000 < server.pttl(key) <= expected_ms
    server.close()


def test_a_poisoned_value_is_a_miss(peer, client, valkey_url, model) -> None:
    """Whatever stands at the key, the model's answer comes and replaces it."""
    client.infer(model, rows(1))
    written(client)
    server = redis.Redis.from_url(valkey_url)
    (key,) = server.scan_iter(match=f"ml_cache:{model}:1:*", count=10_000)
    for poison in (b"", b"\x80\x04.", server.get(key)[:-1]):
        server.set(key, poison)
        result = client.infer_detailed(model, rows(1))
        assert (result.outputs["Y"].tolist(), result.cached.tolist()) == ([[1, 0]], [False])
        written(client)
    assert client.infer_detailed(model, rows(1)).cached.all()
    server.delete(key)
    server.lpush(key, "a list")  # a value of another kind
    assert client.infer(model, rows(1))["Y"].tolist() == [[1, 0]]
    written(client)
    server.delete(key)
    server.close()


def test_a_batch_that_is_too_large_is_sent_in_pieces(peer, model, echoing) -> None:
    """The refusal tells how many rows the model takes; that is remembered, and learned anew."""
    limit = [8]

    def limited(request, context):
        if request.inputs[0].shape[0] > limit[0]:
            text = f"[request id: <id_unknown>] inference request batch-size must be <= {limit[0]}"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{text} for 'm'")
        return echoing("1")(request, context)

    peer.infer = limited
    with ModelClient(peer.url) as client:
        for now, expected in (
            (8, [20, 8, 8, 4]), (8, [8, 8, 4]), (3, [8, 3, 3, 2, 3, 3, 2, 3, 1])
        ):  # fmt: skip
            limit[0] = now
            peer.requests.clear()
            answer = client.infer(model, rows(*range(20)))["Y"]
            assert answer[:, 0].tolist() == list(range(20))
            assert peer.rows_asked == expected
        limit[0] = 0
        with pytest.raises(InputRefused):
            client.infer(model, rows(1))


def test_an_answer_with_other_rows_is_no_answer(peer, client, model) -> None:
    """A model that drops rows can't be cut into cached ones."""

    def one_row(request, _context):
        response = pb.ModelInferResponse(model_version="1")
        response.outputs.add(name="Y", datatype="FP32", shape=[1, 2])
        response.raw_output_contents.append(bytes(8))
        return response

    peer.infer = one_row
    with pytest.raises(UnexpectedAnswer, match=r"\[1, 2\] for 2 rows"):
        client.infer(model, rows(1, 2))


def test_a_model_without_batches_is_called_as_it_is(peer, client, model) -> None:
    """No rows, no cache, no splitting."""
    peer.input_shape = peer.output_shape = [2]
    for _ in range(2):
        assert client.infer(model, {"X": [1, 2]})["Y"].tolist() == [1, 2]
    assert len(peer.requests) == 2


def test_text_is_cached_as_text(peer, client, model) -> None:
    """BYTES rows of any length, in Korean or empty."""
    peer.datatype, peer.input_shape, peer.output_shape = "BYTES", [-1, 1], [-1, 1]
    for cached in (False, True):
        result = client.infer_detailed(model, {"X": ["치과 예약", "", "a"]})
        assert result.outputs["Y"].tolist() == [["치과 예약"], [""], ["a"]]
        assert result.cached.tolist() == [cached] * 3


def test_metadata_is_asked_once_a_second(peer, client, model) -> None:
    """Not once a call."""
    for _ in range(20):
        client.infer(model, rows(1))
    assert peer.metadata_requests == 1
    time.sleep(1.05)
    client.infer(model, rows(1))
    assert peer.metadata_requests == 2


def test_known_rows_are_answered_while_the_server_is_away(peer, client, model) -> None:
    """The last metadata known says which version's answers to look for."""
    client.infer(model, rows(1))
    peer.stop()
    time.sleep(1.05)
    assert client.infer_detailed(model, rows(1)).cached.all()


def test_a_cache_that_hangs_costs_a_bounded_time(peer, valkey_url, model, caplog) -> None:
    """Two calls pay a time-out, the others of that second none; one line is logged."""
    with EmbeddedValkey() as valkey, ModelClient(peer.url, cache=valkey.url) as client:
        client.infer(model, rows(1))
        written(client)
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            with caplog.at_level(logging.INFO, logger="geulpi_client"):
                took_s = []
                for n in range(10):
                    started_s = time.monotonic()
                    assert client.infer(model, rows(n))["Y"].tolist() == [[n, 0]]
                    took_s.append(time.monotonic() - started_s)
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        assert sum(took_s) < 0.5
        assert client.stats().cache_errors >= 1
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        time.sleep(1.05)
        client.infer(model, rows(1))
        assert client.infer_detailed(model, rows(1)).cached.all()


def test_a_caches_password_is_never_shown(peer, caplog) -> None:
    """Neither in repr nor in the log of an outage."""
    with ModelClient(peer.url, cache="redis://user:hunter2@127.0.0.1:1/0") as client:
        client.infer("m", rows(1))
        client.infer("m", rows(2))
        assert "hunter2" not in repr(client) + caplog.text
    assert "going on without it: cache='redis://***@127.0.0.1:1/0'" in caplog.text


def test_threads_get_their_own_answers(peer, client, model) -> None:
    """One client, many threads, one cache."""

    def one(n: int) -> bool:
        firsts = [n % 7, n % 5, n]
        return client.infer(model, rows(*firsts))["Y"][:, 0].tolist() == firsts

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(200)))
    assert client.stats().total.calls == 200


def test_statistics_say_what_happened(peer, client, model) -> None:
    """Calls, rows, hits, misses, errors by kind, latencies."""
    client.infer(model, rows(1, 2))
    client.infer(model, rows(2, 3))
    with pytest.raises(ValueError):
        client.infer(model, {})
    stats = client.stats().models[model]
    assert (stats.calls, stats.rows, stats.hits, stats.misses) == (3, 4, 1, 3)
    assert stats.hit_rate == 0.25
    assert stats.errors == {"InvalidTensor": 1}
    assert 0 < stats.latency_p50_ms <= stats.latency_p99_ms
    assert client.stats().total == stats


def test_processes_share_their_counters(peer, valkey_url, model) -> None:
    """Each client adds its hits and misses at close at the latest."""
    for _ in range(2):
        with ModelClient(peer.url, cache=valkey_url) as client:
            client.infer(model, rows(1, 2))
    stats = cache_stats(valkey_url)[model]
    assert (stats.hits, stats.misses, stats.hit_rate) == (2, 2, 0.5)


def test_results_of_one_model_are_dropped(peer, client, valkey_url, model) -> None:
    """And only its: a name that begins alike, or has a glob's signs, keeps its own."""
    for name in (model, model + "x", model + ":1"):
        client.infer(name, rows(1, 2))
    written(client)
    assert invalidate(valkey_url, model[:-1] + "?") == 0
    assert invalidate(valkey_url, model) == 2
    assert not client.infer_detailed(model, rows(1, 2)).cached.any()
    assert client.infer_detailed(model + "x", rows(1, 2)).cached.all()
    assert client.infer_detailed(model + ":1", rows(1, 2)).cached.all()
    assert cache_entries(valkey_url)[model + ":1"] == 2


def test_many_results_are_dropped_in_pieces(peer, client, valkey_url, model) -> None:
    """More than one SCAN's worth."""
    client.infer(model, rows(*range(2500)))
    written(client)
    assert invalidate(valkey_url, model) == 2500


@pytest.mark.parametrize("ask", [cache_stats, cache_entries, lambda url: invalidate(url, None)])
def test_a_cache_that_is_away_is_told_to_operators(ask) -> None:
    """Only calls go on without it."""
    with pytest.raises(CacheUnavailable, match=r"redis://\*\*\*@127.0.0.1:1/0") as caught:
        ask("redis://:hunter2@127.0.0.1:1/0")
    assert "hunter2" not in str(caught.value)


def test_no_thread_is_left(peer, valkey_url) -> None:
    """Those that write to the cache end with the client."""
    before = threading.active_count()
    with ModelClient(peer.url, cache=valkey_url) as client:
        client.infer("m", rows(1))
    assert threading.active_count() <= before + 1  # the peer's own worker
