"""What a server says about itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from geulpi_client._channels import open_channel
from geulpi_client._connection import checked_grpc_address
from geulpi_client._constants import DEFAULT_TIMEOUT_S, DEFAULT_URL
from geulpi_client._deadline import Deadline
from geulpi_client._errors import (
    CallFailed,
    ModelNotFound,
    ModelUnavailable,
    Target,
)
from geulpi_client._settings import checked_timeout
from geulpi_client._translation import translated


@dataclass(frozen=True)
class ServedModel:
    """A model in a server's memory."""

    name: str
    versions: tuple[str, ...]
    backend: str
    ready: bool


@dataclass(frozen=True)
class ServerStatus:
    """Whether a server runs and what it serves; `problem` says why it does not answer."""

    url: str
    live: bool
    ready: bool
    name: str
    version: str
    models: tuple[ServedModel, ...]
    problem: str


def server_status(url: str = DEFAULT_URL, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> ServerStatus:
    """Ask a server how it is, over gRPC; one that does not answer is a status too, not an error.

    Raises:
        InvalidUrl, InvalidSetting.
    """
    deadline = Deadline.after(checked_timeout(timeout_s))
    with closing(open_channel(checked_grpc_address(url), None)) as channel:
        questions = _Questions(url, GRPCInferenceServiceStub(channel), deadline)
        try:
            return questions.status()
        except CallFailed as error:
            return ServerStatus(
                url, live=False, ready=False, name="", version="", models=(), problem=str(error)
            )


@dataclass(frozen=True)
class _Questions:
    url: str
    stub: GRPCInferenceServiceStub
    deadline: Deadline

    def status(self) -> ServerStatus:
        live = self._ask(self.stub.ServerLive, pb.ServerLiveRequest()).live
        ready = self._ask(self.stub.ServerReady, pb.ServerReadyRequest()).ready
        server = self._ask(self.stub.ServerMetadata, pb.ServerMetadataRequest())
        models = tuple(self._models())
        return ServerStatus(
            self.url, bool(live), bool(ready), server.name, server.version, models, problem=""
        )

    def _models(self) -> list[ServedModel]:
        """Return the models in memory, by the statistics: the repository's index is closed."""
        answer = self._ask(self.stub.ModelStatistics, pb.ModelStatisticsRequest())
        versions: dict[str, list[str]] = {}
        for model in sorted(answer.model_stats, key=lambda m: (m.name, int(m.version))):
            versions.setdefault(model.name, []).append(model.version)
        return [self._model(name, tuple(found)) for name, found in versions.items()]

    def _model(self, name: str, versions: tuple[str, ...]) -> ServedModel:
        ready = self._ask(self.stub.ModelReady, pb.ModelReadyRequest(name=name)).ready
        try:
            platform = self._ask(self.stub.ModelMetadata, pb.ModelMetadataRequest(name=name))
            backend = str(platform.platform).partition("_")[0]
        except (ModelNotFound, ModelUnavailable):  # it is going, or not there yet
            backend = ""
        # "onnxruntime_onnx", "pytorch_libtorch": the backend and what it reads.
        return ServedModel(name, versions, backend, bool(ready))

    def _ask(self, rpc: Callable[..., Any], request: object) -> Any:
        target = Target(self.url)
        try:
            return rpc(request, timeout=self.deadline.remaining_s())
        except grpc.RpcError as error:
            raise translated(error, target, self.deadline) from error
