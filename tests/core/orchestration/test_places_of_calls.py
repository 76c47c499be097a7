"""A call has its place from when it is sent to the end of its answer, however that comes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from fake_providers.scripted import answer
from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import (
    ChatRequest,
    EmbeddingRequest,
    GatewayError,
    Overloaded,
    ProviderFailed,
    ProviderRefused,
    Secret,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS, Principal

ONE = Selection(provider="one", fallbacks=())
BOTH = Selection(provider="one", fallbacks=("two",))


def ask(bench: Any, selection: Selection = ONE, principal: Principal = ANONYMOUS) -> Any:
    request = ChatRequest(model="", messages=[text_message("user", "ping")], deadline=bench.gateway.deadline(10))
    return bench.gateway.chat(principal, selection, request)


def taken(bench: Any) -> int:
    count: int = bench.gateway.guards.admission.taken()
    return count


@pytest.fixture
async def bench(start: Any) -> Any:
    return await start(ORCHESTRATOR_MAX_CALLS_IN_FLIGHT=1, ORCHESTRATOR_MAX_CALL_WAIT=5)


async def test_a_call_that_can_fall_back_does_so_rather_than_wait(bench: Any) -> None:
    held = await ask(bench)
    opened = await ask(bench, BOTH)
    assert (opened.provider, [(each.provider, each.error) for each in opened.attempts]) == (
        "two",
        [("one", "overloaded"), ("two", None)],
    )
    await opened.response()
    await held.response()
    assert taken(bench) == 0


async def test_a_call_without_a_fallback_waits_for_the_end_of_a_stream(bench: Any) -> None:
    held = await ask(bench)
    waiting = asyncio.create_task(ask(bench))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert 'orchestrator_calls_waiting{provider="one"} 1.0' in bench.gateway.metrics.render()[0].decode()
    await held.response()
    opened = await waiting
    assert len(bench.one.requests) == 2
    assert len(opened.attempts) == 1
    await opened.aclose()
    assert taken(bench) == 0
    assert 'orchestrator_calls_waiting{provider="one"} 0.0' in bench.gateway.metrics.render()[0].decode()


async def test_where_everybody_is_full_the_last_one_is_waited_for(bench: Any) -> None:
    one, two = await ask(bench), await ask(bench, Selection(provider="two", fallbacks=()))
    waiting = asyncio.create_task(ask(bench, BOTH))
    await asyncio.sleep(0.05)
    await two.response()
    assert (await waiting).provider == "two"
    await (await waiting).response()
    await one.response()


async def test_tenants_wait_in_turn(bench: Any) -> None:
    held = await ask(bench)
    order: list[str] = []

    async def call(tenant: str) -> None:
        opened = await ask(bench, principal=Principal(id=tenant, tenant=tenant))
        order.append(tenant)
        await opened.response()

    tasks = [asyncio.create_task(call(tenant)) for tenant in ("a", "a", "a", "b")]
    await asyncio.sleep(0.05)
    await held.response()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "a", "a"]


async def test_what_gets_no_place_is_refused_and_charged_to_nobody(start: Any) -> None:
    bench = await start(ORCHESTRATOR_MAX_CALLS_IN_FLIGHT=1, ORCHESTRATOR_MAX_CALL_WAIT=0.01)
    held = await ask(bench)
    with pytest.raises(Overloaded) as refused:
        await ask(bench)
    assert (refused.value.status, refused.value.provider) == (503, "one")
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    text = bench.gateway.metrics.render()[0].decode()
    assert 'orchestrator_calls_refused_total{provider="one",reason="waited"} 1.0' in text
    assert 'orchestrator_attempts_total{operation="chat",outcome="overloaded"' not in text
    await held.response()


@pytest.mark.parametrize("script", [[ProviderFailed("500")], [ProviderRefused("400")], [RuntimeError("bug")], []])
async def test_a_call_that_fails_gives_its_place_back(bench: Any, script: list[Any]) -> None:
    for _ in range(3):
        bench.one.scripts.append(script)
        with suppress(GatewayError):
            await (await ask(bench)).response()
        assert taken(bench) == 0


async def test_embeddings_give_their_place_back(bench: Any) -> None:
    request = EmbeddingRequest(model="", input=["a"], deadline=bench.gateway.deadline(10))
    await bench.gateway.embed(ANONYMOUS, ONE, request)
    bench.one.scripts.append([ProviderRefused("400")])
    with pytest.raises(ProviderRefused):
        await bench.gateway.embed(ANONYMOUS, ONE, request)
    assert taken(bench) == 0


async def test_a_caller_who_leaves_at_any_moment_leaves_the_place(bench: Any) -> None:
    """Cancel after 0, 1, 2, ... steps of the event loop, until the answer is there before the cancellation is."""
    steps, answered = 0, False
    while not answered:
        bench.one.scripts.append([step for event in answer("a longer pong") for step in (0, event)])

        async def whole() -> None:
            await (await ask(bench)).response()

        task = asyncio.create_task(whole())
        for _ in range(steps):
            await asyncio.sleep(0)
        answered = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        bench.one.scripts.clear()
        assert (taken(bench), bench.one.open) == (0, 0), f"after {steps} steps"
        steps += 1
    assert steps > 5


async def test_keys_of_callers_own_have_places_like_all_others(bench: Any) -> None:
    own = Selection(provider="one", credential=Secret("a-key-of-the-callers-own"))
    held = await ask(bench, own)
    assert taken(bench) == 1
    await held.aclose()
    assert taken(bench) == 0
