"""What the gateway says of itself: its own part of the time, and one line for each request."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web

from fake_upstreams.openai_server import OpenAIServer, completion
from orchestrator_core.config import Settings
from orchestrator_core.security.events import MEANINGS
from orchestrator_core.telemetry.logging import configure
from orchestrator_openai import OpenAIProvider
from scripted_gateway import Reply, Served, served

SLOW = 0.1
"""Seconds that the provider takes."""

HEADER = "X-Orchestrator-Overhead-Ms"
KEY = "sk-proj-" + "Ab1" * 20
USER = {"role": "user", "content": "a secret of the user"}
MODEL = "openai/gpt-5-mini"
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", {"model": MODEL, "messages": [USER]}),
    "openai stream": ("/v1/chat/completions", {"model": MODEL, "messages": [USER], "stream": True}),
    "anthropic": ("/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": [USER]}),
    "anthropic stream": ("/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": [USER], "stream": True}),
    "connector": ("/api/v1/openai/chat", {"messages": [USER]}),
    "api": ("/api/orchestrate", {"message": USER["content"]}),
    "api stream": ("/api/orchestrate", {"message": USER["content"], "stream": True}),
}


class SlowServer(OpenAIServer):
    """Takes its time for each answer."""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(SLOW)
        return await super()._answer(request)


@pytest.fixture
async def upstream() -> AsyncIterator[SlowServer]:
    async with SlowServer() as server:
        yield server


@pytest.fixture
async def gateway(upstream: SlowServer, tmp_path: Path) -> AsyncIterator[Served]:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": upstream.base_url, "OPENAI_DEFAULT_MODEL": "gpt-5-mini"}
    async with served(tmp_path, [OpenAIProvider], environ) as gateway:
        yield gateway


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, shown = list(root.handlers), root.level, warnings.showwarning
    output = io.StringIO()
    configure(Settings.model_validate({"log_format": "json"}), output)
    yield output
    logging.captureWarnings(False)
    warnings.showwarning = shown
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def script(upstream: SlowServer, body: dict[str, Any]) -> None:
    if body.get("stream"):
        start = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini"}
        chunks = [
            {**start, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]},
            {**start, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**start, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}},
        ]
        data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        upstream.answers_raw(data.encode(), content_type="text/event-stream")
    else:
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        upstream.answers({**completion("Hi"), "usage": usage})


async def ask(gateway: Served, upstream: SlowServer, name: str) -> Reply:
    path, body = CALLS[name]
    script(upstream, body)
    reply = await gateway.post(path, body)
    assert reply.status == 200, reply.body
    return reply


async def test_errors_and_what_calls_nobody_have_the_header_too(gateway: Served) -> None:
    for reply in (
        await gateway.get("/api/health"),
        await gateway.get("/nothing"),
        await gateway.post("/v1/chat/completions", {}),
    ):
        assert float(reply.headers[HEADER]) > 0


def total(gateway: Served, name: str) -> float:
    """Return the sum of a histogram with one series."""
    text = gateway.gateway.metrics.render()[0].decode()
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name}_sum"))
    return float(line.split()[-1])


@pytest.mark.parametrize("name", CALLS)
async def test_a_request_has_one_line_with_all_that_is_known_and_nothing_that_was_said(
    gateway: Served, upstream: SlowServer, name: str, log: io.StringIO
) -> None:
    reply = await ask(gateway, upstream, name)
    (line,) = (found for found in map(json.loads, log.getvalue().splitlines()) if found["event"] == "Request")
    assert line["level"] == "INFO"
    assert line["request_id"] == reply.headers["X-Request-Id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", CALLS[name][0], 200)
    assert (line["principal"], line["provider"], line["model"]) == ("anonymous", "openai", "gpt-5-mini")
    assert (line["attempts"], line["input_tokens"], line["output_tokens"]) == (1, 9, 3)
    assert line["cost"] > 0
    assert USER["content"] not in log.getvalue()
    assert KEY not in log.getvalue()
    overhead = float(reply.headers[HEADER])
    assert overhead > 0
    assert line["overhead_ms"] == overhead
    assert total(gateway, "orchestrator_overhead_seconds") * 1000 == pytest.approx(overhead, abs=0.01)
    # What the provider took is no part of it: both fit into the whole.
    assert line["seconds"] >= SLOW + overhead / 1000 - 0.001
    assert total(gateway, "gen_ai_server_request_duration_seconds") == pytest.approx(line["seconds"], abs=0.001)


async def test_tries_that_failed_are_counted_and_said(gateway: Served, upstream: SlowServer, log: io.StringIO) -> None:
    upstream.answers({"error": {"message": "later"}}, 503)
    await ask(gateway, upstream, "openai")
    (line,) = (found for found in map(json.loads, log.getvalue().splitlines()) if found["event"] == "Request")
    assert line["attempts"] == 2
    text = gateway.gateway.metrics.render()[0].decode()
    assert 'orchestrator_retries_total{provider="openai"} 1.0' in text
    assert 'orchestrator_attempts_total{operation="chat",outcome="ok",provider="openai"} 1.0' in text
    assert 'orchestrator_calls_in_flight{provider="openai"} 0.0' in text
    assert "orchestrator_streams_in_flight 0.0" in text


async def test_events_of_security_are_shown_before_the_first(gateway: Served) -> None:
    text = gateway.gateway.metrics.render()[0].decode()
    for event in MEANINGS:
        assert f'orchestrator_security_events_total{{event="{event}"}} 0.0' in text


async def test_what_is_under_way_is_shown(gateway: Served, upstream: SlowServer) -> None:
    task = asyncio.create_task(ask(gateway, upstream, "openai stream"))
    metrics = gateway.gateway.metrics
    while b'orchestrator_calls_in_flight{provider="openai"} 1.0' not in metrics.render()[0]:
        await asyncio.sleep(0.01)
    assert b"orchestrator_http_requests_in_flight 1.0" in metrics.render()[0]
    await task
    assert b'orchestrator_calls_in_flight{provider="openai"} 0.0' in metrics.render()[0]
    assert b"orchestrator_http_requests_in_flight 0.0" in metrics.render()[0]


async def test_sessions_and_turns_are_counted(gateway: Served, upstream: SlowServer) -> None:
    await ask(gateway, upstream, "api")
    assert (await gateway.post("/api/sessions", {})).status == 201
    upstream.answers({"error": {"message": "no"}}, 400)
    assert (await gateway.post(*CALLS["api"])).status == 400
    text = gateway.gateway.metrics.render()[0].decode()
    assert "orchestrator_sessions_created_total 3.0" in text
    assert 'orchestrator_turns_total{state="complete"} 1.0' in text
    assert 'orchestrator_turns_total{state="failed"} 1.0' in text
    assert 'orchestrator_errors_total{code="provider_refused",surface="api"} 1.0' in text
