"""A model that is left alone, as clients and operators of a running gateway see it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.provider_api import ProviderFailed, ProviderInfo
from orchestrator_core.resilience import shared_circuits
from redis_server import RedisServer
from scripted_gateway import Served, served

USER = {"role": "user", "content": "ping"}
REQUESTS: dict[str, Any] = {
    "/api/orchestrate": {"message": "ping", "agent_config": {"provider": "scripted"}},
    "/v1/chat/completions": {"model": "scripted/scripted-1", "messages": [USER]},
    "/v1/messages": {"model": "scripted/scripted-1", "messages": [USER], "max_tokens": 10},
    "/api/v1/scripted/chat": {"messages": [USER]},
}


class OtherProvider(ScriptedProvider):
    """One to fall back to."""

    info = ProviderInfo(
        name="other", title="Other", capabilities=("chat",), requires_key=False, default_model="other-1"
    )


async def failed(gateway: Served) -> None:
    """Have the model `scripted-1` fail until it is left alone."""
    plugin = gateway.plugins["scripted"]
    plugin.scripts.extend([[ProviderFailed("500")]] * 30)
    while not gateway.gateway.guards.breakers.circuits:
        await gateway.post("/api/orchestrate", REQUESTS["/api/orchestrate"])
    plugin.scripts.clear()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider, OtherProvider], {"MONITORING_ENABLED": "false"}) as gateway:
        yield gateway


@pytest.mark.parametrize("path", REQUESTS)
async def test_every_surface_says_503_and_when_to_come_again(gateway: Served, path: str) -> None:
    await failed(gateway)

    reply = await gateway.post(path, REQUESTS[path])

    assert reply.status == 503
    assert 1 <= int(reply.headers["Retry-After"]) <= 15
    assert reply.headers["x-orchestrator-provider"] == "scripted"
    assert reply.headers["x-orchestrator-attempts"] == "1"
    if path != "/v1/messages":  # which has no place for a code
        assert b"circuit_open" in reply.body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [path for path in REQUESTS if "scripted" not in path])
async def test_every_surface_says_who_answered_instead(tmp_path: Path, path: str, stream: bool) -> None:
    environ = {"MONITORING_ENABLED": "false", "ORCHESTRATOR_FALLBACKS": "other"}
    async with served(tmp_path, [ScriptedProvider, OtherProvider], environ) as gateway:
        await failed(gateway)

        reply = await gateway.post(path, {**REQUESTS[path], "stream": stream})

    assert reply.status == 200
    assert reply.headers["x-orchestrator-provider"] == "other"
    assert reply.headers["x-orchestrator-model"] == "scripted-1"  # as the provider names itself
    assert reply.headers["x-orchestrator-attempts"] == "2"
    if path == "/api/orchestrate":
        answer = json.loads(reply.events[-1]) if stream else reply.json
        attempts = [(each["provider"], each["error"]) for each in answer["metadata"]["attempts"]]
        assert attempts == [("scripted", "circuit_open"), ("other", None)]


async def test_the_list_of_providers_names_the_models_that_are_left_alone(gateway: Served) -> None:
    rows = {row["name"]: row for row in (await gateway.get("/api/providers")).json["providers"]}
    assert [row["circuits"] for row in rows.values()] == [[], []]

    await failed(gateway)

    rows = {row["name"]: row for row in (await gateway.get("/api/providers")).json["providers"]}
    (circuit,) = rows["scripted"]["circuits"]
    assert (circuit["model"], circuit["state"]) == ("scripted-1", "open")
    assert 0 < circuit["retry_after"] <= 15
    assert rows["other"]["circuits"] == []


async def test_the_metrics_tell_it(gateway: Served) -> None:
    await failed(gateway)
    await gateway.post("/api/orchestrate", REQUESTS["/api/orchestrate"])

    shown = (await gateway.get("/metrics")).body.decode()

    assert 'orchestrator_circuit_state{model="scripted-1",provider="scripted"} 2.0' in shown
    assert 'orchestrator_targets_passed_over_total{code="circuit_open",provider="scripted"} 1.0' in shown


async def test_gateways_that_share_a_redis_share_it_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_circuits, "SYNC_EVERY", 0.02)
    redis = RedisServer(tmp_path / "redis.log")
    environ = {"MONITORING_ENABLED": "false", "ORCHESTRATOR_REDIS_URL": redis.url}
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    try:
        async with (
            served(first, [ScriptedProvider, OtherProvider], environ) as one,
            served(second, [ScriptedProvider, OtherProvider], environ) as two,
        ):
            await failed(one)
            async with asyncio.timeout(10):
                while not two.gateway.guards.breakers.circuits:
                    await asyncio.sleep(0.02)

            assert (await two.post("/api/orchestrate", REQUESTS["/api/orchestrate"])).json["code"] == "circuit_open"
            assert two.plugins["scripted"].requests == []
    finally:
        redis.kill()
