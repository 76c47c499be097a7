"""A store that fails under a running gateway: nobody is asked in vain, what needs no store goes on, and it recovers."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from databases import postgres_server
from fake_upstreams.misbehaving import MisbehavingUpstream
from processes import GatewayProcess, StartGateway
from provider_faults import KEY
from surfaces import CHAT, ORCHESTRATE

WAITS_AT_MOST = 15.0
"""Seconds in which a request is answered, whatever the store does."""


class Client:
    """Talks with one gateway in one session."""

    def __init__(self, gateway: GatewayProcess, http: aiohttp.ClientSession, upstream: MisbehavingUpstream) -> None:
        self.gateway = gateway
        self.http = http
        self.upstream = upstream
        self.session = ""

    async def take_turn(self) -> tuple[int, Any, str | None]:
        """Take a turn; return the status, the body and `Retry-After`."""
        path, body = ORCHESTRATE.request("openai", "m", stream=False)
        if self.session:
            body["session_id"] = self.session
        async with asyncio.timeout(WAITS_AT_MOST), self.http.post(self.gateway.url + path, json=body) as reply:
            return reply.status, await reply.json(), reply.headers.get("Retry-After")

    async def begin(self) -> None:
        status, answer, _ = await self.take_turn()
        assert status == 200, answer
        self.session = answer["session_id"]

    async def get(self, path: str) -> tuple[int, Any]:
        async with asyncio.timeout(WAITS_AT_MOST), self.http.get(self.gateway.url + path) as reply:
            return reply.status, await reply.json()

    async def history(self) -> tuple[int, int]:
        """Return the status of the history, and how many messages it has."""
        status, page = await self.get(f"/api/sessions/{self.session}/history")
        return status, len(page.get("messages", ()))

    async def is_refused(self, code: str) -> None:
        """Take a turn that cannot be stored: the provider must not hear of it."""
        before = self.upstream.requests.total()
        status, problem, retry_after = await self.take_turn()
        assert (status, problem["code"]) == (503, code), problem
        assert int(retry_after or 0) >= 1
        assert self.upstream.requests.total() == before, "the provider was asked in vain"

    async def goes_on_without_session(self) -> None:
        path, body = CHAT.request("openai", "m", stream=False)
        async with asyncio.timeout(WAITS_AT_MOST), self.http.post(self.gateway.url + path, json=body) as reply:
            assert reply.status == 200, await reply.text()

    async def recovers(self) -> None:
        """Wait until a turn is taken again."""
        end = time.monotonic() + 30
        while (await self.take_turn())[0] != 200:
            assert time.monotonic() < end, "it does not recover"
            await asyncio.sleep(0.1)
        assert (await self.get("/health/ready"))[0] == 200


@pytest.fixture
async def upstream() -> AsyncIterator[MisbehavingUpstream]:
    async with MisbehavingUpstream() as upstream:
        yield upstream


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def environ(upstream: MisbehavingUpstream, **more: str) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "ORCHESTRATOR_PROVIDERS": "openai,echo",
        "MONITORING_ENABLED": "false",
        **more,
    }


@contextmanager
def full_disk(gateway: GatewayProcess) -> Iterator[None]:
    """Let the write-ahead log grow no further, as on a disk without room or with a quota."""
    process = psutil.Process(gateway.process.pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, ((gateway.directory / "orchestrator.db-wal").stat().st_size, before[1]))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, before)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database as another program would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


async def test_a_full_disk(
    gateway_process: StartGateway, upstream: MisbehavingUpstream, http: aiohttp.ClientSession
) -> None:
    client = Client(gateway_process(environ(upstream)), http, upstream)
    await client.begin()
    with full_disk(client.gateway):
        await client.is_refused("storage_full")
        assert (await client.get("/health/ready"))[0] == 503
        assert (await client.get("/api/health"))[1]["status"] == "unhealthy"
        assert await client.history() == (200, 2)
        await client.goes_on_without_session()
    await client.recovers()
    assert await client.history() == (200, 4)
    assert "Traceback" not in client.gateway.output()


async def test_a_locked_database(
    gateway_process: StartGateway, upstream: MisbehavingUpstream, http: aiohttp.ClientSession
) -> None:
    client = Client(gateway_process(environ(upstream)), http, upstream)
    await client.begin()
    with locked(client.gateway.directory / "orchestrator.db"):
        began = time.monotonic()
        await client.is_refused("storage_busy")
        assert time.monotonic() - began > 1, "it waits for its turn"
        assert await client.history() == (200, 2)
        await client.goes_on_without_session()
    await client.recovers()
    assert await client.history() == (200, 4)


async def test_a_lost_postgresql(
    gateway_process: StartGateway, upstream: MisbehavingUpstream, http: aiohttp.ClientSession
) -> None:
    with postgres_server() as server:
        settings = environ(upstream, ORCHESTRATOR_DATABASE_URL=await server.migrated())
        client = Client(await asyncio.to_thread(gateway_process, settings), http, upstream)
        await client.begin()
        await asyncio.to_thread(server.kill)
        await client.is_refused("storage_unavailable")
        assert (await client.get("/health/ready"))[0] == 503
        assert (await client.get("/api/health"))[1]["status"] == "unhealthy"
        await client.goes_on_without_session()
        await asyncio.to_thread(server.start)
        await client.recovers()
        assert await client.history() == (200, 4)
        assert await asyncio.to_thread(client.gateway.stop) == 0, "while the database is there"
        assert "Traceback" not in client.gateway.output()
