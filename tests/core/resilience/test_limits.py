"""Requests a minute."""

from __future__ import annotations

import tracemalloc
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import RateLimited
from orchestrator_core.resilience.limits import (
    MAX_KEYS,
    MAX_MOMENTS,
    WINDOW,
    Quota,
    RequestLimits,
    SlidingWindow,
    quota_of,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(window: SlidingWindow, key: str = "a", limit: int | None = None) -> bool:
    try:
        window.admit(key, limit)
    except RateLimited:
        return False
    return True


def waiting(window: SlidingWindow) -> float | None:
    """Return for how many seconds a request has to wait; None where it is admitted."""
    try:
        window.admit("a")
    except RateLimited as refused:
        return refused.retry_after
    return None


def test_the_request_above_the_limit_is_refused_with_what_to_do() -> None:
    clock = Clock()
    window = SlidingWindow("client", 3, clock=clock)
    for _ in range(3):
        window.admit("a")
        clock.now += 10
    with pytest.raises(RateLimited) as caught:
        window.admit("a")
    assert caught.value.retry_after == 30
    assert caught.value.status == 429
    assert caught.value.message == (
        "The limit of 3 requests a minute for each client is reached. Come again in 30 seconds."
    )


def test_after_the_announced_wait_the_next_one_is_admitted() -> None:
    clock = Clock()
    window = SlidingWindow("client", 2, clock=clock)
    window.admit("a")
    clock.now += 7
    window.admit("a")
    with pytest.raises(RateLimited) as caught:
        window.admit("a")
    assert caught.value.retry_after is not None
    clock.now += caught.value.retry_after
    assert admitted(window)
    assert not admitted(window)


def test_what_is_refused_does_not_count() -> None:
    clock = Clock()
    window = SlidingWindow("client", 1, clock=clock)
    window.admit("a")
    for _ in range(59):
        clock.now += 1
        assert not admitted(window)
    clock.now += 1
    assert admitted(window)


def test_one_does_not_take_from_another() -> None:
    window = SlidingWindow("client", 1, clock=Clock())
    assert admitted(window, "a")
    assert admitted(window, "b")
    assert not admitted(window, "a")


def test_a_limit_of_its_own_replaces_the_configured_one() -> None:
    window = SlidingWindow("client", 1, clock=Clock())
    assert [admitted(window, "a", 2) for _ in range(3)] == [True, True, False]
    assert not admitted(window, "b", 0)
    unlimited = SlidingWindow("client", None, clock=Clock())
    assert all(admitted(unlimited) for _ in range(1000))
    assert len(unlimited) == 0
    assert [admitted(unlimited, "a", 1) for _ in range(2)] == [True, False]


def test_memory_is_bounded_and_the_busy_are_remembered() -> None:
    clock = Clock()
    window = SlidingWindow("client", 1, clock=clock)
    for number in range(MAX_KEYS + 10):
        window.admit(str(number))
    assert len(window) == MAX_KEYS
    assert not admitted(window, str(MAX_KEYS))
    assert admitted(window, "0")


def test_the_silent_are_forgotten() -> None:
    clock = Clock()
    window = SlidingWindow("client", 1, clock=clock)
    for number in range(100):
        window.admit(str(number))
    clock.now += WINDOW
    window.admit("new")
    assert len(window) == 1


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 5))
def test_no_minute_has_more_than_the_limit(steps: list[int], limit: int) -> None:
    clock = Clock()
    window = SlidingWindow("client", limit, clock=clock)
    times = []
    for step in steps:
        clock.now += step
        if admitted(window):
            times.append(clock.now)
    for begin in times:
        assert sum(begin <= moment < begin + WINDOW for moment in times) <= limit


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, MAX_MOMENTS)), max_size=10))
def test_no_minute_has_more_than_a_high_limit_and_nobody_waits_much_longer_than_a_minute(
    bursts: list[tuple[float, int]],
) -> None:
    limit, clock = MAX_MOMENTS + 50, Clock()
    window = SlidingWindow("client", limit, clock=clock)
    times: list[float] = []
    for step, requests in bursts:
        clock.now += step
        for _ in range(requests):
            clock.now += 0.003
            wait = waiting(window)
            if wait is not None:
                exact = times[-limit] + WINDOW - clock.now
                assert -1e-6 <= wait - exact <= WINDOW / MAX_MOMENTS + 1e-6
                break
            times.append(clock.now)
            assert len(times) - bisect_right(times, clock.now - WINDOW) <= limit


def test_a_high_limit_takes_no_more_memory_than_a_low_one() -> None:
    clock = Clock()
    window = SlidingWindow("client", 1_000_000, clock=clock)
    tracemalloc.start()
    try:
        for _ in range(20_000):
            window.admit("a")
            clock.now += 0.0025
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


async def test_the_limits_are_those_of_the_settings() -> None:
    limits = RequestLimits(Settings(max_requests_per_minute=1, rate_limit_per_session=1), clock=Clock())
    await limits.admit_client("a")
    await limits.admit_session("tenant", "sess_1")
    await limits.admit_session("other", "sess_1")
    with pytest.raises(RateLimited, match="each client"):
        await limits.admit_client("a")
    await limits.admit_client("b", 5)
    with pytest.raises(RateLimited, match="each session"):
        await limits.admit_session("tenant", "sess_1")


async def test_nothing_is_limited_in_development() -> None:
    limits = RequestLimits(Settings(), clock=Clock())
    for _ in range(1000):
        await limits.admit_client("a")
        await limits.admit_session("tenant", "sess_1")


def test_it_is_told_what_is_left_and_when_there_is_more() -> None:
    clock = Clock()
    window = SlidingWindow("client", 2, clock=clock)
    assert window.admit("a") == Quota("client", 2, 1, WINDOW)
    clock.now += 10
    assert window.admit("a") == Quota("client", 2, 0, WINDOW - 10)
    with pytest.raises(RateLimited) as caught:
        window.admit("a")
    assert quota_of(caught.value) == Quota("client", 2, 0, WINDOW - 10)
    assert caught.value.details == {"scope": "client", "limit": 2, "window_seconds": 60}
    assert SlidingWindow("client", None, clock=clock).admit("a") is None
