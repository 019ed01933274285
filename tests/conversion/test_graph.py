"""The graphs obey the rules of Triton's official C++ `onnxruntime` backend.

No container is at hand here, so its rules are checked as it would: opset and IR version that ONNX
Runtime 1.19 reads, plain tensors only, first dim free, all other dims as in config.pbtxt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from geulpi_conversion import Converted, convert
from geulpi_conversion._config import DATATYPES
from geulpi_conversion._graph import ONNX_TYPES
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

ESTIMATORS = [
    LogisticRegression(),
    GradientBoostingClassifier(n_estimators=3),
    SVC(),
    KNeighborsClassifier(),
    MultiOutputClassifier(LogisticRegression()),
    LinearRegression(),
    KMeans(2, n_init=1, random_state=0),
    IsolationForest(n_estimators=3, random_state=0),
]


def check_official_rules(converted: Converted) -> onnx.ModelProto:
    model = onnx.load_from_string(converted.files["model.onnx"])
    onnx.checker.check_model(model, full_check=False)
    opsets = [(opset.domain, opset.version) for opset in model.opset_import]
    assert len(dict(opsets)) == len(opsets)
    assert dict(opsets)[""] <= 21
    assert dict(opsets).get("ai.onnx.ml", 1) <= 3
    assert model.ir_version <= 10
    for values, specs in (
        (model.graph.input, converted.inputs),
        (model.graph.output, converted.outputs),
    ):
        assert [value.name for value in values] == [spec.name for spec in specs]
        for value, spec in zip(values, specs, strict=True):
            assert value.type.WhichOneof("value") == "tensor_type"
            first, *rest = value.type.tensor_type.shape.dim
            assert not first.HasField("dim_value")
            assert [dim.dim_value for dim in rest] == [spec.width]
            assert value.type.tensor_type.elem_type == ONNX_TYPES[spec.datatype]
    return model


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_graphs_fit_the_official_backend(
    rows: np.ndarray, labels: np.ndarray, estimator: Any
) -> None:
    """Labels are [N, 1], dims are exact, sequences and maps are gone."""
    several = isinstance(estimator, MultiOutputClassifier)
    model = estimator.fit(rows, np.c_[labels, labels] if several else labels)
    graph = check_official_rules(convert(model, rows, name="graph")).graph
    assert "ZipMap" not in {node.op_type for node in graph.node}


def test_graphs_of_frames_fit_the_official_backend(mixed: Pipeline, people: pd.DataFrame) -> None:
    """Columns keep their names in the graph, as config.pbtxt gives them."""
    model = check_official_rules(convert(mixed, people, name="graph"))
    locales = [
        attribute.s
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name == "locale"
    ]
    assert locales == [b"C.UTF-8"]


def test_graphs_of_text_fit_the_official_backend(titles: list[str]) -> None:
    """String labels and string inputs are [N, 1] like all others."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    check_official_rules(convert(model.fit(titles, list("ab") * 5), titles, name="graph"))


def test_every_datatype_has_its_forms() -> None:
    """What a tensor may be is known to ONNX and to Triton alike."""
    assert ONNX_TYPES.keys() == DATATYPES.keys()
