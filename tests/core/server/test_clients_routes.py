"""Clients over HTTP: made, changed, replaced, revoked; and what each of them may see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config.grants import Grant
from orchestrator_core.orchestration.clients import Clients
from orchestrator_core.provider_api import ModelInfo, ProviderInfo
from scripted_gateway import Reply, served

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
NOBODY = "a" * 12


class One(ScriptedProvider):
    info = ProviderInfo(
        name="one",
        title="One",
        capabilities=("chat",),
        requires_key=False,
        default_model="a",
        models=(ModelInfo(id="a"), ModelInfo(id="b")),
    )


class Two(ScriptedProvider):
    info = replace(One.info, name="two", title="Two")


@dataclass
class Api:
    url: str
    client: aiohttp.ClientSession

    async def ask(self, method: str, path: str, key: str | None = ADMIN, body: Any = None) -> Reply:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with self.client.request(method, self.url + path, json=body, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def make(self, name: str = "app", **fields: Any) -> Any:
        reply = await self.ask("POST", "/api/clients", body={"name": name, **fields})
        assert reply.status == 201, reply.body
        return reply.json


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    environ = {"ORCHESTRATOR_CLIENT_KEY": ADMIN, "ORCHESTRATOR_ALIASES": '{"fast": "one/b", "free": "one/a"}'}
    async with served(tmp_path, [One, Two], environ) as gateway, aiohttp.ClientSession() as client:
        yield Api(gateway.url, client)


async def test_the_life_of_a_client(api: Api) -> None:
    made = await api.make(models=["one/*"], requests_per_minute=50, budget={"usd": 2, "period": "day"})
    path, key = f"/api/clients/{made['id']}", made.pop("key")
    assert key.startswith(f"ock_{made['id']}_")
    assert (made["status"], made["tenant"], made["role"]) == ("active", made["id"], "client")
    assert (await api.ask("GET", path)).json == made
    assert (await api.ask("GET", "/api/clients/me", key)).json == made
    plain = {name: made["budget"][name] for name in ("usd", "tokens", "period")}
    assert (await api.ask("GET", "/api/clients")).json["clients"] == [{**made, "budget": plain}]

    changed = (await api.ask("PATCH", path, body={"name": "other", "models": None, "budget": None})).json
    assert changed == {**made, "name": "other", "models": None, "budget": None}

    both = (await api.ask("POST", f"{path}/rotate", body={"overlap_seconds": 60})).json
    assert both["previous_key_until"] is not None
    for taken in (key, both["key"]):
        assert (await api.ask("GET", "/api/clients/me", taken)).status == 200
    alone = (await api.ask("POST", f"{path}/rotate")).json
    for refused in (key, both["key"]):
        assert (await api.ask("GET", "/api/clients/me", refused)).status == 401

    assert (await api.ask("DELETE", path)).status == 204
    assert (await api.ask("GET", "/api/clients/me", alone["key"])).status == 401
    assert (await api.ask("GET", "/api/clients")).json["clients"] == []
    (revoked,) = (await api.ask("GET", "/api/clients?revoked=true")).json["clients"]
    assert (revoked["id"], revoked["status"]) == (made["id"], "revoked")
    for method, gone in (("GET", path), ("PATCH", path), ("DELETE", path), ("POST", f"{path}/rotate")):
        body = {} if method in ("PATCH", "POST") else None
        assert (await api.ask(method, gone, body=body)).status == 404


async def test_a_key_is_shown_once_and_kept_nowhere(api: Api, tmp_path: Path) -> None:
    key = (await api.make())["key"]
    for path in ("/api/clients", "/api/clients/me", "/api/clients?revoked=true"):
        assert key.encode() not in (await api.ask("GET", path)).body
    secret = key.rpartition("_")[2].encode()
    assert not [path for path in tmp_path.iterdir() if path.is_file() and secret in path.read_bytes()]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a", "role": "root"}, "role"),
        ({"name": "a", "providers": []}, "providers"),
        ({"name": "a", "providers": ["Open AI"]}, "providers"),
        ({"name": "a", "models": ["gpt-5"]}, "models"),
        ({"name": "a", "requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "a\x85b"}, "name"),
        ({"name": "a", "budget": {"usd": -1}}, "budget.usd"),
        ({"name": "a", "budget": {}}, "budget"),
        ({"name": "a", "budget": {"usd": None, "period": "day"}}, "budget"),
        ({"name": "a", "budget": {"usd": 1, "period": "year"}}, "budget.period"),
        ({"name": "a", "tenant": "a b"}, "tenant"),
        ({"name": "a", "tenant": "a\n"}, "tenant"),
        ({"name": "a", "expires_at": "soon"}, "expires_at"),
        ({"name": "a", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "digest": "x"}, "digest"),
    ],
)
async def test_what_no_client_can_be(api: Api, body: Any, param: str) -> None:
    reply = await api.ask("POST", "/api/clients", body=body)
    assert (reply.status, reply.json["param"]) == (400, param)


async def test_two_clients_have_two_names(api: Api) -> None:
    await api.make("app")
    reply = await api.ask("POST", "/api/clients", body={"name": "app"})
    assert (reply.status, reply.json["code"], reply.json["param"]) == (409, "conflict", "name")


@pytest.mark.parametrize("client_id", [NOBODY, "x", "..%2f", "%00"])
async def test_a_client_that_is_not_there(api: Api, client_id: str) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        body = {} if method in ("PATCH", "POST") else None
        assert (await api.ask(method, f"/api/clients/{client_id}{path}", body=body)).status == 404


async def test_only_admins_manage_clients_and_see_the_metrics(api: Api) -> None:
    made, admin = await api.make("app"), await api.make("operator", role="admin")
    for method, path in (
        ("GET", "/api/clients"),
        ("POST", "/api/clients"),
        ("GET", f"/api/clients/{admin['id']}"),
        ("GET", f"/api/clients/{NOBODY}"),
        ("PATCH", f"/api/clients/{made['id']}"),
        ("DELETE", f"/api/clients/{made['id']}"),
        ("POST", f"/api/clients/{made['id']}/rotate"),
        ("GET", "/api/metrics"),
    ):
        body = {} if method in ("PATCH", "POST") else None
        reply = await api.ask(method, path, made["key"], body)
        assert (reply.status, reply.json["code"]) == (403, "permission_denied"), path
        assert "admin" in reply.json["detail"]
    assert (await api.ask("GET", "/api/metrics", admin["key"])).status == 200
    assert (await api.ask("DELETE", f"/api/clients/{made['id']}", admin["key"])).status == 204


async def test_a_client_sees_what_it_may_use_alone(api: Api) -> None:
    key = (await api.make(models=["one/a"]))["key"]
    (row,) = (await api.ask("GET", "/api/providers", key)).json["providers"]
    assert (row["name"], row["models"]) == ("one", ["a"])
    assert [model["id"] for model in (await api.ask("GET", "/v1/models", key)).json["data"]] == ["free", "one/a"]
    models = (await api.ask("GET", "/api/v1/one/models", key)).json["models"]
    assert [model["id"] for model in models] == ["a"]
    assert (await api.ask("GET", "/api/v1/two/models", key)).status == 403
    assert len((await api.ask("GET", "/api/providers")).json["providers"]) == 2


async def test_a_client_asks_what_it_may_alone(api: Api) -> None:
    key = (await api.make(models=["one/a"]))["key"]

    async def chat(model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        return (await api.ask("POST", "/v1/chat/completions", key, body)).status

    assert [await chat(model) for model in ("one/a", "one", "free")] == [200, 200, 200]
    assert [await chat(model) for model in ("one/b", "fast", "two/a", "two")] == [403, 403, 403, 403]
    # With one provider alone that it may use, it need not say which.
    assert (await api.ask("POST", "/api/orchestrate", key, {"message": "hi"})).status == 200
    assert (await api.ask("POST", "/api/orchestrate", body={"message": "hi"})).status == 400


async def test_limits_of_its_own_and_how_they_stand(api: Api) -> None:
    key = (await api.make(requests_per_minute=3, session_requests_per_minute=1))["key"]
    ask = {"message": "hi", "agent_config": {"provider": "one"}}
    first = await api.ask("POST", "/api/orchestrate", key, ask)
    assert first.headers["RateLimit-Policy"] == '"client";q=3;w=60'
    assert first.headers["RateLimit"].startswith('"client";r=2;t=')
    joined = {**ask, "session_id": first.json["session_id"]}
    second = await api.ask("POST", "/api/orchestrate", key, joined)
    assert second.status == 200
    assert second.headers["RateLimit-Policy"] == '"client";q=3;w=60, "session";q=1;w=60'
    third = await api.ask("POST", "/api/orchestrate", key, joined)
    assert (third.status, third.json["scope"], third.json["limit"]) == (429, "session", 1)
    assert third.headers["RateLimit"].endswith('"session";r=0;t=' + third.headers["Retry-After"])
    fourth = await api.ask("POST", "/api/orchestrate", key, joined)
    assert (fourth.status, fourth.json["scope"], fourth.json["limit"]) == (429, "client", 3)
    assert (await api.ask("POST", "/api/orchestrate", body=ask)).headers.get("RateLimit") is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/orchestrate"])
async def test_every_way_into_a_session_counts_for_its_limit(api: Api, path: str) -> None:
    key = (await api.make(session_requests_per_minute=2))["key"]
    session = (await api.ask("POST", "/api/sessions", key, {})).json["session_id"]
    body: Any = {"model": "one/a", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    headers = {"Authorization": f"Bearer {key}", "X-Session-Id": session}
    if path == "/api/orchestrate":
        body = {"message": "hi", "session_id": session, "agent_config": {"provider": "one"}}
    statuses = []
    for _ in range(3):
        async with api.client.post(api.url + path, json=body, headers=headers) as response:
            statuses.append(response.status)
            text = await response.text()
    assert statuses == [200, 200, 429]
    assert '"scope": "session"' in text


async def test_usage_is_told_by_client_to_admins_and_to_each_its_own(api: Api) -> None:
    one, two = await api.make("first"), await api.make("second")
    for client in (one, two, two):
        await api.ask("POST", "/api/orchestrate", client["key"], {"message": "hi", "agent_config": {"provider": "one"}})

    async def calls(key: str, query: str) -> dict[str, int]:
        rows = (await api.ask("GET", f"/api/usage?{query}", key)).json["usage"]
        return {row.get("client") or row.get("tenant"): row["calls"] for row in rows}

    assert await calls(ADMIN, "by=client") == {one["id"]: 1, two["id"]: 2}
    assert await calls(ADMIN, f"by=tenant&client={two['id']}") == {two["tenant"]: 2}
    assert await calls(one["key"], "by=client") == {one["id"]: 1}
    assert await calls(one["key"], f"by=client&tenant={two['tenant']}") == {}
    assert await calls(one["key"], f"by=client&client={two['id']}") == {}


async def test_while_nobody_has_a_key_everybody_is_an_admin_but_makes_no_key(tmp_path: Path) -> None:
    async with served(tmp_path, [One]) as gateway, aiohttp.ClientSession() as client:
        api = Api(gateway.url, client)
        own = (await api.ask("GET", "/api/clients/me", None)).json
        assert (own["id"], own["role"]) == ("anonymous", "admin")
        assert (await api.ask("GET", "/api/clients", None)).status == 200
        reply = await api.ask("POST", "/api/clients", None, {"name": "intruder", "role": "admin"})
        assert (reply.status, reply.json["code"]) == (403, "permission_denied")
        assert "orchestrator clients create" in reply.json["detail"]
        issued = await Clients(gateway.gateway.store.clients).create("operator", Grant(role="admin"))
        assert (await api.ask("GET", "/api/clients", issued.key)).status == 200
        assert (await api.ask("GET", "/api/clients", None)).status == 401
