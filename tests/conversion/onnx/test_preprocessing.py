"""Scalers, bins, powers, polynomials and functions answer as scikit-learn's, in both precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._functions import function
from geulpi_conversion._onnx._graph import Graph, Untranslatable
from geulpi_conversion._onnx._leaf import leaf
from geulpi_conversion._onnx._numpy import expm1, log1p, searchsorted
from geulpi_conversion._onnx._tables import Table, Value
from onnx import TensorProto, helper
from onnxruntime import InferenceSession
from scipy.special import expit, logit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    KernelCenterer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor
from translating import assert_translated, translated

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(80, 5)).astype(np.float32)
ROWS[:, 3] = np.round(ROWS[:, 3])  # equal values, equal quantiles
ROWS[5] = 0
GAPS = np.where(RANDOM.random(ROWS.shape) < 0.2, np.nan, ROWS).astype(np.float32)
POSITIVE = np.abs(ROWS) + np.float32(0.1)
WAYS = pytest.mark.parametrize(
    ("precision", "double"), [("FP32", False), ("FP64", True)], ids=["float32", "float64"]
)


def of(precision: str, *arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float32 if precision == "FP32" else np.float64) for array in arrays]


def check(estimator: Any, precision: str, double: bool, sample: np.ndarray, *rows: Any) -> None:
    sample, *rest = of(precision, sample, *rows)
    assert_translated(estimator, sample, rows=rest, precision=precision, double=double)


@WAYS
@pytest.mark.parametrize("fitted", [np.float32, np.float64])
@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler(),
        MinMaxScaler((-1, 2), clip=True),
        MaxAbsScaler(),
        MaxAbsScaler(clip=True),
        RobustScaler(),
        RobustScaler(with_centering=False),
        RobustScaler(with_scaling=False),
    ],
    ids=str,
)
def test_scaled(scaler: Any, fitted: type, precision: str, double: bool) -> None:
    """Scalers scale ordinary, missing and large values, whatever the precision of fitting."""
    scaler.fit(ROWS.astype(fitted))
    check(scaler, precision, double, ROWS, GAPS, ROWS[:1], ROWS * 1e8)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler()], ids=str)
def test_scaled_to_the_last_bit(scaler: Any) -> None:
    """float32 rows become the very floats that scikit-learn makes, so trees behind agree."""
    scaler.fit(ROWS.astype(np.float64))
    run = runner(translated(scaler, ROWS).content)
    np.testing.assert_array_equal(run({"X": ROWS})["features"], scaler.transform(ROWS))


@WAYS
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_normalised(norm: str, precision: str, double: bool) -> None:
    """Rows get the norm 1, but for rows of zeros and of values that are almost zero."""
    check(Normalizer(norm).fit(ROWS), precision, double, ROWS, ROWS * 1e6, ROWS * 1e-8)


@WAYS
def test_binarised(precision: str, double: bool) -> None:
    """A value equal to the threshold is not above it."""
    rows = np.array([[0.25, 0.2500001, -0.25], [np.float32(0.3), 0, 0]])
    check(Binarizer(threshold=0.25).fit(rows), precision, double, ROWS[:, :3], rows)


@WAYS
def test_kernel_centred(precision: str, double: bool) -> None:
    """Kernels are centred by the means of fitting, in a batch of any size."""
    kernel = ROWS @ ROWS.T
    check(KernelCenterer().fit(kernel), precision, double, kernel, kernel[:1])


@WAYS
@pytest.mark.parametrize("only", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("degree", [1, 2, 4, (2, 3), (0, 2)])
def test_polynomials(degree: Any, bias: bool, only: bool, precision: str, double: bool) -> None:
    """Products come in scikit-learn's order; degrees without any end the row."""
    found = PolynomialFeatures(degree, include_bias=bias, interaction_only=only).fit(ROWS[:, :3])
    check(found, precision, double, ROWS[:, :3], ROWS[:1, :3])


@WAYS
@pytest.mark.parametrize("standardize", [False, True])
def test_powers(standardize: bool, precision: str, double: bool) -> None:
    """Yeo-Johnson passes missing values on; Box-Cox takes positive ones."""
    yeo_johnson = PowerTransformer(standardize=standardize).fit(ROWS)
    check(yeo_johnson, precision, double, ROWS, GAPS, ROWS[:1], ROWS * 1e-6)
    box_cox = PowerTransformer("box-cox", standardize=standardize).fit(POSITIVE)
    check(box_cox, precision, double, POSITIVE, POSITIVE * 10)


@pytest.mark.parametrize("exponent", [0.0, 2.0, 1e-12, 1.0])
def test_limits_of_powers(exponent: float) -> None:
    """Exponents at and next to where the formula divides by 0 give the logarithm."""
    found = PowerTransformer(standardize=False).fit(ROWS)
    found.lambdas_ = np.full(5, exponent)
    check(found, "FP64", True, ROWS)


def test_box_cox_refuses() -> None:
    """A value that is not above 0 is refused in words."""
    run = runner(translated(PowerTransformer("box-cox").fit(POSITIVE), POSITIVE).content)
    with pytest.raises(Exception, match="Box-Cox takes only values above 0"):
        run({"X": ROWS})


@pytest.mark.filterwarnings("ignore:n_quantiles")
@WAYS
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("count", [1, 2, 30, 1000])
def test_quantiles(count: int, distribution: str, precision: str, double: bool) -> None:
    """Quantiles hold at, next to, between and beyond the learned ones, equal ones too."""
    found = QuantileTransformer(n_quantiles=count, output_distribution=distribution).fit(ROWS)
    edges = found.quantiles_[:40]
    near = [np.nextafter(edges, end).astype(np.float32) for end in (np.inf, -np.inf)]
    check(found, precision, double, ROWS, GAPS, ROWS * 3, edges, *near)


@pytest.mark.filterwarnings("ignore:Bins whose width")
@WAYS
@pytest.mark.parametrize("encode", ["ordinal", "onehot", "onehot-dense"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile", "kmeans"])
def test_bins(strategy: str, encode: str, precision: str, double: bool) -> None:
    """A value at an edge falls into the bin above, one beyond all edges into the outermost."""
    found = KBinsDiscretizer(
        [2, 3, 4, 5, 6],
        encode=encode,
        strategy=strategy,
        quantile_method="averaged_inverted_cdf",
    ).fit(ROWS)
    edges = np.array([edges[:3] for edges in found.bin_edges_]).T
    near = [np.nextafter(edges.astype(np.float32), np.float32(end)) for end in (9, -9)]
    check(found, precision, double, ROWS, ROWS * 3, edges, *near)


@WAYS
@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("beyond", ["constant", "linear", "continue", "periodic"])
def test_splines(beyond: str, degree: int, precision: str, double: bool) -> None:
    """Splines go on beyond the knots as they were told to."""
    for bias in (True, False):
        found = SplineTransformer(
            degree=degree, extrapolation=beyond, include_bias=bias, n_knots=6
        ).fit(ROWS)
        check(found, precision, double, ROWS, ROWS * 1.5, ROWS[:1])


@WAYS
def test_splines_of_quantiles_and_gaps(precision: str, double: bool) -> None:
    """Knots may lie anywhere; missing values become zeros where so set."""
    quantiles = SplineTransformer(knots="quantile", n_knots=4).fit(ROWS[:, :3])
    check(quantiles, precision, double, ROWS[:, :3], ROWS[:, :3] * 2)
    steps = SplineTransformer(degree=0, extrapolation="continue").fit(ROWS)
    check(steps, precision, double, ROWS)
    zeros = SplineTransformer(handle_missing="zeros", extrapolation="linear").fit(GAPS)
    check(zeros, precision, double, GAPS, ROWS)


def test_splines_refuse() -> None:
    """Beyond the knots is refused where so set; coinciding knots have no translation."""
    found = SplineTransformer(extrapolation="error").fit(ROWS)
    assert_translated(found, ROWS)
    with pytest.raises(Exception, match="beyond the knots"):
        runner(translated(found, ROWS).content)({"X": ROWS * 2})
    equal = np.where(ROWS > 0, ROWS, 0)
    coincide = SplineTransformer(knots="quantile", n_knots=9).fit(equal)
    with pytest.raises(Untranslatable, match="without width"):
        translated(coincide, ROWS)


@WAYS
@pytest.mark.parametrize(
    "func",
    [None, np.abs, np.cos, np.exp, np.expm1, np.rint, np.sign, np.sin, np.square, np.tanh, expit],
    ids=str,
)
def test_functions_of_all_numbers(func: Any, precision: str, double: bool) -> None:
    """Functions of numpy and scipy are applied to each number; none changes nothing."""
    check(FunctionTransformer(func).fit(ROWS), precision, double, ROWS, ROWS * 1e-7)


@WAYS
@pytest.mark.parametrize(
    "func", [np.log, np.log10, np.log1p, np.log2, np.reciprocal, np.sqrt, logit], ids=str
)
def test_functions_of_positive_numbers(func: Any, precision: str, double: bool) -> None:
    """Roots, logarithms and quotients too, near the bounds of what they take."""
    rows = np.clip(POSITIVE / 4, 1e-6, 0.99)
    check(FunctionTransformer(func).fit(rows), precision, double, rows, rows * 1e-5)


def added(rows: np.ndarray, to: float = 1.0) -> np.ndarray:
    return rows + to


@pytest.mark.parametrize(
    ("transformer", "why"),
    [
        (FunctionTransformer(added), "'added' has no ONNX form"),
        (FunctionTransformer(np.log1p, kw_args={"dtype": float}), "'log1p' is given arguments"),
        (FunctionTransformer(np.cumsum), "'cumsum' has no ONNX form"),
    ],
)
def test_functions_refused(transformer: FunctionTransformer, why: str) -> None:
    """Other functions have no translation, and the reason names them."""
    with pytest.raises(Untranslatable, match=why):
        function(Graph({}, leaf), transformer, Table.of(Value("X", "float", 2)), "transform")


def test_trees_behind_scalers() -> None:
    """A tree behind a scaler splits scaled float32 rows where scikit-learn's does."""
    rows = np.round(RANDOM.normal(size=(400, 3)) * 20, 1).astype(np.float32)
    wanted = np.round(rows @ [1, 2, 3], 1)
    for scaler in (StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler()):
        found = make_pipeline(scaler, DecisionTreeRegressor()).fit(rows, wanted)
        assert_translated(found, rows)


@pytest.mark.filterwarnings("ignore:Bins whose width")
def test_converted() -> None:
    """A chain of preprocessing is served by ONNX."""
    found = make_pipeline(
        QuantileTransformer(n_quantiles=20),
        SplineTransformer(n_knots=4),
        KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
    )
    converted = convert(found.fit(ROWS[:, :3]), ROWS[:, :3], name="prepared")
    assert converted.backend == "onnxruntime", converted.reason


def asked(write: Any, rows: np.ndarray) -> np.ndarray:
    """Return what nodes make of float64 rows `[N, 1]`."""
    graph = Graph({}, leaf, double=True)
    name = write(graph, "X")
    made = helper.make_graph(
        [*graph.nodes, helper.make_node("Cast", [name], ["Y"], to=TensorProto.DOUBLE)],
        "g",
        [helper.make_tensor_value_info("X", TensorProto.DOUBLE, [None, rows.shape[1]])],
        [helper.make_tensor_value_info("Y", TensorProto.DOUBLE, [None, None])],
        list(graph.initializers.values()),
    )
    domains = {"": 21, "ai.onnx.ml": 3}
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    model = helper.make_model(made, opset_imports=opsets, ir_version=10)
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": rows})[0]


@pytest.mark.parametrize(("write", "wanted"), [(log1p, np.log1p), (expm1, np.expm1)])
def test_precise_near_zero(write: Any, wanted: Any) -> None:
    """log(1 + x) and exp(x) - 1 keep all digits of a small x."""
    small = [sign * 10.0**power for power in range(-300, 0, 7) for sign in (1, -1)]
    rows = np.array([*small, 0.0, 0.3, 0.49999, 0.5, 0.9, 1.0, 20.0, 700.0])[:, None]
    np.testing.assert_allclose(asked(write, rows), wanted(rows), rtol=1e-14)


@pytest.mark.parametrize("side", ["left", "right"])
def test_searched(side: Any) -> None:
    """Each column is searched among its own edges, equal ones too, or none."""
    edges = [np.array([]), np.array([0.5]), np.array([-1.0, 0.0, 0.0, 0.0, 2.5, 1e300])]
    values = np.unique([*np.concatenate(edges), -5.0, 0.1, 3.0, np.nextafter(0.5, 1)])
    rows = np.repeat(values[:, None], 3, axis=1)
    found = asked(lambda graph, x: searchsorted(graph, x, edges, side), rows)
    for column, known in enumerate(edges):
        np.testing.assert_array_equal(found[:, column], np.searchsorted(known, values, side))
