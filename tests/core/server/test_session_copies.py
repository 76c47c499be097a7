"""Forks and replays over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.provider_api import ChatRequest, Finish, ProviderFailed, ProviderInfo, Start, ToolCallDelta
from orchestrator_core.sessions.settings import MAX_SETTINGS, TurnSettings, settings_of
from scripted_gateway import Served, served

PATH = "/api/orchestrate"


class Second(ScriptedProvider):
    info = ProviderInfo(
        name="second", title="Second", capabilities=("chat",), requires_key=False, default_model="second-1"
    )


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    environ = {"ORCHESTRATOR_DEFAULT_PROVIDER": "scripted"}
    async with served(tmp_path, [ScriptedProvider, Second], environ) as gateway:
        yield gateway


async def conversation(gateway: Served, turns: int = 2) -> tuple[str, list[str]]:
    session, made = None, []
    for number in range(1, turns + 1):
        body = {"message": f"q{number}"} | ({"session_id": session} if session else {"user_id": "ada"})
        reply = (await gateway.post(PATH, body)).json
        session = reply["session_id"]
        made.append(reply["metadata"]["turn_id"])
    assert session is not None
    return session, made


async def contents(gateway: Served, session: str) -> list[Any]:
    page = (await gateway.get(f"/api/sessions/{session}/history?limit=100")).json
    return [message["content"] for message in page["messages"]]


def heard(gateway: Served, provider: str) -> list[str]:
    request = gateway.plugins[provider].requests[-1]
    assert isinstance(request, ChatRequest)
    return [message.text for message in request.messages]


async def test_a_fork_is_a_session_of_its_own(gateway: Served) -> None:
    session, turns = await conversation(gateway)
    where = f"/api/sessions/{session}/fork"
    whole = await gateway.post(where, {})
    assert whole.status == 201
    assert (whole.json["parent_id"], whole.json["user_id"], whole.json["message_count"]) == (session, "ada", 2)
    assert whole.headers["X-Session-Id"] == whole.json["session_id"]
    half = (await gateway.post(where, {"turn_id": turns[0], "user_id": "bob", "metadata": {"a": 1}})).json
    assert (half["user_id"], half["metadata"]) == ("bob", {"a": 1})
    assert await contents(gateway, half["session_id"]) == ["q1", "pong"]
    first = (await gateway.get(f"/api/sessions/{session}/history?limit=1")).json["messages"][0]["id"]
    asked = (await gateway.post(where, {"message_id": first})).json
    assert await contents(gateway, asked["session_id"]) == ["q1"]
    await gateway.post(PATH, {"message": "q3", "session_id": half["session_id"]})
    assert heard(gateway, "scripted") == ["q1", "pong", "q3"]
    assert await contents(gateway, session) == ["q1", "pong", "q2", "pong"]


async def test_what_cannot_be_forked(gateway: Served) -> None:
    session, turns = await conversation(gateway, 1)
    where = f"/api/sessions/{session}/fork"
    both = await gateway.post(where, {"turn_id": turns[0], "message_id": "msg_x"})
    assert (both.status, both.json["param"]) == (400, "$")
    unknown = await gateway.post(where, {"message_id": "msg_x"})
    assert (unknown.status, unknown.json["param"]) == (404, "message_id")
    assert (await gateway.post(f"/api/sessions/sess_{'0' * 32}/fork", {})).status == 404


async def test_a_turn_is_answered_again_by_another_provider(gateway: Served) -> None:
    session, turns = await conversation(gateway)
    gateway.plugins["second"].scripts.append(answer("better"))
    where = f"/api/sessions/{session}/turns/{turns[1]}/replay"
    reply = await gateway.post(where, {"agent_config": {"provider": "second", "model": "m-9"}})
    assert reply.status == 200
    again = reply.json
    assert (again["response"], again["agent_used"], again["message_count"]) == ("better", "second", 2)
    assert again["session_id"] != session
    assert heard(gateway, "second") == ["q1", "pong", "q2"]
    assert await contents(gateway, again["session_id"]) == ["q1", "pong", "q2", "better"]
    assert await contents(gateway, session) == ["q1", "pong", "q2", "pong"]
    made = (await gateway.get(f"/api/sessions/{again['session_id']}")).json
    assert (made["parent_id"], made["user_id"]) == (session, "ada")


async def test_a_replay_streams_and_is_repeated_by_its_key(gateway: Served) -> None:
    session, turns = await conversation(gateway, 1)
    where = f"/api/sessions/{session}/turns/{turns[0]}/replay"
    first, again = [await gateway.post(where, {"stream": True}, Idempotency_Key="k") for _ in range(2)]
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert [chunk["type"] for chunk in first.chunks][-1] == "done"
    assert first.chunks[0]["session_id"] != session
    assert len(gateway.plugins["scripted"].requests) == 2


async def test_results_of_tools_are_answered_again(gateway: Served) -> None:
    call = ToolCallDelta(index=0, id="call_1", name="weather", arguments="{}")
    gateway.plugins["scripted"].scripts.append([Start(model="m"), call, Finish(reason="tool_calls")])
    session = (await gateway.post(PATH, {"message": "weather?"})).json["session_id"]
    results = [{"tool_call_id": "call_1", "content": "21 degrees"}]
    turn = (await gateway.post(PATH, {"session_id": session, "tool_results": results})).json["metadata"]["turn_id"]
    reply = await gateway.post(f"/api/sessions/{session}/turns/{turn}/replay", {})
    assert (reply.status, reply.json["response"]) == (200, "pong")


async def test_a_replay_that_cannot_be_routed_copies_nothing(gateway: Served) -> None:
    session, turns = await conversation(gateway, 1)
    where = f"/api/sessions/{session}/turns/{turns[0]}/replay"
    assert (await gateway.post(where, {"agent_config": {"provider": "nobody"}})).status == 404
    assert (await gateway.post(f"/api/sessions/{session}/turns/turn_{'0' * 32}/replay", {})).status == 404
    assert len((await gateway.get("/api/sessions")).json["sessions"]) == 1


async def test_a_replay_that_fails_leaves_nothing_behind(gateway: Served) -> None:
    session, turns = await conversation(gateway, 1)
    gateway.plugins["second"].scripts.extend([[ProviderFailed("down")]] * 4)
    where = f"/api/sessions/{session}/turns/{turns[0]}/replay"
    for _ in range(2):
        reply = await gateway.post(where, {"agent_config": {"provider": "second"}}, Idempotency_Key="k")
        assert reply.status == 502
        assert reply.json.get("session_id") is None
        assert "X-Session-Id" not in reply.headers
    assert [one["session_id"] for one in (await gateway.get("/api/sessions")).json["sessions"]] == [session]


TOOL = {"name": "weather", "description": "The weather.", "parameters": {"type": "object", "properties": {}}}
SETTINGS = {
    "system_prompt": "Be brief.",
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": ["object", "null"]}}},
    "temperature": 0.0,
    "parallel_tool_calls": False,
    "max_tokens": 77,
    "stop": ["END"],
    "seed": 3,
    "reasoning_effort": "low",
    "unheard_of": {"a": None},
}


async def settled(gateway: Served) -> tuple[str, ChatRequest]:
    """Have a turn with many settings answered; return where it is replayed, and what was asked."""
    made = (await gateway.post(PATH, {"message": "q", "agent_config": SETTINGS})).json
    where = f"/api/sessions/{made['session_id']}/turns/{made['metadata']['turn_id']}/replay"
    return where, asked(gateway, "scripted")


def asked(gateway: Served, provider: str) -> ChatRequest:
    request = gateway.plugins[provider].requests[-1]
    assert isinstance(request, ChatRequest)
    return request


def settings(request: ChatRequest) -> TurnSettings:
    return settings_of(replace(request, messages=[one for one in request.messages if one.role == "system"]))


async def test_a_turn_is_replayed_with_its_settings(gateway: Served) -> None:
    where, first = await settled(gateway)
    assert settings(first).tool_choice is not None
    again = (await gateway.post(where, {})).json
    assert settings(asked(gateway, "scripted")) == settings(first)
    where = f"/api/sessions/{again['session_id']}/turns/{again['metadata']['turn_id']}/replay"
    await gateway.post(where, {"agent_config": {"provider": "second"}})
    assert settings(asked(gateway, "second")) == replace(settings(first), extra={})


async def test_fields_of_a_provider_are_for_that_which_was_asked(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.extend([[ProviderFailed("down")]] * 2)
    config = {"fallbacks": ["second"], "unheard_of": 1}
    made = (await gateway.post(PATH, {"message": "q", "agent_config": config})).json
    assert made["agent_used"] == "second"
    where = f"/api/sessions/{made['session_id']}/turns/{made['metadata']['turn_id']}/replay"
    for provider, extra in (("second", {}), ("scripted", {"unheard_of": 1})):
        await gateway.post(where, {"agent_config": {"provider": provider}})
        assert asked(gateway, provider).extra == extra


async def test_a_replay_changes_what_it_names(gateway: Served) -> None:
    where, first = await settled(gateway)
    config = {"system_prompt": None, "tools": None, "tool_choice": None, "temperature": 1.5, "unheard_of": 2, "more": 3}
    await gateway.post(where, {"agent_config": config})
    assert settings(asked(gateway, "scripted")) == replace(
        settings(first), messages=(), tools=(), tool_choice=None, temperature=1.5, extra={"unheard_of": 2, "more": 3}
    )


async def test_settings_go_with_a_fork_and_with_a_file(gateway: Served) -> None:
    where, first = await settled(gateway)
    session = where.split("/")[3]
    fork = (await gateway.post(f"/api/sessions/{session}/fork", {})).json["session_id"]
    lines = (await gateway.get(f"/api/sessions/{fork}/export")).body
    async with (
        aiohttp.ClientSession() as client,
        client.post(
            gateway.url + "/api/sessions/import", data=lines, headers={"Content-Type": "application/x-ndjson"}
        ) as response,
    ):
        copy = (await response.json())["session_id"]
    turn = (await gateway.get(f"/api/sessions/{copy}/turns")).json["turns"][0]["turn_id"]
    assert (await gateway.post(f"/api/sessions/{copy}/turns/{turn}/replay", {})).status == 200
    assert settings(asked(gateway, "scripted")) == settings(first)


async def test_settings_that_were_too_large_to_be_kept_are_asked_for(gateway: Served) -> None:
    made = (await gateway.post(PATH, {"message": "q", "agent_config": {"system_prompt": "a" * MAX_SETTINGS}})).json
    where = f"/api/sessions/{made['session_id']}/turns/{made['metadata']['turn_id']}/replay"
    reply = await gateway.post(where, {"agent_config": {"provider": "second"}})
    assert (reply.status, reply.json["param"]) == (400, "agent_config")
    assert (await gateway.post(where, {"agent_config": {"system_prompt": None}})).status == 200
    assert len((await gateway.get("/api/sessions")).json["sessions"]) == 2


async def test_history_names_turn_and_place(gateway: Served) -> None:
    session, turns = await conversation(gateway)
    page = (await gateway.get(f"/api/sessions/{session}/history?limit=100")).json["messages"]
    assert [one["sequence"] for one in page] == [1, 2, 3, 4]
    assert [one["turn_id"] for one in page] == [turns[0], turns[0], turns[1], turns[1]]
