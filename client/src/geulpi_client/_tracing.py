"""Spans of calls and of their requests on the wire, for OpenTelemetry; nothing without a tracer.

    geulpi infer sum                                 the call: rows, cached rows, who answered
    └── inference.GRPCInferenceService/ModelInfer    each request on the wire, so each retry
        └── InferRequest                             Triton's own spans, by the header traceparent

Attributes have the names of OpenTelemetry's semantic conventions where these have one. Of an error
only the class is kept: its text may quote an input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from geulpi_client._extras import needs
from geulpi_client._messages import Request
from geulpi_client._results import InferResult

if TYPE_CHECKING:
    from opentelemetry import trace

Tracer: TypeAlias = "trace.Tracer"
Span: TypeAlias = "trace.Span"

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()
_METHOD: Final = "inference.GRPCInferenceService/ModelInfer"


def call_span(tracer: Tracer | None, model: str) -> AbstractContextManager[Span | None]:
    """Return the span of a client's call, to be entered around it."""
    if tracer is None:
        return _NOTHING
    return _span(tracer, f"geulpi infer {model}", "INTERNAL", {"geulpi.model.name": model})


def call_answered(span: Span | None, result: InferResult) -> None:
    """Note on the span of a call who answered: "server", "cache" or "local", and which version."""
    if span is not None:
        span.set_attribute("geulpi.rows", result.cached.size)
        span.set_attribute("geulpi.cached_rows", int(result.cached.sum()))
        span.set_attribute("geulpi.source", result.source)
        span.set_attribute("geulpi.model.version", result.version)


def request_span(
    tracer: Tracer | None, request: Request, endpoint_url: str
) -> AbstractContextManager[Span | None]:
    """Return the span of a request on the wire, to be entered around its sending.

    It belongs to the trace of the context in which it is entered: of a request that several callers
    share, that of the first.
    """
    if tracer is None:
        return _NOTHING
    name, known = _server(endpoint_url)
    attributes: dict[str, str | int] = {**known, "geulpi.model.name": request.model}
    if request.version:
        attributes["geulpi.model.version"] = request.version
    if request.id:
        attributes["geulpi.request.id"] = request.id
    return _span(tracer, name, "CLIENT", attributes)


def trace_headers(tracer: Tracer | None) -> list[tuple[str, str]]:
    """Return the headers by which the server's spans become children of the current span.

    Within `request_span` that is the request's own. Which headers they are, the application's
    propagators decide; Triton reads `traceparent`, which OpenTelemetry writes unless told
    otherwise.
    """
    if tracer is None:
        return []
    headers: dict[str, str] = {}
    needs("opentelemetry.propagate", "opentelemetry").inject(headers)
    # gRPC takes names in lower case only.
    return [(name.lower(), value) for name, value in headers.items()]


@contextmanager
def _span(
    tracer: Tracer, name: str, kind: str, attributes: Mapping[str, str | int]
) -> Iterator[Span]:
    trace: Any = needs("opentelemetry.trace", "opentelemetry")
    with tracer.start_as_current_span(
        name,
        kind=trace.SpanKind[kind],
        attributes=attributes,
        # OpenTelemetry would keep the text and traceback of an error.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:  # a cancelled call did not succeed either
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise


@lru_cache(maxsize=64)
def _server(url: str) -> tuple[str, Mapping[str, str | int]]:
    """Return the name of a request's span there, and what is always the same of it."""
    parts = urlsplit(url if "://" in url else f"grpc://{url}")
    attributes: dict[str, str | int] = {}
    if parts.hostname:
        attributes["server.address"] = parts.hostname
    if parts.port:
        attributes["server.port"] = parts.port
    if parts.scheme.startswith("http"):
        return "POST", {**attributes, "http.request.method": "POST"}
    return _METHOD, {**attributes, "rpc.system.name": "grpc", "rpc.method": _METHOD}
