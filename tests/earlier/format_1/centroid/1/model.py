"""Serves a scikit-learn estimator on Triton's Python backend.

`geulpi_conversion` publishes this file, unchanged, as the `model.py` of a version; conversion runs
the same code when it compares. So it imports nothing of its package, and Triton only where it is.

A version's folder holds this file and `estimator.skops` or `estimator.joblib`. The parameters of
config.pbtxt say the rest:
    layout             JSON of a `Layout`: what the input tensors become
    sha256.<version>   the digest that the artefact must have
    trusted.<version>  JSON list of the types that skops may load beside the ones it knows
    libraries          JSON of the library versions that the estimator was converted with
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import skops.io

try:
    import triton_python_backend_utils as pb_utils
except ModuleNotFoundError:  # it exists only inside Triton
    pb_utils = None

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]

ARTEFACTS = ("estimator.skops", "estimator.joblib")
METHODS = {
    "label": "predict",
    "prediction": "predict",
    "features": "transform",
    "probabilities": "predict_proba",
    "decision": "decision_function",
    "score": "decision_function",
}


class RequestRefused(ValueError):
    """One request's input can't be given to the estimator."""


class ArtefactRefused(RuntimeError):
    """The published estimator must not or can't be loaded here: what is wrong, and the remedy."""


class UnservableAnswer(ValueError):
    """The estimator's answer fits no tensor."""


class TritonPythonModel:
    """One instance of one version; the work is done by `ServedEstimator`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's estimator; refusals name their remedy."""
        config: dict[str, Any] = json.loads(args["model_config"])
        version = args["model_version"]
        folder = Path(args["model_repository"], version)
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        try:
            check_libraries(json.loads(parameters["libraries"]))
            estimator = load_estimator(folder, version, parameters)
        except ArtefactRefused as error:
            raise pb_utils.TritonModelException(str(error)) from error
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._model = ServedEstimator(estimator, Layout.from_json(parameters["layout"]))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer all requests by one call of the estimator; a bad one fails alone."""
        answers = self._model.infer_many(
            [
                {
                    name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                    for name in self._inputs
                }
                for request in requests
            ],
            [request.requested_output_names() for request in requests],
        )
        return [_to_response(answer) for answer in answers]

    def finalize(self) -> None:
        """Let go of the estimator."""
        del self._model


@dataclass(frozen=True)
class Layout:
    """What the input tensors become before the estimator sees them.

    Attributes:
        kind: `array`: the tensor X as it is; `text`: X as a 1-D array of `str`; `frame`: a
            DataFrame of one column for each tensor.
        columns: the DataFrame's column names; the tensors have them as strings.
        categories: the categories, in order, of the columns that are categorical.
    """

    kind: str
    columns: tuple[str | int, ...] = ()
    categories: Mapping[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(fields["kind"], tuple(fields["columns"]), fields["categories"])

    def to_json(self) -> str:
        """Write the layout as a parameter of config.pbtxt."""
        fields = {"kind": self.kind, "columns": self.columns, "categories": self.categories}
        return json.dumps(fields, ensure_ascii=False)

    def to_native(self, tensors: Tensors) -> Any:
        """Return what the estimator was fitted to take: an array or a DataFrame of N rows.

        Raises:
            RequestRefused: a string is not UTF-8.
        """
        arrays = {name: decode(name, tensor) for name, tensor in tensors.items()}
        if self.kind == "array":
            return arrays["X"]
        if self.kind == "text":
            return arrays["X"][:, 0]
        import pandas as pd  # noqa: PLC0415 -- models that take arrays do without

        columns: dict[str | int, Any] = {c: arrays[str(c)][:, 0] for c in self.columns}
        for column in self.columns:
            if str(column) in self.categories:
                known = self.categories[str(column)]
                columns[column] = pd.Categorical(columns[column], categories=known)
        return pd.DataFrame(columns)


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
    return {
        name: _to_matrix(name, getattr(estimator, METHODS[name])(native), len(native))
        for name in wanted
    }


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


def load_estimator(folder: Path, version: str, parameters: Mapping[str, str]) -> Any:
    """Load a version's estimator, once its digest is found to be the published one.

    Raises:
        ArtefactRefused: the file is missing, or not the one that was published, or can't be loaded.
    """
    remedy = "Remedy: publish the model again, or restore the file"
    path = next((folder / name for name in ARTEFACTS if (folder / name).exists()), None)
    if path is None:
        raise ArtefactRefused(f"{folder} holds none of {', '.join(ARTEFACTS)}. {remedy}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    expected = parameters.get(f"sha256.{version}", "(nothing)")
    if found != expected:
        raise ArtefactRefused(
            f"{path} is not the file that was published: SHA-256 {found}, config.pbtxt says "
            f"{expected}. {remedy}"
        )
    try:
        return load(path.name, content, json.loads(parameters.get(f"trusted.{version}", "[]")))
    except Exception as error:
        raise ArtefactRefused(
            f"{path} can't be loaded: {type(error).__name__}: {error}. Remedy: install what the "
            "estimator needs in the server's environment, or publish the model again"
        ) from error


def load(file_name: str, content: bytes, trusted: Sequence[str]) -> Any:
    """Load an artefact: joblib's by its name, which runs code; else skops', which does not."""
    if file_name.endswith(".joblib"):
        return joblib.load(io.BytesIO(content))
    return skops.io.loads(content, trusted=list(trusted))


def check_libraries(recorded: Mapping[str, str]) -> None:
    """Check that scikit-learn is of the minor version that the estimator was converted with.

    Raises:
        ArtefactRefused: it is not; estimators don't survive a change of minor version unharmed.
    """
    published, here = recorded["scikit-learn"], importlib.metadata.version("scikit-learn")
    if published.split(".")[:2] != here.split(".")[:2]:
        minor = ".".join(published.split(".")[:2])
        raise ArtefactRefused(
            f"the model was published with scikit-learn {published}, the server has {here}. "
            f"Remedy: install scikit-learn {minor} in the server's environment, or convert and "
            "publish the model again"
        )


def _to_matrix(name: str, values: Any, rows: int) -> Array:
    matrix = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    if matrix.ndim == 1:
        matrix = matrix.reshape(-1, 1)
    if matrix.ndim != 2 or len(matrix) != rows:
        raise UnservableAnswer(f"{name} of {rows} rows has the shape {matrix.shape}, not [N, k]")
    return _to_labels(matrix) if name == "label" else _to_floats(name, matrix)


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


def _to_response(answered: Tensors | Exception) -> Any:
    if isinstance(answered, Exception):
        # Estimators refuse NaN, infinity and unknown categories by ValueError.
        refused = isinstance(answered, ValueError)
        code = pb_utils.TritonError.INVALID_ARG if refused else pb_utils.TritonError.INTERNAL
        message = f"{type(answered).__name__}: {answered}" if not refused else str(answered)
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, values) for name, values in answered.items()]
    )
