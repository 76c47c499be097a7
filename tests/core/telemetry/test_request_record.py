"""What is learnt about a request in its course."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from orchestrator_core.provider_api import Usage
from orchestrator_core.telemetry import request_record
from orchestrator_core.telemetry.request_record import (
    RequestRecord,
    Stopwatch,
    current_record,
    waiting_for_provider,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(request_record.time, "monotonic", lambda: now[0])
    return now


def test_waits_that_overlap_count_once(clock: list[float]) -> None:
    watch = Stopwatch()
    with watch:
        clock[0] += 1
        with watch:
            clock[0] += 2
        clock[0] += 4
    clock[0] += 8
    with suppress(KeyError), watch:
        clock[0] += 16
        raise KeyError
    assert watch.total == 23


def test_the_overhead_is_what_was_not_waiting(clock: list[float]) -> None:
    record = RequestRecord(clock[0], "req_1")
    with record:
        clock[0] += 1
        with waiting_for_provider():
            clock[0] += 10
        clock[0] += 2
        assert record.sends_head() == 3
        with waiting_for_provider():
            clock[0] += 100
    assert (record.head_after, record.overhead, record.called) == (13, 3, True)


async def test_the_time_of_a_provider_that_lost_and_is_still_waited_for_is_none_of_the_gateways(
    clock: list[float],
) -> None:
    answered = asyncio.Event()

    async def lose() -> None:
        with waiting_for_provider():
            await answered.wait()

    record = RequestRecord(clock[0], "req_1")
    with record:
        loser = asyncio.create_task(lose())
        await asyncio.sleep(0)
        clock[0] += 5
        with waiting_for_provider():
            clock[0] += 10
        assert record.sends_head() == 0
    answered.set()
    await loser


async def test_tasks_of_a_request_have_its_record_and_others_none() -> None:
    seen: list[RequestRecord | None] = []

    async def look() -> None:
        seen.append(current_record())

    record = RequestRecord(0.0, "req_1")
    with record:
        await asyncio.create_task(look())
    await asyncio.create_task(look())
    assert seen == [record, None]
    with waiting_for_provider():
        pass
    assert not record.called


def test_several_tries_are_added_up() -> None:
    record = RequestRecord(0.0, "req_1")
    assert record.fields() == {}
    record.add_call("chat", "one", "one", "m", None, None)
    assert record.fields() == {"provider": "one", "model": "m", "attempts": 1}
    record.add_call("chat", "two", "two_ai", "n", Usage(1, 2, 0, 4), 0.5)
    record.add_call("chat", "two", "two_ai", "n", Usage(1, 0, 0, 0, 1), 0.25)
    assert record.fields() == {
        "provider": "two",
        "model": "n",
        "attempts": 3,
        "input_tokens": 4,
        "output_tokens": 5,
        "cost": 0.75,
    }
