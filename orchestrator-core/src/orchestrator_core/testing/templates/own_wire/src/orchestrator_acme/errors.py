"""Acme's errors: `{"error": {"kind", "message"}}`, mapped to the gateway's tree."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import from_json

from orchestrator_core.provider_api import (
    ContentBlocked,
    ContextTooLong,
    Json,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderUnavailable,
    error_for_status,
    retry_after_seconds,
)

# What the status alone does not say.
KINDS: Mapping[str, tuple[type[ProviderError], str]] = {
    "too_long": (ContextTooLong, "The conversation is longer than the model's context window. Shorten it."),
    "blocked": (ContentBlocked, "Acme's content filter refused the request."),
    "no_money": (ProviderQuotaExhausted, "The account at Acme has no balance left."),
    "overloaded": (ProviderUnavailable, "Acme is overloaded."),
}


def error_for_answer(status: int, headers: Mapping[str, str], body: bytes, now: float) -> ProviderError:
    """Return the error of an answer that is no 200."""
    try:
        kind, message = read_error(from_json(body))
    except ValueError:
        kind, message = "", ""  # a proxy's page, which is not shown
    retry_after = retry_after_seconds(headers, now)
    if kind in KINDS:
        error, text = KINDS[kind]
        return error(text, retry_after=retry_after, upstream_status=status, upstream_code=kind)
    return error_for_status(status, message, retry_after=retry_after, upstream_code=kind or None)


def error_in_stream(body: Json) -> ProviderError:
    """Return the error of an event that is one. What Acme says of its own failures is not shown."""
    kind, _ = read_error(body)
    error, text = KINDS.get(kind, (ProviderFailed, "Acme reported an error while it was answering."))
    return error(text, upstream_code=kind or None)


def read_error(body: Json) -> tuple[str, str]:
    """Return the kind and the message of an error; empty where there is none."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return str(error.get("kind") or ""), str(error.get("message") or "")
