"""An answer that the gateway itself cannot write: told as its own fault, in the metrics as in the store."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider, Step
from orchestrator_core.provider_api import ChatEvents, ChatRequest, Finish, ProviderInfo, Start, TextDelta, hookimpl
from orchestrator_core.server.sse import EventWriter
from scripted_gateway import served

CHAT = {"model": "scripted/m", "messages": [{"role": "user", "content": "ping"}], "stream": True}
TURN = {"message": "ping", "agent_config": {"provider": "scripted"}, "stream": True}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", CHAT), ("/v1/messages", {**CHAT, "max_tokens": 5}), ("/api/orchestrate", TURN)],
)
async def test_a_stream_that_cannot_be_written_is_a_fault_of_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    write = EventWriter.write

    async def odd(writer: EventWriter, *events: Any) -> None:
        if "broken" in repr(events):
            raise TypeError("it cannot be written")
        await write(writer, *events)

    monkeypatch.setattr(EventWriter, "write", odd)
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        said: list[Step] = [Start(), TextDelta(text="well "), TextDelta(text="broken"), 30.0, Finish()]
        gateway.plugins["scripted"].scripts.append(said)
        assert b"went wrong inside the gateway" in (await gateway.post(path, body)).body
        shown = gateway.gateway.metrics.render()[0].decode()
        assert 'orchestrator_attempts_total{operation="chat",outcome="internal_error",provider="scripted"} 1.0' in shown
        assert 'outcome="cancelled"' not in shown
    if body is TURN:
        with closing(sqlite3.connect(next(tmp_path.glob("*.db")))) as connection:
            assert connection.execute("SELECT state, error_code FROM turns").fetchall() == [
                ("interrupted", "internal_error")
            ]


class Changing(ScriptedProvider):
    """Makes another error of the end of its time."""

    info = ProviderInfo(
        name="changing", title="Changing", capabilities=("chat",), requires_key=False, default_model="changing-1"
    )

    @hookimpl
    async def chat(self, request: ChatRequest) -> ChatEvents:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError("too long") from None
        yield Start()


class Cancelling(ScriptedProvider):
    """Waits for a task of its own that it has cancelled."""

    @hookimpl
    async def chat(self, request: ChatRequest) -> ChatEvents:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task
        yield Start()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**CHAT, "model": "changing/m"}),
        ("/api/orchestrate", {**TURN, "agent_config": {"provider": "changing"}}),
    ],
)
async def test_what_a_plugin_made_of_the_end_of_its_time_is_no_leaving_of_the_client(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    environ = {
        "ORCHESTRATOR_FALLBACKS": "changing,scripted",
        "ORCHESTRATOR_FIRST_EVENT_TIMEOUT": "0.1",
        "MONITORING_ENABLED": "false",
    }
    async with served(tmp_path, [Changing, Cancelling], environ) as gateway:
        reply = await gateway.post(path, body)
    assert (reply.status, b"plugin_error" in reply.body) == (502, True)
