"""Turns over HTTP: what a client that left missed, and what each turn was billed for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.provider_api import Finish, ProviderFailed, Start, TextDelta, Usage, UsageDetails, UsageReport
from orchestrator_core.telemetry.cost import Prices
from scripted_gateway import Served, served

PATH = "/api/orchestrate"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


async def test_the_answer_names_its_turn_which_can_be_read(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append(answer("pong", Usage(10, 1, 2, 3, 4)))
    reply = await gateway.post(PATH, {"message": "ping"}, Idempotency_Key="k")
    session, turn = reply.json["session_id"], reply.json["metadata"]["turn_id"]
    assert (reply.headers["X-Session-Id"], reply.headers["X-Turn-Id"]) == (session, turn)

    read = (await gateway.get(f"/api/sessions/{session}/turns/{turn}")).json

    assert (read["turn_id"], read["session_id"], read["state"]) == (turn, session, "complete")
    assert (read["provider"], read["model"], read["finish_reason"]) == ("scripted", "scripted-1", "stop")
    assert read["usage"] == {
        "input_tokens": 10,
        "cached_input_tokens": 1,
        "cache_write_tokens": 2,
        "output_tokens": 3,
        "reasoning_tokens": 4,
    }
    assert (read["cost"], read["price_version"], read["error_code"]) == (None, None, None)
    assert read["idempotent"] is True
    assert [message["content"] for message in read["messages"]] == ["ping", "pong"]
    assert read["message_ids"] == [message["id"] for message in read["messages"]]
    assert read["answer_id"] == read["message_ids"][-1]


class AsAnthropic(ScriptedProvider):
    info = replace(ScriptedProvider.info, name="a", price_id="anthropic", default_model="claude-haiku-4-5")


class AsGoogle(ScriptedProvider):
    info = replace(ScriptedProvider.info, name="g", price_id="google", default_model="gemini-2.5-flash")


class AsOpenAI(ScriptedProvider):
    info = replace(ScriptedProvider.info, name="o", price_id="openai", default_model="gpt-audio")


BILLED = (
    (AsAnthropic, Usage(7, 0, 900, 40, 3, UsageDetails(cache_write_1h_tokens=500, web_searches=3))),
    (AsGoogle, Usage(800, 0, 0, 40, 0, UsageDetails(input_audio_tokens=700))),
    (AsOpenAI, Usage(800, 0, 0, 90, 0, UsageDetails(input_audio_tokens=700, output_audio_tokens=50))),
    (AsOpenAI, Usage(800, details=UsageDetails(unpriced="service_tier flex"))),
    (AsOpenAI, Usage(800, 100, 0, 90, 5)),
)


@pytest.mark.parametrize(("plugin", "usage"), BILLED)
async def test_a_bill_can_be_computed_again_from_what_is_kept_of_a_turn(
    tmp_path: Path, plugin: type[ScriptedProvider], usage: Usage
) -> None:
    async with served(tmp_path, [plugin]) as gateway:
        name, model = plugin.info.name, plugin.info.default_model
        gateway.plugins[name].scripts.append(
            [Start(model=model), TextDelta(text="pong"), UsageReport(usage=usage), Finish()]
        )
        told = (await gateway.post(PATH, {"message": "ping"})).json
        read = (await gateway.get(f"/api/sessions/{told['session_id']}/turns/{told['metadata']['turn_id']}")).json

    assert read["usage"] == told["metadata"]["usage"]
    counts = dict(read["usage"])
    kept = Usage(details=UsageDetails(**counts.pop("details", {})), **counts)
    assert (kept, kept.details) == (usage, usage.details)
    again = Prices().price(read["provider"], plugin.info, read["model"], kept)
    assert (again is None) == (usage.details.unpriced is not None)
    if again is not None:
        assert (again.usd, again.version) == (pytest.approx(read["cost"]), read["price_version"])
        plain = Prices().price(name, plugin.info, read["model"], replace(usage, details=UsageDetails()))
        assert plain is not None
        assert (plain.usd == again.usd) == (usage.details == UsageDetails()), "without the details it would be another"


async def test_the_pages_of_turns(gateway: Served) -> None:
    session = (await gateway.post(PATH, {"message": "0"})).json["session_id"]
    for number in range(1, 5):
        await gateway.post(PATH, {"message": str(number), "session_id": session})
    seen, cursor = [], ""
    for _ in range(3):
        page = (await gateway.get(f"/api/sessions/{session}/turns?limit=2{cursor}")).json
        seen += [turn["turn_id"] for turn in page["turns"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert len(set(seen)) == 5
    assert (page["has_more"], page["next_cursor"]) == (False, None)


@pytest.mark.parametrize("cursor", ["", "x", "%00", "aGlzdG9yeXwx", "dHVybnN8LTE", "dHVybnN8MXwx"])
async def test_a_cursor_of_another_list_is_refused(gateway: Served, cursor: str) -> None:
    session = (await gateway.post("/api/sessions", {})).json["session_id"]
    reply = await gateway.get(f"/api/sessions/{session}/turns?cursor={cursor}")
    assert (reply.status, reply.json["param"]) == (400, "cursor")


@pytest.mark.parametrize("odd", ["x", "turn_1", "..%2f", "%00", "turn_" + "0" * 32])
async def test_turns_that_are_none(gateway: Served, odd: str) -> None:
    session = (await gateway.post("/api/sessions", {})).json["session_id"]
    assert (await gateway.get(f"/api/sessions/{session}/turns/{odd}")).status == 404


async def test_what_a_client_that_left_missed_can_be_read(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([Start(model="m"), TextDelta(text="half"), 30.0])
    async with (
        aiohttp.ClientSession() as client,
        client.post(gateway.url + PATH, json={"message": "ping", "stream": True}) as response,
    ):
        session, turn = response.headers["X-Session-Id"], response.headers["X-Turn-Id"]
        await response.content.readuntil(b"half")
    where = f"/api/sessions/{session}/turns/{turn}"
    async with asyncio.timeout(5):
        while (read := (await gateway.get(where)).json)["state"] == "pending":
            await asyncio.sleep(0.01)
    assert read["state"] == "client_closed"
    assert read["usage"]["details"] == {"estimated": True}
    assert [message["content"] for message in read["messages"]] == ["ping", "half"]


async def test_a_first_turn_that_fails_tells_its_session(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.extend([[ProviderFailed("down")], [ProviderFailed("down")]])
    reply = await gateway.post(PATH, {"message": "ping"})
    assert reply.status == 502
    session, turn = reply.json["session_id"], reply.json["turn_id"]
    assert (reply.headers["X-Session-Id"], reply.headers["X-Turn-Id"]) == (session, turn)
    read = (await gateway.get(f"/api/sessions/{session}/turns/{turn}")).json
    assert (read["state"], read["error_code"], read["answer_id"]) == ("failed", "provider_failed", None)
    assert [attempt["error"] for attempt in read["attempts"]] == ["provider_failed"] * 2


async def test_a_stream_that_breaks_tells_its_turn_first_and_last(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([Start(model="m"), TextDelta(text="half"), ProviderFailed("down")])
    reply = await gateway.post(PATH, {"message": "ping", "stream": True})
    first, last = reply.chunks[0], reply.chunks[-1]
    assert first["turn_id"] == last["turn_id"] == reply.headers["X-Turn-Id"]
    assert first["session_id"] == last["session_id"]
    assert json.loads(reply.events[-1])["code"] == "provider_failed"


async def test_the_surfaces_of_sdks_tell_the_session_too(gateway: Served) -> None:
    session = (await gateway.post("/api/sessions", {})).json["session_id"]
    body = {"model": "scripted/m", "messages": [{"role": "user", "content": "ping"}]}
    joined = await gateway.post("/v1/chat/completions", body, X_Session_Id=session)
    alone = await gateway.post("/v1/chat/completions", body)
    assert joined.headers["X-Session-Id"] == session
    assert (await gateway.get(f"/api/sessions/{session}/turns/{joined.headers['X-Turn-Id']}")).status == 200
    assert "X-Session-Id" not in alone.headers
