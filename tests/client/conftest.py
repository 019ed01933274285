"""A gRPC server that speaks KServe v2 and does what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

Infer = Callable[[pb.ModelInferRequest, grpc.ServicerContext], pb.ModelInferResponse]


def echo(version: str = "1") -> Infer:
    """Answer every row of the first input with itself, as output Y."""

    def infer(request: pb.ModelInferRequest, _context: Any) -> pb.ModelInferResponse:
        response = pb.ModelInferResponse(model_name=request.model_name, model_version=version)
        response.outputs.add(
            name="Y", datatype=request.inputs[0].datatype, shape=request.inputs[0].shape
        )
        response.raw_output_contents.append(request.raw_input_contents[0])
        return response

    return infer


class Peer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one model, `m`: X → Y, FP32 [N, 2] unless told otherwise."""

    def __init__(self) -> None:
        self.versions = ["1"]
        self.datatype = "FP32"
        self.input_shape = self.output_shape = [-1, 2]
        self.infer = echo()
        self.requests: list[pb.ModelInferRequest] = []
        self.metadata_requests = 0
        self._server = grpc.server(ThreadPoolExecutor(8))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"127.0.0.1:{self.port}"
        self._server.start()

    @property
    def rows_asked(self) -> list[int]:
        """How many rows each request had."""
        return [request.inputs[0].shape[0] for request in self.requests]

    def ModelMetadata(self, request, _context):  # noqa: N802 -- the protocol's name
        self.metadata_requests += 1
        metadata = pb.ModelMetadataResponse(name=request.name, versions=self.versions)
        metadata.inputs.add(name="X", datatype=self.datatype, shape=self.input_shape)
        metadata.outputs.add(name="Y", datatype=self.datatype, shape=self.output_shape)
        return metadata

    def ModelInfer(self, request, context):  # noqa: N802 -- the protocol's name
        self.requests.append(request)
        return self.infer(request, context)

    def stop(self) -> None:
        self._server.stop(None).wait()


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Peer()
    yield server
    server.stop()


@pytest.fixture
def echoing() -> Callable[[str], Infer]:
    """Make answers of a version of the peer's model."""
    return echo
