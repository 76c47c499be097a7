"""Conversations that took place elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator_core.provider_api import NotFound, StorageBusy
from orchestrator_core.sessions import filling
from orchestrator_core.sessions.databases.base import Database
from orchestrator_core.sessions.models import NewConversation, NewSummary, StoredTurn, TurnOutcome
from orchestrator_core.sessions.store import SessionStore
from stores import TENANT, answered, ask, talk, texts


async def taken(store: SessionStore, turns: int = 3) -> tuple[str, NewConversation]:
    session = (await talk(store, "q1", price_version="v")).session.id
    for number in range(2, turns + 1):
        await talk(store, f"q{number}", session)
    failed = await ask(store, "lost", session)
    await store.finish_turn(TENANT, failed, TurnOutcome(state="failed", error_code="x", duration=1.0))
    await store.add_summary(TENANT, session, NewSummary(text="first", upto_sequence=2, cost=0.5))
    first = (await store.summaries(TENANT, session))[0]
    await store.add_summary(TENANT, session, NewSummary(text="second", upto_sequence=4, replaces=first.id))
    last = await ask(store, "last", session)
    assert last.summary is not None
    await store.finish_turn(TENANT, last, answered("end", summary_id=last.summary.id))
    page = await store.turns(TENANT, session, limit=100)
    return session, NewConversation(
        user_id="ann",
        metadata={"plan": "pro"},
        parent_id=session,
        turns=page.items,
        summaries=await store.summaries(TENANT, session),
    )


def plain(turn: StoredTurn) -> object:
    outcome = replace(turn.outcome, summary_id=None)
    return outcome, [(one.sequence, one.message, one.created_at) for one in turn.messages], turn.started_at


async def test_a_conversation_is_kept_as_it_was(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "PART", 3)
    session, conversation = await taken(store)

    made = await store.import_session("other", conversation)

    assert (made.status, made.user_id, made.metadata, made.parent_id) == ("active", "ann", {"plan": "pro"}, session)
    assert (made.message_count, made.summary) == (4, "second")
    turns = (await store.turns("other", made.id, limit=100)).items
    assert [plain(turn) for turn in turns] == [plain(turn) for turn in conversation.turns]
    assert {turn.id for turn in turns}.isdisjoint({turn.id for turn in conversation.turns})
    ledger = await store.summaries("other", made.id)
    assert [(one.text, one.cost, one.upto_sequence) for one in ledger] == [("first", 0.5, 2), ("second", None, 4)]
    assert ledger[1].replaces == ledger[0].id
    assert turns[-1].outcome.summary_id == ledger[1].id
    old, new = await store.metrics(TENANT, session), await store.metrics("other", made.id)
    assert (new.total_tokens, new.total_cost, new.providers_used) == (
        old.total_tokens,
        old.total_cost,
        old.providers_used,
    )
    assert new.average_response_time == old.average_response_time
    context = await store.context("other", made.id)
    assert [one.message.text for one in context.messages] == ["q3", "re: q3", "last", "end"]
    assert context.first_with_summary is False
    assert (await talk(store, "on", made.id, tenant="other")).unsummarized == 6
    with pytest.raises(NotFound):
        await store.get_session(TENANT, made.id)


async def test_an_empty_conversation(store: SessionStore) -> None:
    made = await store.import_session(
        TENANT, NewConversation(user_id=None, metadata={}, parent_id=None, turns=(), summaries=())
    )
    assert await texts(store, made.id) == []
    assert (await talk(store, "hello", made.id)).session.message_count == 1


async def test_one_that_cannot_be_written_leaves_nothing(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(filling, "PART", 2)
    _, conversation = await taken(store)
    write, calls = database.write, 0

    async def failing(transaction: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StorageBusy("later")
        return await write(transaction, **options)

    monkeypatch.setattr(database, "write", failing)
    with pytest.raises(StorageBusy):
        await store.import_session(TENANT, conversation)
    assert calls == 4
    assert len((await store.list_sessions(TENANT, limit=10)).items) == 1
