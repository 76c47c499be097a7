"""Fields of requests by which a client would get more than its key grants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.provider_api import CHOOSING_FIELDS, FREE_TOOLS, ModelInfo, ProviderInfo, Usage, UsageDetails
from scripted_gateway import Reply, Served, served

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
USER = {"role": "user", "content": "hi"}
PRICES = '{"one/*": {"input": 1000000, "output": 1000000}, "two/*": {"input": 1, "output": 1}}'
"""A dollar a token."""


class One(ScriptedProvider):
    info = ProviderInfo(
        name="one",
        title="One",
        capabilities=("chat", "embeddings"),
        requires_key=False,
        default_model="a",
        default_embedding_model="e",
        models=(ModelInfo(id="a"),),
        choosing_fields=(*CHOOSING_FIELDS, "own_router"),
        free_tools=(*FREE_TOOLS, r"bash_\d+"),
    )


class Two(ScriptedProvider):
    info = replace(One.info, name="two", title="Two", choosing_fields=(), pricing_fields={})


def ways(provider: str = "one", **fields: Any) -> Mapping[str, Any]:
    asked = {"messages": [USER], "max_tokens": 10, **fields}
    return {
        "/v1/chat/completions": {"model": f"{provider}/a", **asked},
        "/v1/messages": {"model": f"{provider}/a", **asked},
        f"/api/v1/{provider}/chat": asked,
        "/api/orchestrate": {"message": "hi", "agent_config": {**fields, "provider": provider, "max_tokens": 10}},
        "/v1/embeddings": {"model": f"{provider}/e", "input": "hi", **fields},
        f"/api/v1/{provider}/embeddings": {"input": ["hi"], **fields},
    }


WAYS = list(ways())
CHATS = WAYS[:4]


class Api:
    def __init__(self, gateway: Served, client: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.client = client
        self.key = ADMIN

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Reply:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        async with self.client.request(method, self.gateway.url + path, json=body, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def may(self, **grant: Any) -> None:
        self.key = (await self.ask("POST", "/api/clients", {"name": "app", **grant}, ADMIN)).json["key"]

    async def budget(self) -> Any:
        return (await self.ask("GET", "/api/clients/me")).json["budget"]

    @property
    def asked(self) -> int:
        return sum(len(plugin.requests) for plugin in self.gateway.plugins.values())


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    environ = {"ORCHESTRATOR_CLIENT_KEY": ADMIN, "ORCHESTRATOR_PRICES": PRICES}
    async with served(tmp_path, [One, Two], environ) as gateway, aiohttp.ClientSession() as client:
        yield Api(gateway, client)


def refused(reply: Reply, name: str) -> bool:
    assert name.encode() in reply.body
    return reply.status == 403


@pytest.mark.parametrize("grant", [{"models": ["one/a", "one/e"]}, {"budget": {"usd": 1000}}], ids=["models", "money"])
@pytest.mark.parametrize("way", WAYS)
async def test_no_field_chooses_another_model(api: Api, way: str, grant: Mapping[str, Any]) -> None:
    await api.may(**grant)
    for name, value in (("models", ["dear/one"]), ("route", "fallback"), ("own_router", 1)):
        assert refused(await api.ask("POST", way, ways(**{name: value})[way]), name)
    nested = {"extra_body": {"models": ["dear/one"]}}
    assert refused(await api.ask("POST", way, ways(**nested)[way]), "models")
    assert api.asked == 0
    assert (await api.ask("POST", way, ways(top_k=3)[way])).status == 200
    assert (await api.ask("POST", way, ways(models=["x"])[way], ADMIN)).status == 200


@pytest.mark.parametrize("way", CHATS)
async def test_no_field_makes_a_call_dearer_where_money_is_limited(api: Api, way: str) -> None:
    await api.may(budget={"usd": 1000})
    for name, value in (("service_tier", "priority"), ("speed", "fast"), ("service_tier", {"a": 1})):
        assert refused(await api.ask("POST", way, ways(**{name: value})[way]), name)
    assert api.asked == 0
    assert (await api.ask("POST", way, ways(service_tier="auto")[way])).status == 200


@pytest.mark.parametrize("way", CHATS)
async def test_no_search_is_asked_for_where_money_is_limited(api: Api, way: str) -> None:
    await api.may(budget={"usd": 1000})
    for name, value in (("search_parameters", {"mode": "on"}), ("web_search_options", {}), ("enable_search", True)):
        assert refused(await api.ask("POST", way, ways(**{name: value})[way]), name)
        assert refused(await api.ask("POST", way, ways(extra_body={name: value})[way]), name)
    assert api.asked == 0
    assert (await api.ask("POST", way, ways(enable_search=False)[way])).status == 200


@pytest.mark.parametrize("way", CHATS[:3])
async def test_no_tool_that_the_provider_bills_where_money_is_limited(api: Api, way: str) -> None:
    await api.may(budget={"usd": 1000})
    search, shell = {"type": "web_search_20250305", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"}
    function = {"type": "function", "function": {"name": "f"}}
    own = {"name": "f", "input_schema": {"type": "object"}} if way == "/v1/messages" else function
    nested: Any
    for nested in (search, {"google_search": {}}, {**function, "Type": "web_search"}, "web_search", {}):
        assert refused(await api.ask("POST", way, ways(extra_body={"tools": [nested]})[way]), "tools")
    assert refused(await api.ask("POST", way, ways(tools=[own, search])[way]), "web_search_20250305")
    free = shell if way == "/v1/messages" else {"type": "custom", "custom": {"name": "c"}}
    behind_it = [free, {**own, "Type": "web_search"}]
    assert refused(await api.ask("POST", way, ways(tools=behind_it)[way]), "tools")
    assert api.asked == 0
    assert (await api.ask("POST", way, ways(tools=[own, shell])[way])).status == 200
    assert (await api.ask("POST", way, ways(tools=[own, search])[way], ADMIN)).status == 200


@pytest.mark.parametrize("way", WAYS)
async def test_the_case_of_a_name_hides_nothing(api: Api, way: str) -> None:
    await api.may(models=["one/a", "one/e"], budget={"usd": 1000})
    fields: list[tuple[str, Any]] = [("MODEL", "dear"), ("Models", ["dear"]), ("model\u017f", ["dear"])]
    for name, value in [*fields, ("Service_Tier", "priority"), ("Api_Base", "http://x")]:
        assert (await api.ask("POST", way, ways(**{name: value})[way])).status == 403, name
        assert (await api.ask("POST", way, ways(extra_body={name: value})[way])).status == 403, name
    assert refused(await api.ask("POST", way, ways(extra_body={"model": "dear"})[way]), "model")
    hidden = ways(models=None, extra_body={"models": ["dear"]})[way]
    assert refused(await api.ask("POST", way, hidden), "models")
    assert refused(await api.ask("POST", way, ways(Extra_Body={"models": ["dear"]})[way]), "models")
    assert api.asked == 0


async def test_tiers_are_for_everybody_else(api: Api) -> None:
    await api.may(models=["one/a"], budget={"tokens": 1000})
    path = "/v1/chat/completions"
    assert (await api.ask("POST", path, ways(service_tier="priority")[path])).status == 200


async def test_a_provider_says_which_fields_these_are(api: Api) -> None:
    await api.may(models=["two/*"], budget={"usd": 1000})
    path = "/v1/chat/completions"
    body = ways("two", models=["x"], service_tier="priority")[path]
    assert (await api.ask("POST", path, body)).status == 200


async def test_a_refused_turn_is_not_stored(api: Api) -> None:
    await api.may(models=["one/*"])
    await api.ask("POST", "/api/orchestrate", ways(models=["x"])["/api/orchestrate"])
    assert (await api.ask("GET", "/api/sessions")).json["sessions"] == []


@pytest.mark.parametrize("way", CHATS)
@pytest.mark.parametrize("fields", [{"max_completion_tokens": 1000}, {"n": 100}, {"extra_body": {"n": 100}}], ids=str)
async def test_a_call_holds_the_longest_answer_that_it_asks_for(api: Api, way: str, fields: Mapping[str, Any]) -> None:
    await api.may(budget={"tokens": 500})
    status = (await api.ask("POST", way, ways(**fields)[way])).status
    assert status in (400, 429), "of two limits OpenAI refuses both"
    assert api.asked == 0


async def test_of_two_limits_that_differ_none_is_taken(api: Api) -> None:
    path = "/v1/chat/completions"
    reply = await api.ask("POST", path, ways(max_completion_tokens=1)[path])
    assert (reply.status, reply.json["error"]["param"]) == (400, "max_tokens")
    assert (await api.ask("POST", path, ways(max_completion_tokens=10)[path])).status == 200


@pytest.mark.parametrize("way", CHATS)
async def test_what_has_no_price_costs_what_was_held_and_that_is_stored(api: Api, way: str) -> None:
    await api.may(budget={"usd": 1000})
    used = Usage(input_tokens=3, output_tokens=2, details=UsageDetails(unpriced="service_tier priority"))
    api.gateway.plugins["one"].scripts.append(answer("pong", used))
    assert (await api.ask("POST", way, ways()[way])).status == 200
    spent = (await api.budget())["spent_usd"]
    assert spent >= 10
    async with asyncio.timeout(10):
        while not (usage := (await api.ask("GET", "/api/usage", key=ADMIN)).json["usage"]):
            await asyncio.sleep(0.05)
    assert [(row["cost"], row["unpriced_calls"]) for row in usage] == [(pytest.approx(spent), 0)]
