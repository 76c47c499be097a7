"""What processes tell each other of open circuits, over a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from orchestrator_core.provider_api import CircuitOpen
from orchestrator_core.resilience.breaker import BreakerRules
from orchestrator_core.resilience.breakers import Breakers
from orchestrator_core.resilience.shared_circuits import KEY, SharedCircuits, read_circuits
from orchestrator_core.resilience.shared_state import SharedState, SharedStateLost
from redis_server import RedisServer, opened, until

NAME = ("one", "org/model")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Process:
    """One gateway's circuits."""

    def __init__(self, shared: SharedState) -> None:
        self.shared = shared
        self.clock = Clock()
        rules = BreakerRules(minimum_calls=2, cooldown=15)
        self.breakers = Breakers(rules, self._changed, clock=self.clock)
        self.circuits = SharedCircuits(self.breakers, shared)

    def _changed(self, provider: str, model: str, state: str) -> None:
        if state != "half_open":
            self.circuits.note(provider, model)

    def fail(self) -> None:
        for _ in range(2):
            permit = self.breakers.admit(*NAME)
            assert permit is not None
            permit.end(failed=True)

    def answer(self) -> None:
        permit = self.breakers.admit(*NAME)
        assert permit is not None
        permit.end(failed=False)

    @property
    def asks(self) -> bool:
        return self.breakers.wait(*NAME) == 0


@pytest.fixture
def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path / "redis.log")
    yield server
    server.kill()


Start = Callable[[], Awaitable[Process]]


@pytest.fixture
async def start(redis: RedisServer) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def make() -> Process:
            shared, _ = await stack.enter_async_context(opened(redis.url))
            return Process(shared)

        yield make


async def sync(*processes: Process) -> None:
    for process in processes:
        await process.circuits.sync()


async def test_what_opens_in_one_process_opens_in_all(start: Start) -> None:
    one, two = await start(), await start()
    one.fail()
    assert two.asks

    await sync(one, two)

    assert not two.asks
    with pytest.raises(CircuitOpen) as caught:
        two.breakers.admit(*NAME)
    assert 1 <= (caught.value.retry_after or 0) <= 15


async def test_what_closes_in_one_process_closes_in_all(start: Start) -> None:
    one, two = await start(), await start()
    one.fail()
    await sync(one, two)
    one.clock.now += 20
    one.answer()

    await sync(one, two)

    assert two.asks
    assert two.breakers.circuits == []


async def test_a_probe_that_fails_keeps_it_open_in_all(start: Start) -> None:
    one, two = await start(), await start()
    one.fail()
    await sync(one, two)
    one.clock.now += 20
    two.clock.now += 20
    permit = one.breakers.admit(*NAME)
    assert permit is not None
    permit.end(failed=True)

    await sync(one, two)

    assert not two.asks


async def test_what_was_told_by_another_is_not_told_back(start: Start) -> None:
    one, two = await start(), await start()
    one.fail()
    await sync(one, two)
    one.clock.now += 20
    one.answer()
    await sync(one, two, one, two)

    assert one.asks
    assert two.asks
    assert await read_circuits(one.shared) == {}


async def test_a_circuit_is_not_closed_because_its_cooldown_is_over(start: Start) -> None:
    one, two = await start(), await start()
    one.fail()
    await sync(one, two)
    two.clock.now += 20

    await sync(one, two)

    assert [each.state for each in two.breakers.circuits] == ["open"]


async def test_each_goes_by_its_own_calls_while_redis_is_away_and_tells_later(start: Start, redis: RedisServer) -> None:
    one, two = await start(), await start()
    redis.kill()
    one.fail()
    for process in (one, two):
        with pytest.raises(SharedStateLost):
            await process.circuits.sync()
    assert not one.asks
    assert two.asks

    redis.start()
    await until(one.shared, available=True)
    await until(two.shared, available=True)
    await sync(one, two)

    assert not two.asks


async def test_a_redis_that_lost_its_memory_closes_nothing_and_is_told_again(start: Start, redis: RedisServer) -> None:
    one, two = await start(), await start()
    one.fail()
    await sync(one, two)
    with redis.client() as client:
        client.flushall()

    await sync(one, two)

    assert not one.asks
    assert not two.asks
    await sync(one)
    assert await read_circuits(one.shared)
    three = await start()
    await sync(three)
    assert not three.asks


async def test_a_redis_that_came_back_older_closes_nothing(start: Start, redis: RedisServer) -> None:
    one, two = await start(), await start()
    await sync(one, two)
    with redis.client() as client:
        before = client.dump(f"{KEY}:memory")
    one.fail()
    await sync(one, two)
    redis.kill()
    redis.start()
    with redis.client() as client:
        client.restore(f"{KEY}:memory", 0, before)

    for process in (two, one):
        with suppress(SharedStateLost):
            await sync(process)
    await until(one.shared, available=True)
    await until(two.shared, available=True)
    await sync(two, one)

    assert not one.asks
    assert not two.asks


async def test_nothing_stays_in_redis_for_ever(start: Start, redis: RedisServer) -> None:
    one = await start()
    one.fail()
    await sync(one)

    with redis.client() as client:
        assert set(client.keys()) - {"orchestrator:probe"} == {KEY, f"{KEY}:memory"}
        for key in (KEY, f"{KEY}:memory"):
            assert 0 < client.pttl(key) <= 15_000 + 600_000
