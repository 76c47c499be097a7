from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.provider_api import (
    Adjustment,
    ChatRequest,
    Finish,
    ImagePart,
    Logprobs,
    NamedTool,
    OpaquePart,
    ProviderBadResponse,
    ProviderRateLimited,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolResultPart,
    Usage,
    UsageReport,
    WholePart,
)
from orchestrator_core.server.app import make_app
from orchestrator_core.server.lifecycle import LIFECYCLE
from orchestrator_core.server.listening import GatewayRunner
from scripted_gateway import Reply, Served, served

PATH = "/api/orchestrate"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UNKNOWN = "sess_" + "0" * 32


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_ALIASES": '{"quick": "scripted/m-1"}'}) as gateway:
        yield gateway


def asked(gateway: Served) -> ChatRequest:
    request = gateway.plugins["scripted"].requests[-1]
    assert isinstance(request, ChatRequest)
    return request


async def send(gateway: Served, method: str, path: str, body: Any = None) -> Reply:
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, gateway.url + path, **({} if body is None else {"json": body})) as response,
    ):
        return Reply(response.status, response.headers, await response.read())


async def test_the_life_of_a_session(gateway: Served) -> None:
    made = await send(gateway, "POST", "/api/sessions", {"user_id": "ada", "metadata": {"a": [1, None]}})
    assert made.status == 201
    session = made.json
    assert re.fullmatch(r"sess_[0-9a-f]{32}", session["session_id"])
    assert TIME.fullmatch(session["created_at"])
    assert session["status"] == "active"
    assert session["message_count"] == 0
    assert session["summary"] is None
    where = f"/api/sessions/{session['session_id']}"
    assert (await gateway.get(where)).json == session
    changed = await send(gateway, "PATCH", where, {"metadata": {"b": 2}})
    assert changed.json == {**session, "metadata": {"b": 2}}
    assert (await send(gateway, "PATCH", where, {"status": "closed"})).json["status"] == "closed"
    late = await gateway.post(PATH, {"message": "a", "session_id": session["session_id"]})
    assert (late.status, late.json["code"]) == (410, "session_closed")
    gone = await send(gateway, "DELETE", where)
    assert (gone.status, gone.body) == (204, b"")
    for method in ("GET", "DELETE", "PATCH"):
        assert (await send(gateway, method, where, {} if method == "PATCH" else None)).status == 404


async def test_no_body_makes_a_session(gateway: Served) -> None:
    assert (await send(gateway, "POST", "/api/sessions")).status == 201
    assert (await send(gateway, "POST", "/api/sessions", {})).status == 201


async def test_pages_of_sessions(gateway: Served) -> None:
    for name in ("ada", "bob", "ada"):
        await send(gateway, "POST", "/api/sessions", {"user_id": name})
    first = (await gateway.get("/api/sessions?limit=2")).json
    assert (len(first["sessions"]), first["has_more"]) == (2, True)
    rest = (await gateway.get("/api/sessions?limit=2&offset=2")).json
    assert (len(rest["sessions"]), rest["has_more"]) == (1, False)
    assert len((await gateway.get("/api/sessions?user_id=ada")).json["sessions"]) == 2


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=-1", "offset=-1", "offset=1e3", f"offset={2**63}"]
)
async def test_numbers_of_the_query(gateway: Served, query: str) -> None:
    session = (await send(gateway, "POST", "/api/sessions")).json["session_id"]
    for path in ("/api/sessions", f"/api/sessions/{session}/history"):
        reply = await gateway.get(f"{path}?{query}")
        assert reply.status == 400
        assert reply.json["param"] == query.partition("=")[0]


@pytest.mark.parametrize(
    "odd",
    [
        "x",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "sess_1",
        UNKNOWN.upper(),
        UNKNOWN + "%0d%0a",
        UNKNOWN + "0",
        "%F0%9F",
        UNKNOWN,
    ],
)
async def test_ids_that_are_none(gateway: Served, odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reached(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the store was asked")

    if odd != UNKNOWN:
        # Nothing but the form of an id reaches the store.
        for name in ("get_session", "metrics", "history", "delete_session", "update_session"):
            monkeypatch.setattr(gateway.gateway.store, name, reached)
    answers = [
        await gateway.get(f"/api/sessions/{odd}"),
        await gateway.get(f"/api/sessions/{odd}/metrics"),
        await gateway.get(f"/api/sessions/{odd}/history"),
        await gateway.post(PATH, {"message": "a", "session_id": odd}),
    ]
    assert [reply.status for reply in answers] == [404] * 4
    for reply in answers:
        assert reply.json["code"] in ("not_found", "session_not_found")


async def test_a_turn_has_all_its_fields(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append(
        [
            Start(id="i", model="m-2", adjustments=[Adjustment("seed", "dropped", "it has none")]),
            ReasoningDelta(text="hm"),
            TextDelta(text="pong"),
            UsageReport(usage=Usage(10, 1, 2, 3, 4)),
            Finish(reason="stop"),
        ]
    )
    reply = await gateway.post(PATH, {"message": "ping", "agent_config": {"provider": "scripted", "model": "m-1"}})
    assert reply.status == 200
    turn = reply.json
    metadata = turn.pop("metadata")
    session = turn.pop("session_id")
    assert TIME.fullmatch(turn.pop("timestamp"))
    assert turn.pop("execution_time") >= 0
    assert turn == {
        "response": "pong",
        "agent_used": "scripted",
        "model_used": "m-2",
        "message_count": 1,
        "reasoning": "hm",
    }
    assert metadata["tokens_used"] == 20
    assert metadata["cost_estimate"] is None
    assert metadata["was_summarized"] is False
    assert metadata["portability"] == [{"subject": "seed", "action": "dropped", "reason": "it has none"}]
    assert [attempt["error"] for attempt in metadata["attempts"]] == [None]
    second = (await gateway.post(PATH, {"message": "again", "session_id": session})).json
    assert second["message_count"] == 2
    assert [message.text for message in asked(gateway).messages] == ["ping", "pong", "again"]
    history = (await gateway.get(f"/api/sessions/{session}/history?limit=3")).json
    assert history["has_more"] is True
    assert [message["content"] for message in history["messages"]] == ["ping", "pong", "again"]
    assert history["messages"][1]["provider"] == "scripted"
    assert history["messages"][1]["reasoning"] == "hm"
    assert "provider" not in history["messages"][0]
    metrics = (await gateway.get(f"/api/sessions/{session}/metrics")).json
    assert metrics["message_count"] == 2
    assert metrics["providers_used"] == ["scripted"]
    assert metrics["total_tokens"] == 25
    assert set(metrics) == {
        "session_id",
        "message_count",
        "providers_used",
        "total_tokens",
        "total_cost",
        "average_response_time",
        "last_summary_at",
        "created_at",
    }


async def test_every_setting_of_the_agent_arrives(gateway: Served) -> None:
    agent = {
        "model": "quick",
        "system_prompt": "Be brief.",
        "temperature": 0,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop": "END",
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
            {"name": "g", "description": "d"},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "reasoning_effort": "low",
        "seed": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "strict": True,
        "timeout": 5,
        "safe_prompt": True,
    }
    reply = await gateway.post(PATH, {"message": "a", "agent_config": agent})
    assert reply.status == 200, reply.body
    request = asked(gateway)
    assert request.model == "m-1"
    assert [(message.role, message.text) for message in request.messages] == [("system", "Be brief."), ("user", "a")]
    assert (request.temperature, request.top_p, request.max_tokens, request.seed) == (0, 0.5, 7, 3)
    assert request.stop == ["END"]
    assert [(tool.name, tool.description) for tool in request.tools] == [("f", None), ("g", "d")]
    assert request.tool_choice == NamedTool(name="f")
    assert request.parallel_tool_calls is False
    assert request.response_format is not None
    assert request.response_format.json_schema == {"type": "object"}
    assert request.reasoning_effort == "low"
    assert (request.presence_penalty, request.frequency_penalty) == (0.1, 0.2)
    assert request.strict is True
    assert request.extra == {"safe_prompt": True}
    assert request.deadline.remaining() <= 5
    history = (await gateway.get(f"/api/sessions/{reply.json['session_id']}/history")).json
    assert [message["role"] for message in history["messages"]] == ["user", "assistant"]


async def test_what_is_not_set_is_not_sent(gateway: Served) -> None:
    await gateway.post(PATH, {"message": "a", "agent_config": {"temperature": None}})
    request = asked(gateway)
    for field in ("temperature", "top_p", "max_tokens", "stop", "seed", "tool_choice", "response_format"):
        assert getattr(request, field) is None
    assert request.strict is False
    assert request.extra == {}


async def test_parts_of_a_message(gateway: Served) -> None:
    parts = [
        {"type": "text", "text": "what is this"},
        {"type": "image", "url": "https://example.com/a.png"},
        {"type": "image", "data": "aGk=", "media_type": "image/png"},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGk=", "detail": "low"}},
    ]
    reply = await gateway.post(PATH, {"message": parts})
    assert asked(gateway).messages[-1].parts == (
        TextPart(text="what is this"),
        ImagePart(url="https://example.com/a.png"),
        ImagePart(data="aGk=", media_type="image/png"),
        ImagePart(data="aGk=", media_type="image/jpeg", detail="low"),
    )
    history = (await gateway.get(f"/api/sessions/{reply.json['session_id']}/history")).json
    assert [part["type"] for part in history["messages"][0]["content"]] == ["text", "image", "image", "image"]


async def test_what_a_provider_says_beyond_the_answer_is_there_and_in_the_history(gateway: Served) -> None:
    token = {"token": "Hi", "logprob": -0.1, "bytes": None, "top_logprobs": []}
    gateway.plugins["scripted"].scripts.append(
        [
            Start(0, {"openai.chat": {"service_tier": "flex"}}, model="scripted-1"),
            WholePart(part=OpaquePart(provider_metadata={"scripted": {"block": {"type": "search"}}})),
            TextDelta(0, {"scripted": {"citations": [1]}}, text="Hi"),
            Logprobs(content=[token]),
            WholePart(part=ImagePart(data="AA==", media_type="image/png")),
            Finish(0, {"scripted": {"stop_sequence": "x"}}),
        ]
    )
    reply = (await gateway.post(PATH, {"message": "ping"})).json
    parts = [
        {"type": "opaque", "extra_content": {"scripted": {"block": {"type": "search"}}}},
        {"type": "text", "length": 2, "extra_content": {"scripted": {"citations": [1]}}},
        {"type": "image"},
    ]
    assert reply["metadata"]["provider"] == {
        "message": {"parts": parts},
        "choice": {
            "extra_content": {"scripted": {"stop_sequence": "x"}},
            "logprobs": {"content": [token], "refusal": None},
        },
        "answer": {"service_tier": "flex"},
    }
    assert reply["images"][0]["image_url"]["url"] == "data:image/png;base64,AA=="
    history = await send(gateway, "GET", f"/api/sessions/{reply['session_id']}/history")
    answered = history.json["messages"][-1]
    assert answered["extra"] == {"parts": parts}
    assert [part["type"] for part in answered["content"]] == ["text", "image"]


async def test_a_plain_turn_says_nothing_of_its_provider(gateway: Served) -> None:
    reply = (await gateway.post(PATH, {"message": "ping"})).json
    assert "provider" not in reply["metadata"]
    history = await send(gateway, "GET", f"/api/sessions/{reply['session_id']}/history")
    assert history.json["messages"][-1]["content"] == "pong"
    assert "extra" not in history.json["messages"][-1]


TEXT, IMAGE = {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
ODD_PARTS: list[tuple[Any, str]] = [
    ({**TEXT, "cache_control": {}}, "message.0.cache_control"),
    ({"type": "text", "text": 1}, "message.0.text"),
    ({"type": "text"}, "message.0.text"),
    ({**IMAGE, "cache_control": {}}, "message.0.cache_control"),
    ({"type": "image_url", "image_url": {"url": "u", "x": 1}}, "message.0.image_url.x"),
    ({"type": "image_url", "image_url": {}}, "message.0.image_url.url"),
    ({"type": "video"}, "message.0"),
]


@pytest.mark.parametrize(("part", "place"), ODD_PARTS)
async def test_a_part_that_is_not_taken_is_named_by_its_field(gateway: Served, part: Any, place: str) -> None:
    reply = await gateway.post(PATH, {"message": [part]})
    assert (reply.status, reply.json["param"]) == (400, place)


async def test_fields_that_are_named_like_their_type_are_found(gateway: Served) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "bogus": 1}}
    reply = await gateway.post(PATH, {"message": "a", "agent_config": {"response_format": form}})
    assert reply.json["param"] == "agent_config.response_format.json_schema.bogus"
    tool = {"type": "function", "function": {"name": "", "parameters": {}}}
    reply = await gateway.post(PATH, {"message": "a", "agent_config": {"tools": [tool]}})
    assert reply.json["param"] == "agent_config.tools.0.function.name"


async def test_tools_are_called_and_answered(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append(
        [
            Start(),
            ToolCallDelta(id="c1", name="f", arguments='{"a":'),
            ToolCallDelta(arguments="1}"),
            Finish(reason="tool_calls"),
        ]
    )
    called = (await gateway.post(PATH, {"message": "a"})).json
    assert called["tool_calls"][0]["id"] == "c1"
    assert called["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert called["metadata"]["finish_reason"] == "tool_calls"
    results = [{"tool_call_id": "c1", "content": "19"}]
    done = await gateway.post(PATH, {"tool_results": results, "session_id": called["session_id"]})
    assert done.status == 200
    assert done.json["message_count"] == 1
    assert asked(gateway).messages[-1].parts == (ToolResultPart(tool_call_id="c1", content="19"),)

    session, turn = called["session_id"], done.json["metadata"]["turn_id"]
    history = (await gateway.get(f"/api/sessions/{session}/history")).json["messages"]
    assert [message["role"] for message in history] == ["user", "assistant", "tool", "assistant"]
    assert history[1]["tool_calls"] == called["tool_calls"]
    assert history[2]["content"] == [{"type": "tool_result", "tool_call_id": "c1", "content": "19", "is_error": False}]
    assert (await gateway.get(f"/api/sessions/{session}/turns/{turn}")).json["messages"] == history[2:]


def events_of(reply: Reply) -> list[tuple[str, Any]]:
    found = []
    for block in reply.body.decode().strip().split("\n\n"):
        kind, data = block.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.mark.parametrize("by_header", [True, False])
async def test_events_of_a_stream(gateway: Served, by_header: bool) -> None:
    gateway.plugins["scripted"].scripts.append(
        [
            Start(model="m"),
            ReasoningDelta(text="hm"),
            TextDelta(text="a\nb"),
            RefusalDelta(text="no"),
            ToolCallDelta(id="c", name="f", arguments="{}"),
            UsageReport(usage=Usage(1, 0, 0, 1)),
            Finish(reason="stop"),
        ]
    )
    if by_header:
        reply = await gateway.post(PATH, {"message": "a"}, Accept="text/event-stream")
    else:
        reply = await gateway.post(PATH, {"message": "a", "stream": True})
    assert reply.status == 200
    events = events_of(reply)
    assert [kind for kind, _ in events] == [
        "start",
        "reasoning",
        "text",
        "refusal",
        "tool_call",
        "usage",
        "finish",
        "done",
    ]
    assert all(data["type"] == kind for kind, data in events)
    assert events[0][1]["agent_used"] == "scripted"
    assert events[2][1]["text"] == "a\nb"
    done = events[-1][1]
    assert done["response"] == "a\nb"
    assert done["refusal"] == "no"
    assert done["message_count"] == 1
    assert done["metadata"]["tokens_used"] == 2
    assert asked(gateway).stream is True


async def test_stream_false_overrules_the_header(gateway: Served) -> None:
    reply = await gateway.post(PATH, {"message": "a", "stream": False}, Accept="text/event-stream")
    assert reply.json["response"] == "pong"


async def test_a_stream_that_breaks_ends_with_one_error(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([Start(), TextDelta(text="half"), ProviderBadResponse("cut")])
    reply = await gateway.post(PATH, {"message": "a", "stream": True})
    kinds = [kind for kind, _ in events_of(reply)]
    assert kinds == ["start", "text", "error"]
    problem = events_of(reply)[-1][1]
    assert problem["code"] == "provider_bad_response"
    assert problem["status"] == 502
    assert problem["request_id"] == reply.headers["X-Request-Id"]


async def test_an_error_before_the_first_content_is_no_stream(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([ProviderRateLimited("slow down", retry_after=1000)])
    reply = await gateway.post(PATH, {"message": "a", "stream": True, "agent_config": {"timeout": 2}})
    assert reply.status == 429
    assert reply.headers["Retry-After"] == "1000"
    assert reply.headers["Content-Type"].startswith("application/problem+json")


async def test_the_limit_of_a_session(tmp_path: Path) -> None:
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_RATE_LIMIT_PER_SESSION": "2"}) as gateway:
        session = (await gateway.post(PATH, {"message": "a"})).json["session_id"]
        turns = [await gateway.post(PATH, {"message": "a", "session_id": session}) for _ in range(3)]
        assert [turn.status for turn in turns] == [200, 200, 429]
        assert (await gateway.post(PATH, {"message": "a"})).status == 200


@pytest.mark.parametrize("streams", [False, True])
async def test_an_idempotency_key_asks_once(gateway: Served, streams: bool) -> None:
    body = {"message": "a", "stream": streams}
    first = await gateway.post(PATH, body, Idempotency_Key="k-1")
    again = await gateway.post(PATH, body, Idempotency_Key="k-1")
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(gateway.plugins["scripted"].requests) == 1
    other = await gateway.post(PATH, {"message": "b"}, Idempotency_Key="k-1")
    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
    assert (await gateway.post(PATH, body, Idempotency_Key="a b")).status == 400


async def test_a_key_in_flight_is_a_conflict(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([Start(), 0.3, *answer("late")[1:]])
    first = asyncio.create_task(gateway.post(PATH, {"message": "a"}, Idempotency_Key="k-2"))
    await asyncio.sleep(0.1)
    second = await gateway.post(PATH, {"message": "a"}, Idempotency_Key="k-2")
    assert (second.status, second.json["code"]) == (409, "request_in_flight")
    assert second.headers["Retry-After"]
    assert (await first).status == 200


async def test_a_failure_frees_the_key(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.extend([[ProviderBadResponse("x")]] * 2)
    assert (await gateway.post(PATH, {"message": "a"}, Idempotency_Key="k-3")).status == 502
    assert (await gateway.post(PATH, {"message": "a"}, Idempotency_Key="k-3")).status == 200


async def test_a_session_is_made_once_for_a_key(gateway: Served) -> None:
    made = [(await gateway.post("/api/sessions", {}, Idempotency_Key="k-4")).json for _ in range(2)]
    assert made[0] == made[1]
    assert len((await gateway.get("/api/sessions")).json["sessions"]) == 1


async def test_the_end_of_the_grace_period_is_told(gateway: Served) -> None:
    """A stream gets a last event, a whole answer a 503; what had come of both is kept."""
    for _ in range(2):
        gateway.plugins["scripted"].scripts.append([Start(), TextDelta(text="half"), 60.0])
    app = make_app(gateway.gateway, gateway.gateway.config)
    runner = GatewayRunner(app)
    await runner.setup()
    from aiohttp import web  # noqa: PLC0415 - beside its only use

    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    try:
        async with aiohttp.ClientSession() as client:
            stream = await client.post(url, json={"message": "a", "stream": True})
            whole = asyncio.create_task(client.post(url, json={"message": "b"}))
            await stream.content.readuntil(b"half")
            while len(gateway.plugins["scripted"].requests) < 2:
                await asyncio.sleep(0.01)
            gateway.gateway.stopping = True
            await app[LIFECYCLE].drain(0.1)
            assert b"event: error" in (rest := await stream.read())
            assert b"shutting_down" in rest
            refused = await whole
            assert refused.status == 503
            assert (await refused.json(content_type=None))["code"] == "shutting_down"
    finally:
        await runner.cleanup()
    sessions = (await gateway.gateway.store.list_sessions("default", limit=10)).items
    assert len(sessions) == 2
    for session in sessions:
        kept = await gateway.gateway.store.history("default", session.id, limit=10)
        assert {message.turn_state for message in kept.items} == {"interrupted"}
    assert gateway.plugins["scripted"].open == 0


async def test_a_models_name_is_bounded(gateway: Served) -> None:
    body = {"message": "hello", "agent_config": {"provider": "scripted", "model": "m" * 257}}
    refused = await send(gateway, "POST", PATH, body)
    assert (refused.status, refused.json["param"]) == (400, "model")
    assert gateway.plugins["scripted"].requests == []
