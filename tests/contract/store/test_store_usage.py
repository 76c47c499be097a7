"""Totals of usage, by query."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

from orchestrator_core.provider_api import InternalError, Usage
from orchestrator_core.sessions.bills import MAX_TOKENS, CallKind, CallTotal, Dimension, UsageFilter
from orchestrator_core.sessions.models import NewFork, NewSummary, TurnOutcome
from orchestrator_core.sessions.store import SessionStore
from stores import TENANT, Clock, answered, ask, talk


def today(clock: Clock) -> date:
    return datetime.fromtimestamp(clock.now, UTC).date()


async def read(store: SessionStore, *by: Dimension, tenant: str = TENANT, **fields: object) -> list[tuple[object, ...]]:
    page = await store.usage(tenant, by=by, matching=UsageFilter(**fields), limit=100)
    return [(*total.key.values(), total.calls, total.usage.total, total.cost, total.unpriced) for total in page.items]


async def test_turns_and_summaries_are_added_up_by_every_dimension(store: SessionStore, clock: Clock) -> None:
    first = today(clock)
    for user, client, provider, cost in (
        ("ann", "ck_1", "alpha", 0.5),
        ("bob", "ck_1", "alpha", None),
        ("ann", "ck_2", "beta", 0.25),
    ):
        started = await ask(store, "q", user_id=user, client=client)
        await store.finish_turn(TENANT, started, answered(provider=provider, model="m", cost=cost))
    session = started.session.id
    await store.add_summary(
        TENANT,
        session,
        NewSummary(text="s", upto_sequence=1, provider="beta", model="m", usage=Usage(4), cost=0.125, client="ck_2"),
    )
    clock.advance(timedelta(days=1))
    later = await ask(store, "later", user_id="ann")
    await store.finish_turn(TENANT, later, answered(cost=1.0))
    second = first + timedelta(days=1)

    assert await read(store) == [(5, 88, 1.875, 1)]
    assert await read(store, "day") == [(first, 4, 67, 0.875, 1), (second, 1, 21, 1.0, 0)]
    assert await read(store, "user_id") == [("ann", 4, 67, 1.875, 0), ("bob", 1, 21, None, 1)]
    assert await read(store, "operation") == [("chat", 4, 84, 1.75, 1), ("summarize", 1, 4, 0.125, 0)]
    assert await read(store, "provider", "client", until=first) == [
        ("alpha", "ck_1", 2, 42, 0.5, 1),
        ("beta", "ck_2", 2, 25, 0.375, 0),
    ]
    assert await read(store, since=second) == [(1, 21, 1.0, 0)]
    assert await read(store, client="ck_2", provider="beta", operation="chat") == [(1, 21, 0.25, 0)]
    assert await read(store, user_id="ann", model="m") == [(3, 46, 0.875, 0)]
    assert await read(store, user_id="nobody") == []
    assert await read(store, "day", tenant="other") == []
    total = (await store.usage(TENANT, by=(), matching=UsageFilter(), limit=1)).items[0]
    assert total.usage == Usage(44, 4, 8, 20, 12)
    assert total.seconds == 8.0


async def test_totals_stay_when_sessions_go_and_copies_cost_nothing(store: SessionStore) -> None:
    session = (await talk(store, "q")).session.id
    before = await read(store, "provider")
    fork = await store.fork_session(TENANT, session, NewFork())
    await store.delete_session(TENANT, session)
    await store.delete_session(TENANT, fork.id)
    assert await read(store, "provider") == before == [("alpha", 1, 21, 0.25, 0)]


async def test_calls_without_a_session_are_added_and_paged(store: SessionStore, clock: Clock) -> None:
    day = int(clock.now // 86_400)
    totals = {}
    for number in range(3):
        kind = CallKind(TENANT, day, "", "ck_1", "alpha", f"m{number}", "embeddings")
        totals[kind] = CallTotal()
        totals[kind].add(Usage(number), 0.5, 1.0)
        totals[kind].add(None, None, 1.0)
    for _ in range(2):
        await store.add_usage(totals)
    assert await read(store, "operation") == [("embeddings", 12, 12 / 2, 3.0, 6)]
    page = await store.usage(TENANT, by=("model",), matching=UsageFilter(), limit=2)
    rest = await store.usage(TENANT, by=("model",), matching=UsageFilter(), limit=2, offset=2)
    assert [total.key["model"] for total in (*page.items, *rest.items)] == ["m0", "m1", "m2"]
    assert (page.has_more, rest.has_more) == (True, False)


async def test_no_call_counts_less_than_nothing_or_takes_the_totals_away(store: SessionStore, clock: Clock) -> None:
    absurd = Usage(-5, 2**62, -(2**63), -1_000_000, 10**30)
    kind = CallKind(TENANT, int(clock.now // 86_400), "", "ck_1", "alpha", "m", "chat")
    for _ in range(3):  # more than 64 bits together
        total = CallTotal()
        total.add(absurd, None, 1.0)
        await store.add_usage({kind: total})
        started = await ask(store, "q")
        await store.finish_turn(TENANT, started, answered(usage=absurd))
    await store.add_summary(
        TENANT,
        started.session.id,
        NewSummary(text="s", upto_sequence=1, provider="beta", model="m", usage=absurd, client="ck_2"),
    )
    total = (await store.usage(TENANT, by=(), matching=UsageFilter(), limit=1)).items[0]
    assert total.usage == Usage(0, 7 * MAX_TOKENS, 0, 0, 7 * MAX_TOKENS)
    turn = (await store.turns(TENANT, started.session.id, limit=1)).items[0]
    assert turn.outcome.usage == Usage(0, MAX_TOKENS, 0, 0, MAX_TOKENS)
    assert (await store.metrics(TENANT, started.session.id)).total_tokens == 4 * MAX_TOKENS


async def test_calls_that_came_to_nothing_count_in_their_session_too(store: SessionStore, clock: Clock) -> None:
    session, other = [(await talk(store, "q")).session.id for _ in range(2)]
    day = int(clock.now // 86_400)
    priced, unpriced, gone = CallTotal(), CallTotal(), CallTotal()
    priced.add(Usage(4), 0.5, 1.0)
    priced.add(None, None, 1.0)
    unpriced.add(Usage(2), None, 1.0)
    gone.add(Usage(7), 1.0, 1.0)
    whose = [("m", session, priced), ("n", session, unpriced), ("m", "sess_gone", gone)]
    await store.add_usage(
        {CallKind(TENANT, day, "", "", "alpha", model, "summarize", name): total for model, name, total in whose}
    )

    metrics = [await store.metrics(TENANT, name) for name in (session, other)]

    assert [(found.total_tokens, found.total_cost) for found in metrics] == [(21 + 6, 0.75), (21, 0.25)]
    assert await read(store, "operation") == [("chat", 2, 42, 0.5, 0), ("summarize", 4, 13, 1.5, 2)]


async def test_a_session_without_a_known_price_gets_none_by_calls_without_one(
    store: SessionStore, clock: Clock
) -> None:
    session = (await talk(store, "q", cost=None)).session.id
    kind = CallKind(TENANT, int(clock.now // 86_400), "", "", "alpha", "m", "summarize", session)
    total = CallTotal()
    total.add(Usage(2), None, 1.0)
    await store.add_usage({kind: total})
    assert (await store.metrics(TENANT, session)).total_cost is None


async def test_nothing_is_free_because_its_price_is_unknown(store: SessionStore) -> None:
    """The client of a stream left before the provider said what it took."""
    started = await ask(store, "q")
    failed = TurnOutcome(state="failed", error_code="x")
    assert (await store.metrics(TENANT, started.session.id)).total_cost == 0.0
    await store.finish_turn(TENANT, started, failed)
    assert (await store.metrics(TENANT, started.session.id)).total_cost == 0.0
    left = await ask(store, "q", started.session.id)
    await store.finish_turn(TENANT, left, answered(state="client_closed", usage=None, cost=None))
    assert (await store.metrics(TENANT, started.session.id)).total_cost is None
    copy = await store.fork_session(TENANT, started.session.id, NewFork())
    assert (await store.metrics(TENANT, copy.id)).total_cost == 0.0


async def test_a_total_that_the_database_refuses_is_no_failure_of_the_database(
    store: SessionStore, clock: Clock
) -> None:
    day = int(clock.now // 86_400)
    totals = {CallKind(TENANT, day, "", "ck", "alpha", model, "chat"): CallTotal(calls=1) for model in ("m\0x", "m")}
    (came,) = await asyncio.gather(store.add_usage(totals), return_exceptions=True)
    assert came is None or isinstance(came, InternalError)
