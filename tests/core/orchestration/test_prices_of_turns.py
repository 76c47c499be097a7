"""What a turn cost is stored with the prices that it was computed by."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.orchestration.requests import Selection, TurnRequest
from orchestrator_core.provider_api import ChatRequest, Deadline, EmbeddingRequest, text_message
from orchestrator_core.security.principal import ANONYMOUS

PRICES = '{"one/scripted-*": {"input": 2, "output": 3}}'


def stored(folder: Path) -> list[tuple[float | None, str | None]]:
    with sqlite3.connect(folder / "test.db") as database:
        rows = database.execute("SELECT cost, price_version FROM turns").fetchall()
    database.close()
    return rows


@pytest.mark.parametrize(
    ("prices", "cost", "version"),
    [(PRICES, 12e-6, "configured input=2 output=3"), ("{}", None, None)],
    ids=["configured", "unknown"],
)
async def test_a_turn_keeps_its_prices(
    start: Any, tmp_path: Path, prices: str, cost: float | None, version: str | None
) -> None:
    bench = await start(ORCHESTRATOR_PRICES=prices)
    request = TurnRequest(
        selection=Selection(provider="one", fallbacks=()),
        messages=[text_message("user", "ping")],
        template=ChatRequest(model="", messages=(), deadline=Deadline.after(10)),
    )
    result = await (await bench.gateway.turn(ANONYMOUS, request)).result()
    assert result.cost == (None if cost is None else pytest.approx(cost))
    assert stored(tmp_path) == [(result.cost, version)]


async def test_vectors_have_the_operators_price(start: Any) -> None:
    bench = await start(ORCHESTRATOR_PRICES='{"one/*": {"input": 2}}')
    request = EmbeddingRequest(model="", input=["a"], deadline=Deadline.after(10))
    answer = await bench.gateway.embed(ANONYMOUS, Selection(provider="one", fallbacks=()), request)
    assert answer.cost == pytest.approx(8e-6)
