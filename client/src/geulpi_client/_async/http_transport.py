"""KServe v2 over HTTP with binary tensors, by httpx (the extra `http`)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from geulpi_client._connection import Address, Credentials, Tls
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import (
    REFUSALS,
    ClientClosed,
    DeadlineExceeded,
    Target,
    Unreachable,
)
from geulpi_client._extras import needs
from geulpi_client._http_messages import (
    HEADER_LENGTH,
    answer_from,
    contract_from_metadata,
    error_from,
    infer_body,
    model_path,
    with_config,
)
from geulpi_client._messages import Answer, Request


class AsyncHttpTransport:
    """Connections that are kept alive between calls; the one that was used last is taken first.

    Each has an httpx client of its own: with many in one pool, httpcore looks through all of them
    at each request, which costs more than the request.
    """

    def __init__(self, address: Address, credentials: Credentials, tls: Tls | None) -> None:
        self.url = address.url
        self._httpx: Any = needs("httpx", "http")
        self._credentials = credentials
        scheme = "https" if address.secure else "http"
        self._base = f"{scheme}://{address.place}"
        self._verify = _context(tls) if address.secure else False
        self._free: list[Any] = []
        self._all: list[Any] = []
        self._closed = False

    async def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest."""
        target = Target(self.url, model, version)
        body, _ = await self._call("GET", model_path(model, version), target, deadline)
        contract = contract_from_metadata(body, target)
        try:
            path = model_path(model, version, "config")
            body, _ = await self._call("GET", path, target, deadline)
        except REFUSALS:
            return contract  # some servers keep the configuration to themselves
        return with_config(contract, body)

    async def infer(self, request: Request, deadline: Deadline) -> Answer:
        """Ask a model."""
        target = request.target(self.url)
        body, header_length = infer_body(request, deadline.remaining_us())
        answer, answer_headers = await self._call(
            "POST",
            model_path(request.model, request.version, "infer"),
            target,
            deadline,
            content=body,
            headers=[(HEADER_LENGTH, str(header_length)), *request.headers],
        )
        return answer_from(answer, answer_headers.get(HEADER_LENGTH), target)

    async def aclose(self) -> None:
        """Close the connections; calls under way fail."""
        self._closed = True
        for client in self._all:
            await client.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        target: Target,
        deadline: Deadline,
        *,
        content: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> tuple[bytes, Any]:
        """Return the body and the headers of an answer."""
        self._check_open()
        if not deadline.remaining_s():
            raise DeadlineExceeded(target, deadline.timeout_s)
        every = [*self._credentials.current(target), *headers]
        client = self._free.pop() if self._free else self._new()
        try:
            async with client.stream(
                method,
                path,
                content=content,
                headers=every,
                extensions={"timeout": _Left(deadline)},
            ) as response:
                parts = []
                async for part in response.aiter_bytes():
                    parts.append(part)
                    if not deadline.remaining_s():
                        raise DeadlineExceeded(target, deadline.timeout_s)
        except self._httpx.TimeoutException as error:
            raise DeadlineExceeded(target, deadline.timeout_s) from error
        except (self._httpx.HTTPError, ssl.SSLError) as error:  # httpx lets some of TLS through
            self._check_open()
            said = str(error) or type(error).__name__
            raise Unreachable(target, said) from error
        finally:
            self._free.append(client)
        body = b"".join(parts)
        if response.status_code != 200:
            raise error_from(response.status_code, body, target)
        return body, response.headers

    def _new(self) -> Any:
        client = self._httpx.AsyncClient(
            base_url=self._base,
            verify=self._verify,
            trust_env=False,  # the server's address is given; a proxy would be one more
            limits=self._httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )
        self._all.append(client)
        return client

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed(self.url)


class _Left(dict[str, float]):
    """What is left of a deadline, for each step of a request as it begins.

    As plain numbers, connecting, sending and reading might each take all of it.
    """

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def get(self, *_step: object) -> float:
        """Return the seconds that a step may take."""
        return max(0.001, self._deadline.remaining_s())


def _context(tls: Tls | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if tls is None else tls.ca)
    if tls is not None:
        tls.prove(context)
    return context
