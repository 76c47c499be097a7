"""Places for calls: how many there are, who waits for one and who gets it, and that none is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_core.provider_api import Overloaded
from orchestrator_core.resilience.admission import Admission, Bounds, Place


class Bench:
    """An admission, and what it told."""

    def __init__(self, *, calls: int = 2, total: int = 100, waiting: int = 10, wait: float = 30.0) -> None:
        self.now = 0.0
        self.waiting: Counter[str] = Counter()
        self.refusals: list[tuple[str, str]] = []
        self.admission = Admission(
            Bounds(calls=calls, total=total, waiting=waiting, wait=wait),
            lambda provider, change: self.waiting.update({provider: change}),
            lambda provider, reason: self.refusals.append((provider, reason)),
            lambda: self.now,
        )

    async def fill(self, provider: str = "p", count: int = 2) -> list[Place]:
        return [await self.admission.enter(provider, "t", 0) for _ in range(count)]

    def ask(self, tenant: str = "t", provider: str = "p", wait: float = 30.0) -> asyncio.Task[Place]:
        return asyncio.create_task(self.admission.enter(provider, tenant, wait), name=tenant)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_calls_above_the_bound_of_a_provider_are_refused_where_somebody_else_can_be_asked() -> None:
    bench = Bench()
    first, _ = await bench.fill()
    with pytest.raises(Overloaded, match="All 2 places for calls to this provider") as refused:
        await bench.admission.enter("p", "t", 0)
    assert refused.value.retry_after == 1
    assert bench.refusals == [], "whoever goes to a fallback is not refused"
    await bench.admission.enter("q", "t", 0)
    first.leave()
    first.leave()
    assert bench.admission.taken() == 2, "leaving twice is leaving once"


async def test_the_bound_of_all_providers_holds_beside_that_of_each() -> None:
    bench = Bench(total=3)
    await bench.fill("p", 2)
    (place,) = await bench.fill("q", 1)
    with pytest.raises(Overloaded, match="All 3 places are taken"):
        await bench.admission.enter("q", "t", 0)
    waits = [bench.ask(provider=provider) for provider in ("q", "r", "q")]
    await settle()
    for task in waits:
        assert not task.done()
        place.leave()
        await settle()
        place = task.result()


async def test_tenants_are_served_in_turn_and_the_calls_of_one_in_their_order() -> None:
    bench = Bench(calls=1)
    (place,) = await bench.fill(count=1)
    served: list[str] = []

    async def call(tenant: str, name: str) -> None:
        held = await bench.admission.enter("p", tenant, 30)
        served.append(name)
        held.leave()

    order = [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")]
    tasks = [asyncio.create_task(call(*each)) for each in order]
    await settle()
    assert bench.waiting["p"] == bench.admission.waiting("p") == 6
    place.leave()
    await asyncio.gather(*tasks)
    assert served == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert bench.waiting["p"] == bench.admission.taken() == 0


async def test_nobody_overtakes_those_who_wait() -> None:
    bench = Bench(calls=1)
    (place,) = await bench.fill(count=1)
    waiting = bench.ask()
    await settle()
    place.leave()
    later = bench.ask("other")
    await settle()
    assert waiting.done()
    assert not later.done()
    later.cancel()


async def test_a_full_queue_refuses_at_once_and_whoever_has_most_gives_way_to_somebody_with_less() -> None:
    bench = Bench(calls=1, waiting=3)
    (place,) = await bench.fill(count=1)
    greedy = [bench.ask("greedy") for _ in range(3)]
    await settle()
    with pytest.raises(Overloaded):
        await bench.admission.enter("p", "greedy", 30)
    modest = bench.ask("modest")
    await settle()
    with pytest.raises(Overloaded):
        greedy[2].result()
    second = bench.ask("modest")
    await settle()
    assert second.done(), "one and two is as fair as it gets: taking one more would only turn it round"
    with pytest.raises(Overloaded):
        second.result()
    assert bench.refusals == [("p", "full"), ("p", "gave_way"), ("p", "full")]
    place.leave()
    for task in (greedy[0], modest, greedy[1]):
        (await task).leave()
    assert bench.admission.taken() == 0


async def test_who_waited_in_vain_is_refused_and_leaves_no_trace() -> None:
    bench = Bench(calls=1, wait=0.01)
    (place,) = await bench.fill(count=1)
    with pytest.raises(Overloaded):
        await bench.admission.enter("p", "t", 30)
    assert bench.refusals == [("p", "waited")]
    assert bench.waiting["p"] == bench.admission.waiting("p") == 0
    place.leave()
    assert bench.admission.taken() == 0


async def test_nobody_waits_for_a_place_that_is_not_to_be_expected_in_time() -> None:
    bench = Bench(calls=2, wait=4.0)
    for place in await bench.fill():
        bench.now = 1.0
        place.leave()
    await bench.fill()
    # Places are held for a second: the fourth in the queue is to expect one in two seconds, half of the longest wait.
    waiting = [bench.ask() for _ in range(4)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        await bench.admission.enter("p", "t", 30)
    assert bench.refusals == [("p", "full")]
    assert refused.value.retry_after == 2.5, "as long as five calls take in two places"
    for task in waiting:
        task.cancel()


@pytest.mark.parametrize("steps", range(4))
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("before", [False, True])
async def test_a_caller_who_leaves_at_any_moment_takes_no_place_along(before: bool, timed: bool, steps: int) -> None:
    """Cancel around the moment in which the place is given, before and after, some steps of the loop apart."""
    bench = Bench(calls=1, wait=0.001 if timed else 30)
    (place,) = await bench.fill(count=1)
    task = bench.ask()
    await settle()
    for action in (task.cancel, place.leave) if before else (place.leave, task.cancel):
        action()
        for _ in range(steps):
            await asyncio.sleep(0)
    with suppress(asyncio.CancelledError, Overloaded):
        (await task).leave()
    await settle()
    assert bench.admission.taken() == bench.admission.waiting("p") == bench.waiting["p"] == 0
    await bench.fill(count=1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), calls=st.integers(1, 3), total=st.integers(1, 4), waiting=st.integers(1, 5))
def test_whatever_happens_bounds_hold_and_every_place_comes_back(
    seed: int, calls: int, total: int, waiting: int
) -> None:
    choose = random.Random(seed)

    async def run() -> None:
        bench = Bench(calls=calls, total=total, waiting=waiting, wait=choose.choice([0.0005, 5.0]))
        held: list[Place] = []
        tasks: list[asyncio.Task[Place]] = []

        async def call(provider: str, tenant: str) -> Place:
            place = await bench.admission.enter(provider, tenant, choose.choice([0, 5.0]))
            held.append(place)
            return place

        for _ in range(120):
            bench.now += choose.random()
            action = choose.random()
            if action < 0.45:
                tasks.append(asyncio.create_task(call(choose.choice("pq"), choose.choice("abc"))))
            elif action < 0.6 and tasks:
                choose.choice(tasks).cancel()
            elif action < 0.85 and held:
                held.pop(choose.randrange(len(held))).leave()
            else:
                await asyncio.sleep(choose.choice([0, 0, 0.001]))
            assert bench.admission.taken() <= total
            for provider in "pq":
                assert bench.admission.taken(provider) <= calls
                assert bench.admission.waiting(provider) <= waiting
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for place in held:
            place.leave()
        assert bench.admission.taken() == bench.admission.waiting("p") == bench.admission.waiting("q") == 0
        assert bench.waiting.total() == 0

    asyncio.run(run())


@pytest.mark.parametrize(("waiting", "wait"), [(100, 4.0), (4, 4.0)])
async def test_whoever_asks_for_less_than_a_fair_share_is_served_beside_a_flood(waiting: int, wait: float) -> None:
    """Each second four places come free; one client asks for twenty, another for one of them."""
    bench = Bench(calls=4, waiting=waiting, wait=wait)
    modest: list[asyncio.Task[Place]] = []
    flood: list[asyncio.Task[Place]] = []
    held = await bench.fill(count=4)
    for _ in range(30):
        flood += [bench.ask("flood") for _ in range(10)]
        await settle()
        modest.append(bench.ask("modest"))
        flood += [bench.ask("flood") for _ in range(10)]
        await settle()
        bench.now += 1
        for place in held:
            place.leave()
        await settle()
        ended = [task for task in (*modest, *flood) if task.done() and task.exception() is None]
        held = [task.result() for task in ended if task.get_name() != "served"]
        for task in ended:
            task.set_name("served")
        assert len(held) == 4, "no place is left empty while anybody waits"
    for task in (*modest, *flood):
        task.cancel()
    await asyncio.gather(*modest, *flood, return_exceptions=True)
    assert [task.get_name() for task in modest[:-1]] == ["served"] * 29


async def test_a_tenant_that_waits_for_its_turn_is_not_kept_away_by_how_many_calls_another_has() -> None:
    bench = Bench(calls=2, wait=4.0)
    for place in await bench.fill():
        bench.now = 1.0
        place.leave()
    places = await bench.fill()
    greedy = [bench.ask("greedy") for _ in range(4)]
    await settle()
    modest = bench.ask("modest")
    await settle()
    assert not modest.done()
    with pytest.raises(Overloaded):
        greedy[3].result()
    assert bench.refusals == [("p", "gave_way")]
    for place in places:
        place.leave()
    assert await modest
    for task in greedy:
        task.cancel()
