from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.server.endpoints import ENDPOINTS
from orchestrator_core.server.openapi import document
from scripted_gateway import Served, served

CLIENT_KEY = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY,
    "ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": "30",
}
ASKED = {"x-api-key", "x-session-id", "idempotency-key", "anthropic-version", "x-stainless-os"}
LOCAL = "http://localhost:3000"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


@pytest.fixture
async def production(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider], PRODUCTION) as gateway:
        yield gateway


async def call(gateway: Served, method: str, path: str, **headers: str) -> aiohttp.ClientResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as client, client.request(method, gateway.url + path, headers=named) as response:
        await response.read()
        return response


async def test_every_answer_has_the_security_headers(gateway: Served) -> None:
    for method, path in (("GET", "/api/health"), ("GET", "/nothing"), ("PUT", "/api/orchestrate"), ("GET", "/docs")):
        response = await call(gateway, method, path)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert (
            "unsafe-inline"
            not in response.headers["Content-Security-Policy"].partition("script-src")[2].partition(";")[0]
        )
        assert "Strict-Transport-Security" not in response.headers
        assert response.headers["Server"] == "orchestrator"


async def test_streams_have_the_headers_too(gateway: Served) -> None:
    reply = await gateway.post("/api/orchestrate", {"message": "a", "stream": True}, Origin=LOCAL)
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Access-Control-Allow-Origin"] == LOCAL
    assert reply.headers["X-Request-Id"]


async def test_a_sane_request_id_is_kept(gateway: Served) -> None:
    kept = await call(gateway, "GET", "/api/health", X_Request_Id="trace-0123456789")
    assert kept.headers["X-Request-Id"] == kept.headers["X-Orchestrator-Request-Id"] == "trace-0123456789"
    for odd in ("short", "a" * 200, "has spaces in it", "<script>alert</script>"):
        assert (await call(gateway, "GET", "/api/health", X_Request_Id=odd)).headers["X-Request-Id"] != odd


@pytest.mark.parametrize(
    ("environment", "origin", "allowed"),
    [
        ("development", "http://localhost:3000", True),
        ("development", "http://127.0.0.1", True),
        ("development", "https://evil.example", False),
        ("development", "http://localhost.evil.example", False),
        ("production", "https://app.example.com", True),
        ("production", "https://app.example.com.evil.example", False),
        ("production", "http://localhost:3000", False),
        ("production", "null", False),
    ],
)
async def test_cors(environment: str, origin: str, allowed: bool, tmp_path: Path) -> None:
    environ = PRODUCTION if environment == "production" else {}
    async with served(tmp_path, [ScriptedProvider], environ) as here:
        plain = await call(here, "GET", "/api/health", Origin=origin)
        for path in ("/api/orchestrate", "/v1/chat/completions", "/api/v1/scripted/chat", "/api/sessions/x"):
            preflight = await call(
                here,
                "OPTIONS",
                path,
                Origin=origin,
                Access_Control_Request_Method="PATCH",
                Access_Control_Request_Headers=", ".join(ASKED),
            )
            if not allowed:
                assert preflight.status == 403
                assert "Access-Control-Allow-Origin" not in preflight.headers
                continue
            assert preflight.status == 204
            assert preflight.headers["Access-Control-Allow-Origin"] == origin
            assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
            assert set(preflight.headers["Access-Control-Allow-Headers"].lower().split(", ")) >= ASKED
    assert plain.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert "Origin" in plain.headers["Vary"]


@pytest.mark.parametrize(
    "path", ["/api/health", "/api/providers", "/v1/models", "/metrics", "/docs", "/openapi.json", "/api/sessions/x"]
)
async def test_head_is_get_without_the_body(production: Served, path: str) -> None:
    for credential in ({}, {"Authorization": f"Bearer {CLIENT_KEY}"}):
        get = await call(production, "GET", path, X_Request_Id="trace-0123456789", **credential)
        head = await call(production, "HEAD", path, X_Request_Id="trace-0123456789", **credential)
        assert head.status == get.status
        volatile = {"Date", "RateLimit", "X-Orchestrator-Overhead-Ms"}
        volatile |= {"Content-Length"} if path == "/metrics" else set()
        assert {k: v for k, v in head.headers.items() if k not in volatile} == {
            k: v for k, v in get.headers.items() if k not in volatile
        }


async def test_head_sends_no_body(gateway: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(b"HEAD /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: 0" not in answer
    assert answer.index(b"\r\n\r\n") == len(answer) - 4


async def test_the_methods_of_a_path(gateway: Served) -> None:
    for path, allowed in (
        ("/api/providers", "GET, HEAD"),
        ("/api/orchestrate", "POST"),
        ("/api/sessions/x", "DELETE, GET, HEAD, PATCH"),
    ):
        refused = await call(gateway, "PUT", path)
        assert (refused.status, refused.headers["Allow"]) == (405, allowed)
    assert (await call(gateway, "HEAD", "/api/orchestrate")).status == 405


async def test_in_development_nobody_is_asked(gateway: Served) -> None:
    for credential in ({}, {"Authorization": "Bearer anything"}, {"Authorization": "Basic eA=="}):
        for path in ("/api/sessions", "/metrics", "/api/metrics"):
            assert (await call(gateway, "GET", path, **credential)).status == 200


async def test_production_asks_everywhere_but_at_its_probes(production: Served) -> None:
    for path in ("/api/health", "/health", "/health/live", "/health/ready"):
        assert (await call(production, "GET", path)).status == 200
    for path in ("/docs", "/redoc", "/openapi.json", "/metrics", "/api/metrics", "/api/providers", "/v1/models"):
        response = await call(production, "GET", path)
        assert response.status == 401, path
        assert response.headers["WWW-Authenticate"].endswith("Bearer")
        assert (await call(production, "GET", path, Authorization=f"Bearer {CLIENT_KEY}")).status == 200, path


@pytest.mark.parametrize("environment", ["development", "staging"])
async def test_metrics_ask_wherever_anything_asks(tmp_path: Path, environment: str) -> None:
    environ = {"ENVIRONMENT": environment, "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY}
    async with served(tmp_path, [ScriptedProvider], environ) as gateway:
        for path in ("/metrics", "/api/metrics"):
            assert (await call(gateway, "GET", path)).status == 401, path
            assert (await call(gateway, "GET", path, Authorization=f"Bearer {CLIENT_KEY}")).status == 200, path
        assert (await call(gateway, "GET", "/docs")).status == 200


BROWSED = ("/docs", "/redoc", "/openapi.json", "/docs/assets/redoc.js", "/docs/assets/redoc_ui/redoc.standalone.js")


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("path", BROWSED)
async def test_a_browser_can_open_the_documentation(production: Served, path: str) -> None:
    asked = await call(production, "GET", path)
    assert asked.status == 401
    assert asked.headers["WWW-Authenticate"].startswith('Basic realm="')
    for user in ("", "ada", "ünï"):
        assert (await call(production, "GET", path, Authorization=basic(user, CLIENT_KEY))).status == 200
    for wrong in (
        basic("ada", CLIENT_KEY[:-1]),
        basic(CLIENT_KEY, ""),
        basic("ada", f"{CLIENT_KEY}é"),
        "Basic",
        "Basic !!!!",
        "Basic " + b64encode(CLIENT_KEY.encode()).decode(),
        "Basic " + b64encode(b"a:\xff").decode(),
    ):
        assert (await call(production, "GET", path, Authorization=wrong)).status == 401, wrong


async def test_what_no_page_shows_takes_no_password(production: Served) -> None:
    for path in ("/api/providers", "/v1/models", "/metrics"):
        refused = await call(production, "GET", path, Authorization=basic("ada", CLIENT_KEY))
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {CLIENT_KEY}", CLIENT_KEY, f"Bearer {CLIENT_KEY[:-1]}"]
)
async def test_wrong_credentials(production: Served, header: str) -> None:
    response = await call(production, "GET", "/api/sessions", Authorization=header)
    assert response.status == 401
    assert production.gateway.metrics.render()[0].count(b"authentication_failed") >= 1


async def test_x_api_key_is_a_credential_on_v1_only(production: Served) -> None:
    assert (await call(production, "GET", "/v1/models", X_API_Key=CLIENT_KEY)).status == 200
    assert (await call(production, "GET", "/api/sessions", X_API_Key=CLIENT_KEY)).status == 401


async def test_the_limit_of_a_client(production: Served) -> None:
    seen = [await call(production, "GET", "/api/providers", Authorization=f"Bearer {CLIENT_KEY}") for _ in range(31)]
    assert [response.status for response in seen] == [200] * 30 + [429]
    assert 1 <= int(seen[-1].headers["Retry-After"]) <= 60
    assert (await call(production, "GET", "/api/health")).status == 200


async def test_a_provider_key_is_taken_and_an_empty_one_refused(gateway: Served) -> None:
    own = "sk-own-0123456789abcdef"
    reply = await gateway.post("/api/orchestrate", {"message": "a"}, X_API_Key=own)
    assert reply.status == 200
    asked = gateway.plugins["scripted"].requests[-1]
    assert asked.credential is not None
    assert asked.credential.reveal() == own
    assert own.encode() not in reply.body
    assert (await gateway.post("/api/orchestrate", {"message": "a"}, X_API_Key="")).status == 400
    assert (await gateway.post("/api/orchestrate", {"message": "a"}, X_Provider_Key="")).status == 400


async def test_paths_of_attackers_are_counted(gateway: Served) -> None:
    for path in ("/.env", "/wp-admin/x.php", "/api/sessions/..%2f..%2fetc%2fpasswd"):
        reply = await gateway.get(path)
        assert reply.status == 404
    text = gateway.gateway.metrics.render()[0].decode()
    assert 'orchestrator_security_events_total{event="suspicious_request"} 3.0' in text


def test_the_document_is_valid_and_always_the_same() -> None:
    made = document()
    validate(made)
    assert made == document()
    identifiers = [one["operationId"] for path in made["paths"].values() for one in path.values()]
    assert len(identifiers) == len(set(identifiers)) == len(ENDPOINTS)


def test_the_document_says_all_of_every_endpoint() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert "500" in operation["responses"], where
            named = set(re.findall(r"\{(\w+)\}", path))
            assert {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"} == named, where
            if "requestBody" in operation:
                bodies = operation["requestBody"]["content"].values()
                assert [body for body in bodies if body.get("examples")], where
                assert {"400", "413", "415", "408"} <= set(operation["responses"]), where
            for status, response in operation["responses"].items():
                for media in response.get("content", {}).values():
                    if status >= "400":
                        assert media["example"], where


async def test_the_examples_of_the_document_are_true(tmp_path: Path) -> None:
    """Every example of a request is one that its endpoint takes, apart from sessions and clients that do not exist."""
    headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
    async with (
        served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY}) as gateway,
        aiohttp.ClientSession(headers=headers) as client,
    ):
        for path, operations in document()["paths"].items():
            if not path.startswith("/api/") or path.startswith("/api/v1"):
                continue
            for method, operation in operations.items():
                examples = (
                    operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
                )
                for name, example in examples.items():
                    async with client.request(method, gateway.url + path, json=example["value"]) as response:
                        assert response.status in (200, 201, 404), (path, name, await response.text())


async def test_health(gateway: Served) -> None:
    answer = (await gateway.get("/api/health")).json
    assert answer["status"] == "healthy"
    assert answer["providers_status"] == {"scripted": True}
    assert answer["timestamp"].endswith("Z")
    gateway.gateway.registry.get("scripted").healthy = False
    answer = (await gateway.get("/api/health")).json
    assert answer["status"] == "unhealthy"
    assert answer["providers_status"] == {"scripted": False}
    service = (await gateway.get("/health")).json
    assert service["scripted_configured"] is True
    assert set(service) == {"status", "service", "version", "scripted_configured"}
    row = (await gateway.get("/api/providers")).json["providers"][0]
    assert (row["name"], row["is_healthy"]) == ("scripted", False)
    assert row["capabilities"] == ["chat", "embeddings"]


async def test_a_quarantined_provider_is_shown_once_with_its_reason(gateway: Served) -> None:
    gateway.gateway.registry.quarantine("scripted", "it blocked")
    rows = (await gateway.get("/api/providers")).json["providers"]
    assert [(row["name"], row["is_healthy"], row["error"]) for row in rows] == [("scripted", False, "it blocked")]
    assert rows[0]["state"] == "quarantined"


async def test_a_provider_says_in_one_word_how_it_is(gateway: Served) -> None:
    async def state() -> str:
        return str((await gateway.get("/api/providers")).json["providers"][0]["state"])

    provider = gateway.gateway.registry.get("scripted")
    assert await state() == "healthy"
    provider.healthy = False
    assert await state() == "unhealthy"


async def test_readiness_ends_with_the_store_and_with_the_stop(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    assert (await gateway.get("/health/ready")).status == 200
    with monkeypatch.context() as patched:
        patched.setattr("orchestrator_core.server.routes.health.STORE_TIMEOUT", 0.05)
        patched.setattr(gateway.gateway.store, "ping", hang)
        assert (await gateway.get("/health/ready")).status == 503
        assert (await gateway.get("/api/health")).json["status"] == "unhealthy"
    gateway.gateway.stopping = True
    assert (await gateway.get("/health/ready")).status == 503
    assert (await gateway.get("/health/live")).status == 200
    refused = await gateway.get("/api/sessions")
    assert refused.status == 503
    assert refused.json["code"] == "shutting_down"
    assert refused.headers["Retry-After"] == "1"


async def test_metrics(gateway: Served) -> None:
    await gateway.post("/api/orchestrate", {"message": "a"})
    answer: Any = (await gateway.get("/api/metrics")).json
    assert re.fullmatch(r"\d+d \d+h \d+m", answer["system"]["uptime"])
    assert answer["system"]["requests_total"] >= 1
    assert answer["providers"]["scripted"]["requests"] == 1
    assert answer["providers"]["scripted"]["success_rate"] == 1
    assert answer["sessions"]["total_created"] == 1
    assert re.fullmatch(r"\d\d:\d\d:\d\d", answer["sessions"]["avg_duration"])
    for path, accept in (("/metrics", "*/*"), ("/api/metrics", "text/plain;version=0.0.4")):
        text = await call(gateway, "GET", path, Accept=accept)
        assert text.content_type == "text/plain"
    families = {family.name for family in text_string_to_metric_families(await text.text())}
    assert {"orchestrator_http_requests", "orchestrator_attempts"} <= families
    openmetrics = await call(gateway, "GET", "/api/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.content_type == "application/openmetrics-text"
    assert (await openmetrics.text()).rstrip().endswith("# EOF")


async def test_the_document_is_served(gateway: Served) -> None:
    reply = await gateway.get("/openapi.json")
    assert reply.json == json.loads(json.dumps(document(asks=False)))
