"""An alias, wherever a model is named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.provider_api import ProviderFailed
from scripted_gateway import Served, served

USER = {"role": "user", "content": "ping"}


class Other(ScriptedProvider):
    info = replace(ScriptedProvider.info, name="other", title="Other")


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    aliases = {
        "fast": {"targets": ["scripted/a", "other/b"]},
        "vectors": {"targets": ["scripted/e", "other/f", "other/e"]},
    }
    environ = {"ORCHESTRATOR_ALIASES": json.dumps(aliases), "ORCHESTRATOR_DEFAULT_MODEL": "fast"}
    async with served(tmp_path, [ScriptedProvider, Other], environ) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "fast", "messages": [USER]}),
        ("/v1/chat/completions", {"model": "fast", "messages": [USER], "stream": True}),
        ("/v1/messages", {"model": "fast", "messages": [USER], "max_tokens": 9}),
        ("/v1/messages", {"model": "fast", "messages": [USER], "max_tokens": 9, "stream": True}),
        ("/api/orchestrate", {"message": "ping", "agent_config": {"model": "fast"}}),
        ("/api/orchestrate", {"message": "ping"}),
        ("/api/orchestrate", {"message": "ping", "agent_config": {"provider": "other", "fallbacks": ["fast"]}}),
    ],
)
async def test_chat(gateway: Served, path: str, body: dict[str, Any]) -> None:
    primary = "other" if body.get("agent_config", {}).get("provider") == "other" else "scripted"
    gateway.plugins[primary].scripts.append([ProviderFailed("500")])
    reply = await gateway.post(path, body)
    assert reply.status == 200
    asked = {name: [request.model for request in plugin.requests] for name, plugin in gateway.plugins.items()}
    expected = {"scripted": ["a"], "other": ["b"]}
    if primary == "other":
        expected = {"scripted": ["a"], "other": ["scripted-1"]}
    assert asked == expected


async def test_embeddings_fall_back_within_one_model(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([ProviderFailed("500")])
    reply = await gateway.post("/v1/embeddings", {"model": "vectors", "input": "a"})
    assert (reply.status, reply.headers["x-orchestrator-provider"]) == (200, "other")
    assert [request.model for request in gateway.plugins["other"].requests] == ["e"]


async def test_the_list_of_models_says_what_an_alias_stands_for(gateway: Served) -> None:
    row = (await gateway.get("/v1/models/fast")).json
    assert row["alias_of"] == ["scripted/a", "other/b"]
    assert (row["strategy"], row["owned_by"]) == ("ordered", "scripted")
    listed = (await gateway.get("/v1/models")).json["data"]
    assert [each["id"] for each in listed][:2] == ["fast", "vectors"]


async def test_a_key_of_the_callers_own_is_not_sent_to_whoever_is_drawn(gateway: Served) -> None:
    body = {"model": "fast", "messages": [USER]}
    reply = await gateway.post("/v1/chat/completions", body, X_Provider_Key="a-key-of-the-callers-own")
    assert (reply.status, reply.json["error"]["param"]) == (400, "model")
    assert not any(plugin.requests for plugin in gateway.plugins.values())
