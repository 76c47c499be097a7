"""Budgets of clients whose streams end before anybody said what they used, with the real plugins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from orchestrator_anthropic import AnthropicProvider
from orchestrator_openai import OpenAIProvider
from scripted_gateway import served

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
WORDS = 8000
LONG = 3 * WORDS
PRICES = '{"*/*": {"input": 1, "output": 10}}'
"""Cents for a thousand words: whoever is charged nothing is found out."""


def openai_chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test", "choices": [choice]}
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def anthropic_event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


class Talkative:
    """A vendor of both protocols that streams words, and then says what they cost, does not, or waits for ever."""

    def __init__(self) -> None:
        self.waits = True
        self.field = "content"
        self.at_once = 1

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.openai)
        app.router.add_post("/v1/messages", self.anthropic)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        return response

    async def openai(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        await response.write(openai_chunk({"role": "assistant", "content": ""}))
        for _ in range(WORDS // self.at_once):
            await response.write(openai_chunk({self.field: "words " * self.at_once}))
        if self.waits:
            await asyncio.sleep(30)
        await response.write(openai_chunk({}, "stop") + b"data: [DONE]\n\n")
        return response

    async def anthropic(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        usage = {"input_tokens": 5, "output_tokens": 1}
        message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-test", "content": []}
        await response.write(anthropic_event("message_start", message={**message, "usage": usage}))
        await response.write(
            anthropic_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        )
        for _ in range(WORDS):
            delta = {"type": "text_delta", "text": "words "}
            await response.write(anthropic_event("content_block_delta", index=0, delta=delta))
        await asyncio.sleep(30)
        return response


class Api:
    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self.url = url
        self.client = client
        self.key = ADMIN

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def has(self, **budget: Any) -> None:
        body = {"name": "app", "budget": budget}
        async with self.client.post(f"{self.url}/api/clients", json=body, headers=self._headers()) as made:
            self.key = (await made.json())["key"]

    async def budget(self) -> Any:
        async with self.client.get(f"{self.url}/api/clients/me", headers=self._headers()) as reply:
            return (await reply.json())["budget"]

    async def settled(self) -> Any:
        async with asyncio.timeout(10):
            while (budget := await self.budget())["held_tokens"]:
                await asyncio.sleep(0.02)
        return budget

    async def stream(self, path: str, body: Any, words: int = WORDS) -> int:
        """Read so many words of a stream and leave; return the status."""
        async with self.client.post(
            self.url + path, json={**body, "stream": True}, headers=self._headers()
        ) as response:
            seen = b""
            async for piece in response.content.iter_any():
                seen += piece
                if seen.count(b"words ") >= WORDS:
                    break
            return response.status


@asynccontextmanager
async def gateway_at(directory: Path, upstream: str) -> AsyncIterator[Api]:
    environ = {
        "ORCHESTRATOR_CLIENT_KEY": ADMIN,
        "ORCHESTRATOR_PRICES": PRICES,
        "OPENAI_API_KEY": "sk-proj-" + "Ab1" * 20,
        "OPENAI_BASE_URL": f"{upstream}/v1",
        "ANTHROPIC_API_KEY": "sk-ant-api03-" + "Ab1" * 40,
        "ANTHROPIC_BASE_URL": upstream,
    }
    async with (
        served(directory, [OpenAIProvider, AnthropicProvider], environ) as gateway,
        aiohttp.ClientSession() as client,
    ):
        yield Api(gateway.url, client)


CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": LONG}
OPENAI: Any = ("/v1/chat/completions", {"model": "openai/gpt-test", **CHAT})
ANTHROPIC: Any = ("/v1/messages", {"model": "anthropic/claude-test", **CHAT})
ACROSS: Any = ("/v1/chat/completions", {"model": "anthropic/claude-test", **CHAT})
AGENT = {"provider": "openai", "model": "gpt-test", "max_tokens": LONG}
TURN: Any = ("/api/orchestrate", {"message": "hi", "agent_config": AGENT})


async def spends(directory: Path, vendor: Talkative, path: str, body: Any) -> None:
    """A stream that says nothing of its end is charged by what it said, and that is kept."""
    async with vendor.serve() as upstream:
        async with gateway_at(directory, upstream) as api:
            await api.has(tokens=LONG + 500, period="total")
            assert await api.stream(path, body) == 200
            budget = await api.settled()
            assert WORDS < budget["spent_tokens"] <= 2 * WORDS, budget
            assert budget["spent_usd"] >= 0.08
            key = api.key
        async with gateway_at(directory, upstream) as api:
            api.key = key
            again = await api.budget()
            assert (again["spent_tokens"], again["spent_usd"]) == (budget["spent_tokens"], budget["spent_usd"])
            assert await api.stream(path, body) == 429


@pytest.mark.parametrize(
    ("path", "body"), [OPENAI, ANTHROPIC, ACROSS, TURN], ids=["openai", "anthropic", "anthropic for openai", "a turn"]
)
async def test_a_stream_that_is_left_is_paid_for_after_a_restart_too(tmp_path: Path, path: str, body: Any) -> None:
    await spends(tmp_path, Talkative(), path, body)


async def test_a_stream_of_thoughts_that_is_left_is_paid_for(tmp_path: Path) -> None:
    vendor = Talkative()
    vendor.field = "reasoning_content"
    await spends(tmp_path, vendor, *OPENAI)


async def test_a_stream_whose_server_never_says_what_it_used_is_paid_for(tmp_path: Path) -> None:
    vendor = Talkative()
    vendor.waits = False
    await spends(tmp_path, vendor, *OPENAI)


async def test_many_words_in_an_event_are_many_tokens(tmp_path: Path) -> None:
    vendor = Talkative()
    vendor.at_once = 100
    await spends(tmp_path, vendor, *OPENAI)
