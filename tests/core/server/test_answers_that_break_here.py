"""An answer that the gateway itself cannot write: told as its own fault, in the metrics as in the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider, Step
from orchestrator_core.provider_api import Finish, Start, TextDelta
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
