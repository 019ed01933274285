"""A scikit-learn estimator as Triton's Python backend serves it.

This file is copied beside the estimator's artefact and runs in Triton's Python process, so it
imports nothing of the project that published it. `ServedEstimator` knows nothing of Triton: the
conversion proves parity through the very same code.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    import triton_python_backend_utils as pb_utils
except ImportError:  # outside Triton, where parity is proven
    pb_utils = None

Tensors = dict[str, np.ndarray[Any, Any]]


class Refused(Exception):
    """The model can't be served as published: what is wrong, and the remedy."""


class ServedEstimator:
    """An estimator that takes named tensors and gives named tensors.

    Args:
        estimator: the fitted estimator.
        layout: "array" (one tensor `X`, `[N, features]`), "text" (one tensor `X`, `[N, 1]` of
            strings) or "frame" (one tensor per column, `[N, 1]`).
        dtypes: column → pandas dtype, for "frame".
        outputs: the names of the tensors to answer with.
    """

    def __init__(
        self, estimator: Any, layout: str, dtypes: Mapping[str, str], outputs: Sequence[str]
    ) -> None:
        self._estimator = estimator
        self._layout = layout
        self._dtypes = dict(dtypes)
        self._outputs = list(outputs)

    def infer(self, tensors: Tensors) -> Tensors:
        """Answer rows: label, probabilities, decision, prediction, features or score by name."""
        return self.answer(self._rows(tensors))

    def answer(self, rows: Any) -> Tensors:
        """The same for rows in the form that the estimator itself takes."""
        return {name: _COMPUTE[name](self._estimator, rows) for name in self._outputs}

    def _rows(self, tensors: Tensors) -> Any:
        if self._layout == "array":
            return tensors["X"]
        if self._layout == "text":
            return tensors["X"].ravel().tolist()
        import pandas as pd  # noqa: PLC0415 -- only a model that takes a DataFrame pays for it

        columns = {name: tensors[name].ravel() for name in self._dtypes}
        return pd.DataFrame(columns).astype(self._dtypes)


def _label(estimator: Any, rows: Any) -> np.ndarray[Any, Any]:
    found = np.asarray(estimator.predict(rows))
    labels = found.reshape(len(found), -1)
    if labels.dtype.kind in "biuf":
        return labels.astype(np.int64)
    return labels.astype(np.object_)


def _probabilities(estimator: Any, rows: Any) -> np.ndarray[Any, Any]:
    return np.asarray(estimator.predict_proba(rows), dtype=np.float32)


def _floats(found: Any) -> np.ndarray[Any, Any]:
    dense = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    return dense.reshape(len(dense), -1).astype(np.float32)


def _decision(estimator: Any, rows: Any) -> np.ndarray[Any, Any]:
    return _floats(estimator.decision_function(rows))


def _prediction(estimator: Any, rows: Any) -> np.ndarray[Any, Any]:
    return _floats(estimator.predict(rows))


def _features(estimator: Any, rows: Any) -> np.ndarray[Any, Any]:
    return _floats(estimator.transform(rows))


_COMPUTE = {
    "label": _label,
    "probabilities": _probabilities,
    "decision": _decision,
    "score": _decision,
    "prediction": _prediction,
    "features": _features,
}


def load(path: Path, sha256: str, trusted: Sequence[str]) -> Any:
    """Load an artefact whose digest is the pinned one.

    Raises:
        Refused: the file is missing, is not the published one, or can't be loaded.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise Refused(
            f"{path} is not the file that was published: SHA-256 {found}, config.pbtxt says "
            f"{sha256}. Remedy: publish the model again, or restore the file"
        )
    try:
        if path.suffix == ".skops":
            import skops.io  # noqa: PLC0415 -- either this or joblib

            return skops.io.loads(content, trusted=list(trusted))
        import joblib  # noqa: PLC0415 -- as above

        return joblib.load(path)
    except Exception as error:
        raise Refused(f"{path} can't be loaded: {type(error).__name__}: {error}") from error


def check_libraries(published: Mapping[str, str]) -> None:
    """Refuse to load an estimator into another minor version of scikit-learn.

    Raises:
        Refused: naming both versions.
    """
    here = importlib.metadata.version("scikit-learn")
    wanted = published.get("scikit-learn", here)
    if here.split(".")[:2] != wanted.split(".")[:2]:
        raise Refused(
            f"the estimator was fitted with scikit-learn {wanted}, this server has {here}. Remedy: "
            f"install scikit-learn {wanted} here, or convert the model again with {here}"
        )


class TritonPythonModel:
    """One instance of one model version."""

    def initialize(self, args: dict[str, str]) -> None:
        """Check versions and digest, then load; refusals name their remedy."""
        config = json.loads(args["model_config"])
        version = args["model_version"]
        parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
        folder = Path(args["model_repository"], version)
        try:
            check_libraries(json.loads(parameters["libraries"]))
            estimator = load(
                folder / parameters[f"artefact.{version}"],
                parameters[f"sha256.{version}"],
                json.loads(parameters[f"trusted.{version}"]),
            )
        except (Refused, KeyError) as error:
            raise pb_utils.TritonModelException(str(error)) from error
        self._strings = {t["name"] for t in config["input"] if t["data_type"] == "TYPE_STRING"}
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._model = ServedEstimator(
            estimator,
            parameters["layout"],
            json.loads(parameters["dtypes"]),
            [tensor["name"] for tensor in config["output"]],
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer all requests by one call of the estimator; a bad one fails alone."""
        taken = [self._take(request) for request in requests]
        good = [tensors for tensors in taken if isinstance(tensors, dict)]
        answers = iter(self._answer(good))
        return [
            _respond(next(answers) if isinstance(tensors, dict) else tensors, request)
            for tensors, request in zip(taken, requests, strict=True)
        ]

    def _take(self, request: Any) -> Tensors | Exception:
        tensors = {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in self._inputs
        }
        try:
            return {
                name: decode(name, tensor) if name in self._strings else tensor
                for name, tensor in tensors.items()
            }
        except ValueError as error:
            return error

    def _answer(self, requests: Sequence[Tensors]) -> list[Tensors | Exception]:
        if not requests:
            return []
        try:
            together = {
                name: np.concatenate([tensors[name] for tensors in requests])
                for name in requests[0]
            }
            found = self._model.infer(together)
        except Exception as error:  # noqa: BLE001 -- whatever the estimator raises is an answer
            if len(requests) == 1:
                return [error]
            # One request spoils the call of all: let each meet its own fate.
            return [self._answer([tensors])[0] for tensors in requests]
        ends = np.cumsum([len(next(iter(tensors.values()))) for tensors in requests])
        split = {name: np.split(tensor, ends[:-1]) for name, tensor in found.items()}
        return [
            {name: parts[index] for name, parts in split.items()} for index in range(len(requests))
        ]


def decode(name: str, tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a BYTES tensor as one of `str`; raise ValueError naming a bad element."""
    decoded = np.empty(tensor.size, dtype=np.object_)
    for index, element in enumerate(tensor.ravel()):
        try:
            decoded[index] = element.decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"input '{name}', element {index}: not UTF-8 ({error.reason} at byte "
                f"{error.start}); send text encoded as UTF-8"
            ) from None
        if "\0" in decoded[index]:
            raise ValueError(f"input '{name}', element {index}: holds a NUL character; remove it")
    return decoded.reshape(tensor.shape)


def _respond(answer: Tensors | Exception, request: Any) -> Any:
    if isinstance(answer, Exception):
        # What an estimator refuses about its input (NaN, unknown category) is a ValueError.
        refused = isinstance(answer, ValueError)
        code = pb_utils.TritonError.INVALID_ARG if refused else pb_utils.TritonError.INTERNAL
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(answer), code))
    wanted = request.requested_output_names()
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, tensor) for name, tensor in answer.items() if name in wanted]
    )
