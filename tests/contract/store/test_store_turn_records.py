"""Turns as they are read back, with what each is billed for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator_core.provider_api import Adjustment, NotFound, ToolResultPart, Usage
from orchestrator_core.provider_api import Message as Said
from orchestrator_core.sessions.models import Attempt, NewTurn, TurnOutcome
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
    await store.finish_turn(TENANT, started.turn_id, outcome)

    turn = await store.turn(TENANT, started.session.id, started.turn_id)

    assert turn.outcome == outcome
    assert (turn.idempotent, turn.client, turn.first_sequence) == (True, "ck_1", 1)
    assert [stored.message.text for stored in turn.messages] == ["hello", "an answer"]
    assert turn.answer is not None
    assert turn.finished_at is not None
    assert (turn.finished_at - turn.started_at).total_seconds() == pytest.approx(2)


async def test_a_pending_turn_has_no_end(store: SessionStore) -> None:
    started = await ask(store, "hello")
    turn = await store.turn(TENANT, started.session.id, started.turn_id)
    assert (turn.outcome.state, turn.finished_at, turn.answer, turn.idempotent) == ("pending", None, None, False)


async def test_turns_come_in_order_in_pages_whatever_became_of_them(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    failed = await ask(store, "two", session)
    await store.finish_turn(TENANT, failed.turn_id, TurnOutcome(state="failed", error_code="provider_failed"))
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
    await store.finish_turn(TENANT, several.turn_id, answered("done", usage=Usage(1, 2, 3, 4, 5)))

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
