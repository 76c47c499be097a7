"""Summaries on request, and their ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fake_providers.counting import CountingProvider, counting
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
