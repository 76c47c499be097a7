"""What a process remembers of a session is used only while it is what everybody would read."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from typing import get_args

import pytest

from orchestrator_core.orchestration.context import results_check
from orchestrator_core.provider_api import (
    Conflict,
    InvalidRequest,
    Message,
    NotFound,
    SessionEnded,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from orchestrator_core.sessions.conversations import Conversations
from orchestrator_core.sessions.databases.base import Database, Undo
from orchestrator_core.sessions.jobs import contexts, statements
from orchestrator_core.sessions.jobs.beginning import read_session
from orchestrator_core.sessions.models import (
    CONTEXT_BYTES,
    NewFork,
    NewSummary,
    NewTurn,
    StartedTurn,
    TurnOutcome,
    TurnState,
)
from orchestrator_core.sessions.steps import Steps, T, Transaction
from orchestrator_core.sessions.store import SessionStore
from stores import MAX_IDLE, TENANT, Clock, HeldDecoding, answered, ask, talk, texts

STATES: Sequence[TurnState] = (*get_args(TurnState)[1:], *("complete",) * 5)
"""Every state in which a turn ends; most are complete."""


class Watched:
    """A database, and whether a turn that began with it read messages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.read_messages = False
        self.open, self.close, self.now = database.open, database.close, database.now
        self.read, self.undo = database.read, database.undo

    @property
    def process_id(self) -> str:
        return self._database.process_id

    async def write(self, transaction: Transaction[T], *, undo: Undo[T] | None = None, scrub: bool = False) -> T:
        def watched() -> Steps[T]:
            steps = transaction()
            found = None
            while True:
                try:
                    query = steps.send(found) if found is not None else next(steps)
                except StopIteration as ended:
                    result: T = ended.value
                    return result
                self.read_messages |= query.sql == statements.GET_NEWEST
                found = yield query

        return await self._database.write(watched, undo=undo, scrub=scrub)


@pytest.fixture
async def workers(database: Database, clock: Clock) -> AsyncIterator[list[Conversations]]:
    """Two stores over one database, as two processes have them."""
    made = [Conversations(Watched(database), max_idle=MAX_IDLE, clock=clock) for _ in range(2)]
    await made[0].open()
    yield made
    made[1].recent.clear()
    await made[0].close()
    assert len(made[0].recent) == 0


async def begin(worker: Conversations, text: str, session: str | None, key: str | None = None) -> StartedTurn:
    """Begin a turn, and make sure that it sees what is stored."""
    started = await ask(worker, text, session, idempotency_key=key)
    if started.finished is None:
        await sees_what_is_stored(worker, started)
    return started


async def sees_what_is_stored(worker: SessionStore, started: StartedTurn) -> None:
    stored = await worker.context(TENANT, started.session.id)
    assert list(started.messages) == list(stored.messages)
    assert (started.whole, started.summary) == (stored.whole, stored.summary)
    for part in ("text", "other"):
        assert getattr(started.weight, part) == pytest.approx(getattr(stored.weight, part))
    assert (started.session, started.first_with_summary) == (stored.session, stored.first_with_summary)


async def turn(worker: Conversations, text: str, session: str | None = None, state: TurnState = "complete") -> str:
    started = await begin(worker, text, session)
    await worker.finish_turn(TENANT, started, answered(f"re: {text}", state=state))
    return started.session.id


def has_read(worker: Conversations) -> bool:
    """Whether messages were read since this was asked last."""
    watched = worker.database
    assert isinstance(watched, Watched)
    read, watched.read_messages = watched.read_messages, False
    return read


async def test_the_next_turn_reads_no_messages(workers: list[Conversations]) -> None:
    one, _ = workers
    session = await turn(one, "0")
    for number in range(1, 4):
        await turn(one, str(number), session)
    assert not has_read(one)
    assert await texts(one, session) == [text for n in range(4) for text in (f"{n}", f"re: {n}")]


async def test_the_first_turn_of_a_session_reads_none_either(workers: list[Conversations]) -> None:
    made = await workers[0].create_session(TENANT)
    await turn(workers[0], "hello", made.id)
    assert not has_read(workers[0])


async def test_what_another_process_added_is_read(workers: list[Conversations]) -> None:
    one, two = workers
    session = await turn(one, "0")
    await turn(two, "1", session)
    assert has_read(two)
    await turn(one, "2", session)
    assert has_read(one)
    await turn(one, "3", session)
    assert not has_read(one)


@pytest.mark.parametrize("state", ["interrupted", "client_closed", "failed"])
async def test_after_a_turn_that_is_not_complete_messages_are_read(
    workers: list[Conversations], state: TurnState
) -> None:
    session = await turn(workers[0], "0")
    await turn(workers[0], "1", session, state)
    await turn(workers[0], "2", session)
    assert has_read(workers[0])


async def test_an_answer_that_another_process_replaced_is_read(workers: list[Conversations]) -> None:
    one, two = workers
    session = await turn(one, "0")
    started = await begin(one, "1", session, "key")
    await one.finish_turn(TENANT, started, answered("half of", state="interrupted"))
    again = await begin(two, "1", session, "key")
    await two.finish_turn(TENANT, again, answered("the whole"))
    now = await begin(one, "2", session)
    assert [stored.message.text for stored in now.messages][-2:] == ["the whole", "2"]


async def test_a_summary_of_another_process_takes_the_place_of_what_it_covers(workers: list[Conversations]) -> None:
    one, two = workers
    session = await turn(one, "0")
    await turn(one, "1", session)
    assert await two.add_summary(TENANT, session, NewSummary(text="they counted", upto_sequence=2))
    started = await begin(one, "2", session)
    assert [stored.message.text for stored in started.messages] == ["1", "re: 1", "2"]
    await one.finish_turn(TENANT, started, answered())
    has_read(one)
    await turn(one, "3", session)
    assert not has_read(one)


async def test_a_summary_that_comes_in_the_middle_of_a_turn_counts_for_the_next(workers: list[Conversations]) -> None:
    one, _ = workers
    session = await turn(one, "0")
    started = await begin(one, "1", session)
    assert await one.add_summary(TENANT, session, NewSummary(text="they counted", upto_sequence=2))
    await one.finish_turn(TENANT, started, answered("re: 1"))
    now = await begin(one, "2", session)
    assert [stored.message.text for stored in now.messages] == ["1", "re: 1", "2"]


async def test_a_copy_and_its_original_go_their_own_ways(workers: list[Conversations]) -> None:
    one, _ = workers
    session = await turn(one, "0")
    copy = await one.fork_session(TENANT, session, NewFork())
    await turn(one, "original", session)
    await turn(one, "copy", copy.id)
    await turn(one, "on", copy.id)
    await turn(one, "on", session)
    assert await texts(one, copy.id) == ["0", "re: 0", "copy", "re: copy", "on", "re: on"]
    assert await texts(one, session) == ["0", "re: 0", "original", "re: original", "on", "re: on"]


async def test_results_of_tools_are_held_against_what_is_remembered(workers: list[Conversations]) -> None:
    one, _ = workers
    started = await begin(one, "look", None)
    call = Message(role="assistant", parts=(TextPart(text="so"), ToolCallPart(id="c1", name="f")))
    await one.finish_turn(TENANT, started, answered(message=call))

    def results(call_id: str) -> NewTurn:
        said = [Message(role="tool", parts=(ToolResultPart(tool_call_id=call_id, content="19"),))]
        return NewTurn(messages=said, session_id=started.session.id, check=results_check(said))

    with pytest.raises(InvalidRequest, match="Waiting: c1"):
        await one.begin_turn(TENANT, results("c2"))
    went_on = await one.begin_turn(TENANT, results("c1"))
    await sees_what_is_stored(one, went_on)
    assert not has_read(one)


async def test_more_than_a_call_can_use_is_read(workers: list[Conversations], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "CONTEXT_MESSAGES", 5)
    session = await turn(workers[0], "0")
    for number in range(1, 5):
        await turn(workers[0], str(number), session)
        assert has_read(workers[0]) == (number > 2)


async def test_nobody_elses_session_is_found_by_its_id(workers: list[Conversations]) -> None:
    one, _ = workers
    session = await turn(one, "mine")
    with pytest.raises(NotFound):
        await ask(one, "whose?", session, tenant="other")
    assert one.recent.find("other", session) is None
    assert one.recent.find(TENANT, session) is not None


def remembered(text: str) -> list[Message]:
    gc.collect()
    return [found for found in gc.get_objects() if isinstance(found, Message) and text in found.text]


@pytest.mark.parametrize("way", ["delete", "purge", "close", "elsewhere", "under way", "under way elsewhere", "store"])
async def test_what_is_deleted_is_in_no_memory(workers: list[Conversations], way: str) -> None:
    one, two = workers
    mark = f"the secret of {way}"
    session = await turn(one, mark)
    assert remembered(mark)
    if way == "delete":
        await one.delete_session(TENANT, session)
    elif way == "purge":
        assert await one.purge(TENANT, [session]) == 1
    elif way == "close":
        await one.update_session(TENANT, session, status="closed")
    elif way == "elsewhere":
        await two.delete_session(TENANT, session)
        with pytest.raises(NotFound):
            await ask(one, "on", session)
    elif way.startswith("under way"):
        started = await ask(one, "on", session)
        await (one if way == "under way" else two).delete_session(TENANT, session)
        with pytest.raises(NotFound):
            await one.finish_turn(TENANT, started, answered())
        del started
    else:
        one.recent.clear()
    await one.ping()  # the thread of a database holds what it did last
    assert not remembered(mark)


async def test_what_is_deleted_while_a_turn_begins_is_in_no_memory_after_it(
    workers: list[Conversations], decoding: HeldDecoding
) -> None:
    one, _ = workers
    session = (await one.create_session(TENANT)).id
    asking = asyncio.create_task(ask(one, "x" * (CONTEXT_BYTES // 16), session))
    await decoding.begun.wait()
    await one.delete_session(TENANT, session)
    decoding.goes_on.set()
    started = await asking
    with pytest.raises(NotFound):
        await one.finish_turn(TENANT, started, answered())
    assert len(one.recent) == 0


async def test_a_session_whose_change_was_cut_short_is_remembered_no_longer(workers: list[Conversations]) -> None:
    one, _ = workers
    session = await turn(one, "0")
    changing = asyncio.create_task(one.update_session(TENANT, session, metadata={"a": "b"}))
    await asyncio.sleep(0)
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    assert len(one.recent) == 0


async def test_a_turn_that_is_told_again_leaves_what_is_remembered(workers: list[Conversations]) -> None:
    one, _ = workers
    started = await begin(one, "0", None, "key")
    session = started.session.id
    await one.finish_turn(TENANT, started, answered())
    again = await ask(one, "0", session, idempotency_key="key")
    assert again.finished is not None
    await turn(one, "1", session)
    assert not has_read(one)


async def test_nothing_is_remembered_for_longer_than_a_session_may_rest(database: Database) -> None:
    store = Conversations(database, max_idle=timedelta(seconds=0.5))
    await store.open()
    try:
        await talk(store, "hello")
        assert len(store.recent) == 1
        async with asyncio.timeout(30):
            while len(store.recent):
                await asyncio.sleep(0.05)
    finally:
        await store.close()


async def test_an_expired_session_is_remembered_no_longer(workers: list[Conversations], clock: Clock) -> None:
    session = await turn(workers[0], "hello")
    clock.advance(MAX_IDLE + timedelta(seconds=1))
    with pytest.raises(SessionEnded):
        await ask(workers[0], "on", session)
    assert len(workers[0].recent) == 0


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_a_turn_sees_what_is_stored(workers: list[Conversations], seed: int) -> None:
    chance = random.Random(seed)
    sessions = [await turn(workers[0], f"session {number}") for number in range(3)]
    keys: dict[str, str] = {}
    for number in range(80):
        worker, session = chance.choice(workers), chance.choice(sessions)
        what = chance.random()
        if what < 0.08:
            context = await worker.context(TENANT, session)
            upto = context.messages[-1].sequence - chance.randrange(3) if context.messages else 0
            replaces = None if context.summary is None else context.summary.id
            await worker.add_summary(
                TENANT, session, NewSummary(text=f"up to {upto}", upto_sequence=upto, replaces=replaces)
            )
        elif what < 0.14:
            sessions.append((await worker.fork_session(TENANT, session, NewFork())).id)
        elif what < 0.18 and len(sessions) > 1:
            await worker.delete_session(TENANT, session)
            sessions.remove(session)
            with pytest.raises(NotFound):
                await ask(chance.choice(workers), "on", session)
        else:
            text = keys.get(session) if chance.random() < 0.3 else None
            text = text or f"{number}"
            try:
                started = await begin(worker, text, session, f"{session} {text}")
            except Conflict:
                continue  # the conversation went on without that turn's answer
            state = chance.choice(STATES)
            keys[session] = text
            if started.finished is None:
                await worker.finish_turn(TENANT, started, answered(f"re {number}", state=state))


async def test_the_row_that_is_kept_is_the_one_that_is_stored(store: Conversations) -> None:
    async def assert_kept() -> None:
        kept = store.recent.find(TENANT, session)
        assert kept is not None
        assert kept.session == await store.database.read(partial(read_session, TENANT, session))

    first = await ask(store, "one", metadata={"a": "b"}, user_id="ada")
    session = first.session.id
    await store.finish_turn(TENANT, first, answered(provider="alpha"))
    await assert_kept()
    for provider in ("beta", "alpha"):
        started = await ask(store, "more", session)
        await store.finish_turn(TENANT, started, answered(provider=provider))
        await assert_kept()
    assert await store.add_summary(TENANT, session, NewSummary(text="s", upto_sequence=4))
    started = await ask(store, "after the summary", session)
    assert started.summary is not None
    await store.finish_turn(TENANT, started, answered(summary_id=started.summary.id))
    await assert_kept()
    started = await ask(store, "fails", session)
    await store.finish_turn(TENANT, started, TurnOutcome(state="failed"))
    await talk(store, "goes on", session)
    await assert_kept()
    await store.update_session(TENANT, session, metadata={"a": "c"})
    assert (await ask(store, "changed", session)).session.metadata == {"a": "c"}


async def test_a_session_that_was_closed_elsewhere_takes_no_turn_from_what_is_kept(store: Conversations) -> None:
    session = (await talk(store, "one")).session.id
    kept = store.recent.find(TENANT, session)
    assert kept is not None
    await store.update_session(TENANT, session, status="closed")
    store.recent._put((TENANT, session), kept)  # as another process has it
    with pytest.raises(SessionEnded):
        await ask(store, "two", session)
    assert await texts(store, session) == ["one", "re: one"]
