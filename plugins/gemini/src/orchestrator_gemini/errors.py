"""Gemini's errors (https://ai.google.dev/gemini-api/docs/troubleshooting) mapped to the gateway's tree."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pydantic_core

from orchestrator_core.provider_api import (
    MAX_MESSAGE,
    ContextTooLong,
    Json,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    error_for_status,
    retry_after_seconds,
)

_KEY = re.compile(r"(?i)api key (not valid|expired|not found|not provided)|api_key_")
_CONTEXT = re.compile(r"(?i)token count.{0,80}(exceeds|supports? (only )?up to)|exceeds the maximum number of tokens")
# A limit for a day, one of zero (no free tier), or spent money: no wait of a request helps.
_SPENT = re.compile(
    r"(?i)per ?day|limit: 0\b|credits? (are|is|balance).{0,20}(depleted|exhausted)|spend(ing)? (cap|limit)"
)


def error_for_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> ProviderError:
    """Map an answer that is no 2xx.

    Args:
        status: Its HTTP status.
        headers: Its headers, with lower-case names.
        body: Its body; what is no JSON is not shown.
        now: Seconds since the epoch.
    """
    try:
        wire = _error(pydantic_core.from_json(body))
    except ValueError:
        wire = {}
    return _mapped(status, wire, retry_after_seconds(headers, now))


def error_in_answer(body: Json) -> ProviderError:
    """Map an error that came with a 200, as a body or as a chunk of a stream."""
    wire = _error(body)
    code = wire.get("code")
    if type(code) is int and 400 <= code < 600:
        return _mapped(code, wire, None)
    return ProviderFailed("The provider reported an error while it was answering.", upstream_type=wire.get("status"))


def check_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Refuse an answer that is no JSON under a 2xx.

    Raises:
        ProviderError: As its status and body say.
    """
    if not 200 <= status < 300:
        raise error_for_answer(status, headers, body, now)
    if not body:
        raise ProviderBadResponse("The provider's answer is empty.", upstream_status=status)
    if "json" not in headers.get("content-type", "json"):
        raise ProviderBadResponse("The provider's answer is not labelled as JSON.", upstream_status=status)


def _error(body: Json) -> Mapping[str, Json]:
    """Return the `error` of a body; streams that are not asked for as events have it in a list."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _mapped(status: int, wire: Mapping[str, Json], retry_after: float | None) -> ProviderError:
    details = _objects(wire.get("details"))
    message = wire["message"] if isinstance(wire.get("message"), str) else ""
    reason = next((each["reason"] for each in details if isinstance(each.get("reason"), str)), None)
    violated = [each for detail in details for each in _objects(detail.get("fieldViolations"))]
    quotas = [str(each) for detail in details for each in _objects(detail.get("violations"))]
    wait = next((each for detail in details if (each := _seconds(detail.get("retryDelay"))) is not None), retry_after)
    kind: type[ProviderError] | None = None
    if status == 429 and _SPENT.search(" ".join((message, *quotas))):
        kind, shown, wait = ProviderQuotaExhausted, "The provider's account has no quota left.", None
    elif status == 400 and _CONTEXT.search(message):
        kind, shown = ContextTooLong, message[:MAX_MESSAGE]
    else:
        shown = message
    upstream_type = wire.get("status") if isinstance(wire.get("status"), str) else None
    if kind is not None:
        return kind(shown, retry_after=wait, upstream_status=status, upstream_type=upstream_type, upstream_code=reason)
    # A bad key is a 400 here; a 401 says the right thing to every layer above.
    wrong_key = status == 400 and _KEY.search(f"{message} {reason}")
    error = error_for_status(
        401 if wrong_key else status,
        shown,
        param=violated[0].get("field") if violated else None,
        retry_after=wait,
        upstream_type=upstream_type,
        upstream_code=reason,
    )
    error.upstream_status = status
    return error


def _objects(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _seconds(delay: Json) -> float | None:
    """Read a duration of protobuf's: `34.4s`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", delay) if isinstance(delay, str) else None
    return float(match[1]) if match else None
