from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider, Step, answer
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    Adjustment,
    ChatEvent,
    ChatRequest,
    Finish,
    ModelInfo,
    NativeEvent,
    NativeOnly,
    ProviderAuthFailed,
    ProviderContext,
    ProviderFailed,
    ProviderInfo,
    ProviderRefused,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    hookimpl,
    one_by_one,
)
from scripted_gateway import Served, served

PATH = "/v1/chat/completions"
FORMS = (False, True)
USER = {"role": "user", "content": "ping"}


class Watched(ScriptedProvider):
    """Tells when a call was closed."""

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.closed = asyncio.Event()

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        async with aclosing(one_by_one(super().chat(request))) as events:
            try:
                async for event in events:
                    yield event
            finally:
                self.closed.set()


class Second(ScriptedProvider):
    info = ProviderInfo(
        name="second",
        title="Second",
        capabilities=("chat",),
        requires_key=False,
        default_model="second-1",
        aliases=("deux",),
        models=(ModelInfo(id="org/second-1", description="A second one"),),
    )


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    environ = {
        "ORCHESTRATOR_ALIASES": '{"fast": "second/org/second-1", "gone": "nobody/x"}',
        "ORCHESTRATOR_FALLBACKS": "second",
    }
    async with served(tmp_path, [Watched, Second], environ) as gateway:
        yield gateway


def asked(gateway: Served, provider: str = "scripted") -> ChatRequest:
    request = gateway.plugins[provider].requests[-1]
    assert isinstance(request, ChatRequest)
    return request


def ask(model: str = "scripted/m", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [USER], **fields}


async def test_an_answer_is_translated(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append(
        [
            Start(id="i", model="n", adjustments=[Adjustment("seed", "dropped", "r"), Adjustment("n", "mapped", "r")]),
            ToolCallDelta(id="c", name="f", arguments="{}"),
            UsageReport(usage=Usage(3, 1, 0, 2)),
            Finish(reason="tool_calls"),
        ]
    )
    reply = await gateway.post(PATH, ask(temperature=0, safe_prompt=True))
    assert reply.status == 200
    assert reply.json["id"] == "i"
    assert reply.json["model"] == "n"
    assert reply.json["choices"][0]["finish_reason"] == "tool_calls"
    assert reply.json["choices"][0]["message"]["content"] is None
    assert reply.json["usage"]["prompt_tokens"] == 4
    assert reply.headers["x-orchestrator-provider"] == "scripted"
    assert reply.headers["x-orchestrator-model"] == "n"
    assert reply.headers["x-orchestrator-dropped"] == "seed"
    assert reply.headers["x-orchestrator-attempts"] == "1"
    assert reply.headers["x-request-id"]
    request = asked(gateway)
    assert (request.model, request.temperature, request.extra) == ("m", 0, {"safe_prompt": True})
    assert not request.stream


async def test_native_bytes_are_not_touched(gateway: Served) -> None:
    body = b'{ "id": "x",  "unknown": [1] }'
    script = [Start(native=NativeEvent(OPENAI_CHAT, body)), TextDelta(text="a"), Finish()]
    gateway.plugins["scripted"].scripts.append(script)
    reply = await gateway.post(PATH, ask())
    assert reply.body == body
    assert reply.headers["Content-Type"].startswith("application/json")


async def test_native_events_are_not_touched(gateway: Served) -> None:
    first, usage, last = b'{"choices": [ {} ]}', b'{"choices":[],"usage":{}}', b'{"x":1}'
    more = (b'{"y": 2}', b'{"z":3}')
    script = [
        Start(native=NativeEvent(OPENAI_CHAT, first)),
        TextDelta(text="a"),
        Finish(),
        UsageReport(usage=Usage(1), native=NativeEvent(OPENAI_CHAT, usage)),
        NativeOnly(native=NativeEvent(OPENAI_CHAT, last, more=more)),
    ]
    gateway.plugins["scripted"].scripts.extend([script, script])
    reply = await gateway.post(PATH, ask(stream=True))
    assert reply.events == [first, last, *more, b"[DONE]"]
    reply = await gateway.post(PATH, ask(stream=True, stream_options={"include_usage": True}))
    assert reply.events == [first, usage, last, *more, b"[DONE]"]


async def test_a_stream_is_translated(gateway: Served) -> None:
    reply = await gateway.post(PATH, ask(stream=True, stream_options={"include_usage": True}))
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    assert reply.headers["x-orchestrator-provider"] == "scripted"
    assert asked(gateway).stream
    assert reply.events[-1] == b"[DONE]"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in reply.chunks[:-1]) == "pong"
    assert reply.chunks[-1]["usage"]["total_tokens"] == 5


async def test_what_a_provider_of_another_dialect_says_arrives_in_both_forms(gateway: Served) -> None:
    script: list[Step] = [
        Start(id="i", adjustments=[Adjustment("seed", "dropped", "r"), Adjustment("image", "downgraded", "r")]),
        ReasoningDelta(text="hm", provider_metadata={"acme": {"signature": "s"}}),
        TextDelta(text="a"),
        UsageReport(usage=Usage(3, 2, 1, 5, 4)),
        Finish(),
    ]
    gateway.plugins["scripted"].scripts.extend([script, script])
    whole = await gateway.post(PATH, ask())
    message = whole.json["choices"][0]["message"]
    streamed = await gateway.post(PATH, ask(stream=True, stream_options={"include_usage": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed.chunks if chunk["choices"]]
    for reply, said, usage in (
        (whole, message, whole.json["usage"]),
        (streamed, deltas[1], streamed.chunks[-1]["usage"]),
    ):
        assert reply.headers["x-orchestrator-dropped"] == "seed, image"
        assert said["reasoning_content"] == "hm"
        assert said["reasoning_details"][0]["extra_content"] == {"acme": {"signature": "s"}}
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (6, 9, 15)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 2
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 4


async def test_an_error_before_the_first_content_has_a_status(gateway: Served) -> None:
    error = ProviderRefused("No.", param="messages[0]", upstream_status=400, upstream_type="t", upstream_code="c")
    gateway.plugins["scripted"].scripts.append([error])
    reply = await gateway.post(PATH, ask(stream=True))
    assert reply.status == 400
    assert reply.json == {"error": {"message": "No.", "type": "t", "param": "messages[0]", "code": "c"}}


async def test_an_error_after_it_is_the_last_event(gateway: Served) -> None:
    script: list[Step] = [Start(), TextDelta(text="a"), ProviderFailed("Broken.")]
    gateway.plugins["scripted"].scripts.append(script)
    reply = await gateway.post(PATH, ask(stream=True))
    assert reply.status == 200
    assert b"[DONE]" not in reply.events
    assert [bool(chunk.get("error")) for chunk in reply.chunks] == [False, False, True]
    assert reply.chunks[-1]["error"]["code"] == "provider_failed"


async def test_the_configured_chain_answers(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([ProviderFailed("Broken.")])
    reply = await gateway.post(PATH, ask())
    assert reply.headers["x-orchestrator-provider"] == "second"
    assert reply.headers["x-orchestrator-attempts"] == "2"
    assert reply.json["choices"][0]["message"]["content"] == "pong"


async def test_a_key_of_the_caller_stays_with_its_provider(gateway: Served) -> None:
    refusal: list[Step] = [ProviderAuthFailed("Refused.")]
    gateway.plugins["scripted"].scripts.extend([refusal, refusal])
    reply = await gateway.post(PATH, ask(), X_Provider_Key="own-key")
    assert reply.status == 401
    assert reply.json["error"]["code"] == "provider_auth_failed"
    assert not gateway.plugins["second"].requests
    assert (await gateway.post(PATH, ask())).headers["x-orchestrator-provider"] == "second"


async def test_nobody_else_gives_vectors(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.extend([[ProviderFailed("Broken.")]] * 2)
    reply = await gateway.post("/v1/embeddings", {"model": "scripted/e", "input": "a"})
    assert reply.status == 502
    assert not gateway.plugins["second"].requests


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("second/x", "x"),
        ("deux/x/y", "x/y"),
        ("second", "second-1"),
        ("fast", "org/second-1"),
    ],
)
async def test_names_that_resolve(gateway: Served, name: str, model: str) -> None:
    assert (await gateway.post(PATH, ask(name))).status == 200
    assert asked(gateway, "second").model == model


@pytest.mark.parametrize("name", ["second-1", "nobody/x", "gone", "gpt-6-luna"])
async def test_names_are_not_guessed(gateway: Served, name: str) -> None:
    reply = await gateway.post(PATH, ask(name))
    assert reply.status == 404
    assert reply.json["error"]["code"] == "model_not_found"
    assert "provider/model" in reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [USER]}, "model"),
        ({"model": "scripted/m"}, "messages"),
        (ask(temperature="hot"), "temperature"),
        (ask(messages=[{"role": "user"}]), "messages.0.content"),
        (ask(stream_options={"include_usage": 1}), "stream_options.include_usage"),
    ],
)
async def test_refusals(gateway: Served, body: Any, param: str) -> None:
    reply = await gateway.post(PATH, body)
    assert reply.status == 400
    assert reply.json["error"]["param"] == param
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert not gateway.plugins["scripted"].requests


async def test_a_session_has_the_history(gateway: Served) -> None:
    session = await gateway.post("/api/sessions", {})
    joined = {"X_Session_Id": session.json["session_id"]}
    gateway.plugins["scripted"].scripts.extend([answer("Paris."), answer("Two million.")])
    first = await gateway.post(PATH, ask(), **joined)
    assert first.json["choices"][0]["message"]["content"] == "Paris."
    assert first.headers["X-Session-Id"] == session.json["session_id"]
    history = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "not what was said"},
        {"role": "assistant", "content": "nor this"},
        {"role": "user", "content": "How many"},
        {"role": "user", "content": "people?"},
    ]
    second = await gateway.post(PATH, ask(messages=history, stream=True), **joined)
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in second.chunks) == "Twomillion."
    texts = [(message.role, message.text) for message in asked(gateway).messages]
    assert texts == [
        ("system", "Be short."),
        ("user", "ping"),
        ("assistant", "Paris."),
        ("user", "How many"),
        ("user", "people?"),
    ]
    assert asked(gateway).native is None
    stored = await gateway.get(f"/api/sessions/{session.json['session_id']}")
    assert stored.json["message_count"] == 3


@pytest.mark.parametrize("session", ["sess_" + "0" * 32, "sess_nonsense", "../x"])
async def test_an_unknown_session(gateway: Served, session: str) -> None:
    reply = await gateway.post(PATH, ask(), X_Session_Id=session)
    assert reply.status == 404
    assert not gateway.plugins["scripted"].requests


async def test_an_idempotency_key_asks_once(gateway: Served) -> None:
    replies = [await gateway.post(PATH, ask(stream=stream), Idempotency_Key=f"k{stream}") for stream in FORMS]
    again = [await gateway.post(PATH, ask(stream=stream), Idempotency_Key=f"k{stream}") for stream in FORMS]
    assert [reply.body for reply in again] == [reply.body for reply in replies]
    assert len(gateway.plugins["scripted"].requests) == 2


async def test_embeddings_in_both_forms(gateway: Served) -> None:
    body = {"model": "scripted/e", "input": ["a", "b"]}
    floats = await gateway.post("/v1/embeddings", body)
    assert [row["embedding"] for row in floats.json["data"]] == [[1.0], [1.0]]
    assert floats.json["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    packed = await gateway.post("/v1/embeddings", {**body, "encoding_format": "base64"})
    assert struct.unpack("<f", base64.b64decode(packed.json["data"][1]["embedding"])) == (1.0,)
    refused = await gateway.post("/v1/embeddings", {**body, "encoding_format": "int8"})
    assert refused.json["error"]["param"] == "encoding_format"


async def test_models(gateway: Served) -> None:
    listed = (await gateway.get("/v1/models")).json
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["fast", "second/org/second-1"]
    for path in ("second/org/second-1", "second%2Forg%2Fsecond-1"):
        reply = await gateway.get(f"/v1/models/{path}")
        assert reply.json["owned_by"] == "second"
        assert reply.json["description"] == "A second one"
    assert (await gateway.get("/v1/models/fast")).json["alias_of"] == ["second/org/second-1"]
    missing = await gateway.get("/v1/models/second/none")
    assert missing.status == 404
    assert missing.json["error"]["code"] == "model_not_found"


async def test_a_client_that_leaves_ends_the_call(gateway: Served) -> None:
    plugin = gateway.plugins["scripted"]
    assert isinstance(plugin, Watched)
    plugin.scripts.append([Start(), TextDelta(text="a"), 30.0])
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    body = json.dumps(ask(stream=True)).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await reader.readuntil(b"data: ")
    assert plugin.open == 1
    writer.close()
    async with asyncio.timeout(1):
        await plugin.closed.wait()
