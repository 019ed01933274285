"""What is published for the Python backend loads as published, anywhere, or says why not."""

from __future__ import annotations

import ast
import hashlib
import importlib
import io
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
import skops.io
from geulpi_conversion import _python
from geulpi_conversion._backend.geulpi_artefact import (
    ALIGNMENT,
    ArtefactRefused,
    check_libraries,
    load,
    load_estimator,
    pack,
    unpack,
)
from geulpi_conversion._backend.geulpi_served import (
    Column,
    Layout,
    RequestRefused,
    ServedEstimator,
)
from geulpi_conversion._candidate import Candidate
from geulpi_conversion._modules import is_own, pickled
from geulpi_conversion._python import joblib_candidate, skops_candidate
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor

LAYOUT = Layout("array", (Column("X", "X"),))
KINDS = ("estimator.skops", "estimator.joblib", "estimator.mapped")
OWN = """
import numpy as np
from numpy import log1p
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import FunctionTransformer
import own_helper

FACTOR = 3.0

class Scaled(TransformerMixin, BaseEstimator):
    def __init__(self, by=1.0):
        self.by = by

    def fit(self, X, y=None):
        self.step_ = FunctionTransformer(log1p)
        return self

    def transform(self, X):
        return self.step_.transform(own_helper.scaled(np.abs(X), FACTOR * self.by))
"""
HELPER = "def scaled(x, by):\n    return plain(x) * by\n\ndef plain(x):\n    return x\n"
# Loads an artefact as a server would: from its folder, without the path of whoever made it.
ELSEWHERE = """
import json, sys
from pathlib import Path
sys.path.append(sys.argv[1])
from geulpi_artefact import load_estimator
estimator = load_estimator(Path(sys.argv[1]), "1", json.loads(sys.argv[2]))
print(estimator.transform([[1.0, -2.0]]).tolist())
"""


def written(candidate: Candidate, folder: Path) -> dict[str, str]:
    """Write a candidate's files; return the parameters that config.pbtxt would have."""
    for name, content in candidate.files.items():
        (folder / name).write_bytes(content)
    return {
        "sha256.1": hashlib.sha256(candidate.files[candidate.artefact]).hexdigest(),
        "trusted.1": json.dumps(candidate.trusted),
        "libraries.1": json.dumps({"scikit-learn": sklearn.__version__}),
    }


def run(code: str, *arguments: str, folder: Path | str = "/") -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code, *arguments],
        cwd=folder, env={}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of the user's own, which uses another one."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "own_scaled.py").write_text(OWN)
    (folder / "own_helper.py").write_text(HELPER)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("own_scaled")
    for name in ("own_scaled", "own_helper"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def fitted(rows: np.ndarray, labels: np.ndarray) -> NearestCentroid:
    return NearestCentroid().fit(rows, labels)


@pytest.fixture
def candidate(
    request: pytest.FixtureRequest, fitted: NearestCentroid, monkeypatch: pytest.MonkeyPatch
) -> Candidate:
    """The estimator in an artefact of each kind."""
    if request.param == "estimator.skops":
        return skops_candidate(fitted, LAYOUT)
    if request.param == "estimator.mapped":
        monkeypatch.setattr(_python, "ARRAY_FROM", 1)
        monkeypatch.setattr(_python, "MAPPED_FROM", 1)
    return joblib_candidate(fitted, LAYOUT)


every_kind = pytest.mark.parametrize("candidate", KINDS, indirect=True, ids=lambda k: k[10:])


@every_kind
def test_an_artefact_answers_as_the_estimator(
    tmp_path: Path, candidate: Candidate, fitted: NearestCentroid, rows: np.ndarray
) -> None:
    """Whatever its kind, it is loaded from its folder and gives the same answers."""
    assert candidate.artefact in KINDS
    parameters = written(candidate, tmp_path)
    served = ServedEstimator(load_estimator(tmp_path, "1", parameters), LAYOUT)
    answers = served.infer({"X": rows}, ["label", "probabilities"])
    assert (answers["label"].dtype, answers["probabilities"].dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(answers["label"][:, 0], fitted.predict(rows))
    np.testing.assert_allclose(answers["probabilities"], fitted.predict_proba(rows), rtol=1e-6)


@every_kind
@pytest.mark.parametrize("damage", ["changed", "emptied", "missing", "unpinned"])
def test_a_damaged_artefact_is_refused(tmp_path: Path, candidate: Candidate, damage: str) -> None:
    """A file that is not the published one is never loaded; digests and remedy are named."""
    parameters = written(candidate, tmp_path)
    artefact = tmp_path / candidate.artefact
    if damage == "changed":
        content = artefact.read_bytes()
        artefact.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "emptied":
        artefact.write_bytes(b"")
    elif damage == "missing":
        artefact.unlink()
    else:
        del parameters["sha256.1"]
    with pytest.raises(ArtefactRefused, match="Remedy: publish the model again") as refused:
        load_estimator(tmp_path, "1", parameters)
    if damage == "changed":
        assert parameters["sha256.1"] in str(refused.value)


def test_nothing_is_unpickled_before_the_digest_is_known(
    tmp_path: Path, fitted: NearestCentroid
) -> None:
    """Code in a file that was put in place of the published one does not run."""
    parameters = written(joblib_candidate(fitted, LAYOUT), tmp_path)
    touched = tmp_path / "touched"

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return Path.touch, (touched,)

    joblib.dump(Bomb(), tmp_path / "estimator.joblib", compress=("zlib", 3))
    with pytest.raises(ArtefactRefused, match="SHA-256"):
        load_estimator(tmp_path, "1", parameters)
    assert not touched.exists()
    joblib.load(tmp_path / "estimator.joblib")
    assert touched.exists()  # it is a bomb indeed


def test_trusted_types_are_pinned(tmp_path: Path, rows: np.ndarray) -> None:
    """skops loads the types that the artefact was found to hold, and no others."""
    trees = DecisionTreeRegressor(max_depth=2)
    model = make_pipeline(FunctionTransformer(np.tanh), trees).fit(rows, rows[:, 0])
    parameters = written(skops_candidate(model, LAYOUT), tmp_path)
    assert load_estimator(tmp_path, "1", parameters)
    assert json.loads(parameters["trusted.1"]) == ["sklearn.tree._tree.Tree"]
    with pytest.raises(ArtefactRefused, match="can't be loaded"):
        load_estimator(tmp_path, "1", parameters | {"trusted.1": "[]"})


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        (
            {"scikit-learn": "1.2.3"},
            r"with scikit-learn 1\.2\.3, the server has 1\..*learn 1\.2 in",
        ),
        ({"numpy": "3.0.1"}, r"numpy 3\.0\.1, the server has 1\.26.*numpy 3 in"),
        ({"xgboost": "0.9.1"}, r"xgboost 0\.9\.1, the server has [1-9].*xgboost 0\.9 in"),
        ({"lightgbm": "2.1.0"}, r"lightgbm 2\.1\.0.*lightgbm 2\.1 in"),
        ({"of-nobody": "7.1"}, r"of-nobody 7\.1, the server has none.*of-nobody 7\.1 in"),
        ({"python": "3.9.1", "cloudpickle": "3.1"}, r"Python 3\.9\.1, the server has.*Python 3\.9"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_libraries_that_do_not_fit_are_refused(recorded: dict[str, str], said: str) -> None:
    """Both versions and the remedy are named, before anything is loaded."""
    with pytest.raises(ArtefactRefused, match=said + r".*convert and publish the model again"):
        check_libraries(recorded)


def test_libraries_that_fit_are_accepted() -> None:
    """Other patches, other releases where these don't matter, and other Pythons without code."""
    minor = ".".join(sklearn.__version__.split(".")[:2])
    check_libraries(
        {"python": "3.9.1", "scikit-learn": f"{minor}.99", "numpy": "1.20", "scipy": "1"}
    )


def test_libraries_are_those_of_the_version(tmp_path: Path, fitted: NearestCentroid) -> None:
    """Each version has its own; `libraries` is read where a version has none."""
    parameters = written(skops_candidate(fitted, LAYOUT), tmp_path)
    old = json.dumps({"scikit-learn": "0.24"})
    assert load_estimator(tmp_path, "1", parameters | {"libraries": old})
    del parameters["libraries.1"]
    with pytest.raises(ArtefactRefused, match=r"scikit-learn 0\.24"):
        load_estimator(tmp_path, "1", parameters | {"libraries": old})


def test_own_modules_travel_with_the_artefact(tmp_path: Path, own: Any) -> None:
    """A process that does not have the user's modules loads the artefact, and it answers."""
    model = own.Scaled(by=2.0).fit([[1.0, 2.0]])
    with pytest.raises(ValueError, match="own_helper, own_scaled, which skops can't put"):
        skops_candidate(model, LAYOUT)
    candidate = joblib_candidate(model, LAYOUT)
    assert {"cloudpickle", "scikit-learn"} <= set(candidate.libraries)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    parameters = written(candidate, folder)
    said = run(ELSEWHERE, str(folder), json.dumps(parameters))
    np.testing.assert_allclose(json.loads(said), np.log1p([[6.0, 12.0]]))


def test_a_script_travels_with_the_artefact(tmp_path: Path) -> None:
    """So does a class, and a function, that was defined in a script or a notebook."""
    (tmp_path / "own_helper.py").write_text(HELPER)
    (tmp_path / "script.py").write_text(
        f"{OWN}\nimport sys\nfrom geulpi_conversion._modules import pickled\n"
        "sys.stdout.buffer.write(pickled(Scaled(by=2.0).fit([[1.0]])).stream)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "script.py"], cwd=tmp_path, capture_output=True, check=True
    )
    model = pickle.loads(done.stdout)
    np.testing.assert_allclose(model.transform([[1.0, -2.0]]), np.log1p([[6.0, 12.0]]))


def test_what_can_not_travel_is_named(own: Any, tmp_path: Path) -> None:
    """A module whose content does not pickle: the error names it, the cause and the remedy."""
    own.own_helper.plain.lock = threading.Lock()
    with pytest.raises(
        ValueError, match=r"cannot pickle.*own_helper, own_scaled.*make that a pack"
    ):
        joblib_candidate(own.Scaled().fit([[1.0]]), LAYOUT)


def test_own_modules_are_told_from_installed_ones(own: Any) -> None:
    """The user's are those beside the script; packages and the standard library are not."""
    found = pickled(make_pipeline(own.Scaled(), FunctionTransformer(json.dumps)))
    assert found.own == {"own_scaled", "own_helper"}
    assert {"json", "sklearn.pipeline"} <= found.others
    installed = ("json", "os.path", "numpy.core.multiarray", "sklearn.tree._tree", "skops")
    assert [name for name in (*installed, "own_scaled", "__main__") if is_own(name)] == [
        "own_scaled",
        "__main__",
    ]


def test_the_artefact_is_smaller_than_its_pickle(rows: np.ndarray, labels: np.ndarray) -> None:
    """It is compressed, and still a file that `joblib.load` reads."""
    forest = RandomForestClassifier(20, random_state=0).fit(rows, labels)
    plain = len(pickle.dumps(forest))
    candidate = joblib_candidate(forest, LAYOUT)
    assert len(candidate.files["estimator.joblib"]) < plain / 3
    by_skops = skops_candidate(forest, LAYOUT).files["estimator.skops"]
    assert len(by_skops) < len(skops.io.dumps(forest)) / 3
    again = joblib.load(io.BytesIO(candidate.files["estimator.joblib"]))
    np.testing.assert_array_equal(again.predict(rows), forest.predict(rows))


def test_large_arrays_are_mapped_where_they_are_used_in_place(
    tmp_path: Path, rows: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neighbours are, and nobody's writing reaches the file; trees, which copy their nodes, not."""
    monkeypatch.setattr(_python, "ARRAY_FROM", 1000)
    monkeypatch.setattr(_python, "MAPPED_FROM", 6000)
    forest = RandomForestClassifier(20, random_state=0).fit(rows, labels)
    assert joblib_candidate(forest, LAYOUT).artefact == "estimator.joblib"
    neighbours = KNeighborsClassifier(algorithm="kd_tree").fit(rows, labels)
    with pytest.raises(ValueError, match="memory-mapped"):
        skops_candidate(neighbours, LAYOUT)
    candidate = joblib_candidate(neighbours, LAYOUT)
    parameters = written(candidate, tmp_path)
    model = load_estimator(tmp_path, "1", parameters)
    np.testing.assert_array_equal(model.predict(rows), neighbours.predict(rows))
    assert model._fit_X.ctypes.data % ALIGNMENT == 0
    model._fit_X[:] = 0
    assert load_estimator(tmp_path, "1", parameters)._fit_X.any()


def test_parts_come_back_as_they_were_packed() -> None:
    """Of any length, aligned, nothing copied."""
    parts = [b"pickle", np.arange(5.0), b"", np.zeros((3, 3), dtype=np.int8)]
    content = pack(parts)
    found = unpack(content)
    assert [bytes(part) for part in found] == [memoryview(part).tobytes() for part in parts]
    assert all(part.obj is content for part in found)
    base = np.frombuffer(content, np.uint8).ctypes.data
    starts = [np.frombuffer(p, np.uint8).ctypes.data - base for p in found if p.nbytes]
    assert [start % ALIGNMENT for start in starts] == [0, 0, 0]


def test_an_unknown_kind_of_content_is_an_error() -> None:
    """A mapped artefact that is none raises; it never reads beyond its end."""
    with pytest.raises(Exception, match="unpack_from requires a buffer"):
        load("estimator.mapped", b"\x01", [])


def test_the_published_code_stands_alone() -> None:
    """Every module is published, and imports nothing of the package, nor heavy things at once."""
    folder = _python.BACKEND
    assert {path.name for path in folder.glob("*.py")} == {"__init__.py", *_python.CODE}
    for name in _python.CODE:
        tree = ast.parse((folder / name).read_text(encoding="utf-8"))
        nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        found = {
            name
            for node in nodes
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else
                         [alias.name for alias in node.names])
        }  # fmt: skip
        assert not any(name.startswith(("geulpi_conversion", ".")) for name in found)
    imported = run(
        "import sys; sys.path.append(sys.argv[1]); import geulpi_artefact, geulpi_served, "
        "geulpi_metrics; print(*sys.modules)",
        str(folder),
    ).split()
    assert not {"sklearn", "scipy", "pandas", "skops", "joblib", "cloudpickle"} & set(imported)


def test_a_bad_request_fails_alone(fitted: NearestCentroid, rows: np.ndarray) -> None:
    """NaN in one request of a batch is that request's error; the others have their answers."""
    model = ServedEstimator(fitted, LAYOUT)
    bad = rows[:1].copy()
    bad[0, 0] = np.nan
    first, refused, last = model.infer_many(
        [{"X": rows[:2]}, {"X": bad}, {"X": rows[2:3]}],
        [["label"], ["label"], ["probabilities", "label"]],
    )
    assert isinstance(refused, ValueError)
    assert "NaN" in str(refused)
    whole = model.infer({"X": rows[:3]}, ["label", "probabilities"])
    np.testing.assert_array_equal(first["label"], whole["label"][:2])
    np.testing.assert_array_equal(last["label"], whole["label"][2:])
    assert (set(first), set(last)) == ({"label"}, {"label", "probabilities"})


def test_requests_are_split_as_they_came(fitted: NearestCentroid, rows: np.ndarray) -> None:
    """One call answers requests of many sizes, an empty one among them."""
    model = ServedEstimator(fitted, LAYOUT)
    parts = [rows[:3], rows[3:3], rows[3:4], rows[4:9]]
    answers = model.infer_many([{"X": part} for part in parts], [["label"]] * 4)
    whole = model.infer({"X": rows[:9]}, ["label"])["label"]
    np.testing.assert_array_equal(np.concatenate([a["label"] for a in answers]), whole)
    assert [len(a["label"]) for a in answers] == [3, 0, 1, 5]


def test_text_that_is_not_utf8_is_refused() -> None:
    """The element and the byte are named."""
    raw = np.array([[b"ok"], [b"a\xff"]], dtype=object)
    with pytest.raises(RequestRefused, match=r"input 'X', element 1: not UTF-8.*byte 1"):
        Layout("text", (Column("X", "X"),)).to_native({"X": raw})
