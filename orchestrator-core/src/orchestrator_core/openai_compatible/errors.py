"""The OpenAI family's errors, in all their shapes, mapped to the gateway's tree.

The words that vendors use for one thing stand together here; a vendor that adds its own needs a word, no code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pydantic_core

from orchestrator_core.provider_api import (
    MAX_MESSAGE,
    REFUSALS,
    ContentBlocked,
    ContextTooLong,
    Json,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnavailable,
    error_for_status,
    retry_after_seconds,
)

_AUTH_WORDS = {
    "invalid_api_key",
    "incorrect_api_key",
    "invalidapikey",
    "authentication_error",
    "invalid_authentication_error",
}
_QUOTA_WORDS = {
    "insufficient_quota",
    "insufficient_balance",
    "billing_hard_limit_reached",
    "billing_not_active",
    "exceeded_current_quota_error",
    "arrearage",
}
_CONTEXT_WORDS = {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
_CONTENT_WORDS = {
    "content_filter",
    "content_policy_violation",
    "moderation_blocked",
    "data_inspection_failed",
    "datainspectionfailed",
    "responsibleaipolicyviolation",
}
_RATE_WORDS = {"rate_limit_exceeded", "rate_limit_error", "rate_limit_reached_error", "slow_down"}
_OVERLOAD_WORDS = {
    "overloaded",
    "overloaded_error",
    "engine_overloaded",
    "engine_overloaded_error",
    "service_unavailable",
}

_AUTH = re.compile(r"(?i)(incorrect|invalid|not valid).{0,20}api.?key|api.?key.{0,20}(not valid|invalid|incorrect)")
_QUOTA = re.compile(
    r"(?i)exceeded your current quota|insufficient.{0,10}(balance|quota|credit|fund)|used all available credits"
    r"|monthly spending limit|out of credits"
)
_CONTEXT = re.compile(
    r"(?i)maximum context length|(exceed|larger than|too long for|longer than).{0,40}context.{0,10}(length|window|size)"
    r"|context.{0,10}(length|window|size).{0,20}exceed|prompt is too long|input is too long"
    r"|maximum prompt length|exceeded model token limit|range of input length should be"
    r"|reduce the length of the (messages|prompt|input)|input.{0,20}too many tokens"
)
_CONTENT = re.compile(
    r"(?i)inappropriate content|violates? (our )?(content|usage) (policy|policies|guidelines)|content management policy"
)


@dataclass(frozen=True, slots=True)
class WireError:
    """An error as a vendor worded it.

    Attributes:
        message: For people; empty where there is none.
        type: The vendor's class of the error.
        code: The vendor's code.
        param: The field that is blamed.
        status: The HTTP status that the body names, which matters where the answer itself was a 200.
    """

    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None
    status: int | None = None

    @property
    def words(self) -> set[str]:
        """Type and code, in lower case."""
        return {word.lower() for word in (self.type, self.code) if word}


def read_error(body: Json) -> WireError:
    """Read an error from parsed JSON.

    Known shapes: `{"error": {"message", "type", "code", "param"}}` (OpenAI), `{"error": "text", "code": "text"}`
    (xAI), `{"object": "error", "message", ...}` (Mistral), `{"detail": "text"}` and `{"detail": [{"loc", "msg"}]}`
    (FastAPI: Mistral, vLLM), `{"code", "message"}` (DashScope), and any of them as the one item of a list.
    """
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        return WireError()
    error = body.get("error")
    if isinstance(error, dict):
        return read_error(error)
    message = error or body.get("message")
    param = _text(body.get("param"))
    if isinstance(message, dict):  # Mistral wraps a validation error into the message
        return read_error(message)
    detail = body.get("detail")
    if message is None and isinstance(detail, list):
        places = [_place(item) for item in detail if isinstance(item, dict)]
        message = "; ".join(f"{place}: {text}" if place else text for place, text in places)
        param = param or (places[0][0] or None if places else None)
    elif message is None:
        message = detail
    code = body.get("code")
    status = next((s for s in (body.get("status_code"), body.get("status"), code) if type(s) is int), None)
    return WireError(_text(message) or "", _text(body.get("type")), _text(code), param, status)


def error_for_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> ProviderError:
    """Map an answer that is no 2xx.

    Args:
        status: Its HTTP status.
        headers: Its headers, with lower-case names.
        body: Its body, of any kind. HTML is never shown.
        now: Seconds since the epoch.
    """
    try:
        wire = read_error(pydantic_core.from_json(body, allow_inf_nan=False))
    except ValueError:
        text = body[: 4 * MAX_MESSAGE].decode("utf-8", "replace").strip()
        html = text.startswith("<") or "html" in headers.get("content-type", "")
        wire = WireError("" if html else text)
    retry_after = retry_after_seconds(headers, now)
    special = _special(wire, status)
    if special is not None:
        return _made(special, wire, status, retry_after)
    # xAI and others answer a bad key with 400; a 401 says the right thing to every layer above.
    wrong_key = status == 400 and (wire.words & _AUTH_WORDS or _AUTH.search(wire.message))
    error = error_for_status(
        401 if wrong_key else status,
        wire.message,
        param=wire.param,
        retry_after=retry_after,
        upstream_type=wire.type,
        upstream_code=wire.code,
    )
    error.upstream_status = status
    return error


def error_in_answer(body: Json, *, streamed: bool) -> ProviderError:
    """Map an error object that came with a 200, as a whole body or as an event of a stream."""
    wire = read_error(body)
    status = wire.status if wire.status is not None and 400 <= wire.status < 600 else None
    special = _special(wire, status or 400)
    if special is not None:
        return _made(special, wire, status, None)
    if wire.words & _RATE_WORDS or status == 429:
        return _made(ProviderRateLimited, wire, status, None)
    if wire.words & _OVERLOAD_WORDS or status in (503, 529):
        return _made(ProviderUnavailable, wire, status, None)
    if status in REFUSALS:
        return _made(ProviderRefused, wire, status, None)
    return _made(ProviderFailed if streamed else ProviderBadResponse, wire, status, None)


def _special(wire: WireError, status: int) -> type[ProviderError] | None:
    """Return the class that the words of an error ask for, whatever its status."""
    words, message = wire.words, wire.message
    kind: type[ProviderError] | None = None
    if words & _QUOTA_WORDS or (status in (402, 403, 429) and _QUOTA.search(message)):
        kind = ProviderQuotaExhausted
    elif status >= 500:
        kind = None
    elif words & _CONTEXT_WORDS or (status in REFUSALS and _CONTEXT.search(message)):
        kind = ContextTooLong
    elif words & _CONTENT_WORDS or (status in (*REFUSALS, 403) and _CONTENT.search(message)):
        kind = ContentBlocked
    return kind


def _made(kind: type[ProviderError], wire: WireError, status: int | None, retry_after: float | None) -> ProviderError:
    # What the provider says of its own failures may name hosts, accounts or keys: only refusals are quoted.
    quoted = wire.message[:MAX_MESSAGE] if issubclass(kind, ProviderRefused | ProviderRateLimited) else ""
    return kind(
        quoted or _SAID[kind],
        param=wire.param,
        retry_after=retry_after,
        upstream_status=status,
        upstream_type=wire.type,
        upstream_code=wire.code,
    )


_SAID: Mapping[type[ProviderError], str] = {
    ContextTooLong: "The conversation is longer than the model's context window. Shorten it.",
    ContentBlocked: "The provider's content filter refused the request.",
    ProviderQuotaExhausted: "The provider's account has no balance or quota left.",
    ProviderRateLimited: "The provider asks to slow down.",
    ProviderUnavailable: "The provider is overloaded.",
    ProviderRefused: "The provider refused the request.",
    ProviderFailed: "The provider reported an error while it was answering.",
    ProviderBadResponse: "The provider answered with an error object under the status 200.",
}


def _place(item: Mapping[str, Json]) -> tuple[str, str]:
    loc = item.get("loc")
    place = ".".join(str(step) for step in loc if step != "body") if isinstance(loc, list | tuple) else ""
    return place, _text(item.get("msg")) or "invalid"


def _text(value: Json) -> str | None:
    return None if value is None or isinstance(value, dict | list) else str(value)
