"""Turns as they are read back, with what each is billed for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from orchestrator_core.provider_api import Adjustment, NotFound, ToolResultPart, Usage, UsageDetails
from orchestrator_core.provider_api import Message as Said
from orchestrator_core.sessions.models import Attempt, NewSummary, NewTurn, TurnOutcome
from orchestrator_core.sessions.store import SessionStore
from stores import TENANT, Clock, answered, ask, talk


async def test_a_turn_is_read_with_all_that_it_was(store: SessionStore, clock: Clock) -> None:
    started = await ask(store, "hello", idempotency_key="k", client="ck_1")
    clock.advance(timedelta(seconds=2))
    outcome = answered(
        price_version="v1",
        attempts=(
            Attempt(provider="beta", model="b", duration=0.5, error="provider_failed"),
            Attempt(provider="alpha", model="alpha-1", duration=1.5),
        ),
        adjustments=(Adjustment("seed", "dropped", "it has none"),),
    )
    await store.finish_turn(TENANT, started, outcome)

    turn = await store.turn(TENANT, started.session.id, started.turn_id)

    assert turn.outcome == outcome
    assert (turn.idempotent, turn.client, turn.first_sequence) == (True, "ck_1", 1)
    assert [stored.message.text for stored in turn.messages] == ["hello", "an answer"]
    assert turn.answer is not None
    assert turn.finished_at is not None
    assert (turn.finished_at - turn.started_at).total_seconds() == pytest.approx(2)


DETAILS = UsageDetails(cache_write_1h_tokens=2, web_searches=1)


async def test_what_has_a_price_of_its_own_is_kept_and_added_up_over_the_tries_of_a_turn(store: SessionStore) -> None:
    started = await ask(store, "hello", idempotency_key="k")
    await store.finish_turn(
        TENANT,
        started,
        TurnOutcome(state="failed", error_code="provider_failed", usage=Usage(1, 0, 2, details=DETAILS)),
    )
    again = await ask(store, "hello", idempotency_key="k")
    await store.finish_turn(TENANT, again, answered(usage=Usage(1, 0, 2, details=DETAILS)))

    (turn,) = (await store.turns(TENANT, started.session.id, limit=5)).items

    assert turn.outcome.usage == Usage(2, 0, 4)
    assert turn.outcome.usage.details == UsageDetails(cache_write_1h_tokens=4, web_searches=2)


async def test_what_has_a_price_of_its_own_is_kept_of_summaries_too(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    await store.add_summary(
        TENANT, session, NewSummary(text="said", upto_sequence=2, provider="alpha", usage=Usage(5, details=DETAILS))
    )
    (summary,) = await store.summaries(TENANT, session)
    assert summary.usage is not None
    assert summary.usage.details == DETAILS


async def test_why_a_price_is_unknown_is_masked_and_short(make_store: Callable[..., SessionStore]) -> None:
    store = make_store(redact=lambda text: text.replace("sk-secret", "***"))
    await store.open()
    outcome = answered(usage=Usage(1, details=UsageDetails(unpriced="tier sk-secret " + "x" * 999)))
    started = await ask(store, "hello")
    finished = await store.finish_turn(TENANT, started, outcome)
    usage = (await store.turn(TENANT, finished.session.id, started.turn_id)).outcome.usage
    await store.close()
    assert usage is not None
    assert usage.details.unpriced == ("tier *** " + "x" * 999)[:256]


async def test_a_pending_turn_has_no_end(store: SessionStore) -> None:
    started = await ask(store, "hello")
    turn = await store.turn(TENANT, started.session.id, started.turn_id)
    assert (turn.outcome.state, turn.finished_at, turn.answer, turn.idempotent) == ("pending", None, None, False)


async def test_turns_come_in_order_in_pages_whatever_became_of_them(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    failed = await ask(store, "two", session)
    await store.finish_turn(TENANT, failed, TurnOutcome(state="failed", error_code="provider_failed"))
    several = await store.begin_turn(
        TENANT,
        NewTurn(
            messages=[
                Said(role="tool", parts=(ToolResultPart(tool_call_id="a", content="1"),)),
                Said(role="tool", parts=(ToolResultPart(tool_call_id="b", content="2"),)),
            ],
            session_id=session,
        ),
    )
    await store.finish_turn(TENANT, several, answered("done", usage=Usage(1, 2, 3, 4, 5)))

    first = await store.turns(TENANT, session, limit=2)
    rest = await store.turns(TENANT, session, limit=2, after=first.items[-1].first_sequence)

    assert [turn.outcome.state for turn in first.items] == ["complete", "failed"]
    assert first.items[1].outcome.error_code == "provider_failed"
    assert (first.has_more, rest.has_more) == (True, False)
    assert [[stored.sequence for stored in turn.messages] for turn in (*first.items, *rest.items)] == [
        [1, 2],
        [3],
        [4, 5, 6],
    ]
    assert rest.items[0].outcome.usage == Usage(1, 2, 3, 4, 5)
    assert (await store.turns(TENANT, session, limit=2, after=6)).items == []


async def test_turns_are_their_tenants_and_their_sessions(store: SessionStore) -> None:
    mine = await ask(store, "one")
    other = (await store.create_session(TENANT)).id
    for tenant, session in (("other", mine.session.id), (TENANT, other)):
        with pytest.raises(NotFound):
            await store.turn(tenant, session, mine.turn_id)
    with pytest.raises(NotFound):
        await store.turns("other", mine.session.id, limit=5)
    assert (await store.turns(TENANT, other, limit=5)).items == []
