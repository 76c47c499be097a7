"""What a request leaves behind is gone with it, errors and all: the garbage collector has nothing to find."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider, Step, answer
from orchestrator_core.provider_api import ProviderFailed, ProviderRefused
from scripted_gateway import Served, served

ASK = {"model": "scripted/m", "messages": [{"role": "user", "content": "ping"}]}
CHAT, MESSAGES, CONNECTOR, TURN = "/v1/chat/completions", "/v1/messages", "/api/v1/scripted/chat", "/api/orchestrate"
LOOK = {"name": "look", "input_schema": {"type": "object"}}
BLOCKS = {**ASK, "max_tokens": 9, "system": "Be brief.", "tools": [LOOK]}
BROKEN: list[Step] = [*answer("half")[:2], ProviderFailed("reset")]

CASES: dict[str, tuple[str, dict[str, Any], list[Step] | None, int]] = {
    "answered": (CHAT, ASK, None, 200),
    "streamed": (CHAT, {**ASK, "stream": True}, None, 200),
    "messages answered": (MESSAGES, BLOCKS, None, 200),
    "messages streamed": (MESSAGES, {**BLOCKS, "stream": True}, None, 200),
    "a connector": (CONNECTOR, {**ASK, "model": "m"}, None, 200),
    "a connector that streams": (CONNECTOR, {**ASK, "model": "m", "stream": True}, None, 200),
    "a turn that streams": (TURN, {"message": "ping", "stream": True}, None, 200),
    "a turn": (TURN, {"message": "ping"}, None, 200),
    "no such model": (CHAT, {**ASK, "model": "nobody/m"}, None, 404),
    "a wrong body": (CHAT, {"model": "scripted/m"}, None, 400),
    "refused by the provider": (CHAT, ASK, [ProviderRefused("no")], 400),
    "broken off": (CHAT, {**ASK, "stream": True}, BROKEN, 200),
    "a turn that failed": (TURN, {"message": "ping"}, [ProviderRefused("no")], 400),
}


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the collector finds, while it is told to keep it."""
    gc.collect()
    gc.disable()

    def collect() -> Counter[str]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
        finally:
            gc.set_debug(0)
        found = Counter(f"{type(each).__module__}.{type(each).__name__}" for each in gc.garbage)
        gc.garbage.clear()
        return found

    yield collect
    gc.enable()


async def ask(gateway: Served, case: tuple[str, dict[str, Any], list[Step] | None, int]) -> None:
    path, body, script, status = case
    if script is not None:
        gateway.plugins["scripted"].scripts.append(script)
    assert (await gateway.post(path, body)).status == status


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_nothing_of_ours_waits_for_the_garbage_collector(
    tmp_path: Path, collected: Any, case: tuple[str, dict[str, Any], list[Step] | None, int]
) -> None:
    environ = {"ORCHESTRATOR_BREAKER_ENABLED": "false"}
    async with served(tmp_path, [ScriptedProvider], environ) as gateway:
        for _ in range(3):
            await ask(gateway, case)
        gc.collect()
        for _ in range(10):
            await ask(gateway, case)
        found = collected()
    ours = ("orchestrator_core.", "aiohttp.", "builtins.frame")
    assert {name: count for name, count in found.items() if name.startswith(ours)} == {}, found.most_common(9)
