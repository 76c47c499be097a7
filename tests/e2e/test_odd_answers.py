"""JSON that a provider should never send, through every surface: a clean answer or a 502, and the next turn goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator_core.resilience import retry
from orchestrator_openai import OpenAIProvider
from scripted_gateway import Reply, Served, served

WHOLE = (
    '{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":'
    '"assistant","content":"pong"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
)
CHUNK = (
    '{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":'
    '"pong"},"finish_reason":null}]}'
)
END = (
    '{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
)
VECTORS = (
    '{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5,1]}],'
    '"usage":{"prompt_tokens":3,"total_tokens":3}}'
)
HUGE = "1" + "0" * 400
NOT_A_NUMBER = '"AADAfw=="'
"""The NaN of 32 bits in base64, as vectors come."""
NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", HUGE, "9" * 5000, "9223372036854775808", "-1", "2.5")
OTHERS = ("null", "true", '"x"', "[]", "{}", "[7]", '{"a":1}', r'"\ud800"', r'"a\u0000b"', r'"a\r\nX-Evil: y"')
FIELDS = (
    '"prompt_tokens":3',
    '"completion_tokens":2',
    '"total_tokens":5',
    '"created":1',
    '"index":0',
    '"content":"pong"',
    '"finish_reason":"stop"',
    '"model":"m"',
    '"id":"c1"',
)
STRUCTURES = ('"usage":{', '"choices":[', '"message":{', '"delta":{')


def odd_answers() -> Iterator[tuple[str, str, list[str]]]:
    """Yield a name, a whole answer and the chunks of a streamed one."""
    for field in FIELDS:
        name = field.partition(":")[0]
        for value in (*NUMBERS, *OTHERS):
            changed = [text.replace(field, f"{name}:{value}") for text in (WHOLE, CHUNK, END)]
            yield f"{name}: {value[:12]}", changed[0], changed[1:]
    for start in STRUCTURES:
        name = start.partition(":")[0]
        for value in (*NUMBERS, *OTHERS):
            changed = [text.replace(start, f'{name}:{value},"was":{start[-1]}') for text in (WHOLE, CHUNK, END)]
            yield f"{name}: {value[:12]}", changed[0], changed[1:]
    for value in (*NUMBERS, *OTHERS):
        yield f"all of it: {value[:12]}", value, [value]
        yield f"after the content: {value[:12]}", WHOLE + value, [CHUNK, value, END]
        error = f'{{"error":{{"message":{value},"type":{value},"code":{value},"param":{value}}}}}'
        yield f"error: {value[:12]}", error, [CHUNK, error]


@dataclass
class Upstream:
    """An upstream that answers every call alike."""

    whole: str = WHOLE
    chunks: tuple[str, ...] = (CHUNK, END)
    url: str = ""

    async def serve(self, request: web.Request) -> web.Response:
        if not (await request.json()).get("stream"):
            return web.Response(body=self.whole.encode(), content_type="application/json")
        events = "".join(f"data: {data}\n\n" for data in (*self.chunks, "[DONE]"))
        return web.Response(body=events.encode(), content_type="text/event-stream")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield server
    await runner.cleanup()


@pytest.fixture
async def gateway(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    environ = {
        "OPENAI_API_KEY": "sk-proj-" + "Ab1" * 20,
        "OPENAI_BASE_URL": upstream.url,
        "MONITORING_ENABLED": "false",
        "ORCHESTRATOR_BREAKER_ENABLED": "false",  # every odd answer is to be asked for
    }
    async with served(tmp_path, [OpenAIProvider], environ) as gateway:
        yield gateway


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def strict_json(data: bytes) -> Any:
    """Read JSON as the standard has it; numbers may have any length."""
    return json.loads(data, parse_constant=refuse, parse_int=str)


def problem_of(reply: Reply) -> str | None:
    """Say what is wrong with how an odd answer was passed on."""
    if reply.status not in (200, 502, 503):
        return f"status {reply.status}: {reply.body[:200]!r}"
    if "x-evil" in {name.lower() for name in reply.headers}:
        return "a header was injected"
    streamed = reply.headers["Content-Type"].startswith("text/event-stream")
    try:
        said = [strict_json(data) for data in (reply.events if streamed else [reply.body]) if data != b"[DONE]"]
    except ValueError as error:
        return f"no JSON: {error}"
    if "internal_error" in reply.body.decode() or "plugin_error" in reply.body.decode():
        return f"called a fault of the gateway: {said[-1]}"
    if streamed and reply.events[-1] != b"[DONE]" and not ({"error", "code", "response"} & set(said[-1])):
        return "a stream without an end"
    return None


USER = {"role": "user", "content": "ping"}
SURFACES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "openai/m", "messages": [USER]},
    "/api/v1/openai/chat": {"model": "m", "messages": [USER]},
    "/api/orchestrate": {"message": "ping", "agent_config": {"provider": "openai", "model": "m"}},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
async def test_odd_answers_are_clean_or_the_providers_fault(
    gateway: Served, upstream: Upstream, path: str, stream: bool
) -> None:
    problems: dict[str, str] = {}
    statuses: set[int] = set()
    for name, whole, chunks in odd_answers():
        upstream.whole, upstream.chunks = whole, tuple(chunks)
        reply = await gateway.post(path, {**SURFACES[path], "stream": stream})
        statuses.add(reply.status)
        problem = problem_of(reply)
        if problem is not None:
            problems[name] = problem
    assert problems == {}
    assert statuses >= {200, 502}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_session_goes_on_after_every_odd_answer(gateway: Served, upstream: Upstream, stream: bool) -> None:
    first = (await gateway.post("/api/orchestrate", SURFACES["/api/orchestrate"])).json
    turn = {**SURFACES["/api/orchestrate"], "session_id": first["session_id"]}
    problems: dict[str, Any] = {}
    for number, (name, whole, chunks) in enumerate(odd_answers()):
        if number % 5:  # every fifth is enough: each of these conversations is a long one
            continue
        upstream.whole, upstream.chunks = whole, tuple(chunks)
        await gateway.post("/api/orchestrate", {**turn, "stream": stream})
        upstream.whole, upstream.chunks = WHOLE, (CHUNK, END)
        good = await gateway.post("/api/orchestrate", turn)
        if good.status != 200 or good.json["response"] != "pong":
            problems[name] = good.body
    assert problems == {}
    where = f"/api/sessions/{first['session_id']}"
    for tail in ("", "/history?limit=100", "/metrics"):
        reply = await gateway.get(where + tail)
        assert reply.status == 200
        strict_json(reply.body)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/v1/openai/embeddings"])
async def test_odd_vectors(gateway: Served, upstream: Upstream, path: str) -> None:
    problems: dict[str, str] = {}
    for field in ('"embedding":[0.5,1]', "0.5", '"index":0', '"prompt_tokens":3', '"total_tokens":3', '"model":"m"'):
        name, colon, _ = field.partition(":")
        for value in (*NUMBERS, *OTHERS, NOT_A_NUMBER):
            upstream.whole = VECTORS.replace(field, f"{name}:{value}" if colon else value)
            model = "openai/m" if path.startswith("/v1") else "m"
            problem = problem_of(await gateway.post(path, {"model": model, "input": "a"}))
            if problem is not None:
                problems[f"{name}: {value[:12]}"] = problem
    assert problems == {}
