"""Which pages may call."""

from __future__ import annotations

import re
from pathlib import Path

import anthropic
import openai
import pytest

import orchestrator_core
from orchestrator_core.config import Settings
from orchestrator_core.security.cors import EXPOSED_HEADERS, CorsPolicy, origin_problems

SOURCE = Path(orchestrator_core.__file__).parent
LISTED = "https://app.example.com"


def policy(environment: str) -> CorsPolicy:
    return CorsPolicy.from_settings(
        Settings.model_validate({"environment": environment, "cors_allowed_origins": (LISTED,)})
    )


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://localhost:8443",
        "http://127.0.0.1:5173",
        "http://[::1]:8080",
        LISTED,
    ],
)
def test_development_takes_this_machine_and_what_is_listed(origin: str) -> None:
    assert policy("development").allows(origin)
    assert policy("production").allows(origin) == (origin == LISTED)
    assert policy("staging").allows(origin) == (origin == LISTED)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost.evil.example",
        "http://evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "http://evil.example/localhost",
        "http://localhost:port",
        "http://localhost:99999",
        "http://localhost/path",
        "http://[::1",
        "ftp://localhost",
        "file://",
        "null",
        "",
        "*",
        f"{LISTED}.evil.example",
        f"{LISTED}:8443",
        "http://app.example.com",
    ],
)
@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_no_other_origin_is_taken(environment: str, origin: str) -> None:
    found = policy(environment)
    assert not found.allows(origin)
    assert found.headers(origin) == {"Vary": "Origin"}
    assert found.preflight(origin) == {"Vary": "Origin"}


def test_an_answer_names_the_origin_and_what_may_be_read() -> None:
    headers = policy("production").headers(LISTED)
    assert headers["Access-Control-Allow-Origin"] == LISTED
    assert headers["Vary"] == "Origin"
    assert "X-Session-Id" in headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers


def test_a_preflight_allows_what_the_api_uses() -> None:
    headers = policy("production").preflight(LISTED, "x-stainless-os, X-Stainless-Lang, x-evil, x-stainless-\r\nA: b")
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(headers["Access-Control-Allow-Methods"].split(", "))
    allowed = set(headers["Access-Control-Allow-Headers"].split(", "))
    assert {"Authorization", "X-API-Key", "X-Session-Id", "Idempotency-Key", "anthropic-version"} <= allowed
    assert {"x-stainless-os", "x-stainless-lang"} <= allowed
    assert "x-evil" not in allowed
    assert not any("\r" in name or "\n" in name for name in allowed)


def test_a_request_without_an_origin_gets_no_permission() -> None:
    assert policy("development").headers(None) == {"Vary": "Origin"}


def test_the_policy_is_described_in_a_line() -> None:
    assert policy("development").describe() == f"CORS: any origin of this machine, {LISTED}"
    assert policy("production").describe() == f"CORS: {LISTED}"
    assert CorsPolicy(frozenset()).describe() == "CORS: no origin"
    assert CorsPolicy(frozenset({"*"})).describe() == "CORS: no origin; 1 unsafe or malformed, not shown"
    local = CorsPolicy(frozenset({"http://localhost:3000", LISTED}), local=True)
    assert local.describe() == f"CORS: any origin of this machine, {LISTED}"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("*", "wildcard"),
        ("https://*.example.com", "wildcard"),
        ("null", "opaque"),
        ("http://app.example.com", "plain http"),
        ("https://app.example.com/", "slash"),
        ("https://app.example.com/path", "path"),
        ("https://app.example.com?q", "path"),
        ("https://user@app.example.com", "user name"),
        ("app.example.com", "no origin"),
        ("https://", "no origin"),
        ("https://app.example.com:port", "no origin"),
        ("https://app.example.com:443", "port 443"),
        ("https://app.example.com?", "path"),
        ("https://app.example.com#", "path"),
        ("https://app.example.com:", "not as browsers"),
        ("https://app.example.com:08443", "not as browsers"),
        ("https://app;example.com", "no origin"),
        ("https://.example.com", "no origin"),
        ("https://app..example.com", "no origin"),
        ("https://app.example.com..", "no origin"),
        ("https://.", "no origin"),
        ("https://-app.example.com", "no origin"),
        ("https://app-.example.com", "no origin"),
        (f"https://{'a' * 64}.example.com", "no origin"),
        (f"https://{'a.' * 126}ab", "no origin"),
        ("https://app.example.com:99999", "no origin"),
        ("https://app.example.com:0", "no origin"),
        ("https://192.0.2.1.", "no origin"),
        ("https://192.0.2.0x1", "no origin"),
        ("https://[fe80::1%eth0]", "no origin"),
        ("https://app.example.com\\path", "no origin"),
        ("https://127.1", "no origin"),
        ("https://[0:0::1]:8443", "not as browsers"),
        ("https://[::1]example.com", "not as browsers"),
        ("https://[::1", "no origin"),
        ("https://a b.example.com", "no browser"),
        ("https://app.example.com\n", "no browser"),
        ("https://\u00e4pp.example.com", "no browser"),
    ],
)
def test_what_is_wrong_with_an_origin_is_said_without_it(origin: str, expected: str) -> None:
    found = list(origin_problems(origin))
    assert any(expected in problem for problem in found)
    assert not any("example.com" in problem for problem in found)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "HTTPS://App.Example.com",
        "https://app.example.com:8443",
        "https://xn--pp-wia.example.com",
        f"https://{'a' * 63}.example.com",
        f"https://{'a.' * 126}a",
        "https://3.example.com",
        "https://0x.example",
        "https://a--b.example.com",
        "https://my_app.example.com.",
        "https://[::1]:8443",
        "https://192.0.2.1",
    ],
)
def test_a_good_origin_has_no_problem(origin: str) -> None:
    assert list(origin_problems(origin)) == []


@pytest.mark.parametrize(
    "more", ["anthropic-dangerous-direct-browser-access", "x-stainless-retry-count", "OpenAI-Beta"]
)
def test_a_page_may_send_what_the_sdks_send(more: str) -> None:
    clients = (openai.OpenAI(api_key="x", organization="o", project="p"), anthropic.Anthropic(api_key="x"))
    sent = {name.lower() for client in clients for name in client.default_headers} | {more.lower(), "x-api-key"}
    answer = policy("production").preflight(LISTED, ", ".join(sorted(sent)))
    assert sent <= set(answer["Access-Control-Allow-Headers"].lower().split(", "))


@pytest.mark.parametrize("asked", ["cookie", "x-stainless-a b", "anthropic-\r\nx: y", "x-forwarded-for"])
def test_no_other_header_is_allowed(asked: str) -> None:
    allowed = policy("production").preflight(LISTED, asked)["Access-Control-Allow-Headers"].lower().split(", ")
    assert asked.lower() not in allowed


def test_a_page_may_read_every_header_of_ours() -> None:
    asked_for = {"x-orchestrator-strict"}
    text = "".join(path.read_text() for path in (SOURCE / "server").rglob("*.py"))
    ours = {name.lower() for name in re.findall(r'"(x-orchestrator-[a-z-]+)"', text, re.IGNORECASE)} - asked_for
    assert ours <= {name.lower() for name in EXPOSED_HEADERS}
