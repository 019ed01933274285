"""Smaller and faster forms of a model are proven and measured, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from geulpi_conversion import CannotDistill, LighterRefused, convert
from geulpi_conversion._lighter import TOLERANCES
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture(scope="module")
def network(rows: np.ndarray, labels: np.ndarray) -> Any:
    model = MLPClassifier((64, 64), max_iter=30, tol=1.0, n_iter_no_change=20, random_state=0)
    return make_pipeline(StandardScaler(), model).fit(rows, labels)


def test_an_optimised_graph_answers_as_exactly(network: Any, rows: np.ndarray) -> None:
    """Fewer nodes, the same answers, within what ONNX Runtime 1.19 reads."""
    plain = convert(network, rows, name="net")
    light = convert(network, rows, name="net", optimize=True)
    before, after = (onnx.load_from_string(one.files["model.onnx"]) for one in (plain, light))
    assert len(after.graph.node) < len(before.graph.node)
    assert light.parity.ok
    change = light.changes[0]
    assert (change.what, change.max_abs < 1e-5, change.fidelity) == ("optimized", True, None)
    assert change.rows_per_s_before > 0
    assert change.rows_per_s_after > 0
    assert after.ir_version <= 10
    assert {opset.domain for opset in after.opset_import} == {n.domain for n in after.graph.node}


@pytest.mark.parametrize("to", ["float16", "int8"])
def test_quantized_weights_are_smaller_and_close(network: Any, rows: np.ndarray, to: Any) -> None:
    """The artefact shrinks; the answers stay within the tolerance of this many bits."""
    light = convert(network, rows, name="net", quantize=to)
    change = light.changes[0]
    assert change.bytes_after < 0.7 * change.bytes_before
    assert 0 < change.max_abs < TOLERANCES[to].absolute + TOLERANCES[to].relative
    assert light.parity.ok
    assert light.inputs[0].datatype == "FP32"


def test_what_can_not_be_quantized_is_refused(rows: np.ndarray, labels: np.ndarray) -> None:
    """A forest has no weights to round, a Python model no graph: nothing is converted."""
    forest = RandomForestClassifier(3, random_state=0).fit(rows, labels)
    with pytest.raises(LighterRefused, match="'f' can't be quantized to int8") as refused:
        convert(forest, rows, name="f", quantize="int8")
    assert "Remedy" in str(refused.value)
    with pytest.raises(LighterRefused, match="served by the Python backend"):
        convert(NMF(2).fit(np.abs(rows)), np.abs(rows), name="n", optimize=True)


def test_a_quantized_model_that_is_another_one_is_refused() -> None:
    """Where few bits change the answers, they are not used."""
    rows = 1 + 1e-3 * np.random.default_rng(0).normal(size=(400, 300))
    fine = LinearRegression().fit(rows, rows[:, 0])
    fine.coef_ = np.resize([1.0, -0.996], 300)  # they cancel, but for a little
    with pytest.raises(LighterRefused, match="prediction differs on"):
        convert(fine, rows, name="fine", quantize="int8")


def test_compressed_artefacts_answer_the_same(rows: np.ndarray) -> None:
    """The artefact of the Python backend gets no larger, and loads."""
    light = convert(NMF(2).fit(np.abs(rows)), np.abs(rows), name="nmf", compress=True)
    assert light.backend == "python"
    assert light.changes[0].bytes_after <= light.changes[0].bytes_before
    assert light.parity.ok
    with pytest.raises(LighterRefused, match="read an ONNX file as it is"):
        convert(LogisticRegression().fit(rows, rows[:, 0] > 0), rows, name="l", compress=True)


def test_a_student_stands_in_for_a_forest(rows: np.ndarray, labels: np.ndarray) -> None:
    """It is smaller and agrees with its teacher on held-out rows; both figures are reported."""
    forest = RandomForestClassifier(200, random_state=0).fit(rows, labels)
    light = convert(forest, rows, name="student", distill=True)
    change = light.changes[0]
    assert change.what == "distilled"
    assert change.bytes_after < change.bytes_before
    assert 0.9 <= change.fidelity <= 1
    assert light.parity.ok
    assert [spec.name for spec in light.outputs] == ["label", "probabilities"]


def test_students_of_regressors_and_of_text(rows: np.ndarray, titles: list[str]) -> None:
    """A regressor's student explains its predictions; a text model keeps its vectorizer."""
    forest = RandomForestRegressor(40, random_state=0).fit(rows, rows[:, 0] * 3)
    assert convert(forest, rows, name="r", distill=True).changes[0].fidelity > 0.9
    texts = titles * 10
    kinds = [("a", "b")[i % 2] for i in range(len(texts))]
    teacher = make_pipeline(TfidfVectorizer(), RandomForestClassifier(20, random_state=0))
    light = convert(teacher.fit(texts, kinds), texts, name="t", distill=True)
    assert light.inputs[0].datatype == "BYTES"
    assert light.changes[0].fidelity > 0.9


def test_what_has_no_student_is_refused(rows: np.ndarray, labels: np.ndarray) -> None:
    """Clusterers, small teachers, small samples, teachers of noise: said in words."""
    with pytest.raises(CannotDistill, match="no classifier with probabilities"):
        convert(KMeans(2, n_init=1).fit(rows), rows, name="k", distill=True)
    forest = RandomForestClassifier(1, max_leaf_nodes=3, random_state=0).fit(rows, labels)
    with pytest.raises(LighterRefused, match="the student takes"):
        convert(forest, rows, name="k", distill=True)
    with pytest.raises(CannotDistill, match="sample has 10 rows"):
        convert(forest, rows[:10], name="k", distill=True)
    noise = np.random.default_rng(0).integers(0, 5, len(rows))
    teacher = RandomForestClassifier(20, random_state=0).fit(rows, noise)
    with pytest.raises(CannotDistill, match="agrees with it on"):
        convert(teacher, rows, name="k", distill=True)
