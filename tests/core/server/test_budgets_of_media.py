"""Sound and pictures of clients with a budget in money, by the prices that the bundled tables have for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.provider_api import Start, TextDelta, Usage, UsageDetails
from scripted_gateway import Reply, Served, served

ADMIN = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
CHAT = "/v1/chat/completions"
SPOKEN = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
WORDS, SOUND, PICTURES = 10e-6, 64e-6, 30e-6
"""USD for a token of text and of sound of gpt-audio, and of pictures of gemini-2.5-flash-image."""


class OpenAI(ScriptedProvider):
    info = replace(ScriptedProvider.info, name="openai", title="OpenAI", price_id="openai")


class Google(ScriptedProvider):
    info = replace(ScriptedProvider.info, name="google", title="Google", price_id="google")


class Api:
    def __init__(self, gateway: Served, client: aiohttp.ClientSession) -> None:
        self.plugins = gateway.plugins
        self.url = gateway.url
        self.client = client
        self.headers = {"Authorization": f"Bearer {ADMIN}"}

    async def ask(self, method: str, path: str, body: Any = None) -> Reply:
        async with self.client.request(method, self.url + path, json=body, headers=self.headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def has(self, **budget: Any) -> None:
        made = await self.ask("POST", "/api/clients", {"name": f"app {budget}", "budget": budget})
        self.headers = {"Authorization": f"Bearer {made.json['key']}"}

    async def budget(self) -> Mapping[str, Any]:
        state: Mapping[str, Any] = (await self.ask("GET", "/api/clients/me")).json["budget"]
        return state

    async def settled(self) -> Mapping[str, Any]:
        """Return the budget once no call is under way."""
        async with asyncio.timeout(10):
            while (state := await self.budget())["held_usd"]:
                await asyncio.sleep(0.02)
        return state


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    environ = {"ORCHESTRATOR_CLIENT_KEY": ADMIN}
    async with served(tmp_path, [OpenAI, Google], environ) as gateway, aiohttp.ClientSession() as client:
        yield Api(gateway, client)


def body(model: str, *parts: Any, **fields: Any) -> Mapping[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": list(parts) or "hi"}],
        "max_tokens": 1000,
        **fields,
    }


SAID = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


@pytest.mark.parametrize(
    ("asked", "price"),
    [
        (body("openai/gpt-audio"), WORDS),
        (body("openai/gpt-audio", **SPOKEN), SOUND),
        (body("openai/gpt-audio", extra_body={"modalities": ["audio"]}), SOUND),
        (body("google/gemini-2.5-flash-image"), PICTURES),
        (body("google/gemini-2.5-flash-image", generationConfig={"responseModalities": ["IMAGE"]}), PICTURES),
    ],
    ids=str,
)
async def test_the_dearest_that_an_answer_may_be_is_held(api: Api, asked: Mapping[str, Any], price: float) -> None:
    await api.has(usd=1)
    ends = asyncio.Event()
    plugin = api.plugins[asked["model"].partition("/")[0]]
    plugin.scripts.append([ends, *answer("pong")])
    call = asyncio.create_task(api.ask("POST", CHAT, asked))
    async with asyncio.timeout(10):
        while not (call.done() or plugin.requests):
            await asyncio.sleep(0.01)
    held = (await api.budget())["held_usd"]
    ends.set()
    assert (await call).status == 200
    assert held == pytest.approx(1000 * price, rel=0.01)


async def test_sound_that_is_sent_is_held_at_its_own_price(api: Api) -> None:
    await api.has(usd=0.05)
    assert (await api.ask("POST", CHAT, body("openai/gpt-audio", SAID, max_tokens=1))).status == 429
    assert (await api.ask("POST", CHAT, body("google/gemini-2.5-flash", SAID, max_tokens=1))).status == 200


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        ("modalities", body("openai/gpt-4o-audio-preview", modalities=["text", "audio"])),
        ("audio", body("openai/gpt-4o-mini-audio-preview", audio={"voice": "alloy", "format": "wav"})),
        ("messages", body("openai/gpt-4o-audio-preview", SAID)),
        ("extra_body.modalities", body("openai/gpt-4o-mini", extra_body={"modalities": ["text", "audio"]})),
        ("modalities", body("openai/gpt-audio", modalities=["text", "video"])),
        (
            "generationConfig.responseModalities",
            body("google/gemini-2.5-flash", generationConfig={"responseModalities": ["AUDIO"]}),
        ),
        ("generationConfig.speechConfig", body("google/gemini-2.5-flash", generationConfig={"speechConfig": {}})),
        ("imageConfig", body("google/gemini-2.5-flash", imageConfig={})),
    ],
    ids=str,
)
async def test_sound_and_pictures_without_a_price_are_for_budgets_of_tokens_alone(
    api: Api, place: str, asked: Mapping[str, Any]
) -> None:
    admin = api.headers
    await api.has(usd=1)
    reply = await api.ask("POST", CHAT, asked)
    assert (reply.status, reply.json["error"]["param"]) == (403, place)
    assert "ORCHESTRATOR_PRICES" in reply.json["error"]["message"]
    assert not any(plugin.requests for plugin in api.plugins.values())
    api.headers = admin
    await api.has(tokens=100_000)
    assert (await api.ask("POST", CHAT, asked)).status == 200


async def test_a_fallback_that_has_no_price_for_sound_is_passed_over(api: Api) -> None:
    await api.has(usd=1)
    api.plugins["openai"].scripts.extend([[0.5], [0.5], [0.5]])
    agent = {
        **SPOKEN,
        "provider": "openai",
        "model": "gpt-audio",
        "fallbacks": ["google/gemini-2.5-flash"],
        "timeout": 0.2,
    }
    assert (await api.ask("POST", "/api/orchestrate", {"message": "hi", "agent_config": agent})).status == 504
    assert api.plugins["google"].requests == []


async def test_what_broke_off_costs_what_was_held_for_it_as_sound(api: Api) -> None:
    await api.has(usd=1)
    api.plugins["openai"].scripts.append([Start(id="a", model="gpt-audio"), TextDelta(text="well"), 30.0])
    asked = body("openai/gpt-audio", **SPOKEN, stream=True)
    async with api.client.post(api.url + CHAT, json=asked, headers=api.headers) as response:
        await response.content.readany()
    left = (await api.settled())["spent_usd"]
    assert left == pytest.approx(1000 * SOUND, rel=0.01)
    api.plugins["openai"].scripts.append([30.0])
    agent = {**SPOKEN, "provider": "openai", "model": "gpt-audio", "max_tokens": 1000, "timeout": 0.2}
    assert (await api.ask("POST", "/api/orchestrate", {"message": "hi", "agent_config": agent})).status == 504
    spent = (await api.settled())["spent_usd"]
    assert spent - left == pytest.approx(1000 * SOUND, rel=0.01)
    async with asyncio.timeout(10):
        while not (rows := (await api.ask("GET", "/api/usage")).json["usage"]) or rows[0]["calls"] < 2:
            await asyncio.sleep(0.05)
    assert (rows[0]["cost"], rows[0]["output_tokens"]) == (pytest.approx(spent), 2000)


async def test_what_a_provider_says_is_charged_as_it_says(api: Api) -> None:
    await api.has(usd=1)
    said = Usage(100, 0, 0, 50, details=UsageDetails(output_audio_tokens=40))
    api.plugins["openai"].scripts.append(answer("pong", said))
    assert (await api.ask("POST", CHAT, body("openai/gpt-audio", **SPOKEN))).status == 200
    assert (await api.settled())["spent_usd"] == pytest.approx(100 * 2.5e-6 + 10 * WORDS + 40 * SOUND)
