"""Usage over HTTP, of turns and of calls that belong to no session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.orchestration import ledger
from orchestrator_core.provider_api import StorageBusy
from orchestrator_core.sessions.bills import UsageFilter
from scripted_gateway import Served, served
from stores import sqlite_store

CHAT = {"model": "scripted/m", "messages": [{"role": "user", "content": "ping"}]}


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(ledger, "WRITE_EVERY", 0.01)
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


async def report(gateway: Served, query: str, calls: int) -> list[dict[str, Any]]:
    """Read a report as soon as it has so many calls."""
    async with asyncio.timeout(5):
        while True:
            reply = await gateway.get(f"/api/usage?{query}")
            assert reply.status == 200, reply.json
            rows: list[dict[str, Any]] = reply.json["usage"]
            if sum(row["calls"] for row in rows) == calls:
                return rows
            await asyncio.sleep(0.01)


async def test_every_call_counts_once(gateway: Served) -> None:
    await gateway.post("/api/orchestrate", {"message": "a", "user_id": "ada"})
    await gateway.post("/v1/chat/completions", CHAT)
    await gateway.post("/v1/chat/completions", {**CHAT, "stream": True})
    await gateway.post("/v1/messages", {**CHAT, "max_tokens": 5})
    await gateway.post("/api/v1/scripted/chat", {"messages": CHAT["messages"]})
    await gateway.post("/v1/embeddings", {"model": "scripted/scripted-embed", "input": ["a"]})
    rows = await report(gateway, "by=operation,user_id,day", 6)
    day = datetime.now(UTC).date().isoformat()
    assert [(row["operation"], row["user_id"], row["day"], row["calls"], row["total_tokens"]) for row in rows] == [
        ("chat", "", day, 4, 20),
        ("chat", "ada", day, 1, 5),
        ("embeddings", "", day, 1, 4),
    ]
    assert rows[0]["unpriced_calls"] == 4
    assert rows[0]["cost"] == 0
    (only,) = await report(gateway, f"user_id=ada&since={day}&until={day}&client=anonymous&provider=scripted", 1)
    assert only["input_tokens"] == 3
    assert "day" not in only


async def test_what_was_not_written_is_written_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "WRITE_EVERY", 60.0)
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        await gateway.post("/v1/chat/completions", CHAT)
    store = sqlite_store(tmp_path / "orchestrator.db")
    await store.open()
    (total,) = (await store.usage("default", by=(), matching=UsageFilter(), limit=1)).items
    await store.close()
    assert total.calls == 1


async def test_a_store_that_is_away_loses_nothing(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    store, tried = gateway.gateway.store, asyncio.Event()
    add = store.add_usage

    async def away(totals: Any) -> None:
        if not tried.is_set():
            tried.set()
            raise StorageBusy("later")
        await add(totals)

    monkeypatch.setattr(store, "add_usage", away)
    await gateway.post("/v1/chat/completions", CHAT)
    await tried.wait()
    await gateway.post("/v1/chat/completions", CHAT)
    await report(gateway, "", 2)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("by=colour", "by"),
        ("by=day,day", "by"),
        ("since=soon", "since"),
        ("until=2026-13-01", "until"),
        ("limit=0", "limit"),
    ],
)
async def test_queries_that_cannot_be_understood(gateway: Served, query: str, param: str) -> None:
    reply = await gateway.get(f"/api/usage?{query}")
    assert (reply.status, reply.json["param"]) == (400, param)
