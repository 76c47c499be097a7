"""What happened lately: in memory, over HTTP, and put together over workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.security.recent_events import RecentEvents
from orchestrator_core.server import recent as module
from orchestrator_core.server.recent import Recent
from orchestrator_core.telemetry.activity import Totals
from orchestrator_core.telemetry.metrics import Metrics
from scripted_gateway import Served, served

CLIENT_KEY = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
ADMIN = {"Authorization": f"Bearer {CLIENT_KEY}"}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY}) as gateway:
        yield gateway


async def get(gateway: Served, path: str, key: str | None = CLIENT_KEY) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession() as client, client.get(gateway.url + path, headers=headers) as response:
        return response.status, await response.json()


async def test_events_are_told_to_an_admin(gateway: Served) -> None:
    assert (await get(gateway, "/api/providers", key=None))[0] == 401
    status, body = await get(gateway, "/api/events")
    assert status == 200
    (event,) = body["events"]
    assert event["event"] == "authentication_failed"
    assert event["path"] == "/api/providers"
    assert event["remote"] == "127.0.0.1"
    assert event["meaning"]
    assert body["counts"]["authentication_failed"] == 1
    assert body["counts"]["rate_limited"] == 0


@pytest.mark.parametrize("path", ["/api/events", "/api/activity"])
async def test_both_are_for_admins_alone(gateway: Served, path: str) -> None:
    async with (
        aiohttp.ClientSession(headers=ADMIN) as client,
        client.post(f"{gateway.url}/api/clients", json={"name": "app"}) as made,
    ):
        key = (await made.json())["key"]
    assert (await get(gateway, path, key=None))[0] == 401
    assert (await get(gateway, path, key))[0] == 403


async def test_the_last_hour_grows_with_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP", 1)
    metrics, recent = Metrics(), Recent(RecentEvents())
    watching = asyncio.create_task(recent.watch(metrics))
    async with asyncio.timeout(10):
        while not (steps := recent.activity.after(0, 0)):
            metrics.observe_request("api", 200, 0.1)
            await asyncio.sleep(0.05)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert steps[0].requests > 0


async def test_the_newest_steps_are_given_alone(gateway: Served) -> None:
    status, body = await get(gateway, "/api/activity?after=99999999999")
    assert (status, body["steps"], body["step"]) == (200, [], 15)
    assert (await get(gateway, "/api/activity?after=x"))[0] == 400


async def test_workers_show_the_events_of_all_and_go_on_from_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAVE_EVERY", 0.01)
    first, second = RecentEvents(), RecentEvents()
    first.add("rate_limited", {"principal": "ada"})
    second.add("permission_denied", {"principal": "bob"})
    places = [Recent(first), Recent(second)]
    now = int(time.time())
    for at, requests in ((now - 15, 0), (now, 5)):
        places[1].activity.add(at, Totals(requests=requests))
    watching = []
    for number, recent in enumerate(places):
        await recent.share(tmp_path, number)
        watching.append(asyncio.create_task(recent.watch(Metrics())))
    async with asyncio.timeout(10):
        for recent in places:
            while len(await recent.events()) < 2:
                await asyncio.sleep(0.01)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    assert {event.event for event in await places[0].events()} == {"rate_limited", "permission_denied"}
    successor = Recent(RecentEvents())
    await successor.share(tmp_path, 1)
    assert len(await successor.events()) == 2
    assert successor.activity.after(0, now)[0].requests == 5


async def test_a_file_that_is_none_hides_nothing(tmp_path: Path) -> None:
    own = RecentEvents()
    own.add("rate_limited", {})
    recent = Recent(own)
    await recent.share(tmp_path, 0)
    (tmp_path / "recent-1.json").write_text('{"events": [{"at": 1}], "steps": 2}')
    assert [event.event for event in await recent.events()] == ["rate_limited"]
