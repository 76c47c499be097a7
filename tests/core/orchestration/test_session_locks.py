"""One turn at a time for each session: in one process, and over a real Redis in several."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from orchestrator_core.orchestration import Selection, TurnRequest, shared_locks
from orchestrator_core.orchestration.locks import LocalLocks, SessionLocks
from orchestrator_core.orchestration.shared_locks import SharedLocks
from orchestrator_core.provider_api import ChatRequest, Finish, SessionBusy, Start, TextDelta, text_message
from orchestrator_core.security.principal import ANONYMOUS
from processes import inherited_environment
from redis_server import RedisServer, opened, told, until

SESSION = "sess_1"

PROCESS = """
import asyncio, sys
from orchestrator_core.config import Settings
from orchestrator_core.orchestration.shared_locks import SharedLocks
from orchestrator_core.resilience import shared_state
from orchestrator_core.resilience.shared_state import SharedState

shared_state.TIMEOUT = 10.0

async def main():
    state = SharedState.from_settings(Settings(redis_url=sys.argv[1]), print)
    await state.start()
    locks = SharedLocks(state, 60)
    for _ in range(int(sys.argv[2])):
        async with locks.hold("sess_1", 60) as fence:
            print("in", fence, flush=True)
            if len(sys.argv) > 3:
                await asyncio.sleep(60)
            await asyncio.sleep(0.002)
            print("out", fence, flush=True)
    await state.close()

asyncio.run(main())
"""


def start_process(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, *arguments], env=inherited_environment(), stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(params=["local", "shared"])
async def locks(request: pytest.FixtureRequest) -> AsyncIterator[SessionLocks]:
    async with AsyncExitStack() as stack:
        if request.param == "local":
            yield LocalLocks(0.1)
        else:
            server: RedisServer = request.getfixturevalue("redis_server")
            state, _ = await stack.enter_async_context(opened(server.url))
            yield SharedLocks(state, 0.1)


@pytest.fixture
def short_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_locks, "TTL", 0.5)
    monkeypatch.setattr(shared_locks, "RENEWAL", 0.05)


async def test_who_waits_too_long_is_told_that_the_session_is_busy(locks: SessionLocks) -> None:
    async with locks.hold(SESSION, 60):
        with pytest.raises(SessionBusy) as caught:
            async with locks.hold(SESSION, 60):
                pass
        assert caught.value.retry_after == 1.0
        with pytest.raises(SessionBusy):
            async with locks.hold(SESSION, 0.01):
                pass
        async with locks.hold("sess_2", 60):
            pass
    async with locks.hold(SESSION, 60):
        pass


async def test_a_turn_that_fails_or_leaves_frees_the_session(locks: SessionLocks) -> None:
    with pytest.raises(KeyError):
        async with locks.hold(SESSION, 60):
            raise KeyError

    async def hold() -> None:
        async with locks.hold(SESSION, 60):
            await asyncio.sleep(60)

    for delay in (0.0, 0.001, 0.002, 0.02):
        task = asyncio.create_task(hold())
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with locks.hold(SESSION, 60):
            pass


async def test_fences_grow_even_where_redis_forgets(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, _):
        locks = SharedLocks(state, 5)
        fences = []
        for number in range(30):
            if number % 10 == 9:
                with redis_server.client() as client:
                    client.flushall()
            async with locks.hold(SESSION, 60) as fence:
                assert fence is not None
                fences.append(fence)
        assert fences == sorted(set(fences))
        with redis_server.client() as client:
            client.set(f"orchestrator:session:fence:{SESSION}", fences[-1] + 10**12)  # a clock that was set back
        async with locks.hold(SESSION, 60) as fence:
            assert fence == fences[-1] + 10**12 + 1


async def test_nothing_stays_in_redis_for_long(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, _):
        one, two = SharedLocks(state, 0.1), SharedLocks(state, 0.1)
        async with one.hold(SESSION, 60):
            with pytest.raises(SessionBusy):
                async with two.hold(SESSION, 60):
                    pass
        with redis_server.client() as client:
            (key,) = client.keys("orchestrator:session:*")
            assert key == f"orchestrator:session:fence:{SESSION}"
            assert 0 < client.ttl(key) <= 3600


async def test_the_turns_of_several_processes_follow_one_another(redis_server: RedisServer) -> None:
    """Also shows that nobody starves: all want the session all the time, and all come through."""
    async with opened(redis_server.url) as (state, _):
        processes = [start_process(redis_server.url, "15") for _ in range(2)]
        locks = SharedLocks(state, 60)
        inside = 0
        fences = []

        async def turn() -> None:
            nonlocal inside
            async with locks.hold(SESSION, 60) as fence:
                inside += 1
                assert inside == 1
                assert fence is not None
                fences.append((fence, "in"))
                await asyncio.sleep(0.002)
                fences.append((fence, "out"))
                inside -= 1

        await asyncio.gather(*(turn() for _ in range(15)))
        for process in processes:
            output, _ = await asyncio.to_thread(process.communicate, timeout=30)
            fences += [(int(number), word) for word, number in (line.split() for line in output.splitlines())]
        numbers = [number for number, word in fences if word == "in"]
        assert len(set(numbers)) == len(numbers) == 45


async def test_no_two_are_ever_inside_at_once_and_none_keeps_the_session_to_itself(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_locks, "FIRST_POLL", 0.002)
    monkeypatch.setattr(shared_locks, "LAST_POLL", 0.002)
    async with opened(redis_server.url) as (first, _), opened(redis_server.url) as (second, _):
        inside, order = 0, []

        async def turn(name: int, locks: SharedLocks) -> None:
            nonlocal inside
            async with locks.hold(SESSION, 60) as fence:
                inside += 1
                assert inside == 1
                order.append((name, fence))
                await asyncio.sleep(0.05)
                inside -= 1

        pair = SharedLocks(first, 60), SharedLocks(second, 60)
        await asyncio.gather(*(turn(name, locks) for name, locks in enumerate(pair) for _ in range(6)))
        fences = [fence for _, fence in order]
        assert fences == sorted(fences)
        switches = sum(one != two for (one, _), (two, _) in pairwise(order))
        assert switches >= 8, order


async def test_the_lock_of_a_process_that_died_is_free_after_its_time(
    redis_server: RedisServer, short_lived: None
) -> None:
    process = start_process(redis_server.url, "1", "stay")
    assert process.stdout is not None
    word, _, number = (await asyncio.to_thread(process.stdout.readline)).partition(" ")
    assert word == "in"
    async with opened(redis_server.url) as (state, _):
        locks = SharedLocks(state, 0.1)
        with pytest.raises(SessionBusy):
            async with locks.hold(SESSION, 60):
                pass
        process.kill()
        process.wait()
        process.stdout.close()
        with redis_server.client() as client:
            key = f"orchestrator:session:lock:{SESSION}"
            assert 0 < client.pttl(key) <= 8000
            client.pexpire(key, 50)
        async with SharedLocks(state, 20).hold(SESSION, 60) as fence:
            assert fence is not None
            assert fence > int(number)


async def test_a_lock_that_is_held_is_renewed(redis_server: RedisServer, short_lived: None) -> None:
    async with opened(redis_server.url) as (state, _), opened(redis_server.url) as (other, _):
        async with SharedLocks(state, 5).hold(SESSION, 60):
            with pytest.raises(SessionBusy):
                async with SharedLocks(other, 1.0).hold(SESSION, 60):
                    pass
        async with SharedLocks(other, 5).hold(SESSION, 60):
            pass


async def test_a_lock_that_somebody_else_has_is_reported_and_left_to_them(
    redis_server: RedisServer, short_lived: None
) -> None:
    key = f"orchestrator:session:lock:{SESSION}"
    async with opened(redis_server.url) as (state, _):
        with redis_server.client() as client, capture_logs() as logs:
            async with SharedLocks(state, 5).hold(SESSION, 60):
                client.set(key, "another")
                async with asyncio.timeout(10):
                    while not logs:
                        await asyncio.sleep(0.01)
            assert [entry["event"] for entry in logs] == ["Session lock lost: the turn goes on"]
            assert client.get(key) == "another"


async def test_a_held_lock_outlives_a_restart_of_redis(redis_server: RedisServer, short_lived: None) -> None:
    async with opened(redis_server.url) as (state, reports), opened(redis_server.url) as (other, _):
        async with SharedLocks(state, 5).hold(SESSION, 60) as held:
            redis_server.kill()
            await told(reports, 1)
            redis_server.start()
            await until(state, available=True)
            with redis_server.client() as client:
                async with asyncio.timeout(10):
                    while not client.exists(f"orchestrator:session:lock:{SESSION}"):
                        await asyncio.sleep(0.01)
            await until(other, available=True)
            with pytest.raises(SessionBusy):
                async with SharedLocks(other, 0.1).hold(SESSION, 60):
                    pass
        async with SharedLocks(other, 5).hold(SESSION, 60) as fence:
            assert held is not None
            assert fence is not None
            assert fence > held


async def test_while_redis_is_away_the_locks_of_this_process_hold(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, reports):
        locks = SharedLocks(state, 0.1)
        async with locks.hold(SESSION, 60):
            redis_server.kill()
            with pytest.raises(SessionBusy):
                async with locks.hold(SESSION, 60):
                    pass
        async with locks.hold(SESSION, 60) as fence:
            assert fence is None
        await told(reports, 1)
        redis_server.start()
        await until(state, available=True)
        async with locks.hold(SESSION, 60) as fence:
            assert fence is not None


async def test_a_turn_waits_for_the_one_that_makes_its_session(start: Any, redis_server: RedisServer) -> None:
    bench = await start(ORCHESTRATOR_REDIS_URL=redis_server.url)
    bench.one.scripts.append([Start(model="m"), TextDelta(text="po"), TextDelta(text="ng"), Finish(reason="stop")])
    first = await bench.gateway.turn(ANONYMOUS, turn(bench, None))
    second = asyncio.create_task(bench.gateway.turn(ANONYMOUS, turn(bench, first.session_id)))
    await asyncio.sleep(0.2)
    assert not second.done()

    await first.result()

    assert (await (await second).result()).message.text == "pong"


def turn(bench: Any, session: str | None) -> TurnRequest:
    template = ChatRequest(model="", messages=(), deadline=bench.gateway.deadline(20))
    return TurnRequest(
        selection=Selection(provider="one", fallbacks=()),
        messages=[text_message("user", "ping")],
        template=template,
        session_id=session,
    )
