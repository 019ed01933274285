"""The embedded server, for real: readiness, control, revival, clean ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from geulpi_server import EmbeddedTriton, EmbeddedValkey, ModelsNotReady, PortTaken
from geulpi_server._watchdog import living_stubs
from repositories import SUM_CONFIG, TWICE_CONFIG, sum_graph, write_model
from tritonclient.utils import InferenceServerException

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def served(hand_made: Path) -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(hand_made) as triton:
        yield triton


def ask(triton: EmbeddedTriton, model: str, name: str, tensor: np.ndarray) -> dict[str, np.ndarray]:
    kind = "BYTES" if tensor.dtype == np.object_ else "FP32"
    tensor_in = triton_grpc.InferInput(name, tensor.shape, kind)
    tensor_in.set_data_from_numpy(tensor)
    with triton_grpc.InferenceServerClient(triton.grpc_url) as client:
        answer = client.infer(model, [tensor_in], client_timeout=20)
        return {o.name: answer.as_numpy(o.name) for o in answer.get_response().outputs}


def fetch(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def wait_until(holds: Callable[[], bool], *, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def leftovers(pid: int) -> list[str]:
    found = [p.name for p in Path("/dev/shm").iterdir() if p.name.startswith(f"geulpi_{pid}_")]
    return found + [p.name for p in Path("/tmp").glob(f"geulpi-run-{pid}_*")]


def running(pids: list[int]) -> list[int]:
    return [p for p in pids if Path(f"/proc/{p}").exists()]


def test_models_of_both_backends_answer(served: EmbeddedTriton) -> None:
    """One server serves ONNX and Python models, over gRPC and HTTP."""
    x = np.array([[1, 2]], dtype=np.float32)
    assert ask(served, "twice", "X", x)["Y"].tolist() == [[2, 4]]
    assert ask(served, "sum", "X", x)["S"].tolist() == [[3]]
    body = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    url = f"{served.http_url}/v2/models/sum/infer"
    with urllib.request.urlopen(url, data=json.dumps(body).encode(), timeout=10) as response:
        assert json.load(response)["outputs"][0]["data"] == [3]
    assert fetch(f"{served.http_url}/v2/health/ready") == 200
    assert fetch(served.metrics_url) == 200


def test_concurrent_requests_are_batched_and_kept_apart(served: EmbeddedTriton) -> None:
    """Triton's batches reach ONNX Runtime as one run; every caller gets its own rows."""

    def one(n: int) -> bool:
        rows = np.full((1 + n % 3, 2), n, dtype=np.float32)
        return (ask(served, "sum", "X", rows)["S"] == 2 * n).all()

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(one, range(200)))
    with urllib.request.urlopen(f"{served.http_url}/v2/models/sum/stats", timeout=10) as response:
        stats = json.load(response)["model_stats"][0]
    assert stats["execution_count"] < stats["inference_count"]


def test_a_bad_request_fails_alone(served: EmbeddedTriton) -> None:
    """Invalid UTF-8 and NUL fail with a reason; their neighbours in the batch are answered."""
    elements = [b"good", b"\xff\xfe", "치과".encode(), b"nul\0byte"] * 4

    def one(element: bytes) -> str:
        try:
            tensor = np.array([[element]], dtype=np.object_)
            return ask(served, "text", "T", tensor)["L"][0, 0].decode()
        except InferenceServerException as error:
            return f"{error.status()} {error.message()}"

    with ThreadPoolExecutor(len(elements)) as pool:
        answers = list(pool.map(one, elements))
    assert answers[0::4] == ["good"] * 4
    assert answers[2::4] == ["치과"] * 4
    assert all("INVALID_ARGUMENT" in a and "not UTF-8" in a for a in answers[1::4])
    assert all("INVALID_ARGUMENT" in a and "NUL" in a for a in answers[3::4])


@pytest.mark.parametrize("path", ["v2/repository/index", "v2/logging", "v2/trace/setting"])
def test_control_apis_want_the_key(served: EmbeddedTriton, path: str) -> None:
    """Without the key of this start they answer 403, with it 200."""
    body = b"" if path.endswith("index") else None
    url = f"{served.http_url}/{path}"
    assert fetch(url, body) == 403
    assert fetch(url, body, {served.control_header[0]: "wrong"}) == 403
    assert fetch(url, body, dict([served.control_header])) == 200


def test_control_apis_want_the_key_over_grpc(served: EmbeddedTriton) -> None:
    """The gRPC twin is closed too."""
    with triton_grpc.InferenceServerClient(served.grpc_url) as client:
        for call in (client.get_model_repository_index, client.get_system_shared_memory_status):
            with pytest.raises(InferenceServerException, match="restricted"):
                call()
        header = {f"triton-grpc-protocol-{served.control_header[0]}": served.control_header[1]}
        client.get_model_repository_index(headers=header)


def test_the_key_is_new_at_each_start(hand_made: Path) -> None:
    """Nobody can know it beforehand."""
    keys = {EmbeddedTriton(hand_made).control_header[1] for _ in range(3)}
    assert len(keys) == 3


def test_it_listens_on_the_loopback_alone(served: EmbeddedTriton) -> None:
    """Unless told otherwise no other machine can reach it."""
    port = int(served.grpc_url.rpartition(":")[2])
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    addresses = re.findall(rf": (\w+):{port:04X} \w+:0000 0A", listening)
    assert addresses
    assert all(address.endswith("0100007F") for address in addresses)  # also as ::ffff:127.0.0.1


@pytest.mark.parametrize("model", ["twice", "sum"])
def test_a_dead_python_process_is_replaced(served: EmbeddedTriton, model: str) -> None:
    """kill -9 of a model's process: within seconds the model answers again."""
    x = np.array([[1, 2]], dtype=np.float32)
    (dead,) = [pid for pid, name in living_stubs(served.pid).items() if name[0] == model]
    os.kill(dead, signal.SIGKILL)

    def answers() -> bool:
        try:
            return bool(ask(served, model, "X", x))
        except InferenceServerException:
            return False

    time.sleep(0.1)
    wait_until(answers, within_s=10)
    assert dead not in living_stubs(served.pid)


@pytest.mark.parametrize("unloads", [True, False])
def test_a_reload_by_an_operator_is_no_death(
    served: EmbeddedTriton, caplog: pytest.LogCaptureFixture, unloads: bool
) -> None:
    """The old process lives on for a while beside the new one; its end is not missed."""
    name, value = served.control_header
    headers = {f"triton-grpc-protocol-{name}": value}
    (old,) = [pid for pid, stub in living_stubs(served.pid).items() if stub[0] == "twice"]
    with triton_grpc.InferenceServerClient(served.grpc_url) as client:
        if unloads:
            client.unload_model("twice", headers=headers)
        client.load_model("twice", headers=headers)
    wait_until(lambda: old not in living_stubs(served.pid) or not unloads, within_s=10)
    new = {pid for pid, stub in living_stubs(served.pid).items() if stub[0] == "twice"}
    time.sleep(1.5)  # three looks of the watchdog
    assert {pid for pid, stub in living_stubs(served.pid).items() if stub[0] == "twice"} == new
    assert "died" not in caplog.text
    x = np.array([[1, 2]], dtype=np.float32)
    assert ask(served, "twice", "X", x)


def test_nothing_is_left_after_a_stop(hand_made: Path) -> None:
    """No process, shared memory or folder, also when a Python process had died."""
    others = set(leftovers(os.getpid()))
    with EmbeddedTriton(hand_made) as triton:
        pids = [triton.pid, *living_stubs(triton.pid)]
        assert len(pids) == 4
        assert set(leftovers(os.getpid())) > others
        os.kill(pids[1], signal.SIGKILL)
    assert not running(pids)
    assert set(leftovers(os.getpid())) <= others


def test_nothing_outlives_an_owner_that_is_killed(hand_made: Path) -> None:
    """kill -9 of the process that holds the servers ends them and removes what they used."""
    script = (
        "import sys, time\n"
        "from geulpi_server import EmbeddedTriton, EmbeddedValkey\n"
        "from geulpi_server._watchdog import living_stubs\n"
        f"v = EmbeddedValkey(); v.start(); t = EmbeddedTriton({str(hand_made)!r}); t.start()\n"
        "print(v.pid, t.pid, *living_stubs(t.pid), flush=True); time.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with owner:
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) == 5
        assert leftovers(owner.pid)
        owner.kill()
    wait_until(lambda: not running(pids))
    wait_until(lambda: not leftovers(owner.pid))


def test_a_model_that_can_not_load_is_named(tmp_path: Path) -> None:
    """A start with a broken model fails with the model, the reason and the remedy."""
    write_model(tmp_path, TWICE_CONFIG, "model.py", "raise RuntimeError('no such thing')")
    path = write_model(tmp_path, SUM_CONFIG, "model.onnx", sum_graph().SerializeToString())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelsNotReady) as failure, EmbeddedTriton(tmp_path):
        pass
    assert set(failure.value.reasons) == {"twice", "sum"}
    assert "no such thing" in failure.value.reasons["twice"]
    assert "ONNX Runtime can't load" in failure.value.reasons["sum"]
    assert "Remedy" in str(failure.value)


def test_a_model_that_does_not_answer_is_not_ready(tmp_path: Path) -> None:
    """A model that loads but fails its canary inference is reported, not served."""
    code = (
        "class TritonPythonModel:\n    def execute(self, requests):\n        raise ValueError('x')"
    )
    write_model(tmp_path, TWICE_CONFIG, "model.py", code)
    with pytest.raises(ModelsNotReady, match="its canary inference failed"):
        EmbeddedTriton(tmp_path).start()


def test_a_second_server_on_the_same_port_is_refused(
    served: EmbeddedTriton, hand_made: Path, valkey: EmbeddedValkey
) -> None:
    """The port is named before anything is started."""
    port = int(served.grpc_url.rpartition(":")[2])
    with pytest.raises(PortTaken, match=f"Port {port} "):
        EmbeddedTriton(hand_made, grpc_port=port).start()
    with pytest.raises(PortTaken, match=f"Port {valkey.port} "):
        EmbeddedValkey(port=valkey.port).start()


def free_ports(count: int) -> list[int]:
    with_sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in with_sockets]
    for s in with_sockets:
        s.close()
    return ports


def test_serve_says_what_runs_and_ends_on_ctrl_c(hand_made: Path, tmp_path: Path) -> None:
    """`geulpi serve` shows models, addresses and what to try; Ctrl-C ends it with exit code 0."""
    http, grpc, metrics, redis = free_ports(4)
    command = [
        BIN / "geulpi", "serve", "--model-repository", hand_made, "--http-port", str(http),
        "--grpc-port", str(grpc), "--metrics-port", str(metrics), "--redis-port", str(redis),
    ]  # fmt: skip
    environment = os.environ | {"HOME": str(tmp_path), "COLUMNS": "120"}
    serve = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    with serve:
        said = ""
        while "Ctrl-C" not in said:
            line = serve.stdout.readline()
            assert line, said
            said += line
        assert fetch(f"http://127.0.0.1:{http}/v2/health/ready") == 200
        serve.send_signal(signal.SIGINT)
        said += serve.stdout.read()
    assert serve.returncode == 0
    for word in ("twice", "sum", str(http), str(grpc), str(redis), "geulpi classify", "stopped"):
        assert word in said
    assert not leftovers(serve.pid)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--model-repository", "/nowhere"], 2, "no such folder"),
        (["--http-port", "0"], 2, "1 to 65535"),
        (["--host", "192.0.2.1"], 2, "192.0.2.1"),
        (["--http-port", "eighty"], 2, "--http-port"),
    ],
)
def test_serve_refuses_bad_options(
    hand_made: Path, options: list[str], code: int, words: str
) -> None:
    """Exit code 2, one sentence, no traceback."""
    command = [BIN / "geulpi", "serve", "--model-repository", hand_made, *options]
    command += ["--redis-url", "redis://localhost:1/0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_ready_means_that_every_port_takes_connections(hand_made: Path) -> None:
    """The first request after the start finds gRPC, HTTP and metrics open, each time."""
    for _ in range(5):
        with EmbeddedTriton(hand_made) as triton:
            for url in (triton.http_url, triton.metrics_url, f"http://{triton.grpc_url}"):
                address = urlsplit(url)
                with socket.create_connection((address.hostname, address.port), timeout=1):
                    pass
