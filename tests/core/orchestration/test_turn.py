"""Turns of a conversation: what is stored when, and what becomes of it when something breaks."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest

from fake_providers.scripted import answer
from orchestrator_core.orchestration import Selection, TurnRequest, TurnResult
from orchestrator_core.provider_api import (
    ChatRequest,
    DeadlineExceeded,
    Finish,
    InvalidRequest,
    Message,
    NotFound,
    ProviderBadResponse,
    ProviderRefused,
    SessionBusy,
    SessionEnded,
    Start,
    StorageBusy,
    StorageFull,
    TextDelta,
    ToolCallDelta,
    ToolResultPart,
    Usage,
    one_by_one,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS, Principal
from orchestrator_core.sessions.models import StoredMessage
from orchestrator_core.sessions.steps import Steps

STRANGER = Principal(id="stranger", tenant="somebody-else")


def turn(bench: Any, text: str | Message, session: str | None = None, **kwargs: Any) -> TurnRequest:
    message = text_message("user", text) if isinstance(text, str) else text
    template = ChatRequest(
        model="", messages=kwargs.pop("system", ()), deadline=bench.gateway.deadline(kwargs.pop("timeout", 10))
    )
    return TurnRequest(
        selection=kwargs.pop("selection", Selection(provider="one", fallbacks=())),
        messages=[message],
        template=template,
        session_id=session,
        **kwargs,
    )


async def say(bench: Any, text: str | Message, session: str | None = None, **kwargs: Any) -> TurnResult:
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, text, session, **kwargs))
    result: TurnResult = await opened.result()
    return result


async def history(bench: Any, session: str) -> list[StoredMessage]:
    page = await bench.gateway.store.history(ANONYMOUS.tenant, session, limit=100)
    return list(page.items)


def seen(bench: Any, call: int = -1) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in bench.one.requests[call].messages]


async def test_a_first_turn_makes_a_session(start: Any) -> None:
    bench = await start()

    result = await say(bench, "ping", user_id="ada", metadata={"a": 1})

    assert result.message.text == "pong"
    assert (result.session.message_count, result.session.user_id, result.session.metadata) == (1, "ada", {"a": 1})
    assert (result.state, result.finish_reason, result.was_summarized) == ("complete", "stop", False)
    assert result.usage == Usage(input_tokens=3, output_tokens=2)
    assert [(m.message.role, m.message.text, m.provider) for m in await history(bench, result.session.id)] == [
        ("user", "ping", None),
        ("assistant", "pong", "one"),
    ]


async def test_the_next_turn_sees_the_ones_before_and_its_own_system_messages(start: Any) -> None:
    bench = await start()
    first = await say(bench, "one", system=[text_message("system", "be brief")])
    await say(bench, "two", first.session.id)

    assert seen(bench, 0) == [("system", "be brief"), ("user", "one")]
    assert seen(bench) == [("user", "one"), ("assistant", "pong"), ("user", "two")]


async def test_another_provider_takes_over_in_mid_conversation(start: Any) -> None:
    bench = await start()
    first = await say(bench, "one")
    second = await say(bench, "two", first.session.id, selection=Selection(provider="two"))

    assert (first.provider, second.provider) == ("one", "two")
    assert [m.text for m in bench.two.requests[0].messages] == ["one", "pong", "two"]


async def test_a_tool_call_and_its_result_are_two_turns(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append(
        [Start(), ToolCallDelta(id="c1", name="add", arguments='{"a": 1}'), Finish(reason="tool_calls")]
    )
    first = await say(bench, "add one")
    result = ToolResultPart(tool_call_id="c1", content="2")
    second = await say(bench, Message(role="tool", parts=(result,)), first.session.id)

    assert [call.name for call in first.message.tool_calls] == ["add"]
    assert [message.role for message in bench.one.requests[1].messages] == ["user", "assistant", "tool"]
    assert second.session.message_count == 1


async def test_what_is_said_is_stored_before_anybody_is_asked(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([0.2, *answer("pong")])
    asking = asyncio.create_task(bench.gateway.turn(ANONYMOUS, turn(bench, "ping")))
    while not bench.one.requests:
        await asyncio.sleep(0.01)

    sessions = await bench.gateway.store.list_sessions(ANONYMOUS.tenant, limit=1)
    stored = await history(bench, sessions.items[0].id)
    assert [(m.message.text, m.turn_state) for m in stored] == [("ping", "pending")]
    await (await asking).result()


async def test_where_nothing_can_be_stored_nobody_is_asked(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await start()

    async def full(*_: Any) -> Any:
        raise StorageFull("no room")

    monkeypatch.setattr(bench.gateway.store, "begin_turn", full)
    with pytest.raises(StorageFull):
        await say(bench, "ping")
    assert bench.one.requests == []


async def test_a_failed_turn_stays_in_the_history_and_leaves_the_conversation(start: Any) -> None:
    bench = await start()
    first = await say(bench, "one")
    bench.one.scripts.append([ProviderRefused("no")])
    with pytest.raises(ProviderRefused):
        await say(bench, "two", first.session.id)
    third = await say(bench, "three", first.session.id)

    assert seen(bench) == [("user", "one"), ("assistant", "pong"), ("user", "three")]
    assert third.session.message_count == 2
    assert [(m.message.text, m.turn_state) for m in await history(bench, first.session.id)][2] == ("two", "failed")


async def test_a_broken_answer_is_kept_as_interrupted(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([Start(), TextDelta(text="half an ans"), ProviderBadResponse("cut")])
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "ping"))
    with pytest.raises(ProviderBadResponse):
        await opened.result()

    stored = await history(bench, opened.session_id)
    assert [(m.message.text, m.turn_state) for m in stored] == [
        ("ping", "interrupted"),
        ("half an ans", "interrupted"),
    ]
    await say(bench, "go on", opened.session_id)
    assert seen(bench) == [("user", "ping"), ("assistant", "half an ans"), ("user", "go on")]


async def test_a_client_that_leaves_ends_the_call_and_what_came_is_kept(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([Start(), TextDelta(text="half"), 30.0, Finish()])
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "ping"))

    async def consume() -> None:
        async with aclosing(one_by_one(opened.batches())) as events:
            async for _ in events:
                pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert bench.one.open == 0
    stored = await history(bench, opened.session_id)
    assert [(m.message.text, m.turn_state) for m in stored] == [("ping", "client_closed"), ("half", "client_closed")]
    await say(bench, "again", opened.session_id)


async def test_a_client_that_leaves_before_the_answer_leaves_no_turn_pending(start: Any) -> None:
    bench = await start()
    first = await say(bench, "one")
    for patience in (0.0, 0.001, 0.005, 0.02, 0.1):
        bench.one.scripts.append([30.0, *answer("late")])
        asking = asyncio.create_task(bench.gateway.turn(ANONYMOUS, turn(bench, "two", first.session.id)))
        await asyncio.sleep(patience)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        bench.one.scripts.clear()
        await say(bench, "three", first.session.id)

    assert bench.one.open == 0
    states = {m.turn_state for m in await history(bench, first.session.id)}
    assert "pending" not in states


async def test_turns_of_one_session_follow_each_other(start: Any) -> None:
    bench = await start()
    first = await say(bench, "start")
    bench.one.scripts.extend([0.01, *answer(f"answer {number}")] for number in range(5))

    await asyncio.gather(*(say(bench, f"say {number}", first.session.id) for number in range(5)))

    roles = [m.message.role for m in await history(bench, first.session.id)]
    assert roles == ["user", "assistant"] * 6


async def test_a_turn_waits_only_so_long_for_the_one_before(start: Any) -> None:
    bench = await start(ORCHESTRATOR_SESSION_WAIT=0.1)
    first = await say(bench, "start")
    bench.one.scripts.append([Start(), TextDelta(text="slow"), 30.0, Finish()])
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "two", first.session.id))

    with pytest.raises(SessionBusy) as caught:
        await say(bench, "three", first.session.id)

    assert caught.value.retry_after is not None
    await opened.aclose()
    await say(bench, "three", first.session.id)


async def test_a_strangers_session_is_one_that_never_was(start: Any) -> None:
    bench = await start()
    first = await say(bench, "one")
    errors = []
    for session in (first.session.id, first.session.id[:-1] + "x"):
        with pytest.raises(NotFound) as caught:
            await bench.gateway.turn(STRANGER, turn(bench, "mine?", session))
        errors.append(caught.value.message.replace(session, "ID"))

    assert errors[0] == errors[1]
    assert len(bench.one.requests) == 1


async def test_an_unknown_provider_stores_nothing(start: Any) -> None:
    bench = await start()
    with pytest.raises(NotFound):
        await say(bench, "ping", selection=Selection(provider="nobody"))

    assert (await bench.gateway.store.list_sessions(ANONYMOUS.tenant, limit=1)).items == []


async def test_an_idempotency_key_gives_the_stored_answer_without_a_call(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append(
        [
            Start(model="m"),
            TextDelta(text="once"),
            ToolCallDelta(id="c", name="f", arguments="{}"),
            Finish(reason="tool_calls"),
        ]
    )
    first = await say(bench, "ping", idempotency_key="k")
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "ping", idempotency_key="k"))
    async with aclosing(one_by_one(opened.batches())) as events:
        kinds = [type(event) async for event in events]
    again = await opened.result()

    assert len(bench.one.requests) == 1
    assert kinds[0] is Start
    assert kinds[-1] is Finish
    assert (again.message, again.session.id, again.finish_reason) == (
        first.message,
        first.session.id,
        "tool_calls",
    )
    assert len(await history(bench, first.session.id)) == 2


async def test_an_idempotency_key_takes_a_failed_turn_up_again(start: Any) -> None:
    bench = await start()
    first = await say(bench, "one")
    bench.one.scripts.append([ProviderRefused("no")])
    with pytest.raises(ProviderRefused):
        await say(bench, "two", first.session.id, idempotency_key="k")
    again = await say(bench, "two", first.session.id, idempotency_key="k")

    assert again.message.text == "pong"
    assert [m.message.text for m in await history(bench, first.session.id)] == ["one", "pong", "two", "pong"]


async def test_a_session_whose_first_turn_is_taken_up_again_is_counted_once(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([ProviderRefused("no")])
    with pytest.raises(ProviderRefused):
        await say(bench, "one", idempotency_key="k")
    await say(bench, "one", idempotency_key="k")

    assert b"orchestrator_sessions_created_total 1.0" in bench.gateway.metrics.render()[0]


async def test_stopping_finishes_what_must_be_stored(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([Start(), TextDelta(text="half"), 30.0, Finish()])
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "ping"))
    bench.gateway.stopping = True
    await opened.aclose()

    stored = await history(bench, opened.session_id)
    assert {m.turn_state for m in stored} == {"interrupted"}


async def test_an_end_that_cannot_be_stored_is_stored_later(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_core.orchestration.turns.FINISH_DELAYS", (0.01, 0.01, 0.01))
    bench = await start()
    store, finish = bench.gateway.store, bench.gateway.store.finish_turn
    left = 2

    async def full(*args: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise StorageFull("no room")
        return await finish(*args)

    monkeypatch.setattr(store, "finish_turn", full)
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "ping"))
    with pytest.raises(StorageFull):
        await opened.result()
    while bench.gateway._turns._tasks:
        await asyncio.sleep(0.01)

    assert [(m.message.text, m.turn_state) for m in await history(bench, opened.session_id)] == [
        ("ping", "complete"),
        ("pong", "complete"),
    ]


async def test_a_new_summary_is_told_once(start: Any) -> None:
    bench = await start(SESSION_SUMMARIZATION_THRESHOLD=2)
    results = [await say(bench, "question one about the weather in Paris")]
    for text in ("two", "three", "four", "five"):
        results.append(await say(bench, f"question {text} about the weather in Paris", results[0].session.id))

    told = [result.was_summarized for result in results]
    page = await bench.gateway.store.get_session(ANONYMOUS.tenant, results[0].session.id)
    assert page.summary is not None
    assert 1 <= sum(told) <= len([r for r in bench.one.requests if r.messages[0].text.startswith("Condense")])


async def test_results_that_nobody_waits_for_are_refused_before_they_are_stored(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([Start(), ToolCallDelta(id="c1", name="add", arguments="{}"), Finish(reason="tool_calls")])
    first = await say(bench, "add")

    def result(call_id: str) -> Message:
        return Message(role="tool", parts=(ToolResultPart(tool_call_id=call_id, content="2"),))

    for session, call_id in ((None, "c1"), (first.session.id, "typo")):
        with pytest.raises(InvalidRequest) as caught:
            await say(bench, result(call_id), session)
        assert caught.value.param == "tool_call_id"
    await say(bench, result("c1"), first.session.id)
    with pytest.raises(InvalidRequest):
        await say(bench, result("c1"), first.session.id)

    assert len(bench.one.requests) == 2
    assert len(await history(bench, first.session.id)) == 4


async def test_a_session_that_is_not_there_comes_before_a_provider_that_is_not_named(start: Any) -> None:
    bench = await start()
    first = await say(bench, "one")
    await bench.gateway.store.update_session(ANONYMOUS.tenant, first.session.id, status="closed")

    for session, kind in ((first.session.id, SessionEnded), (first.session.id[:-1] + "x", NotFound)):
        with pytest.raises(kind):
            await say(bench, "two", session, selection=Selection())
    with pytest.raises(InvalidRequest):
        await say(bench, "two", selection=Selection())


async def test_waiting_for_the_turn_before_counts_against_the_deadline(start: Any) -> None:
    bench = await start()
    first = await say(bench, "start")
    bench.one.scripts.append([Start(), TextDelta(text="slow"), 30.0, Finish()])
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "two", first.session.id))
    began = time.monotonic()

    with pytest.raises(SessionBusy):
        await say(bench, "three", first.session.id, timeout=0.2)

    assert time.monotonic() - began < 2
    await opened.aclose()


async def test_a_caller_who_allows_too_little_is_told_so_and_not_that_the_store_is_busy(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await start()
    begin = bench.gateway.store.begin_turn

    async def slow(*args: Any) -> Any:
        await asyncio.sleep(0.1)
        return await begin(*args)

    monkeypatch.setattr(bench.gateway.store, "begin_turn", slow)
    with pytest.raises(DeadlineExceeded):
        await say(bench, "one", timeout=0.02)

    monkeypatch.setattr("orchestrator_core.orchestration.turns._STORE_IS_BUSY", 0.01)
    with pytest.raises(StorageBusy):
        await say(bench, "two", timeout=0.02)


async def idle(bench: Any) -> None:
    """Wait for what goes on without its caller."""
    while bench.gateway._turns._tasks:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("stored", [False, True])
async def test_a_turn_that_is_abandoned_while_it_begins_blocks_nobody(
    start: Any, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    bench = await start()
    first = await say(bench, "one")
    begin, begins = bench.gateway.store.begin_turn, asyncio.Event()

    async def slow(*args: Any) -> Any:
        begins.set()
        return await begin(*args)

    def work() -> Steps[None]:
        time.sleep(0.1)
        yield from ()

    monkeypatch.setattr(bench.gateway.store, "begin_turn", slow)
    working = None if stored else asyncio.create_task(bench.gateway.store.database.write(work))
    await asyncio.sleep(0.01)
    asking = asyncio.create_task(bench.gateway.turn(ANONYMOUS, turn(bench, "two", first.session.id)))
    await begins.wait()
    await asyncio.sleep(0)  # it is handed over
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await say(bench, "three", first.session.id)).message.text == "pong"
    if working is not None:
        await working
    states = {m.turn_state for m in await history(bench, first.session.id)}
    assert states <= {"complete", "client_closed"}


@pytest.mark.parametrize("stored", [False, True])
async def test_a_turn_whose_caller_leaves_as_it_ends_ends_once(
    start: Any, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    bench = await start()
    finish, ends = bench.gateway.store.finish_turn, asyncio.Event()

    async def slow(*args: Any) -> Any:
        finished = await finish(*args) if stored else None
        if not ends.is_set():
            ends.set()
            await asyncio.sleep(30)
        return finished or await finish(*args)

    monkeypatch.setattr(bench.gateway.store, "finish_turn", slow)
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "one"))
    task = asyncio.create_task(opened.result())
    await ends.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await idle(bench)

    assert [m.turn_state for m in await history(bench, opened.session_id)] == ["complete", "complete"]
    assert (
        await bench.gateway.store.metrics(ANONYMOUS.tenant, opened.session_id)
    ).total_tokens == opened.folded.usage.total
    assert (await say(bench, "two", opened.session_id)).message.text == "pong"


async def test_leaving_twice_leaves_nothing_pending(start: Any) -> None:
    bench = await start()
    bench.one.scripts.append([Start(), TextDelta(text="half"), 30.0, Finish()])
    opened = await bench.gateway.turn(ANONYMOUS, turn(bench, "ping"))

    async def consume() -> None:
        try:
            async with aclosing(one_by_one(opened.batches())) as events:
                async for _ in events:
                    pass
        finally:
            await opened.aclose()

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (await say(bench, "again", opened.session_id)).message.text == "pong"


def results(*ids: str) -> Message:
    return Message(role="tool", parts=tuple(ToolResultPart(tool_call_id=call_id, content="2") for call_id in ids))


async def called(bench: Any) -> str:
    """Hold a turn in which two tools are called."""
    calls = [ToolCallDelta(index=number, id=f"c{number}", name="add", arguments="{}") for number in (1, 2)]
    bench.one.scripts.append([Start(), *calls, Finish(reason="tool_calls")])
    first = await say(bench, "add")
    return first.session.id


@pytest.mark.parametrize("ids", [("typo",), ("c1", "c1"), ("c1", "c2", "c1")])
async def test_a_key_does_not_spare_results_the_check(start: Any, ids: tuple[str, ...]) -> None:
    bench = await start()
    session = await called(bench)

    with pytest.raises(InvalidRequest, match=f"Result {len(ids)} "):
        await say(bench, results(*ids), session, idempotency_key="k")
    assert len(await history(bench, session)) == 2
    assert (await say(bench, results("c1", "c2"), session, idempotency_key="k2")).message.text == "pong"


async def test_a_result_comes_too_late_once_the_user_has_gone_on(start: Any) -> None:
    bench = await start()
    session = await called(bench)
    await say(bench, "never mind", session)

    with pytest.raises(InvalidRequest, match="Waiting: none"):
        await say(bench, results("c1"), session)


async def test_results_of_a_turn_that_broke_off_are_stored_and_it_is_said_so(start: Any) -> None:
    bench = await start()
    session = await called(bench)
    bench.one.scripts.append([Start(), TextDelta(text="half"), ProviderBadResponse("cut")])
    with pytest.raises(ProviderBadResponse):
        await say(bench, results("c1", "c2"), session, idempotency_key="k")

    with pytest.raises(InvalidRequest, match="send a message to go on"):
        await say(bench, results("c1", "c2"), session)
    again = await bench.gateway.turn(ANONYMOUS, turn(bench, results("c1", "c2"), session, idempotency_key="k"))
    assert (await again.result()).message.text == "pong"
    assert [m.message.role for m in await history(bench, session)] == ["user", "assistant", "tool", "assistant"]
