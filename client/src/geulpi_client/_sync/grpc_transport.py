"""KServe v2 over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from geulpi_client._channels import open_channel
from geulpi_client._connection import Address, Credentials, Tls
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import REFUSALS, ClientClosed, DeadlineExceeded, Target
from geulpi_client._messages import (
    Answer,
    Request,
    answer_of,
    contract_of,
    digest_parameter,
    infer_message,
)
from geulpi_client._translation import translated
from geulpi_client._twins_threads import Cancelled, is_cancelled


class GrpcTransport:
    """One HTTP/2 connection for all calls."""

    def __init__(self, address: Address, credentials: Credentials, tls: Tls | None) -> None:
        self.url = address.url
        self._credentials = credentials
        self._channel = open_channel(address, tls)
        self._stub = GRPCInferenceServiceStub(self._channel)
        self._closed = False

    def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest."""
        target = Target(self.url, model, version)
        metadata = pb.ModelMetadataRequest(name=model, version=version)
        response = self._call(self._stub.ModelMetadata, metadata, target, deadline)
        contract = contract_of(response, target)
        question = pb.ModelConfigRequest(name=model, version=version)
        try:
            response = self._call(self._stub.ModelConfig, question, target, deadline)
        except REFUSALS:
            return contract  # some servers keep the configuration to themselves
        parameters = response.config.parameters
        digest = digest_parameter(contract)
        return replace(
            contract,
            digest=parameters[digest].string_value if digest in parameters else "",
            max_batch_size=response.config.max_batch_size,
        )

    def infer(self, request: Request, deadline: Deadline) -> Answer:
        """Ask a model."""
        target = request.target(self.url)
        message = infer_message(request, deadline.remaining_us())
        response = self._call(self._stub.ModelInfer, message, target, deadline, request.headers)
        return answer_of(response, target)

    def close(self) -> None:
        """Close the connection; calls under way fail."""
        self._closed = True
        self._channel.close()

    def _is_closed(self) -> bool:
        return self._closed  # another task may have closed it since it was looked at

    def _call(
        self,
        rpc: Callable[..., Any],
        message: object,
        target: Target,
        deadline: Deadline,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Any:
        self._check_open()
        left_s = deadline.remaining_s()
        if not left_s:  # gRPC would still send it
            raise DeadlineExceeded(target, deadline.timeout_s)
        metadata = [*self._credentials.current(target), *headers]
        try:
            return rpc(message, timeout=left_s, metadata=metadata)
        except Cancelled:
            # So gRPC tells that the channel was closed, but it may be that this caller is.
            if is_cancelled() or not self._is_closed():
                raise
            raise ClientClosed(self.url) from None
        except grpc.RpcError as error:
            if self._is_closed():
                raise ClientClosed(self.url) from error
            raise translated(error, target, deadline) from error
        except (ValueError, grpc.aio.UsageError) as error:  # gRPC's words for a closed channel
            raise ClientClosed(self.url) from error

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed(self.url)
