"""Errors in all the shapes that the family has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator_core.openai_compatible.errors import error_for_answer, error_in_answer, read_error
from orchestrator_core.provider_api import (
    ContentBlocked,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
)


def mapped(status: int, body: Any, **headers: str) -> ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_for_answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, 0.0)


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        ({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}, "m", "p", "c"),
        ({"error": {"message": "m", "code": 400}}, "m", None, "400"),
        ({"error": "m", "code": "c"}, "m", None, "c"),
        ({"object": "error", "message": "m", "type": "t", "param": None, "code": "1500"}, "m", None, "1500"),
        ({"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "m"}]}}, "n: m", "n", None),
        ({"detail": "m"}, "m", None, None),
        (
            {"detail": [{"loc": ["body", "messages", 0], "msg": "m", "input": "sk-1"}]},
            "messages.0: m",
            "messages.0",
            None,
        ),
        ({"code": "InvalidParameter", "message": "m", "request_id": "r"}, "m", None, "InvalidParameter"),
        ([{"error": {"message": "m", "code": 400, "status": "INVALID_ARGUMENT"}}], "m", None, "400"),
        (b"m\n", "m", None, None),
    ],
)
def test_every_shape_is_read(body: Any, message: str, param: str | None, code: str | None) -> None:
    error = mapped(400, body)
    assert type(error) is ProviderRefused
    assert (error.message, error.param, error.upstream_code, error.status) == (message, param, code, 400)


@pytest.mark.parametrize("body", [[], [1, 2], 7, None, {}, {"error": {}}, {"error": None}, b"", b"\xff\xfe"])
def test_a_body_that_says_nothing_still_gives_an_error(body: Any) -> None:
    assert mapped(422, body).message
    assert mapped(422, body).status == 422


@pytest.mark.parametrize("status", [401, 403, 500, 502, 503, 504, 529])
def test_what_may_name_keys_or_hosts_is_not_shown(status: int) -> None:
    for body in ({"error": {"message": "CANARY"}}, {"detail": "CANARY"}, b"CANARY"):
        error = mapped(status, body)
        assert "CANARY" not in error.message
        assert error.upstream_status == status


def test_html_is_never_shown() -> None:
    for body in (b"<html>CANARY</html>", b"\n <!DOCTYPE html>CANARY"):
        assert "CANARY" not in mapped(400, body).message
    assert "CANARY" not in mapped(400, b"CANARY", content_type="text/html").message


def test_long_messages_are_cut() -> None:
    assert len(mapped(400, {"error": {"message": "x" * 5000}}).message) == 1000
    assert len(mapped(400, {"error": {"message": "x" * 5000, "code": "context_length_exceeded"}}).message) == 1000


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "Your input exceeds the context window of this model.", "code": "context_length_exceeded"}),
        (400, {"message": "This model's maximum context length is 8192 tokens. However, you requested 9000"}),
        (400, {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"}),
        (400, {"message": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."}),
        (400, {"message": "Range of input length should be [1, 30720]", "code": "invalid_parameter_error"}),
        (400, {"message": "Invalid request: Your request exceeded model token limit: 8192"}),
        (400, {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}),
        (413, {"message": "Please reduce the length of the messages or completion."}),
        (400, {"message": "Input is too long for requested model."}),
    ],
)
def test_a_conversation_that_is_too_long_is_recognised(status: int, error: dict[str, str]) -> None:
    found = mapped(status, {"error": error})
    assert type(found) is ContextTooLong
    assert found.message == error["message"]


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "Invalid 'tools[0].function.name': string too long.",
        "Unsupported parameter: 'temperature' is not supported with this model.",
    ],
)
def test_other_limits_are_no_context(message: str) -> None:
    assert type(mapped(400, {"error": {"message": message}})) is ProviderRefused


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            429,
            {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
            ProviderQuotaExhausted,
        ),
        (402, {"error": {"message": "Insufficient Balance"}}, ProviderQuotaExhausted),
        (403, {"code": "denied", "error": "Your team has used all available credits."}, ProviderQuotaExhausted),
        (400, {"error": {"message": "Access denied", "code": "Arrearage"}}, ProviderQuotaExhausted),
        (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, ProviderRateLimited),
        (429, {"error": {"message": "slow", "code": "slow_down"}}, ProviderRateLimited),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided. CANARY"}, ProviderAuthFailed),
        (400, {"error": {"message": "no", "code": "invalid_api_key"}}, ProviderAuthFailed),
        (400, {"error": {"message": "blocked", "code": "content_filter"}}, ContentBlocked),
        (400, {"error": {"message": "x", "code": "data_inspection_failed"}}, ContentBlocked),
        (403, {"code": "x", "error": "Content violates usage guidelines."}, ContentBlocked),
        (500, {"error": {"message": "maximum context length", "code": None}}, ProviderFailed),
    ],
)
def test_words_decide_over_the_status(status: int, body: Any, kind: type[ProviderError]) -> None:
    error = mapped(status, body)
    assert type(error) is kind
    assert error.upstream_status == status
    assert "CANARY" not in error.message


def test_waiting_times_are_kept() -> None:
    limited = {"error": {"message": "Rate limit reached"}}
    assert mapped(429, limited, retry_after="7").retry_after == 7
    assert mapped(429, limited, retry_after="7", retry_after_ms="250").retry_after == 0.25
    assert mapped(429, limited, retry_after="soon").retry_after is None


def test_an_error_under_200_is_a_bad_answer_unless_its_words_say_more() -> None:
    assert type(error_in_answer({"error": {"message": "CANARY"}}, streamed=False)) is ProviderBadResponse
    assert type(error_in_answer({"error": {"message": "CANARY"}}, streamed=True)) is ProviderFailed
    assert "CANARY" not in error_in_answer({"error": {"message": "CANARY"}}, streamed=True).message
    limited = error_in_answer({"error": {"message": "slow", "code": "rate_limit_exceeded"}}, streamed=False)
    assert type(limited) is ProviderRateLimited


def test_a_boolean_or_a_string_is_no_status() -> None:
    assert read_error({"message": "m", "status": True, "code": "429"}).status is None
