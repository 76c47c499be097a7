"""Clients behind proxies, from addresses and countries that may not come in, and with wrong credentials."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config import Settings
from orchestrator_core.telemetry.logging import configure
from scripted_gateway import Reply, Served, served

CLIENT_KEY = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
PROXIED = {"ORCHESTRATOR_TRUSTED_PROXIES": "127.0.0.1"}
OURS, THEIRS = "203.0.113.7", "198.51.100.9"


@asynccontextmanager
async def gateway(directory: Path, environ: Mapping[str, str]) -> AsyncIterator[Served]:
    async with served(directory, [ScriptedProvider], environ) as here:
        yield here


async def ask(here: Served, address: str | None = None, key: str | None = None, **headers: str) -> Reply:
    if address is not None:
        headers["X-Forwarded-For"] = address
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return await here.post("/api/orchestrate", {"message": "hello"}, **headers)


def events(here: Served) -> dict[str, int]:
    text = here.gateway.metrics.render()[0].decode()
    lines = [line for line in text.splitlines() if line.startswith("orchestrator_security_events_total{")]
    counts = {line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in lines}
    return {event: count for event, count in counts.items() if count}


@pytest.mark.parametrize(("trusted", "strict"), [(PROXIED, True), ({}, False)])
async def test_tls_is_believed_from_trusted_proxies_alone(
    tmp_path: Path, trusted: Mapping[str, str], strict: bool
) -> None:
    async with gateway(tmp_path, trusted) as here:
        for proto, expected in (("https", strict), ("http", False)):
            reply = await ask(here, OURS, X_Forwarded_Proto=proto)
            assert ("Strict-Transport-Security" in reply.headers) is expected


async def test_allowed_addresses(tmp_path: Path) -> None:
    environ = {**PROXIED, "ORCHESTRATOR_ALLOWED_ADDRESSES": "203.0.113.0/24, 2001:db8::/32"}
    async with gateway(tmp_path, environ) as here:
        assert [(await ask(here, address)).status for address in (OURS, "2001:db8::7")] == [200, 200]
        for address in (THEIRS, f"{OURS}, {THEIRS}", None):
            reply = await ask(here, address)
            assert (reply.status, reply.json["code"]) == (403, "permission_denied")
        assert (await here.get("/no/such/path")).status == 403
        assert [(await here.get(path)).status for path in ("/health/live", "/health/ready", "/api/health")] == [200] * 3
        assert events(here) == {"address_refused": 4}
        assert len(here.plugins["scripted"].requests) == 2


async def test_a_page_may_not_ask_from_elsewhere_either(tmp_path: Path) -> None:
    async with gateway(tmp_path, {"ORCHESTRATOR_ALLOWED_ADDRESSES": "203.0.113.0/24"}) as here:
        headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
        async with here._client.options(here.url + "/api/orchestrate", headers=headers) as response:
            assert response.status == 403


async def test_countries_that_a_proxy_names(tmp_path: Path) -> None:
    environ = {**PROXIED, "ORCHESTRATOR_BLOCKED_COUNTRIES": "FR", "ORCHESTRATOR_COUNTRY_HEADER": "CF-IPCountry"}
    async with gateway(tmp_path, environ) as here:
        seen = [(await ask(here, OURS, CF_IPCountry=country)).status for country in ("FR", "CH", "XX")]
        assert seen == [403, 200, 200]
        assert events(here) == {"country_refused": 1}
        lines = [("X-Forwarded-For", OURS), ("CF-IPCountry", "CH"), ("CF-IPCountry", "FR")]
        async with here._client.get(here.url + "/api/providers", headers=lines) as response:
            assert response.status == 403, "the client wrote the first line itself, and the proxy added its own"


def calling(here: Served, host: str, path: str = "/api/providers", **headers: str) -> Any:
    return here._client.get(here.url + path, headers={"Host": host, **headers})


async def test_a_page_that_leads_its_name_here_is_not_taken_for_the_gateways_own(tmp_path: Path) -> None:
    async with gateway(tmp_path, {}) as here:
        for path in ("/api/sessions", "/docs", "/metrics", "/api/health", "/health/ready", "/no/such/path"):
            async with calling(here, "attacker.example:8000", path) as response:
                assert response.status == 403, path
                assert "attacker" not in await response.text()
        async with calling(here, "attacker.example") as response:
            told = await response.json()
        assert told["code"] == "permission_denied"
        assert "ORCHESTRATOR_ALLOWED_HOSTS" in told["detail"]
        for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
            async with calling(here, host) as response:
                assert response.status == 200
        assert events(here) == {"host_refused": 7}


async def test_a_page_of_elsewhere_changes_nothing_where_nobody_is_asked(tmp_path: Path) -> None:
    async with gateway(tmp_path, {}) as here:
        created = (await here.post("/api/sessions", {})).json["session_id"]
        foreign = ("https://evil.example", "null", "http://localhost.evil.example", here.url + ".evil.example")
        for origin in foreign:
            for method, path in (("POST", ""), ("POST", f"/{created}/fork"), ("DELETE", f"/{created}")):
                headers = {"Origin": origin}
                async with here._client.request(method, here.url + "/api/sessions" + path, headers=headers) as response:
                    told = await response.json()
                assert (response.status, told["code"]) == (403, "permission_denied"), (origin, method, path)
                assert "CORS_ALLOWED_ORIGINS" in told["detail"]
        assert events(here) == {"permission_denied": 12}
        assert len((await here.get("/api/sessions")).json["sessions"]) == 1
        for origin in ("http://localhost:3000", here.url):
            async with here._client.post(here.url + "/api/sessions", headers={"Origin": origin}) as response:
                assert response.status == 201, origin


async def test_the_gateways_own_page_may_ask_wherever_it_is(tmp_path: Path) -> None:
    environ = {"ENVIRONMENT": "staging", "ORCHESTRATOR_ALLOWED_HOSTS": "gateway.example"}
    async with gateway(tmp_path, environ) as here:
        for host, origin, expected in (
            ("gateway.example", "https://gateway.example", 201),
            ("gateway.example:8000", "http://gateway.example:8000", 201),
            ("gateway.example", "https://evil.example", 403),
            ("gateway.example", "https://evil.example/gateway.example", 403),
            ("gateway.example", "https://gateway.example:8443", 403),
        ):
            headers = {"Host": host, "Origin": origin}
            async with here._client.post(here.url + "/api/sessions", headers=headers) as response:
                assert response.status == expected, origin


async def test_where_a_key_is_asked_for_a_page_needs_it_and_no_more(tmp_path: Path) -> None:
    headers = {"Origin": "https://app.example", "Authorization": f"Bearer {CLIENT_KEY}"}
    async with gateway(tmp_path, {"ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY}) as here:
        for sent, expected in ((headers, 201), ({"Origin": "https://app.example"}, 401)):
            async with here._client.post(here.url + "/api/sessions", headers=sent) as response:
                assert response.status == expected


async def test_where_a_key_is_asked_for_a_name_tells_nothing_unless_names_are_listed(tmp_path: Path) -> None:
    environ = {"ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY}
    authorized = {"Authorization": f"Bearer {CLIENT_KEY}"}

    async def statuses(here: Served, path: str = "/api/providers") -> list[int]:
        found = []
        for host in ("gateway.example.com", "other.example.com"):
            async with calling(here, host, path, **authorized) as response:
                found.append(response.status)
        return found

    async with gateway(tmp_path, environ) as here:
        assert await statuses(here) == [200, 200]
    async with gateway(tmp_path, {**environ, "ORCHESTRATOR_ALLOWED_HOSTS": "gateway.example.com"}) as here:
        assert await statuses(here) == [200, 403]
        assert await statuses(here, "/health/live") == [200, 200], "a platform asks by an address of its own"


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Served]:
    environ = {
        **PROXIED,
        "ENVIRONMENT": "staging",
        "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY,
        "ORCHESTRATOR_MAX_FAILED_AUTHENTICATIONS": "3",
    }
    async with gateway(tmp_path, environ) as here:
        yield here


async def test_an_address_that_guesses_has_to_wait(guarded: Served) -> None:
    assert [(await ask(guarded, OURS, "guess")).status for _ in range(5)] == [401, 401, 401, 429, 429]
    reply = await ask(guarded, OURS, CLIENT_KEY)
    assert (reply.status, reply.json["code"]) == (429, "rate_limited")
    assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert (await ask(guarded, THEIRS, CLIENT_KEY)).status == 200
    assert events(guarded) == {"authentication_failed": 3, "authentication_blocked": 3}


async def test_a_network_of_ipv6_is_one_client(guarded: Served) -> None:
    seen = [(await ask(guarded, f"2001:db8:0:1::{number}", "guess")).status for number in range(1, 6)]
    assert seen == [401, 401, 401, 429, 429]
    assert (await ask(guarded, "2001:db8:0:2::1", "guess")).status == 401


async def test_clients_of_one_address_that_were_right_go_on(guarded: Served) -> None:
    assert (await ask(guarded, OURS, CLIENT_KEY)).status == 200
    assert [(await ask(guarded, OURS, "guess")).status for _ in range(4)] == [401, 401, 401, 429]
    assert (await ask(guarded, OURS, CLIENT_KEY)).status == 200
    assert (await ask(guarded, OURS, "guess")).status == 429


async def test_neither_a_request_without_credential_nor_a_proxy_itself_has_to_wait(guarded: Served) -> None:
    assert {(await ask(guarded, OURS)).status for _ in range(10)} == {401}
    assert {(await ask(guarded, None, "guess")).status for _ in range(10)} == {401}
    assert (await ask(guarded, OURS, CLIENT_KEY)).status == 200


async def test_clients_without_keys_are_limited_by_their_address(tmp_path: Path) -> None:
    async with gateway(tmp_path, {**PROXIED, "ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": "2"}) as here:
        assert [(await ask(here, OURS)).status for _ in range(3)] == [200, 200, 429]
        seen = [(await ask(here, f"2001:db8::{number}")).status for number in (1, 2, 3)]
        assert seen == [200, 200, 429]
        assert (await ask(here, THEIRS)).status == 200


async def test_the_log_names_the_client(tmp_path: Path) -> None:
    output = io.StringIO()
    configure(Settings(log_format="json"), output)
    async with gateway(tmp_path, PROXIED) as here:
        await ask(here, f"garbage, {OURS}")
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [line["remote"] for line in lines if line["event"] == "Request"] == [OURS]


async def test_events_reach_the_webhook_as_they_are_reported(tmp_path: Path) -> None:
    got = list[bytes]()

    async def take(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with gateway(tmp_path, {**PROXIED, "ORCHESTRATOR_ALERT_WEBHOOK_URL": url}) as here:
        for _ in range(3):
            await here.get("/.env")
    await runner.cleanup()
    (event,) = json.loads(b"".join(got))["data"]["events"]
    assert (event["event"], event["count"]) == ("suspicious_request", 3)
    assert event["details"] == {"principal": "anonymous", "remote": "127.0.0.1", "path": "/.env"}
    assert b'security_alerts_total{outcome="sent"} 3.0' in here.gateway.metrics.render()[0]
