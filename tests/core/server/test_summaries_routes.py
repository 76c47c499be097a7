"""Summaries on request, and their ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fake_providers.counting import CountingProvider, counting
from orchestrator_core.provider_api import ContentBlocked
from orchestrator_core.server.endpoints import ENDPOINTS
from scripted_gateway import Served, served

UNKNOWN = "sess_" + "0" * 32
KINDS = (counting("one"), counting("two"))


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, KINDS, {"ORCHESTRATOR_ALIASES": '{"small": "two/two-small"}'}) as gateway:
        yield gateway


def fake(index: int) -> CountingProvider:
    return KINDS[index].made[-1]


async def talk(gateway: Served, turns: int) -> str:
    body: dict[str, object] = {"agent_config": {"provider": "one"}}
    for number in range(turns):
        reply = await gateway.post("/api/orchestrate", {**body, "message": f"FACT{number}=x and more words about it"})
        body["session_id"] = reply.json["session_id"]
    return str(body["session_id"])


async def test_a_session_is_summarised_on_request(gateway: Served) -> None:
    session = await talk(gateway, 3)

    reply = await gateway.post(f"/api/sessions/{session}/summarize", {})

    assert reply.status == 200
    assert (reply.json["session_id"], reply.json["detail"]) == (session, None)
    made = reply.json["summary"]
    assert made["text"] == "FACT0=x FACT1=x"
    assert (made["from_sequence"], made["upto_sequence"], made["replaces"]) == (1, 4, None)
    assert (made["provider"], made["model"], made["cost"]) == ("one", "one-1", None)
    assert made["tokens_after"] < made["tokens_before"]
    assert made["usage"]["cached_input_tokens"] > 0
    assert (await gateway.get(f"/api/sessions/{session}")).json["summary"] == made["text"]

    again = await gateway.post(f"/api/sessions/{session}/summarize", {})
    assert (again.status, again.json["summary"]) == (200, None)
    assert "nothing to summarise" in again.json["detail"]


async def test_a_summary_that_is_not_used_counts_in_its_session_as_in_all_totals(gateway: Served) -> None:
    session = await talk(gateway, 3)
    fake(0).next_summaries = ["no shorter at all " * 100]
    turns = (await gateway.get(f"/api/sessions/{session}/metrics")).json["total_tokens"]

    assert (await gateway.post(f"/api/sessions/{session}/summarize", {})).status == 502

    async with asyncio.timeout(5):
        while (told := (await gateway.get(f"/api/sessions/{session}/metrics")).json["total_tokens"]) == turns:
            await asyncio.sleep(0.05)
    (total,) = (await gateway.get("/api/usage")).json["usage"]
    assert told == total["total_tokens"]


async def test_a_new_session_has_nothing_to_summarise(gateway: Served) -> None:
    session = (await gateway.post("/api/sessions", {})).json["session_id"]

    reply = await gateway.post(f"/api/sessions/{session}/summarize", {"keep": 4})

    assert (reply.status, reply.json["summary"]) == (200, None)


@pytest.mark.parametrize("choice", [{"provider": "two", "model": "two-small"}, {"model": "small"}])
async def test_the_caller_chooses_who_summarises(gateway: Served, choice: dict[str, str]) -> None:
    session = await talk(gateway, 2)

    made = (await gateway.post(f"/api/sessions/{session}/summarize", choice)).json["summary"]

    assert (made["provider"], made["model"]) == ("two", "two-small")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"keep": -1}, 400),
        ({"keep": "2"}, 400),
        ({"sum": 1}, 400),
        ({"provider": "nobody"}, 404),
        ({"model": "nobody/x"}, 404),
    ],
)
async def test_what_is_not_understood_is_refused(gateway: Served, body: dict[str, object], status: int) -> None:
    session = await talk(gateway, 2)

    assert (await gateway.post(f"/api/sessions/{session}/summarize", body)).status == status


async def test_sessions_of_nobody_are_not_there(gateway: Served) -> None:
    for known in (UNKNOWN, "x"):
        assert (await gateway.post(f"/api/sessions/{known}/summarize", {})).status == 404
        assert (await gateway.get(f"/api/sessions/{known}/summaries")).status == 404


async def test_a_summary_that_another_process_makes_is_a_conflict(gateway: Served) -> None:
    session = await talk(gateway, 2)
    assert await gateway.gateway.store.lease(f"summary/{session}", "another process", 60)

    reply = await gateway.post(f"/api/sessions/{session}/summarize", {})

    assert (reply.status, reply.json["code"]) == (409, "conflict")
    assert reply.headers["Retry-After"] == "1"


async def test_a_key_summarises_once(gateway: Served) -> None:
    session = await talk(gateway, 3)
    replies = [await gateway.post(f"/api/sessions/{session}/summarize", {}, Idempotency_Key="once") for _ in range(2)]

    assert replies[0].json == replies[1].json
    assert len(fake(0).summaries) == 1


async def test_the_ledger_is_read_in_pages(gateway: Served) -> None:
    session = await talk(gateway, 5)
    for keep in (6, 4, 2):
        assert (await gateway.post(f"/api/sessions/{session}/summarize", {"keep": keep})).status == 200

    page = (await gateway.get(f"/api/sessions/{session}/summaries?limit=2")).json
    rest = (await gateway.get(f"/api/sessions/{session}/summaries?limit=2&offset=2")).json

    assert (page["session_id"], page["has_more"], rest["has_more"]) == (session, True, False)
    entries = page["summaries"] + rest["summaries"]
    assert [(entry["from_sequence"], entry["upto_sequence"]) for entry in entries] == [(1, 4), (5, 6), (7, 8)]
    assert [entry["replaces"] for entry in entries] == [None, entries[0]["id"], entries[1]["id"]]


@pytest.mark.parametrize("text", ["so " * 900, ContentBlocked("no"), "deleted"])
async def test_what_a_summary_used_counts_though_it_is_not_kept(
    gateway: Served, monkeypatch: pytest.MonkeyPatch, text: str | Exception
) -> None:
    session = await talk(gateway, 3)
    if text == "deleted":

        async def late(*_: object) -> bool:
            return False

        monkeypatch.setattr(gateway.gateway.store, "add_summary", late)
    else:
        fake(0).next_summaries = [text]
    assert (await gateway.post(f"/api/sessions/{session}/summarize", {})).status >= 400
    await gateway.gateway._ledger._write()
    rows = (await gateway.get("/api/usage?operation=summarize")).json["usage"]
    if isinstance(text, Exception):
        assert rows == []  # refused before anything was said
    else:
        assert rows[0]["calls"] == 1
        assert rows[0]["total_tokens"] > 0


async def test_answers_have_the_fields_that_the_document_names(gateway: Served) -> None:
    session = await talk(gateway, 3)
    where, one = f"/api/sessions/{session}", {"agent_config": {"provider": "one"}}
    turn = (await gateway.get(f"{where}/turns")).json["turns"][0]["turn_id"]
    paths = {
        "/api/sessions/{id}/summarize": await gateway.post(f"{where}/summarize", {}),
        "/api/sessions/{id}/turns/{turn_id}/replay": await gateway.post(f"{where}/turns/{turn}/replay", one),
        "/api/sessions/{id}/fork": await gateway.post(f"{where}/fork", {}),
        "/api/sessions": await gateway.get("/api/sessions"),
        "/api/usage": await gateway.get("/api/usage?by=day,user_id,client,provider,model,operation"),
    }
    endpoints = [endpoint.documented() for endpoint in ENDPOINTS]
    for endpoint in endpoints:
        if endpoint.method == "GET" and endpoint.path.startswith("/api/sessions/{id}") and endpoint.response:
            paths[endpoint.path] = await gateway.get(endpoint.path.format(id=session, turn_id=turn))
    for path, reply in paths.items():
        assert reply.status in (200, 201), path
        method = "POST" if path.endswith(("summarize", "replay", "fork")) else "GET"
        (model,) = (each.response for each in endpoints if (each.method, each.path) == (method, path))
        assert model is not None
        assert unnamed(model.model_validate(reply.json).model_dump(mode="json"), reply.json) == [], path


def unnamed(named: Any, sent: Any, place: str = "$") -> list[str]:
    """Return where something was sent that the document does not name."""
    if isinstance(sent, dict) and isinstance(named, dict):
        return [
            each
            for name, value in sent.items()
            for each in (unnamed(named[name], value, f"{place}.{name}") if name in named else [f"{place}.{name}"])
        ]
    if isinstance(sent, list) and isinstance(named, list):
        return [each for one, other in zip(named, sent, strict=True) for each in unnamed(one, other, f"{place}[]")]
    return []
