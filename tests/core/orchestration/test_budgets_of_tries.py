"""Budgets of calls that are tried more than once: what a try is charged that failed, the next one cannot spend too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fake_providers.scripted import answer
from orchestrator_core.config.grants import Budget, Grant
from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import (
    BudgetExceeded,
    ChatRequest,
    EmbeddingRequest,
    GatewayError,
    ProviderBadResponse,
    ProviderFailed,
    ProviderTimeout,
    Usage,
    text_message,
)
from orchestrator_core.security.principal import Principal

BOTH = Selection(provider="one", fallbacks=("two",))
ALONE = Selection(provider="one")
LATE = 30.0
"""Seconds that nobody waits for."""


class Client:
    """A client with a budget of tokens, whose calls ask for answers of 100."""

    def __init__(self, bench: Any, tokens: int) -> None:
        self.bench = bench
        self.budget = Budget(tokens=tokens, period="total")
        self.principal = Principal(id="key", tenant="acme", grant=Grant(budget=self.budget))

    async def ask(self, selection: Selection = BOTH, *, stream: bool = False, limit: int | None = 100) -> Any:
        gateway = self.bench.gateway
        request = ChatRequest(
            model="",
            messages=[text_message("user", "ping")],
            deadline=gateway.deadline(20),
            stream=stream,
            max_tokens=limit,
        )
        opened = await gateway.chat(self.principal, selection, request)
        await opened.response()
        return opened

    async def state(self) -> tuple[int, int]:
        """Return what is spent, and what is held."""
        state = await self.bench.gateway.spending.state("acme", "key", self.budget)
        return state["spent_tokens"], state["held_tokens"]


@pytest.fixture
async def bench(start: Any) -> Any:
    return await start()


@pytest.mark.parametrize("error", [ProviderTimeout("late"), ProviderBadResponse("no JSON")], ids=lambda each: each.code)
async def test_a_fallback_that_the_budget_does_not_cover_is_not_asked(bench: Any, error: GatewayError) -> None:
    client = Client(bench, 190)
    bench.one.scripts.append([error])
    with pytest.raises(BudgetExceeded, match="another try of this call, beside what is charged") as refused:
        await client.ask()
    assert bench.two.requests == []
    assert (refused.value.attempts, refused.value.provider, refused.value.retry_after) == (1, None, None)
    spent, held = await client.state()
    assert refused.value.details["spent"] == spent
    assert (100 < spent < 110, held) == (True, 0)


async def test_one_that_it_covers_is_held_for_beside_what_is_charged(bench: Any) -> None:
    client, begin = Client(bench, 1000), asyncio.Event()
    bench.one.scripts.append([ProviderTimeout("late")])
    bench.two.scripts.append([begin, *answer("pong", Usage(input_tokens=3, output_tokens=50))])
    asking = asyncio.create_task(client.ask())
    while not bench.two.requests:
        await asyncio.sleep(0.001)
    spent, held = await client.state()
    assert (spent, 200 < held < 220) == (0, True)
    begin.set()
    assert [each.error for each in (await asking).attempts] == ["provider_timeout", None]
    assert await client.state() == (held // 2 + 53, 0)


async def test_what_failed_for_nothing_needs_no_more(bench: Any) -> None:
    client = Client(bench, 110)
    bench.one.scripts.append([ProviderFailed("500")])
    assert (await client.ask()).provider == "two"
    assert await client.state() == (5, 0)


async def test_a_call_that_holds_all_that_is_left_may_be_tried_again_with_what_is_not_charged(bench: Any) -> None:
    client = Client(bench, 1000)
    bench.one.scripts.append([ProviderTimeout("late")])
    assert (await client.ask(limit=None)).provider == "two"


async def test_a_retry_is_held_for_as_a_fallback_is(bench: Any) -> None:
    client = Client(bench, 190)
    bench.one.scripts.append([ProviderBadResponse("no JSON")])
    with pytest.raises(BudgetExceeded):
        await client.ask(ALONE)
    assert len(bench.one.requests) == 1


async def test_many_that_are_tried_three_times_do_not_overshoot(bench: Any) -> None:
    client = Client(bench, 2000)
    selection = Selection(provider="one", model="a", fallbacks=("two/a", "two/b"))
    for _ in range(20):
        bench.one.scripts.append([0.01, ProviderTimeout("late")])
        bench.two.scripts.append([0.01, ProviderTimeout("late")])
    for _ in range(20):
        bench.two.scripts.append(answer("pong", Usage(input_tokens=3, output_tokens=97)))
    outcomes = await asyncio.gather(*(client.ask(selection) for _ in range(20)), return_exceptions=True)
    assert any(isinstance(outcome, BudgetExceeded) for outcome in outcomes)
    spent, held = await client.state()
    assert (1000 < spent <= 2000, held) == (True, 0)


async def test_a_second_target_beside_the_first_is_not_asked_where_the_budget_covers_one(start: Any) -> None:
    bench = await start(ORCHESTRATOR_HEDGE_AFTER=0.01)
    client = Client(bench, 190)
    bench.one.scripts.append([0.1, *answer("first")])
    opened = await client.ask(stream=True)
    assert (opened.provider, [each.error for each in opened.attempts]) == ("one", [None])
    assert bench.two.requests == []
    assert await client.state() == (5, 0)
    assert bench.gateway.guards.admission.taken() == 0


async def test_a_second_target_beside_the_first_is_held_for(start: Any) -> None:
    bench = await start(ORCHESTRATOR_HEDGE_AFTER=0.01)
    client, begin = Client(bench, 1000), asyncio.Event()
    bench.one.scripts.append([LATE])
    bench.two.scripts.append([begin, *answer("second")])
    asking = asyncio.create_task(client.ask(stream=True))
    while not bench.two.requests:
        await asyncio.sleep(0.001)
    _, held = await client.state()
    assert 200 < held < 220
    begin.set()
    assert (await asking).provider == "two"
    assert await client.state() == (held // 2 + 5, 0)


async def test_vectors_are_held_for_in_the_same_way(bench: Any) -> None:
    client = Client(bench, 15)
    request = EmbeddingRequest(model="", input=["0123456789" * 4], deadline=bench.gateway.deadline(20))
    bench.one.scripts.append([ProviderTimeout("late")])
    with pytest.raises(BudgetExceeded):
        await bench.gateway.embed(client.principal, Selection(provider="one", model="e", fallbacks=("two/e",)), request)
    assert bench.two.requests == []
    spent, held = await client.state()
    assert (0 < spent <= 15, held) == (True, 0)
