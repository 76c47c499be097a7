"""Summaries: when they are made, what they replace, and that the originals stay."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from fake_providers.scripted import answer
from orchestrator_core.orchestration import Selection, TurnRequest
from orchestrator_core.orchestration.context import SUMMARY_HEADING
from orchestrator_core.orchestration.turn import TurnResult
from orchestrator_core.provider_api import ChatRequest, ProviderFailed, text_message
from orchestrator_core.security.principal import ANONYMOUS

THRESHOLD = {"SESSION_SUMMARIZATION_THRESHOLD": 4}


async def say(bench: Any, text: str, session: str | None = None) -> TurnResult:
    template = ChatRequest(model="", messages=(), deadline=bench.gateway.deadline(10))
    request = TurnRequest(
        selection=Selection(provider="one", fallbacks=()),
        messages=[text_message("user", text)],
        template=template,
        session_id=session,
    )
    result: TurnResult = await (await bench.gateway.turn(ANONYMOUS, request)).result()
    return result


def asks_for_summary(request: Any) -> bool:
    return request.messages[0].text.startswith("Condense")


def summaries(bench: Any) -> list[Any]:
    return [request for request in bench.one.requests if asks_for_summary(request)]


async def settle(bench: Any) -> None:
    """Wait for what goes on in the background."""
    while tasks := list(bench.gateway._memory._running.values()):
        await asyncio.wait(tasks)


async def talk(bench: Any, turns: int) -> list[TurnResult]:
    results: list[TurnResult] = []
    for number in range(turns):
        session = results[0].session.id if results else None
        results.append(await say(bench, f"question number {number} about the weather in Paris", session))
        await settle(bench)
    return results


async def test_more_messages_than_the_threshold_are_condensed(start: Any) -> None:
    bench = await start(**THRESHOLD)

    results = await talk(bench, 4)

    assert [result.was_summarized for result in results] == [False, False, False, True]
    last = bench.one.requests[-1]
    assert last.messages[0].role == "system"
    assert last.messages[0].text == f"{SUMMARY_HEADING}\npong"
    assert len(last.messages) < 7
    session = await bench.gateway.store.get_session(ANONYMOUS.tenant, results[0].session.id)
    assert session.summary == "pong"


async def test_the_originals_stay_readable(start: Any) -> None:
    bench = await start(**THRESHOLD)
    results = await talk(bench, 6)

    page = await bench.gateway.store.history(ANONYMOUS.tenant, results[0].session.id, limit=100)
    assert [m.message.text for m in page.items if m.message.role == "user"] == [
        f"question number {number} about the weather in Paris" for number in range(6)
    ]


async def test_the_next_summary_is_told_the_one_before(start: Any) -> None:
    bench = await start(**THRESHOLD)
    await talk(bench, 8)

    assert len(summaries(bench)) >= 2
    assert "Earlier summary:\npong" in summaries(bench)[1].messages[1].text


@pytest.mark.parametrize("bad", [answer(" "), answer("x" * 5000), [ProviderFailed("down")], [30.0]])
async def test_a_summary_that_is_no_use_is_not_used(start: Any, bad: Any) -> None:
    bench = await start(**THRESHOLD, ORCHESTRATOR_SUMMARY_TIMEOUT=0.2)
    results = [await say(bench, "question one about the weather in Paris")]
    session = results[0].session.id
    for text in ("question two about the weather", "question three about the weather"):
        if text.startswith("question three"):
            bench.one.scripts.extend([answer("pong"), bad, bad])
        results.append(await say(bench, text, session))
        await settle(bench)
    bench.one.scripts.clear()

    assert summaries(bench)
    assert (await bench.gateway.store.get_session(ANONYMOUS.tenant, session)).summary is None
    after = await say(bench, "go on", session)
    assert after.message.text == "pong"
    assert len(bench.one.requests[-1].messages) == 7


async def test_twenty_five_quick_questions_always_show_a_summary(start: Any) -> None:
    bench = await start()
    results: list[TurnResult] = []
    for number in range(25):
        session = results[0].session.id if results else None
        results.append(await say(bench, f"question number {number} about the weather in Paris", session))

    assert any(result.was_summarized for result in results)
    assert len(bench.one.requests[-1].messages) < 45


async def test_another_provider_may_be_the_one_that_summarises(start: Any) -> None:
    bench = await start(**THRESHOLD, ORCHESTRATOR_SUMMARY_PROVIDER="two", ORCHESTRATOR_SUMMARY_MODEL="small")
    await talk(bench, 4)

    assert summaries(bench) == []
    assert [request.model for request in bench.two.requests] == ["small"] * len(bench.two.requests)
    assert bench.two.requests


async def test_a_conversation_that_no_call_can_hold_is_condensed_in_parts(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator_core.sessions.jobs.contexts.CONTEXT_MESSAGES", 12)
    bench = await start(SESSION_SUMMARIZATION_THRESHOLD=100)
    session: str | None = None
    for number in range(20):
        session = (await say(bench, f"question number {number} about the weather in Paris", session)).session.id
        if number < 6:
            assert not summaries(bench)
    await settle(bench)
    assert session is not None
    monkeypatch.setattr("orchestrator_core.sessions.jobs.contexts.CONTEXT_MESSAGES", 4)
    made = len(summaries(bench))

    await say(bench, "and now", session)

    assert len(summaries(bench)) >= made + 2
    asked = [request for request in bench.one.requests if not asks_for_summary(request)]
    assert all(len(request.messages) <= 14 for request in asked)
    assert len(asked[-1].messages) <= 6
    ledger = await bench.gateway.store.summaries(ANONYMOUS.tenant, session)
    covered = [(entry.from_sequence, entry.upto_sequence) for entry in ledger]
    assert covered[0][0] == 1
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(covered))
    told = "".join(request.messages[1].text for request in summaries(bench))
    assert all(f"question number {number} about" in told for number in range(19))
