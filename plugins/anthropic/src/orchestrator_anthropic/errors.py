"""Anthropic's errors (https://platform.claude.com/docs/en/api/errors), mapped to the gateway's tree."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pydantic_core

from orchestrator_core.provider_api import (
    MAX_MESSAGE,
    ContextTooLong,
    Json,
    ProviderError,
    ProviderQuotaExhausted,
    error_for_status,
    retry_after_seconds,
)

_STATUS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that goes with a type, for errors that come under a 200."""

_CONTEXT = re.compile(
    r"(?i)prompt is too long|exceeds? (the )?(model'?s )?(maximum )?context (limit|window|length)"
    r"|too many total text bytes"
)
_MONEY = re.compile(r"(?i)credit balance is too low|insufficient credits|reached your specified .{0,20}usage limits")
_PARAM = re.compile(r"^([a-z_]+(?:\.[\w-]+)*): ")


def error_of_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> ProviderError:
    """Map an answer that is no 2xx. Its `retry-after` counts; that of other answers is never read.

    Args:
        status: Its HTTP status.
        headers: Its headers, with lower-case names.
        body: Its body: `{"type": "error", "error": {"type", "message"}}`, or what a proxy before the API made.
        now: Seconds since the epoch.
    """
    try:
        wire = pydantic_core.from_json(body)
    except ValueError:
        text = body[: 4 * MAX_MESSAGE].decode("utf-8", "replace").strip()
        wire = {"error": {"message": "" if text.startswith("<") else text}}
    return _error(wire, status, retry_after_seconds(headers, now))


def error_in_answer(wire: Json) -> ProviderError:
    """Map an error that came under a 200: as an event of a stream, or as a body."""
    error = wire.get("error") if isinstance(wire, Mapping) else None
    kind = error.get("type") if isinstance(error, Mapping) else None
    return _error(wire, _STATUS.get(kind, 500) if isinstance(kind, str) else 500, None)


def _error(wire: Json, status: int, retry_after: float | None) -> ProviderError:
    error = wire.get("error") if isinstance(wire, Mapping) else None
    fields = error if isinstance(error, Mapping) else {"message": error}
    message, kind = str(fields.get("message") or ""), str(fields.get("type") or "")
    blamed = _PARAM.match(message)
    if status in (400, 413) and _CONTEXT.search(message):
        special: type[ProviderError] | None = ContextTooLong
    elif status < 500 and (kind == "billing_error" or _MONEY.search(message)):
        special, message = ProviderQuotaExhausted, "The provider's account has no balance left."
    else:
        special = None
    if special is None:
        return error_for_status(
            status,
            message,
            param=blamed[1] if blamed and status == 400 else None,
            retry_after=retry_after,
            upstream_type=kind or None,
        )
    return special(message[:MAX_MESSAGE], retry_after=retry_after, upstream_status=status, upstream_type=kind or None)
