"""The span of a request, by OpenTelemetry's conventions for HTTP servers.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from orchestrator_core.server.context import RequestContext
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.telemetry.traces import NO_SPAN, Span, begin, recording

_METHODS: Final = hdrs.METH_ALL
_OTHER: Final = "_OTHER"


def method_name(method: str) -> str:
    """Return a method as the conventions name it: one that clients invented is `_OTHER`."""
    return method if method in _METHODS else _OTHER


def begin_request(request: web.Request, endpoint: Endpoint | None) -> Span:
    """Begin the span of a request. Probes, which come every few seconds, have none.

    Args:
        request: The request; its trace is gone on with, where its client names one.
        endpoint: What serves it; None where nothing does.
    """
    if recording() is None or (endpoint is not None and endpoint.probe):
        return NO_SPAN
    method = method_name(request.method)
    name = "HTTP" if method == _OTHER else method
    span = begin(f"{name} {endpoint.path}" if endpoint else name, "server", request.headers)
    span.set("http.request.method", method)
    span.set("url.scheme", request.scheme)
    if endpoint is not None:
        span.set("http.route", endpoint.path)
    return span


def end_request(span: Span, context: RequestContext, status: int) -> None:
    """End the span of a request.

    Args:
        span: The span.
        context: What is known of the request.
        status: The HTTP status.
    """
    if not span.recorded:
        span.end()
        return
    record = context.record
    span.set("http.response.status_code", status)
    span.set("orchestrator.request_id", context.request_id)
    span.set("orchestrator.principal", context.principal.id)
    span.set("orchestrator.overhead_ms", None if record.overhead is None else round(record.overhead * 1000, 3))
    if record.provider is not None:
        span.set("orchestrator.provider", record.provider)
        span.set("orchestrator.attempts", record.attempts)
    failed = status >= 500 or (context.error is not None and context.error.status >= 500)
    span.end(context.error.code if context.error else None, failed=failed)
