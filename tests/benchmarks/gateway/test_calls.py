from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gateway import subjects
from benchmarks.gateway.calls import (
    ALL,
    C,
    by_layer,
    counting,
    for_each,
    most_called,
    of_first_words,
    of_requests,
    table,
)
from benchmarks.gateway.scenarios import chat


async def test_calls_are_counted_in_every_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "IDLE_AFTER", 0.0)
    anywhere = range(1024)
    with (
        subjects.upstream(tmp_path, anywhere) as vendor,
        counting(tmp_path, vendor, anywhere) as servers,
    ):
        first, floor, gateway = [
            by_layer(await of_requests(socket, servers[socket], chat(servers[socket], ""), 8))
            for socket in [next(iter(servers)), *servers]
        ]
        of_floor, of_gateway = [by_layer(await of_first_words(*each, {}, 1)) for each in servers.items()]
    assert floor["aiohttp"] == pytest.approx(first["aiohttp"], rel=0.1)
    assert gateway[ALL] > floor[ALL] > floor["aiohttp"] + floor[C]
    assert gateway["orchestrator_core/server"] > 50
    assert not [layer for layer in floor if layer.startswith("orchestrator_core")]
    assert of_gateway[ALL] > of_floor[ALL] > of_floor["aiohttp"] > 100
    assert of_gateway["orchestrator_core/upstream"] > 10


def test_calls_are_told_by_layer() -> None:
    calls = {
        ("/home/x/src/lib/python3.11/site-packages/aiohttp/web.py", "one"): 2,
        ("/home/x/src/lib/python3.11/site-packages/aiohttp/web.py", "other"): 1,
        ("/home/x/lib/python3.11/asyncio/events.py", "one"): 3,
        ("/home/x/lib/python3.11/selectors.py", "one"): 4,
        ("/home/x/orchestrator-core/src/orchestrator_core/server/app.py", "one"): 5,
        ("<string>", "one"): 6,
        ("", "len"): 8,
    }
    layers = {"aiohttp": 3, "asyncio": 3, "selectors": 4, "orchestrator_core/server": 5, "<string>": 6, C: 8, ALL: 29}
    assert by_layer(calls) == layers


def test_what_an_idle_server_calls_is_taken_off() -> None:
    assert for_each({("", "a"): 8, ("", "b"): 3}, 2, {("", "a"): 1.0}, 4.0) == {("", "a"): 2.0, ("", "b"): 1.5}


def test_layers_stand_by_their_calls() -> None:
    one = {("a", "x"): 5.0, ("b", "x"): 2.0}
    other = {("b", "x"): 7.0, ("b", "y"): 1.0, ("c", "x"): 0.4}
    lines = list(table({"chat, one": one, "chat, other": other}))
    assert lines[2:] == ["| all | 7.0 | 8.4 |", "| b | 2.0 | 8.0 |", "| a | 5.0 | 0.0 |"]


def test_functions_stand_by_their_calls() -> None:
    calls = {("/x/src/orchestrator_core/a.py", "one"): 5.0, ("", "len"): 8.0, ("b", "other"): 1.0}
    assert list(most_called(calls, 2))[2:] == ["| C: len | 8.00 |", "| orchestrator_core/a.py: one | 5.00 |"]
