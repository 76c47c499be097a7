"""What looks like an attack, and what does not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.config import Settings
from orchestrator_core.security.patterns import SuspiciousPatterns

patterns = SuspiciousPatterns(Settings().suspicious_patterns)


@pytest.mark.parametrize(
    "text",
    [
        "/../etc/passwd",
        "/api/sessions/..%2f..%2fetc",
        "/api/sessions/%2e%2e%2f",
        "/api/sessions/%252e%252e%252f",
        "..\\windows",
        "sess_%00",
        "sess_\x00",
        "/x%0d%0aSet-Cookie: a=b",
        "/admin",
        "/Admin/login",
        "/wp-admin/setup.php",
        "/administrator",
        "/root/",
        "/.env",
        "/.git/config",
        "/index.php?x=1",
        "/cgi-bin/x",
        "/search?q=<script>alert(1)</script>",
        "/x?q=%24%7Bjndi:ldap://x%7D",
        "/x?id=1+UNION+ALL+SELECT",
    ],
)
def test_attacks_are_recognised(text: str) -> None:
    assert patterns.match(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sess_0193a7f2c4d80123456789abcdef0123",
        "/api/session",
        "/v1/modelz",
        "/v1/models/openai/gpt-5.6-luna",
        "/v1/models/openai%2Fgpt-4o",
        "/v1/models/mistral/mistral-small-latest",
        "/api/v1/rooted/chat",
        "admin",
        "/favicon.ico",
        "/robots.txt",
        "/api/sessions?user_id=admin@example.com",
    ],
)
def test_mistakes_are_no_attacks(text: str) -> None:
    assert patterns.match(text) is None


@given(st.text(max_size=5000))
def test_any_text_is_examined_in_little_time(text: str) -> None:
    begun = time.perf_counter()
    patterns.match(text)
    assert time.perf_counter() - begun < 0.5


@pytest.mark.parametrize("text", ["%" * 100_000, "union " * 20_000, "../" * 50_000, "%25" * 30_000 + "2e"])
def test_long_text_is_examined_in_little_time(text: str) -> None:
    begun = time.perf_counter()
    patterns.match(text)
    assert time.perf_counter() - begun < 0.5


def test_patterns_can_be_configured() -> None:
    assert SuspiciousPatterns(()).match("/../") is None
    assert SuspiciousPatterns((r"honey",)).match("/HONEY pot") == "honey"
