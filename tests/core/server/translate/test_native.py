"""Events of a provider's own that are no JSON, on the surfaces that read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    ChatEvent,
    Finish,
    NativeEvent,
    NativeOnly,
    Start,
    TextDelta,
    Usage,
    UsageReport,
)
from scripted_gateway import served

BODY = {"model": "scripted/m", "max_tokens": 5, "messages": [{"role": "user", "content": "ping"}]}
NO_JSON = b'{"usage": '


CASES: dict[str, tuple[str, list[ChatEvent]]] = {
    "usage": ("/v1/chat/completions", [UsageReport(usage=Usage(1, 1), native=NativeEvent(OPENAI_CHAT, NO_JSON))]),
    "name": ("/v1/messages", [NativeOnly(native=NativeEvent(ANTHROPIC_MESSAGES, NO_JSON)), TextDelta(text="a")]),
}


@pytest.mark.parametrize("case", CASES)
async def test_events_that_are_no_json_are_the_plugins_fault(tmp_path: Path, case: str) -> None:
    path, events = CASES[case]
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        gateway.plugins["scripted"].scripts.append([Start(), *events, Finish()])
        reply = await gateway.post(path, {**BODY, "stream": True})
        shown = gateway.gateway.metrics.render()[0].decode()
    assert (reply.status, b"provider's own that is no JSON" in reply.body) == (502, True)
    assert 'outcome="interrupted",provider="scripted"} 1.0' in shown


async def test_a_whole_answer_that_is_no_json_is_the_plugins_fault(tmp_path: Path) -> None:
    start = Start(native=NativeEvent(OPENAI_CHAT, NO_JSON))
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        gateway.plugins["scripted"].scripts.append([start, TextDelta(text="a"), Finish()])
        reply = await gateway.post("/api/v1/scripted/chat", BODY)
    assert (reply.status, b"plugin_error" in reply.body) == (502, True)


async def test_a_name_that_the_data_give_makes_no_event_of_its_own(tmp_path: Path) -> None:
    odd = NativeOnly(native=NativeEvent(ANTHROPIC_MESSAGES, b'{"type":"ping\\ndata: {}\\n\\n"}'))
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        gateway.plugins["scripted"].scripts.append([Start(), odd, TextDelta(text="a"), Finish()])
        reply = await gateway.post("/v1/messages", {**BODY, "stream": True})
    assert reply.body == b'data: {"type":"ping\\ndata: {}\\n\\n"}\n\n'
