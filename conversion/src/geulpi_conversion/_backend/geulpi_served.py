"""How a scikit-learn estimator answers tensors, on Triton's Python backend and in conversion.

Published, unchanged, beside `model.py`; conversion runs the same code when it compares. So it
imports nothing of its package, and nothing of Triton.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]

METHODS = {
    "label": "predict",
    "prediction": "predict",
    "features": "transform",
    "probabilities": "predict_proba",
    "decision": "decision_function",
    "score": "decision_function",
    "log_density": "score_samples",
    "distances": "kneighbors",
    "indices": "kneighbors",
}
INTEGERS = frozenset({"label", "indices"})  # or texts, if they are labels


class RequestRefused(ValueError):
    """One request's input can't be given to the estimator."""


class UnservableAnswer(ValueError):
    """The estimator's answer fits no tensor."""


@dataclass(frozen=True)
class Column:
    """What a tensor's values are before they are sent, and what they become again.

    Attributes:
        tensor: name of the tensor.
        name: the DataFrame's name of the column.
        dtype: what the estimator was given, as numpy or pandas write it; "" where the tensor's own
            type will do.
        categories: of a categorical column, in order.
        ordered: whether these categories have an order.
        missing: the text that stands for a missing string; None where none is missing.
        none: whether a missing value among objects is `None`; it is NaN otherwise.
        bools: whether the numbers of an object or nullable column are truth values.
    """

    tensor: str
    name: str | int
    dtype: str = ""
    categories: list[Any] | None = None
    ordered: bool = False
    missing: str | None = None
    none: bool = False
    bools: bool = False

    def restore(self, values: Array) -> Any:
        """Return the values `[N]` of the tensor as a column that the estimator knows."""
        import pandas as pd  # noqa: PLC0415 -- models that take plain arrays do without

        values = self.with_missing(values)
        if self.categories is not None:
            return self._categorical(values)
        if self.dtype.startswith(("datetime64", "timedelta64")):
            unit = self.dtype.partition(",")[0].rstrip("]") + "]"
            moments = pd.Series(values.view(np.dtype(unit)))
            zone = self.dtype.partition(", ")[2].rstrip("]")
            return moments.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else moments
        if self.bools and values.dtype.kind == "f":
            missing = np.isnan(values)
            values = (np.nan_to_num(values) != 0).astype(np.object_)
            values[missing] = None if self.none else pd.NA if self.dtype == "boolean" else np.nan
        if self.dtype.startswith(("Int", "UInt")):
            whole = np.isnan(values) | (values == np.floor(values))
            return pd.Series(values, dtype="Int64" if whole.all() else "Float64")
        return pd.Series(values, dtype=self.dtype) if self.dtype else values

    def _categorical(self, values: Array) -> Any:
        """Return values as categories; unknown ones come after those known."""
        import pandas as pd  # noqa: PLC0415 -- see above

        known = self.categories or []
        given = values.tolist()
        new = {v: None for v in given if v not in known and v is not None and v == v}  # noqa: PLR0124 -- not NaN
        return pd.Categorical(given, categories=[*known, *new], ordered=self.ordered)

    def with_missing(self, values: Array) -> Array:
        """Return texts with the missing ones missing again."""
        if self.missing is None or values.dtype != np.object_:
            return values
        restored = values.copy()
        restored[values == self.missing] = None if self.none else np.nan
        return restored


@dataclass(frozen=True)
class Layout:
    """What the input tensors become before the estimator sees them.

    Attributes:
        kind: `array`: the tensor X as it is; `vector` and `text`: X as a 1-D array; `records`: X as
            a list of what JSON says; `sparse`: X as a sparse matrix; `frame`: a DataFrame.
        columns: of a frame one for each tensor, else one for X.
        shape: of a row, where it has more than one axis.
    """

    kind: str
    columns: tuple[Column, ...]
    shape: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        columns = tuple(Column(**column) for column in fields["columns"])
        return cls(fields["kind"], columns, tuple(fields["shape"]))

    def to_json(self) -> str:
        """Write the layout as a parameter of config.pbtxt."""
        defaults = vars(Column("", ""))
        columns = [
            {k: v for k, v in vars(column).items() if k in {"tensor", "name"} or v != defaults[k]}
            for column in self.columns
        ]
        fields = {"kind": self.kind, "columns": columns, "shape": self.shape}
        return json.dumps(fields, ensure_ascii=False)

    def to_native(self, tensors: Tensors) -> Any:
        """Return what the estimator was fitted to take, of N rows.

        Raises:
            RequestRefused: a string is not UTF-8, or is no JSON where it has to be.
        """
        arrays = {name: decode(name, tensor) for name, tensor in tensors.items()}
        if self.kind == "frame":
            import pandas as pd  # noqa: PLC0415 -- models that take plain arrays do without

            columns = [column.restore(arrays[column.tensor][:, 0]) for column in self.columns]
            frame = pd.DataFrame(dict(enumerate(columns)))
            frame.columns = pd.Index([column.name for column in self.columns])
            return frame
        column = self.columns[0]
        matrix = column.with_missing(arrays[column.tensor])
        if column.dtype:
            matrix = matrix.astype(column.dtype)
        if self.kind == "sparse":
            from scipy.sparse import csr_matrix  # noqa: PLC0415 -- the others do without

            return csr_matrix(matrix)
        if self.kind in {"text", "vector"}:
            return matrix[:, 0]
        if self.kind == "records":
            return [_parsed(text, row) for row, text in enumerate(matrix[:, 0])]
        return matrix.reshape(-1, *self.shape) if self.shape else matrix


def _parsed(text: str, row: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RequestRefused(f"input 'X', element {row}: not JSON ({error})") from None


class ServedEstimator:
    """Answers requests of tensors by a fitted estimator."""

    def __init__(self, estimator: Any, layout: Layout) -> None:
        """Serve `estimator`, whose input is laid out as `layout` says."""
        self._estimator = estimator
        self._layout = layout

    def infer(self, tensors: Tensors, wanted: Sequence[str]) -> Tensors:
        """Answer N rows.

        Args:
            tensors: the inputs by name, `[N, width]`; BYTES as objects of `bytes`.
            wanted: names of the outputs to compute.

        Returns:
            The wanted outputs, `[N, width]`: labels INT64 or objects of `str`, the rest FP32.

        Raises:
            ValueError: the estimator, or the decoding of strings, refuses a row.
        """
        answers = answer(self._estimator, self._layout.to_native(tensors), wanted)
        return {
            name: values.astype(np.float32) if values.dtype.kind == "f" else values
            for name, values in answers.items()
        }

    def infer_many(
        self, requests: Sequence[Tensors], wanted: Sequence[Sequence[str]]
    ) -> list[Tensors | Exception]:
        """Answer several requests by one call; each gets its own answer or its own error."""
        names = [name for name in METHODS if any(name in some for some in wanted)]
        batch = {
            name: np.concatenate([request[name] for request in requests]) for name in requests[0]
        }
        try:
            found = self.infer(batch, names)
        except Exception as error:  # noqa: BLE001 -- whatever an estimator raises is one answer
            if len(requests) == 1:
                return [error]
            # One request spoils the call of all: let each meet its own fate.
            return [
                self.infer_many([request], [some])[0]
                for request, some in zip(requests, wanted, strict=True)
            ]
        ends = np.cumsum([len(next(iter(request.values()))) for request in requests])
        return [
            {name: found[name][end - len(next(iter(request.values()))) : end] for name in some}
            for request, some, end in zip(requests, wanted, ends, strict=True)
        ]


def answer(estimator: Any, native: Any, wanted: Sequence[str]) -> Tensors:
    """Return the estimator's answers in its own precision, each as a 2-D array.

    Args:
        estimator: a fitted estimator.
        native: N rows of what it takes.
        wanted: names of outputs, keys of `METHODS`.

    Raises:
        UnservableAnswer: an answer is no `[N, width]` of numbers, or of labels of one type.
        Exception: whatever the estimator raises.
    """
    rows = native.shape[0] if hasattr(native, "shape") else len(native)
    return {name: _to_matrix(name, _asked(estimator, name, native), rows) for name in wanted}


def decode(name: str, tensor: Array) -> Array:
    """Return a BYTES tensor as objects of `str`, any other as it is.

    Raises:
        RequestRefused: an element is not UTF-8.
    """
    if tensor.dtype != np.object_:
        return tensor
    decoded = np.empty(tensor.size, dtype=np.object_)
    for index, element in enumerate(tensor.ravel()):
        try:
            decoded[index] = element.decode()
        except UnicodeDecodeError as error:
            raise RequestRefused(
                f"input '{name}', element {index}: not UTF-8 ({error.reason} at byte "
                f"{error.start}); send text encoded as UTF-8"
            ) from None
    return decoded.reshape(tensor.shape)


def _asked(estimator: Any, name: str, native: Any) -> Any:
    answered = getattr(estimator, METHODS[name])(native)
    if METHODS[name] != "kneighbors":
        return answered
    distances, indices = answered
    return distances if name == "distances" else indices


def _to_matrix(name: str, values: Any, rows: int) -> Array:
    if isinstance(values, list) and len(values) == 1:
        values = values[0]  # of several targets, the only one
    matrix = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    if matrix.ndim == 1:  # of a single row some give its values alone
        matrix = matrix.reshape((-1, 1) if len(matrix) == rows else (1, -1))
    if matrix.ndim > 2 and rows and len(matrix) % rows == 0:
        matrix = matrix.reshape(rows, -1)  # of a row several matrices, side by side
    if matrix.ndim != 2 or len(matrix) != rows:
        raise UnservableAnswer(f"{name} of {rows} rows has the shape {matrix.shape}, not [N, k]")
    if name in INTEGERS:
        return _to_labels(matrix)
    texts = matrix.dtype.kind in "UO" and all(isinstance(v, str) for v in matrix.ravel())
    return matrix.astype(np.object_) if texts and name == "features" else _to_floats(name, matrix)


def _to_labels(labels: Array) -> Array:
    if labels.dtype.kind in "biu" or (
        labels.dtype.kind == "f" and np.array_equal(labels, labels.astype(np.int64))
    ):
        return labels.astype(np.int64)
    labels = labels.astype(np.object_)
    types = {type(label) for label in labels.ravel()}
    if types <= {str, np.str_}:
        return labels
    if types <= {bool, int, np.bool_, np.int64}:
        return labels.astype(np.int64)
    named = ", ".join(sorted(kind.__name__ for kind in types))
    raise UnservableAnswer(f"labels of the type {named} are neither integers nor strings")


def _to_floats(name: str, matrix: Array) -> Array:
    if matrix.dtype.kind not in "biuf":
        try:
            return matrix.astype(np.float64)
        except (TypeError, ValueError):
            raise UnservableAnswer(f"{name} are not all numbers") from None
    return matrix if matrix.dtype.kind == "f" else matrix.astype(np.float64)
