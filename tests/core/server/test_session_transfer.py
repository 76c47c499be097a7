"""Export and import over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.provider_api import (
    ChatRequest,
    Finish,
    ProviderFailed,
    ReasoningDelta,
    Start,
    TextDelta,
    Usage,
    UsageDetails,
    UsageReport,
)
from orchestrator_core.sessions.models import NewSummary
from scripted_gateway import Reply, Served, served

PATH = "/api/orchestrate"
KIND = {"Content-Type": "application/x-ndjson"}
SIGNED = {"scripted": {"signature": "abc=="}}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_MAX_REQUEST_BYTES": "200000"}) as gateway:
        yield gateway


async def put(gateway: Served, lines: bytes, **headers: str) -> Reply:
    async with (
        aiohttp.ClientSession() as client,
        client.post(gateway.url + "/api/sessions/import", data=lines, headers={**KIND, **headers}) as response,
    ):
        return Reply(response.status, response.headers, await response.read())


def written(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def encoded(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def without_ids(lines: bytes) -> list[dict[str, Any]]:
    """Return what two exports of one conversation have in common: ids by the order of their first use."""
    names: dict[str, str] = {}
    found = []
    for line in written(lines)[1:]:
        if line["type"] == "session":
            line = {"metadata": line["metadata"], "user_id": line["user_id"]}  # noqa: PLW2901 - the rest is the copy's
        for name in ("id", "summary_id"):
            if line.get(name):
                line[name] = names.setdefault(line[name], f"{name}-{len(names)}" if name == "id" else "")
        found.append({name: value for name, value in line.items() if name != "summary_id"})
    return found


async def conversation(gateway: Served) -> str:
    scripts = gateway.plugins["scripted"].scripts
    scripts.append(
        [
            Start(model="m-1"),
            ReasoningDelta(text="hm", provider_metadata=SIGNED),
            TextDelta(text="pong é"),
            UsageReport(usage=Usage(1, 2, 3, 4, 5, UsageDetails(output_audio_tokens=1, unpriced="service_tier flex"))),
            Finish(reason="stop"),
        ]
    )
    made = await gateway.post(PATH, {"message": "ping", "user_id": "ada", "metadata": {"topic": "engines"}})
    session: str = made.json["session_id"]
    scripts.extend([[ProviderFailed("down")]] * 2)
    await gateway.post(PATH, {"message": "lost", "session_id": session})
    await gateway.post(PATH, {"message": "again", "session_id": session})
    store = gateway.gateway.store
    await store.add_summary("default", session, NewSummary(text="They talked.", upto_sequence=2))
    await gateway.post(PATH, {"message": "more", "session_id": session})
    return session


async def test_what_is_exported_is_imported_and_exported_alike(gateway: Served) -> None:
    session = await conversation(gateway)
    out = await gateway.get(f"/api/sessions/{session}/export")
    assert (out.status, out.headers["Content-Type"]) == (200, "application/x-ndjson")
    kinds = [line["type"] for line in written(out.body)]
    assert kinds[:4] == ["header", "session", "turn", "message"]
    assert kinds[-2:] == ["summary", "end"]
    assert written(out.body)[0]["version"] == 1

    made = await put(gateway, out.body)

    assert made.status == 201
    copy = made.json["session_id"]
    assert (made.json["parent_id"], made.json["user_id"], made.json["status"]) == (session, "ada", "active")
    assert made.json["summary"] == "They talked."
    again = await gateway.get(f"/api/sessions/{copy}/export")
    assert without_ids(again.body) == without_ids(out.body)
    await gateway.post(PATH, {"message": "on", "session_id": copy})
    request = gateway.plugins["scripted"].requests[-1]
    assert isinstance(request, ChatRequest)
    assert [message.text for message in request.messages][1:] == ["again", "pong", "more", "pong", "on"]


async def test_signatures_travel(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append(
        [Start(model="m"), ReasoningDelta(text="hm", provider_metadata=SIGNED), TextDelta(text="a"), Finish("stop")]
    )
    session = (await gateway.post(PATH, {"message": "ping"})).json["session_id"]
    out = await gateway.get(f"/api/sessions/{session}/export")
    copy = (await put(gateway, out.body)).json["session_id"]
    await gateway.post(PATH, {"message": "on", "session_id": copy})
    request = gateway.plugins["scripted"].requests[-1]
    assert isinstance(request, ChatRequest)
    assert request.messages[1].parts[0].provider_metadata == SIGNED


async def test_a_conversation_whose_messages_have_parts_of_every_kind_is_shown(gateway: Served) -> None:
    lines = written((await gateway.get(f"/api/sessions/{await conversation(gateway)}/export")).body)
    noted = {"scripted": {"signature": "abc=="}}
    parts = [
        {"type": "tool_result", "tool_call_id": "c1", "content": [{"type": "text", "text": "19"}]},
        {"type": "image", "data": "aGk=", "media_type": "image/png", "provider_metadata": noted},
        {"type": "opaque", "provider_metadata": noted},
        {"type": "refusal", "text": "no", "provider_metadata": noted},
        {"type": "tool_call", "id": "c2", "name": "f", "arguments": "{}", "provider_metadata": noted},
        {"type": "reasoning", "text": "hm", "provider_metadata": noted},
        {"type": "file", "data": "aGk=", "media_type": "text/plain"},
    ]
    lines = [line | {"parts": parts} if line["type"] == "message" else line for line in lines]
    made = (await put(gateway, encoded(lines))).json["session_id"]
    fork = (await gateway.post(f"/api/sessions/{made}/fork", {})).json["session_id"]

    for session in (made, fork):
        history = await gateway.get(f"/api/sessions/{session}/history")
        turns = await gateway.get(f"/api/sessions/{session}/turns")
        assert (history.status, turns.status) == (200, 200)
        turn = turns.json["turns"][0]["turn_id"]
        assert (await gateway.get(f"/api/sessions/{session}/turns/{turn}")).json["messages"] == [
            message for message in history.json["messages"] if message["turn_id"] == turn
        ]


async def test_a_turn_under_way_is_left_out(gateway: Served) -> None:
    session = (await gateway.post(PATH, {"message": "ping"})).json["session_id"]
    gateway.plugins["scripted"].scripts.append([Start(model="m"), TextDelta(text="half"), 30.0])
    async with (
        aiohttp.ClientSession() as client,
        client.post(gateway.url + PATH, json={"message": "wait", "session_id": session, "stream": True}) as response,
    ):
        await response.content.readuntil(b"half")
        out = await gateway.get(f"/api/sessions/{session}/export")
    assert written(out.body)[-1] == {"type": "end", "turns": 1, "messages": 2, "summaries": 0}
    assert (await put(gateway, out.body)).status == 201


async def test_many_pages(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_core.server.transfer.writing.PAGE", 2)
    session = await conversation(gateway)
    out = await gateway.get(f"/api/sessions/{session}/export")
    assert written(out.body)[-1] == {"type": "end", "turns": 4, "messages": 7, "summaries": 1}


def change(lines: list[dict[str, Any]], number: int, **fields: Any) -> list[dict[str, Any]]:
    return [*lines[: number - 1], {**lines[number - 1], **fields}, *lines[number:]]


BUCKETS = dict.fromkeys(
    ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"), 2**40
)

FORGERIES: list[tuple[int, dict[str, Any], str]] = [
    (1, {"version": 2}, "version"),
    (1, {"format": "other"}, "format"),
    (2, {"status": "open"}, "status"),
    (2, {"surplus": 1}, "surplus"),
    (2, {"metadata": {"a": "x" * 65_536}}, "metadata"),
    (3, {"state": "pending"}, "state"),
    (3, {"state": "failed"}, "answered"),
    (3, {"state": "odd"}, "state"),
    (3, {"usage": {"input_tokens": -1}}, "usage.input_tokens"),
    (3, {"cost": -1.0}, "cost"),
    (3, {"cost": 1.7e308}, "cost"),
    (3, {"duration": 1.7e308}, "duration"),
    (3, {"usage": BUCKETS | {"output_tokens": 2**53}}, "usage.output_tokens"),
    (14, {"cost": 1.7e308}, "cost"),
    (14, {"tokens_before": 2**53}, "tokens_before"),
    (3, {"duration": "1"}, "duration"),
    (3, {"started_at": "yesterday"}, "started_at"),
    (3, {"started_at": "9999-12-31T23:59:59-14:00"}, "started_at"),  # beyond what UTC can say here
    (3, {"started_at": "1970-01-01T00:00:00+14:00"}, "started_at"),
    (3, {"messages": 0}, "messages"),
    (3, {"finished_at": None}, "finished_at"),
    (4, {"sequence": 2}, "sequence"),
    (4, {"role": "assistant"}, "role"),
    (4, {"role": "system2"}, "role"),
    (4, {"parts": [{"type": "unheard"}]}, "parts.0"),
    (5, {"role": "user"}, "role"),
    (5, {"sequence": 2**40}, "sequence"),
    (6, {"type": "message"}, ""),
    (6, {"id": "first"}, "id"),
    (14, {"from_sequence": 2}, "from_sequence"),
    (14, {"upto_sequence": 99}, "upto_sequence"),
    (14, {"text": ""}, "text"),
    (15, {"turns": 5}, ""),
    (15, {"type": "finish"}, "type"),
]


async def test_forged_lines_are_named_and_nothing_is_made(gateway: Served) -> None:
    session = await conversation(gateway)
    lines = written((await gateway.get(f"/api/sessions/{session}/export")).body)
    assert len(lines) == 15
    for number, fields, where in FORGERIES:
        forged = {"id": lines[2]["id"]} if fields.get("id") == "first" else fields
        reply = await put(gateway, encoded(change(lines, number, **forged)))
        assert reply.status == 400, (number, fields)
        assert reply.json["param"].startswith(f"line {number}"), (fields, reply.json)
        assert where in reply.json["param"], (number, reply.json)
        assert reply.json["detail"].startswith(f"Line {number}: ")
    assert len((await gateway.get("/api/sessions")).json["sessions"]) == 1


async def test_tokens_that_no_total_can_hold_are_refused_at_their_line(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await conversation(gateway)
    lines = written((await gateway.get(f"/api/sessions/{session}/export")).body)
    large = change(change(lines, 3, usage=BUCKETS), 8, usage=BUCKETS)
    made = await put(gateway, encoded(large))
    metrics = (await gateway.get(f"/api/sessions/{made.json['session_id']}/metrics")).json
    assert metrics["total_tokens"] >= 10 * 2**40
    monkeypatch.setattr("orchestrator_core.server.transfer.reading.MAX_TOTAL", 8 * 2**40)
    reply = await put(gateway, encoded(large))
    assert (reply.status, reply.json["param"]) == (400, "line 8.usage")


async def test_a_file_that_was_cut_off_is_refused(gateway: Served) -> None:
    session = await conversation(gateway)
    lines = written((await gateway.get(f"/api/sessions/{session}/export")).body)
    for cut in range(len(lines)):
        reply = await put(gateway, encoded(lines[:cut]))
        assert (reply.status, reply.json["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("lines", [b"{", b"[]\n", b"\xff\n", b"\n\n", b'{"type": "end"}\n', b'{"type": NaN}\n'])
async def test_what_is_no_file(gateway: Served, lines: bytes) -> None:
    reply = await put(gateway, lines)
    assert (reply.status, reply.json["param"].split(".")[0]) == (400, "line 1")


async def test_a_file_may_be_sent_as_nothing_in_particular(gateway: Served) -> None:
    session = await conversation(gateway)
    out = (await gateway.get(f"/api/sessions/{session}/export")).body
    reply = await put(gateway, out, **{"Content-Type": "application/octet-stream"})
    assert reply.status == 201, reply.body


async def test_the_place_of_imports_is_no_session(gateway: Served) -> None:
    for method in ("GET", "PATCH", "DELETE", "OPTIONS"):
        async with aiohttp.request(method, gateway.url + "/api/sessions/import", json={}) as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_a_file_has_a_type_a_size_and_a_key(gateway: Served) -> None:
    session = await conversation(gateway)
    out = (await gateway.get(f"/api/sessions/{session}/export")).body
    assert (await gateway.post("/api/sessions/import", {})).status == 415
    large = await put(gateway, out + b" " * 200_000)
    assert large.status == 413
    assert "orchestrator sessions import" in large.json["detail"]
    first, again = [await put(gateway, out, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert (first.status, again.body) == (201, first.body)
    assert (await put(gateway, out + b"\n", **{"Idempotency-Key": "k"})).status == 422
    assert len((await gateway.get("/api/sessions")).json["sessions"]) == 2


async def test_there_is_nothing_to_export_of_nothing(gateway: Served) -> None:
    assert (await gateway.get(f"/api/sessions/sess_{'0' * 32}/export")).status == 404


async def test_the_head_of_an_export_has_no_body(gateway: Served) -> None:
    session = (await gateway.post("/api/orchestrate", {"message": "hi"})).json["session_id"]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as client:
        for _ in range(2):  # on one connection: what follows a head is taken for the next answer
            async with client.head(f"{gateway.url}/api/sessions/{session}/export") as response:
                assert (response.status, response.content_type) == (200, "application/x-ndjson")
