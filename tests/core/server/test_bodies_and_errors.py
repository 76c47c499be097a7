from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.provider_api import (
    InternalError,
    ProviderAuthFailed,
    ProviderNotConfigured,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    RateLimited,
    SessionBusy,
    Unauthenticated,
)
from orchestrator_core.server.errors import Surface, error_body, error_headers, render, status_of, surface_of
from scripted_gateway import Served, served

JSON = {"Content-Type": "application/json"}
SURFACES = {
    "/api/orchestrate": Surface.API,
    "/api/v1/scripted/chat": Surface.CONNECTOR,
    "/v1/chat/completions": Surface.OPENAI,
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "orchestrator",
}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_MAX_REQUEST_BYTES": "2000"}) as gateway:
        yield gateway


def has_convention(surface: Surface, content_type: str, body: Any, status: int) -> None:
    """Check that an error is in the form of its surface."""
    match surface:
        case Surface.OPENAI:
            assert set(body) == {"error"}
            assert set(body["error"]) == {"message", "type", "param", "code"}
        case Surface.ANTHROPIC:
            assert body["type"] == "error"
            assert set(body["error"]) == {"type", "message"}
        case Surface.CONNECTOR:
            assert body["success"] is False
            assert isinstance(body["error"], str)
            assert isinstance(body["error_type"], str)
        case _:
            assert body["status"] == status
            assert body["code"]
            assert body["request_id"]
            assert content_type == "application/problem+json"
    if surface in (Surface.OPENAI, Surface.ANTHROPIC, Surface.CONNECTOR):
        assert content_type == "application/json"


async def send(
    gateway: Served, method: str, path: str, data: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, aiohttp.ClientResponse, Any]:
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, gateway.url + path, data=data, headers=headers) as response,
    ):
        text = await response.read()
        return response.status, response, json.loads(text) if text else None


BODIES = [
    (b"{", JSON, 400),
    (b"[]", JSON, 400),
    (b'"text"', JSON, 400),
    (b'{"message": "a", "message": "b"}', JSON, 400),
    (b'{"x": NaN}', JSON, 400),
    (b'{"x": "\xff"}', JSON, 400),
    (b'{"x": ' + b"9" * 1999 + b"}", JSON, 413),
    (b"[" * 100, JSON, 400),
    (rb'{"x": "\u0000"}', JSON, 400),
    (rb'{"x": "\ud800"}', JSON, 400),
    (b"{}", {"Content-Type": "text/plain"}, 415),
    (b"{}", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415),
    (b"{}", {"Content-Type": ""}, 415),
    (b"{}", {**JSON, "Content-Encoding": "gzip"}, 415),
    (b"{}", {**JSON, "Content-Encoding": "br"}, 415),
    (b"x" * 2001, JSON, 413),
]


@pytest.mark.parametrize("path", SURFACES)
async def test_bad_bodies_on_every_surface(gateway: Served, path: str) -> None:
    for data, headers, expected in BODIES:
        status, response, answer = await send(gateway, "POST", path, data, headers)
        assert status == expected, (data[:40], answer)
        has_convention(SURFACES[path], response.content_type, answer, expected)


async def test_a_body_in_pieces_is_cut_off_at_the_limit(gateway: Served) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 100

    status, _, _ = await send(gateway, "POST", "/api/orchestrate", pieces(), JSON)
    assert status == 413


async def test_utf8_may_be_named(gateway: Served) -> None:
    for kind in ("application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'):
        status, _, _ = await send(gateway, "POST", "/api/orchestrate", b'{"message": "a"}', {"Content-Type": kind})
        assert status == 200


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({}, "$"),
        ({"message": 1}, "message"),
        ({"message": ""}, "message"),
        ({"message": []}, "message"),
        ({"message": [{"type": "text"}]}, "message.0.text"),
        ({"message": [{"type": "sound", "text": "canary-input"}]}, "message.0"),
        ({"message": "a", "tool_results": [{"tool_call_id": "c", "content": "r"}]}, "$"),
        ({"message": "a", "temperature": 1}, "temperature"),
        ({"message": "a", "agent_config": {"temperature": "canary-input"}}, "agent_config.temperature"),
        ({"message": "a", "agent_config": {"max_tokens": 0}}, "agent_config.max_tokens"),
        ({"message": "a", "agent_config": {"max_tokens": 10**30}}, "agent_config.max_tokens"),
        ({"message": "a", "agent_config": {"timeout": 0.09}}, "agent_config.timeout"),
        ({"message": "a", "agent_config": {"strict": 1}}, "agent_config.strict"),
        ({"message": "a", "agent_config": {"tools": [{"type": "function"}]}}, "agent_config.tools.0.function"),
    ],
)
async def test_a_field_at_fault_is_named_and_not_repeated(gateway: Served, sent: Any, param: str) -> None:
    reply = await gateway.post("/api/orchestrate", sent)
    assert reply.status == 400
    assert reply.json["param"] == param
    assert "canary-input" not in reply.body.decode()


async def test_unknown_paths_and_methods(gateway: Served) -> None:
    for path, surface in {
        "/api/nothing": Surface.API,
        "/api/v1/nothing": Surface.CONNECTOR,
        "/api/v1/scripted/nothing": Surface.CONNECTOR,
        "/v1/nothing": Surface.OPENAI,
        "/v1/messages/nothing": Surface.ANTHROPIC,
        "/nothing": Surface.PLAIN,
    }.items():
        status, response, answer = await send(gateway, "GET", path)
        assert status == 404
        has_convention(surface, response.content_type, answer, 404)
        for name, value in HEADERS.items():
            assert response.headers[name] == value
        assert response.headers["X-Request-Id"]
    for path, surface in SURFACES.items():
        status, response, answer = await send(gateway, "PUT", path)
        assert status == 405
        assert response.headers["Allow"] == "POST"
        has_convention(surface, response.content_type, answer, 405)


@pytest.mark.parametrize("failure", [RuntimeError("canary-detail"), ZeroDivisionError("canary-detail")])
@pytest.mark.parametrize("path", SURFACES)
async def test_an_unknown_exception_tells_nothing(
    gateway: Served, path: str, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: Any, **kwargs: Any) -> None:
        raise failure

    monkeypatch.setattr(gateway.gateway, "turn", fail)
    monkeypatch.setattr(gateway.gateway, "chat", fail)
    body = {"message": "a"} if path == "/api/orchestrate" else {"messages": [{"role": "user", "content": "a"}]}
    reply = await gateway.post(path, {**body, "model": "scripted/m"} if path.startswith("/v1") else body)
    assert reply.status == 500
    has_convention(SURFACES[path], reply.headers["Content-Type"].partition(";")[0], reply.json, 500)
    assert "canary" not in reply.body.decode()
    assert reply.headers["X-Request-Id"].startswith("req_")


async def test_a_handler_that_exits_does_not_end_the_server(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(*args: Any, **kwargs: Any) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(gateway.gateway.store, "list_sessions", leave)
    assert (await gateway.get("/api/sessions")).status == 500
    assert (await gateway.get("/api/health")).status == 200


async def raw(gateway: Served, sent: bytes, wait: float = 5.0) -> bytes:
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        async with asyncio.timeout(wait):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/v1/x HTTP/9.9\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a" * 9000 + b": a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(200)) + b"\r\n", 431),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 8000) for i in range(9)),
            431,
        ),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
)
async def test_what_is_no_http_is_answered_in_json(gateway: Served, sent: bytes, status: int) -> None:
    head, _, answer = (await raw(gateway, sent)).partition(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) == status
    assert b'event="malformed_request"' in gateway.gateway.metrics.render()[0]
    for name, value in HEADERS.items():
        assert f"{name}: {value}".encode() in head
    assert b"Content-Security-Policy:" in head
    assert b"X-Request-Id: req_" in head
    assert b"X-Orchestrator-Request-Id: req_" in head
    assert isinstance(json.loads(answer), dict)


async def test_a_bad_request_line_is_answered_in_its_surface(gateway: Served) -> None:
    for path, surface in SURFACES.items():
        head, _, answer = (await raw(gateway, f"GET {path} HTTP/9.9\r\n\r\n".encode())).partition(b"\r\n\r\n")
        kind = next(line for line in head.decode().split("\r\n") if line.startswith("Content-Type"))
        has_convention(surface, kind.partition(": ")[2].partition(";")[0], json.loads(answer), 400)


async def test_slow_heads_are_cut_off(tmp_path: Path) -> None:
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_CLIENT_HEAD_TIMEOUT": "0.3"}) as gateway:
        got = await raw(gateway, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n", wait=3)
        assert got.startswith(b"HTTP/1.1 408 ")
        assert b'"request_timeout"' in got
        assert await raw(gateway, b"", wait=3) == b""
        assert (await gateway.get("/api/health")).status == 200


async def test_slow_bodies_are_cut_off(tmp_path: Path) -> None:
    head = b"POST /api/orchestrate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 100\r\n\r\n{"
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_CLIENT_BODY_TIMEOUT": "0.3"}) as gateway:
        got = await raw(gateway, head)
    assert got.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in got


async def test_a_client_that_hangs_up_in_its_body_harms_nobody(gateway: Served) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connected:
        connected.sendall(
            b"POST /api/orchestrate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"
        )
    assert (await gateway.get("/api/health")).status == 200


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/v1/chat/completions", Surface.OPENAI),
        ("/v1/messages", Surface.ANTHROPIC),
        ("/v1/messages/batches", Surface.ANTHROPIC),
        ("/v1/messagesx", Surface.OPENAI),
        ("/api/v1/x", Surface.CONNECTOR),
        ("/api/v1", Surface.CONNECTOR),
        ("/api/v12", Surface.API),
        ("/api/sessions", Surface.API),
        ("/health", Surface.PLAIN),
        ("", Surface.PLAIN),
    ],
)
def test_the_path_decides_the_surface(path: str, surface: Surface) -> None:
    assert surface_of(path) is surface


def test_a_refusal_keeps_the_words_of_the_provider() -> None:
    refusal = ProviderRefused("no", upstream_status=400, upstream_type="odd_error", param="p")
    assert error_body(refusal, Surface.OPENAI, "req_1") == {
        "error": {"message": "no", "type": "odd_error", "param": "p", "code": None}
    }
    assert error_body(ProviderRefused("no"), Surface.OPENAI, "req_1")["error"]["code"] == "provider_refused"


def test_connectors_say_401_for_a_refused_key() -> None:
    refused = ProviderAuthFailed("no")
    assert status_of(refused, Surface.CONNECTOR) == 401
    assert status_of(refused, Surface.API) == 502


def test_retry_after() -> None:
    def after(error: Any) -> str | None:
        return error_headers(error).get("Retry-After")

    assert after(RateLimited("slow", retry_after=2.2)) == "3"
    assert after(ProviderRateLimited("slow")) == "1"
    assert after(RateLimited("slow", retry_after=0)) == "1"
    assert after(SessionBusy("busy")) == "1"
    assert after(ProviderQuotaExhausted("empty")) is None
    assert after(ProviderNotConfigured("none")) is None
    assert after(InternalError("no")) is None
    assert error_headers(ProviderQuotaExhausted("empty"))["x-should-retry"] == "false"
    assert error_headers(Unauthenticated("who"))["WWW-Authenticate"] == "Bearer"


def test_anthropics_words_for_errors() -> None:
    for error, kind in (
        (Unauthenticated("x"), "authentication_error"),
        (RateLimited("x"), "rate_limit_error"),
        (InternalError("x"), "api_error"),
        (ProviderNotConfigured("x"), "overloaded_error"),
        (ProviderRefused("x"), "invalid_request_error"),
    ):
        answer = render(error, Surface.ANTHROPIC, "req_1")
        assert answer.body is not None
        assert json.loads(bytes(answer.body))["error"]["type"] == kind  # type: ignore[arg-type]  # a response of ours has bytes


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ([], "message: List should have at least 1 item after validation, not 0."),
        ("", "message: String should have at least 1 character."),
        (5, "message: Input should be a valid string, or Input should be a valid list."),
    ],
)
async def test_every_form_that_a_field_takes_is_named(gateway: Served, message: Any, said: str) -> None:
    _, _, answer = await send(gateway, "POST", "/api/orchestrate", json.dumps({"message": message}), JSON)
    assert (answer["param"], answer["detail"]) == ("message", said)


@pytest.mark.parametrize("session", ["nonsense", "sess_" + "0" * 32])
async def test_an_error_names_the_header_that_is_at_fault(gateway: Served, session: str) -> None:
    body = json.dumps({"model": "scripted/m", "messages": [{"role": "user", "content": "a"}]})
    headers = {**JSON, "X-Session-Id": session}
    status, _, answer = await send(gateway, "POST", "/v1/chat/completions", body, headers)
    assert (status, answer["error"]["param"]) == (404, "X-Session-Id")


@pytest.mark.parametrize("path", ["/v1", "/v1/"])
async def test_the_root_of_openai_s_surface_has_its_convention(gateway: Served, path: str) -> None:
    status, response, answer = await send(gateway, "GET", path)
    assert status == 404
    has_convention(Surface.OPENAI, response.content_type, answer, status)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/scripted/chat", "/api/orchestrate"])
async def test_an_expectation_is_passed_over_and_not_repeated(gateway: Served, path: str) -> None:
    answer = await gateway.post(path, {}, Expect="sk-proj-SECRET")

    assert answer.status == 400
    assert "SECRET" not in str(answer.json)
