"""A second target beside one that is late: who answers, what is said of the other, and that nothing of it is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from fake_providers.scripted import Step, answer
from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import (
    ChatRequest,
    EmbeddingRequest,
    GatewayError,
    ProviderFailed,
    ProviderRefused,
    ProviderUnavailable,
    Secret,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS

BOTH = Selection(provider="one", fallbacks=("two",))
LATE = 30.0
"""Seconds that nobody waits for."""


@pytest.fixture
async def bench(start: Any) -> Any:
    return await start(ORCHESTRATOR_HEDGE_AFTER=0.01)


async def said(bench: Any, selection: Selection = BOTH, *, stream: bool = True) -> Any:
    request = ChatRequest(
        model="", messages=[text_message("user", "ping")], deadline=bench.gateway.deadline(20), stream=stream
    )
    opened = await bench.gateway.chat(ANONYMOUS, selection, request)
    await opened.response()
    return opened


def tried(opened: Any) -> list[tuple[str, str | None]]:
    return [(each.provider, each.error) for each in opened.attempts]


def asked(bench: Any) -> tuple[int, int]:
    return len(bench.one.requests), len(bench.two.requests)


async def nothing_left(bench: Any) -> None:
    """Wait until whoever lost is closed, and look that no place and no task is left of it."""
    await bench.gateway.guards.hedging.close()
    assert (bench.one.open, bench.two.open) == (0, 0)
    assert bench.gateway.guards.admission.taken() == 0
    text = bench.gateway.metrics.render()[0].decode()
    for line in text.splitlines():
        if line.startswith("orchestrator_calls_in_flight{"):
            assert line.endswith(" 0.0"), line


def hedges(bench: Any, outcome: str) -> bool:
    line = f'orchestrator_hedges_total{{outcome="{outcome}",provider="one",to="two"}} 1.0'
    return line in bench.gateway.metrics.render()[0].decode()


async def test_it_is_off_by_default(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([0.05, *answer("late")])
    assert tried(await said(bench)) == [("one", None)]
    assert asked(bench) == (1, 0)


async def test_whoever_begins_in_time_is_asked_alone(bench: Any) -> None:
    assert tried(await said(bench)) == [("one", None)]
    assert asked(bench) == (1, 0)
    await nothing_left(bench)


async def test_the_second_answers_where_the_first_is_late(bench: Any) -> None:
    bench.one.scripts.append([LATE])
    bench.two.scripts.append(answer("second"))
    opened = await said(bench)
    assert (opened.provider, opened.folded.message.text) == ("two", "second")
    assert tried(opened) == [("one", "cancelled"), ("two", None)]
    assert hedges(bench, "won")
    await nothing_left(bench)


async def test_the_first_answers_where_it_begins_before_the_second(bench: Any) -> None:
    begin = asyncio.Event()
    bench.one.scripts.append([begin, *answer("first")])
    bench.two.scripts.append([LATE])
    saying = asyncio.create_task(said(bench))
    while not bench.two.requests:
        await asyncio.sleep(0.001)
    begin.set()
    opened = await saying
    assert (opened.provider, opened.folded.message.text) == ("one", "first")
    assert tried(opened) == [("two", "cancelled"), ("one", None)]
    assert hedges(bench, "lost")
    await nothing_left(bench)


async def test_of_two_that_begin_in_the_same_moment_one_answers_and_the_other_is_closed(bench: Any) -> None:
    begin = asyncio.Event()
    for plugin in (bench.one, bench.two):
        plugin.scripts.append([begin, *answer("both")])
    saying = asyncio.create_task(said(bench))
    while not bench.two.open:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    begin.set()
    opened = await saying
    assert [error for _, error in tried(opened)] == ["cancelled", None]
    await nothing_left(bench)


async def test_the_second_answers_where_the_first_fails_meanwhile(bench: Any) -> None:
    begin = asyncio.Event()
    bench.one.scripts.append([0.05, ProviderFailed("500")])
    bench.two.scripts.append([begin, *answer("second")])
    saying = asyncio.create_task(said(bench))
    await asyncio.sleep(0.1)
    begin.set()
    assert tried(await saying) == [("one", "provider_failed"), ("two", None)]
    assert asked(bench) == (1, 1)
    await nothing_left(bench)


@pytest.mark.parametrize("error", [ProviderUnavailable("503"), ProviderRefused("this one takes no such thing")])
async def test_a_second_that_fails_changes_nothing(bench: Any, error: GatewayError) -> None:
    begin = asyncio.Event()
    bench.one.scripts.append([begin, *answer("first")])
    bench.two.scripts.append([error])
    saying = asyncio.create_task(said(bench))
    await asyncio.sleep(0.05)
    begin.set()
    assert tried(await saying) == [("two", error.code), ("one", None)]
    await nothing_left(bench)


async def test_where_both_fail_the_next_one_is_asked_and_neither_of_them_again(bench: Any) -> None:
    bench.one.scripts.append([0.05, ProviderFailed("500")])
    bench.two.scripts.extend([[ProviderFailed("500")], answer("third")])
    opened = await said(bench, Selection(provider="one", fallbacks=("two/a", "two/b")))
    assert [(each.provider, each.model, each.error) for each in opened.attempts] == [
        ("two", "a", "provider_failed"),
        ("one", "scripted-1", "provider_failed"),
        ("two", "b", None),
    ]
    assert hedges(bench, "failed")
    await nothing_left(bench)


async def test_where_all_fail_the_client_is_told(bench: Any) -> None:
    bench.one.scripts.append([0.05, ProviderFailed("500")])
    bench.two.scripts.append([ProviderUnavailable("503", retry_after=7)])
    with pytest.raises(ProviderFailed) as caught:
        await said(bench)
    assert caught.value.provider == "one"
    assert asked(bench) == (1, 1)
    await nothing_left(bench)


async def test_a_refusal_of_the_first_is_told_at_once(bench: Any) -> None:
    bench.one.scripts.append([0.05, ProviderRefused("no such parameter")])
    bench.two.scripts.append([LATE])
    with pytest.raises(ProviderRefused):
        await said(bench)
    assert asked(bench) == (1, 1)
    await nothing_left(bench)


async def test_a_plugin_that_breaks_is_like_one_that_fails(bench: Any) -> None:
    bench.one.scripts.append([0.05, RuntimeError("bug")])
    bench.two.scripts.append([0.1, *answer("second")])
    assert (await said(bench)).provider == "two"
    await nothing_left(bench)


async def test_the_budget_of_retries_is_that_of_second_targets_too(bench: Any) -> None:
    while bench.gateway.guards.budget.spend():
        pass
    bench.one.scripts.append([0.05, *answer("late")])
    assert tried(await said(bench)) == [("one", None)]
    assert asked(bench) == (1, 0)


async def test_keys_of_callers_own_and_whole_answers_and_vectors_have_one_target_at_a_time(bench: Any) -> None:
    for selection, stream in (
        (Selection(provider="one", fallbacks=("two",), credential=Secret("a-key-of-the-callers-own")), True),
        (BOTH, False),
    ):
        bench.one.scripts.append([0.05, *answer("late")])
        await said(bench, selection, stream=stream)
    request = EmbeddingRequest(model="", input=["a"], deadline=bench.gateway.deadline(10))
    await bench.gateway.embed(ANONYMOUS, Selection(provider="one", fallbacks=("two/scripted-embed",)), request)
    assert asked(bench) == (3, 0)


SCRIPTS: Sequence[tuple[Sequence[Step], Sequence[Step]]] = (
    ([LATE], [LATE]),
    ([LATE], [step for event in answer("a longer pong") for step in (0.002, event)]),
    ([0.02, *answer("first")], [0.01, *answer("second")]),
)


@pytest.mark.parametrize("steps", range(8))
async def test_a_caller_who_leaves_as_both_begin_leaves_neither(bench: Any, steps: int) -> None:
    begin = asyncio.Event()
    for plugin in (bench.one, bench.two):
        plugin.scripts.append([begin, *(step for event in answer("both") for step in (event, 0))])
    saying = asyncio.create_task(said(bench))
    while not bench.two.open:
        await asyncio.sleep(0.001)
    begin.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    saying.cancel()
    with suppress(asyncio.CancelledError):
        await saying
    await nothing_left(bench)


@pytest.mark.parametrize("after", [0.0, 0.005, 0.01, 0.012, 0.015, 0.02, 0.03])
@pytest.mark.parametrize("scripts", SCRIPTS, ids=["both wait", "the second begins", "both begin"])
async def test_a_caller_who_leaves_leaves_neither(
    bench: Any, scripts: tuple[Sequence[Step], Sequence[Step]], after: float
) -> None:
    bench.one.scripts.append(scripts[0])
    bench.two.scripts.append(scripts[1])
    saying = asyncio.create_task(said(bench))
    await asyncio.sleep(after)
    saying.cancel()
    with suppress(asyncio.CancelledError):
        await saying
    await nothing_left(bench)


async def test_a_second_that_had_no_place_is_asked_where_the_first_fails(start: Any) -> None:
    bench = await start(ORCHESTRATOR_HEDGE_AFTER=0.01, ORCHESTRATOR_MAX_CALLS_IN_FLIGHT=1)
    release, fail = asyncio.Event(), asyncio.Event()
    bench.two.scripts.extend([[release, *answer("busy")], answer("second")])
    bench.one.scripts.append([fail, ProviderFailed("500")])
    busy = asyncio.create_task(said(bench, Selection(provider="two")))
    while not bench.two.requests:
        await asyncio.sleep(0.001)
    saying = asyncio.create_task(said(bench))
    await asyncio.sleep(0.1)
    release.set()
    await busy
    fail.set()
    opened = await saying
    assert tried(opened) == [("two", "overloaded"), ("one", "provider_failed"), ("two", None)]
    assert not hedges(bench, "failed")
    await nothing_left(bench)


def fallbacks(bench: Any) -> list[str]:
    text = bench.gateway.metrics.render()[0].decode()
    return [line for line in text.splitlines() if line.startswith("orchestrator_fallbacks_total{")]


async def test_two_that_are_asked_at_a_time_are_no_fallback_of_one_another(bench: Any) -> None:
    begin = asyncio.Event()
    for second in ([LATE], [ProviderFailed("500")]):
        begin.clear()
        before = len(bench.two.requests)
        bench.one.scripts.append([begin, *answer("first")])
        bench.two.scripts.append(second)
        for _ in range(10):
            bench.gateway.guards.budget.earn()
        saying = asyncio.create_task(said(bench))
        while len(bench.two.requests) == before:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        begin.set()
        assert [provider for provider, _ in tried(await saying)] == ["two", "one"]
    assert fallbacks(bench) == []
    await nothing_left(bench)


async def test_a_fallback_is_counted_from_whom_to_whom_it_went(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([ProviderFailed("500")])
    await said(bench)
    assert fallbacks(bench) == ['orchestrator_fallbacks_total{provider="one",to="two"} 1.0']
