"""Translates the scikit-learn estimators of lightgbm, from the text in which it saves a model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from sklearn.preprocessing import OrdinalEncoder

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._tree_nodes import LEAF, Array, Trees, summed, with_memberships
from geulpi_conversion._onnx._trees import RAW

# Bits of decision_type.
CATEGORICAL, DEFAULT_LEFT = 1, 2
AS_ZERO, ZERO_IS_MISSING, NAN_IS_MISSING = 0, 1, 2  # what NaN is to a split
ZERO = float(np.float32(1e-35))  # up to here a value counts as 0, as it does to lightgbm

SAME = {
    "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank",
    "rank_xendcg",
}  # fmt: skip
EXPONENTIAL = {"gamma", "poisson", "tweedie"}


@dataclass(frozen=True)
class Model:
    """A saved model: what its header says, and for each tree its lines."""

    header: dict[str, str]
    trees: list[dict[str, str]]
    pandas_categorical: list[list[Any]]

    @classmethod
    def of(cls, booster: Any) -> Model:
        """Read a booster, up to its best iteration."""
        text = booster.model_to_string()
        head, *trees = text.partition("\nend of trees")[0].split("\nTree=")
        last = text.rpartition("pandas_categorical:")[2].strip()
        return cls(
            _fields(head), [_fields(tree) for tree in trees], json.loads(last or "null") or []
        )

    def joined(self, name: str, dtype: Any) -> Array:
        """Return a line of numbers of all trees, one after the other."""
        lines = [np.array(tree.get(name, "").split(), dtype) for tree in self.trees]
        return np.concatenate(lines) if lines else np.empty(0, dtype)

    def counts(self, name: str) -> Array:
        """Return a number of each tree."""
        return np.array([int(tree[name]) for tree in self.trees])


def _fields(text: str) -> dict[str, str]:
    lines = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in lines}


def booster(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Translate `LGBM*`: its splits compare in float64, and add in it."""
    if method == RAW:
        return _answers(graph, estimator, table)
    if method not in {"predict", "predict_proba"}:
        raise Untranslatable(estimator, f"there is no {method}")
    found = graph.call(estimator, table, RAW)
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return graph.cast(found, graph.kind)
    if found.width == 1:
        first = graph.op("Sub", graph.constant(1, np.float64), found.name)
        found = Value(graph.op("Concat", first, found.name, axis=1), "double", 2)
    return graph.best(found, classes) if method == "predict" else graph.cast(found, graph.kind)


def _answers(graph: Graph, estimator: Any, table: Table) -> Value:
    """Return what the booster itself predicts; double."""
    model = Model.of(estimator.booster_)
    if any(tree.get("is_linear") == "1" for tree in model.trees):
        raise Untranslatable(estimator, "its leaves hold linear models")
    matrix = graph.matrix(_with_codes(graph, estimator, model, table))
    matrix, trees, values = _read(graph, model, matrix)
    width = int(model.header["num_tree_per_iteration"])
    raw = summed(graph, trees, values, matrix, interleaved=width)
    if "average_output" in model.header:
        turns = graph.constant(len(trees.sizes) // width, np.float64)
        raw = Value(graph.op("Div", raw.name, turns), "double", width)
    return Value(_converted(graph, estimator, model, raw.name), "double", width)


def _converted(graph: Graph, estimator: Any, model: Model, raw: str) -> str:
    """Bring raw values to the objective's own scale."""
    name, *settings = model.header.get("objective", "custom").split()
    known = dict(setting.split(":") for setting in settings if ":" in setting)
    if name in SAME:
        if "sqrt" in settings:
            return graph.op("Mul", graph.op("Sign", raw), graph.op("Mul", raw, raw))
        return raw
    if name in EXPONENTIAL:
        return graph.op("Exp", raw)
    if name == "multiclass":
        return graph.op("Softmax", raw, axis=1)
    if name in {"binary", "multiclassova", "cross_entropy"}:
        steepness = graph.constant(float(known.get("sigmoid", 1)), np.float64)
        return graph.op("Sigmoid", graph.op("Mul", raw, steepness))
    raise Untranslatable(estimator, f"the objective {name}")


def _with_codes(graph: Graph, estimator: Any, model: Model, table: Table) -> Table:
    """Return the table with the categories of a DataFrame as their places."""
    known = model.pandas_categorical
    if not known:
        return table
    texts = [value.kind == "string" for value, _ in table.places(range(table.width))]
    if sum(texts) != len(known):
        raise Untranslatable(estimator, "which columns were categorical is not saved with it")
    parts, left = [], list(known)
    for column, text in enumerate(texts):
        part = graph.select(table, [column])
        if text:
            categories = np.array(left.pop(0), dtype=np.object_)
            encoder = OrdinalEncoder(
                categories=[categories], handle_unknown="use_encoded_value", unknown_value=np.nan
            ).fit(categories[:1].reshape(-1, 1))
            part = graph.transform(encoder, part)
        parts.append(part)
    return Table.of(*parts)


def _read(graph: Graph, model: Model, matrix: Value) -> tuple[Value, Trees, Array]:
    """Return the matrix with the columns that splits need, the trees, and the leaves' values."""
    leaves = model.counts("num_leaves")
    inner = leaves - 1
    tree = np.repeat(np.arange(len(leaves)), inner)
    kinds = model.joined("decision_type", np.int64)
    threshold = model.joined("threshold", np.float64)
    feature = model.joined("split_feature", np.int64)
    on_missing = kinds >> 2 & 3
    near = np.abs(threshold) <= ZERO
    threshold[near] = np.where(threshold[near] < 0, np.nextafter(-ZERO, -np.inf), ZERO)
    missing_left = np.where(on_missing == AS_ZERO, threshold >= 0, kinds & DEFAULT_LEFT > 0)
    categorical = kinds & CATEGORICAL > 0
    sparse = (on_missing == ZERO_IS_MISSING) & ~categorical
    matrix, feature[sparse] = _with_zeros_missing(graph, matrix, feature[sparse])
    if categorical.any():
        sets = _left_categories(model, tree[categorical], threshold[categorical].astype(np.int64))
        matrix, columns = with_memberships(graph, matrix, feature[categorical], sets)
        feature[categorical], threshold[categorical] = columns, 0.5
    # Inner nodes first, then leaves, which lightgbm counts down from -1.
    sizes = inner + leaves
    is_inner = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) < np.repeat(
        inner, sizes
    )

    def spread(values: Array, fill: Any) -> Array:
        all_nodes = np.full(len(is_inner), fill, values.dtype)
        all_nodes[is_inner] = values
        return all_nodes

    def places(children: Array) -> Array:
        return spread(np.where(children < 0, inner[tree] + ~children, children), LEAF)

    trees = Trees(
        sizes=sizes,
        left=places(model.joined("left_child", np.int64)),
        right=places(model.joined("right_child", np.int64)),
        feature=spread(feature, 0),
        threshold=spread(threshold, 0),
        missing_left=spread(missing_left, fill=False),
    )
    return matrix, trees, model.joined("leaf_value", np.float64).reshape(-1, 1)


def _with_zeros_missing(graph: Graph, matrix: Value, features: Array) -> tuple[Value, Array]:
    """Append the columns in which zero counts as missing, with NaN for it; return their places."""
    known, places = np.unique(features, return_inverse=True)
    if not known.size:
        return matrix, places
    dtype = np.float64 if matrix.kind == "double" else np.float32
    column = graph.op("Gather", matrix.name, known, axis=1)
    zero = graph.op("LessOrEqual", graph.op("Abs", column), graph.constant(ZERO, dtype))
    column = graph.op("Where", zero, graph.constant(np.nan, dtype), column)
    name = graph.op("Concat", matrix.name, column, axis=1)
    return Value(name, matrix.kind, matrix.width + len(known)), matrix.width + places


def _left_categories(model: Model, tree: Array, index: Array) -> Array:
    """Return for each split by categories which go left; missing and unknown ones go right."""
    words = model.joined("cat_threshold", np.uint32)
    bounds = [np.array(t.get("cat_boundaries", "0").split(), np.int64) for t in model.trees]
    first = np.cumsum([0, *(bound[-1] for bound in bounds[:-1])])
    chosen = [
        words[first[t] + bounds[t][i] : first[t] + bounds[t][i + 1]]
        for t, i in zip(tree, index, strict=True)
    ]
    padded = np.zeros((len(chosen), max(map(len, chosen))), "<u4")
    for row, some in enumerate(chosen):
        padded[row, : len(some)] = some
    left = np.unpackbits(padded.view(np.uint8), axis=1, bitorder="little").astype(bool)
    return np.pad(left, ((0, 0), (0, 2)))


TRANSLATORS: dict[type, Translator] = {
    lightgbm.LGBMClassifier: booster,
    lightgbm.LGBMRanker: booster,
    lightgbm.LGBMRegressor: booster,
}
