"""Usage over HTTP, of turns and of calls that belong to no session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider, answer
from orchestrator_core.orchestration import ledger
from orchestrator_core.provider_api import (
    Finish,
    InternalError,
    ProviderBadResponse,
    ProviderFailed,
    ProviderRefused,
    Start,
    StorageBusy,
    TextDelta,
    Usage,
    UsageReport,
)
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
    assert rows[0]["cost"] is None
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


async def test_what_can_never_be_stored_holds_up_nothing_else(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    store, add = gateway.gateway.store, gateway.gateway.store.add_usage

    async def refuse(totals: Any) -> None:
        if any(kind.model == "bad" for kind in totals):
            raise InternalError("refused")
        await add(totals)

    monkeypatch.setattr(store, "add_usage", refuse)
    for model in ("good", "bad", "better"):
        gateway.plugins["scripted"].scripts.append([Start(model=model), TextDelta(text="a"), Finish(reason="stop")])
        await gateway.post("/v1/chat/completions", CHAT)
    rows = await report(gateway, "by=model", 2)
    assert [row["model"] for row in rows] == ["better", "good"]


async def test_names_of_an_upstream_are_made_plain(gateway: Served) -> None:
    model = "m\0x" + "y" * 500
    for path in ("/v1/chat/completions", "/api/orchestrate"):
        gateway.plugins["scripted"].scripts.append([Start(model=model), TextDelta(text="a"), Finish(reason="stop")])
        assert (await gateway.post(path, CHAT if path.startswith("/v1") else {"message": "a"})).status == 200
    (row,) = await report(gateway, "by=model", 2)
    assert row["model"] == ("mx" + "y" * 500)[:256]


async def test_nul_in_a_query_is_refused(gateway: Served) -> None:
    for path in ("/api/usage?model=%00", "/api/sessions?user_id=a%00", "/api/sessions?metadata.a%00=b"):
        assert (await gateway.get(path)).status == 400


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"user": "ada"}, "/v1/chat/completions"),
        ({"metadata": {"user_id": "ada"}, "max_tokens": 5}, "/v1/messages"),
        ({"user": "ada"}, "/api/v1/scripted/chat"),
    ],
)
async def test_a_call_without_a_session_counts_for_its_user(gateway: Served, body: dict[str, Any], path: str) -> None:
    messages = {"messages": CHAT["messages"]} if "scripted" in path else CHAT
    assert (await gateway.post(path, {**messages, **body})).status == 200
    (row,) = await report(gateway, "user_id=ada", 1)
    assert row["total_tokens"] == 5


async def test_the_label_of_embeddings_is_bounded(gateway: Served) -> None:
    body = {"model": "scripted/scripted-embed", "input": ["a"], "user": "u" * 999}
    assert (await gateway.post("/v1/embeddings", body)).status == 200
    (row,) = await report(gateway, "by=user_id", 1)
    assert row["user_id"] == "u" * 256


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/orchestrate"])
@pytest.mark.parametrize(
    ("steps", "calls", "tokens"),
    [
        ([Start(), UsageReport(usage=Usage(input_tokens=7)), ProviderFailed("broke")], 1, 7),
        ([Start(), ProviderBadResponse("odd")], 1, 0),
        ([ProviderRefused("no")], 0, 0),
    ],
)
async def test_a_try_that_failed_counts_where_it_may_be_billed(
    gateway: Served, path: str, steps: list[Any], calls: int, tokens: int
) -> None:
    gateway.plugins["scripted"].scripts.extend([steps] * 2)  # one more try follows
    body = CHAT if path.startswith("/v1") else {"message": "a", "user_id": "ada"}
    assert (await gateway.post(path, body)).status >= 400
    tries = len(gateway.plugins["scripted"].requests)
    gateway.plugins["scripted"].scripts.clear()
    await gateway.post("/v1/embeddings", {"model": "scripted/scripted-embed", "input": ["a"]})
    rows = await report(gateway, "by=operation,user_id", calls * tries + 1)
    assert rows[-1]["operation"] == "embeddings"
    for row in rows[:-1]:
        assert (row["user_id"], row["total_tokens"]) == ("ada" if "api" in path else "", tokens * tries)
        assert row["cost"] is None


async def test_a_client_that_leaves_before_the_answer_is_counted(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([Start(), 30.0])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await gateway.post("/v1/chat/completions", CHAT)
    (row,) = await report(gateway, "", 1)
    assert (row["unpriced_calls"], row["cost"]) == (1, None)


async def test_a_turn_whose_session_is_deleted_meanwhile_counts(gateway: Served) -> None:
    session = (await gateway.post("/api/sessions", {"user_id": "ada"})).json["session_id"]
    gateway.plugins["scripted"].scripts.append([*answer("a b")[:2], 0.3, *answer("a b")[2:]])
    turn = asyncio.create_task(gateway.post("/api/orchestrate", {"message": "a", "session_id": session}))
    while not gateway.plugins["scripted"].open:
        await asyncio.sleep(0.01)
    await gateway.gateway.store.delete_session("default", session)
    assert (await turn).status == 404
    (row,) = await report(gateway, "user_id=ada", 1)
    assert row["total_tokens"] == 5
