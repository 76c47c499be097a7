from __future__ import annotations

import asyncio

import pytest

from orchestrator_core.sessions.databases.lines import Lines, Place


@pytest.fixture
def lines() -> Lines:
    return Lines()


async def standing(place: Place, row: str) -> asyncio.Task[None]:
    task = asyncio.create_task(place.stand(row))
    await asyncio.sleep(0)
    return task


async def test_the_first_goes_on_and_the_others_follow_in_order(lines: Lines) -> None:
    places = [lines.place() for _ in range(3)]
    tasks = [await standing(place, "row") for place in places]
    for number, place in enumerate(places):
        await asyncio.sleep(0.01)
        assert [task.done() for task in tasks] == [other <= number for other in range(3)]
        assert place.is_first("row")
        assert "row" in lines
        place.leave()
        assert not place.is_first("row")
    assert "row" not in lines


async def test_who_gives_up_is_passed_over(lines: Lines) -> None:
    first, second, third = [lines.place() for _ in range(3)]
    await first.stand("row")
    gives_up, waits = await standing(second, "row"), await standing(third, "row")
    gives_up.cancel()
    await asyncio.gather(gives_up, return_exceptions=True)
    second.leave()
    first.leave()
    await waits
    assert third.is_first("row")
    third.leave()
    assert "row" not in lines


async def test_nobody_stands_in_two_lines(lines: Lines) -> None:
    one, two = lines.place(), lines.place()
    await one.stand("a")
    await two.stand("b")
    async with asyncio.timeout(5):
        await asyncio.gather(one.stand("b"), asyncio.create_task(move(two, "a")))
    assert one.is_first("b")
    assert two.is_first("a")


async def move(place: Place, row: str) -> None:
    await asyncio.sleep(0)
    await place.stand(row)
