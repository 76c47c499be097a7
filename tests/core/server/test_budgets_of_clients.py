"""Budgets of clients on every way to a provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.provider_api import (
    Finish,
    ModelInfo,
    ProviderFailed,
    ProviderInfo,
    ProviderTimeout,
    Start,
    TextDelta,
    Usage,
    UsageReport,
)
from scripted_gateway import Reply, Served, served

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
USER = {"role": "user", "content": "hi"}
CHAT = {"model": "one/a", "messages": [USER], "max_tokens": 10}
PRICES = '{"one/a": {"input": 1000000, "output": 1000000}, "one/e": {"input": 1000000, "output": 0}}'
"""A dollar a token."""


class One(ScriptedProvider):
    info = ProviderInfo(
        name="one",
        title="One",
        capabilities=("chat", "embeddings"),
        requires_key=False,
        default_model="a",
        default_embedding_model="e",
        models=(ModelInfo(id="a"), ModelInfo(id="free")),
    )


class Two(ScriptedProvider):
    info = replace(One.info, name="two", title="Two")


@dataclass
class Api:
    gateway: Served
    client: aiohttp.ClientSession
    key: str = ""
    id: str = ""

    @property
    def one(self) -> ScriptedProvider:
        return self.gateway.plugins["one"]

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Reply:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        async with self.client.request(method, self.gateway.url + path, json=body, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def chat(self, **fields: Any) -> Reply:
        return await self.ask("POST", "/v1/chat/completions", {**CHAT, **fields})

    async def budget(self) -> Any:
        return (await self.ask("GET", "/api/clients/me")).json["budget"]

    async def has(self, **budget: Any) -> None:
        made = await self.ask("POST", "/api/clients", {"name": "app", "budget": budget}, ADMIN)
        assert made.status == 201, made.body
        self.key, self.id = made.json["key"], made.json["id"]


@asynccontextmanager
async def gateway_at(path: Path) -> AsyncIterator[Api]:
    environ = {"ORCHESTRATOR_CLIENT_KEY": ADMIN, "ORCHESTRATOR_PRICES": PRICES}
    async with served(path, [One, Two], environ) as gateway, aiohttp.ClientSession() as client:
        yield Api(gateway, client)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with gateway_at(tmp_path) as api:
        yield api


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/messages", CHAT),
        ("/api/v1/one/chat", CHAT),
        ("/api/orchestrate", {"message": "hi", "agent_config": {"provider": "one", "max_tokens": 10}}),
        ("/api/orchestrate", {"message": "hi", "stream": True, "agent_config": {"provider": "one", "max_tokens": 10}}),
        ("/v1/embeddings", {"model": "one/e", "input": "hello, hello"}),
        ("/api/v1/one/embeddings", {"input": ["hello, hello"]}),
    ],
)
async def test_every_way_counts_and_ends(api: Api, path: str, body: Any) -> None:
    await api.has(tokens=40)
    statuses = []
    while len(statuses) < 20 and 429 not in statuses:
        reply = await api.ask("POST", path, body)
        statuses.append(reply.status)
    assert statuses[-1] == 429
    assert b"budget_exceeded" in reply.body or b"rate_limit_error" in reply.body
    assert reply.headers["x-should-retry"] == "false"
    assert int(reply.headers["Retry-After"]) <= 31 * 86_400
    used = sum(row["total_tokens"] for row in (await api.ask("GET", "/api/usage", key=ADMIN)).json["usage"])
    state = await api.budget()
    each = 4 if "embed" in path else 5
    assert (state["held_tokens"], state["spent_tokens"]) == (0, each * (len(statuses) - 1))
    assert used <= state["spent_tokens"] <= 40


async def test_money_is_counted_and_named(api: Api) -> None:
    await api.has(usd=30, period="day")
    reply = await api.chat()
    assert reply.status == 200
    state = await api.budget()
    assert (state["spent_usd"], state["remaining_usd"], state["period"]) == (5.0, 25.0, "day")
    assert state["resets_at"].endswith("T00:00:00Z")
    assert (await api.chat(max_tokens=25)).status == 429
    refused = (await api.chat(max_tokens=25)).json["error"]
    assert (refused["scope"], refused["limit"], refused["unit"], refused["spent"]) == ("budget", 30.0, "usd", 5.0)
    assert "fewer tokens" in refused["message"]
    for _ in range(3):
        assert (await api.chat(max_tokens=1)).status == 200
    state = (await api.ask("GET", f"/api/clients/{api.id}", key=ADMIN)).json["budget"]
    assert (state["spent_usd"], state["spent_tokens"]) == (20.0, 20)


async def test_the_last_of_a_budget_can_be_used_without_a_limit(api: Api) -> None:
    await api.has(tokens=12, period="total")
    body = {"model": "one/a", "messages": [USER]}
    assert [(await api.ask("POST", "/v1/chat/completions", body)).status for _ in range(4)] == [200, 200, 429, 429]
    reply = await api.ask("POST", "/v1/chat/completions", body)
    assert "Retry-After" not in reply.headers
    assert (await api.budget())["resets_at"] is None


async def test_many_at_once_do_not_overshoot(api: Api) -> None:
    await api.has(tokens=100)
    for _ in range(30):
        api.one.scripts.append([0.1, *answer("pong")])
    replies = await asyncio.gather(*(api.chat() for _ in range(30)))
    taken = sum(reply.status == 200 for reply in replies)
    assert 0 < taken < 10, "each holds what it may cost until it ends"
    soon = next(reply for reply in replies if reply.status == 429)
    assert (soon.headers["Retry-After"], "under way" in soon.json["error"]["message"]) == ("1", True)
    assert (await api.budget())["spent_tokens"] == 5 * taken


async def test_what_fails_costs_nothing_and_gives_back_what_was_held(api: Api) -> None:
    await api.has(tokens=40)
    api.one.scripts.extend([[ProviderFailed("no")]] * 2)
    assert (await api.chat()).status == 502
    state = await api.budget()
    assert (state["spent_tokens"], state["held_tokens"]) == (0, 0)


async def test_where_the_budget_does_not_cover_a_fallback_the_turn_says_why_the_first_failed(api: Api) -> None:
    await api.has(tokens=120)
    api.one.scripts.append([ProviderTimeout("late")])
    config = {"provider": "one", "model": "a", "max_tokens": 80, "fallbacks": ["two/a"]}
    reply = await api.ask("POST", "/api/orchestrate", {"message": "hi", "agent_config": config})
    assert (reply.status, reply.json["code"], reply.headers["x-should-retry"]) == (429, "budget_exceeded", "false")
    assert reply.headers["x-orchestrator-attempts"] == "1"
    assert api.gateway.plugins["two"].requests == []
    turns = (await api.ask("GET", f"/api/sessions/{reply.json['session_id']}/turns")).json["turns"]
    assert [(each["provider"], each["error"]) for each in turns[0]["attempts"]] == [("one", "provider_timeout")]
    state = await api.budget()
    assert (80 < state["spent_tokens"] < 90, state["held_tokens"]) == (True, 0)


async def test_an_answer_that_is_left_is_counted_by_an_estimate(api: Api) -> None:
    await api.has(tokens=1000)
    api.one.scripts.append([Start(id="a", model="a"), TextDelta(text="word " * 40), 30.0])
    body = {**CHAT, "stream": True, "max_tokens": 100}
    headers = {"Authorization": f"Bearer {api.key}"}
    async with api.client.post(f"{api.gateway.url}/v1/chat/completions", json=body, headers=headers) as response:
        await response.content.readany()
    async with asyncio.timeout(5):
        while (await api.budget())["held_tokens"]:
            await asyncio.sleep(0.02)
    assert 50 <= (await api.budget())["spent_tokens"] <= 70


LONG = "word " * 8000
BESIDE: list[tuple[str, Any]] = [
    ("/v1/chat/completions", {"tools": [{"type": "custom", "custom": {"name": "f", "description": LONG}}]}),
    ("/v1/chat/completions", {"prediction": {"type": "content", "content": LONG}}),
    ("/v1/chat/completions", {"system": LONG}),
    ("/v1/messages", {"tools": [{"name": "f", "input_schema": {"type": "object"}, "input_examples": [{"a": LONG}]}]}),
    ("/api/v1/one/chat", {"documents": [{"text": LONG}]}),
    ("/api/orchestrate", {"message": "hi", "agent_config": {"provider": "one", "max_tokens": 9, "documents": [LONG]}}),
    ("/v1/embeddings", {"model": "one/e", "input": "hi", "documents": [LONG]}),
]


async def test_tools_that_core_reads_are_held_beside_those_that_it_does_not(api: Api) -> None:
    await api.has(tokens=50_000)
    known = {"type": "function", "function": {"name": "look", "description": LONG}}
    api.one.scripts.append([Start(id="a", model="a"), TextDelta(text="pong"), Finish(reason="stop")])
    assert (await api.chat(tools=[known, *BESIDE[0][1]["tools"]])).status == 200
    assert (await api.budget())["spent_tokens"] == pytest.approx(len(LONG) / 2, rel=0.05)


@pytest.mark.parametrize(("path", "fields"), BESIDE, ids=[f"{path} {next(iter(fields))}" for path, fields in BESIDE])
async def test_what_is_said_where_core_does_not_look_is_held_too(api: Api, path: str, fields: Any) -> None:
    await api.has(tokens=5_000)
    body = fields if path == "/api/orchestrate" else {**CHAT, **fields}
    reply = await api.ask("POST", path, body)
    assert (reply.status, api.one.requests) == (429, [])
    assert (await api.ask("POST", path, body, ADMIN)).status == 200, "it is for the provider to judge"


@pytest.mark.parametrize("told", [[], [UsageReport(usage=Usage())]], ids=["untold", "zero"])
@pytest.mark.parametrize(("path", "fields"), BESIDE, ids=[f"{path} {next(iter(fields))}" for path, fields in BESIDE])
async def test_it_is_charged_too_where_no_usage_is_told(
    api: Api, path: str, fields: Any, told: Sequence[UsageReport]
) -> None:
    await api.has(tokens=50_000)
    api.one.scripts.append([Start(id="a", model="a"), TextDelta(text="pong"), *told, Finish(reason="stop")])
    reply = await api.ask("POST", path, fields if path == "/api/orchestrate" else {**CHAT, **fields})
    assert reply.status == 200
    state = await api.budget()
    assert (state["spent_tokens"], state["held_tokens"]) == (pytest.approx(len(LONG) / 4, rel=0.05), 0)


@pytest.mark.parametrize(
    ("told", "least", "most"), [((0, 0), 50, 70), ((9, 0), 59, 70), ((0, 7), 8, 20), ((9, 7), 16, 16)]
)
async def test_what_a_provider_writes_zero_for_is_estimated(
    api: Api, told: tuple[int, int], least: int, most: int
) -> None:
    await api.has(tokens=1000)
    said = [TextDelta(text="word " * 40), UsageReport(usage=Usage(told[0], 0, 0, told[1])), Finish(reason="stop")]
    for stream in (False, True):
        before = (await api.budget())["spent_tokens"]
        api.one.scripts.append([Start(id="a", model="a"), *said])
        assert (await api.chat(stream=stream)).status == 200
        assert least <= (await api.budget())["spent_tokens"] - before <= most


async def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as api:
        await api.has(tokens=40)
        await api.chat()
        agent = {"provider": "one", "max_tokens": 1}
        await api.ask("POST", "/api/orchestrate", {"message": "hi", "agent_config": agent})
        before = await api.budget()
        key = api.key
    async with gateway_at(tmp_path) as api:
        api.key = key
        assert (await api.budget())["spent_tokens"] == before["spent_tokens"] == 10


async def test_a_model_without_a_price_is_for_budgets_of_tokens_alone(api: Api) -> None:
    await api.has(usd=30)
    reply = await api.chat(model="one/free")
    assert (reply.status, reply.json["error"]["code"]) == (403, "permission_denied")
    assert "ORCHESTRATOR_PRICES" in reply.json["error"]["message"]
    api.one.scripts.extend([[ProviderFailed("no")]] * 2)
    ask = {"message": "hi", "agent_config": {"provider": "one", "model": "a", "max_tokens": 1, "fallbacks": ["two/a"]}}
    assert (await api.ask("POST", "/api/orchestrate", ask)).status == 502
    assert api.gateway.plugins["two"].requests == []
    await api.ask("PATCH", f"/api/clients/{api.id}", {"budget": {"tokens": 1000}}, ADMIN)
    assert (await api.chat(model="one/free")).status == 200


async def test_a_budget_that_is_nearly_spent_is_told_once(api: Api) -> None:
    await api.has(tokens=40)
    api.one.scripts.append(answer("pong", Usage(input_tokens=20, output_tokens=13)))
    for _ in range(2):
        await api.chat(max_tokens=1)
    assert await told(api) == {"budget_nearly_spent": 1.0}
    for _ in range(2):
        await api.chat(max_tokens=30)
    await api.chat(max_tokens=1)
    assert await told(api) == {"budget_nearly_spent": 1.0, "budget_exceeded": 1.0}


async def test_a_budget_that_is_only_promised_is_not_told_to_be_spent(api: Api) -> None:
    await api.has(tokens=100)
    assert (await api.chat(max_tokens=1000)).status == 429
    for _ in range(9):
        api.one.scripts.append([0.1, *answer("pong")])
    replies = await asyncio.gather(*(api.chat() for _ in range(9)))
    assert {reply.status for reply in replies} == {200, 429}
    assert await told(api) == {}
    while (await api.chat()).status == 200:
        pass
    assert (await told(api))["budget_exceeded"] == 1.0


async def test_metrics_show_the_share_of_a_budget_that_is_used(api: Api) -> None:
    await api.has(tokens=40)
    for used in (0.125, 0.25):
        await api.chat()
        text = (await api.ask("GET", "/metrics", key=ADMIN)).body.decode()
        assert f'orchestrator_budget_used_ratio{{client="{api.id}"}} {used}\n' in text
    await api.ask("PATCH", f"/api/clients/{api.id}", {"budget": {"tokens": 10}}, ADMIN)
    assert (await api.chat()).status == 429
    text = (await api.ask("GET", "/metrics", key=ADMIN)).body.decode()
    assert f'orchestrator_budget_used_ratio{{client="{api.id}"}} 1.0\n' in text


async def test_a_budget_that_was_raised_is_told_of_anew(api: Api) -> None:
    await api.has(tokens=10)
    for tokens in (10, 20):
        await api.ask("PATCH", f"/api/clients/{api.id}", {"budget": {"tokens": tokens}}, ADMIN)
        while (await api.chat(max_tokens=1)).status == 200:
            pass
    assert (await told(api))["budget_exceeded"] == 2.0


async def told(api: Api) -> dict[str, float]:
    """The events of budgets, and how often they were told."""
    text = (await api.ask("GET", "/metrics", key=ADMIN)).body.decode()
    return {
        name: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        for name in ("budget_nearly_spent", "budget_exceeded")
        if line.startswith(f'orchestrator_security_events_total{{event="{name}"')
        if float(line.rpartition(" ")[2])
    }


async def test_who_has_no_budget_is_not_watched(api: Api) -> None:
    reply = await api.ask("POST", "/v1/chat/completions", CHAT, ADMIN)
    assert reply.status == 200
    assert json.loads(reply.body)["usage"]["total_tokens"] == 5
    assert (await api.ask("GET", "/api/clients/me", key=ADMIN)).json["budget"] is None
