"""What a sample says about a model's tensors: layout, names, types, widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.exceptions import NotFittedError

from geulpi_conversion._errors import NotFitted, SampleMismatch, Unservable
from geulpi_conversion.served.model import ServedEstimator, Tensors

__all__ = ["TRITON_TYPES", "Inputs", "Tensor", "estimator_answers", "read_sample", "tensor_specs"]

METHODS = ("predict", "predict_proba", "decision_function", "transform")

# numpy's name of a type → Triton's
TRITON_TYPES = {
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
    "object": "TYPE_STRING",
}


@dataclass(frozen=True)
class Tensor:
    """A named tensor of the served model, `[rows, width]`; `dtype` is numpy's name."""

    name: str
    dtype: str
    width: int


@dataclass(frozen=True)
class Inputs:
    """The sample as tensors, and how the served model makes rows of them again.

    Attributes:
        layout: "array", "text" or "frame", as `ServedEstimator` takes it.
        tensors: what a client would send, `[rows, width]` each.
        rows: the sample as the estimator itself takes it.
    """

    layout: str
    tensors: Tensors
    rows: Any

    @property
    def specs(self) -> tuple[Tensor, ...]:
        """Name, type and width of each tensor."""
        return tensor_specs(self.tensors)

    @property
    def dtypes(self) -> dict[str, str]:
        """Column → pandas dtype, for a frame."""
        if self.layout != "frame":
            return {}
        return {name: tensor.dtype.name for name, tensor in self.tensors.items()}

    @property
    def count(self) -> int:
        """Number of sample rows."""
        return len(next(iter(self.tensors.values())))

    def with_floats(self, dtype: str) -> Inputs:
        """Return the same inputs with every float tensor as `dtype`."""
        cast = {
            name: tensor.astype(dtype) if tensor.dtype.kind == "f" else tensor
            for name, tensor in self.tensors.items()
        }
        return Inputs(self.layout, cast, self.rows)

    def take(self, start: int, end: int) -> Tensors:
        """Return some rows of each tensor."""
        return {name: tensor[start:end] for name, tensor in self.tensors.items()}


def read_sample(sample: Any) -> Inputs:
    """Read a sample as tensors.

    Args:
        sample: a 2-D array of numbers, a DataFrame, or a sequence of strings; at least one row.

    Raises:
        SampleMismatch: anything else.
    """
    if isinstance(sample, pd.DataFrame):
        inputs = Inputs("frame", {str(c): _column(str(c), sample[c]) for c in sample}, sample)
        if len(inputs.tensors) != sample.shape[1]:
            raise SampleMismatch("two columns have the same name", "rename one of them")
    elif isinstance(sample, pd.Series) or (
        not hasattr(sample, "shape") and all(isinstance(text, str) for text in sample)
    ):
        texts = list(sample)
        inputs = Inputs("text", {"X": _strings("X", texts)}, texts)
    else:
        inputs = _read_array(sample)
    if not inputs.tensors or not inputs.count:
        raise SampleMismatch("it has no rows", "give at least one row, better a few hundred")
    return inputs


def _read_array(sample: Any) -> Inputs:
    if hasattr(sample, "toarray"):
        sample = sample.toarray()
    array = np.asarray(sample)
    if array.ndim == 1 and array.dtype.kind in "OU":
        texts = array.tolist()
        return Inputs("text", {"X": _strings("X", texts)}, texts)
    if array.ndim != 2:
        raise SampleMismatch(
            f"an array of shape {array.shape} is not rows of features", "give a 2-D array"
        )
    if array.dtype.kind == "b":
        return Inputs("array", {"X": array}, array)
    if array.dtype.kind in "iu":
        return Inputs("array", {"X": array.astype(np.int64)}, array)
    if array.dtype.kind == "f":
        served = np.float32 if array.dtype.itemsize <= 4 else np.float64
        return Inputs("array", {"X": array.astype(served)}, array)
    raise SampleMismatch(
        f"an array of dtype {array.dtype} is no tensor",
        "give numbers, or a DataFrame whose columns have one type each",
    )


def _column(name: str, column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    kind = column.dtype.kind
    if kind == "b":
        found = column.to_numpy(dtype=bool)
    elif kind in "iu":
        found = column.to_numpy(dtype=np.int64)
    elif kind == "f":
        found = column.to_numpy(dtype=np.float32 if column.to_numpy().itemsize <= 4 else np.float64)
    elif kind == "O":
        return _strings(name, column.tolist())
    else:
        raise SampleMismatch(
            f"column '{name}' has dtype {column.dtype}, which no tensor carries",
            "convert it to numbers or strings",
        )
    return found.reshape(-1, 1)


def _strings(name: str, values: list[Any]) -> np.ndarray[Any, Any]:
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise SampleMismatch(
                f"'{name}', row {row}: {value!r} is no string", "give strings alone, '' for none"
            )
    found = np.empty((len(values), 1), dtype=np.object_)
    found[:, 0] = values
    return found


def tensor_specs(tensors: Tensors) -> tuple[Tensor, ...]:
    """Return name, type and width of tensors, `[rows, width]` each."""
    return tuple(
        Tensor(name, tensor.dtype.name, tensor.shape[1]) for name, tensor in tensors.items()
    )


def estimator_answers(estimator: Any, inputs: Inputs) -> Tensors:
    """Return the estimator's own answers for the sample, as the tensors it is served with.

    Raises:
        NotFitted, SampleMismatch, Unservable.
    """
    names = _output_names(estimator)
    _check_labels(estimator)
    served = ServedEstimator(estimator, inputs.layout, inputs.dtypes, names)
    try:
        return served.answer(inputs.rows)
    except NotFittedError as error:
        raise NotFitted(estimator) from error
    except Exception as error:
        line = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise SampleMismatch(
            f"{type(estimator).__name__} refuses it ({line})",
            "give rows of the form that the estimator was fitted on, with the same columns",
        ) from error


def _output_names(estimator: Any) -> list[str]:
    """Return the names of the outputs, by what kind of estimator it is and what it can do."""
    can = {method for method in METHODS if _has(estimator, method)}
    if is_classifier(estimator) and _is_multi_output(estimator):
        return ["label"]
    if is_classifier(estimator):
        scores = {"predict_proba": "probabilities", "decision_function": "decision"}
        return ["label", *[scores[method] for method in scores if method in can][:1]]
    if is_outlier_detector(estimator) and "predict" in can:
        return ["label", *(["score"] if "decision_function" in can else [])]
    if is_clusterer(estimator) and "predict" in can:
        return ["label"]
    if "transform" in can and not is_regressor(estimator):
        return ["features"]
    if "predict" in can:
        return ["prediction"]
    raise Unservable(
        estimator,
        "it has neither predict nor transform for rows that it was not fitted on",
        "train a classifier on its labels, or choose an estimator with predict",
    )


def _has(estimator: Any, method: str) -> bool:
    try:
        return callable(getattr(estimator, method, None))
    except NotFittedError:  # pipelines and searches ask what is inside
        raise NotFitted(estimator) from None


def _is_multi_output(estimator: Any) -> bool:
    classes: Any = getattr(estimator, "classes_", None)
    return isinstance(classes, list) or (isinstance(classes, np.ndarray) and classes.ndim > 1)


def _check_labels(estimator: Any) -> None:
    classes: Any = getattr(estimator, "classes_", None)
    fractions = isinstance(classes, np.ndarray) and classes.dtype.kind == "f"
    if fractions and (classes != classes.round()).any():
        raise Unservable(
            estimator,
            f"its labels are fractions ({classes[:3].tolist()} …), and labels are served as "
            "integers or strings",
            "encode them with LabelEncoder",
        )
