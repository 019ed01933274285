"""The whole way: estimator, repository, Triton, client, cache; and the README's own commands."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from geulpi_client import GeulpiClient, ModelClient
from geulpi_conversion import convert, publish
from geulpi_perf._bench.measure import Asked, measure
from geulpi_perf._bench.targets import Target
from geulpi_perf._errors import BenchFailed
from geulpi_perf._perf_analyzer import find_perf_analyzer
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BIN = Path(sys.executable).parent
X = np.random.RandomState(5).randn(300, 5)
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


def test_estimators_answer_through_triton_as_they_do_themselves(
    tmp_path: Path, valkey_url: str
) -> None:
    """An ONNX model, a Python one and one with string labels, in one server, cached or not."""
    estimators = {
        "rf": make_pipeline(StandardScaler(), RandomForestClassifier(30, random_state=0)).fit(X, Y),
        "neighbors": KNeighborsClassifier(metric="canberra").fit(X, Y),
        "words": LogisticRegression().fit(X, np.where(Y, "예", "아니오")),
    }
    backends = {}
    for name, estimator in estimators.items():
        converted = convert(estimator, X, name=name)
        backends[name] = converted.backend
        publish(converted, tmp_path)
    assert backends == {"rf": "onnxruntime", "neighbors": "python", "words": "onnxruntime"}
    with (
        EmbeddedTriton(tmp_path) as triton,
        ModelClient(triton.grpc_url, cache=valkey_url, timeout_s=30) as client,
    ):
        for name, estimator in estimators.items():
            for _ in ("asked", "cached"):
                answer = client.infer(name, {"X": X})
                assert answer["label"].ravel().tolist() == estimator.predict(X).tolist()
                if hasattr(estimator, "predict_proba"):
                    expected = estimator.predict_proba(X)
                    assert np.allclose(answer["probabilities"], expected, atol=1e-5)
        assert client.stats().models["rf"].hits == len(X)


def test_the_committed_classifier_is_served(triton: EmbeddedTriton) -> None:
    """model_repository/ in the checkout answers, without any training."""
    from geulpi_client import Event

    with GeulpiClient(triton.grpc_url) as geulpi:
        answers = geulpi.classify([Event(title="치과 예약"), Event(title="Platform team standup")])
    assert [answer.category for answer in answers] == ["health", "meeting"]
    assert all(len(answer.probabilities) == 10 for answer in answers)
    assert all(abs(sum(a.probabilities.values()) - 1) < 1e-4 for a in answers)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_perf_analyzer_measures_a_model(triton: EmbeddedTriton, root: Path, protocol: str) -> None:
    """The real perf_analyzer, with the model's own sample, over both protocols."""
    url = triton.grpc_url if protocol == "grpc" else triton.http_url.removeprefix("http://")
    measured = measure(
        find_perf_analyzer(),
        Asked("event_classifier", 0.5, root / "model_repository"),
        Target(protocol, url, triton.control_header),
        concurrency=2,
    )
    assert measured.concurrency == 2
    assert measured.requests_per_s > 0
    assert 0 < measured.p50_us <= measured.p99_us
    assert measured.compute_us > 0


def test_a_measurement_that_can_not_be_is_explained(triton: EmbeddedTriton, root: Path) -> None:
    """No server, no such model: what perf_analyzer says, and the remedy."""
    tool = find_perf_analyzer()
    for target, model, remedy in (
        (Target("grpc", "localhost:1", None), "event_classifier", "start the server"),
        (Target("grpc", triton.grpc_url, None), "fortune_teller", "geulpi status"),
    ):
        with pytest.raises(BenchFailed, match=remedy):
            measure(tool, Asked(model, 0.5, root), target, concurrency=1)


class Served:
    """A `geulpi serve` on its README ports, or on others where those are taken."""

    def __init__(self, root: Path, home: Path) -> None:
        names = {8000: "http-port", 8001: "grpc-port", 8002: "metrics-port", 6379: "redis-port"}
        self.ports = {port: free_port() for port in names}
        options = [f"--{name}={self.ports[port]}" for port, name in names.items()]
        environment = os.environ | {"HOME": str(home), "COLUMNS": "120"}
        self.process = subprocess.Popen(
            [BIN / "geulpi", "serve", *options],
            cwd=root, env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ctrl-C" in line:
                break

    def stop(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def run(self, command: str, root: Path, home: Path) -> str:
        """Run one line of the README in a shell, with this server's ports in place of its own."""
        for port, actual in self.ports.items():
            command = command.replace(f"localhost:{port}", f"localhost:{actual}")
        if command.startswith("geulpi"):
            url = f"localhost:{self.ports[8001]}"
            command += f" --url {url} --cache redis://localhost:{self.ports[6379]}/0"
        environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(home)}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def served(root: Path, home: Path) -> Iterator[Served]:
    server = Served(root, home)
    yield server
    assert server.stop() == 0


def readme_commands(root: Path) -> list[str]:
    """The commands of the README's console blocks, as they are typed."""
    blocks = re.findall(r"```console\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    return [
        re.sub(r"\s+# .*", "", command).strip()
        for block in blocks
        for command in re.findall(r"^\$ ((?:.|\n(?!\$))*)", block, re.MULTILINE)
    ]


def test_the_readmes_commands_work(served: Served, root: Path, home: Path) -> None:
    """Every console command but make runs as printed, and says what the README promises."""
    commands = readme_commands(root)
    assert {"make serve", "make test"} <= set(commands)
    said = {c: served.run(c, root, home) for c in commands if not c.startswith("make")}
    assert len(said) == 9
    for command, output in said.items():
        if "infer" in command:
            outputs = {o["name"]: o["data"] for o in json.loads(output)["outputs"]}
            assert outputs.get("label", ["health"]) == ["health"]
            if "week_insights" in command:
                assert 0 < outputs["probability"][0] < 1
            if "schedule_optimizer" in command:
                assert json.loads(outputs["schedule"][0])["status"] == "optimal"
        if "--json" in command:
            answers = json.loads(output)
            assert [a["title"] for a in answers] == ["치과 예약", "Standup with the platform team"]
            # The command before this one asked for the same titles.
            assert all(answer["cached"] for answer in answers)
            assert all(len(answer["probabilities"]) == 10 for answer in answers)
            assert set(answers[0]) == {
                "title", "category", "confidence", "probabilities", "cached",
            }  # fmt: skip
        if "metrics" in command:
            assert "nv_inference_request_success" in output


def test_status_tells_models_and_cache(served: Served, root: Path, home: Path) -> None:
    """`geulpi status --json` and `geulpi cache stats --json` agree on hits and misses."""
    served.run('geulpi classify "책 읽기"', root, home)
    status = json.loads(served.run("geulpi status --json", root, home))
    models = {model["name"]: model for model in status["models"]}
    assert {"schedule_optimizer", "balance_analyzer", "week_insights"} <= models.keys()
    model = models["event_classifier"]
    assert model["backend"] == "onnxruntime"
    assert model["ready"] is True
    assert model["versions"]
    assert status["cache"]["reachable"] is True
    assert status["cache"]["misses"] >= 1
    assert status["cache"]["hits"] >= 0


def test_the_readmes_python_works(
    root: Path, tmp_path: Path, triton: EmbeddedTriton, valkey: EmbeddedValkey
) -> None:
    """Each Python block of the README runs as printed."""
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        code = block.replace("localhost:8001", triton.grpc_url)
        code = code.replace("redis://localhost:6379/0", valkey.url)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    forest, nearest = done.stdout.splitlines()
    assert re.fullmatch(r"onnxruntime  equal on 500 rows and \d+ made to provoke", forest)
    assert re.fullmatch(r"python ONNX.*'canberra'.* equal on 500 rows and \d+ made .*", nearest)
    assert (tmp_path / "my_repository" / "churn" / "1" / "model.onnx").exists()
