"""The published `model.py`, as Triton's Python backend would drive it, without Triton."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import Converted, convert, publish
from geulpi_conversion._config import parse_config
from geulpi_conversion._served import (
    ArtefactRefused,
    Layout,
    RequestRefused,
    ServedEstimator,
    check_libraries,
    load_estimator,
)
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor


class Opaque(TransformerMixin, BaseEstimator):
    """A transformer that skops can't carry: it holds a compiled regular expression."""

    def fit(self, _x: Any, _y: Any = None) -> Opaque:
        self.pattern_ = re.compile("x")
        return self

    def transform(self, x: Any) -> Any:
        return np.asarray(x) * 2


def published(converted: Converted, repository: Path) -> tuple[Path, dict[str, str]]:
    folder = publish(converted, repository)
    config = parse_config((folder.parent / "config.pbtxt").read_text(encoding="utf-8"))
    return folder, {key: value.string_value for key, value in config.parameters.items()}


def test_the_published_code_is_the_packages_own(tmp_path: Path, centroid: Converted) -> None:
    """model.py is the very file that conversion compared with, and imports alone."""
    folder, _ = published(centroid, tmp_path)
    spec = importlib.util.spec_from_file_location("alone", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["alone"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    assert module.TritonPythonModel
    assert "geulpi_conversion import" not in (folder / "model.py").read_text(encoding="utf-8")


def test_a_published_estimator_answers(
    tmp_path: Path, centroid: Converted, rows: np.ndarray
) -> None:
    """Loaded from its folder, the estimator answers as it was proven to."""
    folder, parameters = published(centroid, tmp_path)
    check_libraries(json.loads(parameters["libraries"]))
    model = ServedEstimator(
        load_estimator(folder, "1", parameters), Layout.from_json(parameters["layout"])
    )
    answers = model.infer({"X": rows[:3]}, ["probabilities", "label"])
    assert answers["label"].dtype == np.int64
    assert answers["label"].shape == (3, 1)
    assert answers["probabilities"].dtype == np.float32
    np.testing.assert_allclose(answers["probabilities"].sum(axis=1), 1, rtol=1e-6)


def test_joblib_carries_what_skops_does_not(tmp_path: Path, rows: np.ndarray) -> None:
    """An estimator that skops can't carry is stored by joblib and answers the same."""
    converted = convert(Opaque().fit(rows), rows, name="opaque")
    folder, parameters = published(converted, tmp_path)
    assert (folder / "estimator.joblib").exists()
    assert "skops" in converted.reason
    np.testing.assert_array_equal(load_estimator(folder, "1", parameters).transform([[1]]), [[2]])


def test_trusted_types_are_pinned(tmp_path: Path, rows: np.ndarray) -> None:
    """skops loads the types that the artefact was found to hold, and no others."""
    trees = DecisionTreeRegressor(max_depth=2)
    model = make_pipeline(FunctionTransformer(np.tanh), trees).fit(rows, rows[:, 0])
    folder, parameters = published(convert(model, rows, name="tanh"), tmp_path)
    assert load_estimator(folder, "1", parameters)
    assert json.loads(parameters["trusted.1"]) == ["sklearn.tree._tree.Tree"]
    with pytest.raises(ArtefactRefused, match="can't be loaded"):
        load_estimator(folder, "1", parameters | {"trusted.1": "[]"})


@pytest.mark.parametrize("damage", ["changed", "missing", "unpinned"])
def test_a_damaged_artefact_is_refused(tmp_path: Path, centroid: Converted, damage: str) -> None:
    """A file that is not the published one is never loaded; digests and remedy are named."""
    folder, parameters = published(centroid, tmp_path)
    artefact = folder / "estimator.skops"
    if damage == "changed":
        artefact.write_bytes(artefact.read_bytes()[:-1] + b"?")
    elif damage == "missing":
        artefact.unlink()
    else:
        del parameters["sha256.1"]
    with pytest.raises(ArtefactRefused, match="Remedy: publish the model again") as refused:
        load_estimator(folder, "1", parameters)
    if damage == "changed":
        assert parameters["sha256.1"] in str(refused.value)


def test_another_scikit_learn_is_refused() -> None:
    """An estimator of another minor version of scikit-learn is not loaded."""
    with pytest.raises(ArtefactRefused, match=r"published with scikit-learn 1\.2\.3.*Remedy"):
        check_libraries({"scikit-learn": "1.2.3"})


def test_a_bad_request_fails_alone(tmp_path: Path, centroid: Converted, rows: np.ndarray) -> None:
    """NaN in one request of a batch is that request's error; the others have their answers."""
    folder, parameters = published(centroid, tmp_path)
    model = ServedEstimator(load_estimator(folder, "1", parameters), Layout("array"))
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


def test_requests_are_split_as_they_came(
    tmp_path: Path, centroid: Converted, rows: np.ndarray
) -> None:
    """One call answers requests of many sizes, an empty one among them."""
    folder, parameters = published(centroid, tmp_path)
    model = ServedEstimator(load_estimator(folder, "1", parameters), Layout("array"))
    parts = [rows[:3], rows[3:3], rows[3:4], rows[4:9]]
    answers = model.infer_many([{"X": part} for part in parts], [["label"]] * 4)
    whole = model.infer({"X": rows[:9]}, ["label"])["label"]
    np.testing.assert_array_equal(np.concatenate([a["label"] for a in answers]), whole)
    assert [len(a["label"]) for a in answers] == [3, 0, 1, 5]


def test_text_that_is_not_utf8_is_refused() -> None:
    """The element and the byte are named."""
    raw = np.array([[b"ok"], [b"a\xff"]], dtype=object)
    with pytest.raises(RequestRefused, match=r"input 'X', element 1: not UTF-8.*byte 1"):
        Layout("text").to_native({"X": raw})


def test_a_frame_is_put_together_again() -> None:
    """Columns come back under their own names, of their own types."""
    layout = Layout("frame", ("my col", 7), {"7": ["가", "b"]})
    assert Layout.from_json(layout.to_json()) == layout
    frame = layout.to_native(
        {
            "7": np.array([[b"b"], ["가".encode()], [b"?"]], dtype=object),
            "my col": np.array([[1], [2], [3]]),
        }
    )
    expected = pd.DataFrame(
        {"my col": [1, 2, 3], 7: pd.Categorical(["b", "가", None], categories=["가", "b"])}
    )
    pd.testing.assert_frame_equal(frame, expected)
