"""Searching and paging over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from fake_providers.scripted import ScriptedProvider
from scripted_gateway import Served, served


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


async def test_metadata_user_and_status_are_searched(gateway: Served) -> None:
    made = []
    for user, topic in (("ada", "engines & looms"), ("ada", "poems"), ("bob", "poems")):
        body = {"user_id": user, "metadata": {"topic": topic, "a.b": 1}}
        made.append((await gateway.post("/api/sessions", body)).json["session_id"])

    async def found(query: str) -> list[str]:
        reply = await gateway.get(f"/api/sessions?{query}")
        assert reply.status == 200, reply.json
        return [session["session_id"] for session in reply.json["sessions"]]

    assert await found("metadata.topic=poems") == [made[2], made[1]]
    assert await found("metadata.topic=poems&user_id=ada&status=active") == [made[1]]
    assert await found(f"metadata.topic={quote('engines & looms')}&metadata.a.b=1") == [made[0]]
    assert await found("metadata.topic=poems&metadata.other=1") == []
    assert await found("status=closed") == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("status=open", "status"),
        ("metadata.a=1&metadata.a=2", "metadata.a"),
        ("&".join(f"metadata.{number}=1" for number in range(9)), "metadata"),
        ("cursor=x", "cursor"),
        ("cursor=c2Vzc2lvbnN8MXxz&offset=1", "cursor"),
        ("cursor=c2Vzc2lvbnN8MjAyNi0xMS0yMXxzZXNzXzE", "cursor"),
        ("cursor=c2Vzc2lvbnN8MXxz", "cursor"),
    ],
)
async def test_queries_that_cannot_be_understood(gateway: Served, query: str, param: str) -> None:
    reply = await gateway.get(f"/api/sessions?{query}")
    assert (reply.status, reply.json["param"]) == (400, param)


async def test_cursors_of_sessions_and_of_what_was_said(gateway: Served) -> None:
    for _ in range(5):
        session = (await gateway.post("/api/orchestrate", {"message": "a"})).json["session_id"]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await gateway.get(f"/api/sessions?limit=2{cursor and f'&cursor={cursor}'}")).json
        seen += [one["session_id"] for one in page["sessions"]]
        cursor = page["next_cursor"]
        assert page["has_more"] is (cursor is not None)
    assert len(set(seen)) == len(seen) == 5

    for number in range(2):
        await gateway.post("/api/orchestrate", {"message": str(number), "session_id": session})
    said: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await gateway.get(f"/api/sessions/{session}/history?limit=4{cursor and f'&cursor={cursor}'}")).json
        said += [one["content"] for one in page["messages"]]
        cursor = page["next_cursor"]
    assert said == ["a", "pong", "0", "pong", "1", "pong"]
    offset = (await gateway.get(f"/api/sessions/{session}/history?limit=4&offset=4")).json
    assert [one["content"] for one in offset["messages"]] == said[4:]
