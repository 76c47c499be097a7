"""Requests with very much of something: answered in a time that grows with it, while others are served."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fake_upstreams.misbehaving import MisbehavingUpstream
from orchestrator_mistral import MistralProvider
from scripted_gateway import served

USER = {"role": "user", "content": "ping"}
ANSWER = {"role": "assistant", "content": "pong"}
INSTRUCTION = {"role": "system", "content": "briefly"}
MANY = 20_000


def call(id_: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def result(id_: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": "x"}


IDS = [f"call_{number}" for number in range(MANY)]
CALLS = {"role": "assistant", "content": None, "tool_calls": [call(id_) for id_ in IDS]}
MUCH: dict[str, dict[str, Any]] = {
    "fields": {"messages": [USER], **{f"field_{number}": 1 for number in range(2 * MANY)}},
    "results without calls": {"messages": [USER, *map(result, IDS)]},
    "calls without results": {"messages": [USER, CALLS, USER]},
    "results in another order": {"messages": [USER, CALLS, USER, *map(result, reversed(IDS))]},
    "tools": {"messages": [USER], "tools": [{"type": f"kind_{number}"} for number in range(MANY)]},
    "late instructions": {"messages": [USER, *[ANSWER, INSTRUCTION] * 45_000]},
}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("much", MUCH)
async def test_much_of_something_is_answered_in_time(tmp_path: Path, much: str) -> None:
    async with MisbehavingUpstream() as upstream:
        environ = {
            "MISTRAL_API_KEY": "0123456789abcdef0123456789abcdef",
            "MISTRAL_BASE_URL": upstream.base_url("ok"),
            "MONITORING_ENABLED": "false",
        }
        async with served(tmp_path, [MistralProvider], environ) as gateway, asyncio.timeout(20):
            asked = asyncio.create_task(gateway.post("/v1/chat/completions", {"model": "mistral/m", **MUCH[much]}))
            while not asked.done():
                assert (await gateway.get("/api/health")).status == 200
            reply = await asked
    assert reply.status == 200
    assert all(len(value) < 4_000 for value in reply.headers.values())
