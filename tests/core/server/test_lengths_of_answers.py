"""Lengths and numbers of answers in providers' own words, from clients with a budget: none of them makes it larger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.provider_api import Usage
from redis_server import RedisServer
from scripted_gateway import Reply, Served, served

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
MODEL = "scripted/scripted-1"
USER = {"role": "user", "content": "hi"}
PRICES = '{"scripted/*": {"input": 1, "output": 1}}'


class Api:
    def __init__(self, gateway: Served, client: aiohttp.ClientSession) -> None:
        self.plugin = gateway.plugins["scripted"]
        self._url = gateway.url
        self._client = client
        self._key = ADMIN

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Reply:
        headers = {"Authorization": f"Bearer {key or self._key}"}
        async with self._client.request(method, self._url + path, json=body, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def has(self, **budget: Any) -> None:
        made = await self.ask("POST", "/api/clients", {"name": "app", "budget": {**budget, "period": "day"}}, ADMIN)
        self._key = made.json["key"]

    async def budget(self) -> tuple[int, int, int]:
        state = (await self.ask("GET", "/api/clients/me")).json["budget"]
        return state["spent_tokens"], state["held_tokens"], state["remaining_tokens"]

    async def used(self) -> int:
        rows = (await self.ask("GET", "/api/usage", key=ADMIN)).json["usage"]
        return sum(row["total_tokens"] for row in rows)


def ways(**fields: Any) -> Mapping[str, Any]:
    asked = {"model": MODEL, "messages": [USER], **fields}
    agent = {"provider": "scripted", "timeout": 0.2, **fields}
    return {
        "/v1/chat/completions": asked,
        "/v1/messages": asked,
        "/api/v1/scripted/chat": asked,
        "/api/orchestrate": {"message": "hi", "agent_config": agent},
    }


WAYS = list(ways())


@asynccontextmanager
async def gateway_at(path: Path, **environ: str) -> AsyncIterator[Api]:
    environ |= {"ORCHESTRATOR_CLIENT_KEY": ADMIN, "ORCHESTRATOR_PRICES": PRICES}
    async with served(path, [ScriptedProvider], environ) as gateway, aiohttp.ClientSession() as client:
        yield Api(gateway, client)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with gateway_at(tmp_path) as api:
        yield api


@pytest.fixture(params=["alone", "with Redis"])
async def either(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    environ = {}
    if request.param == "with Redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        environ["ORCHESTRATOR_REDIS_URL"] = server.url
    async with gateway_at(tmp_path, **environ) as api:
        yield api


REFUSED: list[tuple[str, Mapping[str, Any]]] = [
    ("max_new_tokens", {"max_new_tokens": -1_000_000}),
    ("N", {"N": -1_000_000, "max_tokens": 1000}),
    ("best_of", {"best_of": "-5"}),
    ("generationConfig.maxOutputTokens", {"generationConfig": {"maxOutputTokens": "-8000"}}),
    ("generation_config.candidateCount", {"generation_config": {"candidateCount": 0.5}}),
    ("extra_body.options.num_predict", {"extra_body": {"options": {"num_predict": True}}}),
]


@pytest.mark.parametrize("way", WAYS)
async def test_a_length_that_is_none_is_refused_by_its_name(api: Api, way: str) -> None:
    await api.has(tokens=20_000, usd=1)
    for place, fields in REFUSED:
        reply = await api.ask("POST", way, ways(**fields)[way])
        assert reply.status == 400, place
        assert place.encode() in reply.body
    assert api.plugin.requests == []
    assert await api.budget() == (0, 0, 20_000)
    assert (await api.ask("GET", "/api/sessions")).json["sessions"] == [], "no turn has begun"
    assert (await api.ask("POST", way, ways(**fields)[way], ADMIN)).status == 200, "to others it is the provider's"


@pytest.mark.parametrize("budget", [{"tokens": 20_000}, {"tokens": 20_000, "usd": 0.02}], ids=str)
async def test_tries_that_failed_give_nothing_back(either: Api, budget: Mapping[str, Any]) -> None:
    await either.has(**budget)
    either.plugin.scripts.append(answer("pong", Usage(10, 0, 0, 15_000)))
    path, spent = "/v1/chat/completions", 0
    assert (await either.ask("POST", path, ways(max_tokens=15_000)[path])).status == 200
    for fields in ({"max_new_tokens": -1_000_000}, {"N": -1000, "max_tokens": 1000}, {"num_predict": -1}):
        either.plugin.scripts.clear()
        either.plugin.scripts.append([30.0])
        agent = {"message": "hi", "agent_config": {"provider": "scripted", "timeout": 0.2, **fields}}
        assert (await either.ask("POST", "/api/orchestrate", agent)).status in (400, 504)
        spent, held, left = await either.budget()
        assert (spent >= 15_010, held, left) == (True, 0, 20_000 - spent)
    assert (await either.ask("POST", path, ways(max_tokens=15_000)[path])).status == 429
    async with asyncio.timeout(10):
        while await either.used() < spent:
            await asyncio.sleep(0.05)
    assert await either.used() == spent, "as it is stored"


@pytest.mark.parametrize(
    "fields",
    [
        {"max_new_tokens": -1_000_000_000},
        {"N": -1_000_000, "max_tokens": 1000},
        {"num_predict": -1},
        {"max_tokens": 5, "num_predict": -1},
    ],
    ids=str,
)
async def test_a_call_under_way_makes_no_room_for_others(either: Api, fields: Mapping[str, Any]) -> None:
    await either.has(tokens=20_000)
    path, ends = "/v1/chat/completions", asyncio.Event()
    either.plugin.scripts.append([ends, *answer("pong")])
    slow = asyncio.create_task(either.ask("POST", path, ways(**fields)[path]))
    async with asyncio.timeout(10):
        while not (slow.done() or either.plugin.requests):
            await asyncio.sleep(0.01)
    if slow.done():
        either.plugin.scripts.clear()
    _, held, left = await either.budget()
    assert (held >= 0, left) == (True, 20_000 - held)
    either.plugin.scripts.extend([ends, *answer("pong", Usage(10, 0, 0, 8000))] for _ in range(10))
    calls = [asyncio.create_task(either.ask("POST", path, ways(max_tokens=8000)[path])) for _ in range(10)]
    async with asyncio.timeout(10):
        while sum(call.done() for call in calls) < 8:
            await asyncio.sleep(0.01)
    ends.set()
    assert sum(reply.status == 200 for reply in await asyncio.gather(*calls)) <= 2
    await slow
    assert (await either.budget())[0] <= 20_000


@pytest.mark.parametrize("way", WAYS)
async def test_a_length_is_held_however_the_number_is_written(api: Api, way: str) -> None:
    await api.has(tokens=7000)
    for value in (8000, 8000.0, "8000", "8000.0"):
        for fields in (
            {"generationConfig": {"maxOutputTokens": value}},
            {"extra_body": {"generation_config": {"max_output_tokens": value}}},
            {"max_output_tokens": value},
        ):
            assert (await api.ask("POST", way, ways(max_tokens=5, **fields)[way])).status == 429, fields
    several = {"max_tokens": 70, "generationConfig": {"candidateCount": "200"}}
    assert (await api.ask("POST", way, ways(**several)[way])).status == 429
    assert api.plugin.requests == []
