"""What the process refuses, and that it gives back what it took on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Overloaded
from orchestrator_core.server.load import LATE_LOOKS, LOOK_EVERY, MOST_REFUSED, Load
from scripted_gateway import Served, served

BODY = {"model": "scripted/m", "messages": [{"role": "user", "content": "ping"}]}
PATH = "/v1/chat/completions"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    environ = {
        "ORCHESTRATOR_MAX_REQUESTS_IN_FLIGHT": "2",
        "ORCHESTRATOR_MAX_REQUEST_BYTES": "100000",
        "ORCHESTRATOR_MAX_REQUEST_BYTES_IN_FLIGHT": "150000",
    }
    async with served(tmp_path, [ScriptedProvider], environ) as gateway:
        yield gateway


async def under_way(gateway: Served, count: int, **fields: Any) -> list[asyncio.Task[Any]]:
    """Have requests under way that last until they are cancelled."""
    plugin = gateway.plugins["scripted"]
    plugin.scripts.extend([[*answer("pong")[:2], 30.0]] * count)
    before = plugin.open
    tasks = [asyncio.create_task(gateway.post(PATH, {**BODY, "stream": True, **fields})) for _ in range(count)]
    while plugin.open < before + count:
        await asyncio.sleep(0.001)
    return tasks


async def gone(gateway: Served, tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    while gateway.plugins["scripted"].open:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("path", [PATH, "/v1/messages", "/api/orchestrate", "/api/v1/scripted/chat", "/v1/models"])
async def test_requests_above_the_bound_are_refused_before_their_body_is_read(gateway: Served, path: str) -> None:
    tasks = await under_way(gateway, 2)
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    method = "GET" if path == "/v1/models" else "POST"
    length = "" if method == "GET" else "Content-Type: application/json\r\nContent-Length: 90000\r\n"
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert " 503 " in head
    assert "retry-after: 1\r\n" in head
    writer.close()
    assert len(gateway.plugins["scripted"].requests) == 2
    await gone(gateway, tasks)
    assert (await gateway.post(PATH, BODY)).status == 200


async def test_looks_at_the_health_are_answered_to_the_last(gateway: Served) -> None:
    tasks = await under_way(gateway, 2)
    for path in ("/health", "/health/live", "/health/ready"):
        assert (await gateway.get(path)).status == 200
    assert (await gateway.get("/v1/models")).status == 503
    await gone(gateway, tasks)


async def test_the_bytes_of_all_bodies_are_bounded(gateway: Served) -> None:
    tasks = await under_way(gateway, 1, user="u" * 80_000)
    large = {**BODY, "user": "u" * 80_000}
    refused = await gateway.post(PATH, large)
    assert (refused.status, refused.json["error"]["code"]) == (503, "overloaded")
    assert refused.headers["Retry-After"] == "1"
    assert (await gateway.post(PATH, BODY)).status == 200
    await gone(gateway, tasks)
    assert (await gateway.post(PATH, large)).status == 200


async def test_bodies_without_a_length_count_as_they_come(gateway: Served) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 10_000

    tasks = await under_way(gateway, 1, user="u" * 80_000)
    async with aiohttp.ClientSession() as client:
        headers = {"Content-Type": "application/json"}
        async with client.post(gateway.url + PATH, data=pieces(), headers=headers) as reply:
            assert reply.status == 503
    await gone(gateway, tasks)


def load(draws: float = 0.5, **settings: Any) -> Load:
    return Load(Settings(**settings), lambda: draws)


def refuses(load: Load) -> bool:
    try:
        load.take().close()
        return False
    except Overloaded:
        return True


def test_one_slow_step_refuses_nobody() -> None:
    busy = load(draws=0.0)
    for _ in range(LATE_LOOKS - 1):
        busy.look(9.0)
    assert not refuses(busy)
    busy.look(0.0)
    busy.look(9.0)
    assert not refuses(busy)


def test_a_loop_that_stays_late_refuses_more_and_more_and_one_that_keeps_up_takes_all_again() -> None:
    busy = load(draws=0.5)
    looks = 0
    while not refuses(busy):
        busy.look(0.3)
        looks += 1
    assert LATE_LOOKS < looks < 20
    for _ in range(100):
        busy.look(1.0)
    for _ in range(100):
        busy.look(0.2)  # within the bound, and not well below it
    assert refuses(busy)
    for _ in range(100):
        busy.look(0.0)
    assert not refuses(busy)


def test_some_requests_are_taken_however_late_the_loop_is() -> None:
    busy = load(draws=(1 + MOST_REFUSED) / 2)
    for _ in range(1000):
        busy.look(60.0)
    assert not refuses(busy)


async def test_the_loop_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = load(draws=0.0, max_loop_lag=1e-9)  # any loop is later than that
    monkeypatch.setattr("orchestrator_core.server.load.LOOK_EVERY", LOOK_EVERY / 1000)
    watch = asyncio.create_task(busy.watch())
    while not refuses(busy):
        await asyncio.sleep(0)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


@given(st.lists(st.integers(0, 400), max_size=30))
def test_whatever_is_held_is_given_back(sizes: list[int]) -> None:
    bounded = load(max_request_bytes_in_flight=1000, max_request_bytes=1000)
    for size in sizes:
        try:
            with closing(bounded.take()) as burden:
                for _ in range(5):
                    burden.hold(size)
                    assert bounded.held <= 1000
        except Overloaded:
            pass
        assert (bounded.requests, bounded.held) == (0, 0)
