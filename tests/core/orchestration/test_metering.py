"""What is stored of a turn's tokens and cost, however it ended."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from fake_providers.scripted import ScriptedProvider, Step
from orchestrator_core.config import load
from orchestrator_core.orchestration import Gateway, Selection, TurnAnswer, TurnRequest, reading
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    EmbeddingRequest,
    Finish,
    ProviderContext,
    ProviderFailed,
    ProviderSettings,
    Start,
    TextDelta,
    UpstreamClient,
    Usage,
    UsageReport,
    one_by_one,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.telemetry.cost import Prices
from orchestrator_core.telemetry.metrics import Metrics
from stores import sqlite_store

MODEL = "gpt-4o-mini"
USED = Usage(100, 20, 0, 30, 5)
COLUMNS = "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"
BEGUN: Sequence[Step] = [Start(model=MODEL), UsageReport(usage=USED), TextDelta(text="half")]


class Priced(ScriptedProvider):
    info = replace(ScriptedProvider.info, name="priced", price_id="openai", default_model=MODEL)


class Metered:
    """A gateway over a provider whose prices are known, and one whose are not."""

    def __init__(self, gateway: Gateway, plugins: Mapping[str, ScriptedProvider], database: Path) -> None:
        self.gateway = gateway
        self.plugins = plugins
        self.database = database

    async def turn(self, name: str, script: Sequence[Step], model: str | None = None) -> TurnAnswer:
        self.plugins[name].scripts.append(script)
        template = ChatRequest(model="", messages=(), deadline=self.gateway.deadline(10))
        selection = Selection(provider=name, model=model, fallbacks=())
        said = [text_message("user", "ping")]
        return await self.gateway.turn(
            ANONYMOUS, TurnRequest(selection=selection, messages=said, template=template, session_id=None)
        )

    def row(self) -> dict[str, Any]:
        """The newest turn, as it is stored."""
        with closing(sqlite3.connect(self.database)) as connection:
            connection.row_factory = sqlite3.Row
            return dict(connection.execute("SELECT * FROM turns ORDER BY started_at DESC, id DESC LIMIT 1").fetchone())


@pytest.fixture
async def metered(tmp_path: Path) -> AsyncIterator[Metered]:
    plugins = {
        name: cls(ProviderContext(name, ProviderSettings(), cast("UpstreamClient", None)))
        for name, cls in (("priced", Priced), ("scripted", ScriptedProvider))
    }
    store = sqlite_store(tmp_path / "metered.db")
    registry = Registry([Provider(plugin) for plugin in plugins.values()])
    gateway = Gateway(load(environ={}, directory=tmp_path), registry, store, Metrics())
    await gateway.start()
    yield Metered(gateway, plugins, tmp_path / "metered.db")
    await gateway.close()


def has_price(row: Mapping[str, Any]) -> None:
    expected = Prices().price("priced", Priced.info, MODEL, USED)
    assert expected is not None
    assert expected.usd > 0
    assert [row[column] for column in COLUMNS] == [100, 20, 0, 30, 5]
    assert row["cost"] == pytest.approx(expected.usd)
    assert row["price_version"] == expected.version


async def test_a_whole_answer(metered: Metered) -> None:
    result = await (await metered.turn("priced", [*BEGUN, Finish()])).result()

    row = metered.row()
    has_price(row)
    assert (row["state"], row["provider"], row["model"]) == ("complete", "priced", MODEL)
    assert (result.usage, result.cost) == (USED, row["cost"])


async def test_an_answer_that_broke_off(metered: Metered) -> None:
    answer = await metered.turn("priced", [*BEGUN, ProviderFailed("cut")])
    with pytest.raises(ProviderFailed):
        await answer.result()

    row = metered.row()
    has_price(row)
    assert (row["state"], row["error_code"]) == ("interrupted", "provider_failed")


async def test_a_client_that_left(metered: Metered) -> None:
    answer = await metered.turn("priced", [*BEGUN, 30.0, Finish()])
    async with aclosing(one_by_one(answer.batches())) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    await answer.aclose()

    row = metered.row()
    has_price(row)
    assert row["state"] == "client_closed"
    shown = metered.gateway.metrics.render()[0].decode()
    assert 'orchestrator_attempts_total{operation="chat",outcome="cancelled",provider="priced"} 1.0' in shown
    assert 'outcome="interrupted"' not in shown


async def test_a_stream_that_its_client_left_is_no_failure_of_the_provider(metered: Metered) -> None:
    metered.plugins["priced"].scripts.extend([[*BEGUN, 30.0, Finish()], [*BEGUN, ProviderFailed("cut")]])
    for left in (True, False):
        request = ChatRequest(
            model="", messages=[text_message("user", "ping")], deadline=metered.gateway.deadline(10), stream=True
        )
        answer = await metered.gateway.chat(ANONYMOUS, Selection(provider="priced", fallbacks=()), request)
        with suppress(ProviderFailed):
            async with aclosing(one_by_one(answer.batches())) as events:
                async for event in events:
                    if left and isinstance(event, TextDelta):
                        break
    shown = metered.gateway.metrics.render()[0].decode()
    for outcome in ("cancelled", "interrupted"):
        assert f'orchestrator_attempts_total{{operation="chat",outcome="{outcome}",provider="priced"}} 1.0' in shown
    assert metered.gateway.metrics.figures().providers["priced"]["requests"] == 1


async def read(answer: TurnAnswer) -> None:
    async with reading(answer.batches()) as batches:
        _ = [event async for events in batches for event in events]


@pytest.mark.parametrize("streams", [True, False])
async def test_a_fault_of_the_gateways_own_is_no_client_that_left(
    metered: Metered, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Fold):
        def add(self, event: ChatEvent) -> ChatEvent:
            if isinstance(event, Finish):
                raise TypeError("a fault")
            return super().add(event)

    monkeypatch.setattr("orchestrator_core.orchestration.answer.Fold", Broken)
    answer = await metered.turn("priced", [*BEGUN, Finish()])
    with pytest.raises(TypeError, match="a fault"):
        await (read(answer) if streams else answer.result())

    row = metered.row()
    has_price(row)
    assert (row["state"], row["error_code"]) == ("interrupted", "internal_error")
    shown = metered.gateway.metrics.render()[0].decode()
    assert 'orchestrator_attempts_total{operation="chat",outcome="internal_error",provider="priced"} 1.0' in shown
    assert 'outcome="cancelled"' not in shown


async def test_a_client_that_left_before_the_usage_came_used_what_is_estimated(metered: Metered) -> None:
    answer = await metered.turn("priced", [Start(model=MODEL), TextDelta(text="half " * 100), 30.0, Finish()])
    async with aclosing(one_by_one(answer.batches())) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    await answer.aclose()

    row = metered.row()
    assert (row["state"], row["usage_details"]) == ("client_closed", '{"estimated":true}')
    assert row["input_tokens"] > 0
    assert 100 <= row["output_tokens"] <= 150
    assert row["cost"] > 0
    assert row["price_version"] is not None


async def test_an_answer_that_is_whole_without_a_word_of_its_usage_is_not_estimated(metered: Metered) -> None:
    await (await metered.turn("priced", [Start(model=MODEL), TextDelta(text="all"), Finish()])).result()

    assert [metered.row()[column] for column in (*COLUMNS, "cost", "price_version")] == [None] * 7


async def test_the_newest_report_counts_and_not_the_sum(metered: Metered) -> None:
    first: list[Step] = [Start(model=MODEL), UsageReport(usage=Usage(1, 1, 0, 1)), TextDelta(text="a")]
    await (await metered.turn("priced", [*first, UsageReport(usage=USED), Finish()])).result()

    has_price(metered.row())


async def test_no_provider_answered(metered: Metered) -> None:
    with pytest.raises(ProviderFailed):
        await metered.turn("priced", [ProviderFailed("no", retry_after=60.0)])

    row = metered.row()
    assert (row["state"], row["cost"], row["price_version"], row["input_tokens"]) == ("failed", None, None, None)


@pytest.mark.parametrize(("name", "model"), [("scripted", MODEL), ("priced", "a-model-that-nobody-prices")])
async def test_an_unknown_price_is_no_price_of_nothing(metered: Metered, name: str, model: str) -> None:
    result = await (await metered.turn(name, [Start(model=model), *BEGUN[1:], Finish()], model)).result()

    row = metered.row()
    assert (row["cost"], row["price_version"], result.cost) == (None, None, None)
    assert [row[column] for column in COLUMNS] == [100, 20, 0, 30, 5]


async def test_an_answer_of_an_unknown_model_costs_what_was_asked(metered: Metered) -> None:
    result = await (await metered.turn("priced", [Start(model=f"{MODEL}-internal"), *BEGUN[1:], Finish()])).result()

    assert result.model == f"{MODEL}-internal"
    has_price({**metered.row(), "model": MODEL})


async def test_embeddings_without_a_price(metered: Metered) -> None:
    ask = EmbeddingRequest(model="", input=["a"], deadline=metered.gateway.deadline(5))
    for name in ("scripted", "priced"):
        answer = await metered.gateway.embed(ANONYMOUS, Selection(provider=name, fallbacks=()), ask)
        assert answer.response.usage == Usage(input_tokens=4)
        assert answer.cost is None


async def test_embeddings_with_a_price(metered: Metered) -> None:
    ask = EmbeddingRequest(model="", input=["a"], deadline=metered.gateway.deadline(5))
    selection = Selection(provider="priced", model="text-embedding-3-small", fallbacks=())
    answer = await metered.gateway.embed(ANONYMOUS, selection, ask)

    assert answer.cost is not None
    assert 0 < answer.cost < 0.001
