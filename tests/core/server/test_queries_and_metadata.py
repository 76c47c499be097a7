"""Queries that nothing reads, and metadata that are too large."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.server.metadata import MAX_METADATA
from scripted_gateway import Reply, Served, served


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("query", "param", "hint"),
    [
        ("sessions?user=ada", "user", "user_id"),
        ("sessions?stauts=active", "stauts", "status"),
        ("sessions?metadata=topic", "metadata", "metadata.name"),
        ("usage?form=2026-01-01", "form", "It takes by"),
        ("usage?since=2026-02-02&until=2026-02-01", "since", "until"),
        ("providers?all=1", "all", "It takes none"),
    ],
)
async def test_a_name_that_nothing_reads_is_refused(gateway: Served, query: str, param: str, hint: str) -> None:
    reply = await gateway.get(f"/api/{query}")
    assert (reply.status, reply.json["param"]) == (400, param)
    assert hint in reply.json["detail"]


async def test_names_that_are_read_are_taken(gateway: Served) -> None:
    for query in (
        "sessions?metadata.a.b=1&limit=1&offset=0&status=active&user_id=a",
        "usage?by=day&model=m",
        "health?x=1",
    ):
        assert (await gateway.get(f"/api/{query}")).status == 200, query


async def test_metadata_have_a_size(gateway: Served) -> None:
    fits, large = {"a": "x" * (MAX_METADATA - 8)}, {"a": "x" * (MAX_METADATA - 7)}
    made = await gateway.post("/api/sessions", {"metadata": fits})
    assert made.status == 201
    session = f"/api/sessions/{made.json['session_id']}"
    async with (
        aiohttp.ClientSession() as client,
        client.patch(gateway.url + session, json={"metadata": large}) as response,
    ):
        changed = Reply(response.status, response.headers, await response.read())
    for reply in (
        await gateway.post("/api/sessions", {"metadata": large}),
        await gateway.post(f"{session}/fork", {"metadata": large}),
        await gateway.post("/api/orchestrate", {"message": "hi", "metadata": large}),
        changed,
    ):
        assert (reply.status, reply.json["param"]) == (400, "metadata")
        assert str(MAX_METADATA) in reply.json["detail"]
