"""What Gemini's errors mean. Bodies as it sends them: recorded, or from the threads that are named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator_core.provider_api import (
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnavailable,
)
from orchestrator_gemini.errors import error_for_answer

RPC = "type.googleapis.com/google.rpc."
BAD_KEY = {
    "code": 400,
    "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
    "details": [{"@type": f"{RPC}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}],
}
# https://github.com/google-gemini/gemini-cli/issues/6678
TOO_LONG = "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."
# https://github.com/google-gemini/gemini-cli/issues/22486
NO_FREE_TIER = (
    "You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for metric: "
    "generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 0, model: gemini-3.1-pro\n"
    "Please retry in 25.465784708s."
)


def error(code: int, message: str, status: str, *details: Any) -> dict[str, Any]:
    return {"code": code, "message": message, "status": status, "details": list(details)}


def quota(quota_id: str) -> dict[str, Any]:
    return {"@type": f"{RPC}QuotaFailure", "violations": [{"quotaId": quota_id}]}


def mapped(status: int, wire: Any, **headers: str) -> ProviderError:
    body = wire if isinstance(wire, bytes) else json.dumps({"error": wire}).encode()
    return error_for_answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, 0.0)


@pytest.mark.parametrize(
    ("status", "wire", "kind"),
    [
        (400, BAD_KEY, ProviderAuthFailed),
        (400, error(400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT"), ProviderAuthFailed),
        (401, error(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED"), ProviderAuthFailed),
        (403, error(403, "Method doesn't allow unregistered callers.", "PERMISSION_DENIED"), ProviderAuthFailed),
        (400, error(400, TOO_LONG, "INVALID_ARGUMENT"), ContextTooLong),
        (400, error(400, "Please use a valid role: user, model.", "INVALID_ARGUMENT"), ProviderRefused),
        (404, error(404, "models/x is not found for API version v1beta.", "NOT_FOUND"), ProviderRefused),
        (429, error(429, "Resource exhausted. Please try again later.", "RESOURCE_EXHAUSTED"), ProviderRateLimited),
        (
            429,
            error(429, "You exceeded your current quota.", "RESOURCE_EXHAUSTED", quota("RequestsPerMinute-FreeTier")),
            ProviderRateLimited,
        ),
        (
            429,
            error(429, "You exceeded your current quota.", "RESOURCE_EXHAUSTED", quota("RequestsPerDayPerProject")),
            ProviderQuotaExhausted,
        ),
        (429, error(429, NO_FREE_TIER, "RESOURCE_EXHAUSTED"), ProviderQuotaExhausted),
        (429, error(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED"), ProviderQuotaExhausted),
        (500, error(500, "An internal error has occurred.", "INTERNAL"), ProviderFailed),
        (503, error(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"), ProviderUnavailable),
        (504, error(504, "Deadline expired.", "DEADLINE_EXCEEDED"), ProviderFailed),
    ],
)
def test_what_an_error_means(status: int, wire: dict[str, Any], kind: type[ProviderError]) -> None:
    found = mapped(status, wire)
    assert type(found) is kind
    assert (found.upstream_status, found.upstream_type) == (status, wire["status"])
    assert type(error_for_answer(status, {}, json.dumps([{"error": wire}]).encode(), 0.0)) is kind, "in a list"


def test_the_reason_is_the_code() -> None:
    assert mapped(400, BAD_KEY).upstream_code == "API_KEY_INVALID"


def test_refusals_are_quoted_and_name_the_field() -> None:
    violation = {"@type": f"{RPC}BadRequest", "fieldViolations": [{"field": "contents[0].role", "description": "x"}]}
    found = mapped(400, error(400, "Please use a valid role.", "INVALID_ARGUMENT", violation))
    assert (found.message, found.param) == ("Please use a valid role.", "contents[0].role")
    assert mapped(400, error(400, TOO_LONG, "INVALID_ARGUMENT")).message == TOO_LONG


def test_how_long_to_wait() -> None:
    told = error(429, "slow", "RESOURCE_EXHAUSTED", {"@type": f"{RPC}RetryInfo", "retryDelay": "34.4s"})
    assert mapped(429, told).retry_after == 34.4
    assert mapped(429, error(429, "slow", "RESOURCE_EXHAUSTED"), retry_after="7").retry_after == 7
    assert mapped(429, error(429, "slow", "RESOURCE_EXHAUSTED", {"retryDelay": "soon"})).retry_after is None
    spent = error(429, "slow", "RESOURCE_EXHAUSTED", quota("RequestsPerDay"), {"retryDelay": "34s"})
    assert mapped(429, spent).retry_after is None, "no wait of a request helps"


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway sk-secret</html>", b"[]", b'{"error": "no"}', b"1"])
def test_bodies_of_other_kinds(body: bytes) -> None:
    found = mapped(502, body)
    assert type(found) is ProviderFailed
    assert "secret" not in found.message
    assert mapped(400, body).message


@pytest.mark.parametrize("details", [[1], [{"violations": ["x"]}], [{"fieldViolations": ["x"]}], "x", {"a": 1}, 1])
def test_details_of_wrong_shapes(details: Any) -> None:
    assert type(mapped(400, {"code": 400, "message": ["x"], "details": details})) is ProviderRefused
