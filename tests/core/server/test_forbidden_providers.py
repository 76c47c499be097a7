"""A caller who may use some providers only, on every route that names one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.config.grants import Grant
from orchestrator_core.provider_api import ModelInfo, ProviderFailed, ProviderInfo
from orchestrator_core.security.authentication import Authenticator
from orchestrator_core.security.principal import Principal
from scripted_gateway import Served, served

USER = {"role": "user", "content": "ping"}


class Locked(ScriptedProvider):
    info = ProviderInfo(
        name="locked",
        title="Locked",
        capabilities=("chat", "embeddings"),
        requires_key=False,
        default_model="l",
        default_embedding_model="l-embed",
        aliases=("shut",),
        models=(ModelInfo(id="l"),),
    )


class Open(ScriptedProvider):
    info = replace(Locked.info, name="open", title="Open", aliases=())


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    caller = Principal(id="c", tenant="t", grant=Grant(providers=frozenset({"open"})))

    async def authenticate(*_: object) -> Principal:
        return caller

    monkeypatch.setattr(Authenticator, "authenticate", authenticate)
    environ = {"ORCHESTRATOR_ALIASES": '{"fast": "locked/l", "free": "open/l"}', "ORCHESTRATOR_FALLBACKS": "locked"}
    async with served(tmp_path, [Open, Locked], environ) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/{}/chat", {"messages": [USER]}),
        ("/api/v1/{}/chat", {"messages": [USER], "stream": True}),
        ("/api/v1/{}/embeddings", {"input": "a"}),
        ("/v1/chat/completions", {"model": "{}/l", "messages": [USER]}),
        ("/v1/embeddings", {"model": "{}/l", "input": "a"}),
        ("/api/orchestrate", {"message": "a", "agent_config": {"provider": "{}"}}),
        ("/api/orchestrate", {"message": "a", "agent_config": {"model": "{}/l", "provider": "{}"}}),
    ],
)
@pytest.mark.parametrize("name", ["locked", "shut"])
async def test_a_provider_that_the_caller_may_not_use_is_refused(
    gateway: Served, path: str, body: dict[str, Any], name: str
) -> None:
    def of(provider: str) -> tuple[str, Any]:
        agent = {key: value.format(provider) for key, value in body.get("agent_config", {}).items()}
        named = {"agent_config": agent} if agent else {}
        if "model" in body:
            named["model"] = body["model"].format(provider)
        return path.format(provider), {**body, **named}

    refused = await gateway.post(*of(name), X_Provider_Key="a-key-of-the-callers-own")
    assert (refused.status, b"permission_denied" in refused.body) == (403, True)
    assert (await gateway.post(*of(name))).status == 403
    assert gateway.plugins["locked"].requests == []
    assert (await gateway.post(*of("open"))).status == 200


async def test_an_alias_opens_nothing(gateway: Served) -> None:
    for name, status in (("fast", 403), ("free", 200)):
        assert (await gateway.post("/v1/chat/completions", {"model": name, "messages": [USER]})).status == status
    assert gateway.plugins["locked"].requests == []


async def test_the_models_of_a_forbidden_provider_are_not_shown(gateway: Served) -> None:
    listed = (await gateway.get("/v1/models")).json["data"]
    assert [model["id"] for model in listed] == ["free", "open/l"]
    for hidden in ("locked/l", "fast"):
        assert (await gateway.get(f"/v1/models/{hidden}")).status == 404
    for name in ("locked", "shut"):
        reply = await gateway.get(f"/api/v1/{name}/models")
        assert (reply.status, reply.json["error_type"]) == (403, "permission_denied")
    assert (await gateway.get("/api/v1/open/models")).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "open/l", "messages": [USER]}),
        ("/api/orchestrate", {"message": "a", "agent_config": {"provider": "open"}}),
        ("/api/orchestrate", {"message": "a", "agent_config": {"provider": "open", "fallbacks": ["locked", "shut/l"]}}),
    ],
)
async def test_no_fallback_leads_there(gateway: Served, path: str, body: dict[str, Any]) -> None:
    gateway.plugins["open"].scripts.extend([[ProviderFailed("no")]] * 2)
    assert (await gateway.post(path, body)).status == 502
    assert gateway.plugins["locked"].requests == []


async def test_models_that_others_named_are_not_shown(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in ("ft:of-somebody-else", "l"):
        gateway.gateway.guards.breakers.open("open", model, 60)

    (row,) = (await gateway.get("/api/providers")).json["providers"]
    assert [circuit["model"] for circuit in row["circuits"]] == ["l"]
    assert row["default_model"] == "l"

    fewer = Principal(id="c", tenant="t", grant=Grant(models=("open/other",)))

    async def authenticate(*_: object) -> Principal:
        return fewer

    monkeypatch.setattr(Authenticator, "authenticate", authenticate)
    rows = {row["name"]: row for row in (await gateway.get("/api/providers")).json["providers"]}
    assert (rows["open"]["circuits"], rows["open"]["default_model"]) == ([], None)
