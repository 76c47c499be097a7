"""Keys that callers bring for a provider: which of them are sent to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.provider_api import KeyFormat, ProviderInfo
from scripted_gateway import Reply, Served, served

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
GOOD = "key-0123456789abcdefABCDEF"
FOREIGN = "xyz-0123456789abcdefABCDEF"
EXAMPLE = "your_keyed_key_here"
CUT = "key-01234567"
USER = {"role": "user", "content": "hi"}


class Keyed(ScriptedProvider):
    info = ProviderInfo(
        name="keyed",
        title="Keyed",
        capabilities=("chat", "embeddings"),
        default_model="a",
        default_embedding_model="e",
        key_formats=(KeyFormat(r"key-[A-Za-z0-9]{20,}", "`key-` and 20 letters and digits or more", "key-"),),
        foreign_keys=(r"^xyz-",),
    )


class Open(ScriptedProvider):
    info = replace(Keyed.info, name="open", title="Open", key_formats=(), foreign_keys=(), requires_key=False)


def ways(provider: str) -> Mapping[str, Any]:
    agent = {"provider": provider, "model": "a", "max_tokens": 10}
    return {
        "/v1/chat/completions": {"model": f"{provider}/a", "messages": [USER]},
        "/v1/messages": {"model": f"{provider}/a", "messages": [USER], "max_tokens": 10},
        "/v1/embeddings": {"model": f"{provider}/e", "input": "hi"},
        f"/api/v1/{provider}/chat": {"model": "a", "messages": [USER]},
        f"/api/v1/{provider}/embeddings": {"input": ["hi"]},
        "/api/orchestrate": {"message": "hi", "agent_config": agent},
    }


HEADERS = [
    (path, header)
    for path in ways("{provider}")
    for header in ("X-Provider-Key", "X-API-Key")
    if header != "X-API-Key" or path.startswith("/api/")
]


class Api:
    def __init__(self, gateway: Served, client: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.client = client

    async def post(self, path: str, body: Any, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Authorization": f"Bearer {ADMIN}", **named}
        async with self.client.post(self.gateway.url + path, json=body, headers=named) as response:
            return Reply(response.status, response.headers, await response.read())

    def asked(self, provider: str = "keyed") -> list[str | None]:
        """The keys with which the provider was asked."""
        requests = self.gateway.plugins[provider].requests
        return [request.credential.reveal() if request.credential else None for request in requests]


@asynccontextmanager
async def serve(path: Path, **environ: str) -> AsyncIterator[Api]:
    given = {"ORCHESTRATOR_CLIENT_KEY": ADMIN, **environ}
    async with served(path, [Keyed, Open], given) as gateway, aiohttp.ClientSession() as client:
        yield Api(gateway, client)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(tmp_path) as api:
        yield api


def code_of(reply: Reply) -> Any:
    body = reply.json
    if isinstance(body.get("error"), dict):
        return body["error"].get("code", body["error"]["type"])
    return body.get("code") or body["error_type"]


def refused(reply: Reply, value: str) -> bool:
    assert value.encode() not in reply.body
    return reply.status == 401 and code_of(reply) in ("provider_key_malformed", "authentication_error")


@pytest.mark.parametrize(("way", "header"), HEADERS)
async def test_only_a_key_of_the_providers_form_is_sent_to_it(api: Api, way: str, header: str) -> None:
    path, body = way.replace("{provider}", "keyed"), ways("keyed")[way.replace("{provider}", "keyed")]
    for bad in (FOREIGN, EXAMPLE, CUT):
        reply = await api.post(path, body, **{header: bad})
        assert refused(reply, bad), reply.body
        assert header.encode() in reply.body
        assert b"`key-` and 20 letters" in reply.body
    assert api.asked() == []
    for _ in range(2):
        assert (await api.post(path, body, **{header: GOOD})).status == 200
    assert api.asked() == [GOOD, GOOD]


@pytest.mark.parametrize("provider", ["keyed", "open"])
@pytest.mark.parametrize(("way", "header"), HEADERS)
async def test_a_key_of_the_gateway_is_sent_to_nobody(api: Api, way: str, header: str, provider: str) -> None:
    made = await api.post("/api/clients", {"name": "app"})
    path = way.replace("{provider}", provider)
    own = made.json["key"]
    for key in (own, own[:30], f"Bearer:{own}", ADMIN):
        for sender in (ADMIN, own):
            reply = await api.post(path, ways(provider)[path], Authorization=f"Bearer {sender}", **{header: key})
            assert refused(reply, key), reply.body
            assert b"Authorization: Bearer" in reply.body
    assert api.asked(provider) == []


async def test_nobody_tries_out_the_key_of_the_gateway_uncounted(api: Api) -> None:
    for key in (ADMIN, "0" * 32):
        async with api.client.get(f"{api.gateway.url}/health", headers={"X-Provider-Key": key}) as response:
            assert response.status == 200
        reply = await api.post("/api/orchestrate", {"message": "hi"}, X_API_Key=key, Authorization="Bearer wrong")
        assert code_of(reply) == "unauthenticated"


async def test_a_summary_is_made_with_such_a_key_alone(api: Api) -> None:
    turn = await api.post("/api/orchestrate", {"message": "hi", "agent_config": {"provider": "open"}})
    path = f"/api/sessions/{turn.json['session_id']}/summarize"
    assert refused(await api.post(path, {"provider": "keyed"}, X_API_Key=FOREIGN), FOREIGN)
    assert api.asked() == []


async def test_a_turn_that_is_refused_is_not_stored(api: Api) -> None:
    body = {"message": "hi", "agent_config": {"provider": "keyed"}}
    assert refused(await api.post("/api/orchestrate", body, X_API_Key=FOREIGN), FOREIGN)
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with api.client.get(f"{api.gateway.url}/api/sessions", headers=headers) as response:
        assert (await response.json())["sessions"] == []


async def test_any_key_is_for_a_provider_that_declares_no_form(api: Api) -> None:
    assert (
        await api.post("/v1/chat/completions", ways("open")["/v1/chat/completions"], X_Provider_Key=CUT)
    ).status == 200
    assert api.asked("open") == [CUT]


@pytest.mark.parametrize(
    "environ", [{"ORCHESTRATOR_KEY_CHECK": "warn"}, {"KEYED_BASE_URL": "http://127.0.0.1:1/v1"}], ids=["warn", "own"]
)
async def test_odd_forms_are_tolerated_but_no_examples(tmp_path: Path, environ: Mapping[str, str]) -> None:
    async with serve(tmp_path, **environ) as api:
        path, body = "/v1/chat/completions", ways("keyed")["/v1/chat/completions"]
        assert (await api.post(path, body, X_Provider_Key=CUT)).status == 200
        assert (await api.post(path, body, X_Provider_Key=FOREIGN)).status == 200
        assert refused(await api.post(path, body, X_Provider_Key=EXAMPLE), EXAMPLE)
        assert refused(await api.post(path, body, X_Provider_Key=ADMIN), ADMIN)
        assert api.asked() == [CUT, FOREIGN]
