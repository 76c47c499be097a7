"""What a turn sees of a conversation that is longer than any call can use."""

from __future__ import annotations

import pytest

from orchestrator_core.orchestration.context import build_context
from orchestrator_core.provider_api import Message, ToolCallPart, ToolResultPart
from orchestrator_core.sessions.jobs import contexts
from orchestrator_core.sessions.models import NewSummary, NewTurn, StartedTurn
from orchestrator_core.sessions.store import SessionStore
from stores import TENANT, answered, ask, talk


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "CONTEXT_MESSAGES", 5)
    monkeypatch.setattr(contexts, "CONTEXT_BYTES", 1000)
    monkeypatch.setattr(contexts, "_PAGE", 2)


async def talks(store: SessionStore, turns: int, text: str = "") -> str:
    session: str | None = None
    for number in range(turns):
        session = (await talk(store, f"{number}{text}", session)).session.id
    assert session is not None
    return session


def said(started: StartedTurn) -> list[str]:
    return [stored.message.text for stored in started.messages]


async def test_the_newest_messages_are_seen_and_the_oldest_condensed_first(store: SessionStore) -> None:
    session = await talks(store, 4)

    turn = await ask(store, "now", session)
    assert (said(turn), turn.whole) == (["2", "re: 2", "3", "re: 3", "now"], False)
    await store.finish_turn(TENANT, turn, answered())
    oldest = await store.context(TENANT, session, oldest=True)
    assert (said(oldest), oldest.whole) == (["0", "re: 0", "1", "re: 1", "2"], False)
    assert await store.add_summary(TENANT, session, NewSummary(text="they counted", upto_sequence=4))

    for old in (True, False):
        left = await store.context(TENANT, session, oldest=old)
        assert (len(left.messages), left.whole) == (5, False)
    assert await store.add_summary(
        TENANT, session, NewSummary(text="on", upto_sequence=6, replaces=left.summary and left.summary.id)
    )
    for old in (True, False):
        left = await store.context(TENANT, session, oldest=old)
        assert (said(left), left.whole) == (["3", "re: 3", "now", "an answer"], True)
    assert (await talk(store, "5", session)).unsummarized == 6


async def test_exactly_as_many_as_there_is_room_for_are_whole(store: SessionStore) -> None:
    turn = await ask(store, "now", await talks(store, 2))

    assert (said(turn), turn.whole) == (["0", "re: 0", "1", "re: 1", "now"], True)


async def test_messages_that_are_large_count_by_their_size(store: SessionStore) -> None:
    session = await talks(store, 2, "x" * 350)

    turn = await ask(store, "now", session)

    assert (len(turn.messages), turn.whole) == (3, False)
    assert len((await store.context(TENANT, session, oldest=True)).messages) == 2


async def test_a_turn_that_is_larger_by_itself_is_seen_whole(store: SessionStore) -> None:
    calls = [ToolCallPart(id=f"c{number}", name="f") for number in range(8)]
    started = await ask(store, "look")
    await store.finish_turn(TENANT, started, answered(message=Message(role="assistant", parts=tuple(calls))))
    results = [Message(role="tool", parts=(ToolResultPart(tool_call_id=call.id, content="x" * 300),)) for call in calls]

    turn = await store.begin_turn(TENANT, NewTurn(messages=results, session_id=started.session.id))

    assert len(turn.messages) >= 8
    assert [stored.message for stored in turn.messages[-8:]] == results


async def test_no_result_is_shown_without_its_call(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await talks(store, 1)
    for number in range(2):
        call = ToolCallPart(id=f"c{number}", name="f")
        started = await ask(store, f"look {number}", session)
        await store.finish_turn(TENANT, started, answered(message=Message(role="assistant", parts=(call,))))
        result = Message(role="tool", parts=(ToolResultPart(tool_call_id=call.id, content="19"),))
        turn = await store.begin_turn(TENANT, NewTurn(messages=[result], session_id=session))
        await store.finish_turn(TENANT, turn, answered("seen"))

    monkeypatch.setattr(contexts, "CONTEXT_MESSAGES", 3)

    turn = await ask(store, "now", session)

    assert [stored.message.role for stored in turn.messages] == ["tool", "assistant", "user"]
    assert [message.text for message in build_context((), turn)] == ["now"]
