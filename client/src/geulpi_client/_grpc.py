"""The transport to a Triton server: gRPC, safe to share between threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import (
    ClientClosed,
    DeadlineExceeded,
    ModelNotFound,
    ModelUnavailable,
    Target,
)
from geulpi_client._messages import Answer, answer_of, contract_of, infer_request
from geulpi_client._tensors import Tensor
from geulpi_client._translation import translate
from geulpi_client._urls import checked_server_url

_CHANNEL_OPTIONS = (
    # After a restart the server is found again within half a second instead of gRPC's minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A client's back-off is its own, not that of another one that met the server down.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


class Transport(Protocol):
    """What a client needs of a server."""

    url: str

    def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest."""

    def infer(
        self, model: str, version: str, tensors: Sequence[Tensor], deadline: Deadline
    ) -> Answer:
        """Ask a model about these tensors."""

    def close(self) -> None:
        """Close the connection; calls under way fail."""


@dataclass(frozen=True)
class ServedModel:
    """A model in a server's memory."""

    name: str
    versions: tuple[str, ...]
    backend: str
    ready: bool


class GrpcTransport:
    """KServe v2 over gRPC. Every method raises `CallFailed` or `InputRefused`."""

    def __init__(self, url: str) -> None:
        self.url = checked_server_url(url)
        self._channel = grpc.insecure_channel(url, options=_CHANNEL_OPTIONS)
        self._stub = GRPCInferenceServiceStub(self._channel)

    def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest."""
        target = Target(self.url, model, version)
        request = pb.ModelMetadataRequest(name=model, version=version)
        return contract_of(self._call(self._stub.ModelMetadata, request, target, deadline), target)

    def infer(
        self, model: str, version: str, tensors: Sequence[Tensor], deadline: Deadline
    ) -> Answer:
        """Ask a model about these tensors."""
        target = Target(self.url, model, version)
        request = infer_request(model, version, tensors)
        return answer_of(self._call(self._stub.ModelInfer, request, target, deadline), target)

    def live(self, deadline: Deadline) -> bool:
        """Ask whether the server runs."""
        request = pb.ServerLiveRequest()
        return bool(self._ask(self._stub.ServerLive, request, deadline).live)

    def ready(self, deadline: Deadline) -> bool:
        """Ask whether every model of the server is loaded."""
        request = pb.ServerReadyRequest()
        return bool(self._ask(self._stub.ServerReady, request, deadline).ready)

    def server(self, deadline: Deadline) -> tuple[str, str]:
        """Ask for the server's name and version."""
        answer = self._ask(self._stub.ServerMetadata, pb.ServerMetadataRequest(), deadline)
        return str(answer.name), str(answer.version)

    def models(self, deadline: Deadline) -> list[ServedModel]:
        """Ask for the models in memory, by the statistics: the repository's index is closed."""
        answer = self._ask(self._stub.ModelStatistics, pb.ModelStatisticsRequest(), deadline)
        versions: dict[str, list[str]] = {}
        for model in sorted(answer.model_stats, key=lambda m: (m.name, int(m.version))):
            versions.setdefault(model.name, []).append(model.version)
        return [self._model(name, tuple(found), deadline) for name, found in versions.items()]

    def close(self) -> None:
        """Close the connection; calls under way fail."""
        self._channel.close()

    def _model(self, name: str, versions: tuple[str, ...], deadline: Deadline) -> ServedModel:
        ready = self._ask(self._stub.ModelReady, pb.ModelReadyRequest(name=name), deadline).ready
        try:
            request = pb.ModelMetadataRequest(name=name)
            platform = self._ask(self._stub.ModelMetadata, request, deadline).platform
        except (ModelNotFound, ModelUnavailable):  # it is going, or not there yet
            platform = ""
        # "onnxruntime_onnx", "pytorch_libtorch": the backend and what it reads.
        return ServedModel(name, versions, platform.partition("_")[0], bool(ready))

    def _ask(self, rpc: Callable[..., Any], request: object, deadline: Deadline) -> Any:
        return self._call(rpc, request, Target(self.url), deadline)

    def _call(
        self, rpc: Callable[..., Any], request: object, target: Target, deadline: Deadline
    ) -> Any:
        try:
            return rpc(request, timeout=deadline.remaining_s())
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(target, deadline.timeout_s) from error
            raise translate(error.code(), error.details() or "", target) from error
        except ValueError as error:  # gRPC's word for a closed channel
            raise ClientClosed(self.url) from error
