"""The published wrapper on a real server: code that travels, instances, metrics, refusals."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
from geulpi_conversion import ServingConfig, convert, publish
from geulpi_conversion._config import parse_config, write_config
from geulpi_server import EmbeddedTriton, ModelsNotReady
from scipy import special
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tritonclient.utils import InferenceServerException

ROWS = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(int)

# As a user has them beside a script: two files, one of which uses the other.
TABLES = """
def nearest(table, keys):
    return table[keys % len(table)]
"""
OWN = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
import own_tables

class Lookup(RegressorMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.table_ = np.arange(10_000_000, dtype=np.float64)  # 76 MiB: to be mapped
        return self

    def predict(self, X):
        return own_tables.nearest(self.table_, np.abs(X[:, 0] * 1000).astype(int))

class Sign(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        if np.abs(X).max() > 1e6:
            raise RuntimeError("too far")
        return own_tables.nearest(self.classes_, (X[:, 0] > 0).astype(int))

class Company(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.full((len(X), 1), float(len(X)))
"""


def bessel() -> Pipeline:
    """Return a classifier with a step that ONNX has no form for."""
    return make_pipeline(FunctionTransformer(special.i0), NearestCentroid())


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A module of the user's own, which no server has."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_tables.py").write_text(TABLES)
    (folder / "own_model.py").write_text(OWN)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("own_model")
    sys.path.remove(str(folder))
    for name in ("own_model", "own_tables"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def repository(own: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python")
    pair = ServingConfig.for_backend("python", instances=2, trim_every=3)
    for name, estimator, serving in (
        ("centroid", bessel(), pair),
        ("lookup", own.Lookup(), pair),
        ("sign", own.Sign(), None),
        ("company", own.Company(), None),
    ):
        converted = convert(estimator.fit(ROWS, LABELS), ROWS, name=name)
        assert converted.backend == "python"
        publish(converted, folder, serving=serving)
    # Let its requests meet in one execution: the wrapper must keep them apart by itself.
    company = folder / "company" / "config.pbtxt"
    company.write_text(
        company.read_text() + "dynamic_batching { max_queue_delay_microseconds: 9000 }"
    )
    return folder


@pytest.fixture(scope="module")
def served(repository: Path) -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(repository) as triton:
        yield triton


def ask(triton: EmbeddedTriton, model: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    x = triton_grpc.InferInput("X", rows.shape, "FP32")
    x.set_data_from_numpy(rows)
    with triton_grpc.InferenceServerClient(triton.grpc_url) as client:
        answer = client.infer(model, [x], client_timeout=30)
        return {o.name: answer.as_numpy(o.name) for o in answer.get_response().outputs}


def metrics(triton: EmbeddedTriton, model: str) -> dict[str, float]:
    """Return the wrapper's metrics of a model, by name and the labels beyond model and version."""
    with urllib.request.urlopen(triton.metrics_url) as page:
        text = page.read().decode()
    found = {}
    for name, labels, value in re.findall(
        r"^(geulpi_python_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE
    ):
        own = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if own.pop("model") == model:
            assert own.pop("version") == "1"
            found[" ".join([name, *own.values()])] = float(value)
    return found


def settled(triton: EmbeddedTriton, model: str) -> dict[str, float]:
    """Return a model's metrics once nothing is under way any more."""
    before: dict[str, float] = {}
    for _ in range(20):
        time.sleep(0.7)
        now = metrics(triton, model)
        if before == now:
            return now
        before = now
    raise AssertionError("the metrics never settled")


def edit(repository: Path, model: str, parameter: str, value: str) -> None:
    path = repository / model / "config.pbtxt"
    config = parse_config(path.read_text(encoding="utf-8"))
    config.parameters[parameter].string_value = value
    path.write_text(write_config(config), encoding="utf-8")


def test_own_code_travels_with_the_artefact(
    served: EmbeddedTriton, own: Any, repository: Path
) -> None:
    """Estimators of the user's own modules answer on a server that does not have them."""
    answer = ask(served, "sign", ROWS[:50])
    np.testing.assert_array_equal(
        answer["label"][:, 0], own.Sign().fit(ROWS, LABELS).predict(ROWS[:50])
    )
    answer = ask(served, "lookup", ROWS[:50])
    expected = own.Lookup().fit(ROWS).predict(ROWS[:50])
    np.testing.assert_allclose(answer["prediction"][:, 0], expected)
    libraries = parse_config((repository / "sign" / "config.pbtxt").read_text()).parameters
    assert "cloudpickle" in json.loads(libraries["libraries.1"].string_value)


def test_instances_share_the_pages_of_a_large_artefact(
    served: EmbeddedTriton, repository: Path
) -> None:
    """Each of two instances holds half of the mapped file, and nothing of it for itself."""
    ask(served, "lookup", ROWS[:200])
    size = (repository / "lookup" / "1" / "estimator.mapped").stat().st_size
    shares = []
    for process in psutil.Process(served.pid).children(recursive=True):
        own = [m for m in process.memory_maps() if m.path.endswith("lookup/1/estimator.mapped")]
        if own:
            assert sum(m.private_dirty + m.private_clean for m in own) == 0
            shares.append(sum(m.pss for m in own))
    assert len(shares) == 2
    np.testing.assert_allclose(shares, size / 2, rtol=0.02)


def test_metrics_tell_what_was_asked(served: EmbeddedTriton) -> None:
    """Rows, batches and seconds add up over two instances; each tells its own memory."""
    before = settled(served, "centroid")
    sizes = [1, 2, 3, 5, 64] * 4
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: ask(served, "centroid", ROWS[:n]), sizes))
    after = settled(served, "centroid")
    gained = {key: after[key] - before.get(key, 0) for key in after}
    assert gained["geulpi_python_rows_total"] == sum(sizes)
    assert gained["geulpi_python_batch_rows_sum"] == sum(sizes)
    executions = gained["geulpi_python_batch_rows_count"]
    assert 5 <= executions <= len(sizes)
    assert gained["geulpi_python_predict_seconds_count"] == executions
    assert 0 < gained["geulpi_python_predict_seconds_sum"] < 5
    assert gained["geulpi_python_batch_rows_bucket +Inf"] == executions
    memory = [v for key, v in after.items() if key.startswith("geulpi_python_resident_bytes")]
    assert len(memory) == 2
    assert all(20e6 < value < 1e9 for value in memory)
    assert not any("errors" in key for key in after)


def test_errors_are_counted_by_kind(served: EmbeddedTriton) -> None:
    """What a sender did wrong is told apart from what an estimator can't do."""
    for value, said in ((np.nan, "NaN"), (1e9, "RuntimeError: too far")):
        rows = ROWS[:1].copy()
        rows[0, 1] = value
        model = "centroid" if np.isnan(value) else "sign"
        with pytest.raises(InferenceServerException, match=said):
            ask(served, model, rows)
    kinds = "geulpi_python_errors_total "
    assert settled(served, "centroid")[f"{kinds}invalid_argument"] == 1
    assert settled(served, "sign")[f"{kinds}internal"] == 1


def test_an_answer_that_depends_on_the_batch_is_asked_by_request(
    served: EmbeddedTriton, repository: Path
) -> None:
    """Requests at the same time don't see each other where an answer depends on the others."""
    config = parse_config((repository / "company" / "config.pbtxt").read_text(encoding="utf-8"))
    assert config.parameters["batching"].string_value == "request"
    with ThreadPoolExecutor(16) as pool:
        found = list(
            pool.map(lambda n: ask(served, "company", ROWS[:n])["features"], [1, 2, 3] * 20)
        )
    assert all((answer == len(answer)).all() for answer in found)


def test_serving_goes_on_without_metrics(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that keeps no metrics gets none, and its models answer."""
    shutil.copytree(repository / "sign", tmp_path / "sign")
    flags = EmbeddedTriton._flags
    monkeypatch.setattr(
        EmbeddedTriton, "_flags", lambda *args: [*flags(*args), "--allow-metrics=false"]
    )
    # Such a server opens no port for them, which the embedded one else waits for.
    monkeypatch.setattr(EmbeddedTriton, "_listens_everywhere", lambda _self: True)
    with EmbeddedTriton(tmp_path) as triton:
        for _ in range(3):
            assert len(ask(triton, "sign", ROWS[:2])["label"]) == 2


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("batching", "often", r"batching is 'often'. Remedy: set 'rows' or 'request'"),
        ("trim_every", "-1", r"trim_every is '-1'. Remedy: set a number of executions, or 0"),
        (
            "libraries.1",
            {"scikit-learn": "0.24.2"},
            r"scikit-learn 0\.24\.2.*scikit-learn 0\.24 in",
        ),
        (
            "libraries.1",
            {"python": "3.10.2", "cloudpickle": "3"},
            r"Python 3\.10\.2.*Python 3\.10 in",
        ),
    ],
)
def test_a_start_that_can_not_be_right_is_refused(
    tmp_path: Path, parameter: str, value: str | dict[str, str], said: str
) -> None:
    """Settings and versions that don't fit stop the start, with the remedy."""
    publish(convert(bessel().fit(ROWS, LABELS), ROWS, name="centroid"), tmp_path)
    edit(tmp_path, "centroid", parameter, value if isinstance(value, str) else json.dumps(value))
    with pytest.raises(ModelsNotReady) as failed, EmbeddedTriton(tmp_path):
        pass
    assert re.search(said, failed.value.reasons["centroid"]), failed.value.reasons
