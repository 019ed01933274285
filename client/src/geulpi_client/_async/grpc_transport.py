"""KServe v2 over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from geulpi_client._channels import open_async_channel
from geulpi_client._connection import Address, Credentials, Tls
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import ClientClosed, DeadlineExceeded, Target
from geulpi_client._messages import Answer, answer_of, contract_of, infer_request
from geulpi_client._tensors import Tensor
from geulpi_client._translation import translate


class AsyncGrpcTransport:
    """One HTTP/2 connection for all calls."""

    def __init__(self, address: Address, credentials: Credentials, tls: Tls | None) -> None:
        self.url = address.url
        self._credentials = credentials
        self._channel = open_async_channel(address, tls)
        self._stub = GRPCInferenceServiceStub(self._channel)
        self._closed = False

    async def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest."""
        target = Target(self.url, model, version)
        request = pb.ModelMetadataRequest(name=model, version=version)
        response = await self._call(self._stub.ModelMetadata, request, target, deadline)
        return contract_of(response, target)

    async def infer(
        self, model: str, version: str, tensors: Sequence[Tensor], deadline: Deadline
    ) -> Answer:
        """Ask a model about these tensors."""
        target = Target(self.url, model, version)
        request = infer_request(model, version, tensors, deadline.remaining_us())
        response = await self._call(self._stub.ModelInfer, request, target, deadline)
        return answer_of(response, target)

    async def aclose(self) -> None:
        """Close the connection; calls under way fail."""
        self._closed = True
        await self._channel.close()

    async def _call(
        self, rpc: Callable[..., Any], request: object, target: Target, deadline: Deadline
    ) -> Any:
        if self._closed:
            raise ClientClosed(self.url)
        metadata = self._credentials.current()
        try:
            return await rpc(request, timeout=deadline.remaining_s(), metadata=metadata)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(target, deadline.timeout_s) from error
            raise translate(error.code(), error.details() or "", target) from error
        except ValueError as error:  # gRPC's word for a closed channel
            raise ClientClosed(self.url) from error
