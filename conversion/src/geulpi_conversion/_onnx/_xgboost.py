"""Translates the scikit-learn estimators of xgboost, from the JSON in which it saves a model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xgboost
from onnx import TensorProto

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._tree_nodes import (
    LEAF,
    Array,
    Trees,
    started,
    summed,
    with_memberships,
)
from geulpi_conversion._onnx._trees import RAW, matrix_of_floats

LOGISTIC = {"binary:logistic", "reg:logistic"}
EXPONENTIAL = {"count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"}
SOFTMAX = {"multi:softmax", "multi:softprob"}
SAME = {
    "rank:map", "rank:ndcg", "rank:pairwise", "reg:absoluteerror", "reg:pseudohubererror",
    "reg:quantileerror", "reg:squarederror", "reg:squaredlogerror",
}  # fmt: skip


def booster(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Translate `XGB*`: it computes in float32 throughout, and takes less than a threshold left."""
    if method == RAW:
        return _answers(graph, estimator, table)
    found = graph.call(estimator, table, RAW)
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return graph.cast(found, graph.kind)
    if method not in {"predict", "predict_proba"}:
        raise Untranslatable(estimator, f"there is no {method}")
    if _objective(estimator) in SOFTMAX:
        if len(classes) == 2:  # which xgboost then takes for several targets
            raise Untranslatable(estimator, "two classes with a softmax")
        return graph.best(found, classes) if method == "predict" else graph.cast(found, graph.kind)
    if method == "predict":
        above = graph.op("Greater", found.name, graph.constant(0.5, np.float32))
        return Value(graph.op("Cast", above, to=TensorProto.INT64), "int64", found.width)
    if found.width == 1:
        first = graph.op("Sub", graph.constant(1, np.float32), found.name)
        found = Value(graph.op("Concat", first, found.name, axis=1), "float", 2)
    return graph.cast(found, graph.kind)


def _objective(estimator: Any) -> str:
    return str(_saved(estimator)["objective"]["name"])


def _saved(estimator: Any) -> dict[str, Any]:
    learner: dict[str, Any] = json.loads(estimator.get_booster().save_raw("json"))["learner"]
    return learner


def _answers(graph: Graph, estimator: Any, table: Table) -> Value:
    """Return what the booster itself predicts; float."""
    learner = _saved(estimator)
    grown = learner["gradient_booster"]
    weights = grown.get("weight_drop")
    model = grown.get("gbtree", grown).get("model")
    if grown["name"] not in {"dart", "gbtree"}:
        raise Untranslatable(estimator, f"the booster {grown['name']}")
    if model.get("cats", {}).get("enc"):
        raise Untranslatable(estimator, "it recodes the categories of a DataFrame")
    order, width = _order(estimator, model)
    saved = [model["trees"][place] for place in order]
    if any(tree["tree_param"]["size_leaf_vector"] not in {"0", "1"} for tree in saved):
        raise Untranslatable(estimator, "a leaf has values for several targets")
    matrix = _with_missing(graph, estimator, matrix_of_floats(graph, table, finite=False))
    matrix, trees, values = _read(graph, saved, matrix)
    if weights:
        dropped = np.array([weights[place] for place in order], np.float32)
        values *= dropped[trees.tree[trees.is_leaf]].reshape(-1, 1)
    name = learner["objective"]["name"]
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), np.float32)
    start = np.broadcast_to(_margin(name, base), width).astype(np.float32)
    raw = summed(graph, trees, started(trees, values, start), matrix, interleaved=width)
    return Value(_converted(graph, estimator, name, raw.name), "float", width)


def _order(estimator: Any, model: Any) -> tuple[Array, int]:
    """Return the trees that count, the sums in turn, and into how many sums they go."""
    try:
        used = model["iteration_indptr"][estimator.best_iteration + 1]
    except AttributeError:  # no early stopping
        used = len(model["trees"])
    sums = np.array(model["tree_info"][:used])
    width = int(sums.max(initial=0)) + 1
    by_sum = [np.flatnonzero(sums == place) for place in range(width)]
    return np.stack(by_sum, axis=1).ravel(), width


def _margin(objective: str, base: Array) -> Array:
    """Bring the base score to the scale of the raw values."""
    if objective in LOGISTIC or objective == "binary:logitraw":
        base = -np.log(np.float32(1) / base - np.float32(1))
    elif objective in EXPONENTIAL:
        base = np.log(base)
    return base


def _converted(graph: Graph, estimator: Any, name: str, raw: str) -> str:
    """Bring raw values to the objective's own scale."""
    one = graph.constant(1, np.float32)
    if name in SAME:
        return raw
    if name in EXPONENTIAL:
        return graph.op("Exp", raw)
    if name in SOFTMAX:
        return graph.op("Softmax", raw, axis=1)
    if name in LOGISTIC:
        # In xgboost's own steps: just above a half decides about the label.
        return graph.op("Div", one, graph.op("Add", graph.op("Exp", graph.op("Neg", raw)), one))
    if name == "binary:hinge":
        above = graph.op("Greater", raw, graph.constant(0, np.float32))
        return graph.op("Cast", above, to=TensorProto.FLOAT)
    raise Untranslatable(estimator, f"the objective {name}")


def _with_missing(graph: Graph, estimator: Any, matrix: Value) -> Value:
    """Return the matrix with NaN where the value stands that means missing."""
    if np.isnan(estimator.missing):
        return matrix
    missing = graph.op("Equal", matrix.name, graph.constant(estimator.missing, np.float32))
    name = graph.op("Where", missing, graph.constant(np.nan, np.float32), matrix.name)
    return Value(name, "float", matrix.width)


def _read(graph: Graph, saved: list[Any], matrix: Value) -> tuple[Value, Trees, Array]:
    """Return the matrix with the columns that splits need, the trees, and the leaves' values."""

    def joined(name: str, dtype: Any) -> Array:
        return np.concatenate([np.array(tree[name], dtype) for tree in saved])

    sizes = np.array([len(tree["left_children"]) for tree in saved])
    first = np.cumsum(sizes) - sizes
    left, condition = joined("left_children", np.int32), joined("split_conditions", np.float32)
    default_left = joined("default_left", bool)
    feature, threshold = joined("split_indices", np.int32), condition.astype(np.float64)
    split = np.flatnonzero(joined("split_type", np.int32) & (left != LEAF))
    if split.size:
        sets = _left_categories(saved, first, split, default_left[split])
        matrix, columns = with_memberships(graph, matrix, feature[split], sets)
        feature[split], threshold[split] = columns, 0.5
    trees = Trees(
        sizes=sizes,
        left=left,
        right=joined("right_children", np.int32),
        feature=feature,
        threshold=threshold,
        missing_left=default_left,
        below=True,
    )
    return matrix, trees, condition[trees.is_leaf].reshape(-1, 1)


def _left_categories(saved: list[Any], first: Array, split: Array, missing: Array) -> Array:
    """Return for each split by categories which go left: all that it does not name."""
    named: dict[int, list[int]] = {}
    for tree, offset in zip(saved, first.tolist(), strict=True):
        for node, start, size in zip(
            tree["categories_nodes"],
            tree["categories_segments"],
            tree["categories_sizes"],
            strict=True,
        ):
            named[offset + node] = tree["categories"][start : start + size]
    codes = 1 + max(max(some) for some in named.values())
    left = np.ones((len(split), codes + 2), bool)
    for row, node in enumerate(split.tolist()):
        left[row, named[node]] = False
    left[:, codes] = missing
    return left


TRANSLATORS: dict[type, Translator] = dict.fromkeys(
    (
        xgboost.XGBClassifier,
        xgboost.XGBRanker,
        xgboost.XGBRegressor,
        xgboost.XGBRFClassifier,
        xgboost.XGBRFRegressor,
    ),
    booster,
)
