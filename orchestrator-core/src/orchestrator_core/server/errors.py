"""Errors as each surface says them: one tree inside, four conventions outside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any

from aiohttp import web

from orchestrator_core.provider_api import (
    BudgetExceeded,
    Conflict,
    GatewayError,
    ProviderAuthFailed,
    ProviderNotConfigured,
    ProviderQuotaExhausted,
    ProviderRefused,
    RequestInFlight,
    SessionBusy,
    Unauthenticated,
)
from orchestrator_core.server.json_answer import dumps
from orchestrator_core.telemetry.redaction import REDACTOR


class Surface(Enum):
    """Whose conventions hold on a path."""

    API = "api"
    CONNECTOR = "connector"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    PLAIN = "plain"


def surface_of(path: str) -> Surface:
    """Return the surface that a path belongs to, whether or not anything is served there."""
    if path == "/v1" or path.startswith("/v1/"):
        return Surface.ANTHROPIC if path == "/v1/messages" or path.startswith("/v1/messages/") else Surface.OPENAI
    if path.startswith("/api/"):
        return Surface.CONNECTOR if path == "/api/v1" or path.startswith("/api/v1/") else Surface.API
    return Surface.PLAIN


# https://platform.openai.com/docs/guides/error-codes
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
# https://docs.anthropic.com/en/api/errors
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_LONG = 60
"""Seconds from which on no SDK should wait for a budget that begins anew."""

_DEFAULT_RETRY_AFTER = 1.0
"""Seconds, where an error asks to come again and nobody said when."""


def status_of(error: GatewayError, surface: Surface) -> int:
    """Return the HTTP status of an error; a connector shows its provider's refusal of a key as 401."""
    if surface is Surface.CONNECTOR and isinstance(error, ProviderAuthFailed):
        return 401
    return error.status


def retry_after_of(error: GatewayError) -> int | None:
    """Return the `Retry-After` of an error in whole seconds; None where coming again would not help."""
    seconds = error.retry_after
    if seconds is None:
        if isinstance(error, ProviderQuotaExhausted | ProviderNotConfigured | BudgetExceeded):
            return None
        again = error.retryable or isinstance(error, SessionBusy | RequestInFlight)
        if error.status not in (429, 503) and not again:
            return None
        seconds = _DEFAULT_RETRY_AFTER
    return max(1, math.ceil(seconds))


def error_body(error: GatewayError, surface: Surface, request_id: str) -> dict[str, Any]:
    """Return the JSON body of an error, which an error event of a stream carries too."""
    status = status_of(error, surface)
    if surface is Surface.OPENAI:
        return {"error": _openai_error(error, status)}
    if surface is Surface.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": error.message, **error.details},
            "request_id": request_id,
        }
    if surface is Surface.CONNECTOR:
        return {
            "success": False,
            "error": error.message,
            "error_type": error.code,
            "request_id": request_id,
            **error.details,
        }
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "code": error.code,
        "request_id": request_id,
        **error.details,
    }
    if error.param is not None:
        problem["param"] = error.param
    if error.provider is not None:
        problem["provider"] = error.provider
    if error.session_id is not None:
        problem |= {"session_id": error.session_id, "turn_id": error.turn_id}
    return problem


def _openai_error(error: GatewayError, status: int) -> dict[str, Any]:
    kind: str | None = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    code: str | None = error.code
    if isinstance(error, ProviderRefused) and error.upstream_status is not None:
        # The provider's own words: client code compares them.
        kind, code = error.upstream_type or kind, error.upstream_code
    return {"message": error.message, "type": kind, "param": error.param, "code": code, **error.details}


def error_headers(error: GatewayError) -> dict[str, str]:
    """Return the headers that belong to an error."""
    headers: dict[str, str] = {}
    retry_after = retry_after_of(error)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if isinstance(error, BudgetExceeded) and (retry_after or _LONG) >= _LONG:
        headers["x-should-retry"] = "false"
    elif retry_after is None and (
        isinstance(error, ProviderQuotaExhausted) or (isinstance(error, Conflict) and error.status == 409)
    ):
        # OpenAI's and Anthropic's SDKs retry every 409 and 429 unless this header forbids it.
        headers["x-should-retry"] = "false"
    if error.provider is not None:
        headers["x-orchestrator-provider"] = error.provider
    if error.attempts:
        headers["x-orchestrator-attempts"] = str(error.attempts)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def render(
    error: GatewayError, surface: Surface, request_id: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return the response for an error.

    Args:
        error: What happened.
        surface: Whose convention.
        request_id: The id of the request.
        headers: Further headers, such as `Allow`.
    """
    problem = surface in (Surface.API, Surface.PLAIN)
    return web.Response(
        body=REDACTOR.redact(dumps(error_body(error, surface, request_id))).encode(),
        status=status_of(error, surface),
        content_type="application/problem+json" if problem else "application/json",
        headers={**error_headers(error), **(headers or {})},
    )
