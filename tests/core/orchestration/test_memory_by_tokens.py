"""Memory by tokens: what fits into a model's window, what is done when it does not, and who summarises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fake_providers.counting import CountingProvider, counting, size
from orchestrator_core.config import load
from orchestrator_core.config.grants import Grant
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.orchestration import Gateway, Selection, TurnRequest, TurnResult
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import (
    ChatRequest,
    Conflict,
    ContextTooLong,
    PermissionDenied,
    ProviderBadResponse,
    ProviderContext,
    ProviderFailed,
    ProviderSettings,
    Secret,
    SessionBusy,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS, Principal
from orchestrator_core.sessions.models import StoredSummary
from orchestrator_core.telemetry.metrics import Metrics
from stores import sqlite_store

LONG = "the weather in Paris " * 20
"""About 140 tokens, as the fake counts."""


class Talk:
    """One conversation with a gateway over fakes that count."""

    def __init__(self, gateway: Gateway, fakes: dict[str, Any]) -> None:
        self.gateway = gateway
        self.fakes: dict[str, CountingProvider] = fakes
        self.session: str | None = None

    async def say(self, text: str = LONG, to: str = "one", **kwargs: Any) -> TurnResult:
        principal = kwargs.pop("principal", ANONYMOUS)
        system = [text_message("system", prompt)] if (prompt := kwargs.pop("prompt", None)) else ()
        template = ChatRequest(
            model="", messages=system, deadline=self.gateway.deadline(10), max_tokens=kwargs.pop("max_tokens", None)
        )
        request = TurnRequest(
            selection=Selection(provider=to, fallbacks=kwargs.pop("fallbacks", ())),
            messages=[text_message("user", text)],
            template=template,
            session_id=self.session,
            **kwargs,
        )
        result: TurnResult = await (await self.gateway.turn(principal, request)).result()
        self.session = result.session.id
        return result

    async def settle(self) -> None:
        """Wait for what goes on in the background."""
        while tasks := list(self.gateway._memory._running.values()):
            await asyncio.wait(tasks)

    async def ledger(self) -> list[StoredSummary]:
        assert self.session is not None
        return list(await self.gateway.store.summaries(ANONYMOUS.tenant, self.session))

    def metrics(self) -> str:
        return self.gateway.metrics.render()[0].decode()


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Any]:
    gateways: list[Gateway] = []

    async def start(*kinds: type[CountingProvider], **environ: Any) -> Talk:
        config = load(environ={name: str(value) for name, value in environ.items()}, directory=tmp_path)
        fakes = {
            kind.info.name: kind(ProviderContext(kind.info.name, ProviderSettings(), client=None))  # type: ignore[arg-type]  # it asks nobody
            for kind in kinds
        }
        store = sqlite_store(tmp_path / "test.db")
        gateways.append(Gateway(config, Registry([Provider(fake) for fake in fakes.values()]), store, Metrics()))
        await gateways[-1].start()
        return Talk(gateways[-1], fakes)

    yield start
    for gateway in gateways:
        await gateway.close()


async def test_a_share_of_the_window_calls_for_a_summary_before_the_messages_do(talk: Any) -> None:
    bench: Talk = await talk(counting("one", window=2000))
    for number in range(8):
        await bench.say(f"FACT{number}=x{number} {LONG}")
        await bench.settle()

    one = bench.fakes["one"]
    assert one.refused == 0
    assert one.summaries
    assert max(size(request) for request in one.turns) <= 0.8 * 2000
    assert "FACT0=x0" in one.turns[-1].messages[0].text


async def test_a_prompt_that_takes_most_of_the_window_does_not_call_for_a_summary_each_turn(talk: Any) -> None:
    bench: Talk = await talk(counting("one", window=20_000))
    for _ in range(40):
        await bench.say(LONG * 2, prompt=LONG * 100)
        await bench.settle()

    one = bench.fakes["one"]
    assert one.refused == 0
    assert 2 <= len(one.summaries) <= 10


async def test_without_a_known_window_messages_alone_count(talk: Any) -> None:
    bench: Talk = await talk(counting("one"))
    for _ in range(8):
        await bench.say()
        await bench.settle()

    assert bench.fakes["one"].summaries == []


async def test_a_turn_to_a_model_with_a_smaller_window_waits_for_the_summary(talk: Any) -> None:
    bench: Talk = await talk(counting("one", window=100_000), counting("two", window=1000))
    for number in range(9):
        await bench.say(f"FACT{number}=x{number} {LONG}")
    assert bench.fakes["one"].summaries == []

    result = await bench.say("and now?", to="two")

    assert result.was_summarized
    assert bench.fakes["two"].refused == 0
    assert [attempt.error for attempt in result.attempts] == [None]
    assert "FACT0=x0" in bench.fakes["two"].turns[-1].messages[0].text


async def test_a_summary_is_made_in_steps_where_the_summariser_is_small(talk: Any) -> None:
    bench: Talk = await talk(
        counting("one", window=100_000), counting("two", window=4000), SESSION_SUMMARIZATION_THRESHOLD=500
    )
    for number in range(60):
        await bench.say(f"FACT{number}=x{number} {LONG}")

    result = await bench.say("and now?", to="two")

    two = bench.fakes["two"]
    assert len(two.summaries) > 1
    assert two.refused == 0
    assert result.was_summarized
    (entry,) = await bench.ledger()
    assert all(f"FACT{number}=x{number}" in entry.text for number in range(50))
    assert entry.usage is not None
    assert entry.usage.total_input == sum(map(size, two.summaries))
    assert entry.tokens_before is not None
    assert entry.tokens_after is not None
    assert entry.tokens_after < entry.tokens_before


async def test_one_message_larger_than_the_summariser_is_condensed_in_pieces(talk: Any) -> None:
    bench: Talk = await talk(counting("one", window=100_000), counting("two", window=2000))
    await bench.say("FACT1=first " + LONG * 40 + " FACT2=last")
    await bench.say("go on")

    result = await bench.say("and now?", to="two")

    assert result.message.text.startswith("answer")
    (entry,) = await bench.ledger()
    assert entry.text.split() == ["FACT1=first", "FACT2=last"]


async def test_what_a_provider_finds_too_long_is_condensed_and_tried_once_more(talk: Any) -> None:
    bench: Talk = await talk(counting("one", window=100_000, refuses_above=700))
    results = [await bench.say(f"FACT{number}=x{number} {LONG}") for number in range(6)]

    tried = [[attempt.error for attempt in result.attempts] for result in results]
    assert ["context_length_exceeded", None] in tried
    assert results[tried.index(["context_length_exceeded", None])].was_summarized
    assert results[-1].message.text.startswith("answer")
    assert "FACT0=x0" in bench.fakes["one"].turns[-1].messages[0].text
    history = await bench.gateway.store.history(ANONYMOUS.tenant, results[0].session.id, limit=100)
    assert len(history.items) == 12


async def test_the_next_turn_knows_what_was_too_long(talk: Any) -> None:
    bench: Talk = await talk(counting("one", window=None, refuses_above=8000))
    for _ in range(20):
        await bench.say(LONG * 8)
        await bench.settle()

    one = bench.fakes["one"]
    # Every refusal of a turn teaches something; without that, each third turn or so would be refused.
    assert one.refused <= 4


async def test_a_turn_that_is_too_long_by_itself_fails_with_that(talk: Any) -> None:
    bench: Talk = await talk(counting("one", refuses_above=500))
    await bench.say("hello, and what about " + LONG)
    with pytest.raises(ContextTooLong):
        await bench.say(LONG * 10)

    one = bench.fakes["one"]
    assert one.refused == 2
    assert len(one.summaries) == 1
    assert (await bench.say("shorter")).message.text.startswith("answer")


async def test_a_call_without_a_session_is_not_tried_again(talk: Any) -> None:
    bench: Talk = await talk(counting("one", refuses_above=500))
    request = ChatRequest(model="", messages=[text_message("user", LONG * 10)], deadline=bench.gateway.deadline(10))
    with pytest.raises(ContextTooLong):
        await bench.gateway.chat(ANONYMOUS, Selection(provider="one", fallbacks=()), request)

    assert (bench.fakes["one"].refused, bench.fakes["one"].summaries) == (1, [])


async def test_after_a_failure_turns_do_not_wait_for_the_summariser_again(talk: Any) -> None:
    bench: Talk = await talk(counting("one"), SESSION_SUMMARIZATION_THRESHOLD=2)
    one = bench.fakes["one"]
    one.next_summaries = [ProviderFailed("down")] * 20
    for _ in range(8):
        await bench.say()
        await bench.settle()

    # The one attempt that failed was tried twice, as every last provider is.
    assert len(one.summaries) == 2
    assert len(one.turns) == 8


@pytest.mark.parametrize("bad", ["", "   ", LONG * 50])
async def test_a_summary_that_is_empty_or_longer_is_not_used(talk: Any, bad: str) -> None:
    bench: Talk = await talk(counting("one"), SESSION_SUMMARIZATION_THRESHOLD=2)
    bench.fakes["one"].next_summaries = [bad] * 3
    for _ in range(4):
        await bench.say()
        await bench.settle()

    assert await bench.ledger() == []
    assert len(bench.fakes["one"].turns[-1].messages) == 7


async def test_summaries_count_as_such_and_are_in_the_totals(talk: Any) -> None:
    prices = '{"*/*": {"input": 1000, "output": 1000}}'
    bench: Talk = await talk(counting("one"), SESSION_SUMMARIZATION_THRESHOLD=2, ORCHESTRATOR_PRICES=prices)
    results = []
    for _ in range(3):
        results.append(await bench.say())
        await bench.settle()

    ledger = await bench.ledger()
    used = [entry.usage.total for entry in ledger if entry.usage]
    assert [entry.cost for entry in ledger] == [pytest.approx(total / 1000) for total in used]
    assert {(entry.provider, entry.model) for entry in ledger} == {("one", "one-1")}
    assert 'operation="summarize"' in bench.metrics()
    totals = await bench.gateway.store.metrics(ANONYMOUS.tenant, results[0].session.id)
    assert totals.total_tokens == sum(used) + sum(r.usage.total for r in results if r.usage)
    assert totals.total_cost == pytest.approx(totals.total_tokens / 1000)


@pytest.mark.parametrize(
    "settings",
    [
        {"ORCHESTRATOR_SUMMARY_PROVIDER": "two", "ORCHESTRATOR_SUMMARY_MODEL": "small"},
        {"ORCHESTRATOR_SUMMARY_MODEL": "two/small"},
    ],
)
async def test_another_provider_may_summarise(talk: Any, settings: Any) -> None:
    bench: Talk = await talk(counting("one"), counting("two"), SESSION_SUMMARIZATION_THRESHOLD=2, **settings)
    for _ in range(3):
        await bench.say()
        await bench.settle()

    assert bench.fakes["one"].summaries == []
    assert {request.model for request in bench.fakes["two"].summaries} == {"small"}


async def test_a_conversation_is_not_sent_to_a_summariser_that_its_caller_may_not_use(talk: Any) -> None:
    bench: Talk = await talk(
        counting("one"), counting("two"), SESSION_SUMMARIZATION_THRESHOLD=2, ORCHESTRATOR_SUMMARY_PROVIDER="two"
    )
    limited = Principal(id="key_1", tenant=ANONYMOUS.tenant, grant=Grant(providers=frozenset({"one"})))
    for _ in range(3):
        await bench.say(principal=limited)
        await bench.settle()

    assert bench.fakes["two"].summaries == []
    assert bench.fakes["one"].summaries
    with pytest.raises(PermissionDenied):
        await bench.gateway.summarize(limited, bench.session or "", Selection(provider="two"))


async def test_a_process_leaves_a_session_to_the_one_that_summarises_it(talk: Any) -> None:
    bench: Talk = await talk(counting("one"), SESSION_SUMMARIZATION_THRESHOLD=2)
    await bench.say()
    store, name = bench.gateway.store, f"summary/{bench.session}"
    assert await store.lease(name, "another process", 60)
    await bench.say()
    await bench.settle()
    assert bench.fakes["one"].summaries == []
    with pytest.raises(Conflict):
        await bench.gateway.summarize(ANONYMOUS, bench.session or "", None)

    await store.release(name, "another process")
    await bench.say()
    await bench.settle()
    assert len(bench.fakes["one"].summaries) == 1
    assert await store.lease(name, "another process", 60)


async def test_an_overdue_turn_waits_for_the_summary_of_another_process(talk: Any) -> None:
    bench: Talk = await talk(counting("one"), SESSION_SUMMARIZATION_THRESHOLD=2)
    await bench.say()
    store, name = bench.gateway.store, f"summary/{bench.session}"
    assert await store.lease(name, "another process", 60)
    await bench.say()
    await bench.settle()

    turn = asyncio.create_task(bench.say())
    while not (running := list(bench.gateway._memory._running.values())):
        await asyncio.sleep(0.001)
    assert not running[0].done()
    await store.release(name, "another process")

    assert (await turn).was_summarized
    assert len(await bench.ledger()) >= 1


async def test_a_forced_summary_leaves_the_last_turn_and_what_is_to_be_kept(talk: Any) -> None:
    bench: Talk = await talk(counting("one"))
    for number in range(5):
        await bench.say(f"FACT{number}=x{number} {LONG}")
    session = bench.session or ""

    kept = await bench.gateway.summarize(ANONYMOUS, session, None, keep=6)
    assert kept is not None
    assert (kept.upto_sequence, kept.text) == (4, "FACT0=x0 FACT1=x1")
    rest = await bench.gateway.summarize(ANONYMOUS, session, Selection(provider="one", model="other"))
    assert rest is not None
    assert (rest.upto_sequence, rest.model, rest.replaces) == (8, "other", kept.id)
    assert await bench.gateway.summarize(ANONYMOUS, session, None) is None


async def test_a_forced_summary_that_fails_says_so(talk: Any) -> None:
    bench: Talk = await talk(counting("one"))
    for _ in range(2):
        await bench.say()
    bench.fakes["one"].next_summaries = [LONG * 50]

    with pytest.raises(ProviderBadResponse, match="no shorter"):
        await bench.gateway.summarize(ANONYMOUS, bench.session or "", None)
    assert await bench.gateway.summarize(ANONYMOUS, bench.session or "", None) is not None


async def test_a_forced_summary_does_not_come_between_a_question_and_its_answer(talk: Any) -> None:
    bench: Talk = await talk(counting("one"))
    await bench.say()
    template = ChatRequest(model="", messages=(), deadline=bench.gateway.deadline(10))
    request = TurnRequest(
        selection=Selection(provider="one", fallbacks=()),
        messages=[text_message("user", "hello")],
        template=template,
        session_id=bench.session,
    )
    turn = await bench.gateway.turn(ANONYMOUS, request)
    with pytest.raises(SessionBusy):
        await bench.gateway.summarize(ANONYMOUS, bench.session or "", None)
    await turn.result()


async def test_a_callers_key_is_masked_as_long_as_a_summary_uses_it(talk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-caller-0123456789abcdef"
    seen: list[str] = []

    def summary(_: CountingProvider, request: ChatRequest) -> str:
        assert request.credential is not None
        seen.append(REDACTOR.redact(key))
        return "short"

    monkeypatch.setattr(CountingProvider, "_summary", summary)
    bench: Talk = await talk(counting("one"))
    for _ in range(2):
        await bench.say()

    chosen = Selection(provider="one", credential=Secret(key))
    assert await bench.gateway.summarize(ANONYMOUS, bench.session or "", chosen) is not None

    assert len(seen) == 1
    assert key not in seen[0]
    assert REDACTOR.redact(key) == key


async def test_a_short_conversation_that_is_refused_costs_the_others_nothing(talk: Any) -> None:
    bench: Talk = await talk(counting("one", window=100_000, refuses_above=300), SESSION_SUMMARIZATION_THRESHOLD=500)
    with pytest.raises(ContextTooLong):
        await bench.say(LONG * 4)
    one = bench.fakes["one"]
    one.refuses_above = None
    bench.session = None
    for _ in range(8):
        await bench.say()
        await bench.settle()

    assert one.summaries == []


@pytest.mark.parametrize(("needed", "made"), [(4096, 1), (4097, 0)])
async def test_a_summary_that_is_cut_off_is_asked_for_with_more_room_or_not_used(
    talk: Any, needed: int, made: int
) -> None:
    bench: Talk = await talk(counting("one", window=100_000))
    for _ in range(3):
        await bench.say()
    one = bench.fakes["one"]
    one.summary_tokens = needed
    assert bench.session is not None
    try:
        await bench.gateway.summarize(ANONYMOUS, bench.session, None)
    except ProviderBadResponse:
        assert not made
    assert [request.max_tokens for request in one.summaries] == [1024, 4096]
    assert len(await bench.ledger()) == made


@pytest.mark.parametrize(("first", "max_tokens"), [("", None), (LONG * 12, None), (LONG * 12, 100_000)])
async def test_what_one_tenant_is_refused_costs_another_nothing(talk: Any, first: str, max_tokens: int | None) -> None:
    bench: Talk = await talk(counting("one"), SESSION_SUMMARIZATION_THRESHOLD=500)
    one = bench.fakes["one"]
    for _ in range(8):
        await bench.say(LONG * 4)
    session, bench.session = bench.session, None
    attacker = Principal(id="key_1", tenant="attacker")
    if first:
        for _ in range(3):
            await bench.say(first, principal=attacker)
    one.refuses_above = 1
    with pytest.raises(ContextTooLong):
        await bench.say("hi", principal=attacker, max_tokens=max_tokens)

    one.refuses_above, bench.session = None, session
    await bench.say()
    await bench.settle()
    assert one.summaries == []


async def test_an_answer_that_leaves_no_room_says_nothing_of_the_window(talk: Any) -> None:
    bench: Talk = await talk(counting("one"), SESSION_SUMMARIZATION_THRESHOLD=500)
    one = bench.fakes["one"]
    for _ in range(4):
        await bench.say(LONG * 8)
    one.refuses_above, one.counts_answer = 50_000, True
    with pytest.raises(ContextTooLong):
        await bench.say(LONG * 8, max_tokens=100_000)

    asked, bench.session = len(one.summaries), None
    for _ in range(8):
        await bench.say(LONG * 8)
        await bench.settle()
    assert len(one.summaries) == asked


async def test_a_summary_of_more_than_its_steps_is_made_of_the_oldest(talk: Any) -> None:
    bench: Talk = await talk(
        counting("one", window=1_000_000), counting("two", window=2000), SESSION_SUMMARIZATION_THRESHOLD=500
    )
    for number in range(40):
        await bench.say(f"FACT{number}=x{number} {LONG * 6}")

    kept = await bench.gateway.summarize(ANONYMOUS, bench.session or "", Selection(provider="two"))

    assert kept is not None
    assert 20 <= kept.upto_sequence < 78
    assert len(bench.fakes["two"].summaries) <= 64
    assert "FACT0=x0" in kept.text


async def test_one_message_that_takes_more_than_all_steps_is_not_begun(talk: Any) -> None:
    bench: Talk = await talk(counting("one", window=1_000_000), counting("two", window=2000))
    await bench.say(LONG * 400)
    await bench.say()

    with pytest.raises(ContextTooLong, match="ORCHESTRATOR_SUMMARY_MODEL"):
        await bench.gateway.summarize(ANONYMOUS, bench.session or "", Selection(provider="two"))
    assert bench.fakes["two"].summaries == []
