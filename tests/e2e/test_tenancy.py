"""Three tenants, every endpoint, every place of an id, every verb: nobody learns anything of anybody else.

What a tenant asks with another's id is answered, to the letter, as what it asks with an id that never was; and no
answer to anybody holds a word, an id or a count of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.server.endpoints import ENDPOINTS
from orchestrator_core.server.page import files
from scripted_gateway import Reply, served

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
VERBS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "PUT")
NEVER = {"session": f"sess_{'0' * 32}", "turn": f"turn_{'0' * 32}", "message": f"msg_{'0' * 32}", "client": "0" * 12}
VOLATILE = {
    "content-length",
    "date",
    "ratelimit",
    "request-id",
    "x-orchestrator-overhead-ms",
    "x-orchestrator-request-id",
    "x-request-id",
}
USER = {"role": "user", "content": "hi"}


@dataclass
class Tenant:
    """A tenant with one of everything.

    Attributes:
        key: Its client key.
        ids: The ids of what it has, by kind.
        secrets: What must be in no answer to anybody else.
    """

    key: str
    ids: Mapping[str, str]
    secrets: frozenset[bytes]


class Tenants:
    """Three tenants of a gateway."""

    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self.url = url
        self.all: list[Tenant] = []
        self._client = client

    async def ask(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._client.request(
            method,
            URL(self.url + path, encoded=True),
            json=body,
            headers={"Authorization": f"Bearer {key}", **named},
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def add(self, name: str) -> None:
        made = (await self.ask("POST", "/api/clients", ADMIN, {"name": f"client-of-{name}", "tenant": name})).json
        key, word = made["key"], f"canary-{name}"
        ask = {"message": word, "user_id": f"user-{word}", "metadata": {"topic": f"topic-{word}"}}
        first = await self.ask("POST", "/api/orchestrate", key, ask, Idempotency_Key="shared-key")
        session = first.json["session_id"]
        for _ in range(2):
            more = {"message": f"more of {word}", "session_id": session}
            assert (await self.ask("POST", "/api/orchestrate", key, more)).status == 200
        assert (await self.ask("POST", f"/api/sessions/{session}/summarize", key, {})).status == 200
        (turn, *_) = (await self.ask("GET", f"/api/sessions/{session}/turns", key)).json["turns"]
        (message, *_) = (await self.ask("GET", f"/api/sessions/{session}/history", key)).json["messages"]
        ids = {"session": session, "turn": turn["turn_id"], "message": message["id"], "client": made["id"]}
        secrets = {*ids.values(), word, f"client-of-{name}", made["id"]}
        self.all.append(Tenant(key, ids, frozenset(text.encode() for text in secrets)))

    def others(self, tenant: Tenant) -> frozenset[bytes]:
        """Return what a tenant must never see."""
        return frozenset().union(*(other.secrets for other in self.all if other is not tenant))


@pytest.fixture
async def tenants(tmp_path: Path) -> AsyncIterator[Tenants]:
    environ = {"ORCHESTRATOR_CLIENT_KEY": ADMIN}
    async with served(tmp_path, [ScriptedProvider], environ) as gateway, aiohttp.ClientSession() as client:
        made = Tenants(gateway.url, client)
        for name in ("amber", "birch", "cedar"):
            await made.add(name)
        yield made


def paths(endpoint: Endpoint, ids: Mapping[str, str]) -> str:
    """Return the path of an endpoint with ids in it."""
    kind = "client" if endpoint.path.startswith("/api/clients") else "session"
    values = {"id": ids[kind], "turn_id": ids["turn"], "provider": "scripted", "name": "page.css"}
    if endpoint.path.startswith("/page/"):
        values |= {"version": files().version, "name": "app.js"}
    if endpoint.path.startswith("/v1/models"):
        values["id"] = "scripted/scripted-1"
    return re.sub(r"\{(\w+)(?::[^}]*)?\}", lambda found: values[found[1]], endpoint.path)


def body_of(endpoint: Endpoint, method: str) -> Any:
    """Return a body that the endpoint takes, where the method has one."""
    if method not in ("POST", "PATCH", "PUT"):
        return None
    return dict(next(iter(endpoint.documented().request_examples.values()), {}))


def positions(ids: Mapping[str, str], own: Mapping[str, str]) -> Iterator[tuple[str, str, Any, dict[str, str]]]:
    """Yield a request for every place of an id outside the path of its endpoint."""
    session, turn, message = ids["session"], ids["turn"], ids["message"]
    mine = own["session"]
    chat = {"model": "scripted/scripted-1", "messages": [USER], "max_tokens": 5}
    yield "POST", "/api/orchestrate", {"message": "hi", "session_id": session}, {}
    yield "POST", "/api/orchestrate", {"message": "hi", "session_id": session, "stream": True}, {}
    for path in ("/v1/chat/completions", "/v1/messages"):
        yield "POST", path, chat, {"X_Session_Id": session}
        yield "POST", path, {**chat, "stream": True}, {"X_Session_Id": session}
    yield "GET", f"/api/sessions/{mine}/turns/{turn}", None, {}
    yield "POST", f"/api/sessions/{mine}/turns/{turn}/replay", {}, {}
    yield "POST", f"/api/sessions/{mine}/fork", {"message_id": message}, {}
    yield "POST", f"/api/sessions/{mine}/fork", {"turn_id": turn}, {}
    yield "GET", f"/api/usage?client={ids['client']}", None, {}


def plain(reply: Reply, ids: Mapping[str, str]) -> tuple[int, bytes, Mapping[str, str]]:
    """Return an answer without what differs from request to request, and without the ids that it was asked for."""
    body = re.sub(rb'"request_id": ?"[^"]*"', b"", reply.body)
    for kind, known in ids.items():
        body = body.replace(known.encode(), kind.encode())
    headers = {name: value for name, value in reply.headers.items() if name.lower() not in VOLATILE}
    return reply.status, body, headers


async def everything(tenants: Tenants, tenant: Tenant) -> list[tuple[int, bytes]]:
    """Return all that a tenant sees of its own."""
    session = tenant.ids["session"]
    parts = ("", "/history", "/turns", "/summaries", "/metrics", "/export")
    seen = [f"/api/sessions/{session}{part}" for part in parts]
    replies = [await tenants.ask("GET", path, tenant.key) for path in ("/api/sessions", "/api/clients/me", *seen)]
    return [(reply.status, re.sub(rb'"exported_at":"[^"]*"', b"", reply.body)) for reply in replies]


async def test_another_tenants_ids_are_as_those_that_never_were(tenants: Tenants) -> None:
    before = [await everything(tenants, tenant) for tenant in tenants.all]
    asked = 0
    for intruder, victim in permutations(tenants.all, 2):
        for endpoint in ENDPOINTS:
            if not re.search(r"\{(id|turn_id)", endpoint.path) or endpoint.path.startswith("/v1/models"):
                continue
            for method in VERBS:
                body = body_of(endpoint, method)
                replies = [
                    await tenants.ask(method, paths(endpoint, ids), intruder.key, body) for ids in (victim.ids, NEVER)
                ]
                compared = [plain(reply, ids) for reply, ids in zip(replies, (victim.ids, NEVER), strict=True)]
                assert compared[0] == compared[1], (method, endpoint.path)
                assert replies[0].status in (403, 404, 405), (method, endpoint.path, replies[0].body)
                shown = replies[0].body.replace(paths(endpoint, victim.ids).encode(), b"")
                assert not [word for word in victim.secrets if word in shown]
                asked += 1
        for (method, path, body, headers), (_, other, other_body, other_headers) in zip(
            positions(victim.ids, intruder.ids), positions(NEVER, intruder.ids), strict=True
        ):
            one = await tenants.ask(method, path, intruder.key, body, **headers)
            two = await tenants.ask(method, other, intruder.key, other_body, **other_headers)
            assert plain(one, victim.ids) == plain(two, NEVER), (method, path)
            assert one.status == 404 or (path.startswith("/api/usage") and one.json["usage"] == []), (path, one.body)
            asked += 1
    assert asked > 600
    assert [await everything(tenants, tenant) for tenant in tenants.all] == before


async def test_no_answer_holds_anything_of_another_tenant(tenants: Tenants) -> None:
    asked = 0
    for tenant in tenants.all:
        hidden = tenants.others(tenant)
        for query in ("user_id=user-canary-{}", "metadata.topic=topic-canary-{}"):
            for name in ("amber", "birch", "cedar"):
                rows = (await tenants.ask("GET", f"/api/sessions?{query.format(name)}", tenant.key)).json["sessions"]
                assert len(rows) == (f"canary-{name}".encode() in tenant.secrets), (query, name)
        for endpoint in ENDPOINTS:
            for method in VERBS:
                if method == "DELETE" and "/sessions/" in endpoint.path:
                    continue  # the next ones ask for it
                reply = await tenants.ask(method, paths(endpoint, tenant.ids), tenant.key, body_of(endpoint, method))
                assert not [word for word in hidden if word in reply.body], (method, endpoint.path)
                assert not [word for word in hidden for value in reply.headers.values() if word in value.encode()]
                asked += 1
    assert asked > 700


async def test_the_same_idempotency_key_of_two_tenants_is_two_keys(tenants: Tenants) -> None:
    for tenant in tenants.all:
        own = {"message": "hi"}
        first = await tenants.ask("POST", "/api/orchestrate", tenant.key, own, Idempotency_Key="another-key")
        again = await tenants.ask("POST", "/api/orchestrate", tenant.key, own, Idempotency_Key="another-key")
        assert first.json["session_id"] == again.json["session_id"]
        assert not [word for word in tenants.others(tenant) if word in again.body]


async def test_counts_are_those_of_the_tenant(tenants: Tenants) -> None:
    for tenant in tenants.all:
        (row,) = (await tenants.ask("GET", "/api/usage?by=tenant", tenant.key)).json["usage"]
        assert row["tenant"].encode() in {secret.rpartition(b"-")[2] for secret in tenant.secrets}
        assert row["calls"] == 4, "three turns and a summary"
        assert len((await tenants.ask("GET", "/api/sessions", tenant.key)).json["sessions"]) == 1
        for path in ("/api/metrics", "/api/clients"):
            assert (await tenants.ask("GET", path, tenant.key)).status == 403
    assert len((await tenants.ask("GET", "/api/usage?by=tenant", ADMIN)).json["usage"]) == 3
