"""An ONNX model as Triton's `onnxruntime` backend serves it; knows nothing of Triton itself."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime reads it when it is imported

import numpy as np
import onnxruntime as ort

Tensors = dict[str, np.ndarray[Any, Any]]

GIVE_BACK_EVERY = 1000  # runs, at 2 ms each

ORT_TYPES = {
    "TYPE_BOOL": "tensor(bool)",
    "TYPE_UINT8": "tensor(uint8)",
    "TYPE_UINT16": "tensor(uint16)",
    "TYPE_UINT32": "tensor(uint32)",
    "TYPE_UINT64": "tensor(uint64)",
    "TYPE_INT8": "tensor(int8)",
    "TYPE_INT16": "tensor(int16)",
    "TYPE_INT32": "tensor(int32)",
    "TYPE_INT64": "tensor(int64)",
    "TYPE_FP16": "tensor(float16)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP64": "tensor(double)",
    "TYPE_STRING": "tensor(string)",
}


class ModelRefused(Exception):
    """The model can't be served as its config says: what is wrong, and the remedy."""


class RequestRefused(ValueError):
    """One request's input can't be given to the model."""


class Settings(NamedTuple):  # a dataclass would import inspect: 1.5 MB in each stub
    """What the official backend's parameters say, as far as they apply here."""

    intra_op_thread_count: int = 1
    inter_op_thread_count: int = 1
    execution_mode: int = 0
    graph_level: int = 99

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read Triton's model config (as JSON). A value that is no integer is refused."""
        given = {
            name: parameter.get("string_value", "")
            for name, parameter in config.get("parameters", {}).items()
            if name in cls._fields
        }
        level = config.get("optimization", {}).get("graph", {}).get("level")
        if level is not None:
            given["graph_level"] = level
        try:
            return cls(**{name: int(value) for name, value in given.items()})
        except ValueError as error:
            raise ModelRefused(f"parameters {given} must be integers: {error}") from error

    def to_options(self) -> ort.SessionOptions:
        """Return the options of an ONNX Runtime session."""
        levels = {
            -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
            1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
            2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        }
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.intra_op_thread_count
        options.inter_op_num_threads = self.inter_op_thread_count
        options.execution_mode = (
            ort.ExecutionMode.ORT_PARALLEL
            if self.execution_mode
            else ort.ExecutionMode.ORT_SEQUENTIAL
        )
        options.graph_optimization_level = levels.get(
            self.graph_level, ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        )
        options.log_severity_level = 3  # errors; warnings of every load help nobody
        return options


class OnnxModel:
    """Runs many requests as one ONNX Runtime call and gives each its own answer."""

    def __init__(self, path: Path, config: Mapping[str, Any], *, sha256: str | None = None) -> None:
        """Load and check a model against its config.

        Args:
            path: the ONNX file.
            config: Triton's model config, as the JSON that Triton hands to a backend.
            sha256: the digest that the file must have, where one is pinned.

        Raises:
            ModelRefused: the file is missing, damaged or not what the config says.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelRefused(f"{path} can't be read: {error.strerror}") from error
        found = hashlib.sha256(content).hexdigest()
        if sha256 is not None and found != sha256:
            raise ModelRefused(
                f"{path} is not the file that was published: SHA-256 {found}, config.pbtxt says "
                f"{sha256}. Remedy: publish the model again, or restore the file"
            )
        try:
            with _private_file(content) as copy:
                self._session = ort.InferenceSession(
                    copy, Settings.from_config(config).to_options(), providers=_providers(config)
                )
            # To begin anew without a GPU that fails it would want the file, which is gone.
            self._session.disable_fallback()
        except ModelRefused:
            raise
        except Exception as error:
            raise ModelRefused(f"ONNX Runtime can't load {path}: {error}") from error
        _check_tensors("input", config.get("input", []), self._session.get_inputs())
        _check_tensors("output", config.get("output", []), self._session.get_outputs())
        self._strings = {t["name"] for t in config["input"] if t["data_type"] == "TYPE_STRING"}
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self._batches = config.get("max_batch_size", 0) > 0
        self._runs = 0
        self._shrinking = ort.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        del content
        _give_back()

    def infer(
        self, requests: Sequence[Tensors], wanted: Sequence[Sequence[str]]
    ) -> list[Tensors | Exception]:
        """Answer each request: a dict of its wanted outputs, or the exception that it alone met.

        Args:
            requests: one dict of input tensors per request, `[rows, …]` where the model batches.
            wanted: the names of the outputs that each request asked for.
        """
        answers: list[Tensors | Exception | None] = [None] * len(requests)
        groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        prepared: list[Tensors] = []
        for index, request in enumerate(requests):
            try:
                tensors = self._decode(request)
            except RequestRefused as error:
                answers[index] = error
                tensors = {}
            else:
                # Only rows of one shape can be stacked; without a batch axis nothing can.
                shape = tuple(t.shape[1:] for t in tensors.values())
                key = shape if self._batches else ((index,),)
                groups.setdefault(key, []).append(index)
            prepared.append(tensors)
        for members in groups.values():
            found = self._run_group([prepared[i] for i in members], [wanted[i] for i in members])
            for index, answer in zip(members, found, strict=True):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def _run_group(
        self, requests: Sequence[Tensors], wanted: Sequence[Sequence[str]]
    ) -> list[Tensors | Exception]:
        names = [name for name in self._outputs if any(name in some for some in wanted)]
        first = requests[0]
        feed = (
            first
            if len(requests) == 1
            else {name: np.concatenate([request[name] for request in requests]) for name in first}
        )
        self._runs += 1
        last = self._runs % GIVE_BACK_EVERY == 0
        try:
            results = self._session.run(names, feed, self._shrinking if last else None)
            found = dict(zip(names, results, strict=True))
        except Exception as error:  # noqa: BLE001 -- whatever ONNX Runtime raises is one answer
            if len(requests) == 1:
                return [error]
            # One request spoils the run of all: let each meet its own fate.
            return [
                self._run_group([request], [some])[0]
                for request, some in zip(requests, wanted, strict=True)
            ]
        if last:
            _give_back()
        if len(requests) == 1:
            return [{name: found[name] for name in wanted[0]}]
        answers: list[Tensors | Exception] = []
        start = 0
        for request, some in zip(requests, wanted, strict=True):
            end = start + len(next(iter(request.values())))
            answers.append({name: found[name][start:end] for name in some})
            start = end
        return answers

    def _decode(self, request: Tensors) -> Tensors:
        if not self._strings:
            return request
        return {
            name: decode_strings(name, tensor) if name in self._strings else tensor
            for name, tensor in request.items()
        }


def decode_strings(name: str, tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a BYTES tensor as one of `str`, of the same shape.

    Raises:
        RequestRefused: an element is no UTF-8 or holds a NUL, at which the official backend
            would cut the string.
    """
    decoded = np.empty(tensor.size, dtype=np.object_)
    for index, element in enumerate(tensor.ravel()):
        try:
            text = element.decode()
        except UnicodeDecodeError as error:
            raise RequestRefused(
                f"input '{name}', element {index}: not UTF-8 ({error.reason} at byte "
                f"{error.start}); send text encoded as UTF-8"
            ) from None
        if "\0" in text:
            raise RequestRefused(
                f"input '{name}', element {index}: holds a NUL character at position "
                f"{text.index(chr(0))}; remove it"
            )
        decoded[index] = text
    return decoded.reshape(tensor.shape)


@contextmanager
def _private_file(content: bytes) -> Iterator[str]:
    """Yield the path of a file in memory that nobody else can change.

    Of bytes that it is given, ONNX Runtime keeps a copy for good; of a path it keeps the name.
    """
    with open(os.memfd_create("model"), "w+b") as file:  # noqa: PTH123 -- it has no name
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _give_back() -> None:
    """Give back to the system what nobody uses; glibc keeps it for later otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _providers(config: Mapping[str, Any]) -> list[str]:
    kinds = {group.get("kind") for group in config.get("instance_group", [])}
    if "KIND_GPU" in kinds and "CUDAExecutionProvider" in ort.get_available_providers():
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def _check_tensors(
    kind: str, configured: Sequence[Mapping[str, Any]], nodes: Sequence[Any]
) -> None:
    found = {node.name: node.type for node in nodes}
    for tensor in configured:
        name, expected = tensor["name"], ORT_TYPES.get(tensor["data_type"])
        if name not in found:
            raise ModelRefused(f"the graph has no {kind} '{name}'; it has {sorted(found)}")
        if found[name] != expected:
            raise ModelRefused(
                f"{kind} '{name}' is {found[name]} in the graph, but {tensor['data_type']} in "
                "config.pbtxt"
            )
    missing = sorted(found.keys() - {tensor["name"] for tensor in configured})
    if missing and kind == "input":  # an output may go unused
        raise ModelRefused(f"config.pbtxt does not list the graph's inputs {missing}")
