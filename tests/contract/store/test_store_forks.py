"""Forks: what is copied, what is not, and that nobody sees a half one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator_core.provider_api import Message as Said
from orchestrator_core.provider_api import NotFound, SessionBusy, StorageBusy, TextPart
from orchestrator_core.sessions import filling
from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.jobs.processes import beat
from orchestrator_core.sessions.models import NewFork, NewSummary, TurnOutcome
from orchestrator_core.sessions.steps import Steps, do, rows
from orchestrator_core.sessions.store import SessionStore
from stores import TENANT, Clock, answered, ask, talk, texts

SIGNED = Said(
    role="assistant", parts=(TextPart(text="signed", provider_metadata={"alpha": {"signature": "s", "n": [1]}}),)
)


async def conversation(store: SessionStore, turns: int = 3) -> str:
    session = (await talk(store, "q1")).session.id
    for number in range(2, turns + 1):
        await talk(store, f"q{number}", session)
    return session


async def test_everything_is_copied_and_nothing_is_billed(store: SessionStore, clock: Clock) -> None:
    made = await store.create_session(TENANT, user_id="ann", metadata={"plan": "pro"})
    started = await ask(store, "hello", made.id, client="ck_1", idempotency_key="k")
    await store.finish_turn(TENANT, started, answered(message=SIGNED, price_version="v"))
    failed = await ask(store, "lost", made.id)
    await store.finish_turn(TENANT, failed, TurnOutcome(state="failed", error_code="provider_failed"))
    await talk(store, "again", made.id, provider="beta")
    before = await store.turns(TENANT, made.id, limit=10)
    await store.update_session(TENANT, made.id, status="closed")

    fork = await store.fork_session(TENANT, made.id, NewFork())

    assert (fork.status, fork.parent_id, fork.user_id, fork.metadata) == ("active", made.id, "ann", {"plan": "pro"})
    assert (fork.message_count, fork.last_turn_at) == (2, before.items[-1].started_at)
    copied = await store.turns(TENANT, fork.id, limit=10)
    for old, new in zip(before.items, copied.items, strict=True):
        assert [one.message for one in old.messages] == [one.message for one in new.messages]
        assert [one.created_at for one in old.messages] == [one.created_at for one in new.messages]
        assert (old.started_at, old.finished_at, old.client) == (new.started_at, new.finished_at, new.client)
        assert (old.outcome.state, old.outcome.provider, old.outcome.error_code) == (
            new.outcome.state,
            new.outcome.provider,
            new.outcome.error_code,
        )
        assert (new.outcome.usage, new.outcome.cost, new.outcome.price_version) == (None, None, None)
        assert new.idempotent is False
        assert {old.id, *(one.id for one in old.messages)}.isdisjoint({new.id, *(one.id for one in new.messages)})
    metrics = await store.metrics(TENANT, fork.id)
    assert (metrics.total_tokens, metrics.total_cost, metrics.average_response_time) == (0, 0.0, 0.0)
    assert metrics.providers_used == ["alpha", "beta"]
    assert await store.turns(TENANT, made.id, limit=10) == before
    assert (await store.get_session(TENANT, made.id)).status == "closed"
    assert (await store.totals(TENANT)).total_created == 2


async def test_a_copy_of_an_old_conversation_is_a_new_session(store: SessionStore, clock: Clock) -> None:
    session = await conversation(store)
    clock.advance(timedelta(days=365))
    fork = await store.fork_session(TENANT, session, NewFork())

    assert fork.status == "active"
    assert fork.last_turn_at is not None
    assert fork.last_turn_at < fork.created_at
    yesterday = fork.created_at - timedelta(days=1)
    assert await store.purge(TENANT, [fork.id], inactive_since=yesterday) == 0
    before = (await store.totals(TENANT)).average_duration
    clock.advance(timedelta(seconds=1))
    await talk(store, "on", fork.id)
    assert (await store.totals(TENANT)).average_duration - before < 2


async def test_both_go_on_apart(store: SessionStore) -> None:
    session = await conversation(store)
    fork = await store.fork_session(TENANT, session, NewFork())
    await talk(store, "left", session)
    went_on = await talk(store, "right", fork.id)
    assert went_on.session.message_count == 4
    assert (await texts(store, session))[-2:] == ["left", "re: left"]
    assert (await texts(store, fork.id))[-2:] == ["right", "re: right"]
    again = await store.fork_session(TENANT, fork.id, NewFork())
    assert await texts(store, again.id) == await texts(store, fork.id)
    context = await store.context(TENANT, again.id)
    assert [stored.message.text for stored in context.messages] == await texts(store, fork.id)


async def test_a_fork_ends_at_a_turn_or_before_it(store: SessionStore) -> None:
    session = await conversation(store)
    second = (await store.turns(TENANT, session, limit=10)).items[1].id
    upto = await store.fork_session(TENANT, session, NewFork(turn_id=second, user_id="bob", metadata={"a": 1}))
    before = await store.fork_session(TENANT, session, NewFork(turn_id=second, before=True))
    assert await texts(store, upto.id) == ["q1", "re: q1", "q2", "re: q2"]
    assert (upto.user_id, upto.metadata, upto.message_count) == ("bob", {"a": 1}, 2)
    assert await texts(store, before.id) == ["q1", "re: q1"]
    first = (await store.turns(TENANT, session, limit=10)).items[0].id
    empty = await store.fork_session(TENANT, session, NewFork(turn_id=first, before=True))
    assert (await texts(store, empty.id), empty.message_count) == ([], 0)
    assert (await talk(store, "new", empty.id)).session.message_count == 1


async def test_a_fork_at_a_question_has_its_turn_without_the_answer(store: SessionStore) -> None:
    session = await conversation(store)
    messages = (await store.history(TENANT, session, limit=10)).items
    answer = await store.fork_session(TENANT, session, NewFork(message_id=messages[3].id))
    question = await store.fork_session(TENANT, session, NewFork(message_id=messages[2].id))
    assert await texts(store, answer.id) == ["q1", "re: q1", "q2", "re: q2"]
    assert await texts(store, question.id) == ["q1", "re: q1", "q2"]
    parted = (await store.turns(TENANT, question.id, limit=10)).items[1]
    assert (parted.outcome.state, parted.answer, question.message_count) == ("interrupted", None, 2)
    await talk(store, "on", question.id)
    assert (await texts(store, question.id))[2:] == ["q2", "on", "re: on"]


async def test_a_pending_turn_stays_out(store: SessionStore) -> None:
    session = await conversation(store, 1)
    pending = await ask(store, "wait", session)
    fork = await store.fork_session(TENANT, session, NewFork())
    assert await texts(store, fork.id) == ["q1", "re: q1"]
    with pytest.raises(SessionBusy):
        await store.fork_session(TENANT, session, NewFork(turn_id=pending.turn_id))
    said = (await store.history(TENANT, session, limit=10)).items[-1].id
    parted = await store.fork_session(TENANT, session, NewFork(message_id=said))
    assert await texts(store, parted.id) == ["q1", "re: q1", "wait"]
    await store.finish_turn(TENANT, pending, answered())


async def test_the_newest_summary_that_fits_comes_along(store: SessionStore) -> None:
    session = await conversation(store, 4)
    await store.add_summary(TENANT, session, NewSummary(text="first", upto_sequence=2, tokens_before=9, cost=1.0))
    first = (await store.summaries(TENANT, session))[0]
    await store.add_summary(TENANT, session, NewSummary(text="second", upto_sequence=6, replaces=first.id))
    turns = (await store.turns(TENANT, session, limit=10)).items

    whole = await store.fork_session(TENANT, session, NewFork())
    half = await store.fork_session(TENANT, session, NewFork(turn_id=turns[1].id))
    none = await store.fork_session(TENANT, session, NewFork(turn_id=turns[1].id, before=True))

    assert (whole.summary, half.summary, none.summary) == ("second", "first", "first")
    (ledger,) = await store.summaries(TENANT, half.id)
    assert (ledger.upto_sequence, ledger.from_sequence, ledger.tokens_before, ledger.cost) == (2, 1, None, None)
    assert ledger.id != first.id
    context = await store.context(TENANT, half.id)
    assert [stored.message.text for stored in context.messages] == ["q2", "re: q2"]
    finished = await talk(store, "on", half.id)
    assert finished.unsummarized == 4


async def test_unknown_places_make_nothing(store: SessionStore) -> None:
    session, other = await conversation(store, 1), await conversation(store, 1)
    theirs = (await store.turns(TENANT, other, limit=1)).items[0]
    for fork in (
        NewFork(turn_id=theirs.id),
        NewFork(message_id=theirs.said[0].id),
        NewFork(turn_id=theirs.id, before=True),
    ):
        with pytest.raises(NotFound):
            await store.fork_session(TENANT, session, fork)
    with pytest.raises(NotFound):
        await store.fork_session("other", session, NewFork())
    assert len((await store.list_sessions(TENANT, limit=10)).items) == 2
    assert (await store.totals(TENANT)).total_created == 2


async def test_parts_are_joined_without_a_seam(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "PART", 3)
    session = await conversation(store, 7)
    fork = await store.fork_session(TENANT, session, NewFork())
    assert await texts(store, fork.id) == await texts(store, session)
    assert len((await store.turns(TENANT, fork.id, limit=20)).items) == 7
    assert fork.message_count == 7


async def test_a_fork_that_cannot_end_leaves_nothing(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(filling, "PART", 2)
    session = await conversation(store, 3)
    write, calls = database.write, 0

    async def failing(transaction: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            assert len((await store.list_sessions(TENANT, limit=10)).items) == 1
            assert (await store.totals(TENANT)).active == 1
            raise StorageBusy("later")
        return await write(transaction, **options)

    monkeypatch.setattr(database, "write", failing)
    with pytest.raises(StorageBusy):
        await store.fork_session(TENANT, session, NewFork())
    assert calls == 4
    assert len((await store.list_sessions(TENANT, limit=10)).items) == 1
    assert (await store.totals(TENANT)).total_created == 1


async def test_an_original_that_is_deleted_meanwhile_has_no_fork(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(filling, "PART", 2)
    session = await conversation(store, 3)
    write, calls = database.write, 0

    async def deleting(transaction: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            await store.delete_session(TENANT, session)
        return await write(transaction, **options)

    monkeypatch.setattr(database, "write", deleting)
    with pytest.raises(NotFound):
        await store.fork_session(TENANT, session, NewFork())
    assert (await store.list_sessions(TENANT, limit=10)).items == []


async def test_what_a_process_left_half_is_taken_away_by_the_next(
    store: SessionStore, database: Database, clock: Clock
) -> None:
    session = (await store.create_session(TENANT)).id
    clock.advance(timedelta(seconds=1))

    def hide() -> Steps[None]:
        yield from do("UPDATE sessions SET filled_by = 'gone' WHERE id = ?", session)

    def count() -> Steps[int]:
        return len((yield from rows("SELECT id FROM sessions")))

    await database.write(hide)
    with pytest.raises(NotFound):
        await store.get_session(TENANT, session)
    with pytest.raises(NotFound):
        await store.metrics(TENANT, session)
    assert (await store.list_sessions(TENANT, limit=5)).items == []
    await database.write(lambda: beat(database.process_id, 10.0, []))
    assert await database.read(count) == 0
