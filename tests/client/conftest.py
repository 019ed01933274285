"""A gRPC server that speaks KServe v2 and does what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from geulpi_client._tensors import Tensor, from_array, to_array
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

    def ModelConfig(self, _request, context):  # noqa: N802 -- the protocol's name
        context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted")

    def ModelInfer(self, request, context):  # noqa: N802 -- the protocol's name
        self.requests.append(request)
        return self.infer(request, context)

    def stop(self) -> None:
        self._server.stop(None).wait()


class CalendarPeer(Peer):
    """Serves models that read one text a row and answer every row with what a test says.

    `answers` are, by model, its outputs: arrays of the shape of a row, text as objects.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, dict[str, np.ndarray]] = {}
        self.infer = self.answer

    @property
    def documents(self) -> list[str]:
        """The texts of all requests so far."""
        return [
            to_array(Tensor("", "BYTES", tuple(request.inputs[0].shape), raw)).item()
            for request in self.requests
            for raw in request.raw_input_contents
        ]

    def ModelMetadata(self, request, _context):  # noqa: N802 -- the protocol's name
        metadata = pb.ModelMetadataResponse(name=request.name, versions=self.versions)
        asked = "problem" if request.name == "schedule_optimizer" else "calendar"
        metadata.inputs.add(name=asked, datatype="BYTES", shape=[-1, 1])
        for name, row in self.answers[request.name].items():
            metadata.outputs.add(name=name, datatype=_datatype(row), shape=[-1, *row.shape])
        return metadata

    def answer(self, request: pb.ModelInferRequest, _context: Any) -> pb.ModelInferResponse:
        """Answer every row alike."""
        response = pb.ModelInferResponse(model_name=request.model_name, model_version="1")
        for name, row in self.answers[request.model_name].items():
            rows = np.stack([row] * request.inputs[0].shape[0])
            if rows.dtype == np.object_:
                rows = np.vectorize(str.encode, otypes=[np.object_])(rows)
            tensor = from_array(name, _datatype(row), rows)
            response.outputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
            response.raw_output_contents.append(tensor.raw)
        return response


def _datatype(array: np.ndarray) -> str:
    return "BYTES" if array.dtype == np.object_ else "FP32"


@pytest.fixture
def calendar_peer() -> Iterator[CalendarPeer]:
    server = CalendarPeer()
    yield server
    server.stop()


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Peer()
    yield server
    server.stop()


@pytest.fixture
def echoing() -> Callable[[str], Infer]:
    """Make answers of a version of the peer's model."""
    return echo
