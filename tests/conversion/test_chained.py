"""Estimators that feed each other, as one ONNX model with all their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geulpi_conversion import NoFaithfulRoute, SampleMismatch, chained, publish
from geulpi_conversion._onnx._candidate import runner
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer, StandardScaler

RNG = np.random.default_rng(0)
ROWS = RNG.normal(3.0, 2.0, (200, 5)).astype(np.float32)
Y = ROWS @ RNG.normal(size=5)


def in_order(rows: Any) -> Any:
    """Sort each row: code that nobody translates."""
    return np.sort(rows, axis=1)


def a_chain() -> dict[str, Any]:
    """Return scaled rows → components → a forest's prediction."""
    scaler = StandardScaler().fit(ROWS)
    components = PCA(3, random_state=0).fit(scaler.transform(ROWS))
    forest = RandomForestRegressor(20, random_state=0)
    forest.fit(components.transform(scaler.transform(ROWS)).astype(np.float32), Y)
    return {"scaled": scaler, "components": components, "target": forest}


def test_all_answers_are_the_estimators_own() -> None:
    """One request gets what each estimator says to the answers of the one before."""
    estimators = a_chain()
    model = chained(estimators, ROWS, "chain")
    found = runner(model.files["model.onnx"])({"X": ROWS})
    scaled = estimators["scaled"].transform(ROWS)
    components = estimators["components"].transform(scaled)
    target = estimators["target"].predict(components.astype(np.float32))[:, None]
    assert [(one.name, one.width) for one in model.outputs] == [
        ("scaled", 5), ("components", 3), ("target", 1),
    ]  # fmt: skip
    for name, wanted in (("scaled", scaled), ("components", components), ("target", target)):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(model.expected[name], wanted[:100], rtol=1e-4, atol=1e-5)
    assert model.parity.ok
    assert {one.name for one in model.parity.outputs} == {"scaled", "components", "target"}


def test_it_is_published_like_any_model(tmp_path: Path) -> None:
    """The entry has one input, all outputs, and says what it is made of."""
    folder = publish(chained(a_chain(), ROWS, "chain"), tmp_path)
    config = (folder.parent / "config.pbtxt").read_text()
    assert config.count("output {") == 3
    assert "StandardScaler → " in config


def test_labels_are_not_passed_on() -> None:
    """A classifier answers two tensors: which one is meant is not guessed."""
    labels = (Y.mean() < Y).astype(int)
    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, labels)
    with pytest.raises(SampleMismatch, match="'label'"):
        chained({"label": forest, "target": LinearRegression().fit(ROWS, Y)}, ROWS, "chain")


def test_what_has_no_graph_is_refused() -> None:
    """Python code can't be joined to a graph."""
    ordered = FunctionTransformer(in_order).fit(ROWS)
    with pytest.raises(NoFaithfulRoute, match="ordered"):
        chained({"ordered": ordered, "target": LinearRegression().fit(ROWS, Y)}, ROWS, "chain")


def test_a_whole_that_differs_from_its_links_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The joined graph is asked, too: joining it wrongly can't go unseen."""
    estimators = a_chain()
    other = dict(estimators, components=PCA(3, random_state=0).fit(ROWS[:50] ** 2))
    wrong = chained(other, ROWS, "chain").files["model.onnx"]
    monkeypatch.setattr("geulpi_conversion._chained._merged", lambda _links: wrong)
    with pytest.raises(NoFaithfulRoute, match="components"):
        chained(estimators, ROWS, "chain")
