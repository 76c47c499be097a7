from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator_core.provider_api import (
    Adjustment,
    Conflict,
    ImagePart,
    InternalError,
    Message,
    NotFound,
    ReasoningPart,
    SessionBusy,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    text_message,
)
from orchestrator_core.sessions.models import (
    CONTEXT_BYTES,
    Attempt,
    FinishedTurn,
    NewSummary,
    NewTurn,
    TurnOutcome,
    TurnState,
)
from orchestrator_core.sessions.store import SessionStore
from stores import TENANT, Clock, HeldDecoding, answered, ask, talk, texts, user


async def test_a_turn_makes_a_session_and_counts_its_message(store: SessionStore) -> None:
    started = await ask(store, "hello", user_id="ann", metadata={"a": 1})

    assert started.session.message_count == 1
    assert (started.session.user_id, started.session.metadata) == ("ann", {"a": 1})
    assert started.session.last_turn_at == started.session.created_at
    assert [(m.sequence, m.message.text, m.turn_state) for m in started.messages] == [(1, "hello", "pending")]
    finished = await store.finish_turn(TENANT, started, answered("hi"))
    assert finished.session.message_count == 1
    assert finished.unsummarized == 2
    assert finished.answer is not None
    assert (finished.answer.sequence, finished.answer.provider, finished.answer.model) == (2, "alpha", "alpha-1")
    assert finished.answer.message == text_message("assistant", "hi")


async def test_a_turn_whose_caller_leaves_while_its_context_is_decoded_is_ended(
    store: SessionStore, decoding: HeldDecoding
) -> None:
    session = (await store.create_session(TENANT)).id
    asking = asyncio.create_task(ask(store, "x" * (CONTEXT_BYTES // 16), session, idempotency_key="k"))
    await decoding.begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    decoding.goes_on.set()
    async with asyncio.timeout(30):
        while [turn.outcome.state for turn in (await store.turns(TENANT, session, limit=9)).items] == ["pending"]:
            await asyncio.sleep(0.02)
    (turn,) = (await store.turns(TENANT, session, limit=9)).items
    assert turn.outcome.state == "client_closed"
    assert (await talk(store, "on", session)).answer is not None


async def test_parts_are_kept_as_they_were(store: SessionStore) -> None:
    asked = Message(
        role="user",
        name="ann",
        parts=(TextPart(text="é \x00 \u2028 🙂"), ImagePart(data="QUJD", media_type="image/png", detail="low")),
    )
    answer = Message(
        role="assistant",
        parts=(
            ReasoningPart(text="", provider_metadata={"alpha": {"signature": "s", "nothing": None}}),
            ToolCallPart(id="call_1", name="look", arguments='{"cut'),
        ),
    )
    result = Message(role="tool", parts=(ToolResultPart(tool_call_id="call_1", content=(TextPart(text="r"),)),))
    started = await store.begin_turn(TENANT, NewTurn(messages=[asked]))
    await store.finish_turn(TENANT, started, answered(message=answer, finish_reason="tool_calls"))
    second = await store.begin_turn(TENANT, NewTurn(messages=[result], session_id=started.session.id))

    assert [stored.message for stored in second.messages] == [asked, answer, result]
    assert second.session.message_count == 1


async def test_turns_of_a_session_exclude_each_other(store: SessionStore) -> None:
    first = await ask(store, "one")
    with pytest.raises(SessionBusy) as caught:
        await ask(store, "two", first.session.id)
    assert caught.value.retry_after is not None
    await store.finish_turn(TENANT, first, answered())
    await talk(store, "two", first.session.id)
    assert await texts(store, first.session.id) == ["one", "an answer", "two", "re: two"]


async def test_of_many_turns_at_once_one_begins(store: SessionStore) -> None:
    session = (await store.create_session(TENANT)).id
    outcomes = await asyncio.gather(*(ask(store, str(n), session) for n in range(10)), return_exceptions=True)
    assert sum(isinstance(outcome, SessionBusy) for outcome in outcomes) == 9
    assert len(await texts(store, session)) == 1


async def test_a_turn_that_lost_its_process_blocks_its_session_for_a_time_only(
    store: SessionStore, clock: Clock
) -> None:
    lost = await ask(store, "one")
    clock.advance(timedelta(minutes=61))
    second = await ask(store, "two", lost.session.id)
    assert [message.turn_state for message in second.messages] == ["interrupted", "pending"]
    with pytest.raises(Conflict, match="went on"):
        await store.finish_turn(TENANT, lost, answered("too late"))
    assert await texts(store, lost.session.id) == ["one", "two"]


async def test_a_failed_turn_stays_in_history_alone(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    started = await ask(store, "two", session)
    assert started.session.message_count == 2
    failed = TurnOutcome(state="failed", error_code="provider_timeout", message=text_message("assistant", "no"))
    finished = await store.finish_turn(TENANT, started, failed)

    assert finished.session.message_count == 1
    assert finished.answer is None
    assert finished.unsummarized == 2
    third = await ask(store, "three", session)
    assert [message.message.text for message in third.messages] == ["one", "re: one", "three"]
    page = await store.history(TENANT, session, limit=10)
    assert [(m.sequence, m.message.text, m.turn_state) for m in page.items] == [
        (1, "one", "complete"),
        (2, "re: one", "complete"),
        (3, "two", "failed"),
        (4, "three", "pending"),
    ]


@pytest.mark.parametrize("state", ["interrupted", "client_closed"])
async def test_a_partial_answer_is_kept_in_the_context(store: SessionStore, state: TurnState) -> None:
    started = await ask(store, "one")
    finished = await store.finish_turn(TENANT, started, answered("half an", state=state))
    assert finished.answer is not None
    assert finished.answer.turn_state == state
    assert finished.session.message_count == 1
    second = await ask(store, "two", started.session.id)
    assert [message.message.text for message in second.messages] == ["one", "half an", "two"]


async def test_a_turn_ends_once(store: SessionStore) -> None:
    started = await ask(store, "one")
    first = await store.finish_turn(TENANT, started, answered("first"))
    again = await store.finish_turn(TENANT, started, answered("second", state="interrupted"))

    assert again == first
    assert await texts(store, started.session.id) == ["one", "first"]
    assert (await store.metrics(TENANT, started.session.id)).total_cost == pytest.approx(0.25)
    with pytest.raises(ValueError, match="pending"):
        await store.finish_turn(TENANT, started, answered(state="pending"))
    with pytest.raises(NotFound):
        await store.finish_turn(TENANT, replace(started, turn_id="turn_never"), answered())


async def test_history_comes_in_pages(store: SessionStore) -> None:
    session = (await store.create_session(TENANT)).id
    for number in range(3):
        await talk(store, str(number), session)
    first = await store.history(TENANT, session, limit=4)
    assert not (await store.history(TENANT, session, limit=4, offset=2**53)).items
    rest = await store.history(TENANT, session, limit=4, offset=4)
    assert [message.sequence for message in first.items] == [1, 2, 3, 4]
    assert first.has_more
    assert [message.message.text for message in rest.items] == ["2", "re: 2"]
    assert not rest.has_more
    assert (await store.history(TENANT, session, limit=4, offset=99)).items == []


async def test_an_outcome_is_kept_whole(store: SessionStore) -> None:
    outcome = answered(
        "hi",
        price_version="2026-01",
        attempts=(
            Attempt(provider="beta", model="b", duration=0.5, error="provider_timeout"),
            Attempt(provider="alpha", model="alpha-1", duration=1.5),
        ),
        adjustments=(Adjustment("seed", "dropped", "not known there"),),
    )
    started = await ask(store, "hello", idempotency_key="k")
    finished = await store.finish_turn(TENANT, started, outcome)
    again = await ask(store, "hello", idempotency_key="k")

    assert again.finished == outcome
    assert again.answer == finished.answer
    assert again.turn_id == started.turn_id


async def test_the_context_begins_after_the_summary(store: SessionStore, clock: Clock) -> None:
    session = (await store.create_session(TENANT)).id
    for number in range(3):
        await talk(store, str(number), session)
    summary = NewSummary(text="they counted", upto_sequence=4, provider="beta", model="b", usage=Usage(100), cost=0.5)
    assert await store.add_summary(TENANT, session, summary)

    seen = await store.context(TENANT, session)
    assert seen.summary is not None
    assert (seen.summary.text, seen.summary.upto_sequence, seen.summary.model) == ("they counted", 4, "b")
    assert (seen.turn_id, seen.session.summary) == ("", "they counted")
    assert [message.sequence for message in seen.messages] == [5, 6]
    assert len(await texts(store, session)) == 6
    metrics = await store.metrics(TENANT, session)
    assert metrics.total_tokens == 3 * 21 + 100
    assert metrics.total_cost == pytest.approx(1.25)
    assert metrics.last_summary_at is not None
    assert metrics.last_summary_at.timestamp() == pytest.approx(clock.now, abs=1e-5)
    assert (await talk(store, "3", session)).unsummarized == 4


async def test_one_of_two_racing_summaries_is_stored(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    one, two = (NewSummary(text=text, upto_sequence=2) for text in ("first", "second"))
    outcomes = await asyncio.gather(store.add_summary(TENANT, session, one), store.add_summary(TENANT, session, two))
    assert sorted(outcomes) == [False, True]
    seen = await store.context(TENANT, session)
    assert seen.summary is not None
    assert not await store.add_summary(TENANT, session, NewSummary(text="stale", upto_sequence=2, replaces="sum_x"))
    behind = NewSummary(text="covers no more", upto_sequence=2, replaces=seen.summary.id)
    assert not await store.add_summary(TENANT, session, behind)
    ahead = NewSummary(text="covers what is not there", upto_sequence=3, replaces=seen.summary.id)
    assert not await store.add_summary(TENANT, session, ahead)
    await talk(store, "two", session)
    next_one = NewSummary(text="third", upto_sequence=4, replaces=seen.summary.id)
    assert await store.add_summary(TENANT, session, next_one)


async def test_the_ledger_is_read_in_parts(store: SessionStore) -> None:
    session = (await talk(store, "0")).session.id
    assert await store.summaries(TENANT, session) == []
    assert await store.newest_summary(TENANT, session) is None
    for number in range(1, 5):
        newest = await store.newest_summary(TENANT, session)
        summary = NewSummary(text=str(number), upto_sequence=2 * number, replaces=newest.id if newest else None)
        assert await store.add_summary(TENANT, session, summary)
        await talk(store, str(number), session)
    ledger = await store.summaries(TENANT, session)
    assert [(entry.text, entry.from_sequence, entry.upto_sequence) for entry in ledger] == [
        ("1", 1, 2), ("2", 3, 4), ("3", 5, 6), ("4", 7, 8)
    ]  # fmt: skip
    assert [len(entry.turn_ids) for entry in ledger] == [1, 1, 1, 1]
    assert len({turn for entry in ledger for turn in entry.turn_ids}) == 4
    assert await store.summaries(TENANT, session, limit=2) == ledger[:2]
    assert await store.summaries(TENANT, session, limit=2, offset=3) == ledger[3:]
    assert await store.newest_summary(TENANT, session) == ledger[-1]
    for read in (store.summaries, store.newest_summary):
        with pytest.raises(NotFound):
            await read("someone-else", session)


async def test_a_new_summary_is_told_until_an_answer_is_complete(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    await store.add_summary(TENANT, session, NewSummary(text="s", upto_sequence=2))
    first = await ask(store, "two", session)
    assert first.first_with_summary
    await store.finish_turn(TENANT, first, TurnOutcome(state="failed"))
    second = await ask(store, "three", session, idempotency_key="k")
    assert second.first_with_summary
    await store.finish_turn(TENANT, second, answered())
    assert (await ask(store, "three", session, idempotency_key="k")).first_with_summary
    assert not (await ask(store, "four", session)).first_with_summary


async def test_a_summary_that_was_made_within_the_turn_is_told_once(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    started = await ask(store, "two", session)
    await store.add_summary(TENANT, session, NewSummary(text="s", upto_sequence=2))
    seen = await store.context(TENANT, session)
    assert seen.first_with_summary
    assert seen.summary is not None
    await store.finish_turn(TENANT, started, answered(summary_id=seen.summary.id))
    assert not (await ask(store, "three", session)).first_with_summary


@pytest.mark.parametrize("answers", [True, False])
async def test_a_turn_counts_from_the_summary_that_was_made_within_it(store: SessionStore, answers: bool) -> None:
    session = (await talk(store, "one")).session.id
    started = await ask(store, "two", session)
    await store.add_summary(TENANT, session, NewSummary(text="s", upto_sequence=3))
    outcome = answered("yes") if answers else TurnOutcome(state="failed")
    finished = await store.finish_turn(TENANT, started, outcome)
    assert finished.unsummarized == answers
    assert [stored.message.text for stored in (await store.context(TENANT, session)).messages] == ["yes"] * answers


async def test_a_turn_ends_in_a_session_that_was_changed_meanwhile(store: SessionStore) -> None:
    started = await ask(store, "one")
    session = started.session.id
    await store.update_session(TENANT, session, metadata={"a": 1}, status="closed")
    await talk(store, "another session")
    finished = await store.finish_turn(TENANT, started, answered("yes"))
    assert finished.answer is not None
    assert await texts(store, session) == ["one", "yes"]
    after = await store.get_session(TENANT, session)
    assert (after.metadata, after.status, after.message_count) == ({"a": 1}, "closed", 1)


async def test_a_turn_of_a_deleted_session_does_not_end(store: SessionStore) -> None:
    started = await ask(store, "one")
    await store.delete_session(TENANT, started.session.id)
    with pytest.raises(NotFound):
        await store.finish_turn(TENANT, started, answered())


async def test_a_summary_that_came_too_late_for_a_turn_is_told_in_the_next(store: SessionStore) -> None:
    session = (await talk(store, "one")).session.id
    started = await ask(store, "two", session)
    await store.add_summary(TENANT, session, NewSummary(text="s", upto_sequence=2))
    await store.finish_turn(TENANT, started, answered())
    assert (await ask(store, "three", session)).first_with_summary


async def test_many_writers_leave_no_gap_and_no_double(store: SessionStore) -> None:
    sessions = [(await store.create_session(TENANT)).id for _ in range(20)]
    told: dict[str, list[str]] = {session: [] for session in sessions}

    async def write(writer: int) -> None:
        for round_ in range(4):
            session, text = sessions[(writer * 7 + round_ * 3) % len(sessions)], f"{writer}/{round_}"
            while True:
                try:
                    started = await ask(store, text, session)
                except SessionBusy:
                    await asyncio.sleep(0)
                    continue
                break
            await store.finish_turn(TENANT, started, answered(f"re: {text}"))
            told[session] += [text, f"re: {text}"]

    await asyncio.gather(*(write(number) for number in range(50)))

    for session in sessions:
        page = await store.history(TENANT, session, limit=1000)
        assert [message.sequence for message in page.items] == list(range(1, len(page.items) + 1))
        assert sorted(message.message.text for message in page.items) == sorted(told[session])
        pairs = [message.message.text for message in page.items]
        assert all(after == f"re: {before}" for before, after in zip(pairs[::2], pairs[1::2], strict=True))
        assert (await store.get_session(TENANT, session)).message_count == len(pairs) // 2


async def test_a_turn_may_bring_several_messages(store: SessionStore) -> None:
    started = await store.begin_turn(TENANT, NewTurn(messages=[*user("one"), *user("two")]))
    assert started.session.message_count == 2
    finished = await store.finish_turn(TENANT, started, TurnOutcome(state="failed"))
    assert (finished.session.message_count, finished.unsummarized) == (0, 0)


async def test_a_value_that_the_database_refuses_is_no_failure_of_the_database(store: SessionStore) -> None:
    """PostgreSQL has no NUL in texts; what takes it keeps it."""
    started = await ask(store, "q")
    end = store.finish_turn(TENANT, started, answered(model="m\0x"))
    (came,) = await asyncio.gather(end, return_exceptions=True)
    assert isinstance(came, FinishedTurn | InternalError)
    await store.finish_turn(TENANT, started, TurnOutcome(state="interrupted"))
    assert (await talk(store, "next", started.session.id)).session.id == started.session.id
