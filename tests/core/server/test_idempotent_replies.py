"""What a repeated request gets: which replies are kept, and what becomes of them when the store is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider, Step
from orchestrator_core.provider_api import (
    Finish,
    ProviderAuthFailed,
    ProviderRateLimited,
    ProviderRefused,
    Start,
    StorageBusy,
    TextDelta,
)
from orchestrator_core.server import idempotency
from orchestrator_core.server.endpoints import ENDPOINTS
from orchestrator_core.sessions.steps import do
from scripted_gateway import Reply, Served, served

CHAT = "/v1/chat/completions"
BODY = {"model": "scripted/m", "messages": [{"role": "user", "content": "ping"}]}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


def asked(gateway: Served) -> int:
    return len(gateway.plugins["scripted"].requests)


async def test_a_key_is_for_one_session(gateway: Served) -> None:
    one, two = [(await gateway.post("/api/sessions", {})).json["session_id"] for _ in range(2)]

    first = await gateway.post(CHAT, BODY, Idempotency_Key="k", X_Session_Id=one)
    again = await gateway.post(CHAT, BODY, Idempotency_Key="k", X_Session_Id=one)
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    for other in ({"X_Session_Id": two}, {}):
        refused = await gateway.post(CHAT, BODY, Idempotency_Key="k", **other)
        assert (refused.status, refused.json["error"]["code"]) == (422, "idempotency_mismatch")
    assert asked(gateway) == 1


@pytest.mark.parametrize("other", [{"Accept": "text/event-stream"}, {"X_Orchestrator_Strict": "true"}])
async def test_a_key_is_for_one_way_of_asking(gateway: Served, other: dict[str, str]) -> None:
    turn = {"message": "a"}
    assert (await gateway.post("/api/orchestrate", turn, Idempotency_Key="k")).status == 200
    assert (await gateway.post("/api/orchestrate", turn, Idempotency_Key="k", **other)).status == 422
    assert (await gateway.post(CHAT, turn, Idempotency_Key="k")).status == 422


@pytest.mark.parametrize(
    ("error", "headers", "status"),
    [
        (ProviderRateLimited("slow down", retry_after=10_000.0), {}, 429),
        (ProviderAuthFailed("wrong key"), {"X_Provider_Key": "a-key-of-the-callers-own"}, 401),
    ],
)
async def test_what_may_go_better_next_time_is_not_kept(
    gateway: Served, error: Exception, headers: dict[str, str], status: int
) -> None:
    script: list[Step] = [error]
    gateway.plugins["scripted"].scripts.append(script)
    assert (await gateway.post(CHAT, BODY, Idempotency_Key="k", **headers)).status == status
    again = await gateway.post(CHAT, BODY, Idempotency_Key="k", **headers)
    assert (again.status, asked(gateway)) == (200, 2)
    assert "Idempotency-Replayed" not in again.headers


async def test_a_refusal_is_kept(gateway: Served) -> None:
    gateway.plugins["scripted"].scripts.append([ProviderRefused("bad parameter", param="top_k")])
    replies = [await gateway.post(CHAT, BODY, Idempotency_Key="k") for _ in range(2)]
    assert [reply.status for reply in replies] == [400, 400]
    assert replies[0].body == replies[1].body
    assert replies[1].headers["Idempotency-Replayed"] == "true"
    assert asked(gateway) == 1


def fail_to_settle(gateway: Served, monkeypatch: pytest.MonkeyPatch, times: int) -> list[float]:
    """Let the store be busy so many times; return when it was asked."""
    store = gateway.gateway.store
    settle, tries = store.settle, list[float]()

    async def busy(*args: Any) -> None:
        tries.append(time.monotonic())
        if len(tries) <= times:
            raise StorageBusy("busy")
        await settle(*args)

    monkeypatch.setattr(store, "settle", busy)
    return tries


@pytest.mark.parametrize("stream", [False, True])
async def test_a_busy_store_costs_nobody_the_answer_and_is_asked_again(
    gateway: Served, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(idempotency, "SETTLE_DELAYS", (0.1, 0.1, 0.1))
    tries = fail_to_settle(gateway, monkeypatch, times=2)
    body = {**BODY, "stream": stream}

    first = await gateway.post(CHAT, body, Idempotency_Key="k")
    assert first.status == 200
    assert b"pong" in first.body
    assert (await gateway.post(CHAT, body, Idempotency_Key="k")).status == 409
    async with asyncio.timeout(5):
        while len(tries) < 3:
            await asyncio.sleep(0.01)
    again = await gateway.post(CHAT, body, Idempotency_Key="k")

    assert (again.status, again.body) == (200, first.body)
    assert asked(gateway) == 1
    assert tries[1] - tries[0] >= 0.1
    assert tries[2] - tries[1] >= 0.1
    await asyncio.sleep(0.2)
    assert len(tries) == 3, "what is kept is not kept again"


async def test_a_store_that_stays_away_is_asked_so_often_and_no_more(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "SETTLE_DELAYS", (0.01, 0.01))
    tries = fail_to_settle(gateway, monkeypatch, times=99)

    assert (await gateway.post(CHAT, BODY, Idempotency_Key="k")).status == 200
    await asyncio.sleep(0.2)

    assert len(tries) == 3
    assert (await gateway.post(CHAT, BODY, Idempotency_Key="k")).status == 409


async def test_an_answer_that_is_too_long_is_not_kept(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_core.server.sse.MAX_KEPT", 100)
    monkeypatch.setattr(idempotency, "MAX_KEPT", 100)
    body = {"model": "scripted/m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    for stream in (True, False):
        key = {"Idempotency-Key": f"long-{stream}"}
        before = asked(gateway)
        first = await gateway.post("/v1/chat/completions", {**body, "stream": stream}, **key)
        again = await gateway.post("/v1/chat/completions", {**body, "stream": stream}, **key)
        assert (first.status, again.status) == (200, 200)
        assert asked(gateway) == before + 2


def test_every_post_takes_a_key() -> None:
    """A new endpoint cannot forget it. Answers that hold a client's key are kept nowhere, and so not given again."""
    without = {endpoint.path for endpoint in ENDPOINTS if endpoint.method == "POST" and not endpoint.idempotent}
    assert without == {"/api/clients", "/api/clients/{id}/rotate"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/orchestrate", {"message": "a", "stream": True}),
        (CHAT, BODY),
        (CHAT, {**BODY, "stream": True}),
        ("/v1/messages", {**BODY, "max_tokens": 5}),
        ("/v1/messages", {**BODY, "max_tokens": 5, "stream": True}),
        ("/v1/messages/count_tokens", BODY),
        ("/v1/embeddings", {"model": "scripted/scripted-embed", "input": ["a"]}),
        ("/api/v1/scripted/chat", {"messages": BODY["messages"]}),
        ("/api/v1/scripted/embeddings", {"input": ["a"]}),
        ("/api/sessions", {"user_id": "ada"}),
        ("/api/sessions/{id}/fork", {}),
        ("/api/sessions/{id}/summarize", {}),
        ("/api/sessions/{id}/turns/{turn_id}/replay", {}),
        (CHAT, {**BODY, "model": "scripted/none/such"}),
    ],
)
@pytest.mark.parametrize("joins", [False, True])
async def test_a_post_that_comes_again_gets_the_same_bytes_and_the_same_facts(
    gateway: Served, path: str, body: dict[str, Any], joins: bool
) -> None:
    turns = [(await gateway.post("/api/orchestrate", {"message": "a long question " * 9})).json]
    session = turns[0]["session_id"]
    turns.append((await gateway.post("/api/orchestrate", {"message": "and more", "session_id": session})).json)
    path = path.format(id=session, turn_id=turns[1]["metadata"]["turn_id"])
    given = {"X_Session_Id": session} if joins and path.startswith("/v1") else {}
    before = asked(gateway)

    first, again = [await gateway.post(path, body, Idempotency_Key="k", **given) for _ in range(2)]

    assert (first.status, again.status) == (first.status, first.status)
    assert first.status in (200, 201)
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert asked(gateway) <= before + 1
    assert facts(again) == facts(first)


def facts(reply: Reply) -> dict[str, str]:
    """Return the headers of a reply, without those of the one request that it answers."""
    own = {
        *("date", "x-request-id", "request-id", "x-orchestrator-request-id", "x-orchestrator-overhead-ms"),
        *("idempotency-replayed", "content-length", "transfer-encoding", "cache-control", "x-accel-buffering"),
    }
    return {name.lower(): value for name, value in reply.headers.items() if name.lower() not in own}


@pytest.mark.parametrize(("path", "mark"), [(CHAT, b"[DONE]"), ("/api/orchestrate", b"event: done")])
async def test_who_has_the_end_of_a_stream_may_ask_for_it_again(
    gateway: Served, monkeypatch: pytest.MonkeyPatch, path: str, mark: bytes
) -> None:
    store, body = gateway.gateway.store, {**BODY, "stream": True} if path == CHAT else {"message": "a", "stream": True}
    settle = store.settle

    async def slowly(*args: Any) -> None:
        await asyncio.sleep(0.2)
        await settle(*args)

    monkeypatch.setattr(store, "settle", slowly)
    async with (
        aiohttp.ClientSession() as client,
        client.post(gateway.url + path, json=body, headers={"Idempotency-Key": "k"}) as response,
    ):
        await response.content.readuntil(mark)
        again = await gateway.post(path, body, Idempotency_Key="k")
    assert again.headers.get("Idempotency-Replayed") == "true"


async def test_a_key_that_outlived_its_process_is_for_one_way_of_asking(gateway: Served) -> None:
    """Its claim went with the process; that of the turn is with the turn."""
    turn = {"message": "a"}
    first = await gateway.post("/api/orchestrate", turn, Idempotency_Key="k")
    run = gateway.gateway.store.database.write  # type: ignore[attr-defined]  # not of the protocol
    await run(partial(do, "DELETE FROM idempotency"))

    other = await gateway.post("/api/orchestrate", {**turn, "agent_config": {"temperature": 0.5}}, Idempotency_Key="k")
    again = await gateway.post("/api/orchestrate", turn, Idempotency_Key="k")

    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
    assert (again.status, again.json["session_id"]) == (200, first.json["session_id"])
    assert asked(gateway) == 1


async def test_replies_that_tell_of_a_session_are_deleted_with_it(gateway: Served) -> None:
    body = {"user_id": "ada", "metadata": {"secret": "plans"}}
    made = (await gateway.post("/api/sessions", body, Idempotency_Key="a")).json["session_id"]
    copy = (await gateway.post(f"/api/sessions/{made}/fork", {}, Idempotency_Key="b")).json["session_id"]
    for session, path, sent, key in (
        (made, "/api/sessions", body, "a"),
        (copy, f"/api/sessions/{made}/fork", {}, "b"),
    ):
        await gateway.gateway.store.delete_session("default", session)
        again = await gateway.post(path, sent, Idempotency_Key=key)
        assert "Idempotency-Replayed" not in again.headers


SECRET = "XYLOPHONE"
BELOW_A_SESSION = [
    endpoint.path for endpoint in ENDPOINTS if endpoint.idempotent and endpoint.path.startswith("/api/sessions/{id}/")
]
JOINING: Mapping[str, Mapping[str, Any]] = {
    "/api/orchestrate": {"message": SECRET},
    CHAT: {"model": "scripted/m", "messages": [{"role": "user", "content": SECRET}]},
    "/v1/messages": {"model": "scripted/m", "max_tokens": 9, "messages": [{"role": "user", "content": SECRET}]},
}


@pytest.mark.parametrize("goes", ["well", "wrong"])
@pytest.mark.parametrize("path", [*BELOW_A_SESSION, *JOINING])
async def test_nothing_of_a_deleted_session_is_left_in_the_file(
    gateway: Served, tmp_path: Path, path: str, goes: str
) -> None:
    scripts = gateway.plugins["scripted"].scripts
    turns = [(await gateway.post("/api/orchestrate", {"message": "a long question " * 9})).json]
    session = turns[0]["session_id"]
    for _ in range(2):
        scripts.append([Start(), TextDelta(text=SECRET), Finish(reason="stop")])
        turns.append((await gateway.post("/api/orchestrate", {"message": SECRET, "session_id": session})).json)
    scripts.append([Start(), TextDelta(text=SECRET), Finish(reason="stop")])
    if goes == "wrong":
        scripts[-1] = [ProviderRefused(f"{SECRET} is not said here")]
    where = path.format(id=session, turn_id=turns[-1]["metadata"]["turn_id"])
    body = dict(JOINING.get(path, {}))
    if path == "/api/orchestrate":
        body["session_id"] = session
    headers = {"X_Session_Id": session} if path.startswith("/v1") else {}

    reply = await gateway.post(where, body, Idempotency_Key="k", **headers)
    again = await gateway.post(where, body, Idempotency_Key="k", **headers)
    assert again.headers.get("Idempotency-Replayed") == "true", (reply.status, reply.body)

    sessions = (await gateway.get("/api/sessions?limit=100")).json["sessions"]
    for known in sessions:
        await gateway.gateway.store.delete_session("default", known["session_id"])
    for file in tmp_path.glob("orchestrator.db*"):
        assert SECRET.encode() not in file.read_bytes(), file.name
    scripts.clear()
    after = await gateway.post(where, body, Idempotency_Key="k", **headers)
    assert (after.status, "Idempotency-Replayed" in after.headers) == (404, False)
