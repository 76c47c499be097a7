"""An address that guesses has to wait."""

from __future__ import annotations

import pytest

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import RateLimited
from orchestrator_core.resilience.failed_authentications import KNOWN_FOR, FailedAuthentications
from orchestrator_core.resilience.limits import MAX_KEYS

OURS, THEIRS = "203.0.113.7", "198.51.100.9"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limit(clock: Clock, **settings: object) -> FailedAuthentications:
    return FailedAuthentications(Settings.model_validate(settings), clock=clock)


async def fail(failures: FailedAuthentications, times: int, address: str = OURS) -> None:
    for _ in range(times):
        failures.check(address, "a guess")
        await failures.failed(address)


async def test_after_the_last_try_not_even_the_right_one_is_looked_at(clock: Clock) -> None:
    failures = limit(clock, max_failed_authentications=3)
    await fail(failures, 3)
    clock.now += 10
    with pytest.raises(RateLimited) as caught:
        await fail(failures, 1)
    assert caught.value.retry_after == pytest.approx(50)
    with pytest.raises(RateLimited):
        failures.check(OURS, "the right one")
    failures.check(THEIRS, "a guess")
    clock.now += 50.1
    failures.check(OURS, "the right one")
    await fail(failures, 3)


async def test_who_was_right_lately_goes_on(clock: Clock) -> None:
    failures = limit(clock, max_failed_authentications=1)
    failures.succeeded(OURS, "the right one")
    await fail(failures, 1)
    with pytest.raises(RateLimited):
        await fail(failures, 1)
    failures.check(OURS, "the right one")
    for address, credential in ((OURS, "another right one"), (OURS, "the right on")):
        with pytest.raises(RateLimited):
            failures.check(address, credential)
    clock.now += KNOWN_FOR
    await fail(failures, 1)
    with pytest.raises(RateLimited):
        await fail(failures, 1)
    with pytest.raises(RateLimited):
        failures.check(OURS, "the right one")


@pytest.mark.parametrize(("environment", "limited"), [("development", False), ("staging", True), ("production", True)])
async def test_it_is_on_by_default_outside_development(clock: Clock, environment: str, limited: bool) -> None:
    failures = limit(clock, environment=environment)
    await fail(failures, 20)
    if limited:
        with pytest.raises(RateLimited):
            await fail(failures, 1)
    else:
        await fail(failures, 100)


async def test_memory_is_bounded(clock: Clock) -> None:
    failures = limit(clock, max_failed_authentications=1)
    for number in range(MAX_KEYS + 50):
        failures.succeeded(str(number), "right")
        await failures.failed(str(number))
        with pytest.raises(RateLimited):
            await failures.failed(str(number))
    assert len(failures._waiting) == len(failures._known) == MAX_KEYS
