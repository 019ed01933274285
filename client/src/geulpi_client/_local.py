"""Models that answer within the process, by ONNX Runtime, when the server can't."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from geulpi_client._contract import Contract
from geulpi_client._errors import (
    InferenceFailed,
    InputRefused,
    InvalidSetting,
    MissingExtra,
    Target,
    listed,
)
from geulpi_client._extras import needs
from geulpi_client._messages import Answer
from geulpi_client._tensors import (
    BYTES,
    Array,
    MalformedTensor,
    Spec,
    Tensor,
    from_array,
    to_array,
)

URL: Final = "local"
"""What errors of these models name as the address."""

_DATATYPES: Final[Mapping[str, str]] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": BYTES,
}
# Shapes of outputs that may come as `[N]`: the second is also that of a graph that says none.
_FLAT: Final = ((-1,), ())
_EXAMPLE = "such as 'model_repository/event_classifier/3/model.onnx'"
_NOTHING_PRINTED = 4  # what ONNX Runtime would print it also raises
# What one more call weighs in the estimate: the last ten or so count.
_NEWEST_WEIGHT = 0.2


class LocalModels:
    """ONNX files by the name of their model; safe between threads, and after a fork.

    Args:
        paths: the file of each model.

    Raises:
        InvalidSetting: a name or path that can't be, or a file that is no model of tensors.
        MissingExtra: there are paths, but ONNX Runtime is not installed.
    """

    def __init__(self, paths: Mapping[str, str | Path]) -> None:
        if not isinstance(paths, Mapping):
            raise InvalidSetting("local", paths, f"a path for each model's name, {_EXAMPLE}")
        self._models = {name: _LocalModel(name, path) for name, path in paths.items()}

    def __contains__(self, model: str) -> bool:
        """Whether there is a file of that model."""
        return model in self._models

    def contract(self, model: str) -> Contract:
        """Return what a model takes and gives; it must be one of these.

        The version is the number of the folder that the file is in, or empty. An input or output
        whose shape the graph leaves open has none here either.
        """
        return self._models[model].contract

    def infer(self, model: str, tensors: Sequence[Tensor]) -> Answer:
        """Ask a model, which must be one of these, as its contract says.

        Raises:
            InputRefused: it does not take these tensors.
            InferenceFailed: it failed on them.
        """
        return self._models[model].infer(tensors)

    def usual_s(self, model: str) -> float:
        """Return how long calls of a model took lately, in seconds; 0.0 before the first."""
        return self._models[model].usual_s


class _LocalModel:
    def __init__(self, name: str, path: str | Path) -> None:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise InvalidSetting("local", name, "models' names, such as 'event_classifier'")
        self._setting = f"local['{name}']"
        if not isinstance(path, str | Path):
            raise InvalidSetting(self._setting, path, f"the path of an ONNX file, {_EXAMPLE}")
        self._path = Path(path).absolute()
        # Kept for the children of this process, whatever becomes of the file.
        self._content = self._read()
        session = self._first_session()
        self._sessions = {os.getpid(): session}
        inputs = [self._spec(node) for node in session.get_inputs()]
        outputs = [self._spec(node) for node in session.get_outputs()]
        # Triton counts the rows of a batch by the first dimension of every tensor.
        batches = bool(inputs) and all(spec.shape[:1] == (-1,) for spec in inputs)
        self._flat_inputs = {spec.name for spec in inputs if batches and len(spec.shape) == 1}
        self._flat_outputs = {spec.name for spec in outputs if batches and spec.shape in _FLAT}
        folder = self._path.parent.name
        self.contract = Contract(
            name,
            folder if folder.isdecimal() else "",
            tuple(_column(spec) if batches else spec for spec in inputs),
            tuple(
                _column(spec) if batches else spec
                for spec in sorted(outputs, key=lambda spec: spec.name)
            ),
        )
        self._target = Target(URL, name, self.contract.version)
        self.usual_s = 0.0

    def infer(self, tensors: Sequence[Tensor]) -> Answer:
        feed = self._feed(tensors)
        names = [spec.name for spec in self.contract.outputs]
        session = self._sessions.get(os.getpid())
        if session is None:
            # This process was forked. Another thread may have held a lock of the parent's session
            # at that moment, so it is not even deleted here.
            session = self._sessions[os.getpid()] = _session(self._content)
        started_s = time.monotonic()
        try:
            found = session.run(names, feed)
        except Exception as error:
            said = _said(error)
            kind = InputRefused if "INVALID_ARGUMENT" in said else InferenceFailed
            raise kind(self._target, said) from error
        took_s = time.monotonic() - started_s
        # Two threads at a time may lose one of both calls, which does no harm to an estimate.
        usual_s = self.usual_s
        self.usual_s = usual_s + _NEWEST_WEIGHT * (took_s - usual_s) if usual_s else took_s
        outputs = [
            self._output(spec, np.asarray(value))
            for spec, value in zip(self.contract.outputs, found, strict=True)
        ]
        return Answer(self.contract.version, tuple(outputs))

    def _feed(self, tensors: Sequence[Tensor]) -> dict[str, Array]:
        declared = {spec.name: spec for spec in self.contract.inputs}
        if sorted(tensor.name for tensor in tensors) != sorted(declared):
            raise self._refused(
                f"the inputs {listed([tensor.name for tensor in tensors])} came; it takes "
                f"{listed(list(declared))}"
            )
        feed = {}
        for tensor in tensors:
            spec = declared[tensor.name]
            if tensor.datatype != spec.datatype:
                raise self._refused(f"input '{tensor.name}' is {tensor.datatype}; it takes {spec}")
            try:
                array = to_array(tensor)
            except MalformedTensor as error:
                raise self._refused(f"input {error}") from error
            if tensor.datatype == BYTES:
                self._check_texts(tensor.name, array)
            if tensor.name in self._flat_inputs and tensor.shape[1:] == (1,):
                array = array[:, 0]
            feed[tensor.name] = array
        return feed

    def _check_texts(self, name: str, array: Array) -> None:
        for position, element in enumerate(array.flat):
            # ONNX Runtime would take b'\xff' as the text "b'\\xff'"; the server refuses both.
            if not isinstance(element, str) or "\0" in element:
                raise self._refused(f"input '{name}', element {position}: not UTF-8, or has a NUL")

    def _output(self, spec: Spec, array: Array) -> Tensor:
        if spec.name in self._flat_outputs and array.ndim == 1:
            array = array[:, np.newaxis]
        if spec.datatype == BYTES:
            encoded = np.empty(array.size, dtype=np.object_)
            encoded[:] = [text.encode() for text in array.flat]
            array = encoded.reshape(array.shape)
        return from_array(spec.name, spec.datatype, array)

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except (OSError, ValueError) as error:
            raise self._unusable(f"the path of an ONNX file, {_EXAMPLE} ({error})") from error

    def _first_session(self) -> Any:
        try:
            return _session(self._content)
        except MissingExtra:
            raise
        except Exception as error:
            raise self._unusable(
                f"a model that ONNX Runtime loads ({self._path}: {_said(error)}). Remedy: copy or "
                "publish the file again; if it is whole, update onnxruntime"
            ) from error

    def _spec(self, node: Any) -> Spec:
        datatype = _DATATYPES.get(node.type)
        if datatype is None:
            raise self._unusable(
                f"a model of tensors of numbers and text ({self._path}: '{node.name}' is "
                f"{node.type}). Remedy: convert it with `geulpi convert`, or with the option "
                "zipmap=False of skl2onnx"
            )
        # A dimension without a number has a name or None.
        shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
        return Spec(node.name, datatype, shape)

    def _unusable(self, expected: str) -> InvalidSetting:
        return InvalidSetting(self._setting, str(self._path), expected)

    def _refused(self, said: str) -> InputRefused:
        return InputRefused(self._target, said)


def _session(content: bytes) -> Any:
    """Return an ONNX Runtime session of one thread, so that it has no threads to lose in a fork."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported
    onnxruntime = needs("onnxruntime", "local")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _NOTHING_PRINTED
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _column(spec: Spec) -> Spec:
    """Return `[-1, 1]` for `[-1]`, as Triton shows it (`dims: [1] reshape { shape: [] }`)."""
    return Spec(spec.name, spec.datatype, (-1, 1)) if spec.shape == (-1,) else spec


def _said(error: Exception) -> str:
    return " ".join(str(error).split())
