"""What becomes of calls whose provider keeps failing, seen from outside."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from fake_providers.scripted import Step
from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import (
    ChatRequest,
    CircuitOpen,
    EmbeddingRequest,
    GatewayError,
    PluginError,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ProviderUnreachable,
    Secret,
    Start,
    TextDelta,
    text_message,
)
from orchestrator_core.resilience.breaker import BreakerRules
from orchestrator_core.resilience.breakers import Breakers
from orchestrator_core.security.principal import ANONYMOUS

CHAIN = Selection(provider="one", fallbacks=("two",))
ALONE = Selection(provider="one", fallbacks=())
MANY = 10
"""Failures that open a circuit, by the default settings."""


class Clock:
    now = 500.0

    def __call__(self) -> float:
        return self.now


async def ask(bench: Any, selection: Selection = CHAIN, seconds: float | None = None) -> Any:
    deadline = bench.gateway.deadline(seconds)
    request = ChatRequest(model="", messages=[text_message("user", "ping")], deadline=deadline, stream=True)
    opened = await bench.gateway.chat(ANONYMOUS, selection, request)
    await opened.response()
    return opened


async def failing(bench: Any, script: list[Step], times: int = MANY, **options: Any) -> None:
    for _ in range(times):
        bench.one.scripts.append(script)
        with suppress(GatewayError):
            await ask(bench, **options)


def states(bench: Any) -> list[tuple[str, str, str]]:
    return [(each.provider, each.model, each.state) for each in bench.gateway.guards.breakers.circuits]


def attempts(opened: Any) -> list[tuple[str, str | None]]:
    return [(attempt.provider, attempt.error) for attempt in opened.attempts]


@pytest.mark.parametrize(
    "error", [ProviderFailed("500"), ProviderUnavailable("503"), ProviderUnreachable("reset"), ProviderBadResponse("x")]
)
async def test_a_target_that_keeps_failing_is_passed_over_and_that_is_told(start: Any, error: GatewayError) -> None:
    bench = await start()
    await failing(bench, [error])
    assert states(bench) == [("one", "scripted-1", "open")]
    asked = len(bench.one.requests)

    opened = await ask(bench)

    assert attempts(opened) == [("one", "circuit_open"), ("two", None)]
    assert opened.attempts[0].duration < 0.005
    assert len(bench.one.requests) == asked
    assert (
        'orchestrator_circuit_state{model="scripted-1",provider="one"} 2.0'
        in bench.gateway.metrics.render()[0].decode()
    )


async def test_another_model_of_the_provider_is_asked(start: Any) -> None:
    bench = await start()
    await failing(bench, [ProviderFailed("500")])

    opened = await ask(bench, Selection(provider="one", model="other", fallbacks=("two",)))

    assert attempts(opened) == [("one", None)]


async def test_where_nothing_else_is_left_the_caller_is_told_when_to_come_again(start: Any) -> None:
    bench = await start()
    await failing(bench, [ProviderFailed("500")])
    asked = len(bench.one.requests)

    with pytest.raises(CircuitOpen) as caught:
        await ask(bench, ALONE)

    assert (caught.value.status, caught.value.provider) == (503, "one")
    assert 0 < (caught.value.retry_after or 0) <= 15
    assert len(bench.one.requests) == asked


async def test_the_error_of_who_was_asked_is_told_rather_than_that_another_was_not(start: Any) -> None:
    bench = await start()
    await failing(bench, [ProviderFailed("500")])
    bench.two.scripts.extend([[ProviderUnavailable("503")]] * 2)

    with pytest.raises(ProviderUnavailable) as caught:
        await ask(bench, Selection(provider="two", fallbacks=("one",)))

    assert (caught.value.code, caught.value.provider) == ("provider_unavailable", "two")
    assert len(bench.two.requests) == MANY + 2, "the only one that is left is asked once more"


@pytest.mark.parametrize(
    "error",
    [
        ProviderRefused("400"),
        ProviderAuthFailed("401"),
        ProviderRateLimited("429"),
        ProviderQuotaExhausted("402"),
        PluginError("broken"),
    ],
)
async def test_what_is_no_fault_of_the_provider_opens_nothing(start: Any, error: GatewayError) -> None:
    bench = await start()
    await failing(bench, [error], times=2 * MANY)

    assert states(bench) == []


async def test_streams_that_break_off_count(start: Any) -> None:
    bench = await start()
    await failing(bench, [Start(), TextDelta(text="half"), ProviderFailed("cut")])

    assert states(bench) == [("one", "scripted-1", "open")]


async def test_answers_without_an_end_count(start: Any) -> None:
    bench = await start()
    await failing(bench, [Start(), TextDelta(text="half")])

    assert states(bench) == [("one", "scripted-1", "open")]


async def test_callers_that_leave_count_for_nothing(start: Any) -> None:
    bench = await start()
    for number in range(2 * MANY):
        bench.one.scripts.append([30.0] if number % 2 else [Start(), TextDelta(text="half"), 30.0])
        asking = asyncio.create_task(ask(bench))
        while not bench.one.open:
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    assert states(bench) == []


async def test_silence_counts(start: Any) -> None:
    bench = await start(ORCHESTRATOR_FIRST_EVENT_TIMEOUT=0.01)
    await failing(bench, [30.0])

    assert states(bench) == [("one", "scripted-1", "open")]


async def test_a_caller_who_has_no_time_blames_nobody(start: Any) -> None:
    bench = await start()
    await failing(bench, [30.0], seconds=0.01)

    assert len(bench.one.requests) == MANY
    assert states(bench) == []


async def test_a_silent_answer_that_is_not_streamed_counts_by_the_configured_time(start: Any) -> None:
    bench = await start(ORCHESTRATOR_TOTAL_TIMEOUT=0.02)
    for _ in range(MANY):
        bench.one.scripts.append([30.0])
        request = ChatRequest(
            model="", messages=[text_message("user", "ping")], deadline=bench.gateway.deadline(), stream=False
        )
        with pytest.raises(ProviderTimeout):
            await bench.gateway.chat(ANONYMOUS, ALONE, request)

    assert states(bench) == [("one", "scripted-1", "open")]


async def test_a_callers_own_key_is_its_own_affair(start: Any) -> None:
    bench = await start()
    own = Selection(provider="one", credential=Secret("the-callers-own-key"))
    await failing(bench, [ProviderFailed("500")], times=2 * MANY, selection=own)
    assert states(bench) == []

    await failing(bench, [ProviderFailed("500")])
    assert states(bench) == [("one", "scripted-1", "open")]
    bench.one.scripts.clear()
    assert attempts(await ask(bench, own)) == [("one", None)]


async def test_it_is_asked_again_after_its_cooldown_by_one_call_at_a_time(start: Any) -> None:
    bench = await start()
    clock, guards = Clock(), bench.gateway.guards
    guards.breakers = Breakers(BreakerRules(), lambda *change: None, clock=clock)
    await failing(bench, [ProviderFailed("500")])
    clock.now += 15
    bench.one.scripts.append([0.05, ProviderFailed("still")])

    found = await asyncio.gather(*(ask(bench) for _ in range(20)))

    assert sorted(attempts(each)[0] for each in found) == [("one", "circuit_open")] * 19 + [("one", "provider_failed")]
    assert {attempts(each)[-1] for each in found} == {("two", None)}
    clock.now += 15
    assert attempts(await ask(bench)) == [("one", None)]
    assert states(bench) == []


async def test_a_probe_whose_caller_leaves_makes_room_for_the_next(start: Any) -> None:
    bench = await start()
    clock, guards = Clock(), bench.gateway.guards
    guards.breakers = Breakers(BreakerRules(), lambda *change: None, clock=clock)
    await failing(bench, [ProviderFailed("500")])
    clock.now += 15
    bench.one.scripts.append([30.0])
    asking = asyncio.create_task(ask(bench))
    while not bench.one.open:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert attempts(await ask(bench)) == [("one", None)]


async def test_embeddings_count_and_are_refused_alike(start: Any) -> None:
    bench = await start()

    async def embed() -> Any:
        request = EmbeddingRequest(model="", input=["a"], deadline=bench.gateway.deadline(5))
        return await bench.gateway.embed(ANONYMOUS, CHAIN, request)

    for _ in range(MANY):
        bench.one.scripts.append([ProviderFailed("500")])
        await embed()

    assert attempts(await embed()) == [("one", "circuit_open"), ("two", None)]


async def test_without_breakers_a_target_that_fails_is_asked_again_and_again(start: Any) -> None:
    bench = await start(ORCHESTRATOR_BREAKER_ENABLED="false")
    await failing(bench, [ProviderFailed("500")], times=2 * MANY)

    assert len(bench.one.requests) == 2 * MANY
    assert states(bench) == []
