"""The few calls that the embedded server makes to its own Triton, by gRPC."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

CANARY = "canary"  # a parameter: the files that hold a row, by input
_SIZES = {
    "TYPE_BOOL": 1, "TYPE_UINT8": 1, "TYPE_UINT16": 2, "TYPE_UINT32": 4, "TYPE_UINT64": 8,
    "TYPE_INT8": 1, "TYPE_INT16": 2, "TYPE_INT32": 4, "TYPE_INT64": 8,
    "TYPE_FP16": 2, "TYPE_BF16": 2, "TYPE_FP32": 4, "TYPE_FP64": 8,
    "TYPE_STRING": 4,  # an empty string is its length, 0, in four bytes
}  # fmt: skip


@dataclass(frozen=True)
class ModelState:
    """One version of a model, as Triton's repository index tells it."""

    name: str
    version: str
    ready: bool
    reason: str


class Control:
    """Readiness, repository control and canary inferences of one Triton."""

    def __init__(self, url: str, header: tuple[str, str]) -> None:
        """Connect to `url`; `header` is the name and value of the control key."""
        self._channel = grpc.insecure_channel(
            url, options=[("grpc.enable_http_proxy", 0), ("grpc.max_reconnect_backoff_ms", 200)]
        )
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._metadata = [(f"triton-grpc-protocol-{header[0]}", header[1])]

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def is_live(self) -> bool:
        """Whether the server answers at all."""
        try:
            return bool(self._stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=1).live)
        except grpc.RpcError:
            return False

    def index(self) -> list[ModelState]:
        """List every model version of the repository; one entry without version if none loaded."""
        answer = self._stub.RepositoryIndex(
            service_pb2.RepositoryIndexRequest(), timeout=10, metadata=self._metadata
        )
        return [
            ModelState(model.name, model.version, model.state == "READY", model.reason)
            for model in answer.models
        ]

    def config(self, model: str) -> Any:
        """Return a model's config as protobuf message."""
        return self._stub.ModelConfig(
            service_pb2.ModelConfigRequest(name=model), timeout=10, metadata=self._metadata
        ).config

    def instances(self, models: set[str]) -> dict[tuple[str, str], int]:
        """Return how many instances each version of these models that is ready has."""
        ready = [state for state in self.index() if state.ready and state.name in models]
        counts = {
            name: sum(group.count for group in self.config(name).instance_group)
            for name in {state.name for state in ready}
        }
        return {(state.name, state.version): counts[state.name] for state in ready}

    def reload(self, model: str) -> None:
        """Unload a model, then load it: a load alone does not replace a dead Python stub."""
        self._stub.RepositoryModelUnload(
            service_pb2.RepositoryModelUnloadRequest(model_name=model),
            timeout=60,
            metadata=self._metadata,
        )
        self._stub.RepositoryModelLoad(
            service_pb2.RepositoryModelLoadRequest(model_name=model),
            timeout=120,
            metadata=self._metadata,
        )

    def canary(self, model: str, folder: Path, *, timeout_s: float) -> str | None:
        """Ask a model one real question; return why it did not answer, or None.

        The question is the model's own warm-up sample where it has one; an ensemble, which Triton
        allows none, names it in its parameter `canary`. Without one, zeros are sent, and a refusal
        of them as input counts as an answer.
        """
        try:
            config = self.config(model)
            sample = _sample_of(config)
            request = service_pb2.ModelInferRequest(model_name=model)
            for tensor in config.input:
                file, given_dims = sample.get(tensor.name, ("", tensor.dims))
                dims = [abs(dim) for dim in given_dims]
                data_type = config_type_name(tensor)
                request.inputs.add(
                    name=tensor.name,
                    datatype=data_type.removeprefix("TYPE_").replace("STRING", "BYTES"),
                    shape=[1, *dims] if config.max_batch_size else dims,
                )
                request.raw_input_contents.append(
                    (folder / "warmup" / file).read_bytes() if file else _zeros(data_type, dims)
                )
            self._stub.ModelInfer(request, timeout=timeout_s)
        except grpc.RpcError as error:
            refused = error.code() is grpc.StatusCode.INVALID_ARGUMENT and not sample
            return None if refused else f"{error.code().name}: {error.details()}"
        except OSError as error:
            return f"its warm-up sample can't be read: {error}"
        return None


def config_type_name(tensor: Any) -> str:
    """Return the data type of a config's tensor by name, such as `TYPE_FP32`."""
    return str(type(tensor).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[
        tensor.data_type
    ].name)  # fmt: skip


def _sample_of(config: Any) -> dict[str, tuple[str, Sequence[int]]]:
    """Return by input the file below `warmup/` that holds a row ("" is zeros), and its shape."""
    if config.model_warmup:
        inputs = config.model_warmup[0].inputs
        return {name: (inputs[name].input_data_file, inputs[name].dims) for name in inputs}
    if CANARY in config.parameters:
        files = json.loads(config.parameters[CANARY].string_value)
        return {t.name: (files[t.name], t.dims) for t in config.input if t.name in files}
    return {}


def _zeros(data_type: str, dims: Sequence[int]) -> bytes:
    return bytes(math.prod(dims) * _SIZES[data_type])
