"""Requests a minute over several processes. Against a real Redis."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import RateLimited
from orchestrator_core.resilience import limits
from orchestrator_core.resilience.limits import Quota, RequestLimit, RequestLimits
from orchestrator_core.resilience.shared_state import SharedState
from processes import inherited_environment
from redis_server import RedisServer, opened, told, until

PROCESS = """
import asyncio, sys
from orchestrator_core.config import Settings
from orchestrator_core.provider_api import RateLimited
from orchestrator_core.resilience import shared_state
from orchestrator_core.resilience.limits import RequestLimits
from orchestrator_core.resilience.shared_state import SharedState

shared_state.TIMEOUT = 10.0

async def main():
    settings = Settings(redis_url=sys.argv[1], max_requests_per_minute=100)
    state = SharedState.from_settings(settings, print)
    await state.start()
    limits = RequestLimits(settings, state)

    async def ask():
        try:
            await limits.admit_client("somebody")
        except RateLimited:
            return 0
        return 1

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(sum(await asyncio.gather(*(ask() for _ in range(150)))), flush=True)
    await state.close()

asyncio.run(main())
"""


def limit(state: SharedState, requests: int = 100, processes: int = 4) -> RequestLimit:
    return RequestLimit("client", requests, state, processes, time.monotonic)


async def admitted(limit: RequestLimit, times: int, key: str = "a", own: int | None = None) -> int:
    outcomes = await asyncio.gather(*(limit.admit(key, own) for _ in range(times)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {Quota, RateLimited}, outcomes
    return sum(isinstance(outcome, Quota) for outcome in outcomes)


def test_two_processes_admit_exactly_the_limit(redis_server: RedisServer) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, redis_server.url],
            env=inherited_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=30)[0]) for process in processes]
    assert sum(counts) == 100, counts


async def test_the_error_is_that_of_the_local_limit(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, _):
        shared = limit(state, 3)
        assert await admitted(shared, 3) == 3
        with pytest.raises(RateLimited) as caught:
            await shared.admit("a")
        assert caught.value.retry_after is not None
        assert 0 < caught.value.retry_after <= 60
        assert caught.value.message.startswith("The limit of 3 requests a minute for each client is reached.")


async def test_after_the_announced_wait_the_next_one_is_admitted(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WINDOW", 0.4)
    async with opened(redis_server.url) as (state, _):
        shared = limit(state, 2)
        await shared.admit("a")
        await asyncio.sleep(0.2)
        await shared.admit("a")
        with pytest.raises(RateLimited) as caught:
            await shared.admit("a")
        assert caught.value.retry_after is not None
        await asyncio.sleep(caught.value.retry_after + 0.01)
        await shared.admit("a")


async def test_clients_sessions_and_tenants_are_apart_and_a_limit_of_ones_own_counts(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, _):
        settings = Settings(max_requests_per_minute=1, rate_limit_per_session=1)
        both = RequestLimits(settings, state)
        await both.admit_client("a")
        await both.admit_client("b", 2)
        await both.admit_client("b", 2)
        await both.admit_session("a", "sess_1")
        await both.admit_session("b", "sess_1")
        for refused in (both.admit_client("a"), both.admit_client("b", 2), both.admit_session("a", "sess_1")):
            with pytest.raises(RateLimited):
                await refused
        with pytest.raises(RateLimited, match="limit of 0"):
            await both.admit_client("c", 0)
        unlimited = RequestLimits(Settings(), state)
        for _ in range(10):
            await unlimited.admit_client("d")
        with redis_server.client() as client:
            assert len(client.keys("orchestrator:requests:*")) == 4


async def test_memory_is_bounded_and_names_nobody(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, _):
        shared = limit(state, 10)
        assert await admitted(shared, 40, "somebody@example.com 10.0.0.1") == 10
        with redis_server.client() as client:
            (key,) = client.keys("orchestrator:requests:*")
            assert "somebody" not in key
            assert client.llen(key) == 10
            assert 0 < client.pttl(key) <= 60_000
            assert await admitted(shared, 3, "somebody@example.com 10.0.0.1", own=5) == 0


@pytest.mark.parametrize(("ahead", "expected"), [(30, 0), (3600, 2)])
async def test_a_clock_that_was_set_back_shuts_nobody_out_for_long(
    redis_server: RedisServer, ahead: int, expected: int
) -> None:
    async with opened(redis_server.url) as (state, _):
        shared = limit(state, 2)
        await shared.admit("a")
        with redis_server.client() as client:
            (key,) = client.keys("orchestrator:requests:*")
            client.delete(key)
            later = int((time.time() + ahead) * 1e6)
            client.rpush(key, later - 5, later)
        assert await admitted(shared, 4) == expected
        if not expected:
            with pytest.raises(RateLimited) as caught:
                await shared.admit("a")
            assert caught.value.retry_after is not None
            assert caught.value.retry_after <= 60


async def test_while_redis_is_away_each_process_admits_its_part_and_then_they_share_again(
    redis_server: RedisServer,
) -> None:
    async with opened(redis_server.url) as (state, reports):
        one, two = limit(state), limit(state)
        assert await admitted(one, 10) + await admitted(two, 10) == 20
        redis_server.kill()
        assert await admitted(one, 100) == 25
        assert await admitted(two, 100) == 25
        assert await admitted(one, 100, "b") == 25
        assert await admitted(one, 10, "c", own=2) == 1
        assert await admitted(one, 10, "d", own=0) == 0
        await told(reports, 1)
        redis_server.start()
        await until(state, available=True)
        assert await admitted(one, 80) + await admitted(two, 80) == 100
        assert [reason is None for reason in reports] == [False, True]


async def test_a_redis_that_dies_under_load_refuses_nobody(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, _):
        shared = limit(state, 100_000)
        asking = asyncio.create_task(admitted(shared, 3000))
        await asyncio.sleep(0.05)
        redis_server.kill()
        assert await asking == 3000
