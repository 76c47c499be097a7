"""Several gateways over one database: many writers on many sessions, and many posts with one key."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

RETRY = (409, 503)
"""What a client that wants its answer comes back after."""

PATIENCE = 120.0
"""Seconds for which it does."""


class CountingUpstream:
    """A vendor that speaks OpenAI's protocol, answers with what it was told, and counts what it was asked."""

    def __init__(self, delay: float = 0.005) -> None:
        self.asked: Counter[str] = Counter()
        self._delay = delay

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def environ(self) -> Mapping[str, str]:
        """Return the settings of a gateway that asks this vendor."""
        port = self._runner.addresses[0][1]
        return {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": f"sk-{'test' * 12}"}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        said = body["messages"][-1]["content"]
        text = said if isinstance(said, str) else said[0]["text"]
        self.asked[text] += 1
        await asyncio.sleep(self._delay)
        message = {"role": "assistant", "content": f"re: {text}"}
        if body.get("stream"):
            return await self._stream(request, message)
        usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        )

    async def _stream(self, request: web.Request, message: Mapping[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for delta, reason in ((message, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _embed(self, request: web.Request) -> web.Response:
        said = (await request.json())["input"]
        text = said if isinstance(said, str) else said[0]
        self.asked[text] += 1
        await asyncio.sleep(self._delay)
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        return web.json_response({"object": "list", "data": [vector], "model": "m", "usage": usage})

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})


@dataclass
class Writers:
    """Writers that choose a session and a gateway for every turn, and keep a ledger of what was acknowledged.

    Attributes:
        urls: The gateways.
        seed: Of all choices.
        said: For each session, what was acknowledged.
        given_up: What was stored as the database went, so that nobody knew, and stayed without an answer, since another
            writer went on meanwhile: coming back with the same key says so.
        refused: How often a gateway asked to come again.
    """

    urls: Sequence[str]
    seed: int
    said: dict[str, list[str]] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)

    async def write(
        self, *, writers: int, sessions: int, turns: int, between: Callable[[int], Any] = lambda done: None
    ) -> None:
        """Write `turns` in all; `between` is told how many are done, and may await something."""
        chance = random.Random(self.seed)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http:
            for index in range(sessions):
                made = await self._post(http, index, "/api/sessions", {}, {})
                self.said[made["session_id"]] = []
            todo = iter(range(turns))

            async def writer(name: int) -> None:
                for number in todo:
                    session, url = chance.choice(list(self.said)), chance.randrange(len(self.urls))
                    text = f"writer {name} turn {number}"
                    body = {"message": text, "session_id": session, "agent_config": {"provider": "openai"}}
                    key = {"Idempotency-Key": f"{self.seed}-{number}"}
                    answer = await self._post(http, url, "/api/orchestrate", body, key)
                    if answer is None:
                        self.given_up.add(text)
                    else:
                        assert answer["response"] == f"re: {text}"
                        self.said[session].append(text)
                    outcome = between(number)
                    if outcome is not None:
                        await outcome

            await asyncio.gather(*(writer(name) for name in range(writers)))

    async def _post(
        self, http: aiohttp.ClientSession, gateway: int, path: str, body: Any, headers: Mapping[str, str]
    ) -> Any:
        async with asyncio.timeout(PATIENCE):
            while True:
                url = self.urls[gateway % len(self.urls)]
                try:
                    async with http.post(f"{url}{path}", json=body, headers=headers) as response:
                        if response.status in (200, 201):
                            return await response.json()
                        assert response.status in RETRY, f"{response.status}: {await response.text()}"
                        self.refused[response.status] += 1
                        if (await response.json(content_type=None))["code"] == "conflict":
                            return None
                except aiohttp.ClientConnectionError:
                    gateway += 1
                await asyncio.sleep(0.02)

    async def faults(self) -> list[str]:
        """Compare what is kept with what was acknowledged: nothing lost, nothing twice, no gap, no turn left open."""
        found: list[str] = []
        async with aiohttp.ClientSession() as http:
            for session, told in self.said.items():
                kept: list[dict[str, Any]] = []
                while True:
                    url = f"{self.urls[0]}/api/sessions/{session}/history?limit=100&offset={len(kept)}"
                    async with http.get(url) as response:
                        page = await response.json()
                    kept += page["messages"]
                    if not page["has_more"]:
                        break
                kept = [message for message in kept if message["content"] not in self.given_up]
                texts = [message["content"] for message in kept]
                pairs = list(zip(texts[::2], texts[1::2], strict=False))
                found += [f"{session}: {state}" for state in {message["state"] for message in kept} - {"complete"}]
                found += [f"{session}: {asked} has {answer}" for asked, answer in pairs if answer != f"re: {asked}"]
                found += [f"{session}: {lost} was lost" for lost in set(told) - set(texts[::2])]
                found += [f"{session}: {text} is there twice" for text, times in Counter(texts).items() if times > 1]
                found += [f"{session}: {text} was never acknowledged" for text in set(texts[::2]) - set(told)]
        return found


async def post_with_keys(urls: Sequence[str], *, keys: int, times: int, prefix: str) -> Counter[int]:
    """Post every key so often at once, over all gateways and over surfaces, streams among them.

    Returns:
        How often each status came.

    Raises:
        AssertionError: Answers to one key differ, or none came.
    """
    statuses: Counter[int] = Counter()
    gate = asyncio.Semaphore(4)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def one_key(number: int) -> None:
            text, headers = f"{prefix} {number}", {"Idempotency-Key": f"{prefix}-{number}"}
            surfaces = _surfaces(text)
            path, body = surfaces[number % len(surfaces)]
            if number // len(surfaces) % 2 and not path.endswith("embeddings"):
                body["stream"] = True

            async def post(index: int) -> bytes:
                while True:
                    url = f"{urls[index % len(urls)]}{path}"
                    async with http.post(url, json=body, headers=headers) as response:
                        statuses[response.status] += 1
                        content = await response.read()
                        if response.status == 200:
                            return content
                        assert response.status in RETRY, content
                    await asyncio.sleep(0.02)

            async with gate:
                answers = set(await asyncio.gather(*(post(index) for index in range(times))))
            assert len(answers) == 1, answers

        await asyncio.gather(*(one_key(number) for number in range(keys)))
    return statuses


def _surfaces(text: str) -> Sequence[tuple[str, dict[str, Any]]]:
    said = [{"role": "user", "content": text}]
    return (
        ("/api/orchestrate", {"message": text, "agent_config": {"provider": "openai"}}),
        ("/v1/chat/completions", {"model": "openai/gpt-4o", "messages": said}),
        ("/v1/messages", {"model": "openai/gpt-4o", "messages": said, "max_tokens": 50}),
        ("/v1/embeddings", {"model": "openai/text-embedding-3-small", "input": text}),
        ("/api/v1/openai/chat", {"messages": said}),
        ("/api/v1/openai/embeddings", {"input": text}),
    )
