from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider, Step, answer
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    Adjustment,
    ChatRequest,
    Finish,
    ImagePart,
    NativeEvent,
    NativeOnly,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRefused,
    ReasoningDelta,
    ReasoningPart,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from scripted_gateway import Reply, Served, served

PATH = "/v1/messages"
USER = {"role": "user", "content": "ping"}
TOOL = {"name": "weather", "description": "d", "input_schema": {"type": "object"}}


class Speaking(ScriptedProvider):
    """A provider of the dialect itself."""

    info = replace(ScriptedProvider.info, name="speaking", dialects=(ANTHROPIC_MESSAGES,))


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider, Speaking]) as gateway:
        yield gateway


def asked(gateway: Served, provider: str = "scripted") -> ChatRequest:
    request = gateway.plugins[provider].requests[-1]
    assert isinstance(request, ChatRequest)
    return request


def ask(model: str = "scripted/m", **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [USER], **fields}


def named(reply: Reply) -> Sequence[tuple[str, Any]]:
    """The names and the data of the events of a stream."""
    events = []
    for frame in reply.body.decode().strip().split("\n\n"):
        name, data = frame.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


async def test_an_answer_is_translated(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append(
        [
            Start(id="i", model="n", adjustments=[Adjustment("top_p", "dropped", "r")]),
            ReasoningDelta(text="hm"),
            TextDelta(text="Let me see."),
            ToolCallDelta(id="c", name="weather", arguments='{"city": "Paris"}'),
            UsageReport(usage=Usage(3, 1, 4, 2, 5)),
            Finish(reason="tool_calls"),
        ]
    )
    reply = await gateway.post(PATH, ask(temperature=0.5, top_k=3, safe_prompt=True, tools=[TOOL]))
    assert reply.status == 200
    assert reply.json == {
        "id": "i",
        "type": "message",
        "role": "assistant",
        "model": "n",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "c", "name": "weather", "input": {"city": "Paris"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 4,
            "cache_read_input_tokens": 1,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 5},
        },
    }
    assert reply.headers["x-orchestrator-provider"] == "scripted"
    assert reply.headers["x-orchestrator-dropped"] == "top_p"
    assert reply.headers["request-id"] == reply.headers["x-request-id"]
    request = asked(gateway)
    assert (request.model, request.temperature, request.max_tokens) == ("m", 0.5, 100)
    assert request.extra == {"top_k": 3, "safe_prompt": True}
    assert request.tools[0].parameters == {"type": "object"}


async def test_a_stream_is_translated(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append(
        [
            Start(id="i", model="n", adjustments=[Adjustment("seed", "dropped", "r")]),
            UsageReport(usage=Usage(3)),
            TextDelta(text="a"),
            TextDelta(text="b"),
            UsageReport(usage=Usage(3, output_tokens=2)),
            Finish(reason="length"),
        ]
    )
    reply = await gateway.post(PATH, ask(stream=True))
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    assert reply.headers["x-orchestrator-dropped"] == "seed"
    events = named(reply)
    assert all(name == data["type"] for name, data in events)
    assert [name for name, _ in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0][1]["message"]["usage"]["input_tokens"] == 3
    assert events[2][1]["content_block"] == {"type": "text", "text": ""}
    assert events[-2][1]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert events[-2][1]["usage"]["output_tokens"] == 2
    assert asked(gateway).stream


async def test_native_bytes_are_not_touched(gateway: Served) -> None:
    body = b'{ "id": "x",  "unknown": [1] }'
    script = [Start(native=NativeEvent(ANTHROPIC_MESSAGES, body)), TextDelta(text="a"), Finish()]
    gateway.plugins["speaking"].scripts.append(script)
    sent = ask("speaking/m", mcp_servers=[{"url": "u"}], next_year=1)
    reply = await gateway.post(PATH, sent, anthropic_version="2023-06-01", anthropic_beta="a-1")
    assert reply.body == body
    assert "x-orchestrator-dropped" not in reply.headers
    native = asked(gateway, "speaking").native
    assert native is not None
    assert (native.dialect, native.body) == (ANTHROPIC_MESSAGES, sent)
    assert native.headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1"}


async def test_native_events_are_not_touched(gateway: Served) -> None:
    first, ping, last = b'{"type": "message_start", "new": 1}', b'{"type":"ping"}', b'{"type":"message_stop"}'
    script = [
        Start(native=NativeEvent(ANTHROPIC_MESSAGES, first, "message_start")),
        NativeOnly(native=NativeEvent(ANTHROPIC_MESSAGES, ping)),
        TextDelta(text="a"),
        Finish(native=NativeEvent(ANTHROPIC_MESSAGES, last, "message_stop")),
    ]
    gateway.plugins["speaking"].scripts.append(script)
    reply = await gateway.post(PATH, ask("speaking/m", stream=True))
    frames = [(b"message_start", first), (b"ping", ping), (b"message_stop", last)]
    assert reply.body == b"".join(b"event: %b\ndata: %b\n\n" % frame for frame in frames)


ONLY_HERE: list[tuple[dict[str, Any], str]] = [
    ({"mcp_servers": [{"type": "url", "url": "u"}]}, "mcp_servers"),
    ({"metadata": {"user_id": "u"}}, "metadata"),
    ({"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]}, "cache_control"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.web_search"),
    ({"tools": [{**TOOL, "defer_loading": True}]}, "defer_loading"),
]


@pytest.mark.parametrize(("fields", "name"), ONLY_HERE)
async def test_what_only_this_dialect_can_say_is_reported_elsewhere(
    gateway: Served, fields: dict[str, Any], name: str
) -> None:
    for stream in (False, True):
        reply = await gateway.post(PATH, ask(stream=stream, **fields))
        assert reply.headers["x-orchestrator-dropped"] == name
    assert name not in asked(gateway).extra
    assert "x-orchestrator-dropped" not in (await gateway.post(PATH, ask("speaking/m", **fields))).headers


@pytest.mark.parametrize(("fields", "name"), ONLY_HERE)
async def test_a_strict_caller_is_refused_it(gateway: Served, fields: dict[str, Any], name: str) -> None:
    refused = await gateway.post(PATH, ask(**fields), X_Orchestrator_Strict="true")
    assert refused.status == 400
    assert refused.json["error"]["type"] == "invalid_request_error"
    assert name in refused.json["error"]["message"]
    assert not gateway.plugins["scripted"].requests
    assert (await gateway.post(PATH, ask("speaking/m", **fields), X_Orchestrator_Strict="true")).status == 200


async def test_what_another_provider_noted_comes_back_to_it(gateway: Served) -> None:
    thought, call = {"scripted": {"item": "rs_1"}}, {"scripted": {"signature": "s"}}
    script: list[Step] = [
        Start(),
        ReasoningDelta(text="hm"),
        ReasoningDelta(provider_metadata=thought),
        ReasoningDelta(block=1, provider_metadata=thought),
        ToolCallDelta(id="c", name="f", arguments="{}", provider_metadata=call),
        Finish(reason="tool_calls"),
    ]
    gateway.plugins["scripted"].scripts.append(script)
    content = (await gateway.post(PATH, ask())).json["content"]
    assert [block["type"] for block in content] == ["thinking", "redacted_thinking", "tool_use"]
    history = [
        USER,
        {"role": "assistant", "content": content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "ok", "is_error": True}]},
    ]
    await gateway.post(PATH, ask(messages=history))
    request = asked(gateway)
    first, second, third = request.messages[1].parts
    assert first == ReasoningPart(text="hm", provider_metadata=thought)
    assert second == ReasoningPart(provider_metadata=thought)
    assert third.provider_metadata == call
    assert request.messages[2].role == "tool"
    # A provider of the dialect would refuse these signatures: it is given the canonical form.
    await gateway.post(PATH, ask("speaking/m", messages=history))
    assert asked(gateway, "speaking").native is None
    assert asked(gateway, "speaking").native_options is not None


async def test_an_error_before_the_first_content_has_a_status(gateway: Served) -> None:
    for error, status, kind in (
        (ProviderRefused("No.", upstream_status=400), 400, "invalid_request_error"),
        (ProviderQuotaExhausted("Paid?"), 429, "rate_limit_error"),
    ):
        gateway.plugins["scripted"].scripts.append([error])
        reply = await gateway.post(PATH, ask(stream=True))
        assert reply.status == status
        body = reply.json
        assert (body["type"], body["error"]["type"]) == ("error", kind)
        assert body["request_id"] == reply.headers["request-id"]


async def test_an_error_after_it_is_the_last_event(gateway: Served) -> None:
    script: list[Step] = [Start(), TextDelta(text="a"), ProviderFailed("Broken.")]
    gateway.plugins["scripted"].scripts.append(script)
    reply = await gateway.post(PATH, ask(stream=True))
    assert reply.status == 200
    name, data = named(reply)[-1]
    assert name == "error"
    assert (data["type"], data["error"]["type"], data["error"]["message"]) == ("error", "api_error", "Broken.")
    assert "message_stop" not in [name for name, _ in named(reply)]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"messages": [USER]}, "model"),
        ({"model": "scripted/m"}, "messages"),
        (ask(messages=["x"]), "messages.0"),
        (ask(messages=[{"role": "user"}]), "messages.0.content"),
        (ask(messages=[{"role": "tool", "content": "x"}]), "messages.0.role"),
        (ask(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages.0.content.0.text"),
        (ask(messages=[{"role": "user", "content": [{"type": "image"}]}]), "messages.0.content.0.source"),
        (ask(system=5), "system"),
        (ask(max_tokens=0), "max_tokens"),
        (ask(stop_sequences=[1]), "stop_sequences.0"),
        (ask(tools=[{"input_schema": {}}]), "tools.0.name"),
        (ask(tool_choice={"type": "some"}), "tool_choice.type"),
        (ask(thinking={}), "thinking.type"),
        (ask(output_config={"format": {"type": "grammar"}}), "output_config.format.type"),
    ],
)
async def test_refusals_name_the_place(gateway: Served, body: Any, place: str) -> None:
    reply = await gateway.post(PATH, body)
    assert reply.status == 400
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert place in reply.json["error"]["message"]
    assert not gateway.plugins["scripted"].requests


async def test_a_session_has_the_history(gateway: Served) -> None:
    session = await gateway.post("/api/sessions", {})
    joined = {"X_Session_Id": session.json["session_id"]}
    call: list[Step] = [Start(), ToolCallDelta(id="c", name="f", arguments="{}"), Finish(reason="tool_calls")]
    gateway.plugins["scripted"].scripts.extend([call, answer("Two million.")])
    first = await gateway.post(PATH, ask(), **joined)
    assert first.headers["X-Session-Id"] == session.json["session_id"]
    result = [
        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "21"}]},
        {"type": "text", "text": "Go on."},
    ]
    history = [USER, {"role": "assistant", "content": "not this"}, {"role": "user", "content": result}]
    second = await gateway.post(PATH, ask(messages=history, system="Be short.", stream=True), **joined)
    assert "".join(data["delta"].get("text", "") for _, data in named(second) if "delta" in data) == "Twomillion."
    request = asked(gateway)
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool", "user"]
    assert request.native is None
    assert request.native_options is not None


async def test_an_idempotency_key_asks_once(gateway: Served) -> None:
    for stream in (False, True):
        replies = [await gateway.post(PATH, ask(stream=stream), Idempotency_Key=f"k{stream}") for _ in range(2)]
        assert replies[0].body == replies[1].body
    assert len(gateway.plugins["scripted"].requests) == 2


async def test_tokens_are_estimated_and_say_so(gateway: Served) -> None:
    path = f"{PATH}/count_tokens"
    reply = await gateway.post(path, {"model": "scripted/m", "messages": [USER]})
    assert reply.json == {"input_tokens": 9, "estimated": True}
    assert reply.headers["x-orchestrator-estimated"] == "input_tokens"
    longer = await gateway.post(path, {"model": "scripted/m", "messages": [USER], "system": "x" * 400, "tools": [TOOL]})
    assert 110 < longer.json["input_tokens"] < 130
    picture = {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}}
    shown = {"model": "scripted/m", "messages": [{"role": "user", "content": [picture]}]}
    assert (await gateway.post(path, shown)).json["input_tokens"] > 1000
    unknown = await gateway.post(path, {"model": "nobody/m", "messages": [USER]})
    assert (unknown.status, unknown.json["error"]["type"]) == (404, "not_found_error")
    assert not gateway.plugins["scripted"].requests


async def test_images_arrive(gateway: Served) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    await gateway.post(PATH, ask(messages=[{"role": "user", "content": [{"type": "image", "source": source}]}]))
    assert asked(gateway).messages[0].parts == (ImagePart(data="aGk=", media_type="image/png"),)


async def test_a_credential_as_the_sdk_sends_it(tmp_path: Path) -> None:
    key = "client-key-of-forty-characters-0123456789"
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_CLIENT_KEY": key}) as gateway:
        assert (await gateway.post(PATH, ask(), x_api_key=key)).status == 200
        assert (await gateway.post(PATH, ask(), Authorization=f"Bearer {key}")).status == 200
        refused = await gateway.post(PATH, ask(), x_api_key="wrong")
    assert (refused.status, refused.json["error"]["type"]) == (401, "authentication_error")
