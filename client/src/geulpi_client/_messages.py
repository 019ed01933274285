"""The protocol's messages from and to this package's own types; pure, no input or output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tritonclient.grpc import service_pb2 as pb

from geulpi_client._contract import Contract
from geulpi_client._errors import Target, UnexpectedAnswer
from geulpi_client._tensors import Spec, Tensor


class Request(NamedTuple):
    """One request on the wire: the inputs of a model, in a version or (empty) the newest.

    `headers` are those of this request alone, such as the trace that it belongs to.
    """

    model: str
    version: str
    tensors: Sequence[Tensor]
    id: str = ""
    headers: Sequence[tuple[str, str]] = ()

    def target(self, url: str) -> Target:
        """Return whom it asks, at this address."""
        return Target(url, self.model, self.version, self.id)


class Answer(NamedTuple):
    """What a model answered, and which version of it; outputs are in the order of their names."""

    version: str
    outputs: tuple[Tensor, ...]


def infer_message(request: Request, timeout_us: int) -> pb.ModelInferRequest:
    """Return a request as gRPC sends it; it may wait so many microseconds in the server's queue."""
    message = pb.ModelInferRequest(
        model_name=request.model, model_version=request.version, id=request.id
    )
    message.parameters["timeout"].int64_param = timeout_us
    for tensor in request.tensors:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_input_contents.append(tensor.raw)
    return message


def answer_of(response: pb.ModelInferResponse, target: Target) -> Answer:
    """Return the answer that a response holds."""
    if len(response.raw_output_contents) != len(response.outputs):
        raise UnexpectedAnswer(target, "its outputs are not raw bytes")
    outputs = [
        Tensor(output.name, output.datatype, tuple(output.shape), raw)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    ]
    return Answer(response.model_version, tuple(sorted(outputs, key=lambda tensor: tensor.name)))


def contract_of(response: pb.ModelMetadataResponse, target: Target) -> Contract:
    """Return the contract that a model's metadata holds, for its newest version or the one asked.

    Raises:
        UnexpectedAnswer: no version is a number.
    """
    inputs, outputs = (
        [Spec(t.name, t.datatype, tuple(t.shape)) for t in tensors]
        for tensors in (response.inputs, response.outputs)
    )
    return contract_from(response.name, list(response.versions), inputs, outputs, target)


def contract_from(
    name: str,
    versions: Sequence[str],
    inputs: Sequence[Spec],
    outputs: Sequence[Spec],
    target: Target,
) -> Contract:
    """Return the contract that metadata of either protocol means.

    Raises:
        UnexpectedAnswer: no version is a number.
    """
    numbers = [int(version) for version in versions if version.isdecimal()]
    version = target.version or (str(max(numbers)) if numbers else "")
    if not version:
        raise UnexpectedAnswer(target, f"its versions are {list(versions)}")
    ordered = tuple(sorted(outputs, key=lambda spec: spec.name))
    return Contract(name, version, tuple(inputs), ordered)


def digest_parameter(contract: Contract) -> str:
    """Return which parameter of a model's configuration holds the digest of its version's files."""
    return f"sha256.{contract.version}"
