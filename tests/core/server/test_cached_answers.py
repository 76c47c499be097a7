"""The cache, as clients see it: the same bytes, a header, nothing to pay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider, Step, answer
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    Finish,
    NativeOnly,
    Start,
    TextDelta,
    Usage,
    UsageReport,
)
from orchestrator_core.provider_api.native import NativeEvent
from orchestrator_core.server.openapi import document
from scripted_gateway import Served, served

USER = {"role": "user", "content": "ping"}
CACHE = "x-orchestrator-cache"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_CACHE_TTL": "60"}) as gateway:
        yield gateway


BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "scripted/m", "messages": [USER]}),
    ("/v1/chat/completions", {"model": "scripted/m", "messages": [USER], "stream": True}),
    ("/v1/messages", {"model": "scripted/m", "messages": [USER], "max_tokens": 9}),
    ("/v1/messages", {"model": "scripted/m", "messages": [USER], "max_tokens": 9, "stream": True}),
    ("/api/v1/scripted/chat", {"messages": [USER]}),
    ("/api/v1/scripted/chat", {"messages": [USER], "stream": True}),
    ("/v1/embeddings", {"model": "scripted/e", "input": "a"}),
    ("/api/v1/scripted/embeddings", {"input": "a"}),
]
CHAT, CHAT_STREAM = BODIES[:2]


@pytest.mark.parametrize(("path", "body"), BODIES)
async def test_an_answer_is_given_again_and_says_so(gateway: Served, path: str, body: dict[str, Any]) -> None:
    first, second = await gateway.post(path, body), await gateway.post(path, body)
    assert (first.status, second.status) == (200, 200)
    assert (first.headers[CACHE], second.headers[CACHE]) == ("miss", "hit")
    assert len(gateway.plugins["scripted"].requests) == 1
    assert second.headers["x-orchestrator-attempts"] == "0"
    if body.get("stream"):
        assert b": x-orchestrator-cost: 0" in second.body
    else:
        assert second.headers["x-orchestrator-cost"] == "0"


def test_the_document_names_the_header_where_it_may_come() -> None:
    told = {
        path
        for path, operations in document()["paths"].items()
        for operation in operations.values()
        if any("X-Orchestrator-Cache" in response.get("headers", {}) for response in operation["responses"].values())
    }
    sent = {path.replace("scripted", "{provider}") for path, _ in BODIES}
    assert told == sent | {"/api/orchestrate", "/api/sessions/{id}/turns/{turn_id}/replay"}


NATIVE: list[Step] = [
    Start(native=NativeEvent(OPENAI_CHAT, b'{"id": "chatcmpl-1",  "choices": []}')),
    TextDelta(text="a", native=NativeEvent(OPENAI_CHAT, b'{"id":"chatcmpl-1","x": [1 ]}')),
    NativeOnly(native=NativeEvent(OPENAI_CHAT, b'{"logprobs" :1}')),
    UsageReport(usage=Usage(7, 2), native=NativeEvent(OPENAI_CHAT, b'{"choices":[],"usage":{"prompt_tokens":7}}')),
    Finish(native=NativeEvent(OPENAI_CHAT, b'{"end":1}')),
]


async def test_what_is_passed_through_is_the_same_to_the_byte_with_its_id_and_its_usage(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append(NATIVE)
    path, body = CHAT_STREAM
    body = {**body, "stream_options": {"include_usage": True}}
    first, second = await gateway.post(path, body), await gateway.post(path, body)
    assert first.events == second.events
    assert b'{"id":"chatcmpl-1","x": [1 ]}' in second.events
    assert any(b'"prompt_tokens":7' in event for event in second.events)
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_a_whole_answer_that_is_passed_through_is_the_same_to_the_byte(gateway: Served) -> None:
    whole = b'{ "id": "x",  "unknown": [1] }'
    script = [Start(native=NativeEvent(OPENAI_CHAT, whole)), TextDelta(text="a"), Finish()]
    gateway.plugins["scripted"].scripts.append(script)
    for _ in range(2):
        assert (await gateway.post(*CHAT)).body == whole


@pytest.mark.parametrize("directive", ["no-cache", "max-age=0", "No-Store", "private, no-store"])
async def test_cache_control_of_the_client_counts(gateway: Served, directive: str) -> None:
    await gateway.post(*CHAT)
    asked = await gateway.post(*CHAT, Cache_Control=directive)
    assert len(gateway.plugins["scripted"].requests) == 2
    assert asked.headers.get(CACHE) == (None if "store" in directive.lower() else "miss")


async def test_a_turn_is_stored_like_any_other_and_uses_nothing(gateway: Served) -> None:
    replies = [await gateway.post("/api/orchestrate", {"message": "ping"}) for _ in range(2)]
    assert [reply.headers[CACHE] for reply in replies] == ["miss", "hit"]
    first, second = (reply.json for reply in replies)
    assert second["response"] == first["response"]
    assert second["session_id"] != first["session_id"]
    about = second["metadata"]
    assert (about["cost_estimate"], about["tokens_used"], about["attempts"]) == (0, 0, [])
    history = (await gateway.get(f"/api/sessions/{second['session_id']}/history")).json
    assert len(history["messages"]) == 2
    gateway.plugins["scripted"].scripts.append(answer("on"))
    reply = await gateway.post("/api/orchestrate", {"message": "and now?", "session_id": second["session_id"]})
    assert (reply.headers[CACHE], reply.json["response"]) == ("miss", "on")


async def test_a_turn_that_is_answered_again_is_asked_again(gateway: Served) -> None:
    first = (await gateway.post("/api/orchestrate", {"message": "ping"})).json
    gateway.plugins["scripted"].scripts.append(answer("another"))
    path = f"/api/sessions/{first['session_id']}/turns/{first['metadata']['turn_id']}/replay"
    reply = await gateway.post(path, {})
    assert (reply.headers[CACHE], reply.json["response"]) == ("miss", "another")


async def test_the_totals_count_calls_alone(gateway: Served) -> None:
    for _ in range(3):
        await gateway.post(*CHAT)
    await gateway.gateway._ledger._write()
    usage = (await gateway.get("/api/usage")).json
    assert [row["calls"] for row in usage["usage"]] == [1]
