"""Waits that share a timer end as those of `asyncio.timeout` do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from orchestrator_core.resilience.waits import Waits

LONG = 60.0
"""Seconds that no test takes."""


async def wait_within(waits: Waits, seconds: float, lasting: float = LONG) -> str:
    with waits.within(seconds):
        await asyncio.sleep(lasting)
    return "over"


async def test_a_wait_that_lasts_too_long_is_ended() -> None:
    with pytest.raises(TimeoutError):
        await wait_within(Waits(), 0.02)


async def test_a_wait_without_time_is_ended() -> None:
    with pytest.raises(TimeoutError):
        await wait_within(Waits(), 0.0)


async def test_what_is_over_in_time_is_left_alone() -> None:
    waits = Waits()
    assert await wait_within(waits, 0.02, 0.0) == "over"
    assert await wait_within(waits, LONG, 0.05) == "over"  # and not by the time of the one before


async def test_each_is_ended_at_its_own_time_whichever_began_first() -> None:
    waits = Waits()
    ended: list[float] = []

    async def note(seconds: float) -> None:
        with pytest.raises(TimeoutError):
            await wait_within(waits, seconds)
        ended.append(seconds)

    lasting = asyncio.create_task(wait_within(waits, LONG))
    await asyncio.gather(*(note(seconds) for seconds in (0.4, 0.2, 0.3, 0.1)))
    assert ended == [0.1, 0.2, 0.3, 0.4]
    assert not lasting.done()
    lasting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lasting


async def test_one_timer_serves_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    waits = Waits()
    timers: list[float] = []
    call_at = loop.call_at

    def note(when: float, *call: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *call)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_at", note)
        for _ in range(100):
            with waits.within(LONG):
                pass
    assert len(timers) == 1


async def test_a_task_that_is_cancelled_as_well_is_cancelled() -> None:
    waits = Waits()
    task = asyncio.create_task(wait_within(waits, LONG))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def cancel_itself() -> None:
        with waits.within(0.0):
            try:
                await asyncio.sleep(LONG)
            finally:
                this = asyncio.current_task()
                assert this is not None
                this.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancel_itself())


async def test_what_fails_while_it_waits_says_so_itself() -> None:
    waits = Waits()

    async def fail() -> None:
        with waits.within(0.0):
            try:
                await asyncio.sleep(LONG)
            finally:
                raise ValueError("nonsense")

    with pytest.raises(ValueError, match="nonsense"):
        await fail()
    assert await wait_within(waits, LONG, 0.05) == "over"  # nothing of the cancellation is left


async def test_the_outer_of_two_waits_ends_both() -> None:
    waits = Waits()
    with pytest.raises(TimeoutError), waits.within(0.02):
        await wait_within(waits, LONG)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await wait_within(waits, LONG)
    async with asyncio.timeout(LONG) as outer:
        with pytest.raises(TimeoutError):
            await wait_within(waits, 0.02)
    assert not outer.expired()


class Faulty:
    """Cannot be ended."""

    def __init__(self, until: float) -> None:
        self.until = until

    def expire(self) -> None:
        raise RuntimeError("no")


async def test_one_that_cannot_be_ended_keeps_no_other_from_its_end() -> None:
    loop = asyncio.get_running_loop()
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    waits = Waits()
    waits.begin(Faulty(loop.time() + 0.01))
    with pytest.raises(TimeoutError):
        await wait_within(waits, 0.02, lasting=5)
    assert [str(context["exception"]) for context in told] == ["no"]


async def test_those_that_a_late_loop_passed_are_ended_with_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    waits = Waits()
    waiting = [asyncio.create_task(wait_within(waits, 0.01 + place / 10_000)) for place in range(100)]
    await asyncio.sleep(0)
    looks: list[float] = []
    call_at = loop.call_at

    def count(when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        looks.append(when)
        return call_at(when, *args, **kwargs)

    monkeypatch.setattr(loop, "call_at", count)
    time.sleep(0.05)  # the loop is late
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(each) for each in ended} == {TimeoutError}
    assert looks == []
