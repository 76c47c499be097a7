from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gateway import subjects
from benchmarks.gateway.calls import ALL, C, by_package, counting, of_requests, table
from benchmarks.gateway.scenarios import chat


async def test_calls_are_counted_in_every_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "IDLE_AFTER", 0.0)
    anywhere = range(1024)
    with (
        subjects.upstream(tmp_path, anywhere) as vendor,
        counting(tmp_path, vendor, anywhere) as servers,
    ):
        first, floor, gateway = [
            await of_requests(socket, servers[socket], chat(servers[socket], ""), 8)
            for socket in [next(iter(servers)), *servers]
        ]
    assert floor["aiohttp"] == pytest.approx(first["aiohttp"], rel=0.1)
    assert gateway[ALL] > floor[ALL] > floor["aiohttp"] + floor[C]
    assert gateway["orchestrator_core"] > 100
    assert "orchestrator_core" not in floor


def test_calls_are_told_by_package() -> None:
    files = {
        "/home/x/src/lib/python3.11/site-packages/aiohttp/web.py": 2,
        "/home/x/lib/python3.11/asyncio/events.py": 3,
        "/home/x/lib/python3.11/selectors.py": 4,
        "/home/x/orchestrator-core/src/orchestrator_core/server/app.py": 5,
        "<string>": 6,
        "": 8,
    }
    expected = {"aiohttp": 1, "asyncio": 1.5, "selectors": 2, "orchestrator_core": 2.5, "<string>": 3, C: 4, ALL: 14}
    assert by_package(files, 2) == expected


def test_packages_stand_by_their_calls() -> None:
    found = {"chat, one": {ALL: 7.0, "a": 5.0, "b": 2.0}, "chat, other": {ALL: 9.0, "b": 8.0, "c": 0.4}}
    assert list(table(found))[2:] == ["| all | 7.0 | 9.0 |", "| b | 2.0 | 8.0 |", "| a | 5.0 | 0.0 |"]
