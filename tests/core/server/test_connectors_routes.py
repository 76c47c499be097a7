from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.provider_api import (
    ChatRequest,
    HealthReport,
    HealthRequest,
    ModelInfo,
    ProviderAuthFailed,
    ProviderFailed,
    ProviderInfo,
    ProviderTimeout,
    ProviderUnavailable,
    Start,
    TextDelta,
    hookimpl,
)
from orchestrator_core.server.watch import HEALTH_TIMEOUT
from scripted_gateway import Served, served

USER = {"role": "user", "content": "ping"}


class Keyed(ScriptedProvider):
    info = ProviderInfo(
        name="keyed",
        title="Keyed",
        capabilities=("chat",),
        default_model="k",
        aliases=("locked",),
        models=(ModelInfo(id="k", description="The one"), ModelInfo(id="l")),
    )


class Unnamed(ScriptedProvider):
    info = ProviderInfo(name="unnamed", title="Unnamed", capabilities=("chat", "embeddings"), requires_key=False)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider, Keyed, Unnamed], {"ORCHESTRATOR_FALLBACKS": "scripted"}) as gateway:
        yield gateway


def asked(gateway: Served) -> ChatRequest:
    request = gateway.plugins["scripted"].requests[-1]
    assert isinstance(request, ChatRequest)
    return request


async def test_only_messages_are_required(gateway: Served) -> None:
    reply = await gateway.post("/api/v1/scripted/chat", {"messages": [USER]})
    assert reply.status == 200
    assert reply.json["success"] is True
    assert reply.json["message"] == {"role": "assistant", "content": "pong", "refusal": None, "model": "scripted-1"}
    usage = reply.json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 2, 5)
    assert reply.json["finish_reason"] == "stop"
    assert asked(gateway).model == "scripted-1"


async def test_a_message_is_taken_back(gateway: Served) -> None:
    first = await gateway.post("/api/v1/scripted/chat", {"messages": [USER]})
    body = {"messages": [USER, first.json["message"], USER], "model": "scripted/m", "safe_prompt": True}
    assert (await gateway.post("/api/v1/scripted/chat", body)).status == 200
    request = asked(gateway)
    assert request.model == "m"
    assert request.extra == {"safe_prompt": True}
    assert request.native is not None
    assert "model" not in request.native.body["messages"][1]
    assert request.messages[1].text == "pong"


@pytest.mark.parametrize("model", ["keyed/m", "org/m"])
async def test_only_its_own_name_is_taken_off_a_model(gateway: Served, model: str) -> None:
    await gateway.post("/api/v1/scripted/chat", {"messages": [USER], "model": model})
    assert asked(gateway).model == model


async def test_a_stream(gateway: Served) -> None:
    reply = await gateway.post("/api/v1/scripted/chat", {"messages": [USER], "stream": True})
    assert reply.events[-1] == b"[DONE]"
    assert reply.chunks[-1]["usage"]["total_tokens"] == 5
    gateway.plugins["scripted"].scripts.append([Start(), TextDelta(text="a"), ProviderFailed("Broken.")])
    broken = await gateway.post("/api/v1/scripted/chat", {"messages": [USER], "stream": True})
    assert broken.chunks[-1]["success"] is False
    assert broken.chunks[-1]["error_type"] == "provider_failed"


async def test_no_other_provider_answers(gateway: Served) -> None:
    gateway.plugins["keyed"].scripts.extend([[ProviderFailed("Broken.")]] * 2)
    reply = await gateway.post("/api/v1/keyed/chat", {"messages": [USER]}, X_API_Key="own-key")
    assert reply.status == 502
    assert reply.json["error_type"] == "provider_failed"
    assert not gateway.plugins["scripted"].requests


async def test_the_key_of_the_caller(gateway: Served) -> None:
    missing = await gateway.post("/api/v1/keyed/chat", {"messages": [USER]})
    assert missing.status == 503
    assert missing.json["error_type"] == "provider_not_configured"
    for header in ("X_API_Key", "X_Provider_Key"):
        reply = await gateway.post("/api/v1/locked/chat", {"messages": [USER]}, **{header: "own-key"})
        assert reply.status == 200
    gateway.plugins["keyed"].scripts.append([ProviderAuthFailed("Refused.")])
    refused = await gateway.post("/api/v1/keyed/chat", {"messages": [USER]}, X_API_Key="own-key")
    assert refused.status == 401


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/api/v1/nobody/chat", {"messages": [USER]}, 404, "provider_not_found"),
        ("/api/v1/nobody/chat", {}, 404, "provider_not_found"),
        ("/api/v1/nobody/embeddings", {}, 404, "provider_not_found"),
        ("/api/v1/nobody/embeddings", {"input": "a"}, 404, "provider_not_found"),
        ("/api/v1/scripted/chat", {}, 400, "invalid_request"),
        ("/api/v1/scripted/chat", {"messages": [{"role": "user"}]}, 400, "invalid_request"),
        ("/api/v1/scripted/embeddings", {"input": []}, 400, "invalid_request"),
        ("/api/v1/scripted/embeddings", [], 400, "invalid_request"),
        ("/api/v1/keyed/embeddings", {"input": "a"}, 400, "not_supported"),
        ("/api/v1/unnamed/embeddings", {"input": "a"}, 400, "invalid_request"),
        ("/api/v1/scripted/nothing", {}, 404, "not_found"),
    ],
)
async def test_every_error_has_the_form(gateway: Served, path: str, body: Any, status: int, kind: str) -> None:
    reply = await gateway.post(path, body)
    assert reply.status == status
    assert reply.json["success"] is False
    assert reply.json["error"]
    assert reply.json["error_type"] == kind


@pytest.mark.parametrize("texts", ["a", ["a", "b"]])
async def test_embeddings(gateway: Served, texts: str | list[str]) -> None:
    body = {"input": texts, "encoding_format": "base64"}
    reply = await gateway.post("/api/v1/scripted/embeddings", body)
    assert reply.json["success"] is True
    assert reply.json["embeddings"] == [[1.0]] * len(texts)
    assert reply.json["model"] == "scripted-embed"
    assert reply.json["usage"]["total_tokens"] == 4


async def test_models(gateway: Served) -> None:
    reply = await gateway.get("/api/v1/locked/models")
    assert reply.json["success"] is True
    assert [(model["id"], model["description"]) for model in reply.json["models"]] == [("k", "The one"), ("l", "l")]
    assert (await gateway.get("/api/v1/nobody/models")).status == 404


class Listing(ScriptedProvider):
    """Knows its models only from upstream."""

    info = ProviderInfo(name="listing", title="Listing", capabilities=("chat",), requires_key=False)
    found: HealthReport | Exception = HealthReport(healthy=True)
    looks = 0

    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        type(self).looks += 1
        assert request.deadline.remaining() <= HEALTH_TIMEOUT
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("found", "status", "kind"),
    [
        (ProviderAuthFailed("Refused."), 401, "provider_auth_failed"),
        (ProviderUnavailable("Down."), 503, "provider_unavailable"),
        (HealthReport(healthy=False, detail="tired"), 503, "provider_unavailable"),
        (ProviderTimeout("Slow."), 504, "provider_timeout"),
        (HealthReport(healthy=True), 200, None),
        (HealthReport(healthy=True, models=(ModelInfo(id="m"),)), 200, None),
    ],
)
async def test_models_of_which_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: HealthReport | Exception, status: int, kind: str | None
) -> None:
    monkeypatch.setattr(Listing, "found", found)
    monkeypatch.setattr(Listing, "looks", 0)
    async with served(tmp_path, [Listing]) as gateway:
        reply = await gateway.get("/api/v1/listing/models")
        assert reply.status == status
        assert Listing.looks == 1
        assert gateway.gateway.registry.get("listing").healthy is (status == 200)
        if kind is not None:
            assert (reply.json["success"], reply.json["error_type"]) == (False, kind)
        elif isinstance(found, HealthReport) and found.models:
            assert [model["id"] for model in reply.json["models"]] == ["m"]
            await gateway.get("/api/v1/listing/models")
            assert Listing.looks == 1, "known now"
        else:
            assert reply.json["models"] == []


async def test_models_of_a_provider_without_a_key_and_without_a_list(tmp_path: Path) -> None:
    class Locked(Listing):
        info = replace(Listing.info, name="bare", requires_key=True)

    async with served(tmp_path, [Locked]) as gateway:
        reply = await gateway.get("/api/v1/bare/models")
    assert (reply.status, reply.json["error_type"]) == (503, "provider_not_configured")
