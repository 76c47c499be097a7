from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator_core.provider_api import (
    Conflict,
    IdempotencyMismatch,
    RequestInFlight,
    SessionEnded,
    Usage,
)
from orchestrator_core.sessions.models import Attempt, NewSummary, StoredReply, TurnOutcome, TurnState
from orchestrator_core.sessions.store import SessionStore
from stores import TENANT, Clock, answered, ask, claim, talk, texts

REPLY = StoredReply(status=201, content_type="application/json", body=b'{"a": "\xc3\xa9", "raw": "\xff"}')


async def test_a_settled_key_gives_its_reply_again(store: SessionStore) -> None:
    since = await claim(store, "k")
    await store.settle(TENANT, "k", since, REPLY)
    assert await store.claim(TENANT, "k", "print") == REPLY
    await store.settle(TENANT, "k", since, None)
    assert await store.claim(TENANT, "k", "print") == REPLY


async def test_a_claimed_key_is_in_flight(store: SessionStore) -> None:
    await store.claim(TENANT, "k", "print")
    with pytest.raises(RequestInFlight) as caught:
        await store.claim(TENANT, "k", "print")
    assert caught.value.retry_after is not None


@pytest.mark.parametrize("reply", [None, REPLY])
async def test_a_key_of_another_request_is_a_mismatch(store: SessionStore, reply: StoredReply | None) -> None:
    since = await claim(store, "k")
    if reply is not None:
        await store.settle(TENANT, "k", since, reply)
    with pytest.raises(IdempotencyMismatch):
        await store.claim(TENANT, "k", "another print")


async def test_a_freed_key_may_be_claimed_again(store: SessionStore) -> None:
    since = await claim(store, "k")
    await store.settle(TENANT, "k", since, None)
    await claim(store, "k", "another print")


async def test_a_claim_is_freed_by_its_own_request_alone(store: SessionStore, clock: Clock) -> None:
    """Where nobody knew that it was freed, that is tried again: another request may have the key by then."""
    since = await claim(store, "k")
    await store.settle(TENANT, "k", since, None)
    clock.advance(timedelta(milliseconds=500))
    again = await claim(store, "k")
    await store.settle(TENANT, "k", since, None)
    with pytest.raises(RequestInFlight):
        await store.claim(TENANT, "k", "print")
    await store.settle(TENANT, "k", again, REPLY)
    assert await store.claim(TENANT, "k", "print") == REPLY


async def test_of_many_claims_at_once_one_is_given(store: SessionStore) -> None:
    outcomes = await asyncio.gather(*(store.claim(TENANT, "k", "p") for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, RequestInFlight) for outcome in outcomes) == 9


async def test_a_claim_that_was_never_settled_is_free_again_after_an_hour(store: SessionStore, clock: Clock) -> None:
    await store.claim(TENANT, "k", "print")
    clock.advance(timedelta(minutes=59))
    with pytest.raises(RequestInFlight):
        await store.claim(TENANT, "k", "print")
    clock.advance(timedelta(minutes=2))
    since = await claim(store, "k", "another print")
    with pytest.raises(RequestInFlight):
        await store.claim(TENANT, "k", "another print")
    await store.settle(TENANT, "k", since, REPLY)
    assert await store.claim(TENANT, "k", "another print") == REPLY


async def test_keys_are_kept_for_a_day(store: SessionStore, clock: Clock) -> None:
    since = await claim(store, "k")
    await store.settle(TENANT, "k", since, REPLY)
    clock.advance(timedelta(hours=23))
    assert await store.claim(TENANT, "k", "print") == REPLY
    clock.advance(timedelta(hours=2))
    await claim(store, "k", "another print")


async def test_the_key_of_a_pending_turn_is_in_flight(store: SessionStore) -> None:
    await ask(store, "one", idempotency_key="k")
    with pytest.raises(RequestInFlight):
        await ask(store, "one", idempotency_key="k")


async def test_the_key_of_another_turn_is_a_mismatch(store: SessionStore) -> None:
    session = (await talk(store, "zero")).session.id
    started = await ask(store, "one", idempotency_key="k")
    with pytest.raises(IdempotencyMismatch):
        await ask(store, "two", idempotency_key="k")
    with pytest.raises(IdempotencyMismatch):
        await ask(store, "one", session, idempotency_key="k")
    assert await texts(store, started.session.id) == ["one"]


@pytest.mark.parametrize("state", ["failed", "interrupted", "client_closed"])
async def test_a_turn_without_a_whole_answer_is_taken_up_again(store: SessionStore, state: TurnState) -> None:
    session = (await talk(store, "zero")).session.id
    started = await ask(store, "one", session, idempotency_key="k")
    tried = (Attempt(provider="alpha", model="a", duration=1.0, error="provider_failed"),)
    before = await store.finish_turn(TENANT, started, answered("half", state=state, attempts=tried, duration=1.0))
    again = await ask(store, "one", session, idempotency_key="k")

    assert again.turn_id == started.turn_id
    assert again.finished is None
    assert [message.message.text for message in again.messages] == ["zero", "re: zero", "one"]
    assert again.session.message_count == 2
    with pytest.raises(RequestInFlight):
        await ask(store, "one", session, idempotency_key="k")
    finished = await store.finish_turn(TENANT, again, answered("whole", attempts=tried))
    assert await texts(store, session) == ["zero", "re: zero", "one", "whole"]
    assert finished.answer is not None
    assert finished.answer.sequence == 4
    assert (finished.session.message_count, finished.unsummarized) == (2, 4)
    assert before.session.message_count == (1 if state == "failed" else 2)
    replay = await ask(store, "one", session, idempotency_key="k")
    assert replay.finished is not None
    assert replay.finished.usage == Usage(20, 2, 4, 10, 6)
    assert replay.finished.cost == pytest.approx(0.5)
    assert replay.finished.attempts == tried + tried
    assert (await store.metrics(TENANT, session)).total_cost == pytest.approx(0.75)


@pytest.mark.parametrize("state", ["failed", "interrupted", "client_closed"])
async def test_the_end_of_one_try_is_not_that_of_the_next(store: SessionStore, state: TurnState) -> None:
    """An end whose caller left is stored once more, and one that nobody knows the fate of is tried again."""
    end = TurnOutcome(state="failed") if state == "failed" else answered("half", state=state)
    first = await ask(store, "one", idempotency_key="k")
    await store.finish_turn(TENANT, first, end)
    again = await ask(store, "one", idempotency_key="k")
    assert again.turn_id == first.turn_id

    async def late() -> None:
        with suppress(Conflict):
            assert (await store.finish_turn(TENANT, first, end)).answer is None

    await late()
    with pytest.raises(RequestInFlight):
        await ask(store, "one", idempotency_key="k")
    await late()
    finished = await store.finish_turn(TENANT, again, answered("whole"))
    assert finished.answer is not None
    assert finished.answer.message.text == "whole"
    with pytest.raises(Conflict):
        await store.finish_turn(TENANT, first, answered("half", state="interrupted"))
    assert await texts(store, first.session.id) == ["one", "whole"]
    assert (await store.get_session(TENANT, first.session.id)).message_count == 1


async def test_a_turn_that_made_its_session_is_taken_up_in_it(store: SessionStore) -> None:
    started = await ask(store, "one", idempotency_key="k")
    await store.finish_turn(TENANT, started, TurnOutcome(state="failed"))
    again = await ask(store, "one", idempotency_key="k")
    assert again.session.id == started.session.id
    assert (await store.totals(TENANT)).total_created == 1


async def test_a_partial_answer_is_given_when_the_conversation_went_on(store: SessionStore) -> None:
    started = await ask(store, "one", idempotency_key="k")
    session = started.session.id
    await store.finish_turn(TENANT, started, answered("half", state="interrupted"))
    await talk(store, "two", session)
    again = await ask(store, "one", idempotency_key="k")
    assert again.finished is not None
    assert again.finished.state == "interrupted"
    assert again.answer is not None
    assert again.answer.message.text == "half"
    assert await texts(store, session) == ["one", "half", "two", "re: two"]


async def test_a_failed_turn_cannot_be_taken_up_when_the_conversation_went_on(store: SessionStore) -> None:
    started = await ask(store, "one", idempotency_key="k")
    await store.finish_turn(TENANT, started, TurnOutcome(state="failed"))
    await talk(store, "two", started.session.id)
    with pytest.raises(Conflict):
        await ask(store, "one", idempotency_key="k")


async def test_a_summarised_turn_is_not_taken_up(store: SessionStore) -> None:
    started = await ask(store, "one", idempotency_key="k")
    await store.finish_turn(TENANT, started, answered("half", state="interrupted"))
    assert await store.add_summary(TENANT, started.session.id, NewSummary(text="s", upto_sequence=2))
    again = await ask(store, "one", idempotency_key="k")
    assert again.answer is not None
    assert again.finished is not None


async def test_a_turn_of_an_ended_session_is_not_taken_up(store: SessionStore) -> None:
    started = await ask(store, "one", idempotency_key="k")
    await store.finish_turn(TENANT, started, TurnOutcome(state="failed"))
    await store.update_session(TENANT, started.session.id, status="closed")
    with pytest.raises(SessionEnded):
        await ask(store, "one", idempotency_key="k")


async def test_an_answer_is_given_again_for_a_day(store: SessionStore, clock: Clock) -> None:
    started = await ask(store, "one", idempotency_key="k")
    await store.finish_turn(TENANT, started, answered())
    clock.advance(timedelta(hours=23))
    assert (await ask(store, "one", idempotency_key="k")).finished is not None
    clock.advance(timedelta(hours=2))
    assert (await ask(store, "another", idempotency_key="k")).finished is None


async def test_replies_are_deleted_with_their_session(store: SessionStore) -> None:
    since = await claim(store, "k")
    started = await ask(store, "one", idempotency_key="k")
    await store.finish_turn(TENANT, started, answered())
    await store.settle(TENANT, "k", since, REPLY)
    await store.delete_session(TENANT, started.session.id)
    await claim(store, "k")


async def test_nothing_is_kept_of_a_session_that_was_deleted_before_the_reply(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    since = await claim(store, "k")
    await store.delete_session(TENANT, session)
    await store.settle(TENANT, "k", since, replace(REPLY, session_id=session))
    await claim(store, "k")


async def test_replies_about_a_session_are_deleted_with_it(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    since = await claim(store, "k")
    await store.settle(TENANT, "k", since, replace(REPLY, session_id=session))
    assert await store.claim(TENANT, "k", "print") == REPLY
    await store.delete_session(TENANT, session)
    await claim(store, "k")
