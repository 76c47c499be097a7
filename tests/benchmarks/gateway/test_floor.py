from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from aiohttp import web

from benchmarks.gateway import load, passthrough, subjects
from benchmarks.gateway.scenarios import turn
from orchestrator_core.upstream import client


async def test_what_the_floor_of_turns_carries_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "IDLE_AFTER", 0.0)
    anywhere = range(1024)
    with (
        subjects.upstream(tmp_path, anywhere) as vendor,
        subjects.pass_through(tmp_path, vendor, anywhere, rows=True) as floor,
    ):
        outcome = await load.run(floor.port, turn(3, floor, ""), connections=3, seconds=60, most=2)
    assert (len(outcome.latencies), outcome.errors) == (6, 0)
    connection = sqlite3.connect(tmp_path / "rows.db")
    said = [text for (text,) in connection.execute("SELECT text FROM said")]
    connection.close()
    assert sorted(b'"choices"' in text for text in said) == [False] * 6 + [True] * 6


async def test_the_floor_keeps_connections_as_long_as_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["passthrough", "1", "http://127.0.0.1:1"])
    app = web.Application()
    async for _ in passthrough._session(app):
        connector = app[passthrough.SESSION].connector
        assert connector is not None
        assert connector._keepalive_timeout == client.KEEP_ALIVE
