"""Two gateways over one PostgreSQL are one gateway."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from databases import PostgresServer, postgres_server
from processes import StartGateway
from replicas import CountingUpstream, Writers, post_with_keys


@pytest.fixture
async def upstream() -> AsyncIterator[CountingUpstream]:
    async with CountingUpstream() as server:
        yield server


@pytest.fixture
def replicas(gateway_process: StartGateway, upstream: CountingUpstream, tmp_path: Path) -> Callable[[str], list[str]]:
    """Start two gateways over a database, and return where they listen."""

    def start(database: str) -> list[str]:
        urls = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            environ = {**upstream.environ(), "ORCHESTRATOR_DATABASE_URL": database}
            urls.append(gateway_process(environ=environ, directory=tmp_path / name).url)
        return urls

    return start


async def test_many_writers_on_many_sessions_while_the_database_is_killed(
    replicas: Callable[[str], list[str]], upstream: CountingUpstream
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with postgres_server() as server:
        writers = Writers(await asyncio.to_thread(replicas, await server.migrated()), seed)

        async def restart() -> None:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

        await writers.write(writers=12, sessions=8, turns=150, between=lambda done: restart() if done == 75 else None)
        assert await writers.faults() == []
    assert sum(len(said) for said in writers.said.values()) + len(writers.given_up) == 150


async def test_one_key_is_one_call_for_both(
    replicas: Callable[[str], list[str]], upstream: CountingUpstream, postgres: PostgresServer
) -> None:
    urls = await asyncio.to_thread(replicas, await postgres.migrated())
    await post_with_keys(urls, keys=30, times=8, prefix="key")
    assert len(upstream.asked) == 30
    assert set(upstream.asked.values()) == {1}
